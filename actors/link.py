"""The line between a role and whoever started it: the supervisor's socketpair, or `--inline`.

A stage says through its link that it is ready, alive, unwell, or finished by a mistake; it hears
through it that it should stop. Lines of text in both directions, so that agentd, which is another
program, can speak it too (one line each):

    role → supervisor    ready [detail] | beat [figures] | health [sentence] | fatal sentence
    supervisor → role    stop | figures JSON

The end of the stream tells a role that its supervisor is gone.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import threading
import traceback
from collections.abc import Callable
from typing import NoReturn, Protocol

log = logging.getLogger("callsheet.role")

# The exit status of a role that met an error of ours; the supervisor starts it again.
CRASHED = 70
# The exit status of a role that cannot work as things are (the user's fault, one sentence).
UNUSABLE = 78
# After this time a stage says again that it turns, with its next turn; without one it is woken for
# that a little later: more than between two beats of the feed.
BEAT_S = 5.0
BEAT_WAITS_S = 2.5
# How often it is looked at whether a role is over by itself.
LOOK_S = 30.0
# What a role says of its figures, and what is handed on of all roles'.
FIGURES_BYTES = 16 * 2**10
TOLD_BYTES = 128 * 2**10


class Link(Protocol):
    """What a stage says; from its own thread."""

    def ready(self, detail: str = "") -> None:
        """The role works; `detail` is for people, such as the address of the console."""

    def beat(self, figures: str = "") -> None:
        """The stage's thread turns; `figures` are what it counts of itself (`Figures.said`)."""

    def health(self, sentence: str) -> None:
        """The role is unwell for this reason; empty: it is well again."""

    def unusable(self, sentence: str) -> None:
        """The role cannot work as things are: the user's fault. May not return."""

    def crashed(self, role: str, error: BaseException) -> None:
        """The role met an error of ours; its sockets are closed. May not return."""

    def closed(self) -> None:
        """The stage has stopped in order and closed everything."""


class SupervisedLink:
    """The link of a role in a process of its own, over the file descriptor it was born with."""

    def __init__(self, fd: int) -> None:
        self.detail = ""
        # Called with what the supervisor hands on of all roles' figures, from `watch`'s thread.
        self.told: Callable[[str], None] = lambda _: None
        self._fd = fd
        self._closed = threading.Event()

    def ready(self, detail: str = "") -> None:
        """See `Link`; without a detail of the stage, this link's own is said."""
        self._say(f"ready {detail or self.detail}")

    def beat(self, figures: str = "") -> None:
        """See `Link`. Figures are left out while nobody reads: they must not fill the line."""
        if len(figures) > FIGURES_BYTES or not _has_room(self._fd):
            figures = ""
        self._say(f"beat {figures}", FIGURES_BYTES + 10)

    def health(self, sentence: str) -> None:
        """See `Link`."""
        self._say(f"health {sentence}")

    def unusable(self, sentence: str) -> NoReturn:
        """See `Link`."""
        self._say(f"fatal {sentence}")
        os._exit(UNUSABLE)

    def crashed(self, role: str, error: BaseException) -> NoReturn:
        """See `Link`."""
        log_crash(role, error)
        self._say(f"health {role}: {type(error).__name__}: {error}")
        sys.stderr.flush()
        os._exit(CRASHED)

    def closed(self) -> None:
        """See `Link`."""
        self._closed.set()

    def wait_closed(self, timeout_s: float) -> bool:
        """Wait until the stage has closed everything; False when it takes longer."""
        return self._closed.wait(timeout_s)

    def _say(self, line: str, most: int = 4_000) -> None:
        """Write one line; a supervisor that is gone or does not read is found out by `watch`."""
        try:
            os.write(self._fd, " ".join(line.split()).encode("utf-8", "replace")[:most] + b"\n")
        except OSError:
            return

    def watch(self, over: Callable[[], bool]) -> bool:
        """Serve the line until there is a reason to stop; from any one thread.

        Args:
            over: whether the role has ended by itself.

        Returns:
            True when the supervisor asked to stop, False when it is gone or the role is over.
        """
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        heard = b""
        while not over():
            if not poll.poll(LOOK_S * 1e3):
                continue
            try:
                data = os.read(self._fd, 65_536)
            except OSError:
                data = b""
            *lines, heard = (heard + data).split(b"\n")
            heard = heard[-TOLD_BYTES:]
            for line in lines:
                if line.endswith(b"stop"):
                    return True
                if line.startswith(b"figures "):
                    self.told(line[8:].decode("utf-8", "replace"))
            if not data:
                return False
        return False


def _has_room(fd: int) -> bool:
    """Whether a line of figures can be written without waiting: a socket is writable while most of
    its buffer is free."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(0))


def log_crash(role: str, error: BaseException) -> None:
    """Log an error of ours once, with its traceback."""
    text = "".join(traceback.format_exception(error))
    log.critical("%s: an error ended this role\n%s", role, text.rstrip())
