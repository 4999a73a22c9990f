"""Placing: one agent for each attempt, written down first; commands repeated until answered."""

from __future__ import annotations

import msgspec
import pytest
from runner_driver import SECOND, SLEEP, START_US, RunnerDriver, a_run, starts

from callsheet.actors import runner_given
from callsheet.actors.outputs_seam import PLACEMENTS, KeepPlaced, Placed
from callsheet.jobs.ahead import AHEAD_US
from callsheet.jobs.programs import BoundProcess
from callsheet.jobs.states import State
from callsheet.messages.agents import (
    AgentBeat,
    AskHello,
    ForgetProcess,
    ProcessEnded,
    ProcessRefused,
    ProcessStarted,
    SignalProcess,
    StartProcess,
    StopProcess,
)
from callsheet.messages.commands import SignalAttempt, StopAttempt
from callsheet.messages.instructions import AttemptEnded, AttemptStarted, AttemptUpdated
from callsheet.messages.post import LEDGER, Post

AGENT = "agent/x"
STARTED = ProcessStarted(run_id="r1", attempt=1, pid=7, at_us=START_US + 5)
PLACED = Post(PLACEMENTS, Placed(run_id="r1", attempt=1, agent_id="x", boot_id="b"))


def fresh(run_id="r1", **fields):
    return a_run(run_id, version=101, **fields)


def command(at_us=START_US, **fields):
    fields = {"job_id": "a", "incarnation": "x1", "program": SLEEP} | fields
    message = StartProcess(
        epoch=1, run_id="r1", attempt=1, not_after_us=at_us + 20 * SECOND, **fields
    )
    return Post(AGENT, message)


def error(sentence, at_us=START_US, agent_id=None):
    ended = AttemptEnded(
        run_id="r1",
        attempt=1,
        at_us=at_us,
        state=State.ERROR,
        message=sentence,
        agent_id=agent_id,
        session=(1, 0),
    )
    return Post(LEDGER, ended)


def running(driver):
    """The run is running as far as ledger and runner know."""
    driver.start(fresh())
    driver.from_agent(STARTED)
    driver.recorded()


@pytest.fixture
def driver():
    """A runner with one agent."""
    return RunnerDriver(agents=("x",))


# --- starting -------------------------------------------------------------------------------------


def test_a_placement_is_written_before_its_agent_is_told(driver):
    assert driver.start(fresh(stop_us=START_US + 9)) == [PLACED, command(stop_us=START_US + 9)]


def early(by_us, **fields):
    """A run that turned starting so long before its time."""
    return fresh(schedule_us=START_US + by_us, times={"starting": START_US}, **fields)


def test_a_run_that_is_ready_ahead_is_held_until_its_time(driver):
    assert driver.start(early(AHEAD_US)) == []
    assert driver.start(early(AHEAD_US)) == []
    assert driver.runner.wakes_at() == START_US + AHEAD_US
    assert driver.later((AHEAD_US - 1) / SECOND) == []
    assert driver.later(1 / SECOND) == [PLACED, command(START_US + AHEAD_US)]


def test_it_is_held_though_the_clock_is_set_back(driver):
    driver.start(early(AHEAD_US))
    driver.now_us -= 3_600 * SECOND
    assert driver.runner.settle(driver.now_us) == []
    driver.now_us = START_US + AHEAD_US
    assert driver.runner.settle(driver.now_us) == [PLACED, command(START_US + AHEAD_US)]


def test_a_run_that_is_held_until_its_time_can_be_stopped(driver):
    driver.later(60)
    run = fresh(schedule_us=driver.now_us + 5, times={"starting": driver.now_us})
    assert driver.start(run) == []
    stopped = msgspec.structs.replace(run, stop_asked=True)
    assert driver.start(stopped) == [error("stopped before it was started", driver.now_us)]


def test_a_run_started_long_before_its_time_is_not_held(driver):
    assert driver.start(early(AHEAD_US + 1)) == [PLACED, command()]


def test_a_start_sent_again_by_the_ledger_is_sent_again_to_the_same_agent(driver):
    driver.start(fresh())
    driver.hello("y")
    assert driver.start(fresh()) == [command()]


def test_a_start_is_repeated_every_two_seconds_until_it_is_answered(driver):
    driver.start(fresh())
    assert driver.later(4.5) == [command(START_US + 2 * SECOND), command(START_US + 4 * SECOND)]
    driver.from_agent(STARTED)
    driver.recorded()
    assert driver.later(4) == []


