"""agentd is upgraded under live runs: keepers and claims of the format before are understood.

`format_1` holds the keeper as it was when keepers spoke format 1 and no stream could be apart; the
spec of a claim is what the agentd of that day wrote, key by key.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from agent_stand import AgentStand, a_shell, lives, until

from callsheet.agentd import keeper
from callsheet.agentd.keeper_record import BOOT, EXIT, SPEC_OFFSET
from callsheet.messages.agents import ProcessLost, StopProcess

pytestmark = pytest.mark.slow

OLD_KEEPER = Path(__file__).parent / "format_1" / "keeper.py"
OLD_SPEC = {
    "program": {
        "type": "bound-process", "argv": [], "group_id": "default", "sudo_user": None,
        "stop_signal": 15, "grace_us": 60_000_000, "timeout_us": None, "timeout_signal": 15,
        "mem_max_bytes": None, "cwd": None, "env": {}, "umask": None,
    },
    "argv": [],
    "env": {},
}  # fmt: skip


class OldAgent:
    """What an agentd of format 1 did: it made claims, and had its keeper start them."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        for name in ("runs", "keepers"):
            (spool / name).mkdir(parents=True)
        command = [sys.executable, "-I", "-S", str(OLD_KEEPER), str(spool / "runs")]
        self.keeper = subprocess.Popen([*command, str(spool / "keepers"), "1-0"])
        self.link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.link.settimeout(60)
        until(self._connected, "the old keeper")
        self.say("env", {"PATH": os.environ["PATH"]})
        self.said: list[list] = []
        assert self.hear("hello")[1] == 1

    def _connected(self) -> bool:
        # The socket's file is there a moment before anybody listens.
        return self.link.connect_ex(f"{self.spool}/keepers/1-0.sock") == 0

    def say(self, *words) -> None:
        self.link.send(json.dumps([words]).encode())

    def hear(self, verb: str, key: str | None = None) -> list:
        while True:
            for item in self.said:
                if item[0] == verb and key in (None, item[1]):
                    self.said.remove(item)
                    return item
            self.said += json.loads(self.link.recv(1 << 20))

    def claim(self, run_id: str, command: str) -> None:
        argv = ["/bin/sh", "-c", command]
        spec = {**OLD_SPEC, "program": {**OLD_SPEC["program"], "argv": argv}, "argv": argv}
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_bytes()
        body = json.dumps(spec, separators=(",", ":")).encode()
        head = (b"callsheet run, format 1\n".ljust(BOOT[0], b"\0") + boot_id).ljust(
            SPEC_OFFSET, b"\0"
        )
        folder = self.spool / "runs" / f"{run_id}.1"
        folder.mkdir(mode=0o700)
        (folder / "record").write_bytes(head + b"%08d\n" % len(body) + body)

    def run(self, run_id: str, command: str) -> int:
        """Claim and start; return the pid."""
        self.claim(run_id, command)
        self.say("start", f"{run_id}.1", ["/bin/sh", "-c", command], None)
        return self.hear("started", f"{run_id}.1")[2]

    def recorded_end(self, run_id: str) -> bool:
        data = (self.spool / "runs" / f"{run_id}.1" / "record").read_bytes()
        return bool(data[EXIT[0] : sum(EXIT)].strip(b"\0"))

    def close(self) -> None:
        self.link.close()
        self.keeper.kill()
        self.keeper.wait()


@pytest.fixture
def stand(tmp_path):
    stand = AgentStand(tmp_path)
    yield stand
    stand.close()


@pytest.fixture
def old(stand):
    old = OldAgent(stand.spool)
    yield old
    old.close()


def held(folder, code):
    return f"echo began; while [ ! -e {folder}/go ]; do sleep 0.05; done; echo over; exit {code}"


def test_the_keeper_and_the_claims_of_the_agentd_before_are_understood(stand, old, tmp_path):
    assert keeper.FORMAT > 1, "this is the keeper of today"
    pids = {
        "r1": old.run("r1", held(tmp_path, 3)),
        "r2": old.run("r2", "echo gone; exit 7"),
        "r3": old.run("r3", "exec sleep 600"),
    }
    old.claim("r4", "exit 5")  # the upgrade comes before its keeper is asked to start it
    until(lambda: old.recorded_end("r2"), "the second to end")
    old.link.close()
    hello = stand.start()
    assert {claim.run_id: claim.state for claim in hello.claims} == {
        "r1": "running", "r2": "done", "r3": "running", "r4": "not_started",
    }  # fmt: skip
    # What ended while nobody was there is told as it was.
    ended = stand.ended("r2")
    assert (ended.status, ended.pid) == (7, pids["r2"])
    assert Path(ended.spool_path).read_bytes() == b"gone\n"
    # The old keeper does what it is told by the new agentd, with the same processes.
    stand.send(StopProcess(epoch=1, run_id="r3", attempt=1))
    ended = stand.ended("r3")
    assert (ended.status, ended.pid, ended.stop_signals) == (-15, pids["r3"], ["SIGTERM"])
    # What was claimed is started by a keeper of today, as is what comes anew.
    stand.run("r4", a_shell("exit 5"))
    assert stand.ended("r4").status == 5
    assert stand.result("r5", a_shell("exit 6")).status == 6
    assert lives(pids["r1"])
    assert old.keeper.poll() is None
    (tmp_path / "go").touch()
    ended = stand.ended("r1")
    assert (ended.status, ended.pid) == (3, pids["r1"])
    assert Path(ended.spool_path).read_bytes() == b"began\nover\n"
    # It had been told to go after its last run.
    assert old.keeper.wait(60) == 0


def test_an_upgrade_that_is_killed_on_the_way_loses_nothing(stand, old, tmp_path):
    pids = {f"r{n}": old.run(f"r{n}", held(tmp_path, n)) for n in range(10)}
    old.link.close()
    for n in range(6):
        stand.launch()
        time.sleep(0.2 * n)
        stand.kill()
    stand.start()
    stand.kill()
    stand.start()
    (tmp_path / "go").touch()
    for run_id, pid in pids.items():
        ended = stand.ended(run_id)
        assert (ended.status, ended.pid) == (int(run_id[1:]), pid)
        assert Path(ended.spool_path).read_bytes() == b"began\nover\n"


def test_a_keeper_of_the_format_before_that_is_killed_leaves_lost_runs(stand, old):
    pid = old.run("r1", "exec sleep 600")
    old.link.close()
    stand.start()
    old.keeper.kill()
    old.keeper.wait()
    assert lives(pid)
    os.kill(pid, signal.SIGKILL)
    assert isinstance(stand.ended("r1"), ProcessLost)
