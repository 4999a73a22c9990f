"""Binding conditions: what a job's runs wait for becomes what one run waits for.

Called by `binding.py`. Guards come out of `all` here, to stand beside it; what is not enabled for
the run is left out, and what is composed of nothing else with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta

from .bind_polled import bind_polled, polled_texts
from .bound_conditions import (
    BoundAll,
    BoundAny,
    BoundCondition,
    BoundConst,
    BoundDependency,
    BoundGuard,
    BoundMaxRunning,
    BoundNot,
    BoundNotAfter,
    BoundNotBefore,
    BoundPool,
    BoundSkipDuplicate,
    BoundTimeWindow,
)
from .calendars import Calendar, NoSuchCalendar, WeekdayCalendar, find_calendar
from .condition_rules import ConditionRules
from .conditions import (
    AllOf,
    AnyOf,
    Condition,
    Const,
    Dependency,
    MaxRunning,
    Moment,
    Not,
    NotAfter,
    NotBefore,
    Pool,
    SkipDuplicate,
    TimeWindow,
    leaves,
)
from .errors import UserError
from .job import Job
from .polled import CommandCheck, ExtensionCheck, FileCheck, HttpCheck, SqlCheck
from .states import State, reachable_from
from .times import parse_daytime, parse_time, us_to_local, zone
from .windows import DAY, listed_days, moment_us

# Days that a window of a calendar from a file is bound with.
LISTED_DAYS = 100


class ConditionBinder:
    """Binds the conditions of one job for one run.

    Args:
        job: the run's job.
        args: the run's args.
        schedule_us: the run's schedule time (microseconds UTC).
        expand: renders a text for the run.
        find_job: gives the job of an id, None when there is none.
        calendars: the calendars that files hold, by name.
        rules: what the settings say; None: they are not known, and nothing is held against them.
    """

    def __init__(
        self,
        job: Job,
        args: Mapping[str, str],
        schedule_us: int,
        expand: Callable[[str], str],
        find_job: Callable[[str], Job | None],
        calendars: Mapping[str, Calendar],
        rules: ConditionRules | None = None,
    ) -> None:
        self._job = job
        self._args = args
        self._schedule_us = schedule_us
        self._expand = expand
        self._find_job = find_job
        self._calendars = calendars
        self._rules = rules

    def bind(self) -> tuple[BoundCondition, ...]:
        """Return the bound conditions, in file order.

        Raises:
            UserError: one of them cannot be bound.
        """
        return tuple(
            part for cond in self._job.conditions for part in _apart(self._condition(cond))
        )

    def _condition(self, cond: Condition) -> BoundCondition | None:
        """Bind a condition; None when it is not enabled for this run."""
        if not self._enabled(cond.enabled):
            return None
        match cond:
            case Const():
                return BoundConst(value=cond.value)
            case Dependency():
                return self._dependency(cond)
            case MaxRunning():
                return self._max_running(cond)
            case SkipDuplicate():
                return BoundSkipDuplicate(
                    check_states=cond.check_states, target_state=cond.target_state
                )
            case Pool():
                return self._pool(cond)
            case NotBefore():
                return BoundNotBefore(at_us=self._moment_us(cond.moment))
            case NotAfter():
                at_us = self._moment_us(cond.moment)
                return BoundNotAfter(at_us=at_us, else_state=cond.else_state)
            case TimeWindow():
                return self._window(cond)
            case FileCheck() | HttpCheck() | CommandCheck() | SqlCheck() | ExtensionCheck():
                bound = bind_polled(cond, self._expand)
                if self._rules is not None:
                    self._rules.check_polled(bound)
                return bound
            case AllOf():
                members = self._members(cond.conditions)
                return BoundAll(conditions=members) if members else None
            case AnyOf():
                members = self._members(cond.conditions)
                return BoundAny(conditions=members) if members else None
            case Not():
                inner = self._condition(cond.condition)
                return None if inner is None else BoundNot(condition=inner)

    def _members(self, conditions: Iterable[Condition]) -> tuple[BoundCondition, ...]:
        bound = map(self._condition, conditions)
        return tuple(member for member in bound if member is not None)

    def _enabled(self, enabled: bool | str) -> bool:
        if isinstance(enabled, bool):
            return enabled
        text = self._expand(enabled)
        return {"true": True, "True": True, "false": False, "False": False}.get(text, bool(text))

    def _dependency(self, cond: Dependency) -> BoundDependency:
        job_id = self._expand(cond.job_id)
        job = self._find_job(job_id)
        if job is None:
            raise UserError(f"unknown job ID in condition: {job_id}")
        args = {}
        for param in sorted(job.params):
            if param in cond.args:
                args[param] = self._expand(cond.args[param])
            elif param in self._args:
                args[param] = self._args[param]
            elif (default := job.default_of(param)) is not None:
                args[param] = default
            else:
                raise UserError(f"no value for param {param} of job {job_id}")
        exist = cond.exist
        if exist is True:
            reaching = reachable_from(frozenset(cond.states))
            exist = tuple(state for state in State if state in reaching)
        return BoundDependency(job_id=job_id, args=args, states=cond.states, exist=exist or ())

    def _max_running(self, cond: MaxRunning) -> BoundMaxRunning:
        count = self._number(cond.count, "max_running: count")
        return BoundMaxRunning(
            count=count, job_id=cond.job_id or self._job.job_id, args=dict(self._args)
        )

    def _pool(self, cond: Pool) -> BoundPool:
        name = self._expand(cond.name)
        weight = self._number(cond.weight, "pool: weight")
        if self._rules is not None:
            self._rules.check_pool(name, weight)
        return BoundPool(name=name, weight=weight)

    def _number(self, text: str, what: str) -> int:
        said = self._expand(text)
        try:
            number = int(said)
        except ValueError:
            number = 0
        if number < 1:
            raise UserError(f"{what} {said!r}: expected a number of 1 or more")
        return number

    # --- times ----------------------------------------------------------------------------------

    def _moment_us(self, moment: Moment) -> int:
        if moment.time is not None:
            return parse_time(self._expand(moment.time))
        tz = zone(self._expand(moment.tz or ""))
        daytime_s = parse_daytime(self._expand(moment.daytime or ""))
        day = us_to_local(self._schedule_us, tz).date() + timedelta(days=moment.date_shift)
        return moment_us(day, daytime_s, tz)

    def _window(self, cond: TimeWindow) -> BoundTimeWindow:
        tz = self._expand(cond.tz)
        calendar = find_calendar(cond.calendar, self._calendars)
        days = None
        if not isinstance(calendar, WeekdayCalendar):
            first = us_to_local(self._schedule_us, zone(tz)).date() - DAY
            days = listed_days(calendar, first, LISTED_DAYS)
        zone(tz)
        return BoundTimeWindow(
            start_s=parse_daytime(self._expand(cond.start)),
            end_s=parse_daytime(self._expand(cond.end)),
            tz=tz,
            calendar=cond.calendar,
            days=days,
        )


def needs_calendar(job: Job) -> bool:
    """Whether binding a job's conditions needs a calendar that only a file can hold."""
    for cond in leaves(job.conditions):
        if isinstance(cond, TimeWindow):
            try:
                find_calendar(cond.calendar)
            except NoSuchCalendar:
                return True
    return False


