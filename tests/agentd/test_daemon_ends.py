"""A real agentd that ends with its processes, or is left alone by its server for long."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest
from agent_stand import AgentStand, a_process, a_shell, lives, until
from keepers import keepers_of

from callsheet.messages.agents import (
    AGENT_VERSIONS,
    AgentHello,
    AgentWelcome,
    ListProcesses,
    ProcessList,
    ShutDown,
)
from callsheet.messages.hello import Refuse

pytestmark = pytest.mark.slow


@pytest.fixture
def stand(tmp_path):
    stand = AgentStand(tmp_path)
    yield stand
    stand.close()


def claims(stand):
    return sorted(entry.name for entry in (stand.spool / "runs").iterdir())


def heeding(ready):
    """Return a process that ends with status 3 when it is stopped, once `ready` is there."""
    return a_shell(f"trap 'echo bye; exit 3' TERM; sleep 600 & touch {ready}; wait")


def test_told_to_stop_its_processes_it_leaves_nothing_behind(stand, tmp_path):
    stand.start()
    stand.run("r1", a_process("sleep", "600"))
    stand.run("r2", heeding(tmp_path / "ready"))
    pids = [stand.started(run_id).pid for run_id in ("r1", "r2")]
    until((tmp_path / "ready").exists, "the trap to be set")
    stand.send(ShutDown(epoch=1, stop=True))
    assert stand.ended("r1").status == -signal.SIGTERM
    assert stand.ended("r2").status == 3
    assert stand.process.poll() is None
    stand.forget("r1")
    stand.forget("r2")
    assert stand.process.wait(60) == 0
    assert [lives(pid) for pid in pids] == [False, False]
    assert claims(stand) == []


def test_sigterm_stops_its_processes_where_it_is_to_and_a_result_waits_for_its_server(
    stand, tmp_path
):
    stand.options = ["--on-stop", "stop"]
    stand.start()
    stand.run("r1", heeding(tmp_path / "ready"))
    pid = stand.started("r1").pid
    until((tmp_path / "ready").exists, "the trap to be set")
    stand.process.terminate()
    ended = stand.ended("r1")
    assert (ended.status, lives(pid)) == (3, False)
    # Told once more it does not wait for the server to take it.
    stand.process.terminate()
    assert stand.process.wait(60) == 0
    assert "r1.1" in claims(stand)
    stand.options = []
    hello = stand.start()
    assert [(claim.run_id, claim.state) for claim in hello.claims] == [("r1", "done")]


def test_without_a_server_for_long_processes_are_stopped_and_results_removed(stand):
    stand.start()
    stand.run("r1", a_process("sleep", "600"))
    pid = stand.started("r1").pid
    stand.kill()
    stand.options = ["--abandon-processes-after", "0.3s", "--abandon-results-after", "1s"]
    # It is heard of, and nobody says that it is known: no server is there.
    stand.start_unanswered()
    until(lambda: not lives(pid), "the process to be stopped")
    until(lambda: "r1.1" not in claims(stand), "its result to be removed")


def test_a_list_says_what_a_process_uses_with_all_it_started(stand):
    stand.start()
    stand.run("r1", a_shell("sleep 600 & sleep 600 & wait"), job_id="pair")
    stand.started("r1")

    def listed():
        stand.send(ListProcesses(epoch=1, request="q"))
        return stand.wait(ProcessList).processes

    until(lambda: listed()[0].rss_bytes > 0, "its memory")
    [info] = listed()
    assert (info.job_id, info.is_stopping) == ("pair", False)


def test_a_real_agentd_works_for_a_server_of_the_version_before(stand):
    newest = stand.start_unanswered()
    assert newest.version == AGENT_VERSIONS[-1]
    stand.send(Refuse(sentence="speaks protocol version 3: expected 1 to 2"))
    older = stand.wait(AgentHello, lambda hello: hello.version == AGENT_VERSIONS[-2])
    assert older.incarnation == newest.incarnation
    stand.send(AgentWelcome(epoch=1, server_id="old"))
    assert stand.result("r1", a_shell("exit 4")).status == 4


def test_an_agentd_whose_supervisor_is_gone_before_it_works_ends_in_order(tmp_path):
    theirs, ours = socket.socketpair()
    ours.close()
    spool = tmp_path / "spool"
    command = [sys.executable, "-m", "callsheet.agentd.daemon", "--server", "ipc:///nowhere",
               "--spool", str(spool), "--supervised-fd", str(theirs.fileno())]  # fmt: skip
    try:
        result = subprocess.run(
            command, pass_fds=[theirs.fileno()], capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
    finally:
        theirs.close()
        for keeper in keepers_of(spool):
            os.kill(keeper, signal.SIGKILL)
    assert (result.returncode, "Traceback" in result.stderr) == (0, False), result.stderr
