"""Any sequence of instructions: runs move by the table alone, and the log tells all of it."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from ledger_driver import SECOND, LedgerDriver

from callsheet.jobs.bound_conditions import BoundConst
from callsheet.jobs.programs import BoundProcess
from callsheet.jobs.states import EDGES, FINISHED, SETTLES, State
from callsheet.messages.instructions import (
    AttemptEnded,
    AttemptStarted,
    AttemptUpdated,
    ClearRun,
    ConcludeRun,
    NoteRun,
    RunsDue,
)
from callsheet.messages.transitions import RunMoved
from callsheet.messages.wishes import (
    HoldRun,
    MarkRun,
    ReleaseRun,
    SignalRun,
    SkipRun,
    StartNow,
    StopRun,
)

STEPS = 250
RUNS = 8


def a_step(rng: random.Random, ledger: LedgerDriver, run_id: str) -> None:
    """Give the ledger one instruction about a run, whether it fits or not."""
    attempt = rng.choice([0, 1, 1, 1, 1, 2])
    # An agent's clock and the way here: a little ago, much ago, or ahead of ours.
    at_us = ledger.now_us - rng.choice([0, 3_000, 2 * SECOND, 900 * SECOND, -5 * SECOND])
    state = rng.choice(list(State))
    ended = rng.choice([State.SUCCESS, State.FAILURE, State.ERROR, State.LOST])
    started_us = rng.choice([None, at_us - SECOND])
    wishes: list[Any] = [
        StartNow(run_id=run_id),
        SkipRun(run_id=run_id),
        StopRun(run_id=run_id, kill=rng.random() < 0.3),
        SignalRun(run_id=run_id, signal=10),
        MarkRun(run_id=run_id, state=state),
        HoldRun(run_id=run_id),
        ReleaseRun(run_id=run_id),
    ]
    waiter: list[Any] = [
        ClearRun(run_id=run_id),
        ConcludeRun(run_id=run_id, state=state, reason="why"),
        NoteRun(run_id=run_id, message="a line"),
    ]
    runner: list[Any] = [
        AttemptStarted(run_id=run_id, attempt=attempt, at_us=at_us, agent_id="x"),
        AttemptUpdated(run_id=run_id, attempt=attempt, unreachable=rng.random() < 0.5),
        AttemptEnded(
            run_id=run_id, attempt=attempt, at_us=at_us, state=ended, started_us=started_us
        ),
    ]
    match rng.randrange(6):
        case 0 | 1:
            ledger.wish(rng.choice(wishes))
        case 2:
            ledger.tell(rng.choice(waiter), sender="waiter/0")
        case 3 | 4:
            ledger.tell(rng.choice(runner), sender="runner/0")
        case _:
            ledger.tell(RunsDue(run_ids=[run_id]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_runs_move_by_the_table_and_their_times_are_those_of_their_logs(seed):
    rng = random.Random(seed)
    ledger = LedgerDriver()
    runs = []
    for n in range(RUNS):
        conds = (BoundConst(value=False),) if n % 2 else ()
        later_us = rng.choice([0, 60 * SECOND])
        run = ledger.a_run(
            schedule_us=ledger.now_us + later_us, conds=conds, program=BoundProcess(argv=("x",))
        )
        runs.append(run.run_id)
    for _ in range(STEPS):
        ledger.now_us += rng.choice([1, 1_000, SECOND])
        a_step(rng, ledger, rng.choice(runs))
        if rng.random() < 0.02:
            ledger.restart()
    for run_id in runs:
        run = ledger.run(run_id)
        log = ledger.writer.reader.log(run_id)
        assert [event.seq for event in log] == sorted({event.seq for event in log})
        moves = [event for event in log if isinstance(event, RunMoved)]
        assert moves[0].before is None
        for before, move in pairwise(moves):
            assert move.before is before.after
            by_hand = move.message.startswith("marked as")
            allowed = EDGES[before.after] | SETTLES.get(before.after, frozenset())
            assert move.after in (FINISHED if by_hand else allowed), f"seed {seed}: {move}"
        assert moves[-1].after is run.state
        assert run.times == {m.after.value: m.entered_us or m.at_us for m in moves}
