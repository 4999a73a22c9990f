"""The ledger's stage: nothing is said before it is durable, nothing is lost when it cannot be."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pykka
import pytest
import zmq
from recording_link import RecordingLink

from callsheet.actors import clock
from callsheet.actors.ledger import Ledger
from callsheet.actors.ledger_stage import DUE_AT_ONCE, LedgerStage, portions
from callsheet.actors.mailbox import Ping
from callsheet.actors.stage import Script
from callsheet.actors.upkeep_work import UpkeepWork
from callsheet.jobs.run import NewRun
from callsheet.messages.codec import FEED_READER, FROM_LEDGER_READER
from callsheet.messages.commands import DueTaken, IdsLeased
from callsheet.messages.hello import Hello, SchedulerWelcome, Welcome
from callsheet.messages.instructions import LeaseIds, RunsDue
from callsheet.messages.post import LEDGER
from callsheet.messages.transitions import Beat
from callsheet.messages.verbs import READERS
from callsheet.messages.wishes import AddRuns, LedgerWish
from callsheet.store.interface import Changes, StoreBroken, StoreError
from callsheet.store.sqlite import SqliteWriter, create_database
from callsheet.wire.feed import BEAT_TOPIC, EPOCH_TOPIC, EVENTS_TOPIC
from callsheet.wire.ports import DealerPort, Letter, Port, PublisherPort, RouterPort, SubscriberPort

WAIT_S = 60.0


class FailingWriter(SqliteWriter):
    """The real store, whose commits fail while `failure` is set."""

    failure: Exception | None = None

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.tried: queue.Queue[int] = queue.Queue()

    def commit(self, changes: Changes) -> None:
        self.tried.put(len(changes.events))
        if self.failure is not None:
            raise self.failure
        super().commit(changes)


class Played:
    def __init__(self, context: Any, folder: Path) -> None:
        self.context = context
        self.link = RecordingLink()
        create_database(folder / "db")
        self.writer = FailingWriter(folder / "db")
        endpoints = {name: f"ipc://{folder}/{name}" for name in ("ledger", "feed")}
        now = clock.monotonic_s
        script = Script(
            address="ledger/0",
            open_ports=lambda: [
                RouterPort(
                    context,
                    "ledger",
                    [endpoints["ledger"]],
                    reader=READERS[LEDGER],
                    peers=r"\w+/\d+",
                    clock=now,
                ),
                PublisherPort(context, "feed", [endpoints["feed"]], clock=now),
            ],
            make_core=_never,
        )
        self.ref = LedgerStage.start(
            script, self.link, Ledger, self.writer, partial(UpkeepWork, self.writer._path, "")
        )
        self.dealer = DealerPort(
            context,
            "ledger",
            endpoints["ledger"],
            address="scheduler/0",
            peer="ledger/0",
            reader=FROM_LEDGER_READER,
            clock=now,
        )
        self.feed = SubscriberPort(
            context,
            "feed",
            endpoints["feed"],
            topics=(EVENTS_TOPIC, BEAT_TOPIC),
            reader=FEED_READER,
            clock=now,
        )

    def send(self, *messages: Any) -> None:
        self.dealer.send("ledger/0", messages)

    def next(self, port: Port) -> Any:
        """Return the one message that comes next at a port."""
        (message,) = self.frame(port)
        return message

    def frame(self, port: Port) -> list[Any]:
        """Return the messages of the frame that comes next at a port."""
        letters: list[Letter] = []
        until_s = clock.monotonic_s() + WAIT_S
        while not letters:
            assert clock.monotonic_s() < until_s
            self.dealer.flush()
            port.socket.poll(5)
            port.receive(1, letters)
        (letter,) = letters
        return letter.messages

    def nothing_comes(self) -> bool:
        """Whether no answer is there after the stage has surely had a turn."""
        self.ref.ask(Ping(), timeout=WAIT_S)
        letters: list[Letter] = []
        self.dealer.socket.poll(50)
        self.dealer.receive(10, letters)
        return not letters


def _never() -> Any:
    raise AssertionError("the ledger's core is made of what the store says")


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Played]:
    context: Any = zmq.Context()
    stage = Played(context, tmp_path)
    assert stage.link.hears() == ("ready", "")
    stage.send(Hello(role="scheduler/0"))
    assert isinstance(stage.next(stage.dealer), SchedulerWelcome)
    yield stage
    pykka.ActorRegistry.stop_all()
    context.destroy(linger=0)


def test_a_message_is_made_durable_and_answered(played: Played) -> None:
    played.send(LeaseIds(count=10))
    answer = played.next(played.dealer)
    assert isinstance(answer, IdsLeased)
    played.ref.stop(timeout=WAIT_S)
    writer = SqliteWriter(played.writer._path)
    opening = writer.open(clock.now_us())
    writer.close()
    assert opening.next_run_number >= answer.first_id + 10


def test_the_feed_says_its_head_each_second_by_the_monotonic_clock(played: Played) -> None:
    beats = [played.next(played.feed) for _ in range(2)]
    assert all(isinstance(beat, Beat) and beat.epoch > 0 for beat in beats)


def beats_until(stage: Played, topic: bytes, count: int) -> list[bytes]:
    """Return the topics of beats until so many came of one."""
    topics: list[bytes] = []
    while topics.count(topic) < count:
        assert stage.feed.socket.poll(WAIT_S * 1e3)
        topics.append(stage.feed.socket.recv_multipart()[0])
    return topics


def test_who_only_wants_the_epoch_hears_each_beat_of_a_new_ledger_and_few_of_an_old_one(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BEAT_S", "REST_BEAT_S"):
        monkeypatch.setattr(f"callsheet.actors.ledger_stage.{name}", 0.01)
    played.feed.socket.setsockopt(zmq.SUBSCRIBE, EPOCH_TOPIC)
    assert BEAT_TOPIC in beats_until(played, EPOCH_TOPIC, 5)
    stage: Any = played.ref._actor_weakref()
    stage._soon_s, stage._epoch_s = 0.0, clock.monotonic_s() + 3600
    played.ref.ask(Ping(), timeout=WAIT_S)
    beats_until(played, BEAT_TOPIC, 200)
    assert EPOCH_TOPIC not in beats_until(played, BEAT_TOPIC, 20)


def test_a_batch_the_store_refuses_is_kept_and_answered_once_it_is_durable(
    played: Played,
) -> None:
    played.writer.failure = StoreError("the disk is full")
    played.send(LeaseIds(count=10))
    assert [played.writer.tried.get(timeout=WAIT_S) for _ in range(3)] == [0, 0, 0]
    word, sentence = played.link.hears()
    assert word == "health"
    assert "the disk is full" in sentence
    played.send(LeaseIds(count=5))
    assert played.nothing_comes()
    played.writer.failure = None
    first, second = played.next(played.dealer), played.next(played.dealer)
    assert (first.count, second.count) == (10, 5)
    assert second.first_id == first.first_id + 10
    said = [played.link.hears() for _ in range(played.link.said.qsize())]
    assert [word for word in said if word[0] == "health"] == [("health", "")]


def many_due(number: int) -> RunsDue:
    return RunsDue(run_ids=[f"r{1_000 * number + i}" for i in range(DUE_AT_ONCE)])


def test_many_runs_that_are_due_are_taken_in_portions_of_which_none_is_lost(
    played: Played,
) -> None:
    played.writer.failure = StoreError("the disk is full")
    played.send(LeaseIds(count=10), many_due(1), many_due(2), LeaseIds(count=5))
    assert [played.writer.tried.get(timeout=WAIT_S) for _ in range(2)] == [0, 0]
    played.writer.failure = None
    answers: list[Any] = []
    while len(answers) < 4:
        answers += played.frame(played.dealer)
    assert [type(answer) for answer in answers] == [IdsLeased, DueTaken, DueTaken, IdsLeased]
    assert [answer.run_ids for answer in answers[1:3]] == [many_due(n).run_ids for n in (1, 2)]


def test_a_portion_ends_with_enough_runs_and_all_come_in_their_order() -> None:
    a_few, one, two = RunsDue(run_ids=["r1"]), many_due(1), many_due(2)
    lease = LeaseIds(count=1)
    web = Letter("web", "web/0", [lease])
    mine = Letter("ledger", "scheduler/0", [a_few, one, lease, two])
    cut = list(portions([web, mine, web]))
    assert [[letter.messages for letter in portion] for portion in cut] == [
        [[lease], [a_few, one]],
        [[lease, two]],
        [[lease]],
    ]
    assert {letter.peer for portion in cut for letter in portion} == {"web/0", "scheduler/0"}
    assert list(portions([])) == [[]]
    assert list(portions([Letter("ledger", "scheduler/0", [one])])) == [
        [Letter("ledger", "scheduler/0", [one])]
    ]


def test_a_broken_store_ends_the_stage(played: Played) -> None:
    played.writer.failure = StoreBroken("fsync failed")
    played.send(LeaseIds(count=10))
    assert played.link.hears() == ("crashed", played.writer.failure)


def test_a_role_that_greets_is_welcomed_without_a_commit(played: Played) -> None:
    played.dealer.close()
    played.dealer = DealerPort(
        played.context,
        "ledger",
        f"ipc://{Path(played.writer._path).parent}/ledger",
        address="waiter/0",
        peer="ledger/0",
        reader=FROM_LEDGER_READER,
        clock=clock.monotonic_s,
    )
    played.send(Hello(role="waiter/0"))
    assert isinstance(played.next(played.dealer), Welcome)
    assert played.writer.tried.empty()


def test_a_second_ledger_on_the_same_database_is_told_so(played: Played, tmp_path: Path) -> None:
    link = RecordingLink()
    script = Script(address="ledger/0", open_ports=list, make_core=_never)
    path = played.writer._path
    work = partial(UpkeepWork, path, "")
    LedgerStage.start(script, link, Ledger, SqliteWriter(path), work)
    word, sentence = link.hears()
    assert word == "unusable"
    assert "in use" in sentence


def test_what_a_role_may_not_say_is_refused_by_name_and_the_rest_of_its_frame_is_heard(
    played: Played, caplog: pytest.LogCaptureFixture
) -> None:
    adding = AddRuns(runs=[NewRun(run_id="r1", job_id="a", args={}, schedule_us=1, rerun_root=".")])
    wish = LedgerWish(command_id="c1", principal="ann", instruction=adding)
    for _ in range(2):
        played.send(wish, LeaseIds(count=1))
        refused, leased = played.frame(played.dealer)
        assert (refused.command_id, refused.reason) == ("c1", "bad_request")
        assert "rerun_root" in refused.sentence
        assert isinstance(leased, IdsLeased)
    told = [record.getMessage() for record in caplog.records if "cannot be kept" in record.message]
    assert len(told) == 1
    assert told[0].startswith("scheduler/0 said what cannot be kept")
