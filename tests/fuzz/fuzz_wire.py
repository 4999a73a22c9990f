"""Messages to every socket of a real server, by agents, roles and programs that are out of order.

Whoever says what can be read keeps its connection; who does not is soon not heard any more, so each
says a few things and is gone. After each batch somebody in order asks a question at each socket: it
is answered, or the server hangs.
"""

from __future__ import annotations

import contextlib
import socket as sockets
import time
from typing import Any

import zmq
from fuzzed_server import FuzzedServer, on_a_server
from odd_messages import KIND, SOCKETS, SPEAKING, Said, a_line, a_message
from odd_values import Dice
from verdict import FOR_EVER, HANG_S, Verdict

from callsheet.messages.agents import AgentHello, AskAgents
from callsheet.messages.codec import (
    ANSWER_READER,
    FROM_LEDGER_READER,
    FROM_RUNNER_READER,
    FROM_SCHEDULER_READER,
    TO_AGENT_READER,
    BadFrame,
    Reader,
    pack,
)
from callsheet.messages.hello import Hello
from callsheet.messages.published import AskRuns
from callsheet.messages.standing import AskStanding

# Messages between two questions, and of one connection that cannot be read.
BATCH = 300
BAD_AT_MOST = 15
WARM_AFTER = 10
GIVEN = 60
# Of cases that are bytes on the bare socket, without ZeroMQ.
BARE = 0.02
HELLO = AgentHello(
    agent_id="asks", group_id="asks", incarnation="1", boot_id="b", version=4, software="fuzz"
)
# At each socket somebody in order, what it asks, and by what the answer is read.
QUESTIONS: dict[str, tuple[bytes | None, Any, Reader]] = {
    "ledger": (b"web/9", Hello(role="web/9"), FROM_LEDGER_READER),
    "scheduler": (b"web/9", AskStanding(), FROM_SCHEDULER_READER),
    "agents": (b"web/9", AskAgents(request="1"), FROM_RUNNER_READER),
    "replay": (None, AskRuns(id="1"), ANSWER_READER),
}


