"""`why` on the command line: what is asked, what is printed, what is refused."""

from __future__ import annotations

import json

from callsheet.jobs.programs import BoundNoOp


def test_a_run_is_explained(callsheet, stand):
    run_id = stand.a_run("backup", program=BoundNoOp())
    found = callsheet("why", run_id)
    assert found.status == 0
    assert found.lines[0].startswith(f"{run_id}  backup  for ")
    assert found.lines[1].strip() == "O scheduled"
    assert "by request." in found.lines[2]


def test_why_there_is_no_run_of_a_job_is_explained(callsheet):
    found = callsheet("why", "daily", "sales", "date=2026-01-01", "--at", "2026-01-01T00:00:00Z")
    assert found.lines[0].startswith("reports/daily sales(date=2026-01-01)  for 2026-01-01")
    assert "The job has no schedule" in found.lines[1]
    found = callsheet("why", "backup", "--at", "now", "--format", "json")
    assert json.loads(found.out)["verdict"] == "no_schedule"


def test_what_cannot_be_asked_is_refused(callsheet):
    assert callsheet("why", "backup", "date=x").status == 2
    assert callsheet("why", "date=x", "--at", "now").status == 2
    assert callsheet("why", "daily", "--at", "now").status == 1
    found = callsheet("why", "backup")
    assert found.status == 2
    assert "'backup' is no run: expected one like r1234, or a JOB with --at TIME" in found.err
    assert "unknown run r999" in callsheet("why", "r999").err
