"""Reads of the SQLite store, for every role: short, read-only, under a time limit.

One object is used by one thread at a time. It never writes, checkpoints or waits for the writer.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Collection
from typing import Any

from ..jobs.calendar_days import CalendarDays
from ..jobs.job import Job
from ..jobs.run import Run, run_number
from ..jobs.run_filter import RunFilter
from ..jobs.states import ACTIVE, State
from ..messages.commands import OutboxItem
from ..messages.hello import DueRow, ScheduleRow
from ..messages.instructions import OutputRecord
from ..messages.pauses import Pause
from ..messages.registry import AgentRecord, AgentToken
from ..messages.transitions import AnyEvent, SkipsRecorded
from ..messages.wishes import Done, Refused
from .access import SqliteAccessReads
from .backfills import SqliteBackfillReads
from .by_time import SearchByTime, time_and_number
from .finding import add_functions, find_numbers, matching
from .findings import SqliteFindingReads
from .interface import RunPage, RunQuery
from .operations import SqliteOperationsReads
from .reading import LIMIT_S, Reading, TooSlow
from .rows import (
    PAGE_RUNS,
    STATE_CODES,
    STATES,
    codes_text,
    decode_agent,
    decode_agent_token,
    decode_answer,
    decode_calendar,
    decode_events,
    decode_job,
    decode_outbox_item,
    decode_output,
    decode_pause,
    decode_plain,
    decode_run,
    decode_skips,
)
from .searching import QUICK_S, Search, add_search_functions

# Decoded definitions kept; they never change, being named by their content.
_KEPT_DEFINITIONS = 2_000

_SCHEDULES = (
    "SELECT job_id, fingerprint, definition, valid_from_us, written_upto_us, valid_to_us, spec"
    " FROM schedules"
)

# SQLite does not skip through an index by itself: one seek for each id that there is.
_JOBS_OF_RUNS = """
WITH RECURSIVE ids (job_id) AS (
    SELECT min(job_id) FROM runs
    UNION ALL
    SELECT (SELECT min(job_id) FROM runs WHERE job_id > ids.job_id)
    FROM ids WHERE job_id IS NOT NULL
)
SELECT job_id FROM ids WHERE job_id IS NOT NULL"""


class SqliteReader(
    Reading, SqliteAccessReads, SqliteBackfillReads, SqliteFindingReads, SqliteOperationsReads
):
    """Implements `Reader` on a connection of its own, or on its writer's."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        limit_s: float = LIMIT_S,
        connection: sqlite3.Connection | None = None,
        archive: bool = False,
    ) -> None:
        """Open the database read-only, or share `connection`, which stays its owner's to close.

        Raises:
            StoreUnusable: it is missing, not ours, corrupt, older or newer.
        """
        super().__init__(path, limit_s=limit_s, connection=connection, archive=archive)
        self._definitions: dict[str, Job] = {}
        add_functions(self._connection)
        add_search_functions(self._connection)

    # --- runs -----------------------------------------------------------------------------------

    def head(self) -> tuple[int, int]:
        """Return (epoch, seq) as last committed."""
        row = self._one("SELECT epoch, seq FROM meta")
        assert row is not None
        return row[0], row[1]

    def run(self, run_id: str) -> Run | None:
        """Return a run, None when there is none."""
        row = self._one("SELECT record FROM runs WHERE n = ?", run_number(run_id))
        return None if row is None else decode_run(row[0])

    def runs(self, run_ids: list[str]) -> list[Run]:
        """Return the runs found, in no order."""
        numbers = [number for number in map(run_number, run_ids) if number is not None]
        return self._records(numbers)

    def query(self, query: RunQuery) -> list[Run]:
        """Return the page of runs the query asks for."""
        with self._reading(several=True):
            return self._records(find_numbers(self._connection, query))

    def find(self, wanted: RunFilter, *, before: int | None, limit: int) -> RunPage:
        """Return the page of runs that match, newest first; maybe not full, and yet with more."""
        limit = max(1, min(limit, PAGE_RUNS - 1))
        with self._reading(several=True):
            search = Search(self._connection, wanted)
            try:
                with self._hurried(QUICK_S):
                    numbers, after = search.page(before, limit)
            except TooSlow:
                until_s = time.monotonic() + self._limit_s / 2
                numbers, after = search.windows(before, limit, until_s)
            return RunPage(runs=self._records(numbers), before=after)

    def find_by_time(
        self, wanted: RunFilter, *, offset: int, limit: int, rising: bool = False
    ) -> list[Run]:
        """Return a stretch of the runs that match, latest schedule time first."""
        limit = max(1, min(limit, PAGE_RUNS))
        with self._reading(several=True):
            search = SearchByTime(self._connection, wanted)
            first, second = search.ways()
            try:
                with self._hurried(QUICK_S):
                    numbers = search.stretch(offset, limit, first, rising=rising)
            except TooSlow:
                numbers = search.stretch(offset, limit, second, rising=rising)
            found = self._records(numbers)
        return sorted(found, key=time_and_number, reverse=not rising)

    def extent(self, wanted: RunFilter) -> tuple[int, int] | None:
        """Return the earliest and latest schedule time of runs that match, None of none."""
        with self._reading(several=True):
            return SearchByTime(self._connection, wanted).extent()

    def count_per_bin(
        self, wanted: RunFilter, from_us: int, step_us: int
    ) -> dict[tuple[int, State], int]:
        """Return how many runs that match are in each bin of schedule time, by state."""
        with self._reading(several=True):
            found = SearchByTime(self._connection, wanted).per_bin(from_us, step_us)
            return {(at, STATES[code]): count for at, code, count in found}

    def count_found(self, wanted: RunFilter) -> dict[State, int]:
        """Return how many runs that match are in each state (absent: none)."""
        with self._reading(several=True):
            rows = Search(self._connection, wanted).count_by_state()
        return {STATES[code]: count for code, count in rows}

    def count(self, query: RunQuery) -> int:
        """Return how many runs the query matches, its cursor and limit left aside."""
        with self._reading(several=True):
            found = matching(self._connection, query)
            if found is None:
                return 0
            row = self._connection.execute(f"SELECT count(*) FROM {found[0]}", found[1]).fetchone()
            count: int = row[0]
            return count

    def count_by_state(self, query: RunQuery) -> dict[State, int]:
        """Return how many runs of the query are in each state (absent: none)."""
        with self._reading(several=True):
            found = matching(self._connection, query)
            if found is None:
                return {}
            text = f"SELECT state, count(*) FROM {found[0]} GROUP BY state"
            return {STATES[code]: n for code, n in self._connection.execute(text, found[1])}

    def active(self, states: Collection[State] = ACTIVE, limit: int | None = None) -> list[Run]:
        """See `Reader`."""
        text = f"SELECT record FROM runs WHERE state IN ({codes_text(states)}) ORDER BY n LIMIT ?"
        return [decode_run(row[0]) for row in self._all(text, -1 if limit is None else limit)]

    def standing(self) -> dict[str, State]:
        """See `Reader`."""
        text = f"SELECT n, state FROM runs WHERE state IN ({codes_text(ACTIVE)})"
        return {f"r{number}": STATES[state] for number, state in self._all(text)}

    def due(self, upto_us: int, limit: int, after: tuple[int, int] = (0, 0)) -> list[DueRow]:
        """Return scheduled, not held runs with schedule time < upto_us, by (time, number)."""
        rows = self._all(
            "SELECT n, schedule_us, job_id FROM runs INDEXED BY runs_due WHERE state = 0"
            " AND held = 0 AND (schedule_us, n) > (?, ?) AND schedule_us < ?"
            " ORDER BY schedule_us, n LIMIT ?",
            *after,
            upto_us,
            limit,
        )
        return [DueRow(f"r{number}", time_us, job_id) for number, time_us, job_id in rows]

    def instance_states(self, job_id: str, args_key: str, after: int = 0) -> dict[State, int]:
        """Return how many runs of exactly this instance are in each state."""
        rows = self._all(
            "SELECT state, count(*) FROM runs INDEXED BY runs_instance"
            " WHERE job_id = ? AND args = ? AND n > ? GROUP BY state",
            job_id,
            args_key,
            after,
        )
        return {STATES[code]: count for code, count in rows}

    def last_runs(self, job_ids: list[str], per_job: int) -> dict[str, list[Run]]:
        """Return the newest finished or active runs of each job, newest first."""
        text = (
            "SELECT n FROM runs INDEXED BY runs_job WHERE job_id = ? AND state = ?"
            " ORDER BY n DESC LIMIT ?"
        )
        codes = [code for state, code in STATE_CODES.items() if state is not State.SCHEDULED]
        found: dict[str, list[Run]] = {}
        with self._reading(several=True):
            execute = self._connection.execute
            for job_id in dict.fromkeys(job_ids):
                numbers = [
                    row[0] for code in codes for row in execute(text, (job_id, code, per_job))
                ]
                if numbers:
                    numbers.sort(reverse=True)
                    found[job_id] = self._records(numbers[:per_job])
        return found

    # --- events ---------------------------------------------------------------------------------

    def log(self, run_id: str) -> list[AnyEvent]:
        """Return the events of a run in order, empty when there are none."""
        rows = self._all("SELECT body FROM events WHERE n = ? ORDER BY seq", run_number(run_id))
        return [event for row in rows for event in decode_events(row[0])]

    def events_after(self, seq: int, limit: int) -> list[AnyEvent]:
        """Return events above `seq` in order, at most `limit`."""
        found: list[AnyEvent] = []
        with self._reading(several=True):
            # The commit that holds seq + 1 is read from its start: its rows interleave.
            rows = self._connection.execute(
                "SELECT batch, body FROM events WHERE seq >= coalesce((SELECT batch FROM events"
                " WHERE seq <= ? ORDER BY seq DESC LIMIT 1), 0) ORDER BY seq",
                (seq + 1,),
            )
            current = -1
            for batch, body in rows:
                if batch != current and len(found) >= limit:
                    break
                current = batch
                found += [event for event in decode_events(body) if event.seq > seq]
        found.sort(key=lambda event: event.seq)
        return found[:limit]

    # --- jobs and schedules ---------------------------------------------------------------------

    def definition(self, hash_: str) -> Job | None:
        """Return a stored job definition."""
        job = self._definitions.get(hash_)
        if job is None:
            row = self._one("SELECT body FROM definitions WHERE hash = ?", hash_)
            if row is None:
                return None
            if len(self._definitions) >= _KEPT_DEFINITIONS:
                self._definitions.clear()
            job = self._definitions[hash_] = decode_job(row[0])
        return job

    def definition_commit(self, hash_: str) -> str | None:
        """Return the git commit at which a definition first came into force, as far as known."""
        row = self._one("SELECT git_commit FROM definitions WHERE hash = ?", hash_)
        return None if row is None else row[0]

    def jobs(self) -> dict[str, str]:
        """Return the jobs in force from the folder: id to definition hash."""
        return dict(self._all("SELECT job_id, definition FROM jobs ORDER BY job_id"))

    def ad_hoc_jobs(self) -> dict[str, str]:
        """Return all ad hoc jobs: id to definition hash."""
        return dict(self._all("SELECT job_id, definition FROM ad_hoc_jobs ORDER BY job_id"))

    def ad_hoc_job(self, job_id: str) -> str | None:
        """Return the definition hash of an ad hoc job."""
        row = self._one("SELECT definition FROM ad_hoc_jobs WHERE job_id = ?", job_id)
        return None if row is None else row[0]

    def jobs_of_runs(self) -> list[str]:
        """Return the ids of all jobs that have a run, sorted: in force, gone or ad hoc."""
        return [row[0] for row in self._all(_JOBS_OF_RUNS)]

    def calendars(self) -> list[CalendarDays]:
        """Return the calendars in force, by name."""
        rows = self._all("SELECT body FROM calendars ORDER BY name")
        return [decode_calendar(row[0]) for row in rows]

    def schedules(self) -> list[ScheduleRow]:
        """Return the open schedules, by job and fingerprint."""
        rows = self._all(
            f"{_SCHEDULES} WHERE valid_to_us IS NULL ORDER BY job_id, fingerprint, valid_from_us"
        )
        return [_schedule(row) for row in rows]

    def schedule_history(self, job_id: str) -> list[ScheduleRow]:
        """Return all schedules of a job, open and closed, by when they came into force."""
        text = f"{_SCHEDULES} WHERE job_id = ? ORDER BY valid_from_us, fingerprint"
        return [_schedule(row) for row in self._all(text, job_id)]

    def skips(self, job_id: str, fingerprint: str) -> list[SkipsRecorded]:
        """Return the recorded skips of a schedule, in order of recording."""
        rows = self._all(
            "SELECT body FROM skips WHERE job_id = ? AND fingerprint = ? ORDER BY seq",
            job_id,
            fingerprint,
        )
        return [decode_skips(row[0]) for row in rows]

    # --- the rest -------------------------------------------------------------------------------

    def outputs(self, run_id: str) -> list[OutputRecord]:
        """Return the index of a run's outputs, by attempt and output id."""
        rows = self._all(
            "SELECT body FROM outputs WHERE n = ? ORDER BY attempt, output_id", run_number(run_id)
        )
        return [decode_output(row[0]) for row in rows]

    def outbox(self, run_id: str) -> list[OutboxItem]:
        """Return the actions that a run's moves still owe, in order."""
        number = run_number(run_id)
        if number is None:
            return []
        # "." and the character after it: the ids of just this run's actions.
        rows = self._all(
            "SELECT body FROM outbox WHERE action_id > ? AND action_id < ? ORDER BY id",
            f"r{number}.",
            f"r{number}/",
        )
        return [decode_outbox_item(row[0]) for row in rows]

    def owed_actions(self) -> int:
        """Return how many actions of the outbox are not carried out yet."""
        row = self._one("SELECT count(*) FROM outbox")
        assert row is not None
        return int(row[0])

    def unused_pages(self) -> int:
        """Return how many pages of the file hold nothing."""
        row = self._one("PRAGMA freelist_count")
        assert row is not None
        return int(row[0])

    def agents(self) -> list[AgentRecord]:
        """Return the registry of agents, by id."""
        rows = self._all("SELECT body FROM agents ORDER BY agent_id")
        return [decode_agent(row[0]) for row in rows]

    def agent_tokens(self) -> list[AgentToken]:
        """Return the tokens for enrolment, used or not, by id."""
        rows = self._all("SELECT body FROM agent_tokens ORDER BY token_id")
        return [decode_agent_token(row[0]) for row in rows]

    def pauses(self) -> list[Pause]:
        """Return the pauses, those whose time is over among them, by kind and name."""
        rows = self._all("SELECT body FROM pauses ORDER BY kind, name")
        return [decode_pause(row[0]) for row in rows]

    def answer(self, command_id: str) -> Done | Refused | None:
        """Return the kept answer of a wish (kept for 24 hours)."""
        row = self._one("SELECT body FROM answers WHERE command_id = ?", command_id)
        return None if row is None else decode_answer(row[0])

    # --- inside ---------------------------------------------------------------------------------

    def _records(self, numbers: list[int]) -> list[Run]:
        """Return the runs with these numbers, newest first."""
        text = "SELECT record FROM runs WHERE n IN (SELECT value FROM json_each(?)) ORDER BY n DESC"
        return [decode_run(row[0]) for row in self._all(text, json.dumps(numbers))]


def _schedule(row: tuple[Any, ...]) -> ScheduleRow:
    return ScheduleRow(
        job_id=row[0],
        fingerprint=row[1],
        definition=row[2],
        valid_from_us=row[3],
        written_upto_us=row[4],
        valid_to_us=row[5],
        spec=decode_plain(row[6]),
    )
