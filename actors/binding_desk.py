"""Where runs are bound: those without templates here and now, the rest in the binder.

The binder may be killed by what it renders. One request is with it at a time; when it dies, what it
had is asked for again, run by run, and a run at which it has died twice gets an error instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import msgspec

from ..jobs.actions import Action
from ..jobs.bind_conditions import needs_calendar
from ..jobs.binding import needs_templates
from ..jobs.calendar_days import CalendarDays
from ..jobs.condition_rules import ConditionRules
from ..jobs.job import Job
from ..jobs.named_calendars import in_templates
from ..jobs.programs import TimeoutSpec
from ..jobs.run import NewRun
from ..messages.binding import Bind, BindOne, BoundRuns
from ..messages.post import BINDER, Post
from .bind_one import bind_one, died_twice, failed_run
from .definitions import Definitions
from .requests import OpenRequests

ITEMS_A_REQUEST = 100
DEATHS = 2
# The binder answers a repeated request from memory, but it may be busy with a folder for a while.
REPEAT_US = 2_000_000
# How `jobs.binding` words it.
UNKNOWN_JOB = "unknown job ID in condition: "

Then = Callable[[list[NewRun]], None]


class _Task:
    """Runs asked for together, with places for the answers that are still missing."""

    def __init__(self, runs: list[NewRun | None], then: Then) -> None:
        self.runs, self.then = runs, then
        self.missing = sum(run is None for run in runs)

    def fill(self, place: int, run: NewRun) -> None:
        self.runs[place] = run
        self.missing -= 1
        if not self.missing:
            self.then([run for run in self.runs if run is not None])


class _Asked(msgspec.Struct):
    """One run to be bound by the binder, and where its answer goes."""

    item: BindOne
    task: _Task
    place: int
    deaths: int = 0


class BindingDesk:
    """Takes runs to be bound; `first_request` is a number no earlier scheduler used."""

    def __init__(
        self,
        definitions: Definitions,
        first_request: int,
        default_timeout: TimeoutSpec | None = None,
        actions: tuple[Action, ...] = (),
        rules: ConditionRules | None = None,
    ) -> None:
        # Those in force, which the binder is given with what uses them.
        self.calendars: list[CalendarDays] = []
        self._definitions = definitions
        self._default_timeout = default_timeout
        self._actions = actions
        self._rules = rules
        self._request = first_request
        self._queue: deque[_Asked] = deque()
        self._with_binder: list[_Asked] = []
        self._one_by_one = 0
        self._incarnation: str | None = None
        self._requests = OpenRequests(REPEAT_US)

    def bind(self, items: list[BindOne], then: Then) -> None:
        """Bind runs; `then` gets them in order, at once when none of them has a template."""
        items = self._with_defaults(items)
        runs: list[NewRun | None] = []
        asked: list[tuple[int, BindOne]] = []
        needs: dict[str, bool] = {}
        for place, item in enumerate(items):
            if item.definition not in needs:
                needs[item.definition] = needs_templates(item.job)
            if needs[item.definition]:
                runs.append(None)
                asked.append((place, item))
            else:
                timeout, actions = self._default_timeout, self._actions
                runs.append(bind_one(item, {}, timeout, actions, self._rules))
        task = _Task(runs, then)
        if not asked:
            then([run for run in runs if run is not None])
            return
        self._queue.extend(_Asked(item, task, place) for place, item in asked)

    def bind_alike(
        self, item: BindOne, run_ids: list[str], then: Callable[[list[NewRun], list[str]], None]
    ) -> None:
        """Bind runs that differ in their ids alone; `then` gets them, and the ids of those that are
        as the last one is. Only templates can tell them apart: without any one is bound for all."""
        if needs_templates(item.job):
            items = [msgspec.structs.replace(item, run_id=run_id) for run_id in run_ids]
            self.bind(items, lambda runs: then(runs, []))
        else:
            self.bind([item], lambda runs: then(runs, run_ids[1:]))

    def bound(self, message: BoundRuns) -> None:
        """The binder has answered."""
        if not self._requests.answered(message.request):
            return
        asked, self._with_binder = self._with_binder, []
        by_id = {run.run_id: run for run in message.runs}
        for one in asked:
            run = by_id.get(one.item.run_id)
            if run is None:
                run = failed_run(one.item, "binding: the binder gave no answer", self._actions)
            if not self._named_later(one, run):
                one.task.fill(one.place, run)

    def _named_later(self, one: _Asked, run: NewRun) -> bool:
        """Ask again when a template named a job whose params the binder was not given."""
        if run.error is None or not run.error.startswith(UNKNOWN_JOB):
            return False
        job_id = run.error.removeprefix(UNKNOWN_JOB)
        found = self._definitions.find(job_id)
        if found is None or job_id in one.item.params_of:
            return False
        params_of = {**one.item.params_of, job_id: found[1].params}
        (one.item,) = self._with_defaults(
            [msgspec.structs.replace(one.item, params_of=params_of, defaults_of={})]
        )
        self._queue.appendleft(one)
        return True

    def _with_defaults(self, items: list[BindOne]) -> list[BindOne]:
        """Return items that carry the defaults of the jobs whose params they carry."""
        known: dict[tuple[str, ...], dict[str, dict[str, str]]] = {}
        found = []
        for item in items:
            names = tuple(item.params_of)
            if names not in known:
                known[names] = self._definitions.defaults_of(names)
            defaults = known[names]
            found.append(msgspec.structs.replace(item, defaults_of=defaults) if defaults else item)
        return found

    def is_new(self, incarnation: str) -> bool:
        """Whether a binder of this incarnation means that an earlier one has died."""
        return self._incarnation is not None and incarnation != self._incarnation

    def ready(self, incarnation: str) -> None:
        """A binder says it is ready: if it is another one, what the earlier one had is lost."""
        died = self.is_new(incarnation)
        self._incarnation = incarnation
        if not died or not self._with_binder:
            return
        asked, self._with_binder = self._with_binder, []
        self._requests.clear()
        if len(asked) == 1:
            asked[0].deaths += 1
            if asked[0].deaths >= DEATHS:
                one = asked.pop()
                sentence = died_twice(one.item.job.job_id)
                run = failed_run(one.item, sentence, self._actions)
                one.task.fill(one.place, run)
        self._one_by_one = max(self._one_by_one, len(asked))
        self._queue.extendleft(reversed(asked))

    def settle(self, now_us: int, *, paused: bool = False) -> list[Post]:
        """Send the next request when the binder is free; `paused`: it is not to get a new one."""
        if self._with_binder or not self._queue or paused:
            return self._requests.repeat(now_us)
        count = 1 if self._one_by_one else ITEMS_A_REQUEST
        self._one_by_one = max(0, self._one_by_one - 1)
        self._with_binder = [self._queue.popleft() for _ in range(min(count, len(self._queue)))]
        self._request += 1
        items = [one.item for one in self._with_binder]
        uses = any(needs_calendar(item.job) or in_templates(item.job) for item in items)
        calendars = self.calendars if uses else []
        bind = Bind(request=self._request, items=items, calendars=calendars)
        return [self._requests.send(self._request, Post(BINDER, bind), now_us)]

    def wakes_at(self) -> int | None:
        """Return when a request is to be repeated."""
        return self._requests.wakes_at()


def bind_item(
    job: Job,
    definition: str,
    params_of: Mapping[str, tuple[str, ...]],
    *,
    run_id: str,
    args: dict[str, str],
    schedule_us: int,
    fingerprint: str | None = None,
    stop_us: int | None = None,
    rerun_of: str | None = None,
    rerun_root: str | None = None,
    note: str | None = None,
    source_results: Mapping[str, str] | None = None,
    not_before_us: int | None = None,
) -> BindOne:
    """Return the request to bind one run of a job."""
    return BindOne(
        run_id=run_id,
        job=job,
        definition=definition,
        args=args,
        schedule_us=schedule_us,
        fingerprint=fingerprint,
        stop_us=stop_us,
        rerun_of=rerun_of,
        rerun_root=rerun_root,
        note=note,
        source_results=dict(source_results or {}),
        not_before_us=not_before_us,
        params_of=dict(params_of),
    )
