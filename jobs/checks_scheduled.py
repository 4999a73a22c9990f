"""Whether what scheduled runs wait for is scheduled too (`--check-dependencies-scheduled`). Pure.

For every run of the coming day each instance it depends on must be on schedule between a day ago
and a day ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec.structs import replace

from .binding import bind, schedule_args
from .bound_conditions import BoundAll, BoundCondition, BoundDependency
from .calendars import Calendar
from .checks import NO_RUN, Problem
from .conditions import Dependency, leaves
from .errors import UserError
from .job import Job
from .programs import NoOp
from .run import args_key
from .schedules import fires
from .times import DAY_S, SECOND_US
from .words import instance_words

DAY_US = DAY_S * SECOND_US

Instance = tuple[str, str]


def check_dependencies_scheduled(
    jobs: Mapping[str, Job], calendars: Mapping[str, Calendar], now_us: int
) -> list[Problem]:
    """Return a problem for each dependency of a run of the next 24 hours that is not scheduled.

    Args:
        jobs: all jobs, by id; they have no errors.
        calendars: the calendars that files hold, by name.
        now_us: the 24 hours begin here.
    """
    waited = _Waited(jobs, calendars, now_us)
    scheduled: dict[str, set[str]] = {}
    found = []
    for job, args, dependency in waited:
        there = scheduled.get(dependency.job_id)
        if there is None:
            there = scheduled[dependency.job_id] = waited.instances(dependency.job_id)
        if args_key(dependency.args) not in there:
            sentence = (
                f"scheduled run {instance_words(job.job_id, args)}: dependency "
                f"{instance_words(dependency.job_id, dependency.args)} not scheduled"
            )
            found.append(Problem(job_id=job.job_id, sentence=sentence, key_path=("condition",)))
    return found


def _certain(conditions: Iterable[BoundCondition]) -> Iterator[BoundDependency]:
    """Yield the dependencies that each hold a run back: those of an `any` or `not` need not."""
    for cond in conditions:
        if isinstance(cond, BoundAll):
            yield from _certain(cond.conditions)
        elif isinstance(cond, BoundDependency):
            yield cond


class _Waited:
    """Iterates (job, args, dependency), each instance once."""

    def __init__(
        self, jobs: Mapping[str, Job], calendars: Mapping[str, Calendar], now_us: int
    ) -> None:
        self._jobs, self._calendars, self._now_us = jobs, calendars, now_us

    def __iter__(self) -> Iterator[tuple[Job, dict[str, str], BoundDependency]]:
        find: Callable[[str], Job | None] = self._jobs.get
        for job_id in sorted(self._jobs):
            job = self._jobs[job_id]
            if not any(isinstance(cond, Dependency) for cond in leaves(job.conditions)):
                continue
            # Only what is waited for is bound: programs are of no concern here.
            bare = replace(job, program=NoOp())
            for args in self._args(job, self._now_us, self._now_us + DAY_US):
                try:
                    now_us = self._now_us
                    bound = bind(bare, args, NO_RUN, find, self._calendars, schedule_us=now_us)
                except UserError:
                    continue  # It is an error, told where errors are.
                for cond in _certain(bound.conds):
                    yield job, args, cond

    def instances(self, job_id: str) -> set[str]:
        """Return the args keys of the runs of a job from a day ago to a day ahead."""
        job = self._jobs[job_id]
        around = self._args(job, self._now_us - DAY_US, self._now_us + DAY_US)
        return {args_key(args) for args in around}

    def _args(self, job: Job, from_us: int, to_us: int) -> Iterator[dict[str, str]]:
        seen = set()
        for schedule in job.schedules:
            if not schedule.enabled:
                continue
            try:
                for fire in fires(schedule, from_us, to_us, self._calendars):
                    args = schedule_args(job, fire)
                    key = args_key(args)
                    if key not in seen:
                        seen.add(key)
                        yield args
            except UserError:
                continue
