"""Command lines typed in this process, one after the other, against a real server and odd files.

Each ends by itself with a status that is documented, says what is wrong in sentences, and shows
nothing of the inside. What is printed goes through streams as strict as a terminal's.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fuzzed_server import FuzzedServer, looked_after, on_a_server
from odd_commands import KIND, PROGRAMS, Typed, a_line, make_folder
from odd_values import Dice
from verdict import FOR_EVER, HANG_S, TRACES, Verdict
from workers import MEMORY

from callsheet.store.sqlite import create_database

# 0: done; 1: an error of the server or the input; 2: wrong usage.
STATUSES = {0, 1, 2}
# A line that is typed takes no longer on a machine however busy.
TOO_LONG_S = HANG_S


class Hung(BaseException):
    """A command does not come to its end."""


class Terminal:
    """What a command sees as its world: arguments, streams, environment, folder."""

    def __init__(self, port: int) -> None:
        self._host = f"127.0.0.1:{port}"

    def run(self, typed: Typed, folder: Path) -> tuple[int, str]:
        """Run a command line; return its status, and what it printed of both kinds.

        Raises:
            Exception: it raised, which people would see as a traceback.
        """
        out = io.TextIOWrapper(io.BytesIO(), "utf-8", "strict", write_through=True)
        err = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True)
        data = typed.stdin.encode("utf-8", "surrogateescape")
        into = io.TextIOWrapper(io.BytesIO(data), "utf-8", "strict")
        with self._world(typed, folder, (into, out, err)):
            try:
                PROGRAMS[typed.program].main()
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
        printed = b"".join(one.buffer.getvalue() for one in (out, err) if not one.closed)
        return status, printed.decode("utf-8", "replace")

    @contextlib.contextmanager
    def _world(self, typed: Typed, folder: Path, streams: tuple[Any, ...]) -> Iterator[None]:
        before = sys.argv, sys.stdin, sys.stdout, sys.stderr, os.environ.copy(), os.getcwd()
        handlers = logging.getLogger().handlers[:]
        sys.argv = [typed.program, *typed.args]
        sys.stdin, sys.stdout, sys.stderr = streams
        os.environ.update({"CALLSHEET_HOST": self._host, "HOME": str(folder), **typed.environ})
        os.chdir(folder)
        old = signal.signal(signal.SIGALRM, _hung)
        signal.setitimer(signal.ITIMER_REAL, TOO_LONG_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
            sys.argv, sys.stdin, sys.stdout, sys.stderr, environ, place = before
            os.environ.clear()
            os.environ.update(environ)
            os.chdir(place)
            logging.getLogger().handlers[:] = handlers


def _hung(*_: Any) -> None:
    raise Hung(f"did not end within {TOO_LONG_S:.0f} s")


def play(server: FuzzedServer, seed: int, numbers: range, until_s: float, verdict: Verdict) -> None:
    """Type what these cases type."""
    terminal = Terminal(server.port)
    base = Path(tempfile.mkdtemp(prefix="fuzz-command", dir=MEMORY))
    try:
        create_database(base / "first")
        database = (base / "first").read_bytes()
        for number in looked_after(server, numbers, verdict, until_s):
            folder = base / "in"
            dice = Dice(KIND, seed, number)
            typed = a_line(dice)
            make_folder(folder, dice, database)
            _one(terminal, typed, folder, verdict, number)
            shutil.rmtree(folder, ignore_errors=True)
            verdict.played()
    finally:
        shutil.rmtree(base)


def _one(terminal: Terminal, typed: Typed, folder: Path, verdict: Verdict, number: int) -> None:
    began_s = time.monotonic()
    said = f"{typed.program} {typed.args!r:.400}"
    try:
        status, printed = terminal.run(typed, folder)
    except (Exception, Hung):
        verdict.fault(f"{said}: {traceback.format_exc(limit=-5)}", number)
        return
    verdict.waited(time.monotonic() - began_s, number)
    verdict.seen[f"status {status}"] += 1
    if status not in STATUSES:
        verdict.fault(f"{said}: status {status}: {printed[-500:]}", number)
    elif TRACES.search(printed.encode()) and status:
        verdict.fault(f"{said}: shows what is inside: {printed[-500:]}", number)
    elif status and not printed.strip():
        verdict.fault(f"{said}: status {status}, and not a word", number)


def fuzz(seed: int, numbers: range, until_s: float = FOR_EVER) -> Verdict:
    """Type what these cases type; all that was seen."""
    return on_a_server(KIND, play, seed, numbers, until_s)


def show(seed: int, number: int) -> None:
    """Print one case."""
    print(a_line(Dice(KIND, seed, number)))
