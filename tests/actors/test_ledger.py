"""The ledger's core against the in-memory store: instructions in, transitions and answers out."""

from __future__ import annotations

from typing import Any

import pytest
from ledger_driver import SECOND, LedgerDriver
from msgspec.structs import replace

from callsheet.jobs.actions import ScheduleAction
from callsheet.jobs.bound_conditions import BoundConst, BoundPool
from callsheet.jobs.programs import BoundNoOp
from callsheet.jobs.run import NewRun
from callsheet.jobs.states import State
from callsheet.messages.codec import encode
from callsheet.messages.commands import (
    ActOn,
    ClearRefused,
    DueTaken,
    IdsLeased,
    JobsApplied,
    JobsRefused,
    Recorded,
    RunsDocketed,
    SignalAttempt,
    StartRun,
    StopAttempt,
)
from callsheet.messages.hello import (
    Hello,
    Refuse,
    RunnerWelcome,
    ScheduleRow,
    SchedulerWelcome,
    Welcome,
)
from callsheet.messages.instructions import (
    ActionSettled,
    AttemptEnded,
    AttemptStarted,
    AttemptUpdated,
    ClearRun,
    ConcludeRun,
    FewerThan,
    LeaseIds,
    NoneOf,
    NoteRun,
    OutputRecord,
    PoolFree,
    RunsDue,
)
from callsheet.messages.transitions import FeedFrame, Replay, Replayed, RunWithdrawn
from callsheet.messages.wishes import (
    AddRuns,
    DeclineWish,
    Done,
    HoldRun,
    MarkRun,
    Refused,
    ReleaseRun,
    SignalRun,
    SkipRun,
    StartNow,
    StopRun,
)
from callsheet.store.interface import StoreBroken

WAITS = (BoundConst(value=False),)


@pytest.fixture
def ledger() -> LedgerDriver:
    """A fresh ledger."""
    return LedgerDriver()


def lines(ledger: LedgerDriver, run_id: str) -> list[str]:
    """The log of a run."""
    return [getattr(event, "message", "") for event in ledger.writer.reader.log(run_id)]


def running(ledger: LedgerDriver, **fields: Any) -> Any:
    """A run whose program runs."""
    run = ledger.a_run(**fields)
    started = AttemptStarted(run_id=run.run_id, attempt=1, at_us=ledger.now_us, agent_id="x")
    ledger.tell(started, sender="runner/0")
    return ledger.run(run.run_id)


def ended(ledger: LedgerDriver, run_id: str, state: State, **fields: Any) -> list[Any]:
    """Report the end of a run's first attempt."""
    end = AttemptEnded(run_id=run_id, attempt=1, at_us=ledger.now_us, state=state, **fields)
    return ledger.tell(end, sender="runner/0")


def test_runs_that_are_alike_are_made_like_the_last_that_is_told() -> None:
    ledger = LedgerDriver()
    first = ledger.tell(LeaseIds(count=4))[0].first_id
    ids = [f"r{first + place}" for place in range(5)]
    new = NewRun(
        run_id=ids[0],
        job_id="a",
        args={"x": "1"},
        schedule_us=ledger.now_us,
        conds=(BoundConst(value=False),),
        program=BoundNoOp(),
        labels=("red",),
    )
    refused = ledger.wish(AddRuns(runs=[new], alike=ids[1:]))
    assert isinstance(refused, Refused)
    assert ids[4] in refused.sentence
    done = ledger.wish(AddRuns(runs=[new], alike=ids[1:4]))
    assert [run.run_id for run in done.runs] == ids[:4]
    made = [ledger.run(run_id) for run_id in ids[:4]]
    assert {run.state for run in made} == {State.WAITING}
    alike = {encode(replace(run, run_id="r1", version=0)) for run in (*made, *done.runs)}
    assert len(alike) == 1
    assert made[3].meta == {"job": {"labels": ["red"]}}


