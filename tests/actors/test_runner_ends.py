"""Outputs and ends: all of an output is kept before the end is reported, and the end until it is
on record; the agent forgets after that."""

from __future__ import annotations

import pytest
from runner_driver import SECOND, START_US, RunnerDriver, a_run

from callsheet.actors import runner_book
from callsheet.actors.outputs_seam import (
    OUTPUTS,
    STORE,
    AppendOutput,
    FinishOutput,
    OutputFinished,
    OutputStored,
)
from callsheet.jobs.states import State
from callsheet.messages.agents import (
    AgentBeat,
    AskHello,
    ForgetProcess,
    OutputChunk,
    OutputGrew,
    OutputTaken,
    ProcessEnded,
    ProcessLost,
    ProcessNoted,
    ProcessStarted,
)
from callsheet.messages.commands import Recorded
from callsheet.messages.instructions import AttemptEnded, AttemptUpdated, OutputRecord
from callsheet.messages.post import LEDGER, Post

AGENT = "agent/x"
FORGET = Post(AGENT, ForgetProcess(epoch=1, run_id="r1", attempt=1))
RECORD = OutputRecord(run_id="r1", length=5, path="01/r1/1.output", sha256="s")
FINISH = Post(STORE, FinishOutput(run_id="r1", attempt=1, output_id="output", length=5))


def ended(status=0, run_id="r1", **fields):
    fields = {"at_us": START_US + 9 * SECOND, "started_us": START_US + SECOND, "pid": 7} | fields
    return ProcessEnded(run_id=run_id, attempt=1, status=status, **fields)


def chunk(offset=0, data=b"hello"):
    return OutputChunk(run_id="r1", attempt=1, name="output", offset=offset, data=data)


def stored(length):
    return OutputStored(run_id="r1", attempt=1, output_id="output", length=length)


def finished(**fields):
    return OutputFinished(run_id="r1", attempt=1, output_id="output", **fields)


def grew(length, *, ended=False):
    message = OutputGrew(run_id="r1", attempt=1, output_id="output", length=length, ended=ended)
    return Post(OUTPUTS, message)


def taken(upto):
    message = OutputTaken(epoch=1, run_id="r1", attempt=1, name="output", upto=upto)
    return Post(AGENT, message)


def reports(posts):
    """The ends told to the ledger: state, message, outputs."""
    found = [message for to, message in posts if isinstance(message, AttemptEnded)]
    assert all(to == LEDGER for to, message in posts if isinstance(message, AttemptEnded))
    return [(m.state, m.message, m.outputs) for m in found]


@pytest.fixture
def driver():
    """A runner with one agent that runs r1, as the ledger has it."""
    driver = RunnerDriver(agents=("x",))
    driver.start(a_run(version=101))
    driver.from_agent(ProcessStarted(run_id="r1", attempt=1, pid=7, at_us=START_US + SECOND))
    driver.recorded()
    return driver


# --- ends without output --------------------------------------------------------------------------


def test_an_end_without_output_is_reported_at_once_and_whole(driver):
    message = ended(3, rusage={"maxrss": 10}, elapsed_s=8.0, stop_signals=["SIGTERM"])
    [post] = driver.from_agent(message)
    report = post.message
    program = report.meta["program"]
    assert (post.to, report.run_id, report.attempt) == (LEDGER, "r1", 1)
    assert (report.state, report.message) == (State.FAILURE, "exit code 3")
    assert (report.at_us, report.started_us) == (START_US + 9 * SECOND, START_US + SECOND)
    assert (report.agent_id, report.outputs, report.exit_code) == ("x", [], 3)
    assert report.meta["elapsed"] == 8.0
    assert program["status"]["exit_code"] == 3
    assert program["stop"] == {"signals": ["SIGTERM"]}
    assert program["rusage"] == {"maxrss": 10}
    assert program["procstar_conn"]["conn_id"] == "x"


def test_an_end_is_reported_until_it_is_recorded_and_then_the_agent_forgets(driver):
    report = driver.from_agent(ended())
    assert driver.from_agent(ended()) == []
    assert driver.later(4.5) == report * 2
    assert driver.recorded(state=State.SUCCESS, ended=True) == [FORGET]
    assert driver.later(5) == []


def test_an_end_said_again_after_it_is_on_record_is_answered_by_forget(driver):
    driver.from_agent(ended())
    driver.recorded(state=State.SUCCESS, ended=True)
    assert driver.from_agent(ended()) == [FORGET]
    assert driver.from_agent(chunk()) == [FORGET]


def test_an_acknowledged_start_does_not_silence_the_end_that_came_meanwhile():
    driver = RunnerDriver(agents=("x",))
    driver.start(a_run(version=101))
    driver.from_agent(ProcessStarted(run_id="r1", attempt=1, pid=7, at_us=START_US))
    report = driver.from_agent(ended())
    assert driver.recorded() == []
    assert driver.later(2.5) == report


