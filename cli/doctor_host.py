"""What `doctor` looks at on this host: versions, programs, limits, clock, disks."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

Level = Literal["ok", "note", "warning", "error"]

# SQLite before these may corrupt a database when two connections checkpoint at once (its WAL-reset
# race, mended in 3.51.3 and backports); here only the ledger writes and checkpoints.
SAFE_SQLITE = (3, 51, 3)
# The web server wants so many open files: a connection takes one.
OPEN_FILES = 4_300
PROCESSES = 1_000
# Below these a disk is nearly full, and full.
FREE_BYTES = (2 * 2**30, 200 * 2**20)
FREE_INODES = (50_000, 2_000)
# What the kernel answers while nobody keeps its clock right.
_TIME_ERROR = 5
_TIMEX_BYTES = 512


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. `do`: what to do about it, empty when it is well."""

    area: str
    level: Level
    sentence: str
    do: str = ""


def look_at_host() -> Iterator[Finding]:
    """Say what this installation and its host are made of."""
    yield from _versions()
    yield from _programs()
    yield from _limits()
    yield from _clock()


def _versions() -> Iterator[Finding]:
    import zmq

    from .. import __version__

    yield Finding("callsheet", "ok", __version__)
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.platform()}")
    curve = zmq.has("curve")
    yield Finding(
        "zeromq",
        "ok" if curve else "error",
        f"{zmq.zmq_version()}, CURVE {'yes' if curve else 'no'}",
        "" if curve else "install pyzmq from its wheel: without CURVE no agent can come in",
    )
    note = "" if sqlite3.sqlite_version_info >= SAFE_SQLITE else " (one writer only: as built)"
    yield Finding("sqlite", "ok", f"{sqlite3.sqlite_version}{note}")


def _programs() -> Iterator[Finding]:
    if os.geteuid() == 0:
        do = "run it as a user of its own, with agents.sudo_allow for jobs of others"
        yield Finding("user", "warning", "root: so are the jobs that name no sudo_user", do)
    else:
        yield Finding("user", "ok", f"{os.geteuid()}, no root")
    found = shutil.which("sudo")
    missing = "missing: only an agent that is root runs jobs of other users"
    yield Finding("sudo", "ok" if found else "note", found or missing)
    for program in ("bash", "setpriv"):
        found = shutil.which(program)
        do = "" if found else f"install it: programs that name {program} need it"
        yield Finding(program, "ok" if found else "error", found or "missing", do)


def _limits() -> Iterator[Finding]:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield _limit("open files", hard, OPEN_FILES, "LimitNOFILE=, or nofile in limits.conf")
    soft, _hard = resource.getrlimit(resource.RLIMIT_NPROC)
    yield _limit("processes", soft, PROCESSES, "LimitNPROC= and TasksMax=")
    soft, _hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield _limit("size of a file", soft, 2**40, "LimitFSIZE=infinity")


def _limit(what: str, have: int, wanted: int, where: str) -> Finding:
    if have == resource.RLIM_INFINITY or have >= wanted:
        shown = "without limit" if have == resource.RLIM_INFINITY else f"{have:,}"
        return Finding("limits", "ok", f"{what}: {shown}")
    do = f"raise it to {wanted:,} or more: {where}"
    return Finding("limits", "warning", f"{what}: {have:,}", do)


def _clock() -> Iterator[Finding]:
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        state = -1
    if state < 0:
        yield Finding("clock", "note", "whether anybody keeps it right cannot be asked here")
    elif state == _TIME_ERROR:
        do = "start chrony, ntpd or systemd-timesyncd: runs start by this clock"
        yield Finding("clock", "warning", "the kernel says that nobody keeps it right", do)
    else:
        yield Finding("clock", "ok", "kept right")


def look_at_disks(folders: Iterable[Path]) -> Iterator[Finding]:
    """Say how much room there is where these folders are, each disk once."""
    seen: set[int] = set()
    for folder in folders:
        there = next((one for one in (folder, *folder.parents) if one.exists()), None)
        if there is None or (device := there.stat().st_dev) in seen:
            continue
        seen.add(device)
        disk = os.statvfs(there)
        free_bytes, free_inodes = disk.f_bavail * disk.f_frsize, disk.f_favail
        level: Level = "ok"
        # A file system without inodes to count says that it has none at all.
        few = [free_inodes] if disk.f_files else []
        for worse, least_bytes, least_inodes in zip(
            ("warning", "error"), FREE_BYTES, FREE_INODES, strict=True
        ):
            if free_bytes < least_bytes or any(one < least_inodes for one in few):
                level = "warning" if worse == "warning" else "error"
        said = f"{there}: {free_bytes / 2**30:,.1f} GiB and {free_inodes:,} inodes free"
        do = "" if level == "ok" else "give it room, or archive runs: docs/administration.md"
        yield Finding("disk", level, said, do)
