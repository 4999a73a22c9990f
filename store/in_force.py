"""What is in force: jobs, calendars, schedules, agents and their tokens, pauses: how they are read.

Part of the SQLite reader.
"""

from __future__ import annotations

from typing import Any

from ..jobs.calendar_days import CalendarDays
from ..messages.hello import ScheduleRow
from ..messages.pauses import Pause
from ..messages.registry import AgentRecord, AgentToken
from .interface import JobMark
from .records import Records, body_by
from .rows import (
    decode_agent,
    decode_agent_token,
    decode_calendar,
    decode_pause,
    decode_plain,
)

_calendar, _agent = body_by(decode_calendar), body_by(decode_agent)
_agent_token, _pause = body_by(decode_agent_token), body_by(decode_pause)
_OF_A_PAUSE = "SELECT trim(kind || ' ' || name), body FROM pauses ORDER BY kind, name"

_SCHEDULES = (
    "SELECT job_id || ' ' || fingerprint, job_id, fingerprint, definition, valid_from_us,"
    " written_upto_us, valid_to_us, spec FROM schedules"
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

_MARKS = """
WITH asked (job_id) AS (VALUES {})
SELECT job_id,
    (SELECT group_concat(fingerprint || ' ' || definition || ' ' || valid_from_us || ' ' ||
        ifnull(valid_to_us, '')) FROM schedules WHERE schedules.job_id = asked.job_id),
    EXISTS (SELECT 1 FROM runs INDEXED BY runs_planned WHERE runs.job_id = asked.job_id
        AND planned = 1 AND schedule_us >= ? AND schedule_us < ?)
    OR EXISTS (SELECT 1 FROM moved WHERE moved.job_id = asked.job_id
        AND schedule_us >= ? AND schedule_us < ?)
FROM asked"""
_JOBS_AT_ONCE = 500


class SqliteInForceReads(Records):
    """Implements those reads of `Reader` for one that runs statements by `_one` and `_all`."""

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
        text = "SELECT name, body FROM calendars ORDER BY name"
        return self._read_all("calendars", _calendar, text)

    def schedules(self) -> list[ScheduleRow]:
        """Return the open schedules, by job and fingerprint."""
        text = f"{_SCHEDULES} WHERE valid_to_us IS NULL ORDER BY job_id, fingerprint, valid_from_us"
        return self._read_all("schedules", _schedule, text)

    def schedule_history(self, job_id: str) -> list[ScheduleRow]:
        """Return all schedules of a job, open and closed, by when they came into force."""
        text = f"{_SCHEDULES} WHERE job_id = ? ORDER BY valid_from_us, fingerprint"
        return self._read_all("schedules", _schedule, text, job_id)

    def jobs_after(self, job_id: str, limit: int) -> list[str]:
        """See `Reader`."""
        text = "SELECT job_id FROM jobs WHERE job_id > ? ORDER BY job_id LIMIT ?"
        return [row[0] for row in self._all(text, job_id, limit)]

    def job_marks(self, job_ids: list[str], since_us: int, until_us: int) -> dict[str, JobMark]:
        """See `Reader`."""
        found: dict[str, JobMark] = {}
        for begin in range(0, len(job_ids), _JOBS_AT_ONCE):
            some = job_ids[begin : begin + _JOBS_AT_ONCE]
            text = _MARKS.format(", ".join(["(?)"] * len(some)))
            rows = self._all(text, *some, *(since_us, until_us) * 2)
            found.update({job: JobMark(hash(text), bool(runs)) for job, text, runs in rows})
        return found

    def agents(self) -> list[AgentRecord]:
        """Return the registry of agents, by id."""
        return self._read_all("agents", _agent, "SELECT agent_id, body FROM agents ORDER BY 1")

    def agent_tokens(self) -> list[AgentToken]:
        """Return the tokens for enrolment, used or not, by id."""
        text = "SELECT token_id, body FROM agent_tokens ORDER BY token_id"
        return self._read_all("agent_tokens", _agent_token, text)

    def pauses(self) -> list[Pause]:
        """Return the pauses, those whose time is over among them, by kind and name."""
        return self._read_all("pauses", _pause, _OF_A_PAUSE)


def _schedule(row: tuple[Any, ...]) -> ScheduleRow:
    _, job_id, fingerprint, definition, from_us, written_us, to_us, spec = row
    if not all(isinstance(at_us, int) for at_us in (from_us, written_us, to_us or 0)):
        raise ValueError("its times are no numbers")
    return ScheduleRow(
        job_id=job_id,
        fingerprint=fingerprint,
        definition=definition,
        valid_from_us=from_us,
        written_upto_us=written_us,
        valid_to_us=to_us,
        spec=decode_plain(spec),
    )
