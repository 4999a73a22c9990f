"""Checks of schedules against runs: each time that a schedule in force has named lately has its
run, or a reason; and each run that a schedule made is named by one.

What the scheduler should have written is computed again, by `jobs.accounts`, some jobs in each
round; what is wrong is looked at again until it is right, or a day has passed. A job that is quiet
is passed over: its schedules are those of the last look, by which they name nothing in the time to
look at, and there is no run in it. Owned by the checker's core; reads the store only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ..jobs.accounts import Fault, InForce, JobRecord, LeftOut, RunLine, account
from ..jobs.calendar_days import CalendarDays, calendars_by_name
from ..jobs.calendars import Calendar
from ..jobs.errors import UserError
from ..jobs.findings import Finding, found
from ..jobs.run import Run, args_key
from ..jobs.schedules import Schedule, fingerprint, fire_times
from ..jobs.states import State
from ..jobs.times import SECOND_US
from ..messages.hello import ScheduleRow
from ..messages.operations import Moved
from ..messages.transitions import RunsArchived
from ..store.interface import JobMark, Reader, RunQuery
from ..store.rows import in_force

MISSING = "missing"
UNSCHEDULED = "unscheduled"
DOUBLE = "double"
SCHEDULE = "schedule"
KINDS = {"missing": MISSING, "unnamed": UNSCHEDULED, "double": DOUBLE}

# Jobs looked at in one round; of them those that never were before, which costs ten times as much.
# They are looked back on to the begin of the tour, all others to their last look, and both further
# by what a tour takes.
JOBS_A_ROUND = 500
FIRST_A_ROUND = 250
BACK_US = 900 * SECOND_US
# So long after the start what is not written yet is not missed.
CATCHING_UP_US = 120 * SECOND_US
# What is wrong is reported for so long, at most so many of it.
REPORTED_FOR_US = 24 * 3600 * SECOND_US
REPORTED = 100
# Runs of one job looked at in a round, and events before the first one.
RUNS = 10_000
EVENTS = 20_000
# Runs read at a time: what many took at once stays in the heap for good.
PORTION = 100
# So far ahead it is looked when a job's schedules name something again; one that has named more
# than a few in the time looked at is never passed over.
AHEAD_US = 25 * 3600 * SECOND_US
FEW = 20

Times = tuple[int, int]


class _Looked(NamedTuple):
    """When a job was looked at, by which mark of its schedules; and between which instants these
    name nothing."""

    at_us: int
    mark: int
    last_us: int
    next_us: int


class Plans:
    """See the module. `look` is called once a round."""

    def __init__(self, known: list[Finding]) -> None:
        """Begin with what an earlier checker has found."""
        self._found = {
            one.key: one for one in known if one.check in KINDS.values() and "at_us" in one.evidence
        }
        self._broken: dict[str, Finding] = {}
        self._next = ""
        self._looked: dict[str, _Looked] = {}
        self._calendars: list[CalendarDays] | None = None
        self._seq: int | None = None
        self._begun_us: int | None = None
        self._tour_us = 0
        # Of each job, of which times runs have gone into an archive lately.
        self._archived: dict[str, list[Times]] = {}

    def look(self, reader: Reader, now_us: int) -> list[Finding]:
        """Look at some jobs; return all that is known to be wrong."""
        self._tour_us = min(now_us if self._begun_us is None else self._tour_us, now_us)
        self._begun_us = min(now_us if self._begun_us is None else self._begun_us, now_us)
        self._read_log(reader)
        self._go_by(reader.calendars())
        calendars = calendars_by_name(self._calendars or ())
        again = {one.evidence["job_id"] for one in self._found.values()}
        last = self._next
        turn = list({*self._turn(reader, now_us), *again})
        since_us = min([self._since_us(job_id, now_us) for job_id in turn], default=now_us)
        for job_id, mark in reader.job_marks(turn, since_us, now_us).items():
            if job_id in again or not self._is_quiet(job_id, mark, now_us):
                self._look_at(reader, job_id, mark, calendars, now_us)
        if self._next <= last:
            self._tour_us = now_us
        for job_id in self._broken.keys() - (reader.jobs() if self._broken else {}).keys():
            del self._broken[job_id]
        kept = list(self._found.values())[-REPORTED:]
        self._found = {
            one.key: one for one in kept if now_us - one.evidence["at_us"] < REPORTED_FOR_US
        }
        return [*self._found.values(), *islice(self._broken.values(), REPORTED)]

    # --- inside ---------------------------------------------------------------------------------

    def _turn(self, reader: Reader, now_us: int) -> list[str]:
        """Return the jobs whose turn it is; all of them come round."""
        turn = reader.jobs_after(self._next, JOBS_A_ROUND)
        if len(turn) < JOBS_A_ROUND:
            turn = list(dict.fromkeys(turn + reader.jobs_after("", JOBS_A_ROUND)))[:JOBS_A_ROUND]
            # All have come round: what was not looked at for so long is gone.
            looked = self._looked.items()
            self._looked = {
                job_id: one for job_id, one in looked if now_us - one.at_us < REPORTED_FOR_US
            }
        first = [job_id for job_id in turn if job_id not in self._looked]
        if len(first) > FIRST_A_ROUND:
            turn = turn[: turn.index(first[FIRST_A_ROUND])]
        self._next = turn[-1] if turn else ""
        return turn

    def _go_by(self, calendars: list[CalendarDays]) -> None:
        """Other calendars make schedules name other times, though these are the same."""
        if calendars != self._calendars:
            self._calendars = calendars
            self._looked = {
                job_id: one._replace(last_us=one.at_us, next_us=one.at_us)
                for job_id, one in self._looked.items()
            }

    def _since_us(self, job_id: str, now_us: int) -> int:
        """Return from when on a job is looked at."""
        looked = self._looked.get(job_id)
        return min(self._tour_us if looked is None else looked.at_us, now_us) - BACK_US

    def _is_quiet(self, job_id: str, mark: JobMark, now_us: int) -> bool:
        """Whether there is nothing to look at; then it is as if it was looked at."""
        looked = self._looked.get(job_id)
        if looked is None or mark.has_runs or mark.mark != looked.mark or job_id in self._broken:
            return False
        if not looked.at_us <= now_us <= looked.next_us:
            return False
        if self._since_us(job_id, now_us) <= looked.last_us:
            return False
        self._looked[job_id] = looked._replace(at_us=now_us)
        return True

    def _look_at(
        self,
        reader: Reader,
        job_id: str,
        mark: JobMark,
        calendars: Mapping[str, Calendar],
        now_us: int,
    ) -> None:
        known = [one for one in self._found.values() if one.evidence["job_id"] == job_id]
        for one in known:
            del self._found[one.key]
        since_us = self._since_us(job_id, now_us)
        spans = {(since_us, now_us)}
        spans |= {(one.evidence["at_us"], one.evidence["at_us"] + 1) for one in known}
        periods, unknown = _periods(reader, job_id, calendars)
        names = _names_none(periods, since_us, now_us)
        self._looked[job_id] = _Looked(now_us, mark.mark, *names)
        # At first the scheduler may be making up for a time when the server was down.
        is_early = self._begun_us is None or now_us - self._begun_us < CATCHING_UP_US
        as_of_us = 0 if is_early else now_us
        self._broken.pop(job_id, None)
        if unknown:
            self._broken[job_id] = _uncomputable(job_id, unknown)
        if names[0] < since_us and not (mark.has_runs or known):
            return  # Nothing is named, and there is nothing.
        for from_us, to_us in sorted(spans):
            record = _record(reader, job_id, (from_us, to_us), periods, unknown)
            for fault in account(record, from_us, to_us, as_of_us):
                if isinstance(fault, Fault) and fault.kind in KINDS and not self._is_gone(fault):
                    one = _finding(fault)
                    self._found[one.key] = one

    def _is_gone(self, fault: Fault) -> bool:
        """Whether what is missing may have been archived."""
        at_us = fault.at_us or 0
        times = self._archived.get(fault.job_id, ())
        return fault.kind == "missing" and any(least <= at_us <= most for least, most in times)

    def _read_log(self, reader: Reader) -> None:
        """Learn which runs have gone into an archive since the last look."""
        head = reader.head()[1]
        seq = max(0, head - EVENTS) if self._seq is None else self._seq
        for event in reader.events_of_no_run(seq):
            if isinstance(event, RunsArchived):
                self._is_archived(event)
        self._seq = head

    def _is_archived(self, event: RunsArchived) -> None:
        for job_id, (_, least_us, most_us) in event.made.items():
            times = self._archived.setdefault(job_id, [])
            times.append((least_us, most_us))
            del times[:-REPORTED]


def _names_none(periods: tuple[InForce, ...], since_us: int, now_us: int) -> Times:
    """Return between which instants around `now_us` nothing is named: the last since `since_us` (or
    that), and the next; `now_us` twice where many are."""
    last_us, next_us = since_us - 1, now_us + AHEAD_US
    for period in periods:
        some = fire_times(period.schedule, since_us, next_us, period.calendars)
        for number, at_us in enumerate(some):
            if at_us >= now_us:
                next_us = min(next_us, at_us)
                break
            if number >= FEW:
                return now_us, now_us
            last_us = max(last_us, at_us)
    return last_us, next_us


def _finding(fault: Fault) -> Finding:
    check = KINDS[fault.kind]
    name = f"{fault.job_id}:{fault.at_us}"
    return found(check, name, fault.sentence, job_id=fault.job_id, at_us=fault.at_us)


def _uncomputable(job_id: str, unknown: frozenset[str]) -> Finding:
    sentence = f"job {job_id}: {len(unknown)} of its schedules cannot be computed"
    return found(SCHEDULE, job_id, sentence, severity="warning", job_id=job_id)


def _periods(
    reader: Reader, job_id: str, calendars: Mapping[str, Calendar]
) -> tuple[tuple[InForce, ...], frozenset[str]]:
    """Return when which schedules of a job were in force, and those not to be computed."""
    found_: list[InForce] = []
    unknown: set[str] = set()
    for row in reader.schedule_history(job_id):
        period = _period(reader, row, calendars)
        if period is not None:
            found_.append(period)
        elif row.valid_to_us is None:
            unknown.add(row.fingerprint)
    return tuple(found_), frozenset(unknown)


def _period(reader: Reader, row: ScheduleRow, calendars: Mapping[str, Calendar]) -> InForce | None:
    job = reader.definition(row.definition)
    if job is None:
        return None
    try:
        schedule = msgspec.convert(row.spec, Schedule)
        if fingerprint(schedule, calendars) != row.fingerprint:
            return None
    except (msgspec.ValidationError, UserError):
        return None
    return in_force(row, job, schedule, calendars)


def _record(
    reader: Reader,
    job_id: str,
    span: Times,
    periods: tuple[InForce, ...],
    unknown: frozenset[str],
) -> JobRecord:
    query = RunQuery(job_id=job_id, since_us=span[0], until_us=span[1])
    lines = [_line(run) for run in _runs(reader, query) if run.fingerprint is not None]
    lines += map(_moved_line, reader.moved([job_id], *span))
    marks = sorted({period.fingerprint for period in periods})
    return JobRecord(
        job_id=job_id,
        periods=periods,
        runs=sorted(lines, key=lambda line: line.at_us),
        left_out=tuple(_left_out(reader, job_id, marks)),
        taken=None,
        unknown=unknown,
    )


def _runs(reader: Reader, query: RunQuery) -> Iterator[Run]:
    """Yield the runs of a query, the newest first, at most `RUNS`."""
    for _ in range(RUNS // PORTION):
        runs = reader.query(replace(query, limit=PORTION))
        yield from runs
        if len(runs) < PORTION:
            return
        query = replace(query, before_number=runs[-1].number)


def _left_out(reader: Reader, job_id: str, marks: list[str]) -> Iterator[LeftOut]:
    for mark in marks:
        for skip in reader.skips(job_id, mark):
            yield LeftOut(
                fingerprint=mark,
                from_us=skip.from_us,
                to_us=skip.to_us,
                count=skip.count,
                reason=skip.reason,
                seq=skip.seq,
            )


def _moved_line(moved: Moved) -> RunLine:
    """Return a run by the time that its schedule made it for; what became of it is no matter."""
    return RunLine(
        run_id=moved.run_id,
        instance=moved.args_key,
        state=State.SKIPPED,
        at_us=moved.schedule_us,
        fingerprint="",
    )


def _line(run: Run) -> RunLine:
    return RunLine(
        run_id=run.run_id,
        instance=args_key(run.args),
        state=run.state,
        at_us=run.schedule_us,
        fingerprint=run.fingerprint or "",
        held=run.held,
    )
