"""Following the feed: what is applied, what is a hole, what is a new epoch."""

from __future__ import annotations

import random

from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.transitions import Beat, FeedFrame, RunMoved
from callsheet.wire.feed import FeedFollower, Then


def a_run(run_id: str, version: int) -> Run:
    return Run(
        run_id=run_id, job_id="j", args={}, state=State.RUNNING, schedule_us=0, version=version
    )


def a_frame(first: int, last: int, epoch: int = 1) -> FeedFrame:
    seqs = range(first, last + 1)
    return FeedFrame(
        epoch=epoch,
        after_seq=first - 1,
        events=[RunMoved(seq=seq, at_us=0, run_id=f"r{seq}", after=State.RUNNING) for seq in seqs],
        runs=[a_run(f"r{seq}", seq) for seq in seqs],
    )


def a_follower(seq: int, epoch: int = 1) -> FeedFollower:
    follower = FeedFollower()
    follower.stand(epoch, seq)
    return follower


def test_the_next_frame_is_applied() -> None:
    follower = a_follower(5)
    step = follower.take(a_frame(6, 8))
    assert (step.then, [event.seq for event in step.events]) == (Then.APPLY, [6, 7, 8])
    assert follower.seq == 8


def test_a_frame_known_in_part_gives_only_what_is_new() -> None:
    step = a_follower(7).take(a_frame(6, 8))
    assert [event.seq for event in step.events] == [8]
    assert [run.run_id for run in step.runs] == ["r8"]


def test_a_repeated_frame_is_nothing() -> None:
    follower = a_follower(8)
    assert follower.take(a_frame(6, 8)).then is Then.NOTHING
    assert follower.seq == 8


def test_a_missing_frame_is_a_hole_until_it_is_closed() -> None:
    follower = a_follower(5)
    step = follower.take(a_frame(8, 9))
    assert (step.then, step.after_seq) == (Then.HOLE, 5)
    assert follower.take(Beat(epoch=1, seq=9)).then is Then.HOLE
    assert follower.take(a_frame(6, 9)).then is Then.APPLY
    assert follower.take(Beat(epoch=1, seq=9)).then is Then.NOTHING


def test_a_beat_finds_a_lost_last_frame() -> None:
    step = a_follower(5).take(Beat(epoch=1, seq=6))
    assert (step.then, step.after_seq) == (Then.HOLE, 5)


def test_a_new_epoch_is_said_until_stood_in_it() -> None:
    follower = a_follower(5)
    assert follower.take(Beat(epoch=2, seq=5)).then is Then.NEW_EPOCH
    assert follower.take(a_frame(6, 6, epoch=2)).then is Then.NEW_EPOCH
    follower.stand(2, 6)
    assert follower.take(Beat(epoch=2, seq=6)).then is Then.NOTHING


def test_a_frozen_ledger_of_an_older_epoch_is_not_heard() -> None:
    follower = a_follower(5, epoch=3)
    assert follower.take(a_frame(6, 6, epoch=2)).then is Then.NOTHING
    assert follower.seq == 5


def test_whatever_is_lost_doubled_or_swapped_the_events_come_once_and_in_order() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        follower, seen, head = a_follower(0), [], 0
        stream: list[FeedFrame | Beat] = []
        while head < 60:
            last = head + chance.randint(1, 5)
            stream.append(a_frame(head + 1, last))
            head = last
            stream.append(Beat(epoch=1, seq=head))
        stream = [
            m for m in stream if chance.random() > 0.2 for _ in range(chance.choice((1, 1, 2)))
        ]
        for i in range(len(stream) - 1):
            if chance.random() < 0.2:
                stream[i], stream[i + 1] = stream[i + 1], stream[i]
        stream.append(Beat(epoch=1, seq=head))
        for message in stream:
            step = follower.take(message)
            if step.then is Then.HOLE:
                step = follower.take(a_frame(step.after_seq + 1, head))
            seen += [event.seq for event in step.events]
        assert seen == list(range(1, head + 1)), f"seed {seed}"
