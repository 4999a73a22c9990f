"""Limits of jobs, held by real cgroups. Run by `test_own_kernel.py` in a kernel of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from agent_stand import AgentStand, a_process, a_shell, lives, until

from callsheet.agentd.cgroups import LEAF, own_group
from callsheet.jobs.programs import Launch, Limits
from callsheet.messages.agents import ProcessEnded, StopProcess

ROOT = Path("/sys/fs/cgroup")
MIB = 2**20
# Takes memory in one tight loop: one that needs pages of its program between its steps may fight
# for them for minutes before it is out of memory.
EAT = "data = b'x' * (40 * 2**20); print('had it all')"


def a_stand(folder, name):
    stand = AgentStand(folder)
    stand.base = ROOT / name
    stand.options = ["--cgroup", str(stand.base)]
    return stand


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One agentd for those who do it no harm: it takes seconds to start here. It is put into a leaf
    as systemd does it, and finds the place for groups by the name of the leaf."""
    stand = a_stand(tmp_path_factory.mktemp("agent"), "runs")
    stand.options = []
    (ROOT / "cgroup.subtree_control").write_text("+memory +pids +cpu")
    (stand.base / LEAF).mkdir(parents=True)
    start_in_leaf(stand)
    yield stand
    stand.close()


def start_in_leaf(stand):
    """Start agentd in the leaf; this process is there only meanwhile."""
    (stand.base / LEAF / "cgroup.procs").write_text(str(os.getpid()))
    try:
        return stand.start()
    finally:
        (ROOT / "cgroup.procs").write_text(str(os.getpid()))


@pytest.fixture
def stand(tmp_path):
    """An agentd that is not started yet."""
    stand = a_stand(tmp_path, tmp_path.name)
    yield stand
    stand.close()


def limited(**limits):
    return Launch(limits=Limits(**limits))


def groups(stand):
    """Return the groups of runs that there are, by run id."""
    paths = [path for path in stand.base.iterdir() if path.is_dir() and path.name != LEAF]
    return {path.name.split(".")[1]: path for path in paths}


def group_of(stand, run_id):
    return until(lambda: groups(stand).get(run_id), "the group of the run")


def test_a_run_is_in_a_group_of_its_own_with_its_limits(running):
    launch = limited(memory_max=64 * MIB, cpu_max=0.5, pids_max=20)
    running.run("r1", a_process("/bin/sleep", "600", launch=launch))
    pid = running.started("r1").pid
    group = group_of(running, "r1")
    until(lambda: own_group(f"/proc/{pid}") == str(group), "the process to be in it")
    assert (group / "memory.max").read_text() == f"{64 * MIB}\n"
    assert (group / "memory.swap.max").read_text() == "0\n"
    assert (group / "cpu.max").read_text() == "50000 100000\n"
    assert (group / "pids.max").read_text() == "20\n"
    assert group.name.endswith(".r1.1")
    # Neither agentd nor a keeper is limited with it.
    leaf = str(running.base / LEAF)
    assert own_group(f"/proc/{running.process.pid}") == leaf
    assert {own_group(f"/proc/{keeper}") for keeper in running.keepers()} == {leaf}
    running.send(StopProcess(epoch=1, run_id="r1", attempt=1, kill=True))
    ended = running.ended("r1")
    assert (ended.status, ended.remarks) == (-9, [])
    running.forget("r1")
    until(lambda: "r1" not in groups(running), "the group to go with its claim")


def test_what_takes_too_much_memory_is_killed_as_a_whole_and_told_so(running):
    eater = ("/usr/bin/python3", "-c", EAT)
    ended = running.result("r2", a_process(*eater, launch=limited(memory_max=24 * MIB)))
    assert (type(ended), ended.status, ended.error) == (ProcessEnded, -9, "")
    assert ended.rusage["oom_kills"] >= 1
    assert 18 * MIB < ended.rusage["memory_peak"] <= 24 * MIB
    assert ended.rusage["memory_max"] == 24 * MIB
    assert ended.remarks == ["out of memory: it has a memory_max of 24 MiB"]
    # The shell that would have gone on without its child goes with it.
    command = f'/usr/bin/python3 -c "{EAT}"; echo went on; exit 0'
    ended = running.result("r3", a_shell(command, launch=limited(memory_max=24 * MIB)))
    assert ended.status == -9
    assert ended.output_bytes == {}
    assert len(ended.remarks) == 1


def test_what_a_run_used_is_measured_also_without_a_limit(running):
    eater = ("/usr/bin/python3", "-c", EAT)
    ended = running.result("r4", a_process(*eater, launch=limited()))
    assert ended.status == 0
    assert ended.remarks == []
    assert ended.rusage["memory_peak"] > 39 * MIB
    assert ended.rusage["oom_kills"] == 0
    assert 0 < ended.rusage["cpu"] < 300
    assert "memory_max" not in ended.rusage


