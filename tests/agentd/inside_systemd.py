"""An agent kept by its user's systemd. Run by `test_own_kernel.py` in a kernel of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from agent_stand import AgentStand, a_shell, lives, until

from callsheet.cli.agent_shells import HereShell
from callsheet.cli.agent_steps import Plan, Steps
from callsheet.messages.agents import AgentHello, AgentWelcome

HOME = Path("/run/user/0")
PLACE = Path("/sys/fs/cgroup/user")


@pytest.fixture(scope="module", autouse=True)
def systemd():
    """The systemd of this user, as if the system had been booted with one."""
    HOME.mkdir(mode=0o700, parents=True)
    Path("/run/systemd/system").mkdir(parents=True)
    PLACE.mkdir()
    os.environ |= {"XDG_RUNTIME_DIR": str(HOME), "HOME": str(HOME)}
    command = f"echo $$ > {PLACE}/cgroup.procs; exec /lib/systemd/systemd --user"
    process = subprocess.Popen(["/bin/sh", "-c", command])
    asked = ["systemctl", "--user", "show-environment"]
    until(
        lambda: subprocess.run(asked, capture_output=True, check=False).returncode == 0,
        "systemd to answer",
    )
    yield
    process.terminate()
    process.wait(60)


class Office:
    """The server: a stand in the place of its runner."""

    def __init__(self, stand: AgentStand) -> None:
        self.stand = stand
        self.pid = 0

    def token(self, group):
        return "not shown to a server of this host"

    def address(self):
        return self.stand.endpoint

    def agent(self, agent_id):
        self.stand.drain()
        for message in list(self.stand.messages):
            if isinstance(message, AgentHello):
                self.stand.messages.remove(message)
                self.stand.send(AgentWelcome(epoch=self.stand.epoch, server_id="stand"))
                self.pid = message.pid
        return {"connected": True, "pid": self.pid, "state": "active"} if self.pid else None


def test_an_agent_kept_by_systemd_is_started_again_and_ended_alone(tmp_path):
    stand = AgentStand(tmp_path)
    office = Office(stand)
    plan = Plan(
        agent_id="stand",
        folder=str(tmp_path),
        command=(sys.executable, "-P", "-m", "callsheet.agentd.daemon"),
    )
    told = []

    def steps():
        return Steps(HereShell(), office, plan, told.append)

    try:
        found = steps().install(start=True)
        assert (found.by, found.state, found.pid) == ("systemd", "active", office.pid)
        # Nobody here may say that a user lingers.
        assert ["logs out" in remark for remark in found.remarks] == [True]
        stand.run("r1", a_shell("echo up; while [ ! -e go ]; do sleep .2; done; exit 7",
                                cwd=str(tmp_path)))  # fmt: skip
        pid = stand.started("r1").pid
        # Killed, it is started again; what it runs goes on.
        os.kill(found.pid, signal.SIGKILL)
        until(lambda: office.agent("stand")["pid"] != found.pid, "another agentd")
        assert lives(pid)
        # Ended, it stays away, and what it runs goes on.
        assert steps().stop().pid == 0
        assert lives(pid)
        (tmp_path / "go").touch()
        until(lambda: not lives(pid), "the process to end")
    finally:
        subprocess.run(["systemctl", "--user", "stop", steps().unit], check=False)
        stand.close()
