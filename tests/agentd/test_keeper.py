"""A keeper alone, spoken to as agentd speaks to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from agent_stand import until

from callsheet.agentd import keeper

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
