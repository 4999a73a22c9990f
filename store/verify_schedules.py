"""The equation of rule I5: a schedule's nominal runs are runs, recorded skips or withdrawn ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..jobs.calendars import Calendar
from ..jobs.schedules import fires
from ..messages.hello import ScheduleRow
from .calendars import schedule_in_force
from .reader import SqliteReader


def check_schedules(
    reader: SqliteReader,
    job_id: str,
    withdrawn: set[int],
    calendars: Mapping[str, Calendar],
    tell: Callable[[str], None],
) -> tuple[int, int]:
    """Hold all schedules of a job against its runs; return how many there are, and how many
    nominal runs have none (those may have been archived).

    A schedule that cannot be computed again is left out: its extension is not there.
    """
    rows = reader.schedule_history(job_id)
    found = reader.connection.execute(
        "SELECT schedule_us FROM runs INDEXED BY runs_planned WHERE job_id = ? AND planned = 1",
        (job_id,),
    )
    made = {row[0] for row in found}
    reach_us = max((row.written_upto_us for row in rows), default=0)
    for at_us in made:
        if at_us >= reach_us:
            tell(f"schedules of {job_id}: a run for {at_us} lies beyond their horizon {reach_us}")
    moved = {one.schedule_us for one in reader.moved([job_id], -(2**62), 2**62)}
    known = made | withdrawn | moved
    return len(rows), sum(_missing(reader, row, known, calendars, tell) for row in rows)


def _missing(
    reader: SqliteReader,
    row: ScheduleRow,
    known: set[int],
    calendars: Mapping[str, Calendar],
    tell: Callable[[str], None],
) -> int:
    job = reader.definition(row.definition)
    then = None if job is None else schedule_in_force(reader.connection, job, row, calendars)
    if then is None:
        return 0
    schedule, calendars = then
    end_us = row.written_upto_us if row.valid_to_us is None else row.valid_to_us
    end_us = min(end_us, row.written_upto_us)
    skips = reader.skips(row.job_id, row.fingerprint)
    missing = 0
    counted = dict.fromkeys(range(len(skips)), 0)
    for fire in fires(schedule, row.valid_from_us, end_us, calendars):
        inside = [i for i, skip in enumerate(skips) if skip.from_us <= fire.at_us <= skip.to_us]
        for index in inside:
            counted[index] += 1
        if not inside and fire.at_us not in known:
            missing += 1
    for index, skip in enumerate(skips):
        ours = skip.from_us >= row.valid_from_us and skip.to_us < end_us
        if ours and counted[index] != skip.count:
            said = f"says {skip.count} runs: expected {counted[index]}"
            tell(f"schedules of {row.job_id}: the skip of event {skip.seq} {said}")
    return missing
