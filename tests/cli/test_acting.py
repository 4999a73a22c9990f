"""The commands that act on runs: what they ask for, what they print, how they end."""

import json
from datetime import datetime, timedelta

import pytest

from callsheet.cli.run_commands import args_of, when
from callsheet.jobs.errors import UserError


def state_of(stand, run_id):
    return stand.ask("GET", f"/api/v2/runs/{run_id}")[1]["run"]["state"]


def test_now_stays_now_and_a_full_time_becomes_utc():
    assert when("now") == "now"
    assert when("2026-01-02T03:04:05+01:00") == "2026-01-02T02:04:05+00:00"


def test_a_duration_counts_from_now():
    before = datetime.now().astimezone()
    found = datetime.fromisoformat(when("+10m"))
    after = datetime.now().astimezone()
    assert before <= found - timedelta(minutes=10) <= after


def test_a_daytime_is_the_next_one_here():
    now = datetime.now().astimezone()
    found = datetime.fromisoformat(when("12:34:56"))
    assert found.astimezone().strftime("%H:%M:%S") == "12:34:56"
    assert now < found <= now + timedelta(days=1, hours=2)  # clocks may change between


@pytest.mark.parametrize("text", ["tomorrow", "25:00:00", "2026-01-02T03:04:05", "+soon"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UserError, match="expected"):
        when(text)


def test_a_word_that_is_no_time_is_told_all_that_may_stand_there():
    with pytest.raises(UserError, match=r"time 'soon': expected now, \+10m, 18:30 or a form like"):
        when("soon")


def test_args_may_hold_equals_signs_and_be_empty():
    assert args_of(("a=b=c", "d=")) == {"a": "b=c", "d": ""}


def test_an_arg_without_a_value_is_wrong_usage(callsheet):
    found = callsheet("schedule", "now", "backup", "date")
    assert found.status == 2
    assert "expected NAME=VALUE" in found.err


def test_an_arg_that_is_given_twice_is_wrong_usage(callsheet):
    found = callsheet("schedule", "now", "sales", "date=2026-01-02", "date=2026-01-03")
    assert found.status == 2
    assert "'date=2026-01-03': date is given as '2026-01-02' too" in found.err


def test_a_run_is_scheduled_with_its_args(callsheet, stand):
    found = callsheet("schedule", "+1h", "reports/daily sales", "date=2026-01-02")
    assert found.status == 0
    run_id = found.out.split()[0]
    assert found.lines[0] == f"{run_id}  reports/daily sales(date=2026-01-02)"
    assert state_of(stand, run_id) == "scheduled"


def test_several_runs_are_scheduled_by_count(callsheet, stand):
    found = callsheet("schedule", "+1h", "backup", "--count", "3", "--format", "json")
    assert found.out.count('"run_id"') == 3
    counts = stand.ask("GET", "/api/v2/runs")[1]["counts"]
    assert counts["scheduled"] == 3


def test_a_job_that_is_not_there_is_an_error(callsheet):
    found = callsheet("schedule", "now", "nothing like it")
    assert found.status == 1
    assert found.err.startswith("Error: no job id match: nothing like it")
    assert found.err.endswith("[API status: 400]\n")


def test_a_command_without_a_job_runs_ad_hoc(callsheet, stand):
    found = callsheet("adhoc", "+1h", "echo", "-n", "hello", "--format", "json")
    body = json.loads(found.out)
    assert body["job_id"].startswith("adhoc-")
    assert found.status == 0


def test_a_run_without_a_job_file_is_marked_wherever_it_is_listed(callsheet, stand):
    told = callsheet("adhoc", "+1h", "echo", "hello", "--format", "json")
    run_id, job_id = (json.loads(told.out)[name] for name in ("run_id", "job_id"))
    of_a_file = stand.a_run("backup")
    marked = f"{job_id} (ad hoc)"
    assert f"{run_id}  {marked}" in callsheet("run", run_id).out
    for listed in (callsheet("runs").out, callsheet("runs", "--times").out):
        assert marked in listed
    assert "ad hoc" not in callsheet("run", of_a_file).out
    only = [
        run["run_id"] for run in json.loads(callsheet("runs", "adhoc:yes", "--format", "json").out)
    ]
    assert only == [run_id]


def test_a_scheduled_run_is_started(callsheet, stand):
    run_id = stand.a_run("backup")
    found = callsheet("start", run_id)
    assert found.status == 0
    assert found.out.split()[0] == run_id
    assert state_of(stand, run_id) != "scheduled"


def test_a_scheduled_run_is_skipped(callsheet, stand):
    run_id = stand.a_run("backup")
    found = callsheet("skip", run_id)
    assert found.out == f"{run_id}  - skipped\n"
    assert state_of(stand, run_id) == "skipped"


def test_a_run_is_held_with_a_reason_and_released(callsheet, stand):
    run_id = stand.a_run("backup")
    assert callsheet("hold", run_id, "--reason", "wait for the file").status == 0
    run = stand.ask("GET", f"/api/v2/runs/{run_id}")[1]["run"]
    assert run["held"] is True
    assert any("wait for the file" in line["message"] for line in run["log"])
    assert callsheet("release", run_id).status == 0
    assert stand.ask("GET", f"/api/v2/runs/{run_id}")[1]["run"]["held"] is False


def test_a_running_run_is_stopped(callsheet, stand):
    run_id = stand.a_running_run(job_id="backup")
    found = callsheet("stop", run_id)
    assert (found.status, found.out.split()[0]) == (0, run_id)
    log = stand.ask("GET", f"/api/v1/runs/{run_id}/log")[1]["run_log"]
    assert "stopping" in [line["message"] for line in log]


def test_a_signal_goes_to_a_running_run(callsheet, stand):
    run_id = stand.a_running_run(job_id="backup")
    assert callsheet("signal", "USR1", run_id).status == 0
    assert stand.signals == [10]


def test_a_finished_run_is_marked_by_the_beginning_of_a_state(callsheet, stand):
    run_id = stand.a_run("backup")
    callsheet("skip", run_id)
    found = callsheet("mark", "succ", run_id)
    assert found.out == f"{run_id}  + success\n"
    assert state_of(stand, run_id) == "success"


def test_a_state_that_cannot_be_marked_is_wrong_usage(callsheet):
    found = callsheet("mark", "running", "r1")
    assert found.status == 2
    assert "expected one of success, failure, error, skipped" in found.err


def test_a_rerun_is_a_new_run_of_the_same(callsheet, stand):
    run_id = stand.a_run("reports/daily sales", args={"date": "2026-01-02"})
    found = callsheet("rerun", run_id, "--format", "json")
    new = json.loads(found.out)
    assert new["run_id"] != run_id
    assert (new["job_id"], new["args"]) == ("reports/daily sales", {"date": "2026-01-02"})


def test_a_refusal_for_one_run_does_not_keep_the_others(callsheet, stand):
    done, fresh = stand.a_run("backup"), stand.a_run("backup")
    callsheet("skip", done)
    found = callsheet("skip", done, fresh)
    assert found.status == 1
    assert found.err == f"Error: can't skip {done} in state skipped [API status: 400]\n"
    assert found.out == f"{fresh}  - skipped\n"


def test_a_rerun_that_is_refused_does_not_keep_the_others(callsheet, stand):
    run_id = stand.a_run("backup")
    found = callsheet("rerun", "r999", run_id)
    assert found.status == 1
    assert found.err == "Error: unknown run r999 [API status: 404]\n"
    assert "backup" in found.out


def test_a_refusal_names_the_run_it_is_about(callsheet, stand):
    done, running = stand.a_run("backup"), stand.a_running_run(job_id="backup")
    found = callsheet("signal", "USR1", done, running)
    said = f"{done}: invalid run state for signal: scheduled"
    assert (found.status, found.err) == (1, f"Error: {said} [API status: 400]\n")
    assert stand.signals == [10]


def test_a_reload_says_what_changed(callsheetctl, stand):
    stand.reload = {"added": ["new"], "changed": ["backup"], "removed": []}
    found = callsheetctl("reload-jobs", "--dry-run")
    assert found.lines == ["Jobs added:", "  new", "Jobs changed:", "  backup"]


def test_a_reload_without_changes_says_so(callsheetctl):
    assert callsheetctl("reload-jobs").out == "no changes\n"
    found = json.loads(callsheetctl("reload-jobs", "--format", "json").out)
    assert found["changed"] == []


def test_a_reload_that_is_refused_lists_the_errors_of_the_jobs(callsheetctl, stand):
    stand.reload_errors = [["backup", "jobs/backup.yaml:3:1: unexpected keys: progam"]]
    found = callsheetctl("reload-jobs")
    assert found.status == 1
    assert "[API status: 400]" in found.err.splitlines()[0]
    assert found.err.splitlines()[1] == "  backup: jobs/backup.yaml:3:1: unexpected keys: progam"
