"""What is in force, as the in-memory store tells of it."""

from __future__ import annotations

from typing import Any

from ..jobs.calendar_days import CalendarDays
from ..messages.hello import ScheduleRow
from .interface import JobMark


class MemoryInForceReads:
    """Implements those reads of `Reader` on `_tables`."""

    _tables: Any

    def jobs(self) -> dict[str, str]:
        """Return the jobs in force from the folder: id to definition hash."""
        return dict(sorted(self._tables.jobs.items()))

    def ad_hoc_jobs(self) -> dict[str, str]:
        """Return all ad hoc jobs: id to definition hash."""
        return dict(sorted(self._tables.ad_hoc_jobs.items()))

    def ad_hoc_job(self, job_id: str) -> str | None:
        """Return the definition hash of an ad hoc job."""
        found: str | None = self._tables.ad_hoc_jobs.get(job_id)
        return found

    def jobs_of_runs(self) -> list[str]:
        """Return the ids of all jobs that have a run, sorted: in force, gone or ad hoc."""
        return sorted({run.job_id for run in self._tables.runs.values()})

    def calendars(self) -> list[CalendarDays]:
        """Return the calendars in force, by name."""
        return sorted(self._tables.calendars, key=lambda days: days.name)

    def schedules(self) -> list[ScheduleRow]:
        """Return the open schedules, by job and fingerprint."""
        rows = self._tables.schedules
        return [rows[key] for key in sorted(rows) if rows[key].valid_to_us is None]

    def schedule_history(self, job_id: str) -> list[ScheduleRow]:
        """Return all schedules of a job, open and closed, by when they came into force."""
        rows = [row for row in self._tables.schedules.values() if row.job_id == job_id]
        return sorted(rows, key=lambda row: (row.valid_from_us, row.fingerprint))

    def jobs_after(self, job_id: str, limit: int) -> list[str]:
        """See `Reader`."""
        return sorted(one for one in self._tables.jobs if one > job_id)[:limit]

    def job_marks(self, job_ids: list[str], since_us: int, until_us: int) -> dict[str, JobMark]:
        """See `Reader`."""
        runs, moved = self._tables.runs.values(), self._tables.operations.moved.values()
        times = [(run.job_id, run.schedule_us) for run in runs if run.fingerprint is not None]
        times += [(one.job_id, one.schedule_us) for one in moved]
        busy = {job_id for job_id, at_us in times if since_us <= at_us < until_us}
        marks: dict[str, list[tuple[Any, ...]]] = {job_id: [] for job_id in job_ids}
        for row in self._tables.schedules.values():
            if row.job_id in marks:
                times_us = row.valid_from_us, row.valid_to_us
                marks[row.job_id].append((row.fingerprint, row.definition, *times_us))
        return {
            job_id: JobMark(hash(tuple(sorted(map(str, rows)))), job_id in busy)
            for job_id, rows in marks.items()
        }
