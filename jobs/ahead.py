"""Which runs are got ready ahead of their time, and until when their programs are held.

A run whose time is all it waits for is decided and put on record a moment before, so that at its
time nothing is left but to have its agent start the program. Called by the ledger, which decides,
and by the runner, which holds. Must never let a program begin before its time.
"""

from __future__ import annotations

from .programs import BoundProcess
from .run import Run
from .states import State

# So long before its time a run may turn starting: more than a commit and the messages about it
# take, less than any person can tell from the time itself.
AHEAD_US = 10_000


def may_go_ahead(run: Run, now_us: int) -> bool:
    """Return whether a run may turn starting now, a moment before its time.

    Not if anything but its time is to be decided, which is done when the time has come, nor if
    its program is no agent's: a server plays those itself, at once.
    """
    return (
        run.state is State.SCHEDULED
        and not run.held
        and not run.conds
        and run.not_before_us is None
        and isinstance(run.program, BoundProcess)
        and now_us < run.schedule_us <= now_us + AHEAD_US
    )


def held_until_us(run: Run) -> int:
    """Return the time before which the program of a starting run must not begin, 0 for none.

    A run that people start long before its time is held by nothing.
    """
    early_us = run.schedule_us - run.times.get(State.STARTING.value, run.schedule_us)
    return run.schedule_us if 0 < early_us <= AHEAD_US and run.attempt == 1 else 0