def test_a_run_for_now_is_starting_in_one_commit(ledger):
    run = ledger.a_run()
    assert run.state is State.STARTING
    assert run.attempt == 1
    assert lines(ledger, run.run_id) == ["scheduled: now", "starting"]


def test_a_run_for_later_goes_on_the_docket(ledger):
    run = ledger.a_run(schedule_us=ledger.now_us + 60 * SECOND)
    assert run.state is State.SCHEDULED
    docketed = [p.message for p in ledger.posts if isinstance(p.message, RunsDocketed)]
    assert [row.run_id for row in docketed[0].due] == [run.run_id]


def test_a_due_run_without_conditions_starts(ledger):
    run = ledger.a_run(schedule_us=ledger.now_us + SECOND)
    ledger.now_us += SECOND
    sent = ledger.tell(RunsDue(run_ids=[run.run_id]))
    assert DueTaken(run_ids=[run.run_id]) in sent
    assert [m.run.state for m in sent if isinstance(m, StartRun)] == [State.STARTING]


def test_a_due_run_with_conditions_waits(ledger):
    run = ledger.a_run(conds=WAITS)
    assert run.state is State.WAITING


def test_runs_due_twice_starts_once(ledger):
    run = ledger.a_run(schedule_us=ledger.now_us + SECOND)
    ledger.tell(RunsDue(run_ids=[run.run_id]), RunsDue(run_ids=[run.run_id, "r999999"]))
    assert ledger.run(run.run_id).attempt == 1


def test_the_feed_frame_holds_the_events_and_the_run_as_it_then_is(ledger):
    run = ledger.a_run()
    frames = [p.message for p in ledger.posts if p.to == "feed"]
    assert [type(f) for f in frames] == [FeedFrame]
    assert [e.seq for e in frames[0].events] == [1, 2]
    assert frames[0].after_seq == 0
    assert frames[0].runs == [run]


def test_the_whole_life_of_a_run(ledger):
    run = running(ledger)
    sent = ended(ledger, run.run_id, State.SUCCESS, meta={"elapsed": 0.5})
    stored = ledger.run(run.run_id)
    assert stored.state is State.SUCCESS
    assert stored.meta["elapsed"] == 0.5
    assert Recorded(run_id=run.run_id, attempt=1, state=State.SUCCESS, ended=True) in sent
    assert list(stored.times) == ["scheduled", "starting", "running", "success"]


def test_an_end_without_a_start_writes_running_too(ledger):
    run = ledger.a_run()
    ended(ledger, run.run_id, State.FAILURE, message="exit code 3", started_us=ledger.now_us)
    assert lines(ledger, run.run_id)[-2:] == ["running", "failure: exit code 3"]


def test_an_error_before_the_start_is_not_running(ledger):
    run = ledger.a_run()
    ended(ledger, run.run_id, State.ERROR, message="no agent")
    assert "running" not in ledger.run(run.run_id).times


def test_a_repeated_end_is_acknowledged_and_moves_nothing(ledger):
    run = running(ledger)
    ended(ledger, run.run_id, State.SUCCESS)
    seq = ledger.ledger.seq
    sent = ended(ledger, run.run_id, State.FAILURE)
    assert ledger.ledger.seq == seq
    assert sent == [Recorded(run_id=run.run_id, attempt=1, state=State.SUCCESS, ended=True)]


def test_an_unknown_run_is_acknowledged_as_over(ledger):
    sent = ended(ledger, "r77", State.SUCCESS)
    assert sent == [Recorded(run_id="r77", attempt=1, state=State.ERROR, ended=True)]


def test_the_exit_of_a_lost_run_settles_it(ledger):
    run = running(ledger)
    ended(ledger, run.run_id, State.LOST, message="keeper gone")
    assert ledger.run(run.run_id).state is State.LOST
    ended(ledger, run.run_id, State.SUCCESS)
    assert ledger.run(run.run_id).state is State.SUCCESS