def test_a_clock_that_is_set_back_does_not_silence_the_repeats(driver):
    driver.start(fresh())
    driver.now_us -= 3_600 * SECOND
    assert driver.runner.settle(driver.now_us) == [command(driver.now_us)]


def test_an_attempt_never_goes_to_a_second_agent(driver):
    driver.start(fresh())
    driver.hello("y")
    posts = []
    for _ in range(20):
        posts += driver.later(3)
        driver.hello("y")
    assert starts(posts) == [(AGENT, "r1")] * len(starts(posts))
    # Neither does it when a new runner has only the journal to go by.
    after = RunnerDriver(
        a_run(), placed={("r1", 1): Placed(run_id="r1", attempt=1, agent_id="x")}, agents=("y",)
    )
    assert starts(after.later(60)) == []
    assert starts(after.hello("x")) == [(AGENT, "r1")]


def test_the_next_attempt_may_go_to_another_agent(driver):
    driver.start(fresh())
    driver.hello("y")
    assert starts(driver.start(fresh(attempt=2))) == [("agent/y", "r1")]


def test_runs_go_to_the_least_loaded_agent_of_their_group_in_turn():
    driver = RunnerDriver(agents=("x", "y"))
    driver.hello("z", group_id="other")
    told = [starts(driver.start(fresh(f"r{n}")))[0][0] for n in range(1, 5)]
    assert sorted(told) == ["agent/x", "agent/x", "agent/y", "agent/y"]
    other = BoundProcess(argv=("true",), group_id="other")
    assert starts(driver.start(fresh("r9", program=other))) == [("agent/z", "r9")]


def test_a_silent_agent_gets_no_new_runs():
    driver = RunnerDriver(agents=("x",))
    driver.later(12)
    driver.hello("y")
    assert starts(driver.start(fresh())) == [("agent/y", "r1")]


def test_the_journal_begins_anew_with_the_placements_that_count(driver, monkeypatch):
    monkeypatch.setattr(runner_given, "JOURNAL_AFTER", 2)
    driver.start(fresh())
    driver.from_agent(ProcessEnded(run_id="r1", attempt=1, status=0, at_us=9, started_us=8))
    driver.recorded(state=State.SUCCESS, ended=True)
    posts = driver.start(fresh("r2"))
    second = Placed(run_id="r2", attempt=1, agent_id="x", boot_id="b")
    assert posts[:2] == [Post(PLACEMENTS, second), Post(PLACEMENTS, KeepPlaced(placed=[second]))]


# --- no agent -------------------------------------------------------------------------------------


def test_a_run_without_an_agent_is_an_error_after_the_grace_of_a_new_runner():
    driver = RunnerDriver(a_run())
    assert driver.later(9.5) == []
    sentence = "start failed: r1: no connected agent in group: default"
    assert driver.later(1) == [error(sentence, START_US + 10 * SECOND)]


def test_later_a_run_without_an_agent_is_an_error_at_once():
    driver = RunnerDriver()
    driver.later(11)
    sentence = "start failed: r1: no connected agent in group: default"
    assert driver.start(fresh()) == [error(sentence, driver.now_us)]


def test_the_start_timeout_is_how_long_a_run_waits_for_an_agent():
    driver = RunnerDriver(start_timeout_us=30 * SECOND)
    driver.later(20)
    assert driver.start(fresh()) == []
    assert driver.later(29) == []
    assert starts(driver.hello()) == [(AGENT, "r1")]
    driver.start(fresh("r2", program=BoundProcess(argv=("x",), group_id="none")))
    [post] = [p for p in driver.later(31) if isinstance(p.message, AttemptEnded)]
    assert post.message.message == "start failed: r2: no connected agent in group: none"


def test_agents_are_told_how_the_settings_call_sudo():
    driver = RunnerDriver(sudo_argv=("/opt/sudo", "-E"))
    driver.hello()
    [command] = [p.message for p in driver.start(fresh()) if isinstance(p.message, StartProcess)]
    assert command.sudo_argv == ("/opt/sudo", "-E")


# --- answers --------------------------------------------------------------------------------------


