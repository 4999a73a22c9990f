"""Garbage is counted, said at most once a second, and its sender ignored for a while."""

from __future__ import annotations

from callsheet.wire.garbage import BAD_FRAMES_AT_MOST, DEAF_S, PEERS_AT_MOST, Garbage


def test_each_second_has_one_line_and_it_counts_the_unsaid() -> None:
    garbage = Garbage("ledger")
    assert garbage.report(b"web/0", "bad", 0.0) is not None
    assert garbage.report(b"web/0", "bad", 0.5) is None
    line = garbage.report(b"web/0", "bad", 1.5)
    assert line is not None
    assert "2 since" in line
    assert garbage.count == 3


def test_a_peer_is_ignored_after_many_bad_frames_and_heard_again_later() -> None:
    garbage = Garbage("ledger")
    for _ in range(BAD_FRAMES_AT_MOST):
        assert garbage.heard(b"web/0", 1.0)
        garbage.report(b"web/0", "bad", 1.0)
    assert not garbage.heard(b"web/0", 1.0)
    assert garbage.heard(b"waiter/0", 1.0)
    assert garbage.heard(b"web/0", 1.0 + DEAF_S)
    assert not garbage.deaf


def test_a_flood_of_invented_names_is_bounded() -> None:
    garbage = Garbage("agents")
    for number in range(3 * PEERS_AT_MOST):
        garbage.report(b"%d" % number, "bad", 0.0)
    assert len(garbage._bad) <= PEERS_AT_MOST


def test_the_line_shows_no_control_characters_of_the_name() -> None:
    line = Garbage("agents").report(b"\x1b[2J\xff", "bad", 0.0)
    assert line is not None
    assert "\x1b" not in line
