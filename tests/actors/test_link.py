"""The line of a role to its supervisor, from the role's end."""

from __future__ import annotations

import socket
import time

from callsheet.actors.link import PING_S, SupervisedLink

ANSWERS = 1_000


def test_figures_that_answer_each_beat_do_not_call_for_the_next() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link = SupervisedLink(theirs.fileno())
        told: list[str] = []
        beats: list[None] = []

        def hear(figures: str) -> None:
            told.append(figures)
            ours.sendall(b"figures {}\n" if len(told) < ANSWERS else b"stop\n")

        link.told = hear
        ours.sendall(b"figures {}\n")
        began_s = time.monotonic()
        assert link.watch(lambda: beats.append(None), lambda: False)
        assert len(told) == ANSWERS
        assert 1 <= len(beats) <= 1 + (time.monotonic() - began_s) / PING_S