def test_what_is_found_of_a_lost_run_is_kept_and_noted_once(ledger):
    run = running(ledger)
    ended(ledger, run.run_id, State.LOST, message="lost: agent x is away")
    output = OutputRecord(run_id=run.run_id, attempt=1, length=3, data=b"abc")
    for _ in range(2):
        sent = ended(ledger, run.run_id, State.LOST, message="lost: rebooted", outputs=[output])
        assert sent[-1] == Recorded(run_id=run.run_id, attempt=1, state=State.LOST, ended=True)
    after = ledger.run(run.run_id)
    assert (after.state, after.message) == (State.LOST, "lost: rebooted")
    assert [one.length for one in ledger.writer.reader.outputs(run.run_id)] == [3]
    assert lines(ledger, run.run_id).count("more is known: lost: rebooted") == 1


@pytest.mark.parametrize("mark", [State.SKIPPED, State.SUCCESS])
def test_what_a_lost_run_wrote_that_was_marked_meanwhile_is_kept_and_the_mark_stays(ledger, mark):
    run = running(ledger)
    ended(ledger, run.run_id, State.LOST, message="lost: agent x is away")
    ledger.wish(MarkRun(run_id=run.run_id, state=mark))
    output = OutputRecord(run_id=run.run_id, attempt=1, length=3, data=b"abc")
    for _ in range(2):
        meta = {"program": {"status": 0}}
        sent = ended(ledger, run.run_id, State.SUCCESS, meta=meta, outputs=[output])
        assert sent[-1] == Recorded(run_id=run.run_id, attempt=1, state=mark, ended=True)
    after = ledger.run(run.run_id)
    assert (after.state, after.meta["program"]) == (mark, {"status": 0})
    assert [one.length for one in ledger.writer.reader.outputs(run.run_id)] == [3]
    assert lines(ledger, run.run_id).count("more is known: success") == 1


def test_a_start_is_repeated_until_it_is_answered(ledger):
    run = ledger.a_run()
    assert [m for m in ledger.later(4) if isinstance(m, StartRun)] == []
    assert [m.run.run_id for m in ledger.later(2) if isinstance(m, StartRun)] == [run.run_id]
    started = AttemptStarted(run_id=run.run_id, attempt=1, at_us=ledger.now_us)
    ledger.tell(started, sender="runner/0")
    assert ledger.later(10) == []
    assert ledger.ledger.wakes_at() is None


def test_stop_of_a_running_run_is_repeated_until_it_ends(ledger):
    run = running(ledger)
    answer = ledger.wish(StopRun(run_id=run.run_id))
    assert answer.runs[0].state is State.STOPPING
    assert any(isinstance(p.message, StopAttempt) for p in ledger.posts)
    assert any(isinstance(m, StopAttempt) for m in ledger.later(6))
    ended(ledger, run.run_id, State.FAILURE)
    assert ledger.later(60) == []


def test_stop_of_a_starting_run_is_carried_out_when_it_runs(ledger):
    run = ledger.a_run()
    assert isinstance(ledger.wish(StopRun(run_id=run.run_id)), Done)
    started = AttemptStarted(run_id=run.run_id, attempt=1, at_us=ledger.now_us)
    sent = ledger.tell(started, sender="runner/0")
    assert ledger.run(run.run_id).state is State.STOPPING
    assert any(isinstance(m, StopAttempt) for m in sent)


def test_stop_of_a_finished_run_is_refused(ledger):
    run = running(ledger)
    ended(ledger, run.run_id, State.SUCCESS)
    answer = ledger.wish(StopRun(run_id=run.run_id))
    assert (answer.reason, answer.sentence) == (
        "wrong_state",
        f"can't stop run {run.run_id}: run is success",
    )