def test_a_process_that_is_over_before_its_start_was_told_is_reported_once():
    driver = RunnerDriver(agents=("x",))
    driver.start(a_run(version=101))
    assert reports(driver.from_agent(ended())) == [(State.SUCCESS, "", [])]


def test_another_agent_cannot_end_the_process(driver):
    driver.hello("y")
    assert driver.from_agent(ended(), agent_id="y") == []


def test_what_could_not_be_executed_is_an_error_that_never_started(driver):
    [post] = driver.from_agent(ended(error="/no/program: No such file", started_us=0))
    assert (post.message.state, post.message.message) == (
        State.ERROR, "/no/program: No such file",
    )  # fmt: skip
    assert post.message.started_us is None


# --- lost -----------------------------------------------------------------------------------------


def test_a_lost_process_is_reported_lost_with_the_reason(driver):
    lost = ProcessLost(run_id="r1", attempt=1, at_us=START_US + 2, sentence="lost: its keeper died")
    assert reports(driver.from_agent(lost)) == [(State.LOST, "lost: its keeper died", [])]


def test_an_exit_record_that_turns_up_settles_what_was_lost(driver):
    driver.from_agent(ProcessLost(run_id="r1", attempt=1, at_us=START_US, sentence="lost"))
    assert driver.recorded(state=State.LOST, ended=True) == [FORGET]
    assert reports(driver.from_agent(ended(1))) == [(State.FAILURE, "exit code 1", [])]
    assert driver.recorded(state=State.FAILURE, ended=True) == [FORGET]
    assert driver.from_agent(ended(1)) == [FORGET]


def test_output_of_what_was_lost_is_taken_so_that_its_end_may_follow(driver):
    driver.from_agent(ProcessLost(run_id="r1", attempt=1, at_us=START_US, sentence="lost"))
    driver.recorded(state=State.LOST, ended=True)
    assert [post.to for post in driver.from_agent(chunk())] == [STORE]


def test_output_of_what_was_given_up_is_kept_though_it_stays_lost(driver):
    driver.from_agent(ProcessLost(run_id="r1", attempt=1, at_us=START_US, sentence="lost"))
    driver.recorded(state=State.LOST, ended=True)
    found = ProcessLost(
        run_id="r1", attempt=1, at_us=START_US, sentence="rebooted", output_bytes={"output": 5}
    )
    assert driver.from_agent(found) == [FINISH]
    posts = driver.tell("local", finished(record=RECORD))
    assert reports(posts) == [(State.LOST, "rebooted", [RECORD])]
    assert driver.recorded(state=State.LOST, ended=True) == [FORGET]


def test_a_lost_process_said_again_is_forgotten(driver):
    lost = ProcessLost(run_id="r1", attempt=1, at_us=START_US, sentence="lost")
    driver.from_agent(lost)
    driver.recorded(state=State.LOST, ended=True)
    assert driver.from_agent(lost) == [FORGET]


# --- strangers ------------------------------------------------------------------------------------


def test_the_end_of_a_stranger_is_reported_and_the_ledger_decides():
    driver = RunnerDriver(agents=("x",))
    assert reports(driver.from_agent(ended(run_id="r9"))) == [(State.SUCCESS, "", [])]
    forget = Post(AGENT, ForgetProcess(epoch=1, run_id="r9", attempt=1))
    assert driver.recorded("r9", State.ERROR, ended=True) == [forget]


def test_a_process_of_a_run_that_is_over_by_other_means_goes_on_as_a_stranger(driver):
    recorded = Recorded(run_id="r1", attempt=1, state=State.ERROR, ended=True)
    assert driver.tell(LEDGER, recorded) == []
    # The ledger has no run to flag, so its agent's silence is nothing to tell.
    assert driver.later(12) == []
    assert reports(driver.from_agent(ended())) == [(State.SUCCESS, "", [])]


def test_a_strangers_silence_flags_nothing():
    driver = RunnerDriver(agents=("x",))
    driver.from_agent(chunk())
    assert driver.later(12) == []
    assert driver.from_agent(AgentBeat(agent_id="x", live=1)) == []


def test_late_ends_are_remembered_in_bounded_number(driver, monkeypatch):
    monkeypatch.setattr(runner_book, "OVER_AT_MOST", 1)
    driver.from_agent(ended())
    driver.recorded(state=State.SUCCESS, ended=True)
    driver.from_agent(ended(run_id="r2"))
    driver.recorded("r2", State.SUCCESS, ended=True)
    # Forgotten here: the ledger is asked again.
    assert reports(driver.from_agent(ended())) == [(State.SUCCESS, "", [])]


# --- outputs --------------------------------------------------------------------------------------


