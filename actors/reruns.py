"""Reruns as the scheduler makes them: what each is bound from, and what it waits for besides.

Pure; part of the scheduler's core.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from ..jobs.bound_conditions import BoundCondition, BoundDependency
from ..jobs.job import Job
from ..jobs.run import NewRun, args_key
from ..messages.binding import BindOne
from ..messages.operations import After
from ..messages.wishes import RerunRun
from .binding_desk import bind_item
from .definitions import Definitions

Instance = tuple[str, str]


def note_of(rerun: RerunRun) -> str:
    """Return the line of a rerun's log that says what it repeats."""
    line = f"scheduled as rerun of {rerun.run_id}"
    return f"{line}: {rerun.reason}" if rerun.reason else line


def item_of(
    rerun: RerunRun, hash_: str, job: Job, run_id: str, definitions: Definitions, now_us: int
) -> BindOne:
    """Return what a rerun is bound from."""
    return bind_item(
        job,
        hash_,
        definitions.params_of(job),
        run_id=run_id,
        args=dict(sorted((rerun.args | rerun.changes).items())),
        schedule_us=now_us,
        stop_us=rerun.stop_us,
        rerun_of=rerun.run_id,
        rerun_root=rerun.root,
        note=note_of(rerun),
        source_results=rerun.source_results,
    )


def without_job(rerun: RerunRun, run_id: str, now_us: int) -> NewRun:
    """Return the rerun of a run whose job is gone: it will be created in error."""
    return NewRun(
        run_id=run_id,
        job_id=rerun.job_id,
        args=rerun.args,
        schedule_us=now_us,
        stop_us=rerun.stop_us,
        rerun_of=rerun.run_id,
        rerun_root=rerun.root,
        error=f"unknown job {rerun.job_id}",
        note=note_of(rerun),
    )


def unmade(reruns: Iterable[RerunRun], declined: dict[str, str]) -> dict[str, str]:
    """Return `declined` and with it the reruns that would wait for one of those, in their order."""
    found = dict(declined)
    missing: dict[Instance, str] = {}
    for rerun in reruns:
        for after in rerun.after:
            source = missing.get((after.job_id, args_key(after.args)))
            if source is not None and rerun.run_id not in found:
                found[rerun.run_id] = f"it is downstream of {source}, which is not run again"
        if rerun.run_id in found:
            missing[rerun.job_id, args_key(rerun.args)] = rerun.run_id
    return found


def made_after(run: NewRun, rerun: RerunRun) -> NewRun:
    """Return a bound rerun that waits for the reruns of what it is downstream of."""
    return replace(run, conds=conds_after(run.conds, rerun.after)) if rerun.after else run


def conds_after(
    conds: tuple[BoundCondition, ...], after: Iterable[After]
) -> tuple[BoundCondition, ...]:
    """Return conditions that only newer runs of these instances fulfil.

    A dependency on such an instance counts newer runs alone; where there is none at the top, as the
    definition is another now or it is one of several that are enough, one is put first.
    """
    wanted = {(one.job_id, args_key(one.args)): one for one in after}
    found: list[BoundCondition] = []
    for cond in conds:
        if isinstance(cond, BoundDependency):
            one = wanted.pop((cond.job_id, args_key(cond.args)), None)
            if one is not None:
                found.append(replace(cond, after=one.number))
                continue
        found.append(cond)
    first = [
        BoundDependency(job_id=one.job_id, args=one.args, states=one.states, after=one.number)
        for one in wanted.values()
    ]
    return (*first, *found)