def test_a_kill_of_a_stopping_run_is_sent_as_a_kill(ledger):
    run = running(ledger)
    ledger.wish(StopRun(run_id=run.run_id))
    ledger.wish(StopRun(run_id=run.run_id, kill=True))
    stops = [p.message for p in ledger.posts if isinstance(p.message, StopAttempt)]
    assert [stop.kill for stop in stops] == [True]


def test_a_kill_is_repeated_as_a_kill_whatever_was_started_anew(ledger):
    run = running(ledger)
    ledger.wish(StopRun(run_id=run.run_id, kill=True))
    ledger.restart()
    sent = ledger.tell(Hello(role="runner/0"), sender="runner/0")
    [welcome] = [m for m in sent if isinstance(m, RunnerWelcome)]
    assert [run.kill_asked for run in welcome.runs] == [True]
    assert [m.kill for m in ledger.later(6) if isinstance(m, StopAttempt)] == [True]


def test_a_kill_of_a_starting_run_is_carried_out_as_one_when_it_runs(ledger):
    run = ledger.a_run()
    ledger.wish(StopRun(run_id=run.run_id))
    ledger.wish(StopRun(run_id=run.run_id, kill=True))
    started = AttemptStarted(run_id=run.run_id, attempt=1, at_us=ledger.now_us)
    sent = ledger.tell(started, sender="runner/0")
    assert [m.kill for m in sent if isinstance(m, StopAttempt)] == [True]


def test_a_clock_that_is_set_back_silences_no_repeat(ledger):
    run = ledger.a_run(actions=(ScheduleAction(job_id="b"),))
    assert ledger.later(-3_600) == []
    sent = ledger.later(6)
    assert [m.run.run_id for m in sent if isinstance(m, StartRun)] == [run.run_id]
    assert [len(m.items) for m in sent if isinstance(m, ActOn)] == [2]


def test_a_signal_goes_to_the_runner_once(ledger):
    run = running(ledger)
    ledger.wish(SignalRun(run_id=run.run_id, signal=10), "k1")
    assert [p.message.signal for p in ledger.posts if isinstance(p.message, SignalAttempt)] == [10]
    ledger.wish(SignalRun(run_id=run.run_id, signal=10), "k1")
    assert not [p for p in ledger.posts if isinstance(p.message, SignalAttempt)]
    assert lines(ledger, run.run_id)[-1] == "sending SIGUSR1"


def test_a_bad_signal_number_is_refused(ledger):
    run = running(ledger)
    assert ledger.wish(SignalRun(run_id=run.run_id, signal=999)).reason == "bad_request"


def test_skip_of_a_waiting_run(ledger):
    run = ledger.a_run(conds=WAITS)
    answer = ledger.wish(SkipRun(run_id=run.run_id))
    assert answer.runs[0].state is State.SKIPPED


def test_skip_of_a_running_run_is_refused(ledger):
    run = running(ledger)
    sentence = f"can't skip {run.run_id} in state running"
    assert ledger.wish(SkipRun(run_id=run.run_id)).sentence == sentence


def test_a_wish_for_an_unknown_run_is_not_found(ledger):
    answer = ledger.wish(SkipRun(run_id="r12345"))
    assert answer == Refused(command_id="c1", reason="not_found", sentence="unknown run r12345")


def test_a_wish_that_was_carried_out_is_not_declined_afterwards(ledger):
    run = ledger.a_run()
    done = ledger.wish(DeclineWish(reason="not_found", sentence="unknown job a"), "c1")
    assert [one.run_id for one in done.runs] == [run.run_id]


def test_a_wish_that_was_declined_is_not_carried_out_afterwards(ledger):
    refused = ledger.wish(DeclineWish(reason="not_found", sentence="unknown job a"), "c1")
    assert (refused.reason, refused.sentence) == ("not_found", "unknown job a")
    first = ledger.tell(LeaseIds(count=1))[0].first_id
    new = NewRun(run_id=f"r{first}", job_id="a", args={}, schedule_us=0, program=BoundNoOp())
    assert ledger.wish(AddRuns(runs=[new]), "c1") == refused
    assert ledger.writer.reader.run(new.run_id) is None


