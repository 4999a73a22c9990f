"""The stage: batches to the core, posts to the ports, and no life after an error."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pykka
import pytest
import zmq
from recording_link import RecordingLink

from callsheet.actors import clock
from callsheet.actors.mailbox import Mailbox, Ping
from callsheet.actors.stage import Script, Stage
from callsheet.jobs.errors import UserError
from callsheet.messages.codec import FROM_LEDGER_READER, LEDGER_READER
from callsheet.messages.commands import IdsLeased
from callsheet.messages.hello import Hello, Welcome
from callsheet.messages.instructions import LeaseIds
from callsheet.messages.post import Post
from callsheet.wire.ports import DealerPort, Letter, Port, RouterPort

WAIT_S = 60.0


class AskingCore:
    """Says hello; counts its turns; raises or posts what a local message asks for."""

    address = "web/0"

    def __init__(self) -> None:
        self.took: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.settled = 0
        self.wake_us: int | None = None

    def begin(self, now_us: int) -> list[Post]:
        return [Post("ledger/0", Hello(role=self.address))]

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        self.took.put((sender, message))
        match message:
            case BaseException():
                raise message
            case Post():
                return [message]
            case ("wake", int(at_us)):
                self.wake_us = at_us
        return []

    def settle(self, now_us: int) -> list[Post]:
        self.settled += 1
        if self.wake_us is not None and now_us >= self.wake_us:
            self.wake_us = None
            return [Post("here", "woken")]
        return []

    def wakes_at(self) -> int | None:
        return self.wake_us


@pytest.fixture
def context() -> Iterator[Any]:
    context: Any = zmq.Context()
    yield context
    pykka.ActorRegistry.stop_all()
    context.destroy(linger=0)


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/s"


class Played:
    """A stage with its core, its link, and a router that plays the ledger."""

    def __init__(self, context: Any, endpoint: str, make: Callable[[], AskingCore]) -> None:
        self.link = RecordingLink()
        self.core: AskingCore | None = None
        self.came: queue.Queue[list[Any]] = queue.Queue()
        self.shut = threading.Event()

        def make_core() -> AskingCore:
            self.core = make()
            return self.core

        script = Script(
            address="web/0",
            open_ports=lambda: [
                DealerPort(
                    context,
                    "ledger",
                    endpoint,
                    address="web/0",
                    peer="ledger/0",
                    reader=FROM_LEDGER_READER,
                    clock=clock.monotonic_s,
                )
            ],
            make_core=make_core,
            close=self.shut.set,
            local={"here": self.came.put},
        )
        self.ledger = RouterPort(
            context,
            "ledger",
            [endpoint],
            reader=LEDGER_READER,
            peers=r"web/\d+",
            clock=clock.monotonic_s,
        )
        self.ref = Stage.start(script, self.link)

    def arrive(self, count: int) -> list[Any]:
        letters: list[Letter] = []
        while sum(len(letter.messages) for letter in letters) < count:
            assert self.ledger.socket.poll(WAIT_S * 1e3)
            self.ledger.receive(1_000, letters)
        return [message for letter in letters for message in letter.messages]


@pytest.fixture
def played(context: Any, endpoint: str) -> Iterator[Played]:
    stage = Played(context, endpoint, AskingCore)
    assert stage.link.hears() == ("ready", "")
    yield stage
    if stage.ref.is_alive():
        stage.ref.stop()
    stage.ledger.close()


def test_what_the_core_begins_with_is_sent(played: Played) -> None:
    assert played.arrive(1) == [Hello(role="web/0")]


def test_a_message_reaches_the_core_with_its_sender(played: Played) -> None:
    played.arrive(1)
    played.ledger.send("web/0", [Welcome(epoch=1, seq=2), IdsLeased(first_id=1, count=1)])
    assert played.core is not None
    assert [played.core.took.get(timeout=WAIT_S) for _ in range(2)] == [
        ("ledger/0", Welcome(epoch=1, seq=2)),
        ("ledger/0", IdsLeased(first_id=1, count=1)),
    ]


def test_a_local_message_reaches_the_core_and_its_posts_the_ledger(played: Played) -> None:
    played.arrive(1)
    played.ref.tell(Post("ledger/0", LeaseIds(count=3)))
    assert played.arrive(1) == [LeaseIds(count=3)]


def test_a_local_address_leads_to_its_function(played: Played) -> None:
    played.ref.tell(Post("here", "something"))
    assert played.came.get(timeout=WAIT_S) == ["something"]


def test_the_core_settles_when_its_time_has_come(played: Played) -> None:
    played.ref.tell(("wake", clock.now_us() + 20_000))
    assert played.came.get(timeout=WAIT_S) == ["woken"]


def test_who_asks_by_a_ping_has_the_figures_as_of_now(played: Played) -> None:
    played.ref.ask(Ping(), timeout=WAIT_S)
    said = [played.link.beats.get(timeout=WAIT_S) for _ in range(played.link.beats.qsize())]
    assert '"mailbox"' in said[-1]


def test_a_stage_without_anything_to_do_says_again_and_again_that_it_turns(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsheet.actors.stage.BEAT_S", 0.0)
    monkeypatch.setattr("callsheet.actors.stage.BEAT_WAITS_S", 0.001)
    played.ref.ask(Ping(), timeout=WAIT_S)
    assert all(played.link.beats.get(timeout=WAIT_S) for _ in range(5))


def test_a_turn_that_is_taken_in_time_is_the_proof(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callsheet.actors.stage.BEAT_S", 0.0)
    monkeypatch.setattr("callsheet.actors.stage.BEAT_WAITS_S", 3600.0)
    played.ref.ask(Ping(), timeout=WAIT_S)
    while not played.link.beats.empty():
        played.link.beats.get()
    played.ref.tell("a message")
    assert played.link.beats.get(timeout=WAIT_S)


def test_a_stop_closes_sockets_and_store(played: Played) -> None:
    played.ref.stop(timeout=WAIT_S)
    assert played.link.is_closed.is_set()
    assert played.shut.is_set()


@pytest.mark.parametrize("error", [ZeroDivisionError(), SystemExit(3), KeyboardInterrupt()])
def test_whatever_is_raised_ends_the_stage_and_is_said_once(
    played: Played, error: BaseException
) -> None:
    played.ref.tell(error)
    assert played.link.hears() == ("crashed", error)
    assert not played.ref.is_alive()
    assert played.shut.is_set()
    assert played.link.said.empty()


def test_an_error_of_one_stage_ends_no_other(played: Played, context: Any, tmp_path: Path) -> None:
    other = Played(context, f"ipc://{tmp_path}/other", AskingCore)
    assert other.link.hears() == ("ready", "")
    other.ref.tell(SystemExit())
    other.link.hears()
    played.ref.ask(Ping(), timeout=WAIT_S)
    other.ledger.close()


def test_a_post_that_leads_nowhere_is_our_error(played: Played) -> None:
    played.ref.tell(Post("nobody/0", LeaseIds(count=1)))
    word, error = played.link.hears()
    assert word == "crashed"
    assert "no port leads there" in str(error)


def test_a_core_that_cannot_be_built_is_said(context: Any, endpoint: str) -> None:
    def fail() -> AskingCore:
        raise RuntimeError("no core")

    stage = Played(context, endpoint, fail)
    word, error = stage.link.hears()
    assert (word, str(error)) == ("crashed", "no core")
    stage.ledger.close()


def test_a_mistake_of_the_user_is_said_as_its_sentence(context: Any, endpoint: str) -> None:
    def refuse() -> AskingCore:
        raise UserError("the database: is missing: run `create` first")

    stage = Played(context, endpoint, refuse)
    assert stage.link.hears() == (
        "unusable",
        "the database: is missing: run `create` first",
    )
    stage.ledger.close()


def test_a_wake_that_never_passes_does_not_spin() -> None:
    mailbox = Mailbox()
    turns = []

    def past() -> int:
        turns.append(clock.monotonic_s())
        return 0

    mailbox.attach([], past, clock.now_us)
    before_s = clock.monotonic_s()
    for _ in range(20):
        mailbox.get()
    assert clock.monotonic_s() - before_s >= 19 * 0.005
    mailbox.close()


def test_ports_are_opened_on_the_stages_thread(context: Any) -> None:
    threads: queue.Queue[threading.Thread] = queue.Queue()

    def open_ports() -> list[Port]:
        threads.put(threading.current_thread())
        return []

    class Quiet(AskingCore):
        def begin(self, now_us: int) -> list[Post]:
            return []

    link = RecordingLink()
    script = Script(address="web/0", open_ports=open_ports, make_core=Quiet)
    ref = Stage.start(script, link)
    assert threads.get(timeout=WAIT_S) is not threading.current_thread()
    ref.stop(timeout=WAIT_S)
