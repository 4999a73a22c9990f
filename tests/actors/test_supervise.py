"""The supervisor's loop over real processes: fork, line, kill, stop, orphans."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

DEADLINE_S = 60.0

# A server of three roles: `first` and `second` beat and obey; `other` is a program of its own.
SERVER = """
import logging, os, signal, sys, threading, time
from pathlib import Path
from callsheet.actors.link import SupervisedLink
from callsheet.actors.supervise import Program, supervise
from callsheet.actors.supervisor import RoleSpec

logging.basicConfig(level="WARNING", format="%(message)s")
folder = Path(sys.argv[1])
behaviour = dict(pair.split("=") for pair in sys.argv[2:])

def play(role):
    def main(fd):
        link = SupervisedLink(fd)
        what = behaviour.get(role, "")
        if what == "dies":
            return 70
        if what == "unusable":
            link.unusable(f"{role}: is missing: expected it")
        link.ready(f"detail of {role}")
        if what == "deaf":
            while True:
                time.sleep(60)
        def beat():
            while True:
                link.beat()
                time.sleep(5)
        threading.Thread(target=beat, daemon=True).start()
        asked = link.watch(lambda: False)
        with open(folder / "order", "a") as order:
            order.write(f"{role} {'asked' if asked else 'orphaned'}\\n")
        return 0
    return main

OTHER = '''
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
fd = int(sys.argv[1])
os.write(fd, b"ready" + bytes([10]))
while True:
    data = os.read(fd, 100)
    if not data or b"stop" in data:
        break
open(sys.argv[2], "a").write("other " + ("asked" if data else "orphaned") + chr(10))
'''

programs = [
    Program(spec=RoleSpec(role="first", start_wave=0, stop_wave=2), play=play("first")),
    Program(spec=RoleSpec(role="second", stop_wave=0), play=play("second")),
    Program(
        spec=RoleSpec(role="other", stop_wave=1, silence_s=None),
        command=lambda fd: [
            sys.executable, "-c", OTHER, str(fd), str(folder / "order")
        ],
    ),
]
if behaviour.get("other") == "none":
    programs.pop()
status, sentence = supervise(
    programs, folder, lambda said: print("announced", said, flush=True)
)
print(f"ended {status} {sentence}", flush=True)
sys.exit(status)
"""


class Server:
    def __init__(self, folder: Path, *behaviour: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(folder), *behaviour],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads((self.folder / "health.json").read_text())
        except FileNotFoundError:
            return {"roles": {}, "ready": False, "degraded": {}}
        return state

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        until_s = time.monotonic() + DEADLINE_S
        while not holds(state := self.state()):
            assert time.monotonic() < until_s, f"last: {state}"
            assert self.process.poll() is None, self.output()
            time.sleep(0.005)
        return state

    def ready(self) -> dict[str, int]:
        state = self.until(lambda state: state["ready"])
        return {role: kept["pid"] for role, kept in state["roles"].items()}

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def output(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def order(self) -> list[str]:
        path = self.folder / "order"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*behaviour: str) -> Server:
        servers.append(Server(tmp_path, *behaviour))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()
        assert server.process.stdout is not None
        server.process.stdout.close()


def gone(pid: int) -> bool:
    """Whether a process is no more (or only a zombie that its new parent has not reaped)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def test_all_are_started_announced_and_stopped_in_order(serve: Callable[..., Server]) -> None:
    server = serve()
    pids = server.ready()
    assert len(set(pids.values())) == 3
    said = json.loads((server.folder / "processes.json").read_text())
    assert said == {"supervisor": server.process.pid, **pids}
    assert server.end() == 0
    assert server.order() == ["second asked", "other asked", "first asked"]
    assert "'first': 'detail of first'" in server.output()
    assert all(gone(pid) for pid in pids.values())
    assert not (server.folder / "processes.json").exists()


@pytest.mark.parametrize("role", ["first", "second", "other"])
def test_a_killed_role_is_started_again(serve: Callable[..., Server], role: str) -> None:
    server = serve()
    before = server.ready()
    os.kill(before[role], signal.SIGKILL)
    state = server.until(
        lambda state: state["roles"][role]["ready"] and state["roles"][role]["starts"] == 2
    )
    after = {name: kept["pid"] for name, kept in state["roles"].items()}
    assert after[role] != before[role]
    assert {k: v for k, v in after.items() if k != role} == {
        k: v for k, v in before.items() if k != role
    }
    assert server.end(signal.SIGINT) == 0


def test_a_role_that_dies_at_start_degrades_and_the_rest_goes_on(
    serve: Callable[..., Server],
) -> None:
    server = serve("second=dies")
    state = server.until(lambda state: "second" in state["degraded"])
    assert state["roles"]["first"]["ready"]
    assert server.end() == 0
    assert "second ended: exit status 70" in server.output()


def test_a_mistake_of_the_user_ends_the_server_with_its_sentence(
    serve: Callable[..., Server],
) -> None:
    server = serve("first=unusable")
    assert server.process.wait(DEADLINE_S) == 1
    assert "ended 1 first: is missing: expected it" in server.output()


def test_a_hang_up_stops_in_order_and_asks_to_begin_anew(serve: Callable[..., Server]) -> None:
    server = serve()
    server.ready()
    server.end(signal.SIGHUP)
    assert server.order() == ["second asked", "other asked", "first asked"]
    assert "ended -1" in server.output()


def test_a_role_that_does_not_stop_is_killed(serve: Callable[..., Server]) -> None:
    server = serve("second=deaf")
    pids = server.ready()
    assert server.end() == 0
    assert server.order() == ["other asked", "first asked"]
    assert gone(pids["second"])


def test_roles_notice_that_their_supervisor_was_killed(serve: Callable[..., Server]) -> None:
    server = serve()
    pids = server.ready()
    server.end(signal.SIGKILL)
    until_s = time.monotonic() + DEADLINE_S
    while not all(gone(pid) for pid in pids.values()):
        assert time.monotonic() < until_s
        time.sleep(0.005)
    assert sorted(server.order()) == ["first orphaned", "other orphaned", "second orphaned"]


def test_no_role_holds_the_line_of_another(serve: Callable[..., Server]) -> None:
    server = serve()
    pids = server.ready()
    links = {
        role: sorted(os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
        for role, pid in pids.items()
    }
    sockets = [link for fds in links.values() for link in fds if link.startswith("socket:")]
    assert len(sockets) == len(set(sockets)) == 3
    server.end()
