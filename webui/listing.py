"""Pages of runs by a `RunFilter`: what the store can do it does, the rest is filtered here."""

from __future__ import annotations

from ..jobs.run import Run
from ..jobs.states import State
from ..store.interface import Reader, RunQuery, StoreError
from .query import RunFilter

MAX_PAGE = 1_000
# Runs looked at for one page at most; a page may be short and yet have a cursor to go on from.
MAX_SCANNED = 20_000
SCAN_PAGE = 2_000


class Page:
    """A page of runs, newest first. `next_cursor` None: there are no more."""

    def __init__(self, runs: list[Run], next_cursor: int | None) -> None:
        self.runs = runs
        self.next_cursor = next_cursor


def query_of(reader: Reader, wanted: RunFilter) -> RunQuery:
    """Return the query for what of a filter the store can answer."""
    label = None
    if len(wanted.labels) == 1 and len(wanted.labels[0]) == 1:
        label = wanted.labels[0][0]
    return RunQuery(
        job_ids=_job_ids(reader, wanted) if wanted.about_jobs else None,
        states=None if wanted.states is None else tuple(sorted(wanted.states)),
        args={name: values[0] for name, values in wanted.args if values and len(values) == 1},
        label=label,
        since_us=wanted.since_us,
        until_us=wanted.until_us,
        run_ids=wanted.run_ids or None,
    )


def find_page(reader: Reader, wanted: RunFilter, *, before: int | None, limit: int) -> Page:
    """Return the runs that match, with a number below `before`, at most `limit`."""
    query = query_of(reader, wanted)
    if not wanted.beyond_store:
        runs = reader.query(_paged(query, before, limit + 1))
        more = len(runs) > limit
        return Page(runs[:limit], runs[limit - 1].number if more else None)
    found: list[Run] = []
    scanned = 0
    while scanned < MAX_SCANNED:
        runs = reader.query(_paged(query, before, SCAN_PAGE))
        for run in runs:
            if wanted.matches(run):
                if len(found) == limit:
                    return Page(found, found[-1].number)
                found.append(run)
        scanned += len(runs)
        if len(runs) < SCAN_PAGE:
            return Page(found, None)
        before = runs[-1].number
    return Page(found, before)


def count_states(reader: Reader, wanted: RunFilter) -> dict[str, int] | None:
    """Return how many runs of the query, its states left aside, are in each state.

    Terms the store cannot answer are left aside too; None when counting takes too long.
    """
    query = query_of(reader, wanted)
    whole = RunQuery(
        job_ids=query.job_ids,
        args=query.args,
        label=query.label,
        since_us=query.since_us,
        until_us=query.until_us,
        run_ids=query.run_ids,
    )
    try:
        counts = reader.count_by_state(whole)
    except StoreError:
        return None
    return {state.value: counts.get(state, 0) for state in State}


def _paged(query: RunQuery, before: int | None, limit: int) -> RunQuery:
    return RunQuery(
        job_ids=query.job_ids,
        states=query.states,
        args=query.args,
        label=query.label,
        since_us=query.since_us,
        until_us=query.until_us,
        run_ids=query.run_ids,
        before_number=before,
        limit=limit,
    )


def _job_ids(reader: Reader, wanted: RunFilter) -> tuple[str, ...]:
    """Return the ids the filter's terms about jobs name; also of jobs that are gone or ad hoc."""
    known = reader.jobs()
    job = wanted.job
    if job in known:
        # A whole id means that job and what lies below it, not others that share its words.
        below = (one for one in known if one == job or one.startswith(f"{job}/"))
        return tuple(filter(wanted.matches_job, below))
    ids = dict.fromkeys(filter(wanted.matches_job, known))
    ids |= dict.fromkeys(filter(wanted.matches_job, reader.jobs_of_runs()))
    return tuple(ids)
