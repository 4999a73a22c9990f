"""The base of everything that may be wished; see `wishes`."""

from __future__ import annotations

from typing import Annotated

import msgspec

# What a column of the store can hold, and sums of a few of them.
Number = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]


class Instruction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """Base of what may be wished."""
