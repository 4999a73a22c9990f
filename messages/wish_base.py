"""The base of everything that may be wished; see `wishes`."""

from __future__ import annotations

import msgspec


class Instruction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """Base of what may be wished."""