def test_a_started_process_is_reported_with_what_is_known_of_it(driver):
    driver.hello(hostname="h", username="u", pid=3, uid=4, gid=5)
    driver.start(fresh())
    [post] = driver.from_agent(STARTED)
    assert post == Post(
        LEDGER,
        AttemptStarted(
            run_id="r1",
            attempt=1,
            at_us=START_US + 5,
            agent_id="x",
            meta={
                "program": {
                    "status": None,
                    "times": {
                        "start": "2027-01-15T08:00:00.000005+00:00", "stop": None, "elapsed": None,
                    },
                    "proc_stat": {"pid": 7},
                    "errors": [],
                    "procstar_conn": {
                        "conn_id": "x", "group_id": "default", "restricted_exe": None,
                    },
                    "procstar_agent": {
                        "pid": 3, "uid": 4, "gid": 5, "username": "u", "hostname": "h",
                    },
                }
            },
        ),
    )  # fmt: skip


def test_what_people_should_know_of_a_start_is_noted_and_kept(driver):
    driver.start(fresh())
    said = "limits are not held: no cgroups"
    report, note = driver.from_agent(msgspec.structs.replace(STARTED, remarks=[said]))
    assert report.message.meta["program"]["remarks"] == [said]
    assert note == Post(LEDGER, AttemptUpdated(run_id="r1", attempt=1, note=said))


def test_a_start_is_reported_until_it_is_recorded(driver):
    driver.start(fresh())
    report = driver.from_agent(STARTED)
    assert driver.from_agent(STARTED) == []
    assert driver.later(2.5) == report
    driver.recorded()
    assert driver.later(5) == []


def test_another_agent_cannot_say_that_the_process_runs(driver):
    driver.hello("y")
    driver.start(fresh())
    driver.hello("z")
    told = starts(driver.start(fresh()))[0][0].removeprefix("agent/")
    [other] = {"x", "y"} - {told}
    assert driver.from_agent(STARTED, agent_id=other) == []


def test_a_refusal_for_now_is_tried_again_by_the_same_agent(driver):
    driver.start(fresh())
    driver.hello("y")
    refused = ProcessRefused(run_id="r1", attempt=1, sentence="no space", retry=True)
    line = "agent x cannot start it now: no space; it is asked again every second"
    note = Post(LEDGER, AttemptUpdated(run_id="r1", attempt=1, note=line))
    assert driver.from_agent(refused) == [note]
    assert driver.later(1.5) == [command(START_US + SECOND)]
    # Said once, until it is another reason.
    assert driver.from_agent(refused) == []
    assert len(driver.from_agent(msgspec.structs.replace(refused, sentence="no fork"))) == 1


def test_a_run_whose_agent_goes_away_before_it_starts_says_so_once(driver):
    driver.start(fresh())
    notes = [
        post.message.note
        for _ in range(20)
        for post in driver.later(2)
        if isinstance(post.message, AttemptUpdated) and post.message.note
    ]
    assert notes == ["agent x, to which it was given, is away: it starts when that is back"]
    assert starts(driver.hello("x")) == [("agent/x", "r1")]


def test_a_refusal_for_good_is_an_error_with_the_agents_words(driver):
    driver.start(fresh())
    refused = ProcessRefused(run_id="r1", attempt=1, sentence="user not allowed")
    assert driver.from_agent(refused) == [error("user not allowed", agent_id="x")]
    forget = ForgetProcess(epoch=1, run_id="r1", attempt=1)
    assert driver.recorded(state=State.ERROR, ended=True) == [Post(AGENT, forget)]


# --- stopping and signalling ----------------------------------------------------------------------


def test_a_stop_is_repeated_until_the_process_is_over(driver):
    running(driver)
    stop = Post(AGENT, StopProcess(epoch=1, run_id="r1", attempt=1, boot_id="b"))
    assert driver.tell(LEDGER, StopAttempt(epoch=1, run_id="r1", attempt=1)) == [stop]
    assert driver.later(4.5) == [stop, stop]
    driver.from_agent(ProcessEnded(run_id="r1", attempt=1, status=-15, at_us=9, started_us=8))
    driver.recorded(state=State.FAILURE, ended=True)
    assert driver.later(5) == []


def test_a_kill_stays_a_kill_when_it_is_repeated(driver):
    running(driver)
    driver.tell(LEDGER, StopAttempt(epoch=1, run_id="r1", attempt=1))
    kill = Post(AGENT, StopProcess(epoch=1, run_id="r1", attempt=1, kill=True, boot_id="b"))
    message = StopAttempt(epoch=1, run_id="r1", attempt=1, kill=True)
    assert driver.tell(LEDGER, message) == [kill]
    assert driver.later(2.5) == [kill]
    assert driver.tell(LEDGER, StopAttempt(epoch=1, run_id="r1", attempt=1)) == [kill]


