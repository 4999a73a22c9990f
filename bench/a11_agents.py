"""A11: a thousand agents of other hosts connected to one runner, each by a key of its own.

The agents are real cores over real CURVE sockets on the loopback device, all in this process; only
their processes are made up, and over as soon as they began. Each is let in by a token of its own.

- A11_enrol: the time it takes to let all of them in, one after the other.
- A11_again: from the death of the runner (SIGKILL) until all are active again.
- A11_idle: the processor time of the runner while they only beat, as a share of one core, and
  A11_idle_limit what a bare ROUTER takes for the same frames from as many connections.
- A11_memory: what one agent adds to the runner's memory, and A11_memory_limit to the ROUTER's.
- A11_list: how long the list of all agents with all their processes takes.
- A11_starts: runs a second, when 5,000 are asked for at once, until all have succeeded.
"""

from __future__ import annotations

import heapq
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import zmq
from figures import BenchError, benchmark, emit
from proc import memory_bytes, used_s
from server import Server, free_port, running_server

from callsheet.agentd.core import AgentCore
from callsheet.agentd.host import (
    Ended,
    Exit,
    Extent,
    Fact,
    Found,
    Key,
    Now,
    Results,
    Spec,
    Started,
)
from callsheet.agentd.joining import Desk, Token, side_of
from callsheet.messages.agents import AGENT_VERSIONS, AgentBeat, AgentHello, StartProcess
from callsheet.messages.codec import TO_AGENT_READER, pack
from callsheet.messages.hello import Refuse
from callsheet.messages.post import RUNNER
from callsheet.wire.curve import ClientSide, new_keys, public_text
from callsheet.wire.ports import DealerPort, Letter

AGENTS = int(os.environ.get("BENCH_AGENTS", "1000"))
RUNS = 5_000
WATCH_S = 20.0
PATIENCE_S = 300.0
JOB = "program: {type: procstar, argv: [/bin/true], group_id: far}\n"


class MadeUpHost:
    """A host whose processes are over as soon as they began."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def claims(self) -> list[Found]:
        return []

    def start(self, key: Key, spec: Spec, now: Now) -> None:
        self.facts.append(Started(key, 1, now.wall_us, now.monotonic_us))
        self.facts.append(Ended(key, Exit(at_us=now.wall_us, pid=1)))

    def start_again(self, key: Key, spec: Spec) -> None:
        raise AssertionError(f"{key}: not started")

    def note(self, key: Key, line: str) -> None:
        pass

    def signal(self, key: Key, number: int, *, whole: bool) -> None:
        pass

    def forget(self, key: Key) -> None:
        pass

    def extents(self, key: Key, spec: Spec, *, final: bool = False) -> tuple[Extent, ...]:
        return ()

    def read_output(self, key: Key, name: str, offset: int, limit: int) -> bytes | None:
        return b""

    def output_path(self, key: Key, name: str) -> str | None:
        return None

    def collect(self, key: Key, spec: Spec) -> bool:
        return False

    def results_of(self, key: Key, spec: Spec) -> Results:
        return Results({})

    def remember_away(self, away_us: int) -> None:
        pass

    def usages(self, pids: list[int]) -> dict[int, tuple[int, int]]:
        return {}

    def remember_epoch(self, epoch: int) -> None:
        pass

    def compress(self, data: bytes) -> tuple[bytes, str | None]:
        return data, None


class OneAgent:
    """A real core behind a real socket."""

    def __init__(self, context: Any, endpoint: str, agent_id: str, side: ClientSide) -> None:
        identity = AgentHello(
            agent_id=agent_id,
            group_id="far",
            incarnation=f"{agent_id}-{time.time_ns()}",
            boot_id="b",
            version=AGENT_VERSIONS[-1],
        )
        self.host = MadeUpHost()
        self.core = AgentCore(identity, self.host, _spec)
        self.port = DealerPort(
            context,
            "runner",
            endpoint,
            address=self.core.address,
            peer=RUNNER,
            reader=TO_AGENT_READER,
            clock=time.monotonic,
            side=side,
        )
        self.core.begin(_now())
        self.core.meet(_now())

    def turn(self) -> None:
        now = _now()
        letters: list[Letter] = []
        self.port.receive(100, letters)
        posts = []
        for letter in letters:
            for message in letter.messages:
                if isinstance(message, Refuse):
                    raise BenchError(message.sentence)
                posts += self.core.receive(letter.peer, message, now)
        facts, self.host.facts = self.host.facts, []
        for fact in facts:
            posts += self.core.happened(fact, now)
        posts += self.core.settle(now)
        if posts:
            self.port.send(RUNNER, [post.message for post in posts])
        self.port.flush()


class Crowd:
    """All agents, on one thread."""

    def __init__(self, endpoint: str, sides: list[ClientSide]) -> None:
        self.context = zmq.Context()
        self.context.set(zmq.MAX_SOCKETS, 4 * AGENTS)
        self.agents = [
            OneAgent(self.context, endpoint, f"w{n}", side) for n, side in enumerate(sides)
        ]
        self._epoll = select.epoll()
        self._by_fd = {}
        self._due: list[tuple[int, int]] = []
        for n, agent in enumerate(self.agents):
            fd = int(agent.port.socket.getsockopt(zmq.FD))
            self._by_fd[fd] = n
            self._epoll.register(fd, select.EPOLLIN | select.EPOLLET)
            self._play(n)

    def _play(self, n: int) -> None:
        agent = self.agents[n]
        agent.turn()
        while int(agent.port.socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN or agent.host.facts:
            agent.turn()
        heapq.heappush(self._due, (agent.core.wakes_at() or 0, n))

    def serve(self, until_s: float) -> None:
        """Be agents until then."""
        while (now_s := time.monotonic()) < until_s:
            wait_s = min(until_s, self._due[0][0] / 1e6) - now_s
            ready = {self._by_fd[fd] for fd, _ in self._epoll.poll(max(0.0, wait_s))}
            now_us = time.monotonic_ns() // 1_000
            while self._due and self._due[0][0] <= now_us:
                at_us, n = heapq.heappop(self._due)
                # The first of several entries of one agent is the one that counts.
                if (self.agents[n].core.wakes_at() or 0) <= at_us or at_us == 0:
                    ready.add(n)
            for n in ready:
                self._play(n)

    def until(self, holds: Any, what: str, every_s: float = 0.25) -> None:
        """Be agents until that holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            if time.monotonic() > deadline:
                raise BenchError(f"waited {PATIENCE_S:.0f} s for {what}")
            self.serve(time.monotonic() + every_s)

    def close(self) -> None:
        self.context.destroy(linger=0)