def test_processes_beyond_the_limit_are_not_made_and_that_is_told(running):
    command = "for n in 1 2 3 4 5 6 7 8; do sleep 600 & done; wait"
    ended = running.result("r5", a_shell(command, launch=limited(pids_max=4)))
    assert ended.status > 0
    # Its sleeping children outlive the shell, and that is told too.
    assert ended.remarks[0] == "out of processes: it has a pids_max of 4"
    assert ended.remarks[1].startswith("left behind, and still there: ")
    assert ended.rusage["pids_refused"] >= 1


def test_a_limit_of_cpu_throttles(running):
    busy = "import time\nwhile time.process_time() < 0.4: pass"
    launch = limited(cpu_max=0.2)
    ended = running.result("r6", a_process("/usr/bin/python3", "-c", busy, launch=launch))
    assert ended.status == 0
    assert ended.rusage["cpu_throttled"] > 0


def test_a_kill_reaches_whoever_has_left_the_session(running, tmp_path):
    # It has no cookie, no session and no parent in common with its run: only the group has it.
    mark = tmp_path / "pid"
    stray = f"env -i setsid sh -c 'echo $$ > {mark}; exec sleep 600' & sleep 600"
    running.run("r7", a_shell(stray, launch=limited(), grace_us=1_000))
    running.started("r7")
    pid = int(until(lambda: mark.exists() and mark.read_text().strip(), "the stray"))
    running.send(StopProcess(epoch=1, run_id="r7", attempt=1))
    # After a grace of a millisecond the one signal may come as soon as the other.
    assert running.ended("r7").status in (-15, -9)
    until(lambda: not lives(pid), "the stray to be killed")


def test_a_run_whose_launcher_does_more_is_limited_all_the_same(running):
    launch = Launch(nice=5, ulimits={"nofile": 64}, stdin="x\n", limits=Limits(pids_max=1))
    program = a_process("/bin/cat", "-", "/proc/self/cgroup", launch=launch, cwd="/", umask=0o22)
    ended = running.result("r8", program)
    assert (ended.status, ended.error) == (0, "")
    assert Path(ended.spool_path).read_text().startswith("x\n0::/runs/")


def test_a_group_outlives_agentd_and_is_measured_by_the_next(running, tmp_path):
    (tmp_path / "wait").touch()
    command = f'/usr/bin/python3 -c "{EAT}"; while [ -e {tmp_path}/wait ]; do sleep 0.1; done'
    running.run("r9", a_shell(command, launch=limited(memory_max=300 * MIB)))
    running.started("r9")
    group = group_of(running, "r9")
    until(lambda: int((group / "memory.peak").read_text()) > 39 * MIB, "it to eat")
    running.kill()
    # What no claim has any more is an earlier agentd's to remove; another's is let alone.
    (running.base / f"{group.name.partition('.')[0]}.r10.1").mkdir()
    (running.base / "foreign.r11.1").mkdir()
    hello = start_in_leaf(running)
    assert {claim.run_id: claim.state for claim in hello.claims}["r9"] == "running"
    assert "r10" not in groups(running)
    assert {"r9", "r11"} <= set(groups(running))
    (tmp_path / "wait").unlink()
    ended = running.ended("r9")
    assert (ended.status, ended.remarks) == (0, [])
    assert ended.rusage["memory_peak"] > 39 * MIB


def test_a_controller_that_is_not_there_is_a_refusal_or_a_remark(stand):
    # A group with processes of its own, like this sleeper, cannot hand its controllers down.
    stand.base.mkdir()
    below = stand.base / "below"
    stand.options = ["--cgroup", str(below)]
    sleeper = subprocess.Popen(["/bin/sleep", "600"])
    (stand.base / "cgroup.procs").write_text(str(sleeper.pid))
    stand.start()
    lacks = f"{below} has no controller for cpu"
    refused = stand.result("r1", a_process("/bin/true", launch=limited(cpu_max=1)))
    assert (refused.sentence, refused.retry) == (f"limits: cannot be held: {lacks}", False)
    stand.run("r2", a_process("/bin/sleep", "600", launch=limited(cpu_max=1, policy="try")))
    assert stand.started("r2").remarks == [f"limits are not held: {lacks}"]
    stand.send(StopProcess(epoch=1, run_id="r2", attempt=1))
    assert stand.ended("r2").remarks == [f"limits are not held: {lacks}"]
    # Nothing is to be limited here, only to be killed as a whole, and that needs no controller.
    ended = stand.result("r3", a_process("/bin/true", launch=limited()))
    assert (ended.status, ended.remarks) == (0, [])
    sleeper.kill()
    sleeper.wait()
