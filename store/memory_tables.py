"""What the in-memory store holds, and how a batch changes it: checked whole, then applied whole.

Runs and events are frozen, so they are shared, not copied. Called by the in-memory store only.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from ..jobs.calendar_days import CalendarDays
from ..jobs.run import Run
from ..jobs.states import ACTIVE, State
from ..jobs.streaks import Streak
from ..messages.backfills import Backfill
from ..messages.commands import OutboxItem
from ..messages.hello import ScheduleRow
from ..messages.instructions import OutputRecord, StoredDefinition
from ..messages.pauses import Pause, PauseKind
from ..messages.registry import AgentRecord, AgentToken
from ..messages.transitions import AnyEvent, SkipsRecorded
from ..messages.wishes import Done, Refused
from .access import AccessTables
from .finding import wanted_jobs
from .findings import FindingTables
from .interface import Changes, RunQuery, StoreBroken
from .operations import OperationTables
from .rows import args_text, changed_us, group_by_run

NAME = "database in memory"

ExpectedKey = tuple[str, str, int]


class Tables:
    """Everything durable. `by_number` is in order of insertion; `planned` enforces I6."""

    def __init__(self, since_us: int, server_id: str) -> None:
        self.server_id = server_id
        self.since_us = since_us
        self.epoch = 0
        self.seq = 0
        self.next_run_number = 1
        self.jobs_version = 0
        self.events: list[AnyEvent] = []
        self.logs: dict[int, list[AnyEvent]] = {}
        self.skips: list[SkipsRecorded] = []
        self.runs: dict[int, Run] = {}
        self.changed_us: dict[int, int] = {}
        self.planned: dict[ExpectedKey, int] = {}
        self.by_job: dict[str, dict[int, None]] = {}
        self.scheduled: dict[int, Run] = {}
        self.active: dict[int, Run] = {}
        self.definitions: dict[str, StoredDefinition] = {}
        self.jobs: dict[str, str] = {}
        self.ad_hoc_jobs: dict[str, str] = {}
        self.calendars: list[CalendarDays] = []
        self.schedules: dict[tuple[str, str, int], ScheduleRow] = {}
        self.outputs: dict[int, dict[tuple[int, str], OutputRecord]] = {}
        self.outbox: dict[str, OutboxItem] = {}
        self.deadlines: dict[tuple[str, str], int] = {}
        self.streaks: dict[tuple[str, str], Streak] = {}
        self.answers: dict[str, tuple[int, Done | Refused]] = {}
        self.findings = FindingTables()
        self.agents: dict[str, AgentRecord] = {}
        self.agent_tokens: dict[str, AgentToken] = {}
        self.access = AccessTables()
        self.pauses: dict[tuple[PauseKind, str], Pause] = {}
        self.backfills: dict[int, Backfill] = {}
        self.operations = OperationTables()

    def copy(self) -> Tables:
        """Return a copy that shares the frozen records."""
        twin = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, (dict, list)):
                setattr(twin, name, value.copy())
        twin.logs = {number: events.copy() for number, events in self.logs.items()}
        twin.by_job = {job_id: numbers.copy() for job_id, numbers in self.by_job.items()}
        twin.access = self.access.copy()
        twin.findings = self.findings.copy()
        twin.operations = self.operations.copy()
        twin.outputs = {number: outputs.copy() for number, outputs in self.outputs.items()}
        return twin

    def is_made(self, key: ExpectedKey) -> bool:
        """Return whether a schedule has made a run for this, be it put to another time since."""
        return key in self.planned or key in self.operations.taken

    def check_planned(self, changes: Changes) -> None:
        """Refuse a second run of one (job, args, time) by a schedule, before anything changes.

        Raises:
            StoreBroken: there is one.
        """
        made: dict[ExpectedKey, int] = {}
        for run in changes.runs.values():
            if run is None or run.fingerprint is None:
                continue
            key, number = planned_key(run), run.number
            there = self.planned.get(key, number)
            if changes.runs.get(f"r{there}", self) is None:
                there = number
            if there != number or made.setdefault(key, number) != number:
                sentence = f"run {run.run_id}: its job, args and time have a run already"
                raise StoreBroken(f"{NAME}: {sentence}: expected one by a schedule")

    def apply(self, changes: Changes) -> None:
        """Change everything; cannot fail."""
        groups = group_by_run(changes.events)
        for run_id, run in changes.runs.items():
            if run is None:
                self._withdraw(int(run_id[1:]))
        for run_id, run in changes.runs.items():
            if run is not None:
                self._put(run, changed_us(run, groups.get(run_id)))
        self.events += changes.events
        self.seq += len(changes.events)
        for owner, group in groups.items():
            if owner is not None:
                self.logs.setdefault(int(owner[1:]), []).extend(group)
        self.skips += [event for event in changes.events if type(event) is SkipsRecorded]
        for stored in changes.definitions:
            self.definitions.setdefault(stored.hash, stored)
        _merge(self.jobs, changes.jobs)
        _merge(self.outbox, changes.outbox)
        self.agents.update(changes.agents)
        _merge(self.agent_tokens, changes.agent_tokens)
        self.access.apply(changes)
        self.findings.apply(changes)
        self.operations.apply(changes)
        _merge(self.pauses, changes.pauses)
        self.backfills.update(changes.backfills)
        _merge(self.deadlines, changes.deadlines)
        _merge(self.streaks, changes.streaks)
        self.ad_hoc_jobs.update(changes.ad_hoc_jobs)
        for number in changes.archived:
            self._archive(number)
        for job_id in changes.archived_jobs:
            if job_id not in self.by_job and not self._has_schedule(job_id):
                self.ad_hoc_jobs.pop(job_id, None)
        if changes.calendars is not None:
            self.calendars = list(changes.calendars)
        for row in changes.schedules:
            self.schedules[row.job_id, row.fingerprint, row.valid_from_us] = row
        for output in changes.outputs:
            outputs = self.outputs.setdefault(int(output.run_id[1:]), {})
            outputs[output.attempt, output.output_id] = output
        for command_id, answer in changes.answers.items():
            self.answers[command_id] = (changes.answers_at_us, answer)
        self._set_head(changes)

    def _set_head(self, changes: Changes) -> None:
        if changes.next_run_number is not None:
            self.next_run_number = changes.next_run_number
        if changes.jobs_version is not None:
            self.jobs_version = changes.jobs_version

    def _put(self, run: Run, at_us: int) -> None:
        number = run.number
        old = self.runs.get(number)
        if old is None:
            self.by_job.setdefault(run.job_id, {})[number] = None
        elif old.fingerprint is not None:
            self.planned.pop(planned_key(old), None)
        if run.fingerprint is not None:
            self.planned[planned_key(run)] = number
        self.operations.put(run)
        self.runs[number] = run
        self.changed_us[number] = at_us
        _keep(self.scheduled, number, run, wanted=run.state is State.SCHEDULED)
        _keep(self.active, number, run, wanted=run.state in ACTIVE)

    def _archive(self, number: int) -> None:
        self._withdraw(number)
        gone = self.logs.pop(number, [])
        seqs = {event.seq for event in gone}
        self.events = [event for event in self.events if event.seq not in seqs]
        self.outputs.pop(number, None)

    def _has_schedule(self, job_id: str) -> bool:
        rows = self.schedules.values()
        return any(row.job_id == job_id and row.valid_to_us is None for row in rows)

    def _withdraw(self, number: int) -> None:
        run = self.runs.pop(number, None)
        if run is None:
            return
        del self.changed_us[number]
        self.scheduled.pop(number, None)
        self.active.pop(number, None)
        self.operations.drop(number)
        if run.fingerprint is not None:
            del self.planned[planned_key(run)]
        numbers = self.by_job[run.job_id]
        del numbers[number]
        if not numbers:
            del self.by_job[run.job_id]


def planned_key(run: Run) -> ExpectedKey:
    """Return by what a run that a schedule made is unique: (job, args text, schedule time)."""
    return run.job_id, args_text(run.args), run.schedule_us


def _keep(table: dict[int, Run], number: int, run: Run, *, wanted: bool) -> None:
    if wanted:
        table[number] = run
    else:
        table.pop(number, None)


def _merge(table: dict[Any, Any], changes: dict[Any, Any]) -> None:
    """Set what is not None, remove what is."""
    for key, value in changes.items():
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value


def terms_of(query: RunQuery, tables: Tables) -> list[Callable[[Run], bool]]:
    """Return one test per term of a query."""
    terms: list[Callable[[Run], bool]] = []
    job_ids = wanted_jobs(query)
    if job_ids is not None:
        wanted = frozenset(job_ids)
        terms.append(lambda run: run.job_id in wanted)
    if query.states is not None:
        states = frozenset(query.states)
        terms.append(lambda run: run.state in states)
    if query.args:
        args = query.args.items()
        terms.append(lambda run: args <= run.args.items())
    if query.label is not None:
        terms.append(lambda run: query.label in run.labels)
    if query.since_us is not None:
        since_us = query.since_us
        terms.append(lambda run: run.schedule_us >= since_us)
    if query.until_us is not None:
        until_us = query.until_us
        terms.append(lambda run: run.schedule_us < until_us)
    if query.changed_since_us is not None:
        changed = query.changed_since_us
        terms.append(lambda run: tables.changed_us[run.number] >= changed)
    return terms


def number_of(run: Run) -> int:
    """Return the number of a run, to sort by."""
    return run.number


def tally(runs: Iterable[Run]) -> dict[State, int]:
    """Return how many runs are in each state."""
    return Counter(run.state for run in runs)
