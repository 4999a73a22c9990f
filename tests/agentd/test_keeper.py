"""A keeper alone, spoken to as agentd speaks to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from agent_stand import until

from callsheet.agentd import keeper
from callsheet.agentd.keepers import Keepers

pytestmark = pytest.mark.slow


@pytest.fixture
def process(tmp_path):
    command = [sys.executable, "-I", "-S", keeper.__file__, str(tmp_path), str(tmp_path), "k"]
    with subprocess.Popen(command) as process:
        yield process
        process.kill()


def dial(folder):
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.settimeout(20)
    link.connect(f"{folder}/k.sock")
    return link


def introduction(link):
    items = []
    while not items or items[-1] != ["ready"]:
        data = link.recv(1 << 20)
        assert data, f"the keeper hung up after {items}"
        items += json.loads(data)
    return [item[0] for item in items]


def told(link, verb):
    while True:
        for item in json.loads(link.recv(1 << 20)):
            if item[0] == verb:
                return item


def listens(folder):
    try:
        dial(folder).close()
    except OSError:
        return False
    return True


def test_a_keeper_outlives_an_agentd_that_hangs_up_while_the_next_one_calls(process, tmp_path):
    until(lambda: listens(tmp_path), "the keeper")
    with dial(tmp_path) as old:
        assert introduction(old) == ["hello", "ready"]
        # Asleep, the keeper finds the new connection first, and then the end of the old one.
        os.kill(process.pid, signal.SIGSTOP)
        new = dial(tmp_path)
    os.kill(process.pid, signal.SIGCONT)
    with new:
        assert introduction(new) == ["hello", "ready"]
    assert process.poll() is None


def test_children_whose_end_no_signal_tells_of_are_found_all_the_same(tmp_path):
    """SIGCHLD is blocked, as whoever executes a keeper may leave it: it looks for itself."""
    (tmp_path / "r1.1").mkdir()
    (tmp_path / "r1.1" / "record").write_bytes(bytes(4096))
    command = [sys.executable, "-I", "-S", keeper.__file__, str(tmp_path), str(tmp_path), "k"]
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    try:
        process = subprocess.Popen(command)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
    try:
        until(lambda: listens(tmp_path), "the keeper")
        status = Path(f"/proc/{process.pid}/status").read_text()
        blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
        assert blocked & 1 << signal.SIGCHLD - 1, "the signal comes through: nothing is shown"
        with dial(tmp_path) as link:
            introduction(link)
            argv = ["/bin/sh", "-c", "sleep 0.2; exit 4"]
            link.send(json.dumps([["start", "r1.1", argv, None, False]]).encode())
            pid = told(link, "started")[2]
            text = told(link, "ended")[2].split()
        assert (text[0], text[2], text[4]) == ("X", "4", str(pid))
    finally:
        process.kill()
        process.wait()


DYING = """\
import fcntl, sys, time
with open(sys.argv[1], "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(1)
"""


@pytest.mark.parametrize("name", ["1-0", f"{keeper.FORMAT}-0"])
def test_a_keeper_that_ends_while_it_is_called_is_not_waited_for(tmp_path, name):
    """One of an older format is passed over, one of ours has another come in its place."""
    command = [sys.executable, "-c", DYING, str(tmp_path / f"{name}.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as dying:
        assert dying.stdout.readline() == b"held\n"
        keepers = Keepers(str(tmp_path), str(tmp_path), {}, count=1)
        keepers.open()
    [kept] = keepers.kept.values()
    assert (kept.name, kept.live) == (f"{keeper.FORMAT}-0", {})
    os.kill(kept.pid, signal.SIGKILL)
    keepers.close()
    os.waitpid(kept.pid, 0)
