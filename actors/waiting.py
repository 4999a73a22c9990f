"""What the waiter keeps of each waiting run, and the index that wakes it.

A transition touches only the runs whose present condition names its instance: `Interests` finds
them by job id first and by args second, so that all other transitions cost one look-up. Nothing
here decides or sends.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from ..jobs.bound_conditions import (
    BoundAll,
    BoundCondition,
    BoundGuard,
    BoundMaxRunning,
    BoundNotAfter,
    BoundPool,
    BoundTimeWindow,
)
from ..jobs.run import KnownRun, args_key
from ..jobs.states import State
from ..messages.instructions import FewerThan, Guard, NoneOf, PoolFree
from .guard_lines import Order
from .waiting_words import UNTIL, until_line

Instance = tuple[str, str]
COUNTED = (State.STARTING, State.RUNNING)
# Jobs whose terms are remembered; each ad hoc job has an id of its own.
TERMS_AT_MOST = 10_000


class Terms:
    """The conditions of runs, by what they are to the waiter; runs of a job share them.

    Gates are all but guards and the deadline, which is the earliest `not_after`.
    """

    __slots__ = ("conds", "deadline", "gates", "guard_conds", "windows")

    def __init__(self, conds: tuple[BoundCondition, ...]) -> None:
        self.conds = conds
        self.gates = tuple(c for c in conds if not isinstance(c, BoundGuard | BoundNotAfter))
        self.windows = _windows(self.gates)
        deadlines = [cond for cond in conds if isinstance(cond, BoundNotAfter)]
        self.deadline = min(deadlines, key=lambda cond: cond.at_us, default=None)
        self.guard_conds = tuple(c for c in conds if isinstance(c, BoundGuard))


class TermsInUse:
    """The terms that the last run of each job had: the next one has mostly the same."""

    def __init__(self) -> None:
        self._of_job: dict[str, Terms] = {}

    def of(self, run: KnownRun) -> Terms:
        """Return the terms of a run, shared with others where they are equal."""
        terms = self._of_job.get(run.job_id)
        if terms is None or terms.conds != run.conds:
            if len(self._of_job) >= TERMS_AT_MOST:
                self._of_job.clear()
            terms = self._of_job[run.job_id] = Terms(run.conds)
        return terms


class Wait:
    """One waiting run: how far it got. Only what is needed of the run is kept.

    Gates are passed one by one and never looked at again, but for `windows`, which must be open
    at the end; `deadline` is in force all the time; guards are decided all together at the end.
    `seen` counts the conditions whose beginning has been noted in the run's log. `noted` is the
    line asked for last, `lacking` the last one that says what a check found. `concluded`: the
    ledger has been asked to end the run.

    What is the same for most waits is the class's, and a wait's own once it is another: thousands
    may wait, and a dict that nothing is put into takes no room.
    """

    __slots__ = (
        "__dict__",
        "noted",
        "run_id",
        "schedule_us",
        "seen",
        "since_us",
        "terms",
        "version",
    )

    priority: int = 0
    max_time_us: int | None = None
    guards: tuple[Guard, ...] = ()
    gate: int = 0
    lacking: str = ""
    lacking_count: int = 0
    blocked_by: int | None = None
    concluded: bool = False
    timer_us: int | None = None
    held: bool = False
    not_before_us: int | None = None

    def __init__(
        self, run: KnownRun, terms: Terms, max_time_us: int | None, pools: Mapping[str, int]
    ) -> None:
        self.run_id = run.run_id
        self.schedule_us = _shared(run.schedule_us)
        self.since_us = _shared(run.times.get("waiting", 0))
        self.terms = terms
        self.seen = self._seen(run.message)
        self.noted: str | None = None
        self.version = run.version
        if run.priority:
            self.priority = run.priority
        if max_time_us is not None:
            self.max_time_us = max_time_us
        if terms.guard_conds:
            self.guards = tuple(guard_of(c, run, pools) for c in terms.guard_conds)
        self._put_off(run)

    def take(self, run: KnownRun) -> bool:
        """Take in a newer record of the same wait; return whether it may move otherwise now."""
        self.version = run.version
        return self._put_off(run)

    def _put_off(self, run: KnownRun) -> bool:
        """Take in for how long it is kept from moving; return whether that is another time."""
        changed = (self.held, self.not_before_us) != (run.held, run.not_before_us)
        if changed:
            self.held, self.not_before_us = run.held, run.not_before_us
        return changed

    def is_of(self, run: KnownRun) -> bool:
        """Whether a record is of this same wait, not of one that began later."""
        return self.since_us == run.times.get("waiting", 0)

    @property
    def gates(self) -> tuple[BoundCondition, ...]:
        """The conditions that are passed one by one."""
        return self.terms.gates

    @property
    def windows(self) -> tuple[BoundTimeWindow, ...]:
        """The windows among the gates."""
        return self.terms.windows

    @property
    def deadline(self) -> BoundNotAfter | None:
        """The condition that ends the wait at its time, None when there is none."""
        return self.terms.deadline

    @property
    def guard_conds(self) -> tuple[BoundGuard, ...]:
        """The conditions that the ledger decides, in the order of `guards`."""
        return self.terms.guard_conds

    @property
    def order(self) -> Order:
        """What it stands in line by; made when it is asked for, as most never do."""
        return -self.priority, self.schedule_us, int(self.run_id[1:])

    @property
    def noted_conds(self) -> tuple[BoundCondition, ...]:
        """The conditions whose beginning is noted, in the order in which they are waited for."""
        return (*self.gates, *self.guard_conds)

    @property
    def condition(self) -> BoundCondition | None:
        """The condition waited for now, None when there is none."""
        if self.gate < len(self.gates):
            return self.gates[self.gate]
        if self.guard_conds:
            return self.guard_conds[self.blocked_by or 0]
        return None

    def overdue(self, now_us: int) -> bool:
        """Whether the run has waited longer than it may."""
        over_us = self._over_us()
        return over_us is not None and over_us <= now_us

    def late(self, now_us: int) -> bool:
        """Whether the run's deadline has passed."""
        return self.deadline is not None and self.deadline.at_us < now_us

    def ends_us(self) -> int | None:
        """When the wait ends by the clock alone, None: never."""
        over_us = self._over_us()
        late_us = None if self.deadline is None else self.deadline.at_us + 1
        if over_us is None or late_us is None:
            return over_us if late_us is None else late_us
        return min(over_us, late_us)

    def _over_us(self) -> int | None:
        """When the run has waited as long as it may: being put off does not count."""
        if self.max_time_us is None:
            return None
        return max(self.since_us, self.not_before_us or 0) + self.max_time_us

    def _seen(self, message: str | None) -> int:
        """How many conditions were noted before the waiter was started anew."""
        if message is not None and message.startswith(UNTIL):
            for index, cond in enumerate(self.noted_conds):
                if until_line(cond) == message:
                    return index + 1
        return 0


