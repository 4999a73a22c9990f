"""agentd with real keepers and real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from agent_stand import AgentStand, a_process, a_shell, lives, until

from callsheet.messages.agents import (
    AgentHello,
    AgentWelcome,
    Fenced,
    ListProcesses,
    OutputChunk,
    ProcessEnded,
    ProcessList,
    ProcessLost,
    ProcessRefused,
    SignalProcess,
    StopProcess,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def stand(tmp_path):
    stand = AgentStand(tmp_path)
    yield stand
    stand.close()


def output_of(ended):
    assert ended.spool_path is not None
    data = Path(ended.spool_path).read_bytes()
    assert ended.output_bytes == {"output": len(data)}
    return data


def test_exit_codes_signals_and_usage_are_reported(stand):
    stand.start()
    for run_id, command, status in (
        ("r1", "exit 0", 0),
        ("r2", "exit 1", 1),
        ("r3", "exit 126", 126),
        ("r4", "exit 127", 127),
        ("r5", "exit 255", 255),
        ("r6", "kill -9 $$", -9),
        ("r7", "kill -15 $$", -15),
    ):
        ended = stand.result(run_id, a_shell(command))
        assert (type(ended), ended.status, ended.error) == (ProcessEnded, status, "")
        assert ended.output_bytes == {}
        assert ended.pid > 1
        assert 0 < ended.started_us <= ended.at_us
        assert ended.rusage["maxrss"] > 0


def test_a_program_that_cannot_be_executed_is_an_error_and_no_exit_code(stand, tmp_path):
    stand.start()
    (tmp_path / "text").write_bytes(b"\x00\x01")
    (tmp_path / "text").chmod(0o755)
    (tmp_path / "plain").write_text("x")
    for run_id, argv, said in (
        ("r1", ("/nonexistent/program",), "No such file or directory"),
        ("r2", ("no-such-program-on-the-path",), "No such file or directory"),
        ("r3", (str(tmp_path / "plain"),), "Permission denied"),
        ("r4", (str(tmp_path / "text"),), "Exec format error"),
        ("r5", (str(tmp_path),), "Permission denied"),
    ):
        ended = stand.result(run_id, a_process(*argv))
        assert isinstance(ended, ProcessEnded)
        assert said in ended.error
        assert argv[0] in ended.error
        assert ended.started_us == 0


def test_a_working_folder_and_a_umask_are_set_by_the_launcher(stand, tmp_path):
    stand.start()
    (tmp_path / "a folder").mkdir()
    program = a_shell('pwd; umask; ulimit -d; echo "$0" > made', cwd=f"{tmp_path}/a folder",
                      umask=0o027, mem_max_bytes=10**9)  # fmt: skip
    ended = stand.result("r1", program)
    assert ended.status == 0
    assert output_of(ended).decode().split("\n")[:3] == [f"{tmp_path}/a folder", "0027", "976563"]
    assert (tmp_path / "a folder" / "made").stat().st_mode & 0o777 == 0o640


def test_a_launcher_that_fails_says_so_and_its_status_is_not_the_programs(stand, tmp_path):
    stand.start()
    ended = stand.result("r1", a_process("/bin/true", cwd="/no/such/folder"))
    assert "/no/such/folder: cannot be made the working folder" in ended.error
    ended = stand.result("r2", a_process("/no/program", cwd="/"))
    assert "/no/program: cannot be executed" in ended.error
    ended = stand.result("r3", a_process("/bin/sh", "-c", "exit 127", cwd="/"))
    assert (ended.error, ended.status) == ("", 127)
    stand.forget("r1")
    # The directory of r1 is used again, and nothing of it is left.
    ended = stand.result("r4", a_process("/bin/true", cwd="/"))
    assert (ended.error, ended.status) == ("", 0)


def test_the_environment_is_the_agents_plus_the_runs(stand):
    stand.start(FROM_THE_AGENT="1", CALLSHEET_INTERNAL="secret")
    command = 'echo "$FROM_THE_AGENT $APSIS_RUN_ID $CALLSHEET_RUN_ID $CALLSHEET_ATTEMPT $MINE"; env'
    ended = stand.result("r17", a_shell(command, env={"MINE": "a b\nc"}))
    data = output_of(ended).decode()
    assert data.startswith("1 r17 r17 1 a b\nc\n")
    assert "secret" not in data


def test_a_process_leads_a_session_and_reads_nothing(stand):
    stand.start()
    seen = "ps -o pid=,sid=,pgid= -p $$ 2>/dev/null || true; cat; ls -l /proc/self/fd"
    ended = stand.result("r1", a_shell(f"{seen} | grep -c socket"))
    words = output_of(ended).split()
    if len(words) > 3:
        assert words[0] == words[1] == words[2]
    assert words[-1] == b"0"


def test_a_start_sent_again_starts_once(stand, tmp_path):
    stand.start()
    command = stand.command("r1", a_shell(f"echo x >> {tmp_path}/started; sleep 0.3"))
    stand.send(command, command)
    stand.send(command)
    assert stand.ended("r1").status == 0
    stand.send(command)
    assert stand.ended("r1").status == 0
    stand.forget("r1")
    stand.send(command)
    assert stand.result("r2", a_process("/bin/true")).status == 0
    assert (tmp_path / "started").read_text() == "x\n"


def test_an_end_is_reported_until_it_is_forgotten_and_then_the_claim_is_gone(stand):
    stand.start()
    stand.run("r1", a_process("/bin/true"))
    first = stand.ended("r1")
    assert stand.ended("r1") == first
    stand.forget("r1")
    until(lambda: not (stand.spool / "runs" / "r1.1").exists(), "the claim to go")


def test_jobs_outlive_agentd_with_the_same_pid_and_their_exit_codes(stand, tmp_path):
    stand.start()
    hold = f"while [ ! -e {tmp_path}/go ]; do sleep 0.1; done"
    for n in range(20):
        stand.run(f"r{n}", a_shell(f"echo began; {hold}; echo over; exit {n}"))
    pids = {f"r{n}": stand.started(f"r{n}").pid for n in range(20)}
    stand.kill()
    assert all(lives(pid) for pid in pids.values())
    hello = stand.start()
    assert {claim.run_id for claim in hello.claims} == set(pids)
    (tmp_path / "go").touch()
    for n in range(20):
        ended = stand.ended(f"r{n}")
        assert (ended.status, ended.pid) == (n, pids[f"r{n}"])
        assert output_of(ended) == b"began\nover\n"


def test_what_ended_while_agentd_was_away_is_reported(stand, tmp_path):
    stand.start()
    stand.run("r1", a_shell(f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; exit 7"))
    pid = stand.started("r1").pid
    stand.kill()
    (tmp_path / "go").touch()
    until(lambda: not lives(pid), "the job to end")
    stand.start()
    assert stand.ended("r1").status == 7


def test_agentd_killed_again_and_again_starts_nothing_twice_and_loses_nothing(stand, tmp_path):
    stand.start()
    commands = [
        stand.command(f"r{n}", a_shell(f"echo r{n} >> {tmp_path}/evidence; exit {n % 5}"))
        for n in range(200)
    ]
    codes = {}
    for round_ in range(8):
        stand.send(*commands[round_ * 25 : round_ * 25 + 25])
        time.sleep(0.01 * round_)
        stand.kill()
        stand.start()
    stand.send(*commands)
    for n in range(200):
        codes[n] = stand.ended(f"r{n}").status
    assert codes == {n: n % 5 for n in range(200)}
    lines = (tmp_path / "evidence").read_text().split()
    assert sorted(lines) == sorted(f"r{n}" for n in range(200))


def test_a_dead_keeper_means_lost_and_nothing_is_made_up(stand):
    stand.start()
    stand.run("r1", a_process("/bin/true"))
    assert stand.ended("r1").status == 0
    stand.run("r2", a_process("sleep", "600"))
    stand.run("r3", a_process("sleep", "600"))
    pids = [stand.started("r2").pid, stand.started("r3").pid]
    for pid in stand.keepers():
        os.kill(pid, signal.SIGKILL)
    # The processes live on without a parent, and can be stopped; how they ended nobody knows.
    until(lambda: len(stand.keepers()) == 2, "new keepers")
    assert all(lives(pid) for pid in pids)
    stand.send(StopProcess(epoch=1, run_id="r2", attempt=1))
    lost = stand.ended("r2")
    assert isinstance(lost, ProcessLost)
    assert "keeper died" in lost.sentence
    assert not lives(pids[0])
    assert lives(pids[1])
    # The agent dies too; what it knew is in the spool.
    stand.kill()
    hello = stand.start()
    assert {c.run_id: c.state for c in hello.claims}["r3"] == "unkept"
    os.kill(pids[1], signal.SIGKILL)
    assert isinstance(stand.ended("r3"), ProcessLost)
    assert stand.result("r4", a_process("/bin/true")).status == 0


def test_everything_killed_at_once_is_told_as_lost(stand):
    stand.start()
    stand.run("r1", a_process("sleep", "600"))
    pid = stand.started("r1").pid
    keepers = stand.keepers()
    stand.kill()
    for victim in [*keepers, pid]:
        os.kill(victim, signal.SIGKILL)
    until(lambda: not lives(pid), "the job to die")
    stand.start()
    assert isinstance(stand.ended("r1"), ProcessLost)


def test_stop_sends_its_signal_and_kills_the_whole_tree_after_the_grace(stand, tmp_path):
    stand.start()
    tree = f"trap '' TERM; (trap '' TERM; setsid sleep 600) & echo $! > {tmp_path}/pid; sleep 600"
    program = a_shell(tree, grace_us=200_000)
    stand.run("r1", program)
    stand.started("r1")
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the tree")
    stand.send(StopProcess(epoch=1, run_id="r1", attempt=1))
    ended = stand.ended("r1")
    assert ended.status == -9
    assert ended.stop_signals == ["SIGTERM", "SIGKILL"]
    until(lambda: not lives(int((tmp_path / "pid").read_text())), "the stray to be killed")


def test_who_waits_for_a_killed_child_does_not_outlive_it_to_tell_an_exit_code(stand, tmp_path):
    stand.start()
    for n in range(10):
        stand.run(f"r{n}", a_shell(f"setsid sleep 600 & touch {tmp_path}/r{n}; wait $!"))
    for n in range(10):
        stand.started(f"r{n}")
        until((tmp_path / f"r{n}").exists, "the child")
        stand.send(StopProcess(epoch=1, run_id=f"r{n}", attempt=1, kill=True))
    assert [stand.ended(f"r{n}").status for n in range(10)] == [-9] * 10


def test_a_kill_spares_the_processes_of_other_agents_with_the_same_run(stand, tmp_path):
    (tmp_path / "other").mkdir()
    other = AgentStand(tmp_path / "other")
    try:
        for agent in (stand, other):
            agent.start()
            agent.run("r1", a_process("sleep", "600"))
        pids = [agent.started("r1").pid for agent in (stand, other)]
        stand.send(StopProcess(epoch=1, run_id="r1", attempt=1, kill=True))
        assert stand.ended("r1").status == -9
        assert [lives(pid) for pid in pids] == [False, True]
        # Nor is it taken for this agent's own after a keeper died.
        for pid in stand.keepers():
            os.kill(pid, signal.SIGKILL)
        stand.kill()
        hello = stand.start()
        assert [claim.state for claim in hello.claims] == ["done"]
    finally:
        other.close()


def test_a_stop_that_a_process_obeys_is_not_followed_by_a_kill(stand):
    stand.start()
    stand.run("r1", a_shell("trap 'echo bye; exit 0' USR1; echo set; while :; do sleep 0.05; done",
                            stop_signal=int(signal.SIGUSR1)))  # fmt: skip
    stand.started("r1")
    stand.wait(OutputChunk)
    stand.take("r1", 4)
    stand.send(StopProcess(epoch=1, run_id="r1", attempt=1))
    ended = stand.ended("r1")
    assert (ended.status, ended.stop_signals) == (0, ["SIGUSR1"])


def test_a_timeout_is_counted_from_the_start_over_a_death_of_agentd(stand):
    stand.start()
    stand.run("r1", a_process("sleep", "600", timeout_us=1_500_000))
    stand.started("r1")
    stand.kill()
    time.sleep(1.6)  # the timeout passes while nobody is there to see it
    stand.start()
    ended = stand.ended("r1")
    assert (ended.status, ended.timed_out, ended.stop_signals) == (-15, True, ["SIGTERM"])
    assert ended.elapsed_s >= 1.5


def test_a_signal_goes_to_the_process_once_per_command(stand, tmp_path):
    stand.start()
    trap = f"trap 'echo got >> {tmp_path}/got' USR1; echo set"
    stand.run("r1", a_shell(f"{trap}; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"))
    stand.started("r1")
    stand.wait(OutputChunk)
    stand.take("r1", 4)
    message = SignalProcess(epoch=1, run_id="r1", attempt=1, signal=10, command_id="c1")
    stand.send(message, message)
    until((tmp_path / "got").exists, "the signal")
    stand.send(message)
    (tmp_path / "go").touch()
    ended = stand.ended("r1")
    assert (ended.status, ended.stop_signals) == (0, [])
    assert (tmp_path / "got").read_text() == "got\n"


def test_output_is_sent_while_it_grows(stand, tmp_path):
    stand.start()
    hold = f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done"
    stand.run("r1", a_shell(f"echo one; {hold}; echo two"))
    chunk = stand.wait(OutputChunk)
    assert (chunk.offset, chunk.data) == (0, b"one\n")
    stand.take("r1", 4)
    (tmp_path / "go").touch()
    assert output_of(stand.ended("r1")) == b"one\ntwo\n"


def test_an_endless_output_takes_no_more_than_is_kept_and_its_head_and_tail_are_there(
    stand, tmp_path
):
    stand.start()
    keep = 2**20
    hold = f"while [ ! -e {tmp_path}/go ]; do head -c 1000000 /dev/zero | tr '\\0' x; done"
    stand.run("r1", a_shell(f"echo first; {hold}; echo last"), keep_bytes=keep)
    out = stand.spool / "runs" / "r1.1" / "out"
    until(lambda: out.exists() and out.stat().st_size > 30 * keep, "much output")
    stand.kill()
    stand.start()
    size = out.stat().st_size
    until(lambda: out.stat().st_size > size + 10 * keep, "more output under the next agentd")
    (tmp_path / "go").touch()
    ended = stand.ended("r1")
    [(start, end)] = ended.gaps.values()
    assert (start, ended.output_bytes) == (keep // 4, {"output": out.stat().st_size})
    until(lambda: out.stat().st_blocks * 512 < 2 * keep, "the room of the rest to be given back")
    assert ended.output_bytes["output"] - keep * 17 // 16 <= end - start
    data = out.read_bytes()
    assert (data[:7], data[-5:]) == (b"first\nx", b"last\n")
    assert b"\0" not in data[:start] + data[end:]


def test_a_job_that_puts_a_link_in_the_place_of_its_output_shows_nothing_of_what_it_points_to(
    stand, tmp_path
):
    stand.start()
    (tmp_path / "secret").write_text("secret")
    out = stand.spool / "runs" / "r1.1" / "out"
    ended = stand.result("r1", a_shell(f"echo shown; rm {out}; ln -s {tmp_path}/secret {out}"))
    assert (ended.status, ended.output_bytes) == (0, {})
    stand.forget("r1")
    assert output_of(stand.result("r2", a_shell("echo other"))) == b"other\n"
    assert (tmp_path / "secret").read_text() == "secret"


def test_whatever_a_job_does_to_its_own_claim_others_are_started_and_ended(stand, tmp_path):
    stand.start()
    theirs = tmp_path / "theirs"
    (theirs / "artifacts").mkdir(parents=True)
    (theirs / "err").write_text("theirs")
    hostile = (
        f"rm -rf $claim; ln -s {theirs} $claim",
        f"rm $claim/record; ln -s {theirs}/err $claim/record",
        "rm $claim/record; mkfifo $claim/record",
        "rm $claim/out; mkfifo $claim/out",
        "rm $claim/out; mkdir $claim/out",
        "mkdir -p $claim/more/folders",
        "rm -rf $claim",
        "rm -rf $claim; touch $claim",
    )
    for n, command in enumerate(hostile, 1):
        claim = stand.spool / "runs" / f"r{n}.1"
        assert stand.result(f"r{n}", a_shell(f"claim={claim}; {command}; exit 3")).status == 3
        stand.forget(f"r{n}")
    for n in range(20, 40):
        assert output_of(stand.result(f"r{n}", a_shell("echo over"))) == b"over\n"
    names = {path.name for path in (stand.spool / "runs").glob("r*")}
    assert names == {f"r{n}.1" for n in range(20, 40)}
    assert sorted(path.name for path in theirs.iterdir()) == ["artifacts", "err"]
    assert (theirs / "err").read_text() == "theirs"
    stand.kill()
    assert len(stand.start().claims) == 20


def test_a_command_with_an_odd_run_id_does_nothing_and_the_next_one_is_done(stand):
    stand.start()
    for run_id in ("../../r1", "/r1", "r1/../r2", "r1\0", "r" + "1" * 300):
        stand.run(run_id, a_process("/bin/true"))
    stand.run("r1", a_process("/bin/true"), keep_bytes=2**20)
    assert stand.ended("r1").status == 0
    assert [path.name for path in (stand.spool / "runs").glob("r*")] == ["r1.1"]
    assert not (stand.folder / "r1.1").exists()


def test_what_is_not_kept_any_more_is_jumped_over_on_the_way_to_the_server(stand):
    stand.start()
    go, done = stand.folder / "go", stand.folder / "done"
    writes = "head -c 9000000 /dev/zero | tr '\\0' x"
    waits = f"until [ -e {go} ]; do sleep 0.1; done"
    stand.run("r1", a_shell(f"{waits}; {writes}; touch {done}; sleep 1"), keep_bytes=2**20)
    stand.started("r1")
    # An agent that looked in the midst of it would have sent what it is to jump over.
    os.kill(stand.pid, signal.SIGSTOP)
    go.touch()
    until(done.exists, "all of it to be written")
    os.kill(stand.pid, signal.SIGCONT)
    got, skipped, ended = 0, 0, None
    while ended is None:
        message = stand.wait((OutputChunk, ProcessEnded))
        if isinstance(message, ProcessEnded):
            ended = message if got == 9_000_000 else None
            stand.take("r1", got)
        elif message.offset - message.gap <= got < message.offset + len(message.data):
            skipped += max(0, message.offset - got)
            got = message.offset + len(message.data)
            stand.take("r1", got)
    assert (got, ended.output_bytes) == (9_000_000, {"output": 9_000_000})
    assert skipped >= 9_000_000 - 2**21


def test_an_output_the_server_cannot_take_as_a_file_is_sent_whole(stand):
    stand.start()
    size = 3_000_000
    ended = stand.result("r1", a_shell(f"head -c {size} /dev/zero | tr '\\0' x"))
    assert ended.output_bytes == {"output": size}
    stand.messages.clear()
    stand.take("r1", 0)
    data = b""
    while True:
        message = stand.wait((OutputChunk, ProcessEnded))
        if isinstance(message, ProcessEnded):
            if message.spool_path is None:
                break
            continue
        if message.offset == len(data):
            data += message.data
        stand.take("r1", len(data))
    assert data == b"x" * size


def test_a_command_that_comes_too_late_is_refused_for_now(stand):
    stand.start()
    refused = stand.result("r1", a_process("/bin/true"), not_after_us=1)
    assert isinstance(refused, ProcessRefused)
    assert refused.retry
    assert stand.result("r1", a_process("/bin/true")).status == 0


def test_an_older_epoch_is_fenced_also_after_a_restart(stand, tmp_path):
    stand.epoch = 7
    stand.start()
    stand.result("r1", a_process("/bin/true"))
    stand.kill()
    stand.start()
    stand.epoch = 6
    stand.run("r2", a_shell(f"touch {tmp_path}/ran"))
    assert stand.wait(Fenced).epoch == 7
    stand.epoch = 8
    stand.run("r3", a_process("/bin/true"))
    assert stand.ended("r3").status == 0
    stand.wait(AgentHello)
    assert not (tmp_path / "ran").exists()


def test_a_claim_that_cannot_be_read_is_put_aside(stand):
    stand.start()
    stand.run("r1", a_process("sleep", "600"))
    stand.started("r1")
    stand.result("r2", a_process("/bin/true"))
    stand.kill()
    (stand.spool / "runs" / "r2.1" / "record").write_bytes(b"nonsense")
    hello = stand.start()
    assert [claim.run_id for claim in hello.claims] == ["r1"]
    assert (stand.spool / "quarantine" / "r2.1-1").is_dir()


def test_what_kept_a_program_from_its_start_is_told_by_the_next_agentd_too(stand, tmp_path):
    stand.start()
    told = stand.result("r1", a_process("/bin/true", cwd=f"{tmp_path}/nowhere"))
    assert "cannot be made the working folder" in told.error
    stand.kill()
    stand.start()
    assert stand.ended("r1").error == told.error


def test_a_second_agentd_on_a_spool_is_refused(stand):
    stand.start()
    command = [sys.executable, "-m", "callsheet.agentd.daemon", "--server", stand.endpoint,
               "--spool", str(stand.spool)]  # fmt: skip
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 78
    assert "another agentd uses this spool" in second.stderr


def test_a_spool_that_cannot_be_written_is_one_sentence_and_no_end_for_good(tmp_path):
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "callsheet.agentd.daemon", "--server", "ipc:///nowhere",
               "--spool", str(tmp_path / "file" / "spool")]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 75
    assert "expected a folder to write into" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_agent_of_another_host_needs_a_token_the_first_time(tmp_path):
    command = [sys.executable, "-m", "callsheet.agentd.daemon", "--server", "tcp://host:1",
               "--spool", str(tmp_path)]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 78
    assert "expected also --token-file for the first time" in result.stderr


def test_agentd_ends_with_its_supervisor_and_leaves_the_jobs(stand):
    theirs, ours = socket.socketpair()
    command = [sys.executable, "-m", "callsheet.agentd.daemon", "--server", stand.endpoint,
               "--spool", str(stand.spool), "--agent-id", "stand",
               "--supervised-fd", str(theirs.fileno())]  # fmt: skip
    with subprocess.Popen(command, pass_fds=[theirs.fileno()]) as process:
        theirs.close()
        stand.wait(AgentHello)
        stand.send(AgentWelcome(epoch=stand.epoch, server_id="stand"))
        stand.run("r1", a_process("sleep", "600"))
        pid = stand.started("r1").pid
        ours.close()
        assert process.wait(60) == 0
    assert lives(pid)
    assert len(stand.keepers()) == 2


def test_processes_are_listed(stand):
    stand.start()
    stand.run("r1", a_process("sleep", "600"))
    pid = stand.started("r1").pid
    stand.send(ListProcesses(epoch=1, request="q"))
    listed = stand.wait(ProcessList)
    assert [(p.run_id, p.state, p.pid) for p in listed.processes] == [("r1", "running", pid)]
