"""G10: 20 processes that print 1 GiB each at once, on a server with its local agent.

G10_memory is the most that any one process of the server, its agent and keepers included, grows
beyond what it had before; G10_disk what the outputs take in the spool and the store together at the
most, for each; G10_other the slowest of the small runs that are asked for meanwhile, from the wish
to its end. Arguments: how many outputs, and how many bytes each has.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from figures import BenchError, benchmark, emit
from server import Server, running_server

COUNT, SIZE_BYTES = 20, 2**30
LOOK_S = 0.2
OTHERS_S = 1.0
TIMEOUT_S = 1_800.0
PRINTS = "program: {type: shell, command: 'yes some words of output | head -c %d'}\n"
OTHER = "program: {type: process, argv: [/bin/true]}\n"


def anonymous_bytes(pid: int) -> int:
    """Return what a process has in memory that is no file's; 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Anonymous:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def blocks_bytes(folder: Path) -> int:
    """Return the room that the files of a folder take."""
    total = 0
    for above, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(f"{above}/{name}").st_blocks * 512
            except FileNotFoundError:
                continue
    return total


class Watch(threading.Thread):
    """Looks at memory and disk until it is told that it is over."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        from p12_memory import processes

        self._pids = processes(server)
        self._state = Path(server.folder, "callsheet.db.state")
        self._before = {pid: anonymous_bytes(pid) for pid in self._pids}
        self._disk_before = blocks_bytes(self._state)
        self.over = threading.Event()
        self.grown_bytes = 0
        self.disk_bytes = 0

    def run(self) -> None:
        while not self.over.wait(LOOK_S):
            grown = [anonymous_bytes(pid) - self._before[pid] for pid in self._pids]
            self.grown_bytes = max(self.grown_bytes, *grown)
            self.disk_bytes = max(self.disk_bytes, blocks_bytes(self._state) - self._disk_before)


def main() -> None:
    """Measure once."""
    count, size_bytes = (
        (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) > 2 else (COUNT, SIZE_BYTES)
    )
    slowest_s = 0.0
    with running_server({"prints": PRINTS % size_bytes, "other": OTHER}) as server:
        api = server.api
        api.succeeded("other", api.schedule("other", count=5), TIMEOUT_S)
        watch = Watch(server)
        watch.start()
        begun_s = time.monotonic()
        ids = api.schedule("prints", count=count)
        ended = threading.Event()

        def others() -> None:
            nonlocal slowest_s
            api = server.api  # a connection of its own
            while not ended.is_set():
                asked_s = time.monotonic()
                (other,) = api.schedule("other")
                api.wait_for(other, TIMEOUT_S)
                slowest_s = max(slowest_s, time.monotonic() - asked_s)
                ended.wait(OTHERS_S)

        asker = threading.Thread(target=others, daemon=True)
        asker.start()
        runs = api.succeeded("prints", ids, TIMEOUT_S)
        took_s = time.monotonic() - begun_s
        ended.set()
        asker.join(60)
        watch.over.set()
        watch.join()
        for run_id in ids:
            lengths = {o["output_id"]: o["output_len"] for o in api.get(f"/runs/{run_id}/outputs")}
            if lengths != {"output": size_bytes}:
                message = f"{run_id}: {lengths}: expected an output of {size_bytes} bytes"
                raise BenchError(message)
        if len(runs) != count:
            message = f"{len(runs)} runs have ended: expected {count}"
            raise BenchError(message)
    emit("G10_took", took_s, "s")
    emit("G10_memory", watch.grown_bytes / 2**20, "MiB")
    emit("G10_disk", watch.disk_bytes / count / 2**20, "MiB")
    emit("G10_other", slowest_s * 1e3, "ms")


if __name__ == "__main__":
    benchmark(main)
