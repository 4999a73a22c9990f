"""What the figures were taken on, and where files must lie for a commit to mean anything."""

from __future__ import annotations

import contextlib
import os
import platform
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

# A commit to memory is free; figures taken there would flatter.
IN_MEMORY = {"tmpfs", "ramfs"}


def filesystem(folder: str) -> str:
    """Return the type of the filesystem that holds `folder`, such as `ext4`."""
    best, kind = "", "unknown"
    real = os.path.realpath(folder)
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, point, type_, *_ = line.split(" ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, type_
    return kind


def base_folder() -> str:
    """Return where the benchmarks keep their files: BENCH_DIR, else a place on a disk."""
    chosen = os.environ.get("BENCH_DIR")
    if chosen:
        return chosen
    for folder in (tempfile.gettempdir(), "/var/tmp"):  # noqa: S108 - only a folder is made in it
        if os.path.isdir(folder) and filesystem(folder) not in IN_MEMORY:
            return folder
    return tempfile.gettempdir()


@contextlib.contextmanager
def durable_folder() -> Iterator[str]:
    """Give a new folder on a disk, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="callsheet-bench-", dir=base_folder()) as folder:
        yield folder


def describe() -> list[str]:
    """Return lines that say what this machine is and how busy it is just now."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    loads = " ".join(f"{load:.2f}" for load in os.getloadavg())
    return [
        f"cpu: {model}, {cores} cores",
        f"memory: {memory_gib:.1f} GiB",
        f"system: {platform.system()} {platform.release()}, {filesystem(base_folder())}",
        f"python: {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        f"load: {loads}",
    ]


def main() -> None:
    """Print the description."""
    print("\n".join(describe()))


if __name__ == "__main__":
    main()
