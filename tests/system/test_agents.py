"""Agents of another host: a real agentd over TCP, let in by a token, with real jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from live_server import Server, free_port, until

pytestmark = pytest.mark.slow

JOBS = {
    "remote": "params: [what]\nschedule: []\nprogram:\n  type: procstar-shell\n"
    '  command: "{{ what }}"\n  group_id: far\n',
    "here": "schedule: []\nprogram:\n  type: procstar-shell\n  command: echo here\n",
}


def two_ports() -> int:
    """Return a port that is free with the one after it."""
    while True:
        port = free_port()
        try:
            import socket

            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port + 1))
        except OSError:
            continue
        return port


class Far:
    """An agentd with a spool of its own, as on another host."""

    def __init__(self, server: Server, folder: Path, port: int) -> None:
        self.server, self.folder, self.port = server, folder, port
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    def token(self, *options: str) -> str:
        """Have a token made, and put it into the file the agent reads."""
        made = ctl(self.server, "agent", "token", *options)
        assert made.returncode == 0, made.stderr
        path = self.folder / "token"
        path.touch(mode=0o600)
        path.write_text(made.stdout)
        return made.stdout.strip()

    def start(self, *options: str, port: int | None = None) -> None:
        command = [sys.executable, "-m", "callsheet.agentd.daemon"]
        command += ["--server", f"tcp://127.0.0.1:{port or self.port}"]
        command += ["--spool", str(self.folder / "spool"), "--log-level", "INFO", *options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def ends(self) -> int:
        assert self.process is not None
        return self.process.wait(60)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes()
            except (OSError, NotADirectoryError):
                continue
            if str(self.folder).encode() in words and b"keeper.py" in words:
                os.kill(int(entry.name), signal.SIGKILL)


def ctl(server: Server, *args: str) -> subprocess.CompletedProcess[str]:
    return server.callsheetctl("--host", f"127.0.0.1:{server.port}", *args)


def agent(server: Server, agent_id: str) -> dict[str, object]:
    agents = server.get("/api/v2/agents").json["agents"]
    return next((one for one in agents if one["agent_id"] == agent_id), {})


def is_active(server: Server, agent_id: str) -> Callable[[], bool]:
    return lambda: agent(server, agent_id).get("state") == "active"


def output(server: Server, run_id: str) -> bytes:
    return server.get(f"/api/v1/runs/{run_id}/output/output").body


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    port = two_ports()
    settings = f"agents:\n  listen: tcp://127.0.0.1:{port}\n  start_timeout: 60s\n"
    server = Server(tmp_path, JOBS, settings)
    server.agent_port = port
    server.start()
    yield server
    server.stop()


@pytest.fixture
def far(server: Server, tmp_path: Path) -> Iterator[Callable[[str], Far]]:
    fars: list[Far] = []

    def make(name: str) -> Far:
        fars.append(Far(server, tmp_path / name, server.agent_port))
        return fars[-1]

    yield make
    for one in fars:
        one.close()


def test_an_agent_let_in_by_a_token_runs_jobs_and_comes_back_by_its_key(server, far):
    one = far("one")
    one.token("--group", "far")
    one.start("--token-file", str(one.folder / "token"), "--agent-id", "w1", "--label", "big")
    until(is_active(server, "w1"), f"w1; its log:\n{one.log()}")
    found = agent(server, "w1")
    assert (found["group_id"], found["labels"], found["keyed"]) == ("far", ["big"], True)
    run = server.finished(server.schedule("remote", what="echo hello from far; exit 0"))
    assert (run["state"], output(server, run["run_id"])) == ("success", b"hello from far\n")
    long = server.schedule("remote", what="sleep 3; head -c 300000 /dev/zero; exit 7")
    until(lambda: server.run(long)["state"] == "running", "the run to run")
    one.kill()
    one.start()
    run = server.finished(long)
    assert (run["state"], len(output(server, long))) == ("failure", 300_000), one.log()
    assert run["meta"]["program"]["status"]["exit_code"] == 7


def test_a_token_lets_one_agent_in_and_a_revoked_key_never_again(server, far):
    one, two = far("one"), far("two")
    one.token("--group", "far")
    (two.folder / "token").touch(mode=0o600)
    (two.folder / "token").write_text((one.folder / "token").read_text())
    one.start("--token-file", str(one.folder / "token"), "--agent-id", "w1")
    until(is_active(server, "w1"), f"w1; its log:\n{one.log()}")
    two.start("--token-file", str(two.folder / "token"), "--agent-id", "w2")
    assert two.ends() == 78
    assert "the token has let agent w1 in already" in two.log()
    assert agent(server, "w2") == {}
    run_id = server.schedule("remote", what="sleep 600")
    until(lambda: server.run(run_id)["state"] == "running", "the run to run")
    assert ctl(server, "agent", "revoke", "w1").returncode == 0
    until(lambda: "does not let this agent's key in" in one.log(), "the agent to be told why")
    assert agent(server, "w1")["state"] == "revoked"
    assert server.run(run_id)["state"] == "running"
    two.token("--group", "far")
    two.start("--token-file", str(two.folder / "token"), "--agent-id", "w1")
    assert two.ends() == 78
    assert "expected an id nobody has had" in two.log()
    server.stop()
    server.start()
    assert agent(server, "w1")["state"] == "revoked"
    assert "does not let" in one.log()
    one.kill()


def test_an_agent_without_a_token_or_with_an_open_key_file_does_not_start(server, far):
    one = far("one")
    one.start()
    assert one.ends() == 78
    assert "expected also --token-file for the first time" in one.log()
    key = one.folder / "spool" / "keys" / "agent.key"
    key.chmod(0o644)
    one.start()
    assert one.ends() == 78
    assert "its mode is 0644" in one.log()
