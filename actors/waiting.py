"""What the waiter keeps of each waiting run, and the indexes that wake it.

A transition touches only the runs whose present condition names its instance: `Interests` finds
them by job id first and by args second, so that all other transitions cost one look-up. `GuardLine`
is the queue of those that a guard of one instance holds back. Nothing here decides or sends.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from ..jobs.conditions import (
    BoundCondition,
    BoundConst,
    BoundDependency,
    BoundMaxRunning,
    BoundSkipDuplicate,
)
from ..jobs.run import Run, args_key
from ..jobs.states import State
from ..messages.instructions import FewerThan, Guard, NoneOf

Instance = tuple[str, str]
Order = tuple[int, int, int]
OCCUPYING = (State.STARTING, State.RUNNING)


class Wait:
    """One waiting run: how far it got. Gates are passed one by one, guards all together at the end.

    `seen` counts the conditions whose beginning has been noted in the run's log. `concluded`: the
    ledger has been asked to end the run.
    """

    __slots__ = ("blocked_by", "concluded", "gate", "gates", "guard_conds", "guards", "run", "seen")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.gates = tuple(c for c in run.conds if isinstance(c, BoundConst | BoundDependency))
        self.guard_conds = tuple(
            c for c in run.conds if isinstance(c, BoundMaxRunning | BoundSkipDuplicate)
        )
        self.guards = [guard_of(cond, run) for cond in self.guard_conds]
        self.gate = 0
        self.seen = 0
        self.blocked_by: int | None = None
        self.concluded = False

    @property
    def order(self) -> Order:
        """Who goes first when several may: priority, schedule time, id."""
        return (-self.run.priority, self.run.schedule_us, self.run.number)

    @property
    def condition(self) -> BoundCondition | None:
        """The condition waited for now, None when there is none."""
        if self.gate < len(self.gates):
            return self.gates[self.gate]
        if self.guard_conds:
            return self.guard_conds[self.blocked_by or 0]
        return None


def guard_of(cond: BoundMaxRunning | BoundSkipDuplicate, run: Run) -> Guard:
    """Return the guard the ledger decides the condition by."""
    if isinstance(cond, BoundMaxRunning):
        return FewerThan(job_id=cond.job_id, args=cond.args, states=OCCUPYING, n=cond.count)
    return NoneOf(
        job_id=run.job_id, args=run.args, states=cond.check_states, else_state=cond.target_state
    )


class Interests:
    """Which runs wait at a dependency on which instance."""

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


class GuardLine:
    """The runs a guard on one instance concerns: those proposed and those held back.

    At most `n` are proposed at a time; the rest stay in line, so that a thousand waiting runs of
    one instance do not all ask at each of its moves.
    """

    def __init__(self) -> None:
        self.members: dict[str, None] = {}
        self.proposed: dict[str, None] = {}
        self.freed_seq = -1
        self._line: list[tuple[Order, str]] = []
        self._in_line: set[str] = set()

    def queue(self, order: Order, run_id: str) -> None:
        """Put a run in line."""
        if run_id not in self._in_line:
            self._in_line.add(run_id)
            heapq.heappush(self._line, (order, run_id))

    def leave(self, run_id: str) -> None:
        """Take a run out of line, if it is in it."""
        self._in_line.discard(run_id)

    def first(self) -> str | None:
        """Take the first run out of line; None when the line is empty."""
        while self._line:
            _, run_id = heapq.heappop(self._line)
            if run_id in self._in_line:
                self._in_line.discard(run_id)
                return run_id
        return None


class GuardLines:
    """The lines by instance; one lives as long as a waiting run has a guard on its instance."""

    def __init__(self) -> None:
        self._jobs: dict[str, dict[str, GuardLine]] = {}

    def join(self, wait: Wait) -> None:
        """A run with guards begins to wait."""
        for guard in counting(wait.guards):
            lines = self._jobs.setdefault(guard.job_id, {})
            line = lines.setdefault(args_key(guard.args), GuardLine())
            line.members[wait.run.run_id] = None

    def part(self, wait: Wait) -> list[GuardLine]:
        """A run waits no more: return the lines it was proposed in, where the next may be asked."""
        run_id = wait.run.run_id
        touched = []
        for guard in counting(wait.guards):
            line = self.of(guard.job_id, guard.args)
            if line is None:
                continue
            line.leave(run_id)
            line.members.pop(run_id, None)
            if run_id in line.proposed:
                del line.proposed[run_id]
                touched.append(line)
            if not line.members:
                key = args_key(guard.args)
                del self._jobs[guard.job_id][key]
                if not self._jobs[guard.job_id]:
                    del self._jobs[guard.job_id]
        return touched

    def of(self, job_id: str, args: dict[str, str]) -> GuardLine | None:
        """Return the line of an instance, None when no waiting run has a guard on it."""
        lines = self._jobs.get(job_id)
        return lines.get(args_key(args)) if lines else None

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def __iter__(self) -> Iterator[GuardLine]:
        for lines in list(self._jobs.values()):
            yield from list(lines.values())


def counting(guards: list[Guard]) -> Iterator[FewerThan]:
    """Yield the guards that hold a run back until a place is free, each instance once."""
    seen: set[Instance] = set()
    for guard in guards:
        if isinstance(guard, FewerThan):
            instance = (guard.job_id, args_key(guard.args))
            if instance not in seen:
                seen.add(instance)
                yield guard
