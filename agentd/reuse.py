"""Whether the output file of a claim may be used again for another.

Called by the spool. A process may leave others behind that have its output open still: what they
write later must not come to be in the output of another run.
"""

from __future__ import annotations

import fcntl
import os


def may_be_reused(path: str) -> bool:
    """Return whether a file is empty and nobody has it open; True when there is none.

    The system grants a lease for writing only to the one that has a file open. Where it cannot
    grant any, as on some file systems, the answer is False.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        if os.fstat(fd).st_size:
            return False
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
