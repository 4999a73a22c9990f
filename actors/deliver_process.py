"""Runs the programs that carry actions out: commands of job files, and our own children that must
not take this process with them (templates, notification services).

A program runs in a session of its own and is killed with all its group when its time is up. Of what
it prints only the end is kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from . import clock
from .deliver_limits import NotDelivered

# Of the server's environment, what a program of somebody else is given.
PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR")
TAIL_BYTES = 2**12
# An answer of one of our own children.
ANSWER_BYTES = 4 * 2**20
SAID_CHARACTERS = 200

Undoing = Callable[[Callable[[], None]], AbstractContextManager[None]]

_living: set[int] = set()
_lock = threading.Lock()


def _never_undone(_undo: Callable[[], None]) -> AbstractContextManager[None]:
    return contextlib.nullcontext()


def run_command(argv: list[str], env: dict[str, str], timeout_s: float) -> None:
    """Run a program to its end.

    Raises:
        NotDelivered: it could not be started, took too long, or ended with anything but 0.
    """
    what = argv[0]
    base = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    status, tail = _run(argv, base | env, b"", timeout_s, TAIL_BYTES)
    if status is None:
        raise NotDelivered(f"command {what}: took longer than {timeout_s:g} s: killed")
    if status:
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit code {status}"
        lines = tail.decode("utf-8", "replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        sentence = f"command {what}: {how}{': ' if said else ''}{said[:SAID_CHARACTERS]}"
        raise NotDelivered(sentence)


def ask_child(
    module: str, question: Any, timeout_s: float, undoing: Undoing = _never_undone
) -> Any:
    """Start a module of this package as a program, hand it a question, return its answer.

    Both are JSON, on its standard input and output, so that no secret is among its arguments.
    `undoing` is given what kills it, to be called by another thread while it runs.

    Raises:
        NotDelivered: it took too long, or died.
    """
    argv = [sys.executable, "-m", f"{__package__}.{module}"]
    data = json.dumps(question).encode()
    status, out = _run(argv, dict(os.environ), data, timeout_s, ANSWER_BYTES, undoing)
    if status is None:
        raise NotDelivered(f"{module}: took longer than {timeout_s:g} s")
    try:
        return json.loads(out)
    except ValueError:
        raise NotDelivered(f"{module}: ended with {status} without an answer") from None


def kill_all() -> None:
    """Kill what still runs: the responder ends, and its successor will begin it anew."""
    with _lock:
        for pid in _living:
            _kill(pid)


def _run(
    argv: list[str],
    env: dict[str, str],
    data: bytes,
    timeout_s: float,
    keep_bytes: int,
    undoing: Undoing = _never_undone,
) -> tuple[int | None, bytes]:
    """Run a program; return its status (None: killed at its limit) and the end of its output."""
    # A file in memory: nobody waits for a program to read what it is given.
    given = os.memfd_create("input")
    try:
        os.write(given, data)
        os.lseek(given, 0, os.SEEK_SET)
        process = subprocess.Popen(
            argv,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if data else subprocess.STDOUT,
            env=env,
            start_new_session=True,
            bufsize=0,
        )
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        raise NotDelivered(f"command {argv[0]}: {what}") from None
    finally:
        os.close(given)
    with _lock:
        _living.add(process.pid)
    try:
        with process, undoing(lambda: _kill(process.pid)):
            return _attend(process, clock.monotonic_s() + timeout_s, keep_bytes)
    finally:
        with _lock:
            _living.discard(process.pid)


def _attend(
    process: subprocess.Popen[bytes], until_s: float, keep_bytes: int
) -> tuple[int | None, bytes]:
    """Read what a program prints and wait for it; others may hold its output open."""
    assert process.stdout is not None, "its output is a pipe"
    tail = b""
    out, over = process.stdout.fileno(), os.pidfd_open(process.pid)
    waiting = [out, over]
    try:
        while over in waiting:
            left_s = until_s - clock.monotonic_s()
            ready = select.select(waiting, [], [], max(0.0, left_s))[0]
            if not ready or left_s <= 0:
                _kill(process.pid)
                process.wait()
                return None, tail
            if out in ready:
                piece = os.read(out, 2**16)
                tail = (tail + piece)[-keep_bytes:]
                if not piece:
                    waiting.remove(out)
            elif over in ready:
                waiting.remove(over)
    finally:
        os.close(over)
    return process.wait(), tail


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
