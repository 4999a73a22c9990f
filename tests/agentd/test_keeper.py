"""A keeper alone, spoken to as agentd speaks to it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from agent_stand import lives, until

from callsheet.agentd import keeper, procs, start_keeper
from callsheet.agentd.keepers import Keepers

pytestmark = pytest.mark.slow


def keepers_in(folder, *names):
    """Start keepers as agentd does; return their pids."""
    paths = [start_keeper.__file__, str(folder), str(folder)]
    subprocess.run([sys.executable, "-I", "-S", *paths, *names], check=True, timeout=60)
    return [int((folder / f"{name}.lock").read_text().split(".")[1]) for name in names]


@pytest.fixture
def pid(tmp_path):
    [pid] = keepers_in(tmp_path, "k")
    yield pid
    os.kill(pid, signal.SIGKILL)


def dial(folder, name="k"):
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link.settimeout(20)
    link.connect(f"{folder}/{name}.sock")
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


def test_a_keeper_outlives_an_agentd_that_hangs_up_while_the_next_one_calls(pid, tmp_path):
    with dial(tmp_path) as old:
        assert introduction(old) == ["hello", "ready"]
        # Asleep, the keeper finds the new connection first, and then the end of the old one.
        os.kill(pid, signal.SIGSTOP)
        new = dial(tmp_path)
    os.kill(pid, signal.SIGCONT)
    with new:
        assert introduction(new) == ["hello", "ready"]
    assert lives(pid)


def test_two_keepers_of_one_start_share_nothing_but_memory(tmp_path):
    """Each has its session, lock, socket and log; none is left of what started them."""
    pids = keepers_in(tmp_path, "k", "l")
    try:
        stats = [procs.stat_of(pid) for pid in pids]
        assert [(stat.pid, stat.session) for stat in stats] == [(pid, pid) for pid in pids]
        # A parent that was the other one would hear of its end, and take it for a run's stray.
        assert not {stat.parent for stat in stats} & set(pids)
        logs = [os.readlink(f"/proc/{pid}/fd/2") for pid in pids]
        assert logs == [f"{tmp_path}/k.log", f"{tmp_path}/l.log"]
        os.kill(pids[0], signal.SIGKILL)
        until(lambda: not lives(pids[0]), "one to end")
        with (tmp_path / "k.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with dial(tmp_path, "l") as link:
            assert introduction(link) == ["hello", "ready"]
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_a_start_is_over_when_its_keepers_can_be_called_or_are_gone(tmp_path):
    """Where one has the name already, another of it goes."""
    [first] = keepers_in(tmp_path, "k")
    pids = keepers_in(tmp_path, "k", "l")
    try:
        assert pids[0] == first
        for name in "kl":
            with dial(tmp_path, name) as link:
                assert introduction(link) == ["hello", "ready"]
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


def test_children_whose_end_no_signal_tells_of_are_found_all_the_same(tmp_path):
    """SIGCHLD is blocked, as whoever executes a keeper may leave it: it looks for itself."""
    (tmp_path / "r1.1").mkdir()
    (tmp_path / "r1.1" / "record").write_bytes(bytes(4096))
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    try:
        [kept] = keepers_in(tmp_path, "k")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
    try:
        status = Path(f"/proc/{kept}/status").read_text()
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
        os.kill(kept, signal.SIGKILL)


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


def test_that_a_process_started_is_told_once_and_never_after_its_end(pid, tmp_path):
    """Of one that is over at once only its end; of one that runs on its start, also while others
    wait for theirs."""
    keys = [f"r{n}.1" for n in range(60)]
    for key in keys:
        (tmp_path / key).mkdir()
        (tmp_path / key / "record").write_bytes(bytes(4096))
    with dial(tmp_path) as link:
        introduction(link)
        items = [["start", key, ["/bin/true"], None, False] for key in keys[1:]]
        items.insert(0, ["start", keys[0], ["/bin/sleep", "60"], None, False])
        link.send(json.dumps(items).encode())
        began, over = [], []
        while keys[0] not in began or len(over) < len(keys) - 1:
            for word, key, *_ in json.loads(link.recv(1 << 20)):
                assert key not in over, f"{word} {key} after its end"
                assert key not in began or word == "ended"
                (began if word == "started" else over).append(key)
        assert sorted(over) == sorted(keys[1:])
        link.send(json.dumps([["signal", keys[0], signal.SIGKILL, True]]).encode())
        assert told(link, "ended")[1] == keys[0]