def test_a_run_found_stopping_is_stopped_again():
    run = a_run(state=State.STOPPING, agent_id="x")
    stop = Post(AGENT, StopProcess(epoch=1, run_id="r1", attempt=1))
    driver = RunnerDriver(welcomed=False, agents=("x",))
    assert stop in driver.welcome(run)


def test_a_stop_that_overtakes_the_start_is_not_forgotten(driver):
    driver.start(fresh())
    stop = Post(AGENT, StopProcess(epoch=1, run_id="r1", attempt=1, boot_id="b"))
    assert driver.tell(LEDGER, StopAttempt(epoch=1, run_id="r1", attempt=1)) == [stop]
    assert stop in driver.from_agent(STARTED)
    assert stop in driver.later(2.5)


def test_what_is_not_there_is_not_stopped(driver):
    assert driver.tell(LEDGER, StopAttempt(epoch=1, run_id="r9", attempt=1)) == []


def test_a_signal_is_sent_thrice_under_one_id_since_it_has_no_answer(driver):
    running(driver)
    message = SignalAttempt(epoch=1, run_id="r1", attempt=1, signal=10, command_id="c1")
    signal = Post(AGENT, SignalProcess(epoch=1, run_id="r1", attempt=1, signal=10, command_id="c1"))
    assert driver.tell(LEDGER, message) == [signal]
    assert driver.later(9) == [signal, signal]


def test_a_signal_is_not_repeated_to_a_process_that_is_over(driver):
    running(driver)
    message = SignalAttempt(epoch=1, run_id="r1", attempt=1, signal=10, command_id="c1")
    driver.tell(LEDGER, message)
    driver.from_agent(ProcessEnded(run_id="r1", attempt=1, status=0, at_us=9, started_us=8))
    driver.recorded(state=State.SUCCESS, ended=True)
    assert driver.later(9) == []


def test_a_process_that_does_not_run_yet_is_not_signalled(driver):
    driver.start(fresh())
    message = SignalAttempt(epoch=1, run_id="r1", attempt=1, signal=10, command_id="c1")
    assert driver.tell(LEDGER, message) == []


# --- hosts that are started anew ------------------------------------------------------------------

LOST = "lost: the host of agent x was rebooted"


def ended_as(posts):
    """Return the ends that are told to the ledger."""
    return [(m.state, m.message) for _, m in posts if isinstance(m, AttemptEnded)]


def asked(posts):
    """Return what an agent is asked."""
    return [m.request for _, m in posts if isinstance(m, AskHello)]


def after_a_reboot(driver):
    """Return what an agent is told that comes back after one, and says so again when asked."""
    came = driver.hello(boot_id="b2", incarnation="x2")
    assert ended_as(came) == []
    [request] = asked(came)
    return came + driver.hello(boot_id="b2", incarnation="x2", answers=request)


def test_what_a_host_was_given_before_its_reboot_is_not_started_by_it_again(driver):
    driver.start(fresh())
    posts = after_a_reboot(driver)
    assert ended_as(posts) == [(State.LOST, LOST)]
    assert starts(posts) == []
    assert starts(driver.later(30)) == []


def test_an_introduction_from_before_a_reboot_that_comes_late_loses_nothing(driver):
    driver.hello(boot_id="b2", incarnation="x2")
    driver.start(fresh())
    late = driver.hello()
    assert (ended_as(late), starts(late)) == ([], [])
    [request] = asked(late)
    now = driver.hello(boot_id="b2", incarnation="x2", answers=request)
    assert (ended_as(now), starts(now)) == ([], [(AGENT, "r1")])


def test_an_answer_of_before_a_process_began_does_not_lose_it(driver):
    driver.hello(boot_id="b2", incarnation="x2")
    driver.start(fresh())
    [request] = asked(driver.hello())
    driver.from_agent(STARTED)
    posts = driver.hello(boot_id="b2", incarnation="x2", answers=request)
    assert ended_as(posts) == []
    [again] = asked(posts)
    assert again != request


