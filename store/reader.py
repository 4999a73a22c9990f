"""Reads of the SQLite store, for every role: short, read-only, under a time limit.

One object is used by one thread at a time. It never writes, checkpoints or waits for the writer.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Collection, Iterator
from typing import Any

from ..jobs.job import Job
from ..jobs.run import Run, run_number
from ..jobs.run_filter import RunFilter
from ..jobs.states import ACTIVE, State
from ..jobs.streaks import Streak
from ..messages.commands import OutboxItem
from ..messages.hello import DueRow
from ..messages.instructions import OutputRecord
from ..messages.transitions import AnyEvent, SkipsRecorded
from ..messages.wishes import Done, Refused
from .access import SqliteAccessReads
from .backfills import SqliteBackfillReads
from .by_time import SearchByTime, time_and_number
from .finding import add_functions, find_numbers, matching
from .findings import SqliteFindingReads
from .in_force import SqliteInForceReads
from .interface import RunPage, RunQuery
from .operations import SqliteOperationsReads
from .reading import LIMIT_S, Reading, TooSlow
from .records import body_by
from .rows import (
    PAGE_RUNS,
    STATE_CODES,
    STATES,
    codes_text,
    decode_answer,
    decode_events,
    decode_job,
    decode_outbox_item,
    decode_output,
    decode_skips,
    decode_streak,
    read_run,
)
from .searching import QUICK_S, Search, add_search_functions

# Decoded definitions kept; they never change, being named by their content.
_KEPT_DEFINITIONS = 2_000

_RUNS = "SELECT n, state, record FROM runs"
_events, _skips, _job = body_by(decode_events), body_by(decode_skips), body_by(decode_job)
_output, _answer = body_by(decode_output), body_by(decode_answer)
_outbox_item = body_by(decode_outbox_item)


class SqliteReader(
    Reading,
    SqliteInForceReads,
    SqliteAccessReads,
    SqliteBackfillReads,
    SqliteFindingReads,
    SqliteOperationsReads,
):
    """Implements `Reader` on a connection of its own, or on its writer's."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        limit_s: float = LIMIT_S,
        connection: sqlite3.Connection | None = None,
        archive: bool = False,
        strict: bool = False,
    ) -> None:
        """Open the database read-only, or share `connection`, which stays its owner's to close.

        Raises:
            StoreUnusable: it is missing, not ours, corrupt, older or newer.
        """
        super().__init__(
            path, limit_s=limit_s, connection=connection, archive=archive, strict=strict
        )
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
        number = run_number(run_id)
        return self._read_one("runs", read_run, f"{_RUNS} WHERE n = ?", number)

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

    def active(
        self, states: Collection[State] = ACTIVE, limit: int | None = None, after: int = 0
    ) -> list[Run]:
        """See `Reader`."""
        text = f"{_RUNS} WHERE state IN ({codes_text(states)}) AND n > ? ORDER BY n LIMIT ?"
        return self._read_all("runs", read_run, text, after, -1 if limit is None else limit)

    def standing(self) -> Iterator[tuple[str, State]]:
        """See `Reader`."""
        text = f"SELECT n, state FROM runs WHERE state IN ({codes_text(ACTIVE)})"
        with self._reading():
            for number, state in self._connection.execute(text):
                yield f"r{number}", STATES[state]

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
        text = "SELECT seq, body FROM events WHERE n = ? ORDER BY seq"
        found = self._read_all("events", _events, text, run_number(run_id))
        return [event for events in found for event in events]

    def events_after(self, seq: int, limit: int) -> list[AnyEvent]:
        """Return events above `seq` in order, at most `limit`."""
        found: list[AnyEvent] = []
        with self._reading(several=True):
            # The commit that holds seq + 1 is read from its start: its rows interleave.
            rows = self._connection.execute(
                "SELECT seq, body, batch FROM events WHERE seq >="
                " coalesce((SELECT batch FROM events WHERE seq <= ? ORDER BY seq DESC LIMIT 1), 0)"
                " ORDER BY seq",
                (seq + 1,),
            )
            current = -1
            for row in rows:
                if row[2] != current and len(found) >= limit:
                    break
                current = row[2]
                for events in self.readable("events", _events, [row]):
                    found += [event for event in events if event.seq > seq]
        found.sort(key=lambda event: event.seq)
        return found[:limit]

    def events_of_no_run(self, seq: int) -> Iterator[AnyEvent]:
        """See `Reader`."""
        text = "SELECT seq, body FROM events WHERE seq > ? AND n IS NULL ORDER BY seq"
        with self._reading():
            for row in self._connection.execute(text, (seq,)):
                for events in self.readable("events", _events, [row]):
                    yield from events

    # --- jobs and schedules ---------------------------------------------------------------------

    def definition(self, hash_: str) -> Job | None:
        """Return a stored job definition."""
        job = self._definitions.get(hash_)
        if job is None:
            text = "SELECT hash, body FROM definitions WHERE hash = ?"
            job = self._read_one("definitions", _job, text, hash_)
            if job is None:
                return None
            if len(self._definitions) >= _KEPT_DEFINITIONS:
                self._definitions.clear()
            self._definitions[hash_] = job
        return job

    def definition_commit(self, hash_: str) -> str | None:
        """Return the git commit at which a definition first came into force, as far as known."""
        row = self._one("SELECT git_commit FROM definitions WHERE hash = ?", hash_)
        return None if row is None else row[0]

    def skips(self, job_id: str, fingerprint: str) -> list[SkipsRecorded]:
        """Return the recorded skips of a schedule, in order of recording."""
        text = "SELECT seq, body FROM skips WHERE job_id = ? AND fingerprint = ? ORDER BY seq"
        return self._read_all("skips", _skips, text, job_id, fingerprint)

    # --- the rest -------------------------------------------------------------------------------

    def outputs(self, run_id: str) -> list[OutputRecord]:
        """Return the index of a run's outputs, by attempt and output id."""
        text = (
            "SELECT 'r' || n || ' ' || attempt || ' ' || output_id, body FROM outputs WHERE n = ?"
            " ORDER BY attempt, output_id"
        )
        return self._read_all("outputs", _output, text, run_number(run_id))

    def outbox(self, run_id: str) -> list[OutboxItem]:
        """Return the actions that a run's moves still owe, in order."""
        number = run_number(run_id)
        if number is None:
            return []
        # "." and the character after it: the ids of just this run's actions.
        text = (
            "SELECT action_id, body FROM outbox WHERE action_id > ? AND action_id < ? ORDER BY id"
        )
        return self._read_all("outbox", _outbox_item, text, f"r{number}.", f"r{number}/")

    def owed(self) -> list[OutboxItem]:
        """Return the actions of the outbox that are not carried out yet, in order."""
        text = "SELECT action_id, body FROM outbox ORDER BY id"
        return self._read_all("outbox", _outbox_item, text)

    def deadlines(self) -> dict[tuple[str, str], int]:
        """Return the deadlines that are to be judged: when, by run id and kind."""
        text = "SELECT n, kind, at_us FROM deadlines"
        return dict(self._read_all("deadlines", _deadline, text))

    def streaks(self) -> dict[tuple[str, str], Streak]:
        """Return the streaks of instances, by job id and args."""
        text = "SELECT job_id || ' ' || args, job_id, args, body FROM streaks"
        return dict(self._read_all("streaks", _streak, text))

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

    def answer(self, command_id: str) -> Done | Refused | None:
        """Return the kept answer of a wish (kept for 24 hours)."""
        text = "SELECT command_id, body FROM answers WHERE command_id = ?"
        return self._read_one("answers", _answer, text, command_id)

    # --- inside ---------------------------------------------------------------------------------

    def _records(self, numbers: list[int]) -> list[Run]:
        """Return the runs with these numbers, newest first."""
        text = f"{_RUNS} WHERE n IN (SELECT value FROM json_each(?)) ORDER BY n DESC"
        return self._read_all("runs", read_run, text, json.dumps(numbers))


def _deadline(row: tuple[Any, ...]) -> tuple[tuple[str, str], int]:
    number, kind, at_us = row
    if not isinstance(kind, str) or not isinstance(at_us, int):
        raise TypeError("expected a kind and a time")
    return (f"r{number}", kind), at_us


def _streak(row: tuple[str, str, str, bytes]) -> tuple[tuple[str, str], Streak]:
    return row[1:3], decode_streak(row[3])
