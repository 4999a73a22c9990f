"""Whether a deed fits a run: the one set of rules, by which the ledger decides and a preview tells.

Pure. The sentences are those of Apsis where it has such an operation.
"""

from __future__ import annotations

import signal as signals
from typing import Literal, NamedTuple

from ..jobs.run import Run
from ..jobs.states import MARKABLE, State
from ..jobs.times import format_time
from .operations import Deed
from .wishes import (
    HoldRun,
    MarkRun,
    OfRuns,
    ReleaseRun,
    RescheduleRun,
    SignalRun,
    SkipRun,
    StartNow,
    StopRun,
)

HOLDABLE = (State.SCHEDULED, State.WAITING)
# A schedule time is a date that can be shown.
LAST_US = 253_402_214_400 * 1_000_000
# A time that has passed this little while ago was now when it was asked for.
EARLIER_US = 60_000_000


class Misplaced(NamedTuple):
    """Why a deed does not fit a run; `reason` is a kind of `Refused`."""

    reason: Literal["bad_request", "wrong_state"]
    sentence: str


def instruction_of(deed: Deed, run_id: str) -> OfRuns:
    """Return the instruction that a deed is for one run.

    Raises:
        AssertionError: a rerun is the scheduler's to bind.
    """
    match deed.verb:
        case "start":
            return StartNow(run_id=run_id, reason=deed.reason)
        case "skip":
            return SkipRun(run_id=run_id, reason=deed.reason)
        case "hold":
            return HoldRun(run_id=run_id, reason=deed.reason)
        case "release":
            return ReleaseRun(run_id=run_id, reason=deed.reason)
        case "stop" | "kill":
            return StopRun(run_id=run_id, kill=deed.verb == "kill", reason=deed.reason)
        case "signal":
            return SignalRun(run_id=run_id, signal=deed.signal, reason=deed.reason)
        case "mark":
            assert deed.state is not None, "mark: without a state"
            return MarkRun(run_id=run_id, state=deed.state, reason=deed.reason)
        case "reschedule":
            return RescheduleRun(
                run_id=run_id,
                schedule_us=deed.schedule_us,
                stop_us=deed.stop_us,
                reason=deed.reason,
            )
    raise AssertionError(f"{deed.verb}: not the ledger's")


def misplaced(instruction: OfRuns, run: Run, now_us: int) -> Misplaced | None:
    """Return why an instruction does not fit a run as it is, None when it does."""
    match instruction:
        case StartNow():
            return _only_in(run, "start", HOLDABLE)
        case SkipRun():
            return _only_in(run, "skip", HOLDABLE)
        case HoldRun():
            return _only_in(run, "hold", HOLDABLE)
        case ReleaseRun():
            fits = run.held
            return None if fits else _wrong(f"can't release {run.run_id}: it is not held")
        case StopRun():
            tried = run.state is State.WAITING and bool(run.attempts)
            if tried or run.state in (State.STARTING, State.RUNNING, State.STOPPING):
                return None
            return _wrong(f"can't stop run {run.run_id}: run is {run.state}")
        case SignalRun():
            return _signal(instruction, run)
        case MarkRun():
            return _mark(instruction.state, run)
        case RescheduleRun():
            return _reschedule(instruction, run, now_us)


def _only_in(run: Run, verb: str, states: tuple[State, ...]) -> Misplaced | None:
    return (
        None if run.state in states else _wrong(f"can't {verb} {run.run_id} in state {run.state}")
    )


def _signal(instruction: SignalRun, run: Run) -> Misplaced | None:
    if run.state not in (State.RUNNING, State.STOPPING):
        return _wrong(f"invalid run state for signal: {run.state}")
    try:
        signals.Signals(instruction.signal)
    except ValueError:
        return Misplaced("bad_request", f"invalid signal: {instruction.signal}")
    return None


def _mark(state: State, run: Run) -> Misplaced | None:
    if not run.finished:
        return _wrong(f"can't mark {run.run_id} in state {run.state}")
    if state not in MARKABLE:
        sentence = f"can't mark {run.run_id} as {state}: expected a finished state"
        return Misplaced("bad_request", sentence)
    if run.state is state:
        return _wrong(f"run {run.run_id} already in state {run.state}")
    return None


def _reschedule(instruction: RescheduleRun, run: Run, now_us: int) -> Misplaced | None:
    """A run that has been tried is not put off, and one does not begin after its stop."""
    wrong = _only_in(run, "reschedule", HOLDABLE)
    if wrong is not None:
        return wrong
    if run.attempts:
        return _wrong(f"can't reschedule {run.run_id}: it has been tried already")
    at_us = now_us if instruction.schedule_us is None else instruction.schedule_us
    if run.state is State.WAITING and at_us <= now_us:
        return _wrong(
            f"can't reschedule {run.run_id} to now: it waits for its conditions: expected a time "
            "to come, or `start`, which drops them"
        )
    if not now_us - EARLIER_US <= at_us <= LAST_US:
        sentence = f"{format_time(min(at_us, LAST_US))}: expected a time to come, or now"
        return Misplaced("bad_request", f"can't reschedule {run.run_id} to {sentence}")
    stop_us = run.stop_us if instruction.stop_us is None else instruction.stop_us
    if stop_us is not None and stop_us <= at_us:
        sentence = f"it is to be stopped at {format_time(stop_us)}: expected an earlier time"
        return Misplaced(
            "bad_request", f"can't reschedule {run.run_id}: {sentence}, or `stop_time`"
        )
    return None


def _wrong(sentence: str) -> Misplaced:
    return Misplaced("wrong_state", sentence)
