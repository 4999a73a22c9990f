"""A backfill on a real server: it goes on whoever dies, and never does more at once."""

from __future__ import annotations

import pytest
from live_server import until

pytestmark = pytest.mark.slow

# Whoever finds another one there says so: no two of them run at once. Each waits to be let go.
JOB = """
params: [time]
schedule: {type: interval, interval: 1h}
program: |
  cd DIR && mkdir turn || exit 1
  while ! test -e "{{ time }}"; do sleep 0.1; done
  echo "{{ time }}" >> done
  rmdir turn
"""
TIMES = [f"2026-01-01T{hour:02}:00:00+00:00" for hour in range(5)]


def test_each_time_is_made_up_for_once_in_order_though_processes_are_killed(a_server, tmp_path):
    server = a_server({"load": JOB.replace("DIR", str(tmp_path))}).start()
    span = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T05:00:00Z")
    begun = server.callsheet("backfill", "load", *span)
    assert begun.stdout.startswith("b1: load: running"), begun.stderr

    def shown():
        return server.get("/api/v2/backfills/b1").json["backfill"]

    def runs(count):
        return lambda: shown()["counts"].get("running") and done() == TIMES[:count]

    def done():
        path = tmp_path / "done"
        return path.read_text().split() if path.exists() else []

    for place, role in enumerate(("ledger/0", "runner/0", "scheduler/0")):
        until(runs(place), f"run {place} of the backfill")
        server.kill(role)
        (tmp_path / TIMES[place]).touch()
    for time in TIMES:
        (tmp_path / time).touch()
    until(lambda: shown()["state"] == "done", "the end of the backfill")
    assert shown()["counts"] == {"success": 5}
    assert done() == TIMES
    until(
        lambda: "all 5 runs are there" in server.callsheet("backfill", "load", *span).stderr,
        "a refusal to make up for what has been made up for",
    )
