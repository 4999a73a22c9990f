"""An agentd that stood still goes on beside the one that was started meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_stand import AgentStand, a_process
from live_server import PATIENCE_S
from orphans import gone
from warm import popen

from callsheet.messages.agents import AgentHello, AgentWelcome

pytestmark = pytest.mark.slow


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[AgentStand]:
    stand = AgentStand(tmp_path)
    yield stand
    stand.close()


def command(stand: AgentStand, spool: Path) -> list[str]:
    return [
        sys.executable, "-m", "callsheet.agentd.daemon", "--server", stand.endpoint,
        "--spool", str(spool), "--agent-id", "stand", "--log-level", "ERROR",
    ]  # fmt: skip


def test_an_agentd_that_stands_still_has_its_spool_and_goes_on_with_it(stand):
    stand.start()
    os.kill(stand.pid, signal.SIGSTOP)
    second = subprocess.run(
        command(stand, stand.spool), capture_output=True, text=True, timeout=60, check=False
    )
    assert (second.returncode, "another agentd uses this spool" in second.stderr) == (78, True)
    stand.run("r1", a_process("true"))
    os.kill(stand.pid, signal.SIGCONT)
    assert stand.ended("r1").status == 0
    stand.kill()
    stand.start()


def test_of_two_agents_of_one_name_none_is_unheard_for_ever(stand):
    """Each has a spool of its own, as when both go by the name of their host."""
    first = stand.start()
    os.kill(first.pid, signal.SIGSTOP)
    second = popen(command(stand, stand.folder / "another"))
    try:
        stand.wait(AgentHello, lambda hello: hello.pid == second.pid)
        stand.send(AgentWelcome(epoch=1, server_id="stand"))
        os.kill(first.pid, signal.SIGCONT)
        stand.wait(AgentHello, lambda hello: hello.pid == first.pid)
        stand.send(AgentWelcome(epoch=1, server_id="stand"))
    finally:
        second.kill()
        second.wait(PATIENCE_S)
    assert gone(second.pid)
    assert stand.result("r1", a_process("true")).status == 0
