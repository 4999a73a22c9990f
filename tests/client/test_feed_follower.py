"""Whatever becomes of what the feed says on the way, its subscriber's news are whole, once, in
order. On virtual time, without sockets."""

from __future__ import annotations

import itertools
import random

import pytest

from callsheet.client.feed_follower import KEPT_FRAMES, Change, FeedFollower, Snapshot
from callsheet.messages.published import (
    AskEvents,
    AskRuns,
    Busy,
    Events,
    PublishedBeat,
    PublishedEvents,
    Runs,
)

SEEDS = 100


class Log:
    """A server: event `seq` makes run `r{seq % 7}` have that version; `gone` cannot be read any
    more. A few events of an answer, a few runs of a page."""

    def __init__(self):
        self.epoch = 1
        self.seq = 0
        self.gone = 0
        self.runs = {}
        self.busy = 0

    def move(self, count):
        """Let so many events happen; return the frame that says so."""
        after = self.seq
        events = []
        for _ in range(count):
            self.seq += 1
            run = {"run_id": f"r{self.seq % 7}", "version": self.seq}
            self.runs[run["run_id"]] = run
            events.append({"seq": self.seq, "run_id": run["run_id"]})
        records = [self.runs[one] for one in {event["run_id"] for event in events}]
        return PublishedEvents(
            epoch=self.epoch, after=after, seq=self.seq, events=events, runs=records
        )

    def beat(self):
        return PublishedBeat(epoch=self.epoch, seq=self.seq, time="")

    def answer(self, asked):
        if self.busy:
            self.busy -= 1
            return Busy(id=asked.id)
        if isinstance(asked, AskRuns):
            first = int(asked.cursor or 0)
            page = sorted(self.runs)[first : first + 3]
            more = first + 3 < len(self.runs)
            runs = [self.runs[one] for one in page]
            cursor = str(first + 3) if more else None
            return Runs(id=asked.id, epoch=self.epoch, seq=self.seq, cursor=cursor, runs=runs)
        base = {"id": asked.id, "epoch": self.epoch, "after": asked.after, "head": self.seq}
        if asked.after < self.gone or asked.after > self.seq:
            return Events(**base, seq=asked.after, complete=False)
        seqs = range(asked.after + 1, min(asked.after + 5, self.seq) + 1)
        events = [{"seq": seq, "run_id": f"r{seq % 7}"} for seq in seqs]
        runs = [self.runs[one] for one in {event["run_id"] for event in events}]
        last = seqs[-1] if seqs else asked.after
        return Events(**base, seq=last, complete=True, events=events, runs=runs)


class Program:
    """A subscriber that keeps a replica, and where it is; it may begin anew from there."""

    def __init__(self):
        self.position = None
        self.runs = {}
        self.seqs = []
        self.snapshots = 0
        self.begin()

    def begin(self):
        self.follower = FeedFollower(self.position)

    def hear(self, messages, now_s):
        for message in messages:
            for news in self.follower.take(message, now_s):
                self.deal(news)

    def deal(self, news):
        match news:
            case Snapshot():
                self.snapshots += 1
                self.seqs = [news.seq]
                self.runs = {}
            case Change():
                seqs = [event["seq"] for event in news.events]
                assert seqs == list(range(self.seqs[-1] + 1, news.seq + 1)), "missed or doubled"
                self.seqs += seqs
        for run in news.runs:
            known = self.runs.get(run["run_id"])
            if known is None or known["version"] < run["version"]:
                self.runs[run["run_id"]] = run
        self.position = (news.epoch, news.seq)


def carry(chance, messages):
    """A bad way: some are lost, some come twice, some are swapped."""
    kept = [m for m in messages if chance.random() > 0.2 for _ in range(chance.choice((1, 1, 2)))]
    for i in range(len(kept) - 1):
        if chance.random() < 0.2:
            kept[i], kept[i + 1] = kept[i + 1], kept[i]
    return kept


