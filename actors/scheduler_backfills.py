"""Backfills as the scheduler makes them: which runs, bound as the job now is.

Part of the scheduler's core; the wish desk asks, once every schedule of the job is written as of
now: what is there is looked up in the store, so that no time is made up for twice.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from ..jobs.backfilling import Listing
from ..jobs.bound_conditions import BoundNotAfter
from ..jobs.job import Job
from ..jobs.run import NewRun
from ..messages.backfills import AddBackfill, Backfill, StartBackfill
from ..messages.binding import BindOne
from ..messages.codec import pack_runs
from .binding_desk import bind_item


def items_of(
    job: Job,
    definition: str,
    params_of: Mapping[str, tuple[str, ...]],
    listing: Listing,
    run_ids: list[str],
) -> list[BindOne]:
    """Return what is to be bound: nothing stops these runs by a time that is long over."""
    return [
        bind_item(
            job,
            definition,
            params_of,
            run_id=run_id,
            args=nominal.args,
            schedule_us=nominal.at_us,
        )
        for run_id, nominal in zip(run_ids, listing.runs, strict=True)
    ]


def add_of(
    job: Job, wish: StartBackfill, listing: Listing, runs: list[NewRun], known: int
) -> AddBackfill:
    """Return what the ledger is asked."""
    backfill = Backfill(
        number=0,
        job_id=job.job_id,
        from_us=wish.from_us,
        to_us=wish.to_us,
        at_us=0,
        by="",
        parallel=wish.parallel,
        newest_first=wish.newest_first,
        again=wish.again,
        args=wish.args,
        left_out=listing.left_out,
    )
    packed = pack_runs([_late(run) for run in runs])
    return AddBackfill(backfill=backfill, packed=packed, known=known, labels=job.labels)


def _late(run: NewRun) -> NewRun:
    """Return a run that comes late on purpose: no deadline of its time holds for it."""
    conds = tuple(cond for cond in run.conds if not isinstance(cond, BoundNotAfter))
    due = run.due
    if due is not None:
        due = replace(due, start_by_us=None, finish_by_us=None)
        due = due if due.max_duration_us is not None else None
    return replace(run, conds=conds, due=due)
