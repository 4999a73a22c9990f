"""What is swept: schedules as in job files, the zones there are, and when their clocks change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

FIRST_YEAR, LAST_YEAR = 2000, 2040
DAY = 1440
# A window reaches so many minutes to each side of a change; that of a dense schedule less far.
WIDE, NARROW = 2 * DAY, 8 * 60


def _daily(*daytimes: str, **more: Any) -> dict[str, Any]:
    return {"type": "daily", "daytime": list(daytimes)} | more


def _window(start: Any, stop: Any, every: int, **more: Any) -> dict[str, Any]:
    return {"type": "daily-interval", "start": start, "stop": stop, "interval": every} | more


def _cron(expression: str, **more: Any) -> dict[str, Any]:
    return {"type": "cron", "expression": expression} | more


def _shifted(daytime: str, **shift: int) -> dict[str, Any]:
    return {"daytime": daytime} | shift


SCHEDULES: tuple[dict[str, Any], ...] = (
    {"type": "interval", "interval": 600, "phase": 120},
    {"type": "interval", "interval": 5400},
    _daily("00:00:00"),
    _daily("00:30:00", "23:30:00"),
    _daily("01:00:00", "01:30:00", "01:59:00"),
    _daily("02:00:00", "02:30:00", "02:59:00"),
    _daily("03:00:00"),
    _daily("02:30:00", "03:00:00", "03:30:00"),
    _daily("12:00:00", calendar="Mon-Fri"),
    _daily("02:30:00", calendar="Sun"),
    _daily("01:30:00", calendar="Sat,Sun"),
    _daily("20:00:00", calendar="Mon", date_shift=-1),
    _daily("02:15:00", calendar="Mon-Fri", cal_shift=1, date_shift=-1),
    _daily("00:00:00", "02:30:00", calendar="Mon-Fri", cal_shift=-1),
    _daily("01:15:00", calendar="Sat-Mon", date_shift=2),
    _daily("23:45:00", calendar="Fri-Mon", cal_shift=2),
    _window("01:00:00", "04:00:00", 900),
    _window("00:00:00", "23:59:00", 3600),
    _window("01:30:00", "02:30:00", 600),
    _window("02:30:00", "05:00:00", 1200),
    _window("22:00:00", _shifted("02:30:00", date_shift=1), 1800),
    _window(_shifted("23:00:00", date_shift=-1), "03:00:00", 2700, calendar="Mon-Fri"),
    _window("09:00:00", "17:00:00", 7200, calendar="Mon-Fri"),
    _window("00:30:00", _shifted("00:30:00", date_shift=1), 5000),
    _window("05:00:00", "05:00:00", 600),
    _cron("0 0 * * *"),
    _cron("30 0 * * *"),
    _cron("0 0 * * 1"),
    _cron("30 2 * * *"),
    _cron("*/20 2 * * *"),
    _cron("15,45 1-3 * * *"),
    _cron("0 */6 * * *"),
    _cron("0 * * * *"),
    _cron("*/20 * * * *"),
    _cron("30 1 * * 0"),
    _cron("59 23 * * *"),
    _cron("0 3 1 * *"),
    _cron("0 2 1-7 * 0"),
    _cron("0 2 * 3,10 0"),
    _cron("5-55/25 */2 * * 1-5"),
    _cron("0 12 31 * *"),
    _cron("10 1,2,3 * * 6,0,1"),
    _cron("0 2/3 * * *"),
    _cron("30 0,23 1,15 * 0"),
)
# A day or two away from a change a fire costs more than it shows.
DENSE = frozenset({"*/20 * * * *", "15,45 1-3 * * *", "5-55/25 */2 * * 1-5"})
GAPS = ("skip", "before", "after")
FOLDS = ("first", "second", "both")


def reach(schedule: dict[str, Any]) -> int:
    """Return how far around a change a schedule is looked at, in minutes."""
    return NARROW if schedule.get("expression") in DENSE else WIDE


def variants(
    schedule: dict[str, Any], zone: str, day: date, *, forward: bool
) -> Iterator[dict[str, Any]]:
    """Yield a schedule as it is, between dates around `day`, and with each policy that a change
    of the clocks in this direction touches."""
    dates = {"start_date": str(day), "end_date": str(day + timedelta(days=1))}
    if schedule["type"] == "interval":
        yield schedule
        yield schedule | dates
        return
    local = schedule | {"tz": zone}
    yield local
    yield local | dates
    for gap, fold in zip(GAPS, FOLDS, strict=True):
        if forward:
            yield local | {"on_gap": gap, "on_fold": "both" if gap == "before" else "first"}
        else:
            yield local | {"on_fold": fold, "on_gap": "after" if fold == "both" else "skip"}


def changes(zone: str) -> list[tuple[int, int]]:
    """Return (UTC minute, by how many minutes) of each change of a zone's clocks, in order."""
    tz = ZoneInfo(zone)
    first = int(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp()) // 60
    last = int(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC).timestamp()) // 60
    found = []
    before = _offset(tz, first)
    for day in range(first, last, DAY):
        after = _offset(tz, day + DAY)
        if after != before:
            low, high = day, day + DAY
            while low + 1 < high:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(tz, middle) == before else (low, middle)
            found.append((high, after - before))
            before = after
    return found


def zones() -> dict[str, list[tuple[int, int]]]:
    """Return the changes of every zone; of zones whose clocks always agree only the first."""
    found: dict[tuple[Any, ...], tuple[str, list[tuple[int, int]]]] = {}
    for zone in sorted(available_timezones() - {"localtime", "Factory"}):
        its = changes(zone)
        offset = _offset(ZoneInfo(zone), int(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC).timestamp()))
        found.setdefault((offset, *its), (zone, its))
    return dict(found.values())


def _offset(tz: ZoneInfo, minute: int) -> int:
    offset = datetime.fromtimestamp(minute * 60, tz).utcoffset()
    assert offset is not None
    return int(offset.total_seconds()) // 60
