"""What an agent does when its host has nothing left: no room, no files, no processes, no disk."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest
from agent_stand import AgentStand, a_process, a_shell, until
from faults import (
    beside,
    failing,
    fill,
    inside,
    no_more_files,
    on_a_small_disk,
)

from callsheet.agentd.daemon import NOT_NOW
from callsheet.agentd.host import Key
from callsheet.agentd.keeper_record import EXIT
from callsheet.agentd.options import UNUSABLE
from callsheet.messages.agents import (
    AgentBeat,
    OutputChunk,
    ProcessEnded,
    ProcessLost,
    ProcessRefused,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def stand(tmp_path):
    stand = AgentStand(tmp_path)
    stand.spool.mkdir()
    yield stand
    stand.close()


def waits_for(path, code):
    """A process that ends with a code when a file is there."""
    return a_shell(f"while [ ! -e {path} ]; do sleep 0.05; done; exit {code}")


def refused_for(stand, run_id, program, why):
    """Command a start that is refused for now, with its reason."""
    refused = stand.result(run_id, program)
    assert isinstance(refused, ProcessRefused)
    assert refused.retry
    assert why in refused.sentence


def starts_in_the_end(stand, run_id, program):
    """Command a start again, as a runner does, until it is one."""

    def ended():
        answer = stand.result(run_id, program)
        return answer if isinstance(answer, ProcessEnded) else None

    return until(ended, f"{run_id} to be started")


def test_a_full_spool_takes_no_run_and_keeps_the_exits_of_those_it_has(stand, tmp_path):
    stand.prefix = on_a_small_disk(stand.spool, "4m")
    stand.start()
    for run_id in ("r1", "r2"):
        stand.run(run_id, waits_for(tmp_path / run_id, 3))
        stand.started(run_id)
    disk = inside(stand.keepers()[0], stand.spool)
    fill(disk / "filler")
    refused_for(stand, "r3", a_process("/bin/true"), "No space left on device")
    (tmp_path / "r1").touch()
    ended = stand.ended("r1")
    assert (type(ended), ended.status) == (ProcessEnded, 3)
    # Also an agentd that is started on a full disk does its work, and none is forgotten.
    stand.prefix = beside(stand.keepers()[0])
    stand.kill()
    hello = stand.start()
    assert {claim.run_id: claim.state for claim in hello.claims} == {"r1": "done", "r2": "running"}
    assert stand.ended("r1").status == 3
    (tmp_path / "r2").touch()
    assert stand.ended("r2").status == 3
    (disk / "filler").unlink()
    assert starts_in_the_end(stand, "r3", a_process("/bin/true")).status == 0


def test_without_files_to_open_runs_wait_and_ends_are_told_and_written(stand, tmp_path):
    stand.start()
    stand.run("r1", waits_for(tmp_path / "r1", 4))
    stand.started("r1")
    with no_more_files(*stand.keepers()):
        refused_for(stand, "r2", a_process("/bin/true"), "Too many open files")
        (tmp_path / "r1").touch()
        assert stand.ended("r1").status == 4
    assert starts_in_the_end(stand, "r2", a_process("/bin/true")).status == 0
    record = stand.spool / "runs" / str(Key("r1", 1)) / "record"
    until(lambda: record.read_bytes()[EXIT[0] : EXIT[0] + 1] == b"X", "the exit to be on record")
    with no_more_files(stand.process.pid):
        refused_for(stand, "r3", a_process("/bin/true"), "Too many open files")
    assert starts_in_the_end(stand, "r3", a_process("/bin/true")).status == 0
    assert stand.process.poll() is None


def test_an_output_that_cannot_be_read_now_is_not_cut(stand):
    stand.start()
    assert stand.result("r1", a_shell("echo one")).output_bytes == {"output": 4}
    with no_more_files(stand.process.pid):
        stand.drain()
        stand.messages.clear()
        # The server could take nothing of it by itself.
        stand.take("r1", 0)
        stand.wait(AgentBeat)
        stand.wait(AgentBeat)
    chunk = stand.wait((OutputChunk, ProcessEnded))
    assert isinstance(chunk, OutputChunk)
    assert chunk.data == b"one\n"


def test_without_processes_to_start_runs_wait_and_begin_after_it(stand):
    stand.start()
    with contextlib.ExitStack() as stack:
        for keeper in stand.keepers():
            stack.enter_context(failing(keeper, "clone,clone3,vfork,fork", "EAGAIN"))
        refused_for(stand, "r1", a_process("/bin/true"), "Resource temporarily unavailable")
    assert starts_in_the_end(stand, "r1", a_process("/bin/true")).status == 0
    assert stand.process.poll() is None


def test_an_exit_is_told_only_when_it_is_on_the_disk(stand, tmp_path):
    stand.start()
    stand.run("r1", waits_for(tmp_path / "r1", 5))
    stand.started("r1")
    with failing(stand.process.pid, "fdatasync", "EIO"):
        (tmp_path / "r1").touch()
        record = stand.spool / "runs" / "r1.1" / "record"
        until(lambda: record.read_bytes()[EXIT[0] : EXIT[0] + 1] == b"X", "the keeper to write it")
        until((stand.spool / "exits.failed").exists, "the journal to be put aside")
        stand.drain()
        assert not [m for m in stand.messages if isinstance(m, ProcessEnded)]
    assert stand.ended("r1").status == 5
    assert stand.process.poll() is None
    stand.kill()
    stand.start()
    assert stand.ended("r1").status == 5


def test_an_agentd_that_can_start_no_keeper_ends_to_be_started_again(stand):
    stand.start()
    stand.run("r1", a_process("/bin/sleep", "600"))
    pid = stand.started("r1").pid
    with failing(stand.process.pid, "clone,clone3,vfork,fork", "EAGAIN"):
        for keeper in stand.keepers():
            os.kill(keeper, signal.SIGKILL)
        until(lambda: stand.process.poll() is not None, "agentd to end")
    assert stand.process.returncode == NOT_NOW
    assert NOT_NOW != UNUSABLE
    stand.messages.clear()
    hello = stand.start()
    assert [(claim.run_id, claim.state) for claim in hello.claims] == [("r1", "unkept")]
    assert stand.result("r2", a_process("/bin/true")).status == 0
    os.kill(pid, signal.SIGKILL)
    assert isinstance(stand.ended("r1"), ProcessLost)
