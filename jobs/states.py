"""The states of a run and the one table of legal moves.

Owned here: what may follow what. The ledger is the only caller that moves a run by it; docs and
the console take their words from it. Nothing here knows a clock or a store.
"""

from __future__ import annotations

import enum


class State(enum.StrEnum):
    """Where a run is in its life."""

    SCHEDULED = "scheduled"
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    SKIPPED = "skipped"
    LOST = "lost"


S = State

# Unfinished states; all but `scheduled` are kept in the ledger's memory.
LIVE = frozenset({S.SCHEDULED, S.WAITING, S.STARTING, S.RUNNING, S.STOPPING})
ACTIVE = frozenset({S.WAITING, S.STARTING, S.RUNNING, S.STOPPING})
# States that count against `max_running` and take places in pools.
OCCUPYING = frozenset({S.STARTING, S.RUNNING})
FINISHED = frozenset({S.SUCCESS, S.FAILURE, S.ERROR, S.SKIPPED, S.LOST})

# The whole truth about how a run may move. `waiting` from starting and running is a retry;
# a condition (skip_duplicate) may conclude a waiting run in any finished state.
EDGES: dict[State, frozenset[State]] = {
    S.SCHEDULED: frozenset({S.WAITING, S.STARTING, S.SKIPPED, S.ERROR}),
    S.WAITING: frozenset({S.SCHEDULED, S.STARTING, S.SKIPPED, S.ERROR, S.SUCCESS, S.FAILURE}),
    S.STARTING: frozenset({S.RUNNING, S.WAITING, S.ERROR, S.LOST}),
    S.RUNNING: frozenset({S.STOPPING, S.WAITING, S.SUCCESS, S.FAILURE, S.ERROR, S.LOST}),
    S.STOPPING: frozenset({S.SUCCESS, S.FAILURE, S.ERROR, S.LOST}),
    S.SUCCESS: frozenset(),
    S.FAILURE: frozenset(),
    S.ERROR: frozenset(),
    S.SKIPPED: frozenset(),
    S.LOST: frozenset(),
}

# A person may force any finished run into one of these.
MARKABLE = frozenset({S.SUCCESS, S.FAILURE, S.ERROR, S.SKIPPED})

# A lost run is settled by a later exit record of the same attempt.
SETTLES: dict[State, frozenset[State]] = {S.LOST: frozenset({S.SUCCESS, S.FAILURE, S.ERROR})}


def api_state(state: State) -> str:
    """Return the state's name in the Apsis-compatible API, which has no `lost`."""
    return "error" if state is State.LOST else state.value


def reachable_from(targets: frozenset[State]) -> frozenset[State]:
    """Return the states from which one of `targets` can be reached, the targets included.

    Follows `EDGES` without the retry edges, which lead back and would make every state reach all.
    As in Apsis, a skipped run may still become an error.
    """
    found = set(targets)
    grew = True
    while grew:
        grew = False
        for state, after in EDGES.items():
            forward = (
                after - {State.WAITING, State.SCHEDULED} if state is not S.SCHEDULED else after
            )
            if state is S.SKIPPED:
                forward = forward | {State.ERROR}
            if state not in found and forward & found:
                found.add(state)
                grew = True
    return frozenset(found)
