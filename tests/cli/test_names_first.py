"""The names that are made before all others."""

from __future__ import annotations

import sys

from callsheet.cli.names_first import NAMES


def test_each_is_a_name_that_is_made_once_and_kept() -> None:
    assert len(NAMES) == 1_500
    assert len(set(NAMES)) == len(NAMES)
    assert all(name.isidentifier() for name in NAMES)
    assert all(sys.intern("".join(list(name))) is name for name in NAMES)