def settle(log, program, now_s):
    """Let it ask on a good way until nothing is missing."""
    for _ in range(1_000):
        program.hear([log.beat()], now_s)
        asked = program.follower.due(now_s)
        if asked is not None:
            program.hear([log.answer(asked)], now_s)
        elif program.follower.is_current:
            return
        now_s += 1.0
    raise AssertionError("it asks for ever")


def test_whatever_is_lost_doubled_swapped_or_restarted_the_news_are_whole_and_in_order():
    snapshots = restarts = 0
    for seed in range(SEEDS):
        chance = random.Random(seed)
        log, program, now_s = Log(), Program(), 0.0
        for _ in range(60):
            now_s += 0.3
            said = [log.move(chance.randint(1, 4)) for _ in range(chance.randint(0, 3))]
            if chance.random() < 0.05:
                log.epoch += 1
            if chance.random() < 0.02:
                log.gone = log.seq
            log.busy = chance.random() < 0.1
            if chance.random() < 0.05:
                restarts += 1
                program.begin()
            program.hear(carry(chance, [*said, log.beat()]), now_s)
            asked = program.follower.due(now_s)
            if asked is not None:
                program.hear(carry(chance, [log.answer(asked)]), now_s)
        settle(log, program, now_s)
        assert program.position == (log.epoch, log.seq), f"seed {seed}"
        assert program.runs == log.runs, f"seed {seed}"
        snapshots += program.snapshots
    assert snapshots > SEEDS
    assert restarts > SEEDS


def test_the_first_news_is_a_snapshot_of_all_pages_and_then_what_happened_meanwhile():
    log, program = Log(), Program()
    log.move(7)
    program.hear([log.beat()], 0)
    first = program.follower.due(0)
    program.hear([log.answer(first)], 0)
    frame = log.move(2)
    program.hear([frame], 0)
    settle(log, program, 0)
    assert program.snapshots == 1
    assert program.seqs == [7, 8, 9]
    assert program.runs == log.runs


def test_a_restarted_subscriber_goes_on_from_its_position_without_a_snapshot():
    log, program = Log(), Program()
    log.move(3)
    settle(log, program, 0)
    program.begin()
    log.move(20)
    settle(log, program, 0)
    assert (program.snapshots, program.seqs) == (1, list(range(3, 24)))


def test_a_new_epoch_that_goes_on_costs_one_question_and_no_news():
    log, program = Log(), Program()
    log.move(3)
    settle(log, program, 0)
    log.epoch += 1
    program.hear([log.beat()], 0)
    asked = program.follower.due(0)
    assert asked == AskEvents(id=asked.id, after=3)
    program.hear([log.answer(asked)], 0)
    assert program.follower.is_current
    assert (program.snapshots, program.seqs) == (1, [3])


def test_a_database_that_was_put_back_is_taken_as_it_is():
    log, program = Log(), Program()
    log.move(30)
    settle(log, program, 0)
    log.seq, log.epoch, log.runs = 10, 2, {"r1": {"run_id": "r1", "version": 1}}
    settle(log, program, 0)
    assert (program.snapshots, program.position) == (2, (2, 10))
    assert program.runs == log.runs


def test_a_ledger_of_before_is_not_heard():
    log, program = Log(), Program()
    log.move(3)
    log.epoch = 5
    settle(log, program, 0)
    log.epoch = 4
    program.hear([log.move(1), log.beat()], 0)
    assert program.follower.is_current
    assert program.position == (5, 3)


def test_an_answer_that_does_not_come_is_asked_for_again_less_and_less_often():
    program = Program()
    asked_at = []
    for tick in range(400):
        asked = program.follower.due(tick / 10)
        if asked is not None:
            asked_at.append(tick / 10)
    waits = [b - a for a, b in itertools.pairwise(asked_at)]
    assert waits == pytest.approx([1, 2, 4, 8, 8, 8, 8])


def test_more_frames_than_are_kept_while_it_is_behind_are_asked_for():
    log, program = Log(), Program()
    log.move(1)
    settle(log, program, 0)
    log.move(1)  # lost
    program.hear([log.move(1) for _ in range(KEPT_FRAMES + 50)], 0)
    settle(log, program, 0)
    assert program.seqs[-1] == log.seq
    assert program.snapshots == 1
