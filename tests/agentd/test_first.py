"""The first process of a container: agentd dies and comes again, orphans are buried, all ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from agent_stand import AgentStand, a_process, a_shell, lives, until
from keepers import children_of

from callsheet.agentd import first, options
from callsheet.agentd.options import UNUSABLE
from callsheet.messages.agents import AgentHello, AgentWelcome

CONTAINERFILE = Path(__file__).parents[2] / "packaging" / "container" / "Containerfile"


def test_the_environment_of_a_container_says_what_agentd_is_to_be():
    environ = {
        "CALLSHEET_SERVER": "tcp://h:5901",
        "CALLSHEET_TOKEN_FILE": "/run/secrets/token",
        "CALLSHEET_GROUP": "batch",
        "CALLSHEET_SLOTS": "4",
        "CALLSHEET_AGENT_ID": "",
    }
    found = options.parse(first.arguments(environ, ["--label", "big"]))
    options.check(found)
    assert (found.server, found.token_file) == ("tcp://h:5901", "/run/secrets/token")
    assert (found.group, found.slots, found.agent_id) == ("batch", 4, None)
    assert (found.spool, found.on_stop, found.labels) == (first.SPOOL, "stop", ["big"])


def test_the_container_starts_what_there_is_and_keeps_its_spool():
    text = CONTAINERFILE.read_text()
    agent = text.partition(" AS agent\n")[2]
    entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", agent, re.MULTILINE)[1])
    assert entry == ["python", "-m", first.__name__]
    assert re.search(r"^VOLUME (.*)$", agent, re.MULTILINE)[1] == first.SPOOL
    assert first.UNUSABLE == UNUSABLE


@pytest.fixture
def stand(tmp_path):
    stand = AgentStand(tmp_path)
    yield stand
    stand.close()


@pytest.fixture
def kept(stand):
    """The first process of a container, with an agentd that the stand has welcomed."""
    command = [sys.executable, "-m", "callsheet.agentd.first", "--agent-id", "stand"]
    environ = {"CALLSHEET_SERVER": stand.endpoint, "CALLSHEET_SPOOL": str(stand.spool)}
    stand.process = subprocess.Popen(command, env={**os.environ, **environ})
    welcome(stand)
    return stand.process


def welcome(stand):
    hello = stand.wait(AgentHello)
    stand.send(AgentWelcome(epoch=stand.epoch, server_id="stand"))
    return hello


@pytest.mark.slow
def test_agentd_dies_and_comes_again_and_all_that_ends_is_buried(stand, kept, tmp_path):
    stand.run("r1", a_process("sleep", "600"))
    pid = stand.started("r1").pid
    os.kill(stand_agentd(kept), signal.SIGKILL)
    assert [claim.state for claim in welcome(stand).claims] == ["running"]
    assert lives(pid)
    # Of this one a child is left that nobody waits for.
    left = tmp_path / "left"
    assert stand.result("r2", a_shell(f"sleep 0.3 & echo $! > {left}; exit 5")).status == 5
    orphan = Path("/proc", left.read_text().strip())
    until(lambda: not orphan.exists(), "the dead to be buried")
    kept.send_signal(signal.SIGTERM)
    assert stand.ended("r1").status == -signal.SIGTERM
    stand.forget("r1")
    stand.forget("r2")
    assert kept.wait(60) == 0


@pytest.mark.slow
def test_what_a_person_has_to_mend_ends_the_container(stand):
    command = [sys.executable, "-m", "callsheet.agentd.first", "--server", "nonsense"]
    environ = {**os.environ, "CALLSHEET_SPOOL": str(stand.spool)}
    ended = subprocess.run(command, env=environ, capture_output=True, timeout=60, check=False)
    assert ended.returncode == UNUSABLE
    assert b"--server: 'nonsense' cannot be used" in ended.stderr


def stand_agentd(kept):
    """Return the agentd among the children of the first process."""
    for child in children_of(kept.pid):
        if "callsheet.agentd.daemon" in Path(f"/proc/{child}/cmdline").read_text():
            return child
    raise AssertionError("no agentd")
