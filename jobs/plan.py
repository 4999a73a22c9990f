"""Plans: what another set of jobs would change, and by what a plan is known to be still true.

Called by the command line and the web for people, by the scheduler to refuse a stale plan. Pure.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import msgspec

from .calendars import Calendar
from .errors import UserError
from .forecast import Nominal, nominal_runs
from .job import Job
from .parse import job_to_data
from .run import Run, args_key
from .schedule_types import options_of
from .schedules import count_fires
from .times import DAY_S, SECOND_US

DAY_US = DAY_S * SECOND_US
DIGEST_CHARACTERS = 16
# Runs of one job that a plan looks at: a job that runs each minute is told by its first hours.
RUNS_A_JOB = 1_000
# The parts of a job as people know them, by the keys of its file.
METADATA = "metadata"


# --- what a plan is known by --------------------------------------------------------------------


def set_digest(hashes: Mapping[str, str]) -> str:
    """Return the name of a set of jobs: equal sets of definitions have equal ones.

    Args:
        hashes: definition hash by job id.
    """
    digest = hashlib.sha256()
    for job_id in sorted(hashes):
        digest.update(f"{len(job_id)}:{job_id}{hashes[job_id]}".encode("utf-8", "replace"))
    return digest.hexdigest()[:DIGEST_CHARACTERS]


def plan_id(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return the id of the plan that leads from one set of jobs to another."""
    return f"{set_digest(before)}-{set_digest(after)}"


