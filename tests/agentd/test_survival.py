"""Who may die under live jobs, and what is known afterwards: everything, or that it is not known.

`make survive` runs the same at length: KILLS=100 JOBS=200 by default.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from agent_stand import AgentStand, a_process, a_shell, lives, until
from survival import Survival, finish

from callsheet.messages.agents import ProcessLost

pytestmark = pytest.mark.slow

SHORT = 8
KILLS = int(os.environ.get("CALLSHEET_SURVIVE_KILLS", str(SHORT)))
JOBS = int(os.environ.get("CALLSHEET_SURVIVE_JOBS", "30"))
SEED = int(os.environ.get("CALLSHEET_SURVIVE_SEED", "1"))


@pytest.fixture
def survival(tmp_path, capsys):
    survival = Survival(tmp_path, SEED)
    yield survival
    with capsys.disabled():
        if KILLS > SHORT:
            print(f"\n{survival.report()}")
    survival.close()


@pytest.fixture
def stand(tmp_path):
    stand = AgentStand(tmp_path)
    yield stand
    stand.close()


def test_jobs_outlive_each_death_of_agentd_with_pid_output_and_exit_code(survival):
    survival.start()
    survival.add(JOBS)
    survival.hear_until(survival.begun, "all jobs to begin")
    runs = list(survival.codes)
    ending = KILLS - KILLS // 3  # from this kill on jobs end, some of them while nobody is there
    for kill in range(KILLS):
        if kill % 5 == 4:
            survival.kill_agent()
            survival.kill_before_it_is_back()
        else:
            time.sleep(survival.random.random() * 0.3)
            survival.kill_agent()
        if kill < ending:
            alive = sum(survival.evidence_of(run_id).status is None for run_id in runs)
            assert alive == JOBS, f"only {alive} of {JOBS} jobs live after {kill + 1} kills"
        else:
            first = (kill - ending) * JOBS // (KILLS - ending)
            survival.release(runs[first : (kill - ending + 1) * JOBS // (KILLS - ending)])
        survival.start()
    finish(survival)
    assert survival.faults() == []
    assert survival.hit == set()
    assert survival.killed.agents >= KILLS
    assert survival.left_behind() == []


def test_what_a_killed_keeper_had_is_told_exactly_or_as_lost(survival):
    survival.start()
    for kill in range(KILLS):
        survival.add(max(0, JOBS - len(survival.unfinished())), lives_s=2.0)
        if kill == 0:
            survival.hear_until(survival.begun, "all jobs to begin")
        victims = ("keeper", "agent", "together")[kill % 3]
        deadline = time.monotonic() + survival.random.random() * 0.5
        while time.monotonic() < deadline:
            survival.hear()
            time.sleep(0.01)
        if victims != "agent":
            survival.kill_keeper()
        if victims != "keeper":
            survival.kill_agent()
            survival.start()
        if victims == "together":
            survival.killed = survival.killed._replace(together=survival.killed.together + 1)
    finish(survival)
    assert survival.faults() == []
    lost = {r for r, told in survival.results.items() if isinstance(told, ProcessLost)}
    assert lost, "no keeper was hit while it had something to lose"
    assert lost <= survival.hit
    assert len(lost) < len(survival.codes)
    assert survival.left_behind() == []


def test_after_a_reboot_what_ran_is_lost_and_what_had_ended_is_told(stand, tmp_path):
    """The reboot is one as a spool sees it: all processes are gone, and the boot is another."""
    stand.start()
    stand.run("r1", a_process("sleep", "600"))
    stand.run("r2", a_shell("echo over; exit 9"))
    pid = stand.started("r1").pid
    assert stand.ended("r2").status == 9
    keepers = stand.keepers()
    stand.kill()
    for victim in [*keepers, pid]:
        os.kill(victim, signal.SIGKILL)
    until(lambda: not any(map(lives, [*keepers, pid])), "all to die")
    now = Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    for record in (stand.spool / "runs").glob("r*/record"):
        data = record.read_bytes()
        assert data.count(now) == 2, "that of the claim, and that of its start"
        record.write_bytes(data.replace(now, b"0" * len(now)))
    stand.start()
    lost = stand.ended("r1")
    assert isinstance(lost, ProcessLost)
    assert "the host was rebooted" in lost.sentence
    assert stand.ended("r2").status == 9
