"""What the waiter keeps of checks: shared, bounded, fresh, and given up when nothing is heard."""

from __future__ import annotations

from callsheet.actors.probe_seam import PROBER, CancelProbe, Probe, Probed
from callsheet.actors.probing import AT_ONCE, GRACE_US, Polls
from callsheet.jobs.polled import BoundFileCheck

SECOND = 1_000_000


def a_file(name="x", poll_s=60):
    return BoundFileCheck(path=f"/{name}", timeout_us=10 * SECOND, poll_us=poll_s * SECOND)


def begun(polls):
    posts = polls.take_posts()
    assert all(post.to == PROBER for post in posts)
    return [post.message for post in posts]


def test_runs_that_wait_for_the_same_share_one_check():
    polls = Polls()
    for run_id in ("r1", "r2"):
        polls.join(a_file(), run_id, 0)
    polls.settle(0)
    [probe] = begun(polls)
    assert probe == Probe(probe_id=probe.probe_id, cond=a_file())
    assert polls.checked(a_file(), "r1") is None
    assert polls.probed(Probed(probe_id=probe.probe_id, met=False, reason="no"), 5) == ["r1", "r2"]
    found = polls.checked(a_file(), "r2")
    assert (found.met, found.reason, found.final) == (False, "no", False)


def test_the_next_check_begins_an_interval_after_the_last():
    polls = Polls()
    polls.join(a_file(), "r1", 0)
    polls.settle(0)
    [first] = begun(polls)
    assert polls.wakes_at() == 10 * SECOND + GRACE_US
    polls.probed(Probed(probe_id=first.probe_id, met=False, reason="no"), 2 * SECOND)
    assert polls.wakes_at() == 62 * SECOND
    polls.settle(61 * SECOND)
    assert begun(polls) == []
    polls.settle(62 * SECOND)
    [second] = begun(polls)
    assert second.probe_id != first.probe_id


def test_a_run_goes_only_by_a_check_that_began_after_it_came():
    polls = Polls()
    polls.join(a_file(), "r1", 0)
    polls.settle(0)
    [first] = begun(polls)
    polls.join(a_file(), "r2", 5)
    polls.probed(Probed(probe_id=first.probe_id, met=True, reason="yes"), 9)
    assert polls.checked(a_file(), "r1").met
    assert polls.checked(a_file(), "r2") is None
    polls.settle(9)
    [second] = begun(polls)
    polls.probed(Probed(probe_id=second.probe_id, met=True, reason="yes"), 12)
    assert polls.checked(a_file(), "r2").met


def test_who_joins_between_two_checks_has_one_made_at_once():
    polls = Polls()
    polls.join(a_file(), "r1", 0)
    polls.settle(0)
    [first] = begun(polls)
    polls.probed(Probed(probe_id=first.probe_id, met=False, reason="no"), 1)
    polls.join(a_file(), "r2", 30 * SECOND)
    assert polls.wakes_at() == 30 * SECOND
    polls.settle(30 * SECOND)
    assert len(begun(polls)) == 1


def test_a_check_nobody_waits_for_is_cancelled_and_its_answer_is_nothing():
    polls = Polls()
    polls.join(a_file(), "r1", 0)
    polls.join(a_file(), "r2", 0)
    polls.settle(0)
    [probe] = begun(polls)
    polls.part(a_file(), "r1")
    assert begun(polls) == []
    polls.part(a_file(), "r2")
    polls.part(a_file(), "r2")
    assert begun(polls) == [CancelProbe(probe_id=probe.probe_id)]
    assert polls.probed(Probed(probe_id=probe.probe_id, met=True, reason="yes"), 1) == []
    polls.settle(1_000 * SECOND)
    assert begun(polls) == []
    assert polls.wakes_at() is None


def test_so_many_checks_are_under_way_and_no_more():
    polls = Polls()
    for n in range(AT_ONCE + 5):
        polls.join(a_file(n), f"r{n}", 0)
    polls.settle(0)
    probes = begun(polls)
    assert len(probes) == AT_ONCE
    assert polls.wakes_at() == 10 * SECOND + GRACE_US
    polls.probed(Probed(probe_id=probes[0].probe_id, met=False, reason="no"), 1)
    assert polls.wakes_at() == 0
    polls.settle(1)
    assert len(begun(polls)) == 1


def test_a_check_of_which_nothing_is_heard_found_nothing_and_is_made_again():
    polls = Polls()
    polls.join(a_file(), "r1", 0)
    polls.settle(0)
    [probe] = begun(polls)
    late_us = 10 * SECOND + GRACE_US
    assert polls.settle(late_us) == ["r1"]
    assert begun(polls) == [CancelProbe(probe_id=probe.probe_id)]
    found = polls.checked(a_file(), "r1")
    assert (found.met, found.reason) == (False, "no answer of the check within 10 s")
    polls.settle(late_us + 60 * SECOND)
    assert len(begun(polls)) == 1
