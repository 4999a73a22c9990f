"""`callsheet backfill`: begin, list, show, stop."""

import pytest
from web_stand import a_job

from callsheet.jobs.schedules import Interval
from callsheet.jobs.states import State

SPAN = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T03:00:00Z")


@pytest.fixture
def hourly(stand):
    hour = Interval(interval_us=3_600_000_000)
    stand.apply(a_job("shop/load", schedules=(hour,), params=("time",)))
    return stand


def test_a_backfill_is_listed_begun_shown_and_stopped(hourly, callsheet):
    found = callsheet("backfill", "shop/load", *SPAN, "--dry-run", "--newest-first")
    assert found.lines[0].split() == ["time", "job_id", "args"]
    assert len(found.lines) == 4
    assert "time=2026-01-01T02:00:00+00:00" in found.lines[1]
    assert found.err == "3 runs; 0 that have a run are left out\n"

    begun = callsheet("backfill", *SPAN, "load", "-n", "2")
    assert begun.lines[0] == "b1: shop/load: running"
    assert begun.lines[-1] == "  progress  1 pending, 2 running"
    assert callsheet("backfill", "show", "b1").lines == begun.lines
    listed = callsheet("backfill", "list").lines
    assert listed[1].split()[:2] == ["b1", "shop/load"]
    assert listed[1].split()[-3:] == ["running", "3", "0"]
    assert len(callsheet("runs", "backfill:b1").lines) == 4
    stopped = callsheet("backfill", "stop", "b1", "-r", "wrong table")
    assert stopped.lines[0] == "b1: shop/load: stopping"
    assert stopped.lines[-1].endswith("by local: wrong table")
    for run in hourly.ask("GET", "/api/v2/runs?state=running")[1]["runs"]:
        hourly.end_run(run["run_id"], State.FAILURE)
    shown = callsheet("backfill", "show", "b1")
    assert shown.lines[0] == "b1: shop/load: stopped"
    assert shown.lines[4] == "  progress  2 failure, 1 withdrawn"


def test_what_is_wrong_is_told(hourly, callsheet):
    assert "Missing option '--from'" in callsheet("backfill", "load").err
    assert "expected NAME=VALUE" in callsheet("backfill", "load", "x", *SPAN).err
    found = callsheet("backfill", "show", "b7")
    assert (found.status, "unknown backfill b7" in found.err) == (1, True)
    assert "JOB [NAME=VALUE]" in callsheet("backfill", "--help").out
