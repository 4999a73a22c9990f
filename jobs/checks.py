"""What can be known to be wrong with jobs before any of them runs.

Called by the binder after a load, and by `check`. Each schedule is tried with its next time: args,
templates and dependencies are bound as they will be. What no schedule tries is looked at as far as
it can be. Nothing here reads a clock; rendering is bounded by the caller's process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from . import binding
from .action_texts import texts_of
from .actions import ScheduleAction
from .binding import bind, check_args, schedule_args
from .calendars import Calendar, NoSuchCalendar
from .condition_rules import ConditionRules
from .conditions import AllOf, Condition, Dependency, MaxRunning, leaves
from .errors import OutOfLimits, UserError
from .job import Job
from .params import why_not
from .programs import Process, Shell
from .reading import KeyPath, dotted
from .results import GivenResults
from .schedules import next_fire
from .template_places import wrong_syntax, wrong_template
from .templates import builtins, check_syntax, is_template

# What a job is called while it is only checked.
NO_RUN = "None"
NO_LIMITS: AbstractContextManager[Any] = nullcontext()
# Jobs that are checked before others may go on, where several processes share the work.
JOBS_A_PORTION = 50
_NAME = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake in a job; `key_path` leads to the part of its data it is in. A `warning` is
    something that is allowed and yet may not be meant."""

    job_id: str
    sentence: str
    key_path: KeyPath = ()
    severity: Literal["error", "warning"] = "error"


Portions = list[list[Problem]]
# Has each of so many portions checked, by its number.
Sharing = Callable[[int, Callable[[int], list[Problem]]], Portions]


def unshared(count: int, check: Callable[[int], list[Problem]]) -> Portions:
    """Have all portions checked here, one after the other."""
    return [check(number) for number in range(count)]


class _Unknowable(Exception):
    """A job is named whose file has problems of its own: what needs it cannot be judged."""


def check_jobs(
    jobs: Mapping[str, Job],
    calendars: Mapping[str, Calendar],
    now_us: int,
    broken: Iterable[str] = (),
    rules: ConditionRules | None = None,
    limits: AbstractContextManager[Any] = NO_LIMITS,
    share: Sharing = unshared,
) -> list[Problem]:
    """Return the problems of jobs, in the order of job IDs; empty when there are none.

    Args:
        jobs: all jobs, by ID.
        calendars: the calendars that files hold, by name.
        now_us: the time after which schedules are tried.
        broken: IDs of jobs that exist but could not be read; what depends on them is left alone.
        rules: what the settings say of conditions; None: they are not known.
        limits: entered around the check of each job whose templates are rendered: it may end that
            work with OutOfLimits or MemoryError, which is a problem of the job.
        share: has portions of the jobs checked, in whatever process; all by default in this one.
    """
    checker = _Checker(jobs, calendars, now_us, frozenset(broken), rules, limits)
    order = sorted(jobs)
    cuts = range(0, len(order), JOBS_A_PORTION)

    def portion(number: int) -> list[Problem]:
        some = order[cuts[number] : cuts[number] + JOBS_A_PORTION]
        return [problem for job_id in some for problem in checker.job(jobs[job_id])]

    found = [problem for part in share(len(cuts), portion) for problem in part]
    found += _cycles(jobs)
    found.sort(key=lambda problem: problem.job_id)
    return found


