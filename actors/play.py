"""Plays a role in a process of its own: starts its stage, serves its line, ends with it.

Called by the supervisor's fork. The main thread only watches the line; for the role whose main
thread is taken (the web server's loop) `watch_beside` does so from a thread.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import pykka

from .link import Link, SupervisedLink
from .mailbox import Ping
from .titles import set_title

# A stage that was asked to stop closes its sockets and store within this time.
CLOSE_S = 5.0
# The collector looks at the young objects after this many: batches of messages live briefly, and
# what was imported is frozen.
GC_THRESHOLDS = (20_000, 20, 50)

Start = Callable[[Link], "pykka.ActorRef[Any]"]


def play(role: str, start: Start, fd: int) -> int:
    """Play a role until its supervisor asks it to stop or is gone.

    Args:
        role: its address, such as `waiter/0`.
        start: starts its stage, given the link.
        fd: the role's end of the line.

    Returns:
        The exit status of the process.
    """
    settle_in(role)
    link = SupervisedLink(fd)
    ref = start(link)
    _watch(ref, link)
    end(ref, link)
    return 0


def watch_beside(
    link: SupervisedLink,
    ref: pykka.ActorRef[Any],
    over: Callable[[], None],
) -> threading.Thread:
    """Watch the line from a thread, for a role whose main thread is taken.

    Args:
        link: the line.
        ref: the role's stage; when it ends, so does the role.
        over: called, once, from that thread when the role has to end in order.
    """

    def watch() -> None:
        _watch(ref, link)
        over()

    thread = threading.Thread(target=watch, name="line", daemon=True)
    thread.start()
    return thread


def settle_in(role: str) -> None:
    """Make this process the role's: its names, and a collector set for batches."""
    name, _, number = role.partition("/")
    comm = f"cs-{name}" if number in {"", "0"} else f"cs-{name}-{number}"
    set_title(comm, f"callsheet: {role}")
    gc.set_threshold(*GC_THRESHOLDS)


def end(ref: pykka.ActorRef[Any], link: SupervisedLink) -> None:
    """Stop the stage in order."""
    if ref.is_alive():
        ref.stop(block=False)
    if not link.wait_closed(CLOSE_S):
        exit_now(1)


def _watch(ref: pykka.ActorRef[Any], link: SupervisedLink) -> None:
    """Return when the role is asked to stop, or has ended by itself.

    Without a supervisor the process ends here, as by a kill -9: the next server waits for what we
    have, such as the database or a port. Our sockets lead to nobody of it (docs/adr/0016).
    """
    asked = link.watch(lambda: not ref.is_alive())
    if not asked and ref.is_alive():
        exit_now(0)


def exit_now(status: int) -> NoReturn:
    """End the process though a thread of it does not end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def tell_ping(ref: pykka.ActorRef[Any]) -> None:
    """Have the stage say now what it counts; one that has just ended is noticed elsewhere."""
    try:
        ref.tell(Ping())
    except pykka.ActorDeadError:
        return
