"""Whether a bound condition holds now, and if not, what it lacks.

One judge for all who ask: the waiter, which goes by the verdict, and `why`, which only tells it.
What is known of the world comes from `Facts`; the time is an argument. Guards are judged here for
telling only: the ledger alone decides them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import msgspec

from .bound_conditions import (
    BoundAll,
    BoundAny,
    BoundCondition,
    BoundConst,
    BoundDependency,
    BoundMaxRunning,
    BoundNot,
    BoundNotAfter,
    BoundNotBefore,
    BoundPool,
    BoundSkipDuplicate,
    BoundTimeWindow,
)
from .polled import (
    BoundCommandCheck,
    BoundExtensionCheck,
    BoundFileCheck,
    BoundHttpCheck,
    BoundPolled,
    BoundSqlCheck,
)
from .run import Run, args_key
from .states import OCCUPYING, State
from .times import format_time
from .windows import window_at
from .words import condition_words, instance_words, state_words


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a condition comes to.

    `met` None: not known before a check has been made. `final`: it can never change; what is
    unmet for ever ends the wait in `else_state`. `next_us`: by the clock alone it may change then.
    `reason` says what is so, in words that stay the same while that does.
    """

    met: bool | None
    reason: str
    final: bool = False
    else_state: State = State.ERROR
    next_us: int | None = None


class Facts(Protocol):
    """What is known of the world."""

    def states_of(self, job_id: str, key: str, after: int = 0) -> Mapping[State, int]:
        """Return how many runs of exactly this instance are in each state (absent: none): of those
        with a number greater than `after`."""

    def checked(self, cond: BoundPolled) -> Verdict | None:
        """Return what the last check of a polled condition found, None before the first."""


class TellingFacts(Facts, Protocol):
    """What is known besides, where it is only told."""

    def pool(self, name: str) -> tuple[int, int | None]:
        """Return how much of a pool is taken, and its size (None: there is no such pool)."""


def judge(cond: BoundCondition, facts: Facts, now_us: int) -> Verdict:
    """Return the verdict on a condition that is no guard."""
    match cond:
        case BoundConst():
            return Verdict(met=cond.value, reason=f"is {'true' if cond.value else 'false'}")
        case BoundDependency():
            return _dependency(cond, facts)
        case BoundNotBefore():
            met = now_us >= cond.at_us
            reason = f"{format_time(cond.at_us)} {'has passed' if met else 'is to come'}"
            return Verdict(met=met, reason=reason, final=met, next_us=None if met else cond.at_us)
        case BoundNotAfter():
            return _not_after(cond, now_us)
        case BoundTimeWindow():
            return _window(cond, now_us)
        case (
            BoundFileCheck()
            | BoundHttpCheck()
            | BoundCommandCheck()
            | BoundSqlCheck()
            | BoundExtensionCheck()
        ):
            return facts.checked(cond) or Verdict(met=None, reason="is being checked")
        case BoundAll():
            return _all([judge(member, facts, now_us) for member in cond.conditions])
        case BoundAny():
            return _any([judge(member, facts, now_us) for member in cond.conditions])
        case BoundNot():
            return _not(cond, judge(cond.condition, facts, now_us))
        case _:
            raise AssertionError(f"{type(cond).__name__}: a guard is the ledger's to decide")


def has_state(states: Mapping[State, int], wanted: tuple[State, ...]) -> bool:
    """Whether any run is in one of the wanted states; one that is lost counts as an error."""
    return any(
        states.get(state, 0) or (state is State.ERROR and states.get(State.LOST, 0))
        for state in wanted
    )


# --- one kind each ------------------------------------------------------------------------------


def _dependency(cond: BoundDependency, facts: Facts) -> Verdict:
    states = facts.states_of(cond.job_id, args_key(cond.args), cond.after)
    instance = instance_words(cond.job_id, cond.args)
    if cond.after:
        instance = f"{instance} newer than r{cond.after}"
    if has_state(states, cond.states):
        return Verdict(met=True, reason=f"a run of {instance} is {state_words(cond.states)}")
    if cond.exist and not has_state(states, cond.exist):
        reason = f"no dependency {instance} exists in {state_words(cond.exist)}"
        return Verdict(met=False, reason=reason, final=True)
    present = [state for state in State if states.get(state, 0)]
    what = f"its runs are {state_words(present)}" if present else "it has no run"
    reason = f"no run of {instance} is {state_words(cond.states)}: {what}"
    return Verdict(met=False, reason=reason)


