"""The contract between our mailbox and pykka: tell, ask, errors, stop, flood, timer."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pykka
import pytest
import zmq
from pykka._envelope import Envelope

from callsheet.actors import clock
from callsheet.actors.mailbox import BATCH_FRAMES, Batch, Mailbox, MailboxActor, Tick
from callsheet.messages.codec import FROM_LEDGER_READER, LEDGER_READER
from callsheet.messages.instructions import LeaseIds
from callsheet.wire.ports import DealerPort, RouterPort

WAIT_S = 60.0


class Recorder(MailboxActor):
    """Puts what it receives on a queue; raises what it is told to."""

    use_daemon_thread = True

    def __init__(self, endpoint: str = "", context: Any = None) -> None:
        super().__init__()
        self.seen: queue.Queue[Any] = queue.Queue()
        self.stopped = threading.Event()
        self.failed = threading.Event()
        self.wake_us: int | None = None
        self._endpoint, self._context = endpoint, context

    def on_start(self) -> None:
        ports = []
        if self._endpoint:
            ports = [
                RouterPort(
                    self._context,
                    "ledger",
                    [self._endpoint],
                    reader=LEDGER_READER,
                    peers=r"web/\d+",
                    clock=clock.monotonic_s,
                )
            ]
        self.mailbox.attach(ports, lambda: self.wake_us, clock.now_us)

    def on_receive(self, message: Any) -> Any:
        match message:
            case Exception():
                raise message
            case Tick():
                self.wake_us = None
                self.seen.put("tick")
            case Batch():
                self.seen.put([m for letter in message.letters for m in letter.messages])
            case ("wake", int(at_us)):
                self.wake_us = at_us
            case _:
                self.seen.put(message)
                return message
        return None

    def on_stop(self) -> None:
        self.mailbox.close()
        self.stopped.set()

    def on_failure(self, *_: Any) -> None:
        self.mailbox.close()
        self.failed.set()


@pytest.fixture
def context() -> Iterator[Any]:
    context: Any = zmq.Context()
    yield context
    pykka.ActorRegistry.stop_all()
    context.destroy(linger=0)


def start(*args: Any) -> tuple[pykka.ActorRef[Recorder], Recorder]:
    """Start an actor; return also the actor itself, which a test may look into."""
    ref = Recorder.start(*args)
    actor = ref._actor_weakref()
    assert actor is not None
    return ref, actor


def a_dealer(context: Any, endpoint: str) -> DealerPort:
    return DealerPort(
        context,
        "ledger",
        endpoint,
        address="web/0",
        peer="ledger/0",
        reader=FROM_LEDGER_READER,
        clock=clock.monotonic_s,
    )


def test_told_messages_come_in_order_from_any_thread() -> None:
    ref, actor = start()
    threads = [
        threading.Thread(target=lambda t=t: [ref.tell((t, n)) for n in range(200)])
        for t in range(4)
    ]
    for thread in threads:
        thread.start()
    seen = [actor.seen.get(timeout=WAIT_S) for _ in range(800)]
    assert [[n for t, n in seen if t == thread] for thread in range(4)] == [list(range(200))] * 4
    ref.stop()


def test_ask_answers() -> None:
    ref, _ = start()
    assert ref.ask("hello", timeout=WAIT_S) == "hello"
    ref.stop()


def test_an_error_in_ask_goes_to_the_asker_and_the_actor_lives() -> None:
    ref, _ = start()
    with pytest.raises(ZeroDivisionError):
        ref.ask(ZeroDivisionError(), timeout=WAIT_S)
    assert ref.ask("still there", timeout=WAIT_S) == "still there"
    ref.stop()


def test_an_error_in_tell_ends_the_actor_which_is_why_the_stage_catches_all() -> None:
    ref, actor = start()
    ref.tell(ZeroDivisionError())
    assert actor.failed.wait(WAIT_S)
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("anyone?")


def test_stop_while_idle_ends_it_and_answers_what_was_asked_after() -> None:
    ref, actor = start()
    ref.stop(timeout=WAIT_S)
    assert actor.stopped.is_set()
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("too late", timeout=WAIT_S)


def test_a_put_after_the_close_touches_no_closed_fd() -> None:
    mailbox = Mailbox()
    mailbox.close()
    mailbox.put("late")  # type: ignore[arg-type]
    assert not mailbox.empty()
    assert mailbox.get() == "late"


def test_frames_come_as_batches_of_bounded_size(context: Any, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/s"
    ref, actor = start(endpoint, context)
    dealer = a_dealer(context, endpoint)
    until_s = time.monotonic() + WAIT_S
    asked = [LeaseIds(count=n) for n in range(5_000)]
    for message in asked:
        dealer.send("ledger/0", [message])
    seen: list[Any] = []
    while len(seen) < len(asked):
        assert time.monotonic() < until_s
        dealer.flush()
        try:
            batch = actor.seen.get(timeout=0.01)
        except queue.Empty:
            continue
        assert 0 < len(batch) <= BATCH_FRAMES
        seen += batch
    assert seen == asked
    dealer.close()
    ref.stop()


def test_stop_under_a_flood_ends_it(context: Any, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/s"
    ref, actor = start(endpoint, context)
    over = threading.Event()

    def flood() -> None:
        dealer = a_dealer(context, endpoint)
        while not over.is_set():
            dealer.send("ledger/0", [LeaseIds(count=1)])
            dealer.flush()
        dealer.close()

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        actor.seen.get(timeout=WAIT_S)
        ref.stop(timeout=WAIT_S)
        assert actor.stopped.is_set()
    finally:
        over.set()
        thread.join()


def test_a_tick_comes_when_its_time_has_come_and_not_before(context: Any) -> None:
    ref, actor = start()
    at_us = clock.now_us() + 100_000
    ref.tell(("wake", at_us))
    assert actor.seen.get(timeout=WAIT_S) == "tick"
    assert clock.now_us() >= at_us
    assert actor.seen.empty()
    ref.stop()


def test_a_clock_put_back_wakes_the_stage_by_the_new_time() -> None:
    mailbox = Mailbox()
    now_us = [10_000_000]
    asked = threading.Event()

    def wakes_at() -> int:
        asked.set()
        return 20_000_000

    mailbox.attach([], wakes_at, lambda: now_us[0])
    taken: queue.Queue[Any] = queue.Queue()
    thread = threading.Thread(target=lambda: taken.put(mailbox.get()))
    thread.start()
    assert asked.wait(WAIT_S)
    now_us[0] = 20_000_000
    # Ten seconds by the old time, but the time is compared again each second.
    assert isinstance(taken.get(timeout=9.0).message, Tick)
    thread.join()
    mailbox.close()


def test_a_stage_that_is_awake_beforehand_ticks_when_its_time_has_come_and_not_before() -> None:
    ref, actor = start()
    actor.mailbox.awake_us = 900
    for _ in range(20):
        at_us = clock.now_us() + 3_000
        ref.tell(("wake", at_us))
        assert actor.seen.get(timeout=WAIT_S) == "tick"
        assert clock.now_us() >= at_us
    assert actor.seen.empty()
    ref.stop()


def test_a_clock_put_back_ends_the_wait_of_a_stage_that_is_awake_beforehand() -> None:
    mailbox = Mailbox()
    mailbox.awake_us = 900
    asked = threading.Event()
    times = iter([10_000_000 - 100] * 3)

    def now_us() -> int:
        if (at_us := next(times, None)) is None:
            asked.set()
        return 0 if at_us is None else at_us

    mailbox.attach([], lambda: 10_000_000, now_us)
    taken: queue.Queue[Any] = queue.Queue()
    thread = threading.Thread(target=lambda: taken.put(mailbox.get()))
    thread.start()
    assert asked.wait(WAIT_S)
    # It waits for what comes, as any other whose time is far off.
    mailbox.put(Envelope("told"))
    assert taken.get(timeout=WAIT_S).message == "told"
    thread.join()
    mailbox.close()


def test_a_paused_mailbox_leaves_frames_where_they_are(context: Any, tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/s"
    ref, actor = start(endpoint, context)
    assert ref.ask("started", timeout=WAIT_S) == actor.seen.get(timeout=WAIT_S)
    actor.mailbox.paused = True
    ref.ask("noticed", timeout=WAIT_S)
    dealer = a_dealer(context, endpoint)
    dealer.send("ledger/0", [LeaseIds(count=1)])
    while dealer.waits_to_write():
        dealer.socket.poll(5, zmq.POLLOUT)
        dealer.flush()
    ref.tell(("wake", clock.now_us() + 50_000))
    assert [actor.seen.get(timeout=WAIT_S) for _ in range(2)] == ["noticed", "tick"]
    actor.mailbox.paused = False
    ref.tell("go on")
    assert {str(actor.seen.get(timeout=WAIT_S)) for _ in range(2)} == {
        "go on",
        str([LeaseIds(count=1)]),
    }
    dealer.close()
    ref.stop()