class _Checker:
    """Checks one job after another."""

    def __init__(
        self,
        jobs: Mapping[str, Job],
        calendars: Mapping[str, Calendar],
        now_us: int,
        broken: frozenset[str],
        rules: ConditionRules | None,
        limits: AbstractContextManager[Any],
    ) -> None:
        self._jobs, self._calendars, self._now_us = jobs, calendars, now_us
        self._broken = broken
        self._rules = rules
        self._limits = limits
        self._builtins = frozenset(builtins(calendars)) | {"run_id", "job_id", "results", "range"}

    def job(self, job: Job) -> list[Problem]:
        """Return the problems of a job."""
        if not binding.needs_templates(job):
            return list(self._problems(job))
        try:
            with self._limits:
                return list(self._problems(job))
        except (OutOfLimits, MemoryError):
            said = "templates: took longer or more memory than allowed: expected less work"
            return [Problem(job_id=job.job_id, sentence=said)]

    def _problems(self, job: Job) -> Iterator[Problem]:
        yield from self._defaults(job)
        broken_rules = list(self._rules_of_conditions(job))
        yield from broken_rules
        rules = None if broken_rules else self._rules
        tried = False
        told: set[Problem] = set()
        for index, schedule in enumerate(job.schedules):
            args: dict[str, str] = {}
            try:
                fire = next_fire(schedule, self._now_us, self._calendars)
                if fire is None:
                    continue
                tried = True
                args = schedule_args(job, fire)
                self._bind(job, args, fire.at_us, rules)
            except UserError as error:
                tried = True
                problem = self._placed(job, index, args, error)
                if problem not in told:
                    yield problem
                told.add(problem)
            except _Unknowable:
                tried = True
        if not tried:
            yield from self._syntax(job)
            yield from self._conditions(job)
        yield from self._actions(job)

    def _placed(self, job: Job, index: int, args: Mapping[str, str], error: UserError) -> Problem:
        """Return what went wrong with a schedule's run, at the template or else at the schedule."""
        names = {**builtins(self._calendars), "run_id": NO_RUN, "job_id": job.job_id}
        names["results"] = GivenResults({})
        where = wrong_template(job, str(error), args, names)
        if where is not None:
            sentence = f"{dotted(where)}: {error}"
            return Problem(job_id=job.job_id, sentence=sentence, key_path=where)
        several = len(job.schedules) > 1
        at: KeyPath = ("schedule", index) if several else ("schedule",)
        sentence = f"{dotted(at)}: {error}"
        if isinstance(error, NoSuchCalendar):
            at = (*at, "calendar")
        return Problem(job_id=job.job_id, sentence=sentence, key_path=at)

    def _defaults(self, job: Job) -> Iterator[Problem]:
        """Match defaults with patterns; all else about them was checked when they were read."""
        for name, spec in job.param_specs.items():
            if spec.default is not None and (said := why_not(spec, spec.default)):
                where = ("params", name, "default")
                sentence = f"params.{name}.default: {said}"
                yield Problem(job_id=job.job_id, sentence=sentence, key_path=where)

    def _find(self, job_id: str) -> Job | None:
        if job_id in self._broken:
            raise _Unknowable
        return self._jobs.get(job_id)

    # --- as a run would be bound ----------------------------------------------------------------

    def _bind(
        self, job: Job, args: dict[str, str], at_us: int, rules: ConditionRules | None
    ) -> None:
        check_args(job, args)
        cheaper = self._cheaper(job, args)
        bind(
            cheaper,
            args,
            NO_RUN,
            self._find,
            self._calendars,
            schedule_us=at_us,
            rules=rules,
        )

    def _cheaper(self, job: Job, args: Mapping[str, str]) -> Job:
        """Return a job that binds if this one does, its command not rendered where only names are
        to be filled in: compiling a template takes as long as reading fifty jobs."""
        program = job.program
        match program:
            case Shell():
                texts: tuple[str, ...] = (program.command,)
            case Process():
                texts = program.argv
            case _:
                return job
        templates = [text for text in texts if is_template(text)]
        if not templates or any(is_template(_NAME.sub("", text)) for text in templates):
            return job
        for text in templates:
            for name in _NAME.findall(text):
                if name not in args and name not in self._builtins:
                    raise UserError(f"name '{name}' is not defined")
        if isinstance(program, Shell):
            return replace(job, program=replace(program, command="true"))
        assert isinstance(program, Process)
        return replace(job, program=replace(program, argv=("true",)))

    # --- as far as can be seen without a schedule -----------------------------------------------

    def _syntax(self, job: Job) -> Iterator[Problem]:
        for where, said in wrong_syntax(job):
            sentence = f"{dotted(where)}: {said}"
            yield Problem(job_id=job.job_id, sentence=sentence, key_path=where)

    def _conditions(self, job: Job) -> Iterator[Problem]:
        for index, entry in enumerate(job.conditions):
            where: KeyPath = ("condition", index)
            for cond in leaves((entry,)):
                if isinstance(cond, Dependency) and cond.enabled is not False:
                    yield from self._reference(job, "condition", cond.job_id, cond.args, where)
                elif isinstance(cond, MaxRunning) and cond.job_id is not None:
                    yield from self._reference(job, "condition", cond.job_id, None, where)

    def _rules_of_conditions(self, job: Job) -> Iterator[Problem]:
        for index, entry in enumerate(job.conditions):
            for cond in leaves((entry,)):
                try:
                    if self._rules is not None and cond.enabled is not False:
                        self._rules.check(cond)
                except UserError as error:
                    where: KeyPath = ("condition", index)
                    sentence = f"condition[{index}]: {error}"
                    yield Problem(job_id=job.job_id, sentence=sentence, key_path=where)

    def _actions(self, job: Job) -> Iterator[Problem]:
        for index, action in enumerate(job.actions):
            where: KeyPath = ("action", index)
            if isinstance(action, ScheduleAction):
                yield from self._reference(job, "action", action.job_id, action.args, where)
            for text in texts_of(action):
                try:
                    check_syntax(text)
                except UserError as error:
                    yield Problem(job_id=job.job_id, sentence=f"action: {error}", key_path=where)

    def _reference(
        self, job: Job, what: str, job_id: str, args: Mapping[str, str] | None, where: KeyPath
    ) -> Iterator[Problem]:
        """Check that another job exists and gets its params; `args` None: it needs none."""
        if is_template(job_id) or job_id in self._broken:
            return
        said = []
        target = self._jobs.get(job_id)
        if target is None:
            said.append(f"unknown job ID in {what}: {job_id}")
        elif args is not None:
            for param in target.params:
                given = param in args or param in job.params
                if not given and target.default_of(param) is None:
                    said.append(f"missing arg in {what}: param {param} of job {job_id}")
            for name, text in args.items():
                if name not in target.params:
                    said.append(f"extraneous arg in {what}: {name} is no param of job {job_id}")
                elif name in target.param_specs and not is_template(text):
                    wrong = why_not(target.param_specs[name], text)
                    said += [f"arg {name} of job {job_id} in {what}: {wrong}"] if wrong else []
        for sentence in said:
            yield Problem(job_id=job.job_id, sentence=sentence, key_path=where)


