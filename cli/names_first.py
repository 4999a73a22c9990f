"""Makes the names that a server's processes look up, one after the other, before all else.

Names are made where they are met first, among the code that has them, and each process changes how
often some are referred to: for a name a page of its own, in each of ten processes. Made together
they share pages: an idle server takes 2.3 MB less, with a Python that does not take such names for
immortal, as 3.12 and later do. Imported by `administrators` before anything
that has names; `bench/names_of_roles.py` writes which they are, the most used first. Nothing
depends on it: a name that is missing there, or is one of nobody's, costs what it did.
"""

from __future__ import annotations

import os
import sys

PATH = os.path.join(os.path.dirname(__file__), "names.txt")


def _made() -> list[str]:
    with open(PATH, encoding="ascii") as file:
        return [sys.intern(name) for name in file.read().split()]


# Kept: a name that nobody has is forgotten, and made anew where it is met.
NAMES = _made()
