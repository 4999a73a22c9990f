"""What cleans folders of temporary files, as far as tests need it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def can_be_cleaned(folder: Path) -> bool:
    """Whether a cleaner gets the lock that it looks for."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True
