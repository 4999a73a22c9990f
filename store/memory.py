"""The in-memory twin of the SQLite store, for simulation and tests: quick, and as strict.

`MemoryDisk` is what survives: a writer opened on it finds what an earlier one committed, and raises
the epoch. For one thread.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from ..jobs.job import Job
from ..jobs.run import Run, run_number
from ..jobs.run_filter import RunFilter
from ..jobs.states import ACTIVE, State
from ..messages.commands import ACTION_COMMAND, OutboxItem
from ..messages.hello import DueRow
from ..messages.instructions import OutputRecord
from ..messages.pauses import Pause
from ..messages.registry import AgentRecord, AgentToken
from ..messages.transitions import AnyEvent, SkipsRecorded
from ..messages.wishes import Done, Refused
from .access import MemoryAccessReads
from .backfills import MemoryBackfillReads
from .by_time import time_and_number
from .changes import check_seq
from .finding import wanted_jobs
from .findings import MemoryFindingReads
from .interface import Changes, Opening, RunPage, RunQuery, StoreBroken, StoreError, StoreUnusable
from .memory_in_force import MemoryInForceReads
from .memory_tables import NAME, ExpectedKey, Tables, number_of, tally, terms_of
from .operations import OPERATIONS_AT_MOST, MemoryOperationsReads
from .rows import ANSWER_AGE_US, LAST_ANSWERS, PAGE_RUNS, args_text, decode_job


class MemoryDisk:
    """What survives a crash. `fault`, while set, is why every commit is refused (a full disk)."""

    def __init__(self, since_us: int = 0, server_id: str = "memory") -> None:
        self.tables = Tables(since_us, server_id)
        self.fault: str | None = None
        self.snapshots = 0
        self.writer: MemoryWriter | None = None

    def crash(self) -> None:
        """End the writer as `kill -9` would: its lock is free, what it committed stays."""
        self.writer = None

    def writable(self) -> Tables:
        """Return the tables to be changed: copied first while a snapshot looks at them."""
        if self.snapshots:
            self.tables, self.snapshots = self.tables.copy(), 0
        return self.tables


class MemoryReader(
    MemoryAccessReads,
    MemoryBackfillReads,
    MemoryFindingReads,
    MemoryInForceReads,
    MemoryOperationsReads,
):
    """Implements `Reader` on a disk in memory."""

    def __init__(self, disk: MemoryDisk) -> None:
        self._disk = disk
        self._seen: Tables | None = None

    @property
    def _tables(self) -> Tables:
        return self._seen or self._disk.tables

    _access = property(lambda self: self._tables.access)
    _findings = property(lambda self: self._tables.findings)
    _operations = property(lambda self: self._tables.operations)

    def rest(self) -> None:
        """Nothing is held to be quick."""

    def close(self) -> None:
        """Close it."""
        self._seen = None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let the reads inside see one state of the database."""
        self._seen = self._disk.tables
        self._disk.snapshots += 1
        try:
            yield
        finally:
            if self._seen is self._disk.tables:
                self._disk.snapshots -= 1
            self._seen = None

    def head(self) -> tuple[int, int]:
        """Return (epoch, seq) as last committed."""
        return self._tables.epoch, self._tables.seq

    def run(self, run_id: str) -> Run | None:
        """Return a run, None when there is none."""
        number = run_number(run_id)
        return None if number is None else self._tables.runs.get(number)

    def runs(self, run_ids: list[str]) -> list[Run]:
        """Return the runs found, in no order."""
        found = [self.run(run_id) for run_id in dict.fromkeys(run_ids)]
        return [run for run in found if run is not None]

    def query(self, query: RunQuery) -> list[Run]:
        """Return the page of runs the query asks for."""
        top = query.before_number
        found = [run for run in self._matching(query) if top is None or run.number < top]
        found.sort(key=number_of, reverse=True)
        return found[: max(0, min(query.limit, PAGE_RUNS))]

    def find(self, wanted: RunFilter, *, before: int | None, limit: int) -> RunPage:
        """Return the page of runs that match, newest first."""
        limit = max(1, min(limit, PAGE_RUNS - 1))
        found = [run for run in self._found(wanted) if before is None or run.number < before]
        found = sorted(found, key=number_of, reverse=True)[: limit + 1]
        more = len(found) > limit
        return RunPage(runs=found[:limit], before=found[limit - 1].number if more else None)

    def find_by_time(
        self, wanted: RunFilter, *, offset: int, limit: int, rising: bool = False
    ) -> list[Run]:
        """Return a stretch of the runs that match, latest schedule time first."""
        limit = max(1, min(limit, PAGE_RUNS))
        found = sorted(self._found(wanted), key=time_and_number, reverse=not rising)
        return found[offset : offset + limit]

    def extent(self, wanted: RunFilter) -> tuple[int, int] | None:
        """Return the earliest and latest schedule time of runs that match, None of none."""
        times = [run.schedule_us for run in self._found(wanted)]
        return (min(times), max(times)) if times else None

    def count_per_bin(
        self, wanted: RunFilter, from_us: int, step_us: int
    ) -> dict[tuple[int, State], int]:
        """Return how many runs that match are in each bin of schedule time, by state."""
        return Counter(((r.schedule_us - from_us) // step_us, r.state) for r in self._found(wanted))

    def count_found(self, wanted: RunFilter) -> dict[State, int]:
        """Return how many runs that match are in each state (absent: none)."""
        return tally(self._found(wanted))

    def count(self, query: RunQuery) -> int:
        """Return how many runs the query matches, its cursor and limit left aside."""
        return sum(1 for _ in self._matching(query))

    def count_by_state(self, query: RunQuery) -> dict[State, int]:
        """Return how many runs of the query are in each state (absent: none)."""
        return tally(self._matching(query))

    def active(
        self, states: Collection[State] = ACTIVE, limit: int | None = None, after: int = 0
    ) -> list[Run]:
        """See `Reader`."""
        found = (run for run in self._tables.active.values() if run.state in states)
        return sorted((run for run in found if number_of(run) > after), key=number_of)[:limit]

    def standing(self) -> Iterator[tuple[str, State]]:
        """See `Reader`."""
        return iter([(run.run_id, run.state) for run in self._tables.active.values()])

    def due(self, upto_us: int, limit: int, after: tuple[int, int] = (0, 0)) -> list[DueRow]:
        """Return scheduled, not held runs with schedule time < upto_us, by (time, number)."""
        keys = sorted(
            (run.schedule_us, number)
            for number, run in self._tables.scheduled.items()
            if not run.held and run.schedule_us < upto_us and (run.schedule_us, number) > after
        )
        found = self._tables.scheduled
        return [DueRow(f"r{n}", time_us, found[n].job_id) for time_us, n in keys[:limit]]

    def instance_states(self, job_id: str, args_key: str, after: int = 0) -> dict[State, int]:
        """Return how many runs of exactly this instance are in each state."""
        runs = self._tables.runs
        numbers = [n for n in self._tables.by_job.get(job_id, ()) if n > after]
        return tally(runs[n] for n in numbers if args_text(runs[n].args) == args_key)

    def log(self, run_id: str) -> list[AnyEvent]:
        """Return the events of a run in order, empty when there are none."""
        return list(self._tables.logs.get(run_number(run_id) or -1, ()))

    def events_after(self, seq: int, limit: int) -> list[AnyEvent]:
        """Return events above `seq` in order, at most `limit`."""
        events = self._tables.events
        # What was archived has left gaps.
        begin = bisect_right(events, seq, key=lambda event: event.seq)
        return events[begin : begin + limit]

    def events_of_no_run(self, seq: int) -> Iterator[AnyEvent]:
        """See `Reader`."""
        events = self.events_after(seq, len(self._tables.events))
        return (event for event in events if getattr(event, "run_id", None) is None)

    def definition(self, hash_: str) -> Job | None:
        """Return a stored job definition."""
        stored = self._tables.definitions.get(hash_)
        return None if stored is None else decode_job(stored.body)

    def definition_commit(self, hash_: str) -> str | None:
        """Return the git commit at which a definition first came into force, as far as known."""
        stored = self._tables.definitions.get(hash_)
        return None if stored is None else stored.commit

    def skips(self, job_id: str, fingerprint: str) -> list[SkipsRecorded]:
        """Return the recorded skips of a schedule, in order of recording."""
        wanted = (job_id, fingerprint)
        return [skip for skip in self._tables.skips if (skip.job_id, skip.fingerprint) == wanted]

    def outputs(self, run_id: str) -> list[OutputRecord]:
        """Return the index of a run's outputs, by attempt and output id."""
        outputs = self._tables.outputs.get(run_number(run_id) or -1, {})
        return [outputs[key] for key in sorted(outputs)]

    def last_runs(self, job_ids: list[str], per_job: int) -> dict[str, list[Run]]:
        """Return the newest finished or active runs of each job, newest first."""
        found: dict[str, list[Run]] = {}
        for job_id in job_ids:
            numbers = sorted(self._tables.by_job.get(job_id, ()), reverse=True)
            runs = [self._tables.runs[number] for number in numbers]
            runs = [run for run in runs if run.state is not State.SCHEDULED]
            if runs:
                found[job_id] = runs[:per_job]
        return found

    def outbox(self, run_id: str) -> list[OutboxItem]:
        """Return the actions that a run's moves still owe, in order."""
        owed = self._tables.outbox.items()
        return [item for key, item in owed if key.startswith(f"{run_id}.")]

    def owed_actions(self) -> int:
        """Return how many actions of the outbox are not carried out yet."""
        return len(self._tables.outbox)

    def agents(self) -> list[AgentRecord]:
        """Return the registry of agents, by id."""
        return [record for _, record in sorted(self._tables.agents.items())]

    def agent_tokens(self) -> list[AgentToken]:
        """Return the tokens for enrolment, used or not, by id."""
        return [token for _, token in sorted(self._tables.agent_tokens.items())]

    def pauses(self) -> list[Pause]:
        """Return the pauses, those whose time is over among them, by kind and name."""
        return [pause for _, pause in sorted(self._tables.pauses.items())]

    def answer(self, command_id: str) -> Done | Refused | None:
        """Return the kept answer of a wish (kept for 24 hours)."""
        return self._tables.answers.get(command_id, (0, None))[1]

    def _found(self, wanted: RunFilter) -> Iterator[Run]:
        # A whole id means that job and what lies below it, not others that share its words.
        whole = wanted.job if wanted.job in self._tables.jobs else None
        for run in self._tables.runs.values():
            near = whole is None or f"{run.job_id}/".startswith(f"{whole}/")
            if near and wanted.matches(run):
                yield run

    def _matching(self, query: RunQuery) -> Iterator[Run]:
        tables = self._tables
        terms = terms_of(query, tables)
        job_ids = wanted_jobs(query)
        numbers: Any = tables.runs
        if query.run_ids is not None:
            numbers = dict.fromkeys(filter(None, map(run_number, query.run_ids)))
        elif job_ids is not None:
            numbers = [n for job_id in job_ids for n in tables.by_job.get(job_id, ())]
        elif query.states is not None and ACTIVE.issuperset(query.states):
            numbers = tables.active
        for number in numbers:
            run = tables.runs.get(number)
            if run is not None and all(term(run) for term in terms):
                yield run


class MemoryWriter:
    """Implements `Writer` on a disk in memory; one at a time may be open on it."""

    def __init__(self, disk: MemoryDisk) -> None:
        self._disk = disk
        self._epoch = 0
        self.reader = MemoryReader(disk)

    def open(self, now_us: int) -> Opening:
        """Take the lock, raise the epoch durably, return what is there.

        Raises:
            StoreUnusable: another writer holds it.
        """
        if self._disk.writer is not None:
            raise StoreUnusable(f"{NAME}: another writer has it in use: expected no other server")
        self._disk.writer = self
        tables = self._disk.writable()
        tables.epoch += 1
        self._epoch = tables.epoch
        return Opening(
            epoch=tables.epoch,
            seq=tables.seq,
            next_run_number=tables.next_run_number,
            jobs_version=tables.jobs_version,
            since_us=tables.since_us,
            server_id=tables.server_id,
            active=self.reader.active(),
            schedules=self.reader.schedules(),
            jobs=self.reader.jobs(),
            ad_hoc_jobs=self.reader.ad_hoc_jobs(),
            outbox=list(tables.outbox.values()),
            agents=self.reader.agents(),
            agent_tokens=self.reader.agent_tokens(),
            api_tokens=self.reader.api_tokens(),
            users=self.reader.users(),
            sessions=self.reader.sessions(),
            audit_head=self.reader.audit_head(),
            pauses=self.reader.pauses(),
            backfills=self.reader.open_backfills(),
            last_backfill=self.reader.last_backfill(),
            findings=self.reader.findings()[1],
            operations=self.reader.operations(OPERATIONS_AT_MOST),
            deadlines=dict(tables.deadlines),
            streaks=dict(tables.streaks),
            calendars=self.reader.calendars(),
        )

    def existing_expected(self, keys: list[ExpectedKey]) -> set[ExpectedKey]:
        """Return which of (job_id, args_key, schedule_us) a schedule has already made a run for."""
        return set(filter(self._ours().is_made, keys))

    def expected_after(self, job_id: str, fingerprint: str, at_us: int) -> list[Run]:
        """Return the expected, still scheduled runs of a schedule from `at_us` on, by time."""
        tables = self._ours()
        found = [
            run
            for run in map(tables.scheduled.get, tables.by_job.get(job_id, ()))
            if run is not None
            and run.expected
            and run.fingerprint == fingerprint
            and run.schedule_us >= at_us
        ]
        return sorted(found, key=lambda run: (run.schedule_us, args_text(run.args)))

    def commit(self, changes: Changes) -> None:
        """Write all of it in one step.

        Raises:
            StoreError: nothing was written; the same changes may be committed again later.
            StoreBroken: the process must end.
        """
        tables = self._ours()
        if self._disk.fault is not None:
            raise StoreError(f"{NAME}: {self._disk.fault}")
        check_seq(changes.events, tables.seq, NAME)
        tables.check_planned(changes)
        self._disk.writable().apply(changes)

    def maintain(self, now_us: int) -> None:
        """Idle work: forget old answers, but the last ones and those to actions not settled."""
        tables = self._ours()
        old = [
            command_id
            for command_id, (at_us, _) in list(tables.answers.items())[:-LAST_ANSWERS]
            if at_us < now_us - ANSWER_AGE_US
            and command_id.removeprefix(ACTION_COMMAND) not in tables.outbox
        ]
        if old:
            tables = self._disk.writable()
            for command_id in old:
                del tables.answers[command_id]

    def close(self) -> None:
        """Release the lock; a second call does nothing."""
        if self._disk.writer is self:
            self._disk.writer = None

    def _ours(self) -> Tables:
        if self._disk.writer is not self or self._disk.tables.epoch != self._epoch:
            raise StoreBroken(f"{NAME}: epoch {self._epoch} is over: expected an open writer")
        return self._disk.tables