# --- cycles -------------------------------------------------------------------------------------


def _cycles(jobs: Mapping[str, Job]) -> list[Problem]:
    """Return, for each job that certainly waits for itself, the circle it does so in."""
    edges = {
        job_id: targets
        for job_id, job in jobs.items()
        if (targets := sorted(set(_certain_targets(job, jobs))))
    }
    found: list[Problem] = []
    told: set[str] = set()
    finished: set[str] = set()
    for start in sorted(edges):
        for circle in _circles_from(start, edges, finished):
            if told.issuperset(circle):
                continue
            told.update(circle)
            for place, job_id in enumerate(circle):
                walk = [*circle[place:], *circle[:place], job_id]
                sentence = f"dependency cycle detected: {' → '.join(walk)}"
                found.append(Problem(job_id=job_id, sentence=sentence, key_path=("condition",)))
    return found


def _certain_targets(job: Job, jobs: Mapping[str, Job]) -> Iterator[str]:
    """Yield the jobs of which a run of the same args is waited for."""
    for cond in _certain(job.conditions):
        if not isinstance(cond, Dependency):
            continue
        target = jobs.get(cond.job_id)
        if target is not None and all(
            _is_handed_on(cond.args[param], param) if param in cond.args else param in job.params
            for param in target.params
        ):
            yield cond.job_id


def _certain(conditions: Iterable[Condition]) -> Iterator[Condition]:
    """Yield the conditions that each hold a run back: those of an `any` or `not` need not."""
    for cond in conditions:
        if cond.enabled is not True:
            continue
        if isinstance(cond, AllOf):
            yield from _certain(cond.conditions)
        else:
            yield cond


def _is_handed_on(text: str, param: str) -> bool:
    match = _NAME.fullmatch(text)
    return match is not None and match[1] == param


def _circles_from(
    start: str, edges: Mapping[str, list[str]], finished: set[str]
) -> Iterator[list[str]]:
    """Yield the circles met on a walk from `start`, not entering what an earlier walk finished."""
    if start in finished:
        return
    path = [start]
    on_path = {start}
    todo = [iter(edges[start])]
    while todo:
        target = next(todo[-1], None)
        if target is None:
            todo.pop()
            done = path.pop()
            on_path.discard(done)
            finished.add(done)
        elif target in on_path:
            yield path[path.index(target) :]
        elif target in edges and target not in finished:
            path.append(target)
            on_path.add(target)
            todo.append(iter(edges[target]))
