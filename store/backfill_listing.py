"""Which runs a backfill makes, by what there is already: for the scheduler and for the API."""

from __future__ import annotations

from collections.abc import Mapping

from ..jobs.backfilling import Listing, backfill_listing
from ..jobs.calendars import Calendar
from ..jobs.job import Job
from ..jobs.states import State
from ..messages.backfills import RUNS_AT_MOST, StartBackfill
from .interface import Reader, RunQuery

# Whoever was skipped has not run: a backfill is for just these holes.
HAVE_RUN = tuple(state for state in State if state is not State.SKIPPED)


def listing_of(
    job: Job, wish: StartBackfill, reader: Reader, calendars: Mapping[str, Calendar]
) -> Listing:
    """Return the runs to be made.

    Raises:
        UserError: there are too many, or the schedules cannot be computed.
        StoreError: the store cannot be read.
    """
    there: set[tuple[str, int]] = set()
    if not wish.again:
        query = RunQuery(
            job_id=job.job_id, states=HAVE_RUN, since_us=wish.from_us, until_us=wish.to_us
        )
        there = reader.instances_of(query)
    return backfill_listing(
        job,
        wish.from_us,
        wish.to_us,
        calendars,
        there=there,
        args=wish.args,
        newest_first=wish.newest_first,
        limit=RUNS_AT_MOST,
    )