def test_what_is_to_be_stopped_and_may_have_begun_before_a_reboot_is_lost_by_it():
    placed = {("r1", 1): Placed(run_id="r1", attempt=1, agent_id="x", boot_id="b")}
    driver = RunnerDriver(a_run(stop_asked=True), placed=placed)
    posts = after_a_reboot(driver)
    assert ended_as(posts) == [(State.LOST, LOST)]
    assert [m for _, m in posts if isinstance(m, StopProcess)] == []


def test_an_agent_that_is_silent_is_told_in_which_boot_it_was_given_what_is_to_be_stopped(driver):
    """It may be back from a reboot, and not have introduced itself."""
    driver.start(fresh())
    driver.later(25)
    posts = driver.start(fresh(stop_asked=True))
    assert [m.boot_id for _, m in posts if isinstance(m, StopProcess)] == ["b"]
    assert ended_as(after_a_reboot(driver)) == [(State.LOST, LOST)]


def test_what_a_host_still_has_after_its_reboot_it_is_asked_about(driver):
    driver.start(fresh())
    posts = driver.hello(boot_id="b2", incarnation="x2", claims=["r1.1 done"])
    assert ended_as(posts) == []
    assert starts(posts) == [(AGENT, "r1")]


def test_another_life_of_the_agent_on_the_same_boot_is_asked_to_start(driver):
    driver.start(fresh())
    posts = driver.hello(incarnation="x2")
    assert ended_as(posts) == []
    assert starts(posts) == [(AGENT, "r1")]


def test_a_runner_that_is_started_anew_knows_the_boot_from_the_journal():
    placed = {("r1", 1): Placed(run_id="r1", attempt=1, agent_id="x", boot_id="b")}
    driver = RunnerDriver(a_run(), placed=placed)
    assert ended_as(after_a_reboot(driver)) == [(State.LOST, LOST)]


def test_what_is_found_to_be_of_before_a_reboot_after_its_agent_came_is_asked_about_too():
    placed = {("r1", 1): Placed(run_id="r1", attempt=1, agent_id="x", boot_id="b")}
    driver = RunnerDriver(welcomed=False, placed=placed)
    driver.hello(boot_id="b2")
    posts = driver.welcome(a_run()) + driver.later(1)
    assert (ended_as(posts), starts(posts)) == ([], [])
    [request] = asked(driver.from_agent(AgentBeat(agent_id="x", live=0)))
    assert ended_as(driver.hello(boot_id="b2", answers=request)) == [(State.LOST, LOST)]


def test_a_process_that_is_gone_with_a_reboot_is_lost_by_it(driver):
    driver.start(fresh())
    driver.from_agent(STARTED)
    [ask] = [m for _, m in driver.hello(boot_id="b2") if isinstance(m, AskHello)]
    assert ended_as(driver.hello(boot_id="b2", answers=ask.request)) == [(State.LOST, LOST)]


BEFORE, AFTER = START_US - SECOND, START_US + SECOND
ASKED = {"times": {"starting": START_US}}


@pytest.mark.parametrize(
    ("server_us", "agent_us", "fields", "is_lost"),
    [
        # Whatever the journal or the agent knew may have gone with the power of both.
        (AFTER, AFTER, ASKED, True),
        (BEFORE, AFTER, ASKED, False),
        (AFTER, BEFORE, ASKED, False),
        (AFTER, 0, ASKED, False),
        (AFTER, AFTER, {}, False),
    ],
)
def test_a_run_nobody_knows_of_is_lost_when_both_hosts_were_rebooted_since_it_was_asked_for(
    server_us, agent_us, fields, is_lost
):
    driver = RunnerDriver(a_run(**fields), booted_us=server_us)
    posts = driver.hello(booted_us=agent_us)
    said = "lost: server and agent were rebooted, so whether it began is not known"
    assert ended_as(posts) == ([(State.LOST, said)] if is_lost else [])
    assert starts(posts) == ([] if is_lost else [(AGENT, "r1")])


def test_a_process_gets_the_args_of_its_run_unless_its_job_says_otherwise(driver):
    own = BoundProcess(argv=("env",), env={"APSIS_ARG_b": "the job's", "c": "3"})
    posts = driver.start(fresh(program=own, args={"a": "1", "b": "2"}))
    env = {"APSIS_ARG_a": "1", "APSIS_ARG_b": "the job's", "c": "3"}
    assert command(program=msgspec.structs.replace(own, env=env)) in posts