def test_a_chunk_goes_to_the_store_and_its_agent_hears_when_it_is_there(driver):
    append = AppendOutput(run_id="r1", attempt=1, output_id="output", offset=0, data=b"hello")
    assert driver.from_agent(chunk()) == [Post(STORE, append)]
    assert driver.tell("local", stored(5)) == [taken(5), grew(5)]


def test_the_end_waits_for_the_output_to_be_kept(driver):
    assert driver.from_agent(ended(output_bytes={"output": 5})) == [FINISH]
    assert driver.from_agent(ended(output_bytes={"output": 5})) == []
    posts = driver.tell("local", finished(record=RECORD))
    assert posts[0] == grew(5, ended=True)
    assert reports(posts) == [(State.SUCCESS, "", [RECORD])]


def test_the_store_may_take_the_agents_file(driver):
    [post] = driver.from_agent(ended(output_bytes={"output": 5}, spool_path="/s/runs/r1.1/out"))
    assert post.message.spool_path == "/s/runs/r1.1/out"


def test_an_output_that_is_not_all_there_is_asked_for_and_then_the_end_again(driver):
    driver.from_agent(ended(output_bytes={"output": 5}))
    assert driver.tell("local", finished(length=2)) == [taken(2)]
    append = AppendOutput(run_id="r1", attempt=1, output_id="output", offset=2, data=b"llo")
    assert driver.from_agent(chunk(2, b"llo")) == [Post(STORE, append)]
    assert driver.from_agent(ended(output_bytes={"output": 5})) == [FINISH]


def test_an_agent_that_falls_silent_before_it_has_sent_the_rest_is_flagged_and_comes_back():
    driver = RunnerDriver(agents=("x",))
    driver.start(a_run(version=101))
    # So short a process is not told of as started.
    driver.from_agent(ended(output_bytes={"output": 5}))
    driver.tell("local", finished(length=2))
    flag = Post(LEDGER, AttemptUpdated(run_id="r1", attempt=1, unreachable=True, session=(1, 0)))
    assert driver.later(12) == [flag]
    [post] = driver.from_agent(AgentBeat(agent_id="x", live=0))
    assert (post.message.run_id, post.message.at_us) == ("r1", START_US + SECOND)


def test_an_output_that_cannot_be_kept_now_is_tried_again_until_it_can(driver):
    driver.from_agent(ended(output_bytes={"output": 5}))
    assert driver.tell("local", finished(error="No space left on device")) == []
    assert [p for p in driver.later(5.5) if p.to == STORE] == [FINISH]
    driver.tell("local", finished(error="No space left on device"))
    assert [p for p in driver.later(5.5) if p.to == STORE] == [FINISH]
    assert reports(driver.tell("local", finished(record=RECORD))) == [(State.SUCCESS, "", [RECORD])]


def test_bytes_that_are_stored_after_the_end_are_not_acknowledged(driver):
    # The agent would take it for a wish to have the rest sent, though its file is being taken.
    driver.from_agent(chunk())
    driver.from_agent(ended(output_bytes={"output": 9}, spool_path="/s/runs/r1.1/out"))
    assert driver.tell("local", stored(5)) == [grew(5)]


def test_chunks_of_a_process_that_is_over_or_of_another_agent_are_not_stored(driver):
    driver.hello("y")
    assert driver.from_agent(chunk(), agent_id="y") == []
    driver.from_agent(ended())
    assert driver.from_agent(chunk()) == []


def test_what_the_store_says_of_an_unknown_output_changes_nothing(driver):
    other = OutputStored(run_id="r9", attempt=1, output_id="output", length=5)
    assert driver.tell("local", other) == []
    assert driver.tell("local", finished(record=RECORD)) == []


def test_a_doubted_process_that_is_ending_is_not_lost(driver):
    driver.from_agent(ended(output_bytes={"output": 5}))
    posts = driver.hello()
    assert [p for p in posts if isinstance(p.message, AskHello)] == []


@pytest.mark.parametrize("fields", [{"status": -9}, {"status": 126, "error": "no such user"}])
def test_what_a_signal_or_an_error_ended_has_no_exit_code(driver, fields):
    [post] = driver.from_agent(ended(**fields))
    assert post.message.exit_code is None


def test_what_an_agent_notes_of_its_own_process_is_a_line_in_the_log_and_no_other_agents(driver):
    note = ProcessNoted(run_id="r1", attempt=1, sentence="SIGTERM was not sent:\n why")
    said = AttemptUpdated(run_id="r1", attempt=1, note="SIGTERM was not sent: why")
    assert driver.from_agent(note) == [Post(LEDGER, said)]
    driver.hello("y")
    assert driver.from_agent(note, agent_id="y") == []
    of_nobody = ProcessNoted(run_id="r2", attempt=1, sentence="x")
    assert driver.from_agent(of_nobody) == []
