"""Roles in processes of their own: names, restarts with a new epoch, orphans, hung stages."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from callsheet.actors.play import play, watch_beside
from callsheet.store.sqlite import SqliteReader, create_database

pytestmark = pytest.mark.slow

DEADLINE_S = 60.0

SERVER = """
import sys
from pathlib import Path
import zmq
from callsheet.actors.play import play
from callsheet.actors.roles import SPECS, Stagehand, Terms
from callsheet.actors.supervise import Program, supervise
from callsheet.wire.place import Place

folder = Path(sys.argv[1])
names = ("database", "outputs", "job_dir", "cache")
terms = Terms(**{name: str(folder / name) for name in names})
hand = Stagehand(terms, Place(folder), zmq.Context.instance)

def program(role):
    return Program(
        spec=SPECS[role], play=lambda fd: play(role, lambda link: hand.start(role, link), fd)
    )

status, sentence = supervise(
    [program(role) for role in ("ledger/0", "waiter/0")], folder, lambda said: None
)
print(sentence, flush=True)
sys.exit(status)
"""


class Server:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def health(self) -> dict[str, Any]:
        try:
            health: dict[str, Any] = json.loads((self.folder / "health.json").read_text())
        except FileNotFoundError:
            return {"roles": {}, "ready": False, "degraded": {}}
        return health

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, int]:
        until_s = time.monotonic() + DEADLINE_S
        while not holds(health := self.health()):
            assert time.monotonic() < until_s, f"last: {health}"
            assert self.process.poll() is None, self.output()
            time.sleep(0.005)
        return {role: kept["pid"] for role, kept in health["roles"].items()}

    def output(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.read()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    create_database(tmp_path / "database")
    server = Server(tmp_path)
    yield server
    server.process.kill()
    server.process.wait()
    assert server.process.stdout is not None
    server.process.stdout.close()


def gone(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def head(folder: Path) -> tuple[int, int]:
    reader = SqliteReader(folder / "database")
    try:
        return reader.head()
    finally:
        reader.close()


def test_each_process_shows_its_role(server: Server) -> None:
    pids = server.until(lambda health: health["ready"])
    proc = Path("/proc")
    assert (proc / str(pids["ledger/0"]) / "comm").read_text() == "cs-ledger\n"
    shown = (proc / str(pids["waiter/0"]) / "cmdline").read_bytes().rstrip(b"\0")
    assert shown == b"callsheet: waiter/0"


def test_a_stop_closes_all_in_order_and_exits_0(server: Server) -> None:
    pids = server.until(lambda health: health["ready"])
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(DEADLINE_S) == 0
    assert all(gone(pid) for pid in pids.values())
    assert server.output().strip() == ""


def test_a_killed_ledger_comes_back_with_a_new_epoch(server: Server) -> None:
    pids = server.until(lambda health: health["ready"])
    before, _ = head(server.folder)
    os.kill(pids["ledger/0"], signal.SIGKILL)
    server.until(lambda h: h["roles"]["ledger/0"]["starts"] == 2 and h["degraded"] == {})
    server.until(lambda h: h["roles"]["ledger/0"]["ready"])
    assert head(server.folder)[0] == before + 1


def test_roles_without_a_supervisor_end_and_let_go_of_the_database(server: Server) -> None:
    pids = server.until(lambda health: health["ready"])
    server.process.kill()
    until_s = time.monotonic() + DEADLINE_S
    while not all(gone(pid) for pid in pids.values()):
        assert time.monotonic() < until_s
        time.sleep(0.005)
    server.process.wait()
    (server.folder / "health.json").unlink()
    again = Server(server.folder)
    again.until(lambda health: health["ready"] and health["roles"]["ledger/0"]["starts"] == 1)
    again.process.send_signal(signal.SIGTERM)
    assert again.process.wait(DEADLINE_S) == 0
    again.output()


def test_even_a_frozen_role_ends_once_it_wakes_without_a_supervisor(server: Server) -> None:
    pids = server.until(lambda health: health["ready"])
    os.kill(pids["waiter/0"], signal.SIGSTOP)
    server.process.kill()
    os.kill(pids["waiter/0"], signal.SIGCONT)
    until_s = time.monotonic() + DEADLINE_S
    while not gone(pids["waiter/0"]):
        assert time.monotonic() < until_s
        time.sleep(0.005)


def test_a_missing_database_is_one_sentence_and_status_1(tmp_path: Path) -> None:
    server = Server(tmp_path)
    assert server.process.wait(DEADLINE_S) == 1
    output = server.output()
    assert "there is no such file" in output
    assert "Traceback" not in output
    assert not (tmp_path / "database").exists()


class WithoutSupervisor:
    """A line whose other end is gone."""

    def watch(self, over: Callable[[], bool]) -> bool:
        return False

    def wait_closed(self, timeout_s: float) -> bool:
        return False


class Staying:
    """A stage that is alive; to stop it, which closes its sockets in order, is a mistake."""

    def is_alive(self) -> bool:
        return True

    def stop(self, *, block: bool) -> None:
        os._exit(7)


def end_of(act: Callable[[], Any]) -> int:
    """Return the exit status of a process that does this."""
    pid = os.fork()
    if pid == 0:
        act()
        os._exit(8)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def played(stage: Any) -> None:
    """Play a role whose supervisor is gone from the begin on."""
    ours, theirs = socket.socketpair()
    theirs.close()
    play("waiter/0", lambda _: stage, ours.fileno())


def test_a_role_without_a_supervisor_ends_at_once_and_meets_no_other_server() -> None:
    line: Any = WithoutSupervisor()
    stage: Any = Staying()
    assert end_of(lambda: played(stage)) == 0
    assert end_of(lambda: watch_beside(line, stage, lambda: os._exit(7)).join()) == 0
