"""Runs in a row: how the latest runs of a job or an instance ended, and which actions that fires.

The ledger keeps one streak per job, and one per instance where an action asks for it. A run counts
when its program is over or could not be run; skipped runs do not. A mark or a settled loss corrects
what is on record and fires nothing by itself. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from .actions import Action, trigger_of
from .states import State

# Ends that a streak remembers: as many in a row can be asked for.
MOST_IN_A_ROW = 100
COUNTED = frozenset({State.SUCCESS, State.FAILURE, State.ERROR, State.LOST})
BAD = frozenset({State.FAILURE, State.ERROR})


class End(msgspec.Struct, frozen=True, array_like=True):
    """How a run ended."""

    run_id: str
    state: State


Streak = tuple[End, ...]


def seen(state: State) -> State:
    """Return the state as job files name it: there a lost run is in error."""
    return State.ERROR if state is State.LOST else state


def watches(action: Action) -> bool:
    """Whether the runs before matter to an action."""
    trigger = trigger_of(action)
    return trigger.consecutive > 1 or trigger.recovery


def after(streak: Streak, run_id: str, state: State) -> tuple[Streak, bool]:
    """Return the streak with this end in it, and whether the end is a new one."""
    end = End(run_id, seen(state))
    if any(known.run_id == run_id for known in streak):
        return tuple(end if known.run_id == run_id else known for known in streak), False
    return (*streak[-MOST_IN_A_ROW:], end), True


def fires(action: Action, streak: Streak) -> bool:
    """Whether the last end of a streak is the one an action waits for."""
    trigger = trigger_of(action)
    states = [end.state for end in streak]
    if trigger.recovery:
        return states[-1] is State.SUCCESS and len(states) > 1 and states[-2] in BAD
    return _length(states, frozenset(action.states or COUNTED)) == trigger.consecutive


def is_idle(streak: Streak, actions: Iterable[Action]) -> bool:
    """Whether a streak says no more than an empty one would, to any of these actions."""
    if streak[-1].state is not State.SUCCESS:
        return False
    return all(
        State.SUCCESS not in (action.states or COUNTED)
        for action in actions
        if trigger_of(action).consecutive > 1
    )


def _length(states: list[State], wanted: frozenset[State]) -> int:
    """Return how many of the last states, without a gap, are among those wanted."""
    count = 0
    for state in reversed(states):
        if state not in wanted:
            break
        count += 1
    return count
