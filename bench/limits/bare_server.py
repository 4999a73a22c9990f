"""The limit of a server at rest: its processes with nothing of ours in them.

A parent that has imported the libraries of others that the server uses forks as many children as
there are roles with a process, the agent of the host among them. Each child has a ZeroMQ socket to
the one that plays the ledger, hears its beats from another, and says each 6 s to the parent that it
turns; the agent beats each 2 s. One more interpreter, executed by itself and forked once, is the
two keepers.
Beats come as seldom as a server sends them: each 2 s to two children, each 10 s to the others.

Prints the proportional memory of all of them, their processor time and their wakeups. Run with
`child` it is that parent.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from proc import memory_bytes, used_s, wakeups

LIBRARIES = (
    *("zmq", "msgspec", "pykka", "yaml", "yaml._yaml", "jinja2", "click", "sqlite3", "logging"),
    *("asyncio", "tornado.web", "tornado.httpserver", "tornado.websocket", "cronsim"),
    *("apscheduler.triggers.interval", "zoneinfo", "json", "ctypes", "argparse", "smtplib"),
)
KEEPER = (
    "import contextlib, ctypes, gc, json, os, select, signal, socket, time; gc.collect(); "
    "gc.freeze(); os.fork(); time.sleep(3600)"
)
CHILDREN, FOLLOWERS = 9, 2
BEAT_S, REST_BEAT_S, PROOF_S = 2.0, 10.0, 6.0
SETTLE_S, WATCH_S = 5.0, 20.0


def publish(endpoint: str) -> None:
    """Play the ledger: beats to those who follow, and fewer to those who want the epoch."""
    import zmq

    context = zmq.Context()
    beats, router = context.socket(zmq.PUB), context.socket(zmq.ROUTER)
    beats.bind(f"{endpoint}-beats")
    router.bind(endpoint)
    rest_s = 0.0
    while True:
        router.poll(int(BEAT_S * 1e3))
        beats.send(b"b")
        if time.monotonic() >= rest_s:
            beats.send(b"p")
            rest_s = time.monotonic() + REST_BEAT_S


def follow(endpoint: str, line: int, *, topic: bytes, is_agent: bool) -> None:
    """Play another role: hear beats, and say now and then that this process turns."""
    import zmq

    context = zmq.Context()
    beats, dealer = context.socket(zmq.SUB), context.socket(zmq.DEALER)
    dealer.connect(endpoint)
    beats.connect(f"{endpoint}-beats")
    beats.setsockopt(zmq.SUBSCRIBE, topic)
    said_s = 0.0
    while True:
        every_s = BEAT_S if is_agent else PROOF_S + 1.5
        if beats.poll(int(every_s * 1e3)):
            beats.recv()
        if time.monotonic() - said_s >= (0 if is_agent else PROOF_S - 1):
            said_s = time.monotonic()
            os.write(line, b"beat\n")


def parent(folder: str) -> None:
    """Import, fork, hear the children; say once that all are there."""
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    endpoint, (read, write) = f"ipc://{folder}/s", os.pipe()
    for number in range(CHILDREN):
        if os.fork() == 0:
            topic = b"b" if number <= FOLLOWERS else b"p"
            ledger = partial(publish, endpoint)
            other = partial(follow, endpoint, write, topic=topic, is_agent=number == CHILDREN - 1)
            threading.Thread(target=other if number else ledger, daemon=True).start()
            # As each role's main thread, which hears only of its parent's end.
            select.select([int(os.environ["BARE_LINE"])], [], [])
            os._exit(0)
    subprocess.Popen([sys.executable, "-I", "-S", "-c", KEEPER], stdin=subprocess.DEVNULL)
    print("ready", flush=True)
    while os.read(read, 100):
        pass


def children_of(pid: int) -> list[int]:
    """Return the children of a process whose first thread forks."""
    words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(word) for word in words]


@contextmanager
def bare_server() -> Iterator[list[int]]:
    """Give the pids of such processes, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="callsheet-limits-") as folder:
        ours, theirs = os.pipe()
        os.set_inheritable(ours, True)
        process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "child", folder],
            stdout=subprocess.PIPE,
            env={**os.environ, "BARE_LINE": str(ours)},
            pass_fds=[ours],
        )
        os.close(ours)
        pids = [process.pid]
        try:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(SETTLE_S)
            children = [word for pid in pids for word in children_of(pid)]
            pids += [*children, *(word for pid in children for word in children_of(pid))]
            yield pids
        finally:
            os.close(theirs)
            for pid in reversed(pids):
                os.kill(pid, 9)
            process.wait()


def measured() -> tuple[float, float, float]:
    """Return what they take: bytes, share of a core, wakeups a second."""
    with bare_server() as pids:
        used, woken = used_s(pids), wakeups(pids)
        time.sleep(WATCH_S)
        share = (used_s(pids) - used) / WATCH_S
        return memory_bytes(pids), share, (wakeups(pids) - woken) / WATCH_S


def main() -> None:
    """Print the figures."""
    bytes_, share, woken = measured()
    print(f"limit_bare_server {bytes_ / 1e6:.0f} MB")
    print(f"limit_bare_server_processor {share * 100:.2f} %")
    print(f"limit_bare_server_wakeups {woken:.1f} 1/s", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        parent(sys.argv[2])
    else:
        main()
