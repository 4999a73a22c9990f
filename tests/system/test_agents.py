"""Agents of another host: a real agentd over TCP, let in by a token, with real jobs."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from far_agent import Far, agent, ctl, is_active, output, two_ports
from live_server import Server, until

pytestmark = pytest.mark.slow

JOBS = {
    "remote": "params: [what]\nschedule: []\nprogram:\n  type: procstar-shell\n"
    '  command: "{{ what }}"\n  group_id: far\n',
    "here": "schedule: []\nprogram:\n  type: procstar-shell\n  command: echo here\n",
}


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
    go = one.folder / "go"
    what = f"until [ -e {go} ]; do sleep .1; done; head -c 300000 /dev/zero; exit 7"
    long = server.schedule("remote", what=what)
    until(lambda: server.run(long)["state"] == "running", "the run to run")
    one.kill()
    go.touch()
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


def test_an_agent_that_stood_still_is_heard_again_after_another_of_its_key(server, far):
    one, copy = far("one"), far("copy")
    one.token("--group", "far")
    one.start("--token-file", str(one.folder / "token"), "--agent-id", "w1")
    until(is_active(server, "w1"), f"w1; its log:\n{one.log()}")
    # The key is in the spool, which is one agentd's: another has it by a copy, or not at all.
    os.kill(one.process.pid, signal.SIGSTOP)
    shutil.copytree(one.folder / "spool", copy.folder / "spool", ignore=sockets_and_lock)
    copy.start()
    until(lambda: agent(server, "w1").get("pid") == copy.process.pid, "the copy to be the agent")
    assert server.finished(server.schedule("remote", what="true"))["state"] == "success"
    os.kill(one.process.pid, signal.SIGCONT)
    copy.kill()
    assert server.finished(server.schedule("remote", what="true"))["state"] == "success"
    assert agent(server, "w1")["pid"] == one.process.pid


def sockets_and_lock(folder: str, names: list[str]) -> list[str]:
    """Name what of a spool is its agentd's alone, and nothing to be copied."""
    return [name for name in names if name in ("lock", "keepers")]


def test_drained_killed_and_shut_down_as_asked(server, far):
    one = far("one")
    one.token("--group", "far")
    one.start("--token-file", str(one.folder / "token"), "--agent-id", "w1", "--slots", "2")
    until(is_active(server, "w1"), f"w1; its log:\n{one.log()}")
    runs = [server.schedule("remote", what=f"sleep 60{n}") for n in range(3)]
    until(lambda: server.run(runs[1])["state"] == "running", "the second run to run")
    assert server.run(runs[2])["state"] == "starting"
    assert ctl(server, "agent", "kill", "w1", f"{runs[0]}.1").returncode == 0
    killed = server.finished(runs[0])
    assert (killed["state"], killed["meta"]["program"]["status"]["signal"]) == (
        "failure",
        "SIGKILL",
    )
    until(lambda: server.run(runs[2])["state"] == "running", "the third run to get the slot")
    assert ctl(server, "agent", "drain", "w1").returncode == 0
    assert " draining " in ctl(server, "agent", "list").stdout
    waits = server.schedule("remote", what="echo at last")
    # Its processes are left as they are, and taken up by the next agentd.
    assert ctl(server, "agent", "shutdown", "w1").returncode == 0
    assert one.ends() == 0
    one.start()
    until(lambda: agent(server, "w1")["pid"] == one.process.pid, "w1 to come back")
    assert agent(server, "w1")["state"] == "draining"
    assert server.run(runs[1])["state"] == "running"
    assert server.run(waits)["state"] == "starting"
    assert ctl(server, "agent", "undrain", "w1").returncode == 0
    assert ctl(server, "agent", "shutdown", "--kill", "w1").returncode == 0
    assert one.ends() == 0
    assert [server.finished(run_id)["state"] for run_id in runs[1:]] == ["failure", "failure"]
    one.start()
    assert server.finished(waits)["state"] == "success"
    unknown = ctl(server, "agent", "drain", "nobody")
    assert (unknown.returncode, "unknown agent nobody" in unknown.stderr) == (1, True)
