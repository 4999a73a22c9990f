"""The line of a role to its supervisor, from the role's end."""

from __future__ import annotations

import socket

from callsheet.actors.link import SupervisedLink


def test_figures_are_handed_on_until_the_supervisor_asks_for_the_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        link = SupervisedLink(theirs.fileno())
        told: list[str] = []
        link.told = told.append
        ours.sendall(b"figures {}\nfigures {1}\nstop\n")
        assert link.watch(lambda: False)
        assert told == ["{}", "{1}"]


def test_without_a_supervisor_the_watch_is_over() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()
        assert not SupervisedLink(theirs.fileno()).watch(lambda: False)