def condition_texts(conditions: Iterable[Condition]) -> Iterator[str]:
    """Yield every text of conditions that binding renders."""
    for cond in conditions:
        if isinstance(cond.enabled, str):
            yield cond.enabled
        match cond:
            case Dependency():
                yield cond.job_id
                yield from cond.args.values()
            case MaxRunning():
                yield cond.count
            case Pool():
                yield from (cond.name, cond.weight)
            case NotBefore() | NotAfter():
                moment = cond.moment
                yield from (moment.time or "", moment.daytime or "", moment.tz or "")
            case TimeWindow():
                yield from (cond.start, cond.end, cond.tz)
            case FileCheck() | HttpCheck() | CommandCheck() | SqlCheck() | ExtensionCheck():
                yield from polled_texts(cond)
            case AllOf() | AnyOf():
                yield from condition_texts(cond.conditions)
            case Not():
                yield from condition_texts((cond.condition,))
            case _:
                pass


def _apart(cond: BoundCondition | None) -> Iterator[BoundCondition]:
    """Yield a condition with the guards and deadlines of an `all` taken out, to stand beside it."""
    if not isinstance(cond, BoundAll):
        if cond is not None:
            yield cond
        return
    rest: list[BoundCondition] = []
    beside: list[BoundCondition] = []
    for member in cond.conditions:
        for part in _apart(member):
            alone = isinstance(part, BoundGuard | BoundNotAfter)
            (beside if alone else rest).append(part)
    if rest:
        yield rest[0] if len(rest) == 1 else BoundAll(conditions=_joined(rest))
    yield from beside


def _joined(conditions: list[BoundCondition]) -> tuple[BoundCondition, ...]:
    """Return conditions with the members of an `all` among them in its place."""
    found: list[BoundCondition] = []
    for cond in conditions:
        found += cond.conditions if isinstance(cond, BoundAll) else (cond,)
    return tuple(found)
