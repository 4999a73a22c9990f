"""Sets of jobs compared: what a new set changes, as portions of `ApplyJobs`. Pure.

A changed job closes its schedules and opens them anew, so that its expected runs are withdrawn and
written again from the new definition; the runs of all other jobs keep their rows and ids, and so do
those of a job of which only the metadata changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from ..jobs.calendar_days import CalendarDays
from ..jobs.calendars import Calendar
from ..jobs.job import Job
from ..jobs.schedules import Schedule, fingerprint
from ..messages.codec import encode
from ..messages.hello import ScheduleRow
from ..messages.instructions import ApplyJobs, KeptSchedule, StoredDefinition

# One transaction holds so many jobs and bytes; a larger change is several, one after another.
JOBS_A_PORTION = 500
PORTION_BYTES = 2**20


class JobDiff(msgspec.Struct, frozen=True, kw_only=True):
    """Job ids, each list sorted. `again`: unchanged jobs whose schedules are to be opened anew, as
    a calendar of theirs is among `calendars`, those that changed, came or went."""

    added: list[str] = []
    changed: list[str] = []
    removed: list[str] = []
    again: list[str] = []
    calendars: list[str] = []

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.changed or self.removed or self.again or self.calendars)


def compare(
    in_force: Mapping[str, str],
    wanted: Mapping[str, str],
    again: set[str],
    calendars: Iterable[str] = (),
) -> JobDiff:
    """Compare two sets of definition hashes by job id; `calendars` are the names that changed."""
    common = in_force.keys() & wanted.keys()
    changed = {job_id for job_id in common if in_force[job_id] != wanted[job_id]}
    return JobDiff(
        added=sorted(wanted.keys() - in_force.keys()),
        changed=sorted(changed),
        removed=sorted(in_force.keys() - wanted.keys()),
        again=sorted((again & common) - changed),
        calendars=sorted(calendars),
    )


def portions(
    diff: JobDiff,
    wanted: Mapping[str, str],
    body: Callable[[str], Job],
    before: Callable[[str], Job | None],
    rows: Mapping[str, Mapping[str, int]],
    calendars: Mapping[str, Calendar],
    now_us: int,
    *,
    commit: str | None = None,
) -> Iterator[ApplyJobs]:
    """Yield the instructions that put a difference in force, in order.

    Args:
        wanted: definition hash by job id of the new set.
        body: gives the job of a hash.
        before: gives the job of an id as it is in force, None where it is not known any more.
        rows: the open schedules: written_upto_us by fingerprint by job id.
        calendars: those of files, by name.
        now_us: the instant of the change.
        commit: the git commit the new set is checked out at.
    Yields:
        Portions with `based_on` 0; the caller sets it as each is sent.
    """
    part, size = _empty(now_us), 0
    added, changed = set(diff.added), set(diff.changed)
    for job_id in [*diff.removed, *diff.again, *diff.changed, *diff.added]:
        definition = None
        if job_id in wanted:
            job = body(wanted[job_id])
            definition = StoredDefinition(
                hash=wanted[job_id], job_id=job_id, body=encode(job), commit=commit
            )
            bytes_ = 2 * len(definition.body)
        else:
            job, bytes_ = None, 100
        count = len(part.set_jobs) + len(part.removed_jobs)
        if count and (count >= JOBS_A_PORTION or size + bytes_ > PORTION_BYTES):
            yield part
            part, size = _empty(now_us), 0
        size += bytes_
        if job_id in added:
            part.added.append(job_id)
        elif job_id in changed:
            part.changed.append(job_id)
        schedules = {} if job is None else schedules_of(job, calendars)
        its_rows = rows.get(job_id, {})
        same = its_rows.keys() == schedules.keys() and job_id in changed
        if same and job is not None and _same_runs(before(job_id), job):
            _keep(part, job, definition, its_rows)
        else:
            _add(part, job_id, schedules, definition, its_rows)
    if part.set_jobs or part.removed_jobs:
        yield part


def changed_calendars(
    before: Mapping[str, CalendarDays], after: Mapping[str, CalendarDays] | None
) -> set[str]:
    """Return the names of calendars that changed, came or went; None: nobody says so."""
    if after is None:
        return set()
    names = before.keys() | after.keys()
    return {name for name in names if before.get(name) != after.get(name)}


def with_calendars(
    parts: Iterator[ApplyJobs], calendars: Mapping[str, CalendarDays] | None, now_us: int
) -> Iterator[ApplyJobs]:
    """Yield portions of which the last one puts these calendars, if any are given, in force.

    Until then the old ones are: when all comes to a halt between two portions, the folder's
    calendars differ still, and everything that names them is applied anew.
    """
    last = None
    for part in parts:
        if last is not None:
            yield last
        last = part
    if calendars is not None:
        yield replace(last or _empty(now_us), calendars=list(calendars.values()))
    elif last is not None:
        yield last


def schedules_of(job: Job, calendars: Mapping[str, Calendar]) -> dict[str, Schedule]:
    """Return the enabled schedules of a job by fingerprint; two that mean the same are one."""
    return {
        fingerprint(schedule, calendars): schedule for schedule in job.schedules if schedule.enabled
    }


def rows_of(
    job: Job, definition: str, calendars: Mapping[str, Calendar], begin_us: int
) -> list[ScheduleRow]:
    """Return the rows that open all schedules of a job at an instant."""
    return [
        _row(job.job_id, print_, definition, schedule, begin_us)
        for print_, schedule in schedules_of(job, calendars).items()
    ]


def _empty(now_us: int) -> ApplyJobs:
    return ApplyJobs(
        based_on=0,
        at_us=now_us,
        definitions=[],
        set_jobs={},
        removed_jobs=[],
        opened=[],
        closed=[],
        kept=[],
        added=[],
        changed=[],
    )


def _same_runs(before: Job | None, after: Job) -> bool:
    """Whether two definitions of a job differ in nothing but what is said about it."""
    return before is not None and replace(before, metadata={}) == replace(after, metadata={})


def _keep(
    part: ApplyJobs, job: Job, definition: StoredDefinition | None, rows: Mapping[str, int]
) -> None:
    """Add a job whose schedules go on."""
    assert definition is not None, f"job {job.job_id}: it is wanted, so it has a definition"
    part.definitions.append(definition)
    part.set_jobs[job.job_id] = definition.hash
    part.kept.extend(
        KeptSchedule(
            job_id=job.job_id,
            fingerprint=print_,
            definition=definition.hash,
            labels=job.labels,
            owner=job.owner,
        )
        for print_ in rows
    )


def _add(
    part: ApplyJobs,
    job_id: str,
    schedules: Mapping[str, Schedule],
    definition: StoredDefinition | None,
    rows: Mapping[str, int],
) -> None:
    """Add one job's change to a portion: the lists of the record are filled before it is sent."""
    part.closed.extend((job_id, print_) for print_ in rows)
    if definition is None:
        part.removed_jobs.append(job_id)
        return
    part.definitions.append(definition)
    part.set_jobs[job_id] = definition.hash
    for print_, schedule in schedules.items():
        # A schedule that goes on under a new definition goes on where it was written up to: what
        # was missed while the server was down is made up for. A new one begins now.
        begin_us = min(rows.get(print_, part.at_us), part.at_us)
        part.opened.append(_row(job_id, print_, definition.hash, schedule, begin_us))


def _row(
    job_id: str, print_: str, definition: str, schedule: Schedule, begin_us: int
) -> ScheduleRow:
    return ScheduleRow(
        job_id=job_id,
        fingerprint=print_,
        definition=definition,
        valid_from_us=begin_us,
        written_upto_us=begin_us,
        spec=msgspec.to_builtins(schedule),
    )
