"""A batch of the ledger as rows, and the statements that write it: the hottest path of the server.

Rows of runs and events are made while they are written, all others before the transaction begins.
Called by the SQLite writer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

from ..jobs.run import Run
from ..jobs.states import State
from ..messages.transitions import AnyEvent, SkipsRecorded
from .access import write_access
from .backfills import write_backfills
from .calendars import write_calendars
from .findings import write_findings
from .interface import Changes, StoreBroken
from .operations import write_chains, write_operations
from .results import Row, rows_of, write_results
from .rows import (
    RunRow,
    changed_us,
    encode,
    event_rows,
    group_by_run,
    headings,
    row_sum,
    run_row,
    span_rows,
)

_RUN_COLUMNS = (
    "INSERT INTO runs (n, job_id, args, state, held, planned, schedule_us, changed_us, labels,"
    " record, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (n) DO UPDATE SET"
)
# What a run is (job, args, schedule) is set only while it is scheduled, or when it has been put to
# another time: an index whose columns an update does not name costs nothing.
_PUT_SCHEDULED = (
    f"{_RUN_COLUMNS} state = excluded.state, held = excluded.held, planned = excluded.planned,"
    " schedule_us = excluded.schedule_us, changed_us = excluded.changed_us,"
    " labels = excluded.labels, record = excluded.record, sum = excluded.sum"
)
_PUT_RUN = (
    f"{_RUN_COLUMNS} state = excluded.state, held = excluded.held,"
    " changed_us = excluded.changed_us, labels = excluded.labels, record = excluded.record,"
    " sum = excluded.sum"
)
_PUT_SPAN = (
    "INSERT INTO spans (block, least_schedule_us, most_schedule_us, most_changed_us)"
    " VALUES (?, ?, ?, ?) ON CONFLICT (block) DO UPDATE SET"
    " least_schedule_us = min(least_schedule_us, excluded.least_schedule_us),"
    " most_schedule_us = max(most_schedule_us, excluded.most_schedule_us),"
    " most_changed_us = max(most_changed_us, excluded.most_changed_us)"
)
_PUT_RUN_JOB = "INSERT INTO run_jobs (label, job_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
_PUT_RUN_AGENT = (
    "INSERT INTO run_agents (n, agent_id) VALUES (?, ?) ON CONFLICT (n) DO UPDATE SET"
    " agent_id = excluded.agent_id WHERE agent_id <> excluded.agent_id"
)
_PUT_EVENT = "INSERT INTO events (seq, batch, n, body, sum) VALUES (?, ?, ?, ?, ?)"
_PUT_SCHEDULE = (
    "INSERT INTO schedules (job_id, fingerprint, valid_from_us, valid_to_us, written_upto_us,"
    " definition, spec, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (job_id, fingerprint, valid_from_us) DO UPDATE SET"
    " valid_to_us = excluded.valid_to_us, written_upto_us = excluded.written_upto_us,"
    " definition = excluded.definition, spec = excluded.spec, sum = excluded.sum"
)
_PUT_OUTPUT = (
    "INSERT INTO outputs (n, attempt, output_id, body, sum) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (n, attempt, output_id) DO UPDATE SET body = excluded.body, sum = excluded.sum"
)
_PUT_AGENT = (
    "INSERT INTO agents (agent_id, body) VALUES (?, ?)"
    " ON CONFLICT (agent_id) DO UPDATE SET body = excluded.body"
)
_PUT_INVITATION = (
    "INSERT INTO agent_tokens (token_id, body) VALUES (?, ?)"
    " ON CONFLICT (token_id) DO UPDATE SET body = excluded.body"
)
_PUT_OUTBOX = (
    "INSERT INTO outbox (action_id, body, sum) VALUES (?, ?, ?)"
    " ON CONFLICT (action_id) DO UPDATE SET body = excluded.body, sum = excluded.sum"
)


def check_seq(events: Sequence[AnyEvent], seq: int, path: str) -> int:
    """Return the head after these events.

    Raises:
        StoreBroken: they do not follow `seq` without a gap.
    """
    if not events:
        return seq
    first, last = events[0].seq, events[-1].seq
    if first != seq + 1 or last != seq + len(events):
        sentence = f"events {first} to {last} ({len(events)}): expected to begin at {seq + 1}"
        raise StoreBroken(f"database {path}: {sentence} and have no gap")
    return last


# The tables whose rows are of one run, named by its number `n`.
OF_RUNS = (
    "runs", "events", "outputs", "run_agents", "deadlines", "backfill_runs", "results", "moved",
    "reruns",
)  # fmt: skip
_DROP_AD_HOC = (
    "DELETE FROM ad_hoc_jobs WHERE job_id = ?"
    " AND NOT EXISTS (SELECT 1 FROM runs WHERE job_id = ?)"
    " AND NOT EXISTS (SELECT 1 FROM schedules WHERE job_id = ? AND valid_to_us IS NULL)"
)


# A job, and the labels and the owner its runs have.
JobLabels = tuple[str, tuple[str, ...], str]


class ChangeRows:
    """The rows of one batch. `seq` is the head once they are written, and `job_labels` what is then
    known to be there."""

    def __init__(
        self, changes: Changes, seq: int, path: str, known: Container[JobLabels] = ()
    ) -> None:
        """Make the rows.

        Args:
            seq: the head before.
            known: jobs whose runs have been written with these labels and owners before.
        Raises:
            StoreBroken: the events do not follow it.
        """
        self.seq = check_seq(changes.events, seq, path)
        self._path = path
        self._changes = changes
        self._batch = seq + 1
        # Rows are made as they are written: those of a large batch would be megabytes.
        self._groups = group_by_run(changes.events)
        self._scheduled: list[Run] = []
        self._moved: list[Run] = []
        self._withdrawn: list[tuple[int]] = []
        self._agents: list[tuple[int, str]] = []
        self._agentless: list[tuple[int]] = []
        self._backfilled: list[tuple[int, int]] = []
        self._results: list[Row] = []
        self._resultless: list[tuple[int]] = []
        self.job_labels: set[JobLabels] = set()
        for run_id, run in changes.runs.items():
            if run is None:
                self._withdrawn.append((int(run_id[1:]),))
            else:
                whole = run.state is State.SCHEDULED or run.moved_from is not None
                (self._scheduled if whole else self._moved).append(run)
                found_by = (run.job_id, run.labels, run.owner)
                if found_by not in known:
                    self.job_labels.add(found_by)
                if run.agent_id is not None:
                    self._agents.append((run.number, run.agent_id))
                elif run.attempts:
                    self._agentless.append((run.number,))
                if run.results:
                    self._results += rows_of(run)
                elif run.attempt > 1:
                    self._resultless.append((run.number,))
                if run.backfill is not None:
                    self._backfilled.append((run.number, run.backfill))
        self._spans = span_rows(
            (run.number, run.schedule_us, self._changed_us(run))
            for run in (*self._scheduled, *self._moved)
        )

    def write(self, connection: sqlite3.Connection, epoch: int) -> None:
        """Write them inside the transaction that is open.

        Raises:
            StoreBroken: the database is of another epoch.
        """
        put = connection.executemany
        # What goes first makes room: a withdrawn run may be written anew under another number.
        if self._withdrawn:
            put("DELETE FROM runs WHERE n = ?", self._withdrawn)
            put("DELETE FROM backfill_runs WHERE n = ?", self._withdrawn)
        if self._scheduled:
            put(_PUT_SCHEDULED, self._rows(self._scheduled))
        if self._moved:
            put(_PUT_RUN, self._rows(self._moved))
        if self._spans:
            put(_PUT_SPAN, self._spans)
        if self.job_labels:
            put(_PUT_RUN_JOB, _label_rows(self.job_labels))
        if self._agents:
            put(_PUT_RUN_AGENT, self._agents)
        if self._agentless:
            put("DELETE FROM run_agents WHERE n = ?", self._agentless)
        if self._groups:
            put(_PUT_EVENT, event_rows(self._groups, self._batch))
        self._write_jobs(connection)
        self._write_rest(connection)
        self._write_agents(connection)
        write_access(connection, self._changes)
        self._write_pauses(connection)
        write_results(connection, self._results, self._resultless)
        write_backfills(connection, self._changes.backfills, self._backfilled)
        write_operations(connection, self._changes)
        write_chains(connection, self._changes.runs.values())
        self._write_archived(connection)
        self._write_head(connection, epoch)

    def _rows(self, runs: list[Run]) -> Iterator[RunRow]:
        for run in runs:
            yield run_row(run, self._changed_us(run))

    def _changed_us(self, run: Run) -> int:
        return changed_us(run, self._groups.get(run.run_id))

    def _write_jobs(self, connection: sqlite3.Connection) -> None:
        """Write definitions, jobs, schedules and skips."""
        changes = self._changes
        _put(
            connection,
            "INSERT INTO definitions (hash, job_id, git_commit, body, sum) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (_summed(one.hash, one.job_id, one.commit, one.body) for one in changes.definitions),
        )
        for table, jobs in (("jobs", changes.jobs), ("ad_hoc_jobs", changes.ad_hoc_jobs)):
            gone = [(job_id,) for job_id, hash_ in jobs.items() if hash_ is None]
            _put(connection, f"DELETE FROM {table} WHERE job_id = ?", gone)
            _put(
                connection,
                f"INSERT INTO {table} (job_id, definition) VALUES (?, ?)"
                " ON CONFLICT (job_id) DO UPDATE SET definition = excluded.definition",
                ((job_id, hash_) for job_id, hash_ in jobs.items() if hash_ is not None),
            )
        if changes.calendars is not None:
            write_calendars(connection, changes.calendars)
        _put(
            connection,
            _PUT_SCHEDULE,
            (
                _summed(
                    row.job_id,
                    row.fingerprint,
                    row.valid_from_us,
                    row.valid_to_us,
                    row.written_upto_us,
                    row.definition,
                    encode(row.spec),
                )
                for row in changes.schedules
            ),
        )
        _put(
            connection,
            "INSERT INTO skips (seq, job_id, fingerprint, body) VALUES (?, ?, ?, ?)",
            (
                (event.seq, event.job_id, event.fingerprint, encode(event))
                for event in changes.events
                if type(event) is SkipsRecorded
            ),
        )

    def _write_rest(self, connection: sqlite3.Connection) -> None:
        """Write outputs, outbox, answers and findings."""
        changes = self._changes
        _put(
            connection,
            _PUT_OUTPUT,
            (
                _summed(int(one.run_id[1:]), one.attempt, one.output_id, encode(one))
                for one in changes.outputs
            ),
        )
        settled = [(action_id,) for action_id, item in changes.outbox.items() if item is None]
        _put(connection, "DELETE FROM outbox WHERE action_id = ?", settled)
        owed = [
            _summed(key, encode(item)) for key, item in changes.outbox.items() if item is not None
        ]
        _put(connection, _PUT_OUTBOX, owed)
        self._write_watches(connection)
        _put(
            connection,
            "INSERT INTO answers (command_id, at_us, body, sum) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (command_id) DO UPDATE SET"
            " at_us = excluded.at_us, body = excluded.body, sum = excluded.sum",
            (
                _summed(command_id, changes.answers_at_us, encode(answer))
                for command_id, answer in changes.answers.items()
            ),
        )
        write_findings(connection, changes)

    def _write_watches(self, connection: sqlite3.Connection) -> None:
        """Write deadlines and streaks."""
        deadlines = self._changes.deadlines.items()
        gone = [(int(run_id[1:]), kind) for (run_id, kind), at_us in deadlines if at_us is None]
        _put(connection, "DELETE FROM deadlines WHERE n = ? AND kind = ?", gone)
        _put(
            connection,
            "INSERT INTO deadlines (n, kind, at_us) VALUES (?, ?, ?)"
            " ON CONFLICT (n, kind) DO UPDATE SET at_us = excluded.at_us",
            (
                (int(run_id[1:]), kind, at_us)
                for (run_id, kind), at_us in deadlines
                if at_us is not None
            ),
        )
        streaks = self._changes.streaks.items()
        forgotten = [key for key, streak in streaks if streak is None]
        _put(connection, "DELETE FROM streaks WHERE job_id = ? AND args = ?", forgotten)
        _put(
            connection,
            "INSERT INTO streaks (job_id, args, body) VALUES (?, ?, ?)"
            " ON CONFLICT (job_id, args) DO UPDATE SET body = excluded.body",
            ((*key, encode(streak)) for key, streak in streaks if streak is not None),
        )

    def _write_agents(self, connection: sqlite3.Connection) -> None:
        changes = self._changes
        records = [(agent_id, encode(record)) for agent_id, record in changes.agents.items()]
        _put(connection, _PUT_AGENT, records)
        tokens = changes.agent_tokens
        gone = [(token_id,) for token_id, token in tokens.items() if token is None]
        _put(connection, "DELETE FROM agent_tokens WHERE token_id = ?", gone)
        kept = [(token_id, encode(one)) for token_id, one in tokens.items() if one is not None]
        _put(connection, _PUT_INVITATION, kept)

    def _write_pauses(self, connection: sqlite3.Connection) -> None:
        pauses = self._changes.pauses
        ended = [key for key, pause in pauses.items() if pause is None]
        _put(connection, "DELETE FROM pauses WHERE kind = ? AND name = ?", ended)
        _put(
            connection,
            "INSERT INTO pauses (kind, name, body) VALUES (?, ?, ?)"
            " ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body",
            ((*key, encode(pause)) for key, pause in pauses.items() if pause is not None),
        )

    def _write_archived(self, connection: sqlite3.Connection) -> None:
        """Take out the runs that are archived, and the ad hoc jobs that have none left."""
        numbers = [(number,) for number in self._changes.archived]
        for table in OF_RUNS:
            _put(connection, f"DELETE FROM {table} WHERE n = ?", numbers)
        _put(connection, _DROP_AD_HOC, ((job_id,) * 3 for job_id in self._changes.archived_jobs))

    def _write_head(self, connection: sqlite3.Connection, epoch: int) -> None:
        changes = self._changes
        done = connection.execute(
            "UPDATE meta SET seq = ?, next_run_number = coalesce(?, next_run_number),"
            " jobs_version = coalesce(?, jobs_version), checked_at_us = coalesce(?, checked_at_us)"
            " WHERE epoch = ?",
            (
                self.seq,
                changes.next_run_number,
                changes.jobs_version,
                None if changes.check_round is None else changes.check_round.at_us,
                epoch,
            ),
        )
        if done.rowcount != 1:
            sentence = f"epoch {epoch} is over: expected to be the only server"
            raise StoreBroken(f"database {self._path}: {sentence}")


def _summed(*row: Any) -> tuple[Any, ...]:
    return (*row, row_sum(*row))


def _label_rows(job_labels: Iterable[JobLabels]) -> Iterator[tuple[str, str]]:
    for job_id, labels, owner in job_labels:
        for heading in headings(labels, owner):
            yield heading, job_id


def _put(connection: sqlite3.Connection, text: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Run a statement for each row; nothing for none."""
    connection.executemany(text, rows)
