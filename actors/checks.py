"""Checks of runs by the store alone: those that are late, and those that started late.

Functions of a store reader and the time; called by the checker's core alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from ..jobs.findings import Finding, found
from ..jobs.run import Run
from ..jobs.times import format_time
from ..store.findings import ROUNDS_KEPT
from ..store.interface import Reader, RunQuery

LATE = "late"
STARTED_LATE = "started-late"

# A run may be so late before it is reported.
LATE_AFTER_US = 60_000_000
# How long a run that started late is reported, and how many at most.
REPORTED_FOR_US = 24 * 3600 * 1_000_000
REPORTED = 100
# Runs looked at by one check in one round.
LOOKED_AT = 5_000
# Runs read at a time: what many took at once stays in the heap for good.
PORTION = 100


def late_runs(reader: Reader, now_us: int) -> list[Finding]:
    """Find runs whose time has passed and that are scheduled still, though nobody holds them."""
    return [
        found(
            LATE,
            row.run_id,
            f"run {row.run_id} of {row.job_id}: scheduled still, though its time was "
            f"{format_time(row.schedule_us)}: expected to start within "
            f"{LATE_AFTER_US // 1_000_000} s",
            run_id=row.run_id,
            job_id=row.job_id,
            schedule_us=row.schedule_us,
        )
        for row in reader.due(now_us - LATE_AFTER_US, REPORTED)
    ]


class LateStarts:
    """Finds runs that left `scheduled` late; remembers them for a day, the newest first."""

    def __init__(self, known: list[Finding], every_us: int) -> None:
        """Begin with what an earlier checker has found; `every_us` is between two rounds."""
        self._every_us = every_us
        self._looked_us: int | None = None
        self._found = {one.key: one for one in known if one.check == STARTED_LATE}

    def look(self, reader: Reader, now_us: int) -> list[Finding]:
        """Look at the runs that changed since the last look; return all that are remembered."""
        since_us = self._looked_us if self._looked_us is not None else now_us - 2 * LATE_AFTER_US
        self._looked_us = now_us
        for run in _changed(reader, since_us):
            late_us = _started_late(run)
            if run.backfill is not None:
                continue  # It came when it was its turn.
            if late_us >= LATE_AFTER_US and not _was_held(reader, run):
                one = _late_start(
                    run, late_us, now_us, was_down=self._was_down(reader, run, now_us)
                )
                self._found.setdefault(one.key, one)
        self._found = {
            key: one
            for key, one in list(self._found.items())[-REPORTED:]
            if now_us - one.since_us < REPORTED_FOR_US
        }
        return list(reversed(self._found.values()))

    def _was_down(self, reader: Reader, run: Run, now_us: int) -> bool:
        """Whether nobody checked around a run's time: the server was down, and everybody knows."""
        before_us, after_us = None, now_us
        for one in reader.check_rounds(ROUNDS_KEPT):
            if one.at_us < run.schedule_us:
                before_us = one.at_us
                break
            after_us = one.at_us
        longest_us = max(LATE_AFTER_US, 3 * self._every_us)
        return before_us is not None and after_us - before_us > longest_us


# --- inside -------------------------------------------------------------------------------------


def _changed(reader: Reader, since_us: int) -> Iterator[Run]:
    """Yield the runs that changed since then, the newest first, at most `LOOKED_AT`."""
    query = RunQuery(changed_since_us=since_us, limit=PORTION)
    for _ in range(LOOKED_AT // PORTION):
        runs = reader.query(query)
        yield from runs
        if len(runs) < PORTION:
            return
        query = replace(query, before_number=runs[-1].number)


def _started_late(run: Run) -> int:
    """By how much a run left `scheduled` later than it could, 0 when it did not (yet)."""
    left = [run.times[name] for name in ("waiting", "starting") if name in run.times]
    if not left or run.attempt > 1:
        return 0
    could_us = run.schedule_us
    if run.fingerprint is None:
        # A person may ask for a time that has passed: that run is not late.
        could_us = max(could_us, run.times.get("scheduled", could_us))
    return min(left) - could_us


def _was_held(reader: Reader, run: Run) -> bool:
    lines = (getattr(event, "message", "") for event in reader.log(run.run_id))
    return any(line.startswith("released") or "override" in line for line in lines)


def _late_start(run: Run, late_us: int, now_us: int, *, was_down: bool) -> Finding:
    made_us = run.times.get("scheduled", run.schedule_us)
    missed = made_us > run.schedule_us
    why = "made up for after it was missed" if missed else "expected within 60 s"
    if was_down and not missed:
        why = "the server was down at its time"
    one = found(
        STARTED_LATE,
        run.run_id,
        f"run {run.run_id} of {run.job_id}: went on its way "
        f"{late_us // 1_000_000} s after its time: {why}",
        severity="info" if missed or was_down else "warning",
        run_id=run.run_id,
        late_us=late_us,
        schedule_us=run.schedule_us,
    )
    return replace(one, since_us=now_us)