def _not_after(cond: BoundNotAfter, now_us: int) -> Verdict:
    met = now_us <= cond.at_us
    reason = f"{format_time(cond.at_us)} {'is to come' if met else 'has passed'}"
    return Verdict(
        met=met,
        reason=reason,
        final=not met,
        else_state=cond.else_state,
        next_us=cond.at_us + 1 if met else None,
    )


def _window(cond: BoundTimeWindow, now_us: int) -> Verdict:
    is_open, next_us = window_at(cond, now_us)
    if is_open:
        return Verdict(met=True, reason="it is within the window", next_us=next_us)
    if next_us is None:
        reason = f"no window {condition_words(cond)} is to come"
        return Verdict(met=False, reason=reason, final=True)
    reason = f"the next window begins at {format_time(next_us)}"
    return Verdict(met=False, reason=reason, next_us=next_us)


# --- composed -----------------------------------------------------------------------------------


def _all(members: list[Verdict]) -> Verdict:
    lacking = [verdict for verdict in members if not verdict.met]
    ended = [verdict for verdict in lacking if verdict.met is False and verdict.final]
    if ended:
        return _together(ended, met=False, final=True)
    if not lacking:
        final = all(verdict.final for verdict in members)
        return _together(members, met=True, final=final)
    unmet = any(verdict.met is False for verdict in lacking)
    return _together(lacking, met=False if unmet else None, next_of=members)


def _any(members: list[Verdict]) -> Verdict:
    met = [verdict for verdict in members if verdict.met]
    if met:
        final = any(verdict.final for verdict in met)
        return _together(met, met=True, final=final, next_of=members)
    unknown = any(verdict.met is None for verdict in members)
    ended = not unknown and all(verdict.final for verdict in members)
    return _together(members, met=None if unknown else False, final=ended)


def _not(cond: BoundNot, inner: Verdict) -> Verdict:
    reason = f"{condition_words(cond.condition)}: {inner.reason}"
    if inner.met is None:
        return Verdict(met=None, reason=reason, next_us=inner.next_us)
    # A `not` that can hold no more is like a deadline that has passed.
    return Verdict(
        met=not inner.met,
        reason=reason,
        final=inner.final,
        else_state=State.SKIPPED,
        next_us=inner.next_us,
    )


def _together(
    verdicts: list[Verdict],
    *,
    met: bool | None,
    final: bool = False,
    next_of: list[Verdict] | None = None,
) -> Verdict:
    """Return one verdict of several; it may change when the first of `next_of` does."""
    nexts = [v.next_us for v in next_of or verdicts if v.next_us is not None]
    # Of several ends one that is no mere skip goes first.
    ends = [v.else_state for v in verdicts if v.else_state is not State.SKIPPED]
    return Verdict(
        met=met,
        reason="; ".join(dict.fromkeys(verdict.reason for verdict in verdicts)),
        final=final,
        else_state=ends[0] if ends else State.SKIPPED,
        next_us=None if final else min(nexts, default=None),
    )


# --- telling ------------------------------------------------------------------------------------


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of a waiting run, in words, and what it comes to now."""

    condition: str
    met: bool | None
    reason: str


def wanted(run: Run, facts: TellingFacts, now_us: int) -> Iterator[Wanted]:
    """Yield what each of a waiting run's conditions comes to, in their order."""
    met: bool | None
    for cond in run.conds:
        match cond:
            case BoundMaxRunning():
                met, reason = _places(cond, facts)
            case BoundSkipDuplicate():
                met, reason = _alone(cond, run, facts)
            case BoundPool():
                met, reason = _room(cond, facts)
            case _:
                verdict = judge(cond, facts, now_us)
                met, reason = verdict.met, verdict.reason
        yield Wanted(condition=condition_words(cond), met=met, reason=reason)


def _places(cond: BoundMaxRunning, facts: Facts) -> tuple[bool, str]:
    states = facts.states_of(cond.job_id, args_key(cond.args))
    count = sum(states.get(state, 0) for state in OCCUPYING)
    return count < cond.count, f"{count} of {cond.count} starting or running"


def _alone(cond: BoundSkipDuplicate, run: Run, facts: Facts) -> tuple[bool, str]:
    states = dict(facts.states_of(run.job_id, run.args_key))
    states[run.state] = states.get(run.state, 0) - 1
    others = [state for state in cond.check_states if states.get(state, 0) > 0]
    if others:
        return False, f"another run of the instance is {state_words(others)}"
    return True, f"no other run of the instance is {state_words(cond.check_states)}"


def _room(cond: BoundPool, facts: TellingFacts) -> tuple[bool, str]:
    used, size = facts.pool(cond.name)
    if size is None:
        return False, f"the settings have no pool {cond.name}"
    return used + cond.weight <= size or not used, f"{used} of {size} taken"