def test_a_repeated_wish_gets_the_same_answer_and_no_effect(ledger):
    run = ledger.a_run(conds=WAITS)
    first = ledger.wish(SkipRun(run_id=run.run_id), "k1")
    seq = ledger.ledger.seq
    ledger.restart()
    again = ledger.wish(SkipRun(run_id=run.run_id), "k1")
    assert ledger.ledger.seq == seq
    assert isinstance(again, Done)
    assert again.runs == first.runs


def test_start_of_a_waiting_run_overrides_its_conditions(ledger):
    run = ledger.a_run(conds=WAITS)
    answer = ledger.wish(StartNow(run_id=run.run_id))
    assert answer.runs[0].state is State.STARTING


def test_start_of_a_scheduled_run_keeps_its_conditions(ledger):
    run = ledger.a_run(conds=WAITS, schedule_us=ledger.now_us + 60 * SECOND)
    answer = ledger.wish(StartNow(run_id=run.run_id))
    assert answer.runs[0].state is State.WAITING


def test_a_held_run_is_neither_launched_nor_cleared(ledger):
    run = ledger.a_run(schedule_us=ledger.now_us + SECOND)
    ledger.wish(HoldRun(run_id=run.run_id, reason="maintenance"))
    ledger.now_us += 2 * SECOND
    ledger.tell(RunsDue(run_ids=[run.run_id]))
    assert ledger.run(run.run_id).state is State.SCHEDULED
    answer = ledger.wish(ReleaseRun(run_id=run.run_id))
    assert answer.runs[0].state is State.STARTING


def test_a_held_waiting_run_is_not_cleared(ledger):
    run = ledger.a_run(conds=WAITS)
    ledger.wish(HoldRun(run_id=run.run_id))
    ledger.tell(ClearRun(run_id=run.run_id), sender="waiter/0")
    assert ledger.run(run.run_id).state is State.WAITING


def test_mark_forces_another_finished_state(ledger):
    run = running(ledger)
    ended(ledger, run.run_id, State.FAILURE)
    answer = ledger.wish(MarkRun(run_id=run.run_id, state=State.SUCCESS))
    assert answer.runs[0].state is State.SUCCESS
    assert "failure" in answer.runs[0].times
    sentence = f"run {run.run_id} already in state success"
    assert ledger.wish(MarkRun(run_id=run.run_id, state=State.SUCCESS)).sentence == sentence


def test_mark_of_a_running_run_is_refused(ledger):
    run = running(ledger)
    answer = ledger.wish(MarkRun(run_id=run.run_id, state=State.SUCCESS))
    assert answer.reason == "wrong_state"


def guarded(ledger: LedgerDriver, count: int, guard: Any) -> list[Any]:
    """Ask for the clearance of `count` waiting runs of one instance at once."""
    runs = [ledger.a_run(conds=WAITS) for _ in range(count)]
    ledger.tell(*[ClearRun(run_id=r.run_id, guards=[guard]) for r in runs], sender="waiter/0")
    return [ledger.run(run.run_id).state for run in runs]


def test_max_running_lets_exactly_one_of_many_start(ledger):
    guard = FewerThan(job_id="a", args={}, states=(State.STARTING, State.RUNNING), n=1)
    states = guarded(ledger, 128, guard)
    assert states.count(State.STARTING) == 1
    assert states.count(State.WAITING) == 127
    refused = [p.message for p in ledger.posts if isinstance(p.message, ClearRefused)]
    assert len(refused) == 127


def test_skip_duplicate_skips_all_but_the_last(ledger):
    states = (State.WAITING, State.STARTING, State.RUNNING)
    guard = NoneOf(job_id="a", args={}, states=states, else_state=State.SKIPPED)
    after = guarded(ledger, 128, guard)
    assert after == [State.SKIPPED] * 127 + [State.STARTING]


