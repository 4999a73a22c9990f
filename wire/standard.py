"""Standard input, output and error of a process that was started without some of them.

`command >&-` closes one. The next file that is opened then gets its number, be it a socket or a
file of ours, and what is meant for people is written into that. Called first of all by what people
and services start.
"""

from __future__ import annotations

import os
import sys


def open_standard() -> None:
    """Let what is closed lead to nowhere."""
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            # The lowest number that is free, which is this one.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(fd, True)
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
