"""The keepers of a spool, found and read from outside."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from callsheet.agentd.keeper_record import EXIT, STARTED


def children_of(pid: int) -> list[int]:
    """Return the pids of a process's children, none when it is gone."""
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:
        return []


def keepers_of(spool: Path) -> list[int]:
    """Return the pids of the keepers; a job that is not executed yet looks like its keeper."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except (OSError, NotADirectoryError):
            continue
        if any(word.endswith(b"keeper.py") for word in words) and (
            str(spool).encode() + b"/runs" in words
        ):
            found.append(int(entry.name))
    jobs = {child for pid in found for child in children_of(pid)}
    return sorted(set(found) - jobs)


def kill_keeper(keeper: int, spool: Path, until: Callable[..., Any]) -> set[str] | None:
    """SIGKILL a keeper; return the claims (run.attempt) that it had begun and whose end it had not
    recorded, read while it stood still. None: it was gone before."""
    try:
        os.kill(keeper, signal.SIGSTOP)
        until(lambda: stands(keeper), "the keeper to stand still")
        hit = begun_by(keeper, spool)
        os.kill(keeper, signal.SIGKILL)
    except (ProcessLookupError, FileNotFoundError):
        return None  # it had retired
    return hit


def begun_by(keeper: int, spool: Path) -> set[str]:
    """Return the claims that a keeper had begun to start and whose end it has not recorded."""
    found = set()
    for folder in (spool / "runs").iterdir():
        try:
            data = (folder / "record").read_bytes()
        except OSError:
            continue  # forgotten meanwhile, or not complete
        started, ended = (data[at : at + n].strip(b"\0") for at, n in (STARTED, EXIT))
        if started.split(b".")[1:2] == [b"%d" % keeper] and not ended:
            found.add(folder.name)
    return found


def stands(pid: int) -> bool:
    """Whether a process has been stopped by a signal."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
