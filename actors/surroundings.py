"""What the checker is told of the host besides the store: disks, and how far the clock was set.

Plain values: `look_around` asks for them.
"""

from __future__ import annotations

import msgspec


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """The file system below a path: bytes that are free to us, and all there are."""

    path: str
    free_bytes: int
    all_bytes: int


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What there is. `begun_us`: by the clock on the wall, when the host was started; it changes by
    as much as that clock is set. `log_bytes`: the database's write-ahead log."""

    disks: list[Disk] = []
    begun_us: int = 0
    log_bytes: int = 0
