"""A number in a file, written over in its place: a full disk is no matter, once it is there.

Used by the spool. Any number fits into the room that was taken at first.
"""

from __future__ import annotations

import os

BYTES = 21


class KeptNumber:
    """See the module. The file is made, with 0, if it is not there."""

    def __init__(self, path: str) -> None:
        """Open the file.

        Raises:
            OSError: there is no room for it.
        """
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not os.fstat(self._fd).st_size:
            self.write(0)  # its room on the disk is taken now, while there is some

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def read(self) -> int:
        """Return the number, 0 where there is nonsense."""
        try:
            found = int(os.pread(self._fd, BYTES, 0))
        except ValueError:
            return 0
        return found if 0 <= found < 2**63 else 0

    def write(self, number: int) -> None:
        """Keep a number, in the place of the one before.

        Raises:
            OSError: the disk has failed.
        """
        os.pwrite(self._fd, f"{number:0{BYTES - 1}}\n".encode(), 0)
        os.fsync(self._fd)
