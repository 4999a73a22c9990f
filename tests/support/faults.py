"""Faults that the system itself makes: full disks, limits of processes, errors of system calls.

Nothing here is simulated. What a test needs and this machine does not give is a reason to skip it,
and a failure in CI.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


def require(holds: bool, what: str) -> None:
    """Skip the test unless a condition holds; fail it in CI."""
    if holds:
        return
    if os.environ.get("CI") == "true":
        raise AssertionError(what)
    pytest.skip(what)


def on_a_small_disk(folder: Path, size: str) -> list[str]:
    """Return what goes before a command so that a folder is a disk of its own, for it and what it
    starts, with what is in the folder now; nobody else sees it. See it by `inside`."""
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "-r", "--mount"]
    probe = [*unshare, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    can = shutil.which("unshare") and subprocess.run(probe, capture_output=True, check=False)
    require(bool(can) and can.returncode == 0, "no mounts of one's own (unshare)")
    mount = f'mount -t tmpfs -o size={size} tmpfs "$0"'
    script = f'cp -a "$0" "$0.was" && {mount} && cp -a "$0.was/." "$0" && exec "$@"'
    return [*unshare, "/bin/sh", "-c", script, str(folder)]


def beside(pid: int) -> list[str]:
    """Return what goes before a command so that it sees the disks that a process sees."""
    return ["nsenter", f"--mount=/proc/{pid}/ns/mnt"]


def inside(pid: int, path: Path) -> Path:
    """Return a file as a process sees it."""
    return Path("/proc", str(pid), "root", *path.parts[1:])


def fill(path: Path) -> None:
    """Fill the disk that a new file is on, to the last byte."""
    with path.open("wb", buffering=0) as file:
        for size in (2**16, 2**12, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass


@contextlib.contextmanager
def no_more_files(*pids: int) -> Iterator[None]:
    """Let processes open no more files than they have."""
    before = {}
    for pid in pids:
        before[pid] = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        taken = {int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}
        # The limit is one above the highest number; the lowest that is free comes next.
        free = next(fd for fd in range(max(taken) + 2) if fd not in taken)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, before[pid][1]))
    try:
        yield
    finally:
        for pid, limits in before.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


@contextlib.contextmanager
def failing(pid: int, calls: str, error: str) -> Iterator[None]:
    """Let system calls of a process, all its threads, fail with an error."""
    require(shutil.which("strace") is not None, "no strace")
    command = ["strace", "-f", "-qq", "-p", str(pid), "-e", f"trace={calls}"]
    command += ["-e", f"inject={calls}:error={error}", "-o", "/dev/null"]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        while "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text():
            said = b"" if tracer.poll() is None else tracer.stderr.read()
            require(tracer.poll() is None, f"strace cannot be used here: {said!r}")
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