def test_a_pool_counts_what_started_earlier_in_the_same_batch(ledger):
    def asked(weight):
        conds = (BoundPool(name="db", weight=weight),)
        run = ledger.a_run(conds=conds)
        guard = PoolFree(pool="db", weight=weight, size=4)
        return run.run_id, ClearRun(run_id=run.run_id, guards=[guard])

    runs = [asked(weight) for weight in (2, 3, 1, 1, 1)]
    ledger.tell(*[clear for _, clear in runs], sender="waiter/0")
    after = [ledger.run(run_id).state for run_id, _ in runs]
    assert [state is State.STARTING for state in after] == [True, False, True, True, False]
    ended(ledger, runs[0][0], State.SUCCESS)
    ledger.tell(runs[1][1], runs[4][1], sender="waiter/0")
    assert ledger.run(runs[1][0]).state is State.WAITING
    assert ledger.run(runs[4][0]).state is State.STARTING


def test_what_the_pools_hold_is_known_to_a_new_ledger(ledger):
    pool = (BoundPool(name="db", weight=3),)
    run = ledger.a_run(conds=pool)
    guard = PoolFree(pool="db", weight=3, size=4)
    ledger.tell(ClearRun(run_id=run.run_id, guards=[guard]), sender="waiter/0")
    ledger.restart()
    second = ledger.a_run(conds=pool)
    ledger.tell(ClearRun(run_id=second.run_id, guards=[guard]), sender="waiter/0")
    assert ledger.run(second.run_id).state is State.WAITING


def test_a_guard_sees_what_ended_earlier_in_the_same_batch(ledger):
    first = running(ledger)
    second = ledger.a_run(conds=WAITS)
    guard = NoneOf(job_id="a", args={}, states=(State.SUCCESS,), else_state=State.SKIPPED)
    end = AttemptEnded(run_id=first.run_id, attempt=1, at_us=ledger.now_us, state=State.SUCCESS)
    ledger.tell(end, ClearRun(run_id=second.run_id, guards=[guard]), sender="waiter/0")
    after = ledger.run(second.run_id)
    assert after.state is State.SKIPPED
    assert after.message == f"transitioning to skipped because {first.run_id} success"


def test_none_of_sees_finished_runs_in_the_store(ledger):
    run = running(ledger)
    ended(ledger, run.run_id, State.SUCCESS)
    guard = NoneOf(job_id="a", args={}, states=(State.SUCCESS,), else_state=State.SKIPPED)
    assert guarded(ledger, 1, guard) == [State.SKIPPED]


def test_a_condition_concludes_a_waiting_run(ledger):
    run = ledger.a_run(conds=WAITS)
    ledger.tell(NoteRun(run_id=run.run_id, message="waiting until: x"), sender="waiter/0")
    conclude = ConcludeRun(run_id=run.run_id, state=State.ERROR, reason="timeout")
    ledger.tell(conclude, conclude, sender="waiter/0")
    assert lines(ledger, run.run_id)[-2:] == ["waiting until: x", "error: timeout"]


def test_a_misfit_of_a_peer_moves_nothing(ledger):
    run = ledger.a_run(conds=WAITS)
    conclude = ConcludeRun(run_id=run.run_id, state=State.RUNNING, reason="?")
    ledger.tell(conclude, sender="waiter/0")
    assert ledger.run(run.run_id).state is State.WAITING
    assert ledger.ledger.misfits == 1


def test_leases_never_overlap_even_over_a_restart(ledger):
    first = ledger.tell(LeaseIds(count=10))[0]
    ledger.restart()
    second = ledger.tell(LeaseIds(count=10))[0]
    assert isinstance(first, IdsLeased)
    assert second.first_id == first.first_id + 10


