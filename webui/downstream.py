"""What is downstream of a run: what ran because of it, in the order in which it is to run again.

Read from the store. A run is downstream of another when one of its conditions was a dependency on
the other's instance (job and args) and it ended after the other was made. Of each such instance the
newest run counts: one that is not over yet takes the new result by itself. What a run's actions
have made is made anew by the actions of its rerun; what is downstream of that is found all the
same, and waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..jobs.actions import ScheduleAction
from ..jobs.bound_conditions import dependencies
from ..jobs.conditions import Dependency, leaves
from ..jobs.run import Run, args_key
from ..jobs.states import State
from ..messages.operations import CHAINED_AT_MOST, After, Target
from ..store.interface import Reader, RunQuery
from .routing import Problem

# The newest runs of a job among which those that ran because of another are looked for.
LOOKED_AT = 1_000
RAN = frozenset({State.SUCCESS, State.FAILURE, State.ERROR, State.LOST})

Instance = tuple[str, str]


class Downstream(msgspec.Struct, kw_only=True):
    """`targets` in the order in which they are to run again, the roots among them. `caused` are the
    runs that the actions of a rerun make anew, `coming` those that are not over and take the new
    result by themselves; both by id, with the id of the run they follow."""

    targets: list[Target]
    runs: dict[str, Run]
    caused: dict[str, str]
    coming: dict[str, str]


def find_downstream(reader: Reader, roots: list[Run]) -> Downstream:
    """Return what is to be run again with these runs.

    Raises:
        Problem: 400, that is too much.
    """
    return _Search(reader).of(roots)


class _Search:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._jobs_after: dict[str, list[str]] | None = None
        self._anywhere: list[str] = []
        self._looked: dict[str, list[Run]] = {}
        # Edges: what each run follows, as (instance, states), and the order of finding.
        self._runs: dict[str, Run] = {}
        self._follows: dict[str, dict[Instance, tuple[State, ...]]] = {}
        self._caused: dict[str, str] = {}
        self._coming: dict[str, str] = {}

    def of(self, roots: list[Run]) -> Downstream:
        open_ = []
        for run in roots:
            self._runs[run.run_id] = run
            open_.append(run)
        while open_:
            run = open_.pop()
            for one in self._after(run):
                if one.run_id not in self._runs:
                    self._runs[one.run_id] = one
                    open_.append(one)
            rerun = len(self._runs) - len(self._caused)
            if rerun > CHAINED_AT_MOST:
                sentence = f"more than {CHAINED_AT_MOST} runs are downstream: expected fewer"
                raise Problem(400, f"{sentence}: narrow the query")
        return Downstream(
            targets=self._ordered(),
            runs=self._runs,
            caused=self._caused,
            coming=self._coming,
        )

    def _after(self, run: Run) -> Iterable[Run]:
        """Yield the runs that are directly downstream of a run."""
        instance = (run.job_id, run.args_key)
        made_us = min(run.times.values(), default=0)
        for job_id in self._jobs_that_wait_for(run.job_id):
            seen: set[str] = set()
            for one in self._newest(job_id):
                states = _waits_for(one, instance)
                if states is None or one.args_key in seen or one.run_id == run.run_id:
                    continue
                seen.add(one.args_key)
                if one.state is State.SKIPPED or _ended_us(one) < made_us:
                    continue
                if one.state not in RAN:
                    self._coming[one.run_id] = run.run_id
                    continue
                self._follows.setdefault(one.run_id, {})[instance] = states
                yield one
        for action in run.actions:
            if isinstance(action, ScheduleAction):
                for one in self._newest(action.job_id):
                    if one.cause == f"action:{run.run_id}":
                        self._caused[one.run_id] = run.run_id
                        yield one

    def _ordered(self) -> list[Target]:
        """Return the targets so that each comes after all that it follows."""
        by_instance: dict[Instance, list[str]] = {}
        for run in self._runs.values():
            by_instance.setdefault((run.job_id, run.args_key), []).append(run.run_id)
        placed: list[Target] = []
        here: set[str] = set()
        made: set[Instance] = set()

        def place(run_id: str) -> None:
            if run_id in here:
                return
            here.add(run_id)
            run = self._runs[run_id]
            source = self._caused.get(run_id)
            if source is not None and source in self._runs:
                place(source)
            follows = self._follows.get(run_id, {})
            for instance in follows:
                for upstream in by_instance.get(instance, ()):
                    place(upstream)
            after = tuple(
                self._newer_than(instance, states)
                for instance, states in sorted(follows.items())
                if instance in made
            )
            made.add((run.job_id, run.args_key))
            if source is None:
                placed.append(Target(run_id=run_id, seen=run.state, after=after))

        for run_id in sorted(self._runs, key=lambda run_id: int(run_id[1:])):
            place(run_id)
        return placed

    def _newer_than(self, instance: Instance, states: tuple[State, ...]) -> After:
        """Return what is fulfilled by runs of an instance that are newer than all there are."""
        job_id, key = instance
        run = next(run for run in self._runs.values() if (run.job_id, run.args_key) == instance)
        page = self._reader.query(RunQuery(job_id=job_id, args=run.args, limit=LOOKED_AT))
        newest = max((one.number for one in page if one.args_key == key), default=run.number)
        return After(job_id=job_id, args=run.args, number=newest, states=states)

    def _newest(self, job_id: str) -> list[Run]:
        """Return the newest runs of a job, newest first."""
        found = self._looked.get(job_id)
        if found is None:
            found = self._reader.query(RunQuery(job_id=job_id, limit=LOOKED_AT))
            self._looked[job_id] = found
        return found

    def _jobs_that_wait_for(self, job_id: str) -> list[str]:
        """Return the jobs in force whose conditions may name a job."""
        if self._jobs_after is None:
            self._jobs_after = {}
            for other_id, hash_ in self._reader.jobs().items():
                job = self._reader.definition(hash_)
                for cond in leaves(job.conditions if job is not None else ()):
                    if not isinstance(cond, Dependency):
                        continue
                    if "{" in cond.job_id:
                        self._anywhere.append(other_id)
                    else:
                        self._jobs_after.setdefault(cond.job_id, []).append(other_id)
        return list(dict.fromkeys([*self._jobs_after.get(job_id, ()), *self._anywhere]))


def _waits_for(run: Run, instance: Instance) -> tuple[State, ...] | None:
    """Return in which states of an instance's runs a run goes on, None when it does not ask."""
    for cond in dependencies(run.conds):
        if (cond.job_id, args_key(cond.args)) == instance:
            return cond.states
    return None


def _ended_us(run: Run) -> int:
    """Return when a run ended; one that has not does so later than any."""
    return run.times.get(run.state.value, 2**62) if run.finished else 2**62
