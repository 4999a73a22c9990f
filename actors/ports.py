"""Which sockets each role has: the whole topology of the server in one table.

`roles.py` and `cli/` ask it on the stage's thread. What is bound and connected here, and which
directions of messages each port reads, is all that roles can say to each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import zmq

from ..jobs.errors import UserError
from ..messages.codec import (
    ENROL_READER,
    FEED_READER,
    FROM_LEDGER_READER,
    FROM_RUNNER_READER,
    FROM_SCHEDULER_READER,
    KEYED_AGENT_READER,
    OUTPUTS_READER,
    WAITER_FEED_READER,
    WEB_FEED_READER,
    Reader,
)
from ..messages.post import (
    BINDER,
    CHECKER,
    LEDGER,
    RESPONDER,
    RUNNER,
    SCHEDULER,
    WAITER,
    WEB,
)
from ..messages.verbs import READERS
from ..wire import place as places
from ..wire import published
from ..wire.curve import ServerSide, own_keys
from ..wire.feed import BEAT_TOPIC, EPOCH_TOPIC, EVENTS_TOPIC
from ..wire.gate import AGENTS_DOMAIN, ENROL_DOMAIN, Admission, GatePort, KeyedRouterPort
from ..wire.place import Door, FeedDoor, Place
from ..wire.ports import Context, DealerPort, Port, PublisherPort, RouterPort, SubscriberPort
from .clock import monotonic_s

LEDGER_PEERS = re.compile(r"(scheduler|waiter|runner|responder|checker|web)/[0-9]{1,4}")
SCHEDULER_PEERS = re.compile(r"(binder|responder|web)/[0-9]{1,4}")
AGENTS_PEERS = re.compile(r"agent/[A-Za-z0-9._@:-]{1,200}|(checker|web)/[0-9]{1,4}")

ALL_OF_THE_FEED = (EVENTS_TOPIC, BEAT_TOPIC)
EPOCH = (EPOCH_TOPIC,)


class CannotPublish(UserError):
    """Programs of other hosts cannot come in where the settings say."""

    def __init__(self, door: FeedDoor, error: zmq.ZMQError) -> None:
        what = f"{error.strerror} (and the next port, {door.ask}, for what they ask)"
        super().__init__(f"feed.listen: {door.publish}: {what}: expected two free ports")


class CannotListen(UserError):
    """Agents of other hosts cannot come in where the settings say."""

    def __init__(self, door: Door, error: zmq.ZMQError) -> None:
        what = f"{error.strerror} (and the next port, {door.enrol}, for enrolment)"
        super().__init__(f"agents.listen: {door.agents}: {what}: expected two free ports")


Open = Callable[[Place, Context], list[Port]]


def _to_ledger(address: str, place: Place, context: Context) -> Port:
    return DealerPort(
        context,
        "ledger",
        place.connect(places.LEDGER),
        address=address,
        peer=LEDGER,
        reader=FROM_LEDGER_READER,
        clock=monotonic_s,
    )


def _to_scheduler(address: str, place: Place, context: Context) -> Port:
    return DealerPort(
        context,
        "scheduler",
        place.connect(places.SCHEDULER),
        address=address,
        peer=SCHEDULER,
        reader=FROM_SCHEDULER_READER,
        clock=monotonic_s,
    )


def _to_runner(address: str, place: Place, context: Context) -> Port:
    return DealerPort(
        context,
        "runner",
        place.connect(places.AGENTS),
        address=address,
        peer=RUNNER,
        reader=FROM_RUNNER_READER,
        clock=monotonic_s,
    )


def _feed(
    topics: tuple[bytes, ...], place: Place, context: Context, reader: Reader = FEED_READER
) -> Port:
    return SubscriberPort(
        context,
        places.FEED,
        place.connect(places.FEED),
        topics=topics,
        reader=reader,
        clock=monotonic_s,
    )


def _ledger(place: Place, context: Context) -> list[Port]:
    router = RouterPort(
        context,
        "ledger",
        place.bind(places.LEDGER),
        reader=READERS[LEDGER],
        peers=LEDGER_PEERS,
        clock=monotonic_s,
    )
    feed = PublisherPort(context, places.FEED, place.bind(places.FEED), clock=monotonic_s)
    return [router, feed]


def _scheduler(place: Place, context: Context) -> list[Port]:
    router = RouterPort(
        context,
        "scheduler",
        place.bind(places.SCHEDULER),
        reader=READERS[SCHEDULER],
        peers=SCHEDULER_PEERS,
        clock=monotonic_s,
    )
    return [router, _to_ledger(SCHEDULER, place, context), _feed(EPOCH, place, context)]


def _binder(place: Place, context: Context) -> list[Port]:
    return [_to_scheduler(BINDER, place, context)]


def _waiter(place: Place, context: Context) -> list[Port]:
    feed = _feed(ALL_OF_THE_FEED, place, context, WAITER_FEED_READER)
    return [_to_ledger(WAITER, place, context), feed]


def _runner(place: Place, context: Context) -> list[Port]:
    router = RouterPort(
        context,
        "agents",
        place.bind(places.AGENTS),
        reader=READERS[RUNNER],
        peers=AGENTS_PEERS,
        clock=monotonic_s,
    )
    outputs = PublisherPort(context, places.OUTPUTS, place.bind(places.OUTPUTS), clock=monotonic_s)
    ports = [router, outputs, _to_ledger(RUNNER, place, context), _feed(EPOCH, place, context)]
    return ports if place.door is None else [*_gated(place.door, context), *ports]


def _gated(door: Door, context: Context) -> list[Port]:
    """Open the sockets for agents of other hosts; the gate first, so that it never lacks."""
    keys = own_keys(Path(door.key_file))
    admission = Admission()
    gate = GatePort(context, admission, clock=monotonic_s)
    opened: list[Port] = [gate]
    try:
        agents = KeyedRouterPort(
            context,
            "agents on other hosts",
            door.agents,
            reader=KEYED_AGENT_READER,
            prefix="agent",
            side=ServerSide(keys=keys, domain=AGENTS_DOMAIN),
            clock=monotonic_s,
            admission=admission,
        )
        opened.append(agents)
        enrol = KeyedRouterPort(
            context,
            "enrolment",
            door.enrol,
            reader=ENROL_READER,
            prefix="enrol",
            side=ServerSide(keys=keys, domain=ENROL_DOMAIN),
            clock=monotonic_s,
        )
    except zmq.ZMQError as error:
        for port in opened:
            port.close()
        raise CannotListen(door, error) from None
    return [*opened, enrol]


def _responder(place: Place, context: Context) -> list[Port]:
    return [
        _to_ledger(RESPONDER, place, context),
        _to_scheduler(RESPONDER, place, context),
        _feed(EPOCH, place, context),
    ]


def _checker(place: Place, context: Context) -> list[Port]:
    return [
        _to_ledger(CHECKER, place, context),
        _to_runner(CHECKER, place, context),
        _feed(EPOCH, place, context),
    ]


def _web(place: Place, context: Context) -> list[Port]:
    outputs = SubscriberPort(
        context,
        places.OUTPUTS,
        place.connect(places.OUTPUTS),
        topics=(EVENTS_TOPIC,),
        reader=OUTPUTS_READER,
        clock=monotonic_s,
    )
    ports = [
        _to_ledger(WEB, place, context),
        _to_scheduler(WEB, place, context),
        _to_runner(WEB, place, context),
        _feed(ALL_OF_THE_FEED, place, context, WEB_FEED_READER),
        outputs,
        *published.here(
            context, place.outside(places.PUBLISHED), place.outside(places.REPLAY), monotonic_s
        ),
    ]
    if place.feed_door is None:
        return ports
    side = ServerSide(keys=own_keys(Path(place.feed_door.key_file)), domain=published.FEED_DOMAIN)
    try:
        return [*ports, *published.far(place.feed_door, side, monotonic_s)]
    except zmq.ZMQError as error:
        for port in ports:
            port.close()
        raise CannotPublish(place.feed_door, error) from None


PORTS: dict[str, Open] = {
    LEDGER: _ledger,
    SCHEDULER: _scheduler,
    BINDER: _binder,
    WAITER: _waiter,
    RUNNER: _runner,
    RESPONDER: _responder,
    CHECKER: _checker,
    WEB: _web,
}