def test_expected_runs_and_horizon_move_together(ledger):
    ledger.open_schedule()
    t0 = ledger.now_us
    ack = ledger.expect(t0, t0 + 100, [t0 + 10, t0 + 20])
    assert (ack.duplicates, ack.behind) == ([], [])
    again = ledger.expect(t0, t0 + 100, [t0 + 10, t0 + 20])
    assert again.behind == [("a", "f1", t0 + 100)]
    due = ledger.writer.reader.due(t0 + 1000, 10)
    assert [row.schedule_us for row in due] == [t0 + 10, t0 + 20]


def test_an_expectation_of_an_older_set_of_jobs_is_left_out(ledger):
    ledger.open_schedule()
    t0 = ledger.now_us
    ledger.ledger.book.jobs_version += 1
    version = ledger.ledger.book.jobs_version
    ledger.ledger.book.jobs_version = version
    from callsheet.messages.instructions import Expectation, ExpectRuns

    old = ExpectRuns(
        batch=7,
        jobs_version=version - 1,
        expectations=[Expectation(job_id="a", fingerprint="f1", from_us=t0, upto_us=t0 + 5)],
    )
    assert ledger.tell(old)[0].behind == [("a", "f1", t0)]


def test_a_closed_schedule_withdraws_its_future_runs_only(ledger):
    ledger.open_schedule()
    t0 = ledger.now_us
    ledger.expect(t0, t0 + 100 * SECOND, [t0 + 10 * SECOND, t0 + 20 * SECOND])
    ledger.now_us = t0 + 15 * SECOND
    applied = ledger.apply(removed_jobs=["a"], closed=[("a", "f1")])[0]
    assert isinstance(applied, JobsApplied)
    assert len(applied.withdrawn) == 1
    assert ledger.writer.reader.run(applied.withdrawn[0]) is None
    frames = [p.message for p in ledger.posts if p.to == "feed"]
    withdrawn = [e for e in frames[0].events if isinstance(e, RunWithdrawn)]
    assert [e.schedule_us for e in withdrawn] == [t0 + 20 * SECOND]


def test_a_repeated_set_of_jobs_is_applied_once(ledger):
    ledger.apply(set_jobs={"a": "d1"}, added=["a"])
    again = ledger.apply(based_on=0, set_jobs={"a": "d1"}, added=["a"])[0]
    assert isinstance(again, JobsApplied)
    assert ledger.ledger.book.jobs_version == 1
    other = ledger.apply(based_on=0, set_jobs={"a": "d2"})[0]
    assert isinstance(other, JobsRefused)


def test_only_the_very_same_change_of_jobs_is_a_repeat(ledger):
    ledger.open_schedule()
    t0 = ledger.now_us
    change = {"set_jobs": {"a": "d1"}, "opened": [a_row(t0)], "closed": [("a", "f1")]}
    ledger.now_us = t0 + SECOND
    assert isinstance(ledger.apply(based_on=1, **change)[0], JobsApplied)
    ledger.now_us = t0 + 2 * SECOND
    assert isinstance(ledger.apply(based_on=1, **change)[0], JobsRefused)


def test_a_schedule_goes_on_from_where_the_ledger_has_it_written(ledger):
    ledger.open_schedule()
    t0 = ledger.now_us
    ledger.expect(t0, t0 + 100 * SECOND, [t0 + 10 * SECOND])
    # The scheduler has not heard of it when the job is changed.
    ledger.now_us = t0 + 20 * SECOND
    ledger.apply(set_jobs={"a": "d2"}, opened=[a_row(t0)], closed=[("a", "f1")])
    [row] = ledger.writer.reader.schedules()
    assert (row.valid_from_us, row.written_upto_us) == (t0 + 20 * SECOND, t0 + 20 * SECOND)


def a_row(from_us: int) -> ScheduleRow:
    """Job a's schedule, opened at an instant."""
    return ScheduleRow(
        job_id="a",
        fingerprint="f1",
        definition="d2",
        valid_from_us=from_us,
        written_upto_us=from_us,
    )