class Wires:
    """Connections to the sockets of a server."""

    def __init__(self, server: FuzzedServer) -> None:
        self._folder = server.server.sockets()
        self._context = zmq.Context()
        self._kept: dict[tuple[str, bytes | None], zmq.Socket[bytes]] = {}
        self._bad: dict[tuple[str, bytes | None], tuple[zmq.Socket[bytes], int]] = {}
        self._asking = {name: self._dealer(name, peer) for name, (peer, _, _) in QUESTIONS.items()}

    def _dealer(self, name: str, peer: bytes | None) -> zmq.Socket[bytes]:
        dealer = self._context.socket(zmq.XSUB if name in SPEAKING else zmq.DEALER)
        dealer.setsockopt(zmq.LINGER, 5_000)
        dealer.setsockopt(zmq.SNDTIMEO, int(HANG_S * 1e3))
        if peer is not None:
            dealer.setsockopt(zmq.ROUTING_ID, peer)
        dealer.connect(f"ipc://{self._folder / name}")
        return dealer

    def say(self, said: Said) -> None:
        """Say something.

        Raises:
            zmq.Again: nobody took it.
        """
        if said.sound:
            key = (said.socket, said.peer)
            if key not in self._kept:
                self._kept[key] = self._dealer(*key)
            self._kept[key].send_multipart(said.parts)
            return
        # One connection of each kind at each socket says what cannot be read from that kind.
        bad = (said.socket, said.peer and said.peer.partition(b"/")[0])
        dealer, count = self._bad.pop(bad, (None, 0))
        if dealer is None:
            dealer = self._dealer(said.socket, said.peer)
        dealer.send_multipart(said.parts)
        kinds = (None, *(kind.encode() for peers in SOCKETS.values() for kind in peers))
        if count >= BAD_AT_MOST or bad[1] not in kinds:
            dealer.close()
        else:
            self._bad[bad] = (dealer, count + 1)

    def say_bare(self, dice: Dice) -> None:
        """Say something that is not ZeroMQ's, on the socket below it."""
        if dice.random() < 0.5:
            with (
                contextlib.suppress(OSError),
                sockets.socket(sockets.AF_UNIX, sockets.SOCK_DGRAM) as link,
            ):
                link.sendto(a_line(dice), str(self._folder / "log"))
            return
        path = self._folder / dice.choice((*QUESTIONS, *SPEAKING))
        greeting = b"\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL" + bytes(48)
        data = dice.choice((b"", greeting, greeting[: dice.randrange(20)])) + dice.randbytes(200)
        with contextlib.suppress(OSError), sockets.socket(sockets.AF_UNIX) as link:
            link.settimeout(HANG_S)
            link.connect(str(path))
            link.sendall(data)

    def ask(self, verdict: Verdict, number: int) -> None:
        """Ask a question at each socket, and wait for its answer."""
        for name, (_, question, reader) in QUESTIONS.items():
            began_s = time.monotonic()
            asking = self._asking[name]
            asking.send(pack([question])[0])
            if not asking.poll(int(HANG_S * 1e3)):
                verdict.fault(f"{name} does not answer", number)
                continue
            try:
                reader.unpack(asking.recv())
            except BadFrame as error:
                verdict.fault(f"{name}: an answer that nobody reads: {error}", number)
            verdict.waited(time.monotonic() - began_s, number)
        self._hear(verdict, number)

    def _hear(self, verdict: Verdict, number: int) -> None:
        """Read what was said to those who keep their connections; agents are told in order."""
        for (name, peer), dealer in self._kept.items():
            while name not in SPEAKING and dealer.poll(0):
                frame = dealer.recv_multipart()[-1]
                if name != "agents" or peer is None or not peer.startswith(b"agent/"):
                    continue
                try:
                    for message in TO_AGENT_READER.unpack(frame):
                        verdict.seen[f"told {type(message).__name__}"] += 1
                except BadFrame as error:
                    verdict.fault(f"to an agent: {error}", number)

    def greet(self) -> None:
        """Have all agents introduce themselves, so that they are given what there is to do."""
        for number in range(GIVEN):
            peer = b"agent/fuzz%d" % number
            hello = AgentHello(
                agent_id=f"fuzz{number}", group_id="fuzz", incarnation="1", boot_id="b", version=4
            )
            self.say(Said("agents", peer, pack([hello]), True, "a hello"))

    def close(self) -> None:
        """Hang up."""
        self._context.destroy(linger=0)


def fuzz(seed: int, numbers: range, until_s: float = FOR_EVER) -> Verdict:
    """Say what these cases say; all that was seen."""
    return on_a_server(KIND, play, seed, numbers, until_s)


def play(server: FuzzedServer, seed: int, numbers: range, until_s: float, verdict: Verdict) -> None:
    """Say to a server what these cases say."""
    wires = Wires(server)
    try:
        for _ in range(min(GIVEN, 1 + len(numbers) // 20)):
            server.server.schedule("given")
        wires.greet()
        _speak(server, wires, seed, numbers, verdict, until_s)
    finally:
        wires.close()


def _speak(
    server: FuzzedServer, wires: Wires, seed: int, numbers: range, verdict: Verdict, until_s: float
) -> None:
    warm_at = numbers.start + len(numbers) // WARM_AFTER
    for number in numbers:
        if number == warm_at:
            server.warm()
        dice = Dice(KIND, seed, number)
        try:
            if dice.random() < BARE:
                wires.say_bare(dice)
                verdict.seen["bare bytes"] += 1
            else:
                said = a_message(dice)
                wires.say(said)
                verdict.seen[said.what] += 1
        except zmq.Again:
            verdict.fault(f"nobody took it within {HANG_S:.0f} s", number)
            return
        verdict.played()
        if number % BATCH == 0 or number == numbers[-1]:
            wires.ask(verdict, number)
            if trouble := server.trouble():
                verdict.fault(f"in the server's log: {trouble}", number)
            if verdict.faulty > 20 or time.monotonic() > until_s:
                return


def show(seed: int, number: int) -> None:
    """Print one case."""
    dice = Dice(KIND, seed, number)
    print("bare bytes" if dice.random() < BARE else a_message(dice))
