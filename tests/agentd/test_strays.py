"""Whoever leaves the process of a run: told when it ends, killed when it is stopped; and nobody
else is ever signalled."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from agent_stand import AgentStand, a_process, a_shell, lives, until

from callsheet.agentd import keeper_record, procs
from callsheet.messages.agents import ProcessLost, StopProcess

pytestmark = pytest.mark.slow

# Leaves its parent and its session.
DAEMON = """\
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
with open(sys.argv[1] + ".part", "w") as file: file.write(str(os.getpid()))
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(600)
"""


# Put into a shell after a child was started: the name of one is told only once it is that program.
UNTIL_IT_SLEEPS = 'while [ "$(cat /proc/$!/comm)" != sleep ]; do :; done'


@pytest.fixture
def stand(tmp_path):
    stand = AgentStand(tmp_path)
    yield stand
    stand.close()


@pytest.fixture
def a_daemon(tmp_path):
    """Return how a shell starts a daemon and waits for it, and how to get its pid."""
    (tmp_path / "daemon.py").write_text(DAEMON)
    path = tmp_path / "pid"
    command = f"{sys.executable} -I -S {tmp_path}/daemon.py {path}; "
    command += f"while [ ! -e {path} ]; do sleep 0.02; done; "

    def pid():
        return int(until(lambda: path.exists() and path.read_text(), "the daemon"))

    yield command, pid
    if path.exists() and lives(pid()):
        os.kill(pid(), signal.SIGKILL)


def test_the_mark_of_a_process_is_random_and_no_other_spool_s(stand, tmp_path):
    (tmp_path / "other").mkdir()
    other = AgentStand(tmp_path / "other")
    marks = []
    try:
        for agent in (stand, other):
            agent.start()
            ended = agent.result("r1", a_shell("echo $CALLSHEET_CLAIM"))
            marks.append(Path(ended.spool_path).read_text().strip())
    finally:
        other.close()
    assert all(re.fullmatch(r"[0-9a-f]{16}\.r1\.1", mark) for mark in marks)
    assert marks[0] != marks[1]


def strays_of(ended):
    """Return pid and name of those that a run is said to have left behind."""
    for remark in ended.remarks:
        head, colon, names = remark.partition(": ")
        if (head, colon) == ("left behind, and still there", ": "):
            words = (word.rstrip(")").split(" (") for word in names.split(", "))
            return {int(pid): name for pid, name in words}
    return {}


def test_a_run_ends_with_its_process_and_tells_whom_it_left_behind(stand, a_daemon):
    stand.start()
    command, pid = a_daemon
    ended = stand.result("r1", a_shell(f"{command} setsid sleep 600 & {UNTIL_IT_SLEEPS}; exit 3"))
    assert ended.status == 3
    strays = strays_of(ended)
    assert all(lives(pid) for pid in strays)
    assert strays.pop(pid()).startswith("python")
    assert list(strays.values()) == ["sleep"]
    assert stand.result("r2", a_process("/bin/true")).remarks == []
    for stray in (pid(), *strays):
        os.kill(stray, signal.SIGKILL)
        # Its keeper is its parent now, and buries it.
        until(lambda stray=stray: not os.path.exists(f"/proc/{stray}"), "the burial")


def test_whom_a_run_left_behind_is_told_by_the_next_agentd_too(stand, a_daemon):
    stand.start()
    command, pid = a_daemon
    first = stand.result("r1", a_shell(f"{command} exit 3"))
    stand.kill()
    stand.start()
    again = stand.ended("r1")
    assert list(strays_of(again)) == [pid()]
    assert again.remarks == first.remarks


@pytest.mark.parametrize("bare", ["", "env -i "])
def test_a_stop_reaches_daemons_that_left_parent_and_session(stand, a_daemon, bare):
    stand.start()
    command, pid = a_daemon
    if bare:
        # It keeps nothing of the run but its ancestors, who are there when it is stopped.
        command = f'{bare} setsid sh -c \'trap "" TERM; echo $$ > "$0"; sleep 600\' '
        command += f"{stand.folder}/pid & "
    stand.run("r1", a_shell(f"{command} sleep 600"))
    stand.started("r1")
    assert lives(pid())
    stand.send(StopProcess(epoch=1, run_id="r1", attempt=1))
    ended = stand.ended("r1")
    assert (ended.status, ended.stop_signals, ended.remarks) == (-15, ["SIGTERM"], [])
    until(lambda: not lives(pid()), "the end of the daemon")


def test_a_timeout_reaches_daemons_too(stand, a_daemon):
    stand.start()
    command, pid = a_daemon
    stand.run("r1", a_shell(f"{command} sleep 600", timeout_us=1_000_000))
    ended = stand.ended("r1")
    assert (ended.status, ended.timed_out) == (-15, True)
    until(lambda: not lives(pid()), "the end of the daemon")


def test_a_pid_that_is_anothers_by_now_is_never_signalled(stand):
    """A claim is left as if its process had ended and its pid had been given out again: to one
    that started at another time."""
    stand.start()
    stand.run("r1", a_process("sleep", "600"))
    started = stand.started("r1").pid
    record = stand.spool / "runs" / "r1.1" / "record"
    start, length = keeper_record.PID
    slot = lambda: record.read_bytes()[start : start + length].split(b"\n")[0]  # noqa: E731
    until(lambda: slot().strip(b"\0"), "the pid on record")
    keepers = stand.keepers()
    stand.kill()
    for pid in (*keepers, started):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not stand.keepers() and not lives(started), "all of them to die")
    counting = (
        "import signal, sys, time\n"
        "def got(number, frame): print(number, flush=True)\n"
        "for n in (1, 2, 3, 10, 12, 15): signal.signal(n, got)\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", counting], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        ticks = procs.start_ticks(other.pid)
        old = ticks - 10 * procs.TICKS
        # What was started then, and what has its pid now.
        data = bytearray(record.read_bytes())
        words = data[keeper_record.STARTED[0] :].split(b"\n")[0].decode().split(" ")
        words[4] = str(old)
        for slot_, text in (
            (keeper_record.STARTED, " ".join(words)),
            (keeper_record.PID, f"{other.pid} {old}"),
        ):
            data[slot_[0] : sum(slot_)] = (text.encode() + b"\n").ljust(slot_[1], b"\0")
        record.write_bytes(data)
        hello = stand.start()
        assert {claim.state for claim in hello.claims} == {"lost"}
        stand.send(StopProcess(epoch=1, run_id="r1", attempt=1, kill=True))
        assert isinstance(stand.ended("r1"), ProcessLost)
        assert stand.result("r2", a_process("/bin/true")).status == 0
        assert other.poll() is None
        other.terminate()
        # The first signal that it ever got is ours.
        assert other.stdout.readline() == b"15\n"
        other.kill()