def test_a_welcome_names_the_greeting_it_answers(ledger):
    for role in ("scheduler/0", "runner/0"):
        sent = ledger.tell(Hello(role=role, incarnation="i7"), sender=role)
        welcomes = [m for m in sent if isinstance(m, SchedulerWelcome | RunnerWelcome)]
        assert [welcome.incarnation for welcome in welcomes] == ["i7"]


def test_actions_are_sent_until_they_are_settled(ledger):
    action = ScheduleAction(job_id="b", states=(State.SUCCESS,))
    run = running(ledger, actions=(action,))
    sent = ended(ledger, run.run_id, State.SUCCESS)
    items = next(m for m in sent if isinstance(m, ActOn)).items
    assert [item.action for item in items] == [action]
    ledger.restart()
    assert any(isinstance(m, ActOn) for m in ledger.later(6))
    settled = ActionSettled(action_id=items[0].action_id, message="action scheduling b() as r9")
    ledger.tell(settled, settled, sender="responder/0")
    assert lines(ledger, run.run_id)[-1] == "action scheduling b() as r9"
    assert ledger.later(60) == []


def test_a_run_whose_binding_failed_is_an_error_with_its_output(ledger):
    run = ledger.a_run(error="missing args (date) for job a", program=None)
    assert run.state is State.ERROR
    outputs = ledger.writer.reader.outputs(run.run_id)
    assert [output.data for output in outputs] == [b"missing args (date) for job a"]


def test_an_unreachable_agent_changes_a_flag_not_the_state(ledger):
    run = running(ledger)
    away = AttemptUpdated(run_id=run.run_id, attempt=1, unreachable=True)
    ledger.tell(away, away, sender="runner/0")
    stored = ledger.run(run.run_id)
    assert (stored.state, stored.unreachable) == (State.RUNNING, True)
    assert lines(ledger, run.run_id).count("agent unreachable") == 1


def test_welcomes_tell_each_role_its_workload(ledger):
    run = ledger.a_run()
    later = ledger.a_run(schedule_us=ledger.now_us + 60 * SECOND)
    _, welcome = ledger.tell(Hello(role="runner/0"), sender="runner/0")
    assert isinstance(welcome, RunnerWelcome)
    assert [r.run_id for r in welcome.runs] == [run.run_id]
    welcome = ledger.tell(Hello(role="scheduler/0"))[0]
    assert isinstance(welcome, SchedulerWelcome)
    assert welcome.last
    assert [row.run_id for row in welcome.due] == [later.run_id]
    assert isinstance(ledger.tell(Hello(role="web/0"), sender="web/0")[0], Welcome)


def test_another_protocol_version_is_refused(ledger):
    refuse = ledger.tell(Hello(role="web/0", version=99), sender="web/0")[0]
    assert isinstance(refuse, Refuse)
    assert "version 99" in refuse.sentence


def test_replay_gives_the_events_again(ledger):
    run = ledger.a_run()
    replayed = ledger.tell(Replay(after_seq=1), sender="web/0")[0]
    assert isinstance(replayed, Replayed)
    assert [event.seq for event in replayed.frame.events] == [2]
    assert replayed.frame.runs[0].run_id == run.run_id


def test_a_restart_raises_the_epoch_and_keeps_everything(ledger):
    run = ledger.a_run()
    epoch, seq = ledger.ledger.epoch, ledger.ledger.seq
    ledger.restart()
    assert ledger.ledger.epoch == epoch + 1
    assert ledger.ledger.seq == seq
    _, welcome = ledger.tell(Hello(role="runner/0"), sender="runner/0")
    assert [r.run_id for r in welcome.runs] == [run.run_id]


def test_a_ledger_whose_store_another_has_taken_believes_nothing_that_it_finds_there():
    driver = LedgerDriver()
    driver.disk.writable().epoch += 1
    with pytest.raises(StoreBroken, match="epoch 1 is over"):
        driver.tell(RunsDue(run_ids=["r1"]))
