"""An account of nominal runs: what became of each, worked out from definitions alone. Pure.

`store.accounting` gathers what was in force when, and what is on record; here each instant that a
definition names is held against the record. Nothing of what the ledger concluded (its horizons are
only ever used against it) makes an instant come or go. Each gets exactly one disposition, or is a
fault.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from heapq import merge
from itertools import groupby
from operator import itemgetter

import msgspec

from .binding import schedule_args
from .calendars import Calendar
from .explain import Period
from .run import args_key
from .schedule_words import describe
from .schedules import Fire, fires
from .states import ACTIVE, FINISHED, State
from .times import SECOND_US, format_time
from .words import instance_words

# What is due later than this before the last moment on record may be on its way.
GRACE_US = 60 * SECOND_US


class Fate(StrEnum):
    """What became of a nominal run. Archived: it left, and the archive was not looked at."""

    RAN = "ran"
    UNDER_WAY = "under way"
    EXPECTED = "expected"
    SKIPPED = "skipped"
    PAUSED = "paused"
    LEFT_OUT = "left out"
    WITHDRAWN = "withdrawn"
    ARCHIVED = "archived"
    MISSING = "missing"


class RunLine(msgspec.Struct, frozen=True, kw_only=True):
    """A run that a schedule has made, as far as an account goes. `instance` is its args as a text;
    `reason` that of its last move; `moved_to_us` the time to which a person has put it, from that
    for which it was made; `archive` the archive it lies in, empty: the database."""

    run_id: str
    instance: str
    state: State
    at_us: int
    fingerprint: str
    held: bool = False
    began_us: int | None = None
    ended_us: int | None = None
    reason: str = ""
    is_paused: bool = False
    moved_to_us: int | None = None
    archive: str = ""


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """Times of a schedule that by policy became no runs, as recorded with event `seq`."""

    fingerprint: str
    from_us: int
    to_us: int
    count: int
    reason: str
    seq: int


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """An expected run that was withdrawn. `change`: what did it, in words."""

    run_id: str
    change: str


class InForce(Period, frozen=True, kw_only=True):
    """A schedule's time in force, with the calendars of files that it was in force with."""

    calendars: Mapping[str, Calendar] = {}


# Of a withdrawal that nobody has looked up.
NOT_KNOWN = Taken(run_id="", change="a change of its job")


class JobRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is on record of a job. `runs` come by their times. `taken` are by (instance, time);
    None: that is not known, and what went with its schedule is taken to be withdrawn.
    `unknown`: the fingerprints of schedules that cannot be computed any more."""

    job_id: str
    periods: tuple[InForce, ...]
    runs: Iterable[RunLine] = ()
    left_out: tuple[LeftOut, ...] = ()
    taken: Mapping[tuple[str, int], Taken] | None = {}
    unknown: frozenset[str] = frozenset()


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a nominal run; `because`: why it did not run, or what is wrong."""

    job_id: str
    instance: str
    at_us: int
    fate: Fate
    run_id: str = ""
    state: str = ""
    began_us: int | None = None
    ended_us: int | None = None
    because: str = ""
    archive: str = ""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Something that no course of events explains: kind missing, double, unnamed, late, miscounted
    or not in force."""

    kind: str
    job_id: str
    sentence: str
    at_us: int | None = None


class _Named(msgspec.Struct, frozen=True):
    period: Period
    fire: Fire


_Timed = tuple[int, _Named | RunLine]


def account(record: JobRecord, from_us: int, to_us: int, as_of_us: int) -> Iterator[Entry | Fault]:
    """Yield what became of each nominal run of a job in [from_us, to_us), in order of time.

    Args:
        as_of_us: the last moment the record knows of; what is due after it is to come.
    Raises:
        UserError: a schedule cannot be computed.
    """
    counts = _Counts(record, from_us, to_us)
    runs: Iterator[_Timed] = ((run.at_us, run) for run in record.runs)
    named = (_names(period, from_us, to_us) for period in record.periods)
    for at_us, group in groupby(merge(*named, runs, key=itemgetter(0)), key=itemgetter(0)):
        found: dict[str, tuple[list[_Named], list[RunLine]]] = {}
        for _, thing in group:
            if isinstance(thing, RunLine):
                found.setdefault(thing.instance, ([], []))[1].append(thing)
            else:
                args = schedule_args(thing.period.job, thing.fire)
                found.setdefault(args_key(args), ([], []))[0].append(thing)
        for instance, (names, lines) in found.items():
            counts.take(at_us, names, is_there=bool(lines))
            if lines:
                yield from _of_run(record, names, lines, as_of_us)
            else:
                yield from _of_none(record, instance, at_us, names, as_of_us)
    yield from counts.faults()


def nominal_words(job_id: str, instance: str, at_us: int) -> str:
    """Return what is meant by a job, the text of its args, and a time."""
    return f"{instance_words(job_id, json.loads(instance))} for {format_time(at_us)}"


# --- inside -------------------------------------------------------------------------------------


def _names(period: InForce, from_us: int, to_us: int) -> Iterator[_Timed]:
    """Yield what a schedule named: also what was written ahead when it went, to be withdrawn."""
    end_us = to_us
    if period.to_us is not None:
        end_us = min(to_us, max(period.to_us, period.written_us))
    for fire in fires(period.schedule, max(from_us, period.from_us), end_us, period.calendars):
        yield fire.at_us, _Named(period, fire)


def _of_run(
    record: JobRecord, names: list[_Named], lines: list[RunLine], as_of_us: int
) -> Iterator[Entry | Fault]:
    first, *others = lines
    job_id, at_us = record.job_id, first.at_us
    yield _entry(record, first)
    if others:
        ids = ", ".join(line.run_id for line in lines)
        said = f"{nominal_words(job_id, first.instance, at_us)}: has runs {ids}"
        yield Fault(kind="double", job_id=job_id, at_us=at_us, sentence=said)
    for line in lines:
        if not names and line.fingerprint not in record.unknown:
            what = nominal_words(job_id, line.instance, at_us)
            said = f"{what}: run {line.run_id} is said to be made by a schedule: none names it"
            yield Fault(kind="unnamed", job_id=job_id, at_us=at_us, sentence=said)
        is_late = line.state is State.SCHEDULED and not line.held and not line.archive
        due_us = at_us if line.moved_to_us is None else line.moved_to_us
        if is_late and due_us < as_of_us - GRACE_US:
            late_s = (as_of_us - due_us) // SECOND_US
            what = nominal_words(job_id, line.instance, at_us)
            said = f"{what}: run {line.run_id} is scheduled still, {late_s} s after its time"
            yield Fault(kind="late", job_id=job_id, at_us=at_us, sentence=said)


def _entry(record: JobRecord, run: RunLine) -> Entry:
    fate, because = Fate.RAN, ""
    if run.state is State.SCHEDULED:
        fate, because = Fate.EXPECTED, "held" if run.held else ""
    elif run.state in ACTIVE:
        fate, because = Fate.UNDER_WAY, run.reason if run.state is State.WAITING else ""
    elif run.state is State.SKIPPED:
        fate, because = Fate.PAUSED if run.is_paused else Fate.SKIPPED, run.reason
    elif run.state is not State.SUCCESS:
        because = run.reason
    if run.moved_to_us is not None:
        put = f"rescheduled to {format_time(run.moved_to_us)}"
        because = f"{put}: {because}" if because else put
    return Entry(
        job_id=record.job_id,
        instance=run.instance,
        at_us=run.at_us,
        fate=fate,
        run_id=run.run_id,
        state=run.state.value,
        began_us=run.began_us,
        ended_us=run.ended_us if run.state in FINISHED else None,
        because=because,
        archive=run.archive,
    )


def _of_none(
    record: JobRecord, instance: str, at_us: int, names: list[_Named], as_of_us: int
) -> Iterator[Entry | Fault]:
    """Account for a nominal run that has no row."""
    periods = [name.period for name in names]
    known = record.taken
    taken = NOT_KNOWN if known is None else known.get((instance, at_us))
    fate, run_id, because = Fate.MISSING, "", ""
    span = _span(record, at_us, periods)
    if span is not None:
        fate, because = Fate.LEFT_OUT, span.reason
    elif wanting := next((one for one in periods if _wants(one, at_us, as_of_us)), None):
        because = f"{describe(wanting.schedule)} names it: no run, and nothing says why"
    elif taken is not None:
        fate, run_id, because = Fate.WITHDRAWN, taken.run_id, taken.change
    elif any(one.to_us is None for one in periods):
        fate = Fate.EXPECTED
    elif any(one.to_us is not None and one.written_us <= at_us < one.to_us for one in periods):
        ended_us = max(one.to_us for one in periods if one.to_us is not None)
        fate = Fate.WITHDRAWN
        because = f"its schedule went at {format_time(ended_us)}, before it was written"
    else:
        because = "it was written ahead when its schedule went: neither there nor withdrawn"
    yield Entry(
        job_id=record.job_id,
        instance=instance,
        at_us=at_us,
        fate=fate,
        run_id=run_id,
        because=because,
    )
    if fate is Fate.MISSING:
        sentence = f"{nominal_words(record.job_id, instance, at_us)}: {because}"
        yield Fault(kind="missing", job_id=record.job_id, at_us=at_us, sentence=sentence)


def _wants(period: Period, at_us: int, as_of_us: int) -> bool:
    """Whether there has to be a run, or a reason for there being none, by this schedule."""
    if period.to_us is not None:
        return at_us < min(period.written_us, period.to_us)
    return at_us < max(period.written_us, as_of_us - GRACE_US)


def _span(record: JobRecord, at_us: int, periods: list[Period]) -> LeftOut | None:
    marks = {period.fingerprint for period in periods}
    for span in record.left_out:
        if span.fingerprint in marks and span.from_us <= at_us <= span.to_us:
            return span
    return None


class _Counts:
    """How many nominal runs each record of what was left out is about: those without a run, and
    maybe some that a person had kept."""

    def __init__(self, record: JobRecord, from_us: int, to_us: int) -> None:
        self._record = record
        self._whole = [
            span
            for span in record.left_out
            if from_us <= span.from_us
            and span.to_us < to_us
            and span.fingerprint not in record.unknown
        ]
        self._named = [0] * len(self._whole)
        self._absent = [0] * len(self._whole)

    def take(self, at_us: int, names: list[_Named], *, is_there: bool) -> None:
        """Count an instant in."""
        if not self._whole:
            return
        marks = {name.period.fingerprint for name in names}
        for index, span in enumerate(self._whole):
            if span.fingerprint in marks and span.from_us <= at_us <= span.to_us:
                self._named[index] += 1
                self._absent[index] += not is_there

    def faults(self) -> Iterator[Fault]:
        """Yield the records that say another number."""
        for span, named, absent in zip(self._whole, self._named, self._absent, strict=True):
            if not absent <= span.count <= named:
                said = f"the skip of event {span.seq} says {span.count} runs"
                sentence = f"{self._record.job_id}: {said}: its schedule names {absent} to {named}"
                yield Fault(
                    kind="miscounted",
                    job_id=self._record.job_id,
                    at_us=span.from_us,
                    sentence=sentence,
                )