def _spec(message: StartProcess) -> Spec:
    return Spec(program=message.program, argv=message.program.argv, env={})


def _now() -> Now:
    return Now(time.time_ns() // 1_000, time.monotonic_ns() // 1_000)


# --- the limit ------------------------------------------------------------------------------------

BARE = """
import sys, zmq
context = zmq.Context()
context.set(zmq.MAX_SOCKETS, 4000)
router = context.socket(zmq.ROUTER)
router.setsockopt(zmq.CURVE_SERVER, 1)
router.setsockopt(zmq.CURVE_SECRETKEY, sys.argv[2].encode())
router.setsockopt(zmq.BACKLOG, 1024)
router.setsockopt(zmq.HEARTBEAT_IVL, 3000)
router.bind(sys.argv[1])
print("bound", flush=True)
while True:
    router.recv_multipart()
"""


def limits(frame: bytes) -> tuple[float, float]:
    """Return what a bare ROUTER takes for as many connections: percent of a core, bytes each."""
    server, keys = new_keys(), new_keys()
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    command = [sys.executable, "-c", BARE, endpoint, server.secret.decode()]
    bare = subprocess.Popen(command, stdout=subprocess.PIPE)
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 4 * AGENTS)
    try:
        assert bare.stdout is not None
        bare.stdout.readline()
        empty = memory_bytes([bare.pid])
        side = ClientSide(keys=keys, server=public_text(server.public))
        ports = [
            DealerPort(
                context, "bare", endpoint, address="", peer=RUNNER, reader=TO_AGENT_READER,
                clock=time.monotonic, side=side,
            )
            for _ in range(AGENTS)
        ]  # fmt: skip
        for port in ports:
            port.socket.setsockopt(zmq.IMMEDIATE, 0)
            port.socket.send(frame)
        time.sleep(10.0)
        used, begun = used_s([bare.pid]), time.monotonic()
        while time.monotonic() < begun + WATCH_S:
            step_s = time.monotonic()
            for n, port in enumerate(ports):
                port.socket.send(frame, zmq.NOBLOCK)
                if n % 50 == 49:
                    time.sleep(max(0.0, step_s + 2.0 * n / AGENTS - time.monotonic()))
            time.sleep(max(0.0, step_s + 2.0 - time.monotonic()))
        passed_s = time.monotonic() - begun
        share = (used_s([bare.pid]) - used) / passed_s * 100
        return share, (memory_bytes([bare.pid]) - empty) / AGENTS
    finally:
        bare.kill()
        bare.wait()
        context.destroy(linger=0)


# --- the server -----------------------------------------------------------------------------------


def pid_of(server: Server, role: str) -> int:
    """Return the process of a role."""
    state = Path(server.folder, "callsheet.db.state", "processes.json")
    return int(json.loads(state.read_text())[role])


