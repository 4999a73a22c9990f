"""An example extension: a type of each part of a job, and a function for templates.

Each class is a record whose fields are the keys that job files give it; see docs/extending.md.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from callsheet.jobs.extend import (
    ActionType,
    CalendarType,
    ConditionType,
    Finding,
    GiveUp,
    ProgramType,
    ScheduleType,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)


class Monthly(ScheduleType):
    """On a day of each month in the words of APScheduler: `3rd fri`, `last`, `last mon`, `15`.

    Its trigger is asked in wall time alone, since near changes of the clocks it loses fires or
    repeats one for ever; what instant a wall time is, is found here.
    """

    day: str
    daytime: time
    tz: str

    def __post_init__(self) -> None:
        """Refuse a day or a zone that is none."""
        trigger_of(self.day, self.daytime)
        try:
            ZoneInfo(self.tz)
        except (KeyError, OSError, ValueError):
            raise ValueError(f"tz {self.tz!r}: expected the name of a time zone") from None

    def next_fire(self, from_us: int) -> int | None:
        """Return the first instant at or after one."""
        zone, trigger = ZoneInfo(self.tz), trigger_of(self.day, self.daytime)
        since = EPOCH + from_us * MICROSECOND
        # A day of room: no wall time is further from its instant than that.
        wall = since.astimezone(zone).replace(tzinfo=UTC) - DAY
        while (found := trigger.get_next_fire_time(None, wall)) is not None:
            at = found.replace(tzinfo=zone).astimezone(UTC)
            if at >= since:
                return (at - EPOCH) // MICROSECOND
            wall = found + MICROSECOND
        return None


@lru_cache(maxsize=100)
def trigger_of(day: str, daytime: time) -> Any:
    """Return a trigger in wall time. Records hold their fields alone, so that it is kept here."""
    at = daytime
    return CronTrigger(day=day, hour=at.hour, minute=at.minute, second=at.second, timezone=UTC)


class FreeSpace(ConditionType):
    """The file system of a folder has so much room."""

    path: str
    at_least_gb: float

    def check(self) -> Finding:
        """Look how much room there is."""
        free_gb = shutil.disk_usage(self.path).free / 1e9
        if free_gb >= self.at_least_gb:
            return Finding(True, f"{self.path} has {self.at_least_gb:g} GB free")
        return Finding(False, f"{self.path} has less than {self.at_least_gb:g} GB free")


class Journal(ActionType):
    """Write a line to a file, once for each event."""

    path: str
    text: str

    def run(self, event: Mapping[str, Any]) -> str:
        """Append the line, unless it is there from an attempt of which nobody heard."""
        journal = Path(self.path)
        if journal.is_dir():
            raise GiveUp(f"{self.path} is a folder: expected a file")
        line = json.dumps({"id": event["id"], "at": event["time"], "text": self.text})
        with journal.open("a+", encoding="utf-8") as file:
            file.seek(0)
            if any(json.loads(there)["id"] == event["id"] for there in file):
                return f"was in {self.path} already"
            file.write(line + "\n")
        return f"wrote to {self.path}"


class Rsync(ProgramType):
    """Copy a folder with rsync."""

    source: str
    target: str
    delete: bool = False
    exclude: tuple[str, ...] = ()

    def argv(self) -> list[str]:
        """Return the command."""
        options = ["--archive", *(f"--exclude={one}" for one in self.exclude)]
        if self.delete:
            options.append("--delete")
        return ["rsync", *options, "--", self.source, self.target]

    def env(self) -> dict[str, str]:
        """Return variables that keep what rsync says the same everywhere."""
        return {"LC_ALL": "C"}


class QuarterEnds(CalendarType):
    """The last weekday of each quarter."""

    start: ClassVar[date] = date(2000, 1, 1)
    stop: ClassVar[date] = date(2100, 1, 1)

    def days(self) -> Iterator[date]:
        """Yield the days."""
        for year in range(self.start.year, self.stop.year):
            for month in (4, 7, 10, 13):
                day = date(year + month // 13, month % 12, 1) - DAY
                while day.weekday() > 4:
                    day -= DAY
                yield day


def fiscal_quarter(day: str) -> str:
    """Return the quarter of a day, for templates: `2024Q3`."""
    found = date.fromisoformat(str(day))
    return f"{found.year}Q{(found.month + 2) // 3}"