def guard_of(cond: BoundGuard, run: KnownRun, pools: Mapping[str, int]) -> Guard:
    """Return the guard the ledger decides the condition by; `pools` has the sizes of pools."""
    if isinstance(cond, BoundPool):
        return PoolFree(pool=cond.name, weight=cond.weight, size=pools.get(cond.name, 0))
    if isinstance(cond, BoundMaxRunning):
        return FewerThan(job_id=cond.job_id, args=cond.args, states=COUNTED, n=cond.count)
    return NoneOf(
        job_id=run.job_id, args=run.args, states=cond.check_states, else_state=cond.target_state
    )


class Interests:
    """Which runs wait at a condition that names which instance."""

    def __init__(self) -> None:
        self._jobs: dict[str, dict[str, dict[str, None]]] = {}

    def add(self, instance: Instance, run_id: str) -> None:
        """Register a run's interest in an instance."""
        self._jobs.setdefault(instance[0], {}).setdefault(instance[1], {})[run_id] = None

    def discard(self, instance: Instance, run_id: str) -> None:
        """Take it back."""
        keys = self._jobs.get(instance[0])
        members = keys.get(instance[1]) if keys else None
        if keys is None or members is None:
            return
        members.pop(run_id, None)
        if not members:
            del keys[instance[1]]
            if not keys:
                del self._jobs[instance[0]]

    def of(self, job_id: str, args: dict[str, str]) -> list[str]:
        """Return the ids of the runs that wait for this instance, empty when none does."""
        keys = self._jobs.get(job_id)
        return list(keys.get(args_key(args), ())) if keys else []


@functools.lru_cache(maxsize=64)
def _shared(at_us: int) -> int:
    """Return an instant as it was seen before: runs that come together share the numbers."""
    return at_us


def _windows(gates: tuple[BoundCondition, ...]) -> tuple[BoundTimeWindow, ...]:
    """Return the windows among gates, those of an `all` too: they must be open at the start."""
    found: list[BoundTimeWindow] = []
    for gate in gates:
        members = gate.conditions if isinstance(gate, BoundAll) else (gate,)
        found += [member for member in members if isinstance(member, BoundTimeWindow)]
    return tuple(found)