def ask(server: Server, path: str, body: Any = None) -> Any:
    """Return the answer to a request below /api/v2."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/api/v2/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
        return json.loads(answer.read())


def active(server: Server) -> int:
    """Return how many agents of other hosts are heard of."""
    return sum(
        agent["state"] == "active" and agent["keyed"] for agent in ask(server, "agents")["agents"]
    )


def list_s(server: Server) -> float:
    """Return how long the list of all agents takes."""
    begun = time.perf_counter()
    active(server)
    return time.perf_counter() - begun


def enrolled(server: Server, endpoint: str) -> list[ClientSide]:
    """Let all agents in."""
    sides = []
    for n in range(AGENTS):
        made = ask(server, "agents/tokens", {"group": "far"})["token"]
        public, _, secret = made.removeprefix("cs1.").partition(".")
        desk = Desk(f"{server.folder}/agent{n}")
        desk.enrol(endpoint, Token(public, secret), f"w{n}", "far")
        sides.append(side_of(desk.keys, public))
    return sides


def main() -> None:
    """Measure once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 16_384)), hard))
    frame = pack([AgentBeat(agent_id="w123", live=0)])[0]
    share, memory = limits(frame)
    emit("A11_idle_limit", share, "%")
    emit("A11_memory_limit", memory / 1e3, "kB")
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    settings = f"agents:\n  listen: {endpoint}\n  start_timeout: 5m\n"
    with running_server({"far": JOB}, settings) as server:
        begun = time.perf_counter()
        sides = enrolled(server, endpoint)
        emit("A11_enrol", time.perf_counter() - begun, "s")
        time.sleep(2.0)
        empty = memory_bytes([pid_of(server, "runner/0")])
        crowd = Crowd(endpoint, sides)
        try:
            measure(server, crowd, empty)
        finally:
            crowd.close()


def measure(server: Server, crowd: Crowd, empty: int) -> None:
    """Measure with all agents there."""
    begun = time.perf_counter()
    crowd.until(lambda: active_while(server, crowd) == AGENTS, "all agents to be active")
    emit("A11_connect", time.perf_counter() - begun, "s")
    crowd.serve(time.monotonic() + 5.0)
    runner = pid_of(server, "runner/0")
    used, begun = used_s([runner]), time.perf_counter()
    crowd.serve(time.monotonic() + WATCH_S)
    emit("A11_idle", (used_s([runner]) - used) / (time.perf_counter() - begun) * 100, "%")
    emit("A11_memory", (memory_bytes([runner]) - empty) / AGENTS / 1e3, "kB")
    listed = meanwhile(crowd, f"print(a11_agents.list_s({_shadow(server)}))")
    emit("A11_list", float(listed) * 1e3, "ms")
    burst(server, crowd, runner)
    os.kill(runner, signal.SIGKILL)
    begun = time.perf_counter()
    crowd.serve(time.monotonic() + 1.0)
    crowd.until(lambda: active_while(server, crowd) == AGENTS, "all agents to come back")
    emit("A11_again", time.perf_counter() - begun, "s")


def active_while(server: Server, crowd: Crowd) -> int:
    """As `active`, with the agents answering meanwhile."""
    return int(meanwhile(crowd, f"print(a11_agents.active({_shadow(server)}))"))


def burst(server: Server, crowd: Crowd, runner: int) -> None:
    """Ask for many runs at once, and wait for the last of them."""
    used, begun = used_s([runner]), time.perf_counter()
    line = f"s = {_shadow(server)}; i = s.api.schedule('far', count={RUNS}); "
    line += f"s.api.succeeded('far', i, {PATIENCE_S}); print(0)"
    meanwhile(crowd, line)
    passed = time.perf_counter() - begun
    emit("A11_starts", RUNS / passed, "1/s")
    emit("A11_starts_runner", (used_s([runner]) - used) / RUNS * 1e6, "us")


def _shadow(server: Server) -> str:
    return f"a11_agents.shadow({server.folder!r}, {server.port})"


def shadow(folder: str, port: int) -> Server:
    """Return a running server as another process sees it."""
    server = Server.__new__(Server)
    server.folder, server.port = folder, port
    return server


def meanwhile(crowd: Crowd, code: str) -> str:
    """Run some lines in another process and return what it printed; be agents meanwhile."""
    path = str(Path(__file__).parent)
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r}); "]
    command[-1] += f"import a11_agents; {code}"
    asker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while asker.poll() is None:
        crowd.serve(time.monotonic() + 0.02)
    assert asker.stdout is not None
    if asker.returncode != 0:
        raise BenchError(f"{code}: exit status {asker.returncode}")
    return asker.stdout.read().strip()


if __name__ == "__main__":
    benchmark(main)
