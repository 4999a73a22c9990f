"""Rows of an Apsis database as runs, events and outputs of ours. No I/O here.

Only runs that are over are taken: what still waits or runs there is Apsis's. Each line of the log
is kept at its time; those that tell of a state become the moves that the record is held against.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ..jobs.errors import UserError
from ..jobs.run import Run, run_number
from ..jobs.states import EDGES, State
from ..jobs.times import SECOND_US, parse_time
from ..messages.transitions import AnyEvent, RunMoved, RunNoted

OVER = ("success", "failure", "error", "skipped")
CAUSE = "import of Apsis"
_LIFE = (State.SCHEDULED, State.WAITING, State.STARTING, State.RUNNING, State.STOPPING)
_decode = msgspec.json.Decoder().decode


class ApsisRun(msgspec.Struct, frozen=True):
    """A row of `runs`, and the lines of its log as (epoch seconds, text), in order."""

    run_id: str
    timestamp: float
    job_id: str
    args: str
    state: str
    times: str
    meta: str
    program: str | None = None
    conds: str | None = None
    actions: str | None = None
    lines: tuple[tuple[float, str], ...] = ()


class BadRow(UserError):
    """A row cannot be taken over."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


def run_of(row: ApsisRun, seq: int) -> tuple[Run, list[AnyEvent]]:
    """Return a run and its events, the first of which has the seq after `seq`.

    Raises:
        BadRow: it is no run that is over, or is not readable.
    """
    number = run_number(row.run_id)
    if number is None or number < 1:
        raise BadRow(f"run {row.run_id[:40]!r}", "expected an id like r17")
    try:
        args = {str(name): str(value) for name, value in _decode(row.args).items()}
        times = {str(name): parse_time(text) for name, text in _decode(row.times).items()}
        meta = _decode(row.meta or "{}") or {}
        state = State(row.state)
        if not isinstance(meta, dict) or row.state not in OVER:
            raise ValueError(f"state {row.state}: expected one of {', '.join(OVER)}")
    except (UserError, ValueError, AttributeError, msgspec.DecodeError) as error:
        raise BadRow(f"run {row.run_id}", str(error)) from None
    last_us = round(row.timestamp * SECOND_US)
    moves = _moves(state, times, last_us)
    events: list[AnyEvent] = list(_events(row, moves, seq))
    labels = tuple(str(one) for one in (meta.get("job") or {}).get("labels") or ())
    told = {name: _json(text) for name, text in _kept(row) if text}
    run = Run(
        run_id=row.run_id,
        job_id=row.job_id,
        args=dict(sorted(args.items())),
        state=state,
        schedule_us=times.get("schedule", moves[0][1]),
        version=events[-1].seq,
        times={after.value: at_us for after, at_us in moves},
        labels=labels,
        meta={**meta, "apsis": told},
        message=_reason(events, state),
        attempt=int(any(after is State.STARTING for after, _ in moves)),
        stop_us=times.get("stop"),
        ad_hoc=row.job_id.startswith("adhoc-"),
        cause=CAUSE,
    )
    return run, events


def plain_output(
    data: bytes, compression: str | None, brotli: Callable[[bytes], bytes] | None
) -> bytes:
    """Return the bytes of an output.

    Raises:
        BadRow: they cannot be had; without `brotli` of what it has compressed.
    """
    match compression:
        case None | "":
            return data
        case "br" if brotli is None:
            raise BadRow("output", "is compressed by brotli: expected the package brotli here")
        case "br":
            assert brotli is not None
            return brotli(data)
        case "gz" | "gzip":
            try:
                return zlib.decompress(data, wbits=31)
            except zlib.error as error:
                raise BadRow("output", f"is no gzip: {error}") from None
        case _:
            raise BadRow("output", f"compression {compression!r}: expected br or none")


# --- inside ---------------------------------------------------------------------------------------


def _kept(row: ApsisRun) -> Iterable[tuple[str, str | None]]:
    """What has no place of its own here, and is kept in the run's meta."""
    return ("program", row.program), ("conds", row.conds), ("actions", row.actions)


def _json(text: str | None) -> Any:
    try:
        return _decode(text or "null")
    except msgspec.DecodeError:
        return text


def _moves(state: State, times: dict[str, int], last_us: int) -> list[tuple[State, int]]:
    """Return the states a run came through, each with its time, as the table of moves has them.

    Old rows lack some: what must lie between is put at the time of what follows.
    """
    end_us = times.get(state.value, last_us)
    found = [(one, times[one.value]) for one in _LIFE if one.value in times]
    found.append((state, end_us))
    path: list[tuple[State, int]] = []
    for after, at_us in found:
        if not path:
            if after in (State.SCHEDULED, State.ERROR, State.SKIPPED):
                path.append((after, at_us))
                continue
            path.append((State.SCHEDULED, times.get("schedule", at_us)))
        for between in (State.STARTING, State.RUNNING):
            last = path[-1][0]
            if after not in EDGES[last] and between in EDGES[last] and between is not after:
                path.append((between, at_us))
        if after in EDGES[path[-1][0]]:
            path.append((after, max(at_us, path[-1][1])))
    return path


def _events(
    row: ApsisRun, moves: list[tuple[State, int]], seq: int
) -> Iterable[RunMoved | RunNoted]:
    lines = [(round(at_s * SECOND_US), text) for at_s, text in row.lines]
    before: State | None = None
    for after, at_us in moves:
        said = next((line for line in lines if _tells(line[1], after)), None)
        if said is not None:
            # What was written before it comes before it.
            place = lines.index(said)
            for noted_us, text in lines[:place]:
                seq += 1
                yield _note(row, seq, noted_us, text)
            del lines[: place + 1]
        seq += 1
        yield RunMoved(
            seq=seq,
            at_us=at_us,
            cause=CAUSE,
            run_id=row.run_id,
            before=before,
            after=after,
            message="" if said is None else said[1],
        )
        before = after
    for noted_us, text in lines:
        seq += 1
        yield _note(row, seq, noted_us, text)


def _note(row: ApsisRun, seq: int, at_us: int, text: str) -> RunNoted:
    return RunNoted(seq=seq, at_us=at_us, cause=CAUSE, run_id=row.run_id, message=text)


def _tells(line: str, state: State) -> bool:
    return line == state.value or line.startswith(f"{state.value}:")


def _reason(events: list[AnyEvent], state: State) -> str | None:
    for event in reversed(events):
        if isinstance(event, RunMoved) and event.after is state:
            return event.message.partition(": ")[2] or None
    return None
