"""The stage: a pykka actor that hosts a core behind ZeroMQ ports.

`roles.py` says which core and ports make which role. For each batch the stage hands every message
to the core, has it settle, and sends what came back, in order, several messages a frame. It does no
protocol: beats and frames of the feed go to the core like any other message (sender `feed`).

A stage never lives on after an error: whatever is raised, from the opening of the sockets to the
last close, is logged once, said to the link, and ends the role; it is then built anew from the
ledger. Without this pykka would end the actor silently and leave an idle process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec
import pykka

from ..jobs.errors import UserError
from ..messages.post import Post
from ..wire.gate import GatePort
from ..wire.log_lines import now
from ..wire.ports import DealerPort, Letter, Port, PublisherPort, RouterPort
from . import clock
from .core import Core
from .heap import Heap
from .link import BEAT_S, BEAT_WAITS_S, Link
from .mailbox import Batch, MailboxActor, Ping, Tick
from .stage_figures import StageFigures

# A stage that has taken no more turns than this between two beats is at rest.
RESTING_TURNS = 25


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """How a role is played; both functions are called on the stage's thread.

    `open_ports` opens its sockets; `make_core` builds its core, with whatever store readers it
    has. `close` closes those again; `rest` has them let go of what they hold to be quick, when much
    was done and there is nothing more to do. `local` leads from an address to a function of this
    process that takes the messages posted there; called on the stage's thread.
    """

    address: str
    open_ports: Callable[[], list[Port]]
    make_core: Callable[[], Core]
    close: Callable[[], None] = lambda: None
    rest: Callable[[], None] = lambda: None
    local: dict[str, Callable[[list[Any]], None]] = {}


def by_address(posts: Iterable[Post], local: Collection[str]) -> dict[str, list[Any]]:
    """Return the messages of a turn by address, in the order in which they are to be sent.

    What goes to an address keeps its order; addresses come by their first post. Those in `local`
    come before all others: what a core has written down is written before anybody hears of it.
    """
    grouped: dict[str, list[Any]] = {}
    for to, message in posts:
        if to in grouped:
            grouped[to].append(message)
        else:
            grouped[to] = [message]
    first = {to: grouped.pop(to) for to in [to for to in grouped if to in local]}
    return {**first, **grouped}


class Stage(MailboxActor):
    """Hosts one core. Subclasses override `open`, `turn`, `wakes_at` and `shut`, never the rest."""

    use_daemon_thread = True

    def __init__(self, script: Script, link: Link) -> None:
        super().__init__()
        self.script = script
        self.link = link
        self.core: Core
        self._routes: dict[str, Port] = {}
        self._routers: list[RouterPort] = []
        self._ports: list[Port] = []
        self._due_s = 0.0
        self._turns = 0
        self._heap = Heap()
        self.figures = StageFigures()

    # --- what subclasses change -----------------------------------------------------------------

    def open(self) -> None:
        """Open sockets, build the core, let it begin."""
        self.core = self.script.make_core()
        self.open_ports()
        self.send(self.core.begin(clock.now_us()))
        self.link.ready()

    def turn(self, letters: list[Letter]) -> None:
        """Play one batch, or with no letters the core's own time."""
        now_us = clock.now_us()
        receive = self.core.receive
        posts: list[Post] = []
        for letter in letters:
            for message in letter.messages:
                now.at = (letter.peer, message)
                posts += receive(letter.peer, message, now_us)
        now.at = None
        posts += self.core.settle(now_us)
        self.send(posts)

    def hear(self, message: Any) -> None:
        """Play a message told by a thread of this process; to the core it comes from `local`."""
        self.turn([Letter("local", "local", [message])])

    def wakes_at(self) -> int | None:
        """Return when `turn` is to be called though nothing came (microseconds UTC)."""
        return self.core.wakes_at()

    def shut(self) -> None:
        """Close what `open` opened besides the sockets."""
        self.script.close()

    # --- for subclasses -------------------------------------------------------------------------

    def open_ports(self) -> None:
        """Open the sockets and listen to them."""
        self._ports = self.script.open_ports()
        for port in self._ports:
            match port:
                case DealerPort():
                    self._routes[port.peer] = port
                case PublisherPort():
                    self._routes[port.name] = port
                case RouterPort():
                    self._routers.append(port)
                case GatePort():
                    self._routes[port.name] = port
        self.mailbox.attach(self._ports, self.wakes_at, clock.now_us, self._due_in_s)

    def port(self, name: str) -> Port:
        """Return the port of that name."""
        return next(port for port in self._ports if port.name == name)

    def send(self, posts: Iterable[Post]) -> None:
        """Send posts: to each address in the order given, those of this process first."""
        for to, messages in by_address(posts, self.script.local).items():
            take = self.script.local.get(to)
            if take is not None:
                take(messages)
                continue
            port = self._routes.get(to) or self._router_to(to)
            assert port is not None, f"{self.script.address}: post to {to}: no port leads there"
            port.send(to, messages)

    def _router_to(self, to: str) -> RouterPort | None:
        """Return the first router that leads to an address; the plain one leads everywhere."""
        return next((router for router in self._routers if router.leads_to(to)), None)

    # --- pykka's side ---------------------------------------------------------------------------

    def on_start(self) -> None:
        """Open, on the actor's thread."""
        self._guarded(self.open)

    def on_receive(self, message: Any) -> None:
        """Play what the mailbox hands over."""
        match message:
            case Batch():
                self._guarded(self._timed, message.letters)
            case Tick():
                self._guarded(self._timed, [])
            case Ping():
                self._guarded(self._beat_now)
            case _:
                self._guarded(self._spoken_to, message)

    def _timed(self, letters: list[Letter]) -> None:
        """Take a turn, and count it."""
        self.figures.heard(letters)
        began_s = clock.monotonic_s()
        self.turn(letters)
        ended_s = clock.monotonic_s()
        self.figures.took(ended_s - began_s)
        self._turned(ended_s)

    def _spoken_to(self, message: Any) -> None:
        """Play a message of this process."""
        self.hear(message)
        self._turned(clock.monotonic_s())

    def _turned(self, now_s: float) -> None:
        """The stage turns, as it has to say now and then: no wake of its own for that."""
        self._turns += 1
        if now_s >= self._due_s:
            self._beat_now()

    def _beat_now(self) -> None:
        """Say that the stage turns, and what it counts of itself; at rest, tidy up."""
        if self._turns <= RESTING_TURNS:
            self._heap.tidy(self.script.rest)
        self._turns = 0
        self._due_s = clock.monotonic_s() + BEAT_S
        self.figures.look(self._ports, self.mailbox.waiting(), getattr(self, "core", None))
        self.link.beat(self.figures.said())

    def _due_in_s(self) -> float:
        """Return in how many seconds a beat cannot wait for a turn any more."""
        return self._due_s + BEAT_WAITS_S - clock.monotonic_s()

    def on_stop(self) -> None:
        """Close in order, on the actor's thread."""
        self._guarded(self._close)

    def _close(self) -> None:
        self.mailbox.close()
        self.shut()
        self.link.closed()

    def _guarded(self, act: Callable[..., None], *args: Any) -> None:
        """Call, and let no error of whatever kind leave the actor half alive."""
        try:
            act(*args)
        except UserError as error:
            self._fall()
            self.link.unusable(str(error))
        except BaseException as error:  # noqa: BLE001 - see the module: nothing may pass
            self._fall()
            self.link.crashed(self.script.address, error)

    def _fall(self) -> None:
        """Close everything on its own thread, and end the actor where the process lives on."""
        self.mailbox.close()
        with contextlib.suppress(Exception):  # the first error is the one that is reported
            self.shut()
        pykka.ActorRegistry.unregister(self.actor_ref)
        self.actor_stopped.set()
