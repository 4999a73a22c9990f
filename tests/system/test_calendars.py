"""A real server with calendars beside its jobs: watched, put in force, asked for forecasts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from live_server import Server, until

pytestmark = pytest.mark.slow

JOB = """
params: [date]
schedule: {type: daily, tz: UTC, daytime: "12:00", calendar: mine}
program: "echo {{ get_calendar('mine').shift(date, 1) }}"
"""


def test_a_calendar_that_changes_changes_the_runs_to_come(tmp_path) -> None:
    today = datetime.now(UTC).date()
    days = [today + timedelta(days=n) for n in (2, 4, 6)]
    folder = tmp_path / "calendars"
    file = folder / "mine.yaml"

    def write(*which: int) -> None:
        listed = ", ".join(str(days[n]) for n in which)
        file.write_text(f"dates: [{listed}]\n")

    def planned() -> list[str]:
        found = server.get("/api/v2/forecast?from=now&to=%2B7d").json["forecast"]
        return [run["schedule_time"][:10] for run in found]

    server = Server(tmp_path, {}, settings="job_watch: auto\n")
    server.start()
    try:
        # The first calendar is made while the server runs.
        folder.mkdir()
        write(0, 1, 2)
        (tmp_path / "jobs" / "a.yaml").write_text(JOB)
        until(lambda: planned() == [str(day) for day in days], "the runs of the calendar")
        write(1, 2)
        until(lambda: planned() == [str(day) for day in days[1:]], "the runs of the new one")
        runs = until(lambda: server.get("/api/v2/runs?job=a").json["runs"], "a run written")
        assert {run["schedule_time"][:10] for run in runs} == {str(days[1])}
        file.write_text("dates: [soon]\n")
        found = until(
            lambda: (s := server.get("/api/v2/health").json["jobs"])["problems"] and s,
            "the mistake to be shown",
        )
        assert "calendars/mine.yaml:1:9: dates[0]: date 'soon'" in found["problems"][0]
        # The server begins anew with a broken folder: what is stored goes on.
        assert server.stop() == 0
        server.start()
        assert planned() == [str(day) for day in days[1:]]
    finally:
        assert server.stop() == 0