def staleness(plan: str, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return why a plan may not be carried out, empty when it may.

    Args:
        plan: its id.
        before: the set in force, definition hash by job id.
        after: the set that would come into force.
    """
    from_digest, _, to_digest = plan.partition("-")
    if from_digest != set_digest(before):
        return f"plan {plan} is stale: other jobs are in force than when it was made: plan anew"
    if to_digest != set_digest(after):
        return f"plan {plan} is stale: the job folder holds other jobs than it was made for"
    return ""


# --- plans --------------------------------------------------------------------------------------


class JobChange(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a job. `what`: `added`, `removed` or `changed`.

    `parts` are the keys of a changed job's file that differ. `kept` counts the runs that stay at
    their time: bound anew, or untouched where only the metadata differs. `more`: the job has more
    runs than were looked at.
    """

    job_id: str
    what: str
    parts: tuple[str, ...] = ()
    kept: int = 0
    more: bool = False


class RunChange(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a nominal run. `what`: `appears`, `vanishes`, or `moves` to `to_us`."""

    what: str
    job_id: str
    args: dict[str, str]
    at_us: int
    to_us: int | None = None


class WaitingRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that waits; `about` are the jobs it has to do with: its own, and those it waits for."""

    run_id: str
    job_id: str
    args: dict[str, str]
    about: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a set of jobs would change: its jobs, by id, and their runs in [from, to), by time.

    `waiting` are runs that wait now and whose job, or a job they wait for, changes or goes; they
    stay as they were bound.
    """

    id: str
    from_us: int
    to_us: int
    jobs: tuple[JobChange, ...] = ()
    runs: tuple[RunChange, ...] = ()
    waiting: tuple[WaitingRun, ...] = ()

    def of(self, what: str) -> list[JobChange]:
        """Return the jobs that are added, removed or changed."""
        return [job for job in self.jobs if job.what == what]


def waiting_run(run: Run) -> WaitingRun:
    """Return a run that waits as a plan looks at it."""
    named = {getattr(cond, "job_id", None) for cond in run.conds} - {None}
    return WaitingRun(
        run_id=run.run_id,
        job_id=run.job_id,
        args=run.args,
        about=tuple(sorted({run.job_id, *map(str, named)})),
    )


def make_plan(
    id_: str,
    before: Mapping[str, Job],
    after: Mapping[str, Job],
    from_us: int,
    days: int,
    calendars: Mapping[str, Calendar],
    waiting: Iterable[WaitingRun] = (),
) -> Plan:
    """Return what changes between two sets of jobs; jobs that are equal may be left out of both.

    Args:
        id_: the plan's id, by `plan_id`.
        before: jobs in force, by id.
        after: jobs that would come into force.
        from_us: runs are told from here on, for so many `days`.
        calendars: those that files hold, by name.
        waiting: the runs that wait now.
    """
    to_us = from_us + days * DAY_US
    changes: list[JobChange] = []
    runs: list[RunChange] = []
    for job_id in sorted({*before, *after}):
        old, new = before.get(job_id), after.get(job_id)
        if old == new:
            continue
        change, moved = _compare(job_id, old, new, from_us, to_us, calendars)
        changes.append(change)
        runs += moved
    runs.sort(key=lambda run: (run.at_us, run.job_id, args_key(run.args)))
    touched = {change.job_id for change in changes if change.what != "added"}
    return Plan(
        id=id_,
        from_us=from_us,
        to_us=to_us,
        jobs=tuple(changes),
        runs=tuple(runs),
        waiting=tuple(run for run in waiting if not touched.isdisjoint(run.about)),
    )


# --- inside -------------------------------------------------------------------------------------


def _compare(
    job_id: str,
    old: Job | None,
    new: Job | None,
    from_us: int,
    to_us: int,
    calendars: Mapping[str, Calendar],
) -> tuple[JobChange, list[RunChange]]:
    """Return what becomes of one job and of its runs."""
    if old is not None and new is not None and _timetable(old) == _timetable(new):
        kept, more = _count(new, from_us, to_us, calendars)
        parts = _parts(old, new)
        return JobChange(job_id=job_id, what="changed", parts=parts, kept=kept, more=more), []
    olds, more_olds = _runs(old, from_us, to_us, calendars)
    news, more_news = _runs(new, from_us, to_us, calendars)
    if more_olds or more_news:
        # Beyond what was looked at of one nothing is known of the other.
        end_us = min(list(runs.values())[-1].at_us for runs in (olds, news) if runs)
        olds = {key: run for key, run in olds.items() if run.at_us <= end_us}
        news = {key: run for key, run in news.items() if run.at_us <= end_us}
    what = "added" if old is None else "removed" if new is None else "changed"
    change = JobChange(
        job_id=job_id,
        what=what,
        parts=() if old is None or new is None else _parts(old, new),
        kept=len(olds.keys() & news.keys()),
        more=more_olds or more_news,
    )
    gone = [run for key, run in olds.items() if key not in news]
    come = [run for key, run in news.items() if key not in olds]
    return change, _paired(gone, come)


def _runs(
    job: Job | None, from_us: int, to_us: int, calendars: Mapping[str, Calendar]
) -> tuple[dict[tuple[int, str], Nominal], bool]:
    """Return the first runs of a job by (time, args), in order, and whether there are more."""
    if job is None:
        return {}, False
    try:
        # Each schedule by itself is in order, so the first of each are enough for the first of all.
        found = [
            run
            for place in range(len(job.schedules))
            for run in islice(_named(_only(job, place), from_us, to_us, calendars), RUNS_A_JOB + 1)
        ]
    except UserError:
        return {}, False  # A set with errors is refused, whatever its plan says.
    found.sort(key=lambda run: run.at_us)
    runs = {(run.at_us, args_key(run.args)): run for run in found[:RUNS_A_JOB]}
    return runs, len(found) > RUNS_A_JOB


def _named(
    job: Job, from_us: int, to_us: int, calendars: Mapping[str, Calendar]
) -> Iterator[Nominal]:
    """Yield the nominal runs that no blackout leaves out."""
    return (run for run in nominal_runs(job, from_us, to_us, calendars) if not run.left_out)


def _timetable(job: Job) -> tuple[object, ...]:
    """Return all of a job that its nominal runs depend on."""
    return job.schedules, job.params, job.param_specs


def _count(
    job: Job, from_us: int, to_us: int, calendars: Mapping[str, Calendar]
) -> tuple[int, bool]:
    """Return how many runs a job has, of those that are looked at, and whether there are more."""
    if len(job.schedules) != 1 or options_of(job.schedules[0]).blackouts:
        runs, more = _runs(job, from_us, to_us, calendars)
        return len(runs), more
    # The times of one schedule are all different: the args need not be made.
    [schedule] = job.schedules
    try:
        count = 0
        if schedule.enabled:
            count = count_fires(schedule, from_us, to_us, calendars, RUNS_A_JOB + 1)
    except UserError:
        return 0, False  # As above.
    return min(count, RUNS_A_JOB), count > RUNS_A_JOB


def _only(job: Job, place: int) -> Job:
    return msgspec.structs.replace(job, schedules=(job.schedules[place],))


def _parts(old: Job, new: Job) -> tuple[str, ...]:
    """Return the keys of the job's file that differ, metadata last."""
    before, after = job_to_data(old), job_to_data(new)
    keys = {*before, *after}
    found = sorted(key for key in keys if before.get(key) != after.get(key))
    found.sort(key=lambda key: key == METADATA)
    return tuple(found)


def _paired(gone: list[Nominal], come: list[Nominal]) -> list[RunChange]:
    """Return runs that moved, appeared or vanished: what vanishes moves to what appears with the
    same args, first on the same day, else in order where the args tell instances apart."""
    found: list[RunChange] = []
    for by_day in (True, False):
        waits: dict[tuple[str, int], list[Nominal]] = defaultdict(list)
        for run in come:
            if by_day or run.args:
                waits[_kin(run, by_day=by_day)].append(run)
        left = []
        for run in gone:
            kin = waits.get(_kin(run, by_day=by_day))
            if kin:
                to_us = kin.pop(0).at_us
                found.append(_changed("moves", run, to_us))
            else:
                left.append(run)
        unpaired = {id(run) for runs in waits.values() for run in runs}
        come = [run for run in come if id(run) in unpaired or not (by_day or run.args)]
        gone = left
    found += [_changed("vanishes", run) for run in gone]
    return found + [_changed("appears", run) for run in come]


def _kin(run: Nominal, *, by_day: bool) -> tuple[str, int]:
    return args_key(run.args), run.at_us // DAY_US if by_day else 0


def _changed(what: str, run: Nominal, to_us: int | None = None) -> RunChange:
    return RunChange(what=what, job_id=run.job_id, args=run.args, at_us=run.at_us, to_us=to_us)
