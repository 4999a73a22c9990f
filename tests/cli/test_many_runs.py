"""One deed on the runs of a query: shown, asked for, carried out, and told."""

import json
import time

import pytest


def planned(stand, count=1, **fields):
    at_us = time.time_ns() // 1000 + 3600 * 1_000_000
    return [stand.a_run("backup", schedule_us=at_us, **fields) for _ in range(count)]


def run_of(stand, run_id):
    return stand.ask("GET", f"/api/v2/runs/{run_id}")[1]["run"]


def states(stand, run_ids):
    return [run_of(stand, run_id)["state"] for run_id in run_ids]


def test_a_dry_run_says_what_would_be_done_and_does_nothing(stand, callsheet):
    run_ids = planned(stand, 2)
    running = stand.a_running_run(job_id="backup")
    found = callsheet("skip", "--query", "backup", "--dry-run")
    assert found.status == 0
    assert found.lines[0] == "skip 3 runs"
    assert f"not 1: can't skip RUN in state running  ({running})" in found.out
    assert states(stand, run_ids) == ["scheduled", "scheduled"]
    shown = json.loads(callsheet("skip", "-q", "backup", "-n", "--format", "json").out)
    assert (shown["count"], shown["fits"]) == (3, 2)


def test_it_is_carried_out_and_told_with_those_that_were_refused(stand, callsheet):
    run_ids = planned(stand, 2)
    running = stand.a_running_run(job_id="backup")
    found = callsheet("skip", "--query", "backup", "--yes", "--reason", "holiday")
    assert found.status == 1
    assert "skip: 2 done, 1 refused" in found.out
    assert f"{running}  refused: can't skip {running} in state running" in found.out
    assert states(stand, run_ids) == ["skipped", "skipped"]
    assert run_of(stand, run_ids[0])["reason"] == "holiday"


def test_where_nobody_can_be_asked_it_wants_to_be_sure(stand, callsheet):
    run_ids = planned(stand, 2)
    found = callsheet("hold", "--query", "backup")
    assert (found.status, "expected --yes, --expect N" in found.err) == (2, True)
    found = callsheet("hold", "--query", "backup", "--expect", "3")
    assert (found.status, "2 runs are meant: expected 3" in found.err) == (2, True)
    assert [run_of(stand, run_id)["held"] for run_id in run_ids] == [False, False]
    assert callsheet("hold", "--query", "backup", "--expect", "2").status == 0
    assert [run_of(stand, run_id)["held"] for run_id in run_ids] == [True, True]


@pytest.mark.parametrize("words", [("skip",), ("skip", "r1", "--query", "x")])
def test_runs_or_a_query_are_named(callsheet, words):
    found = callsheet(*words)
    assert (found.status, "expected runs, or --query" in found.err) == (2, True)


@pytest.mark.parametrize("word", ["label:nightly", "backup", "r", "r1.1"])
def test_what_is_no_run_is_told_how_a_query_is_given(callsheet, word):
    found = callsheet("hold", "r1", word)
    assert found.status == 2
    assert f"{word}: no run: expected its id, as r12, or a query as --query 'QUERY'" in found.err


def test_a_query_that_means_nothing_does_nothing(stand, callsheet):
    found = callsheet("skip", "--query", "label:nobody")
    assert (found.status, found.lines) == (0, ["skip 0 runs"])


def test_runs_are_put_to_another_time(stand, callsheet):
    first, second = planned(stand, 2)
    found = callsheet("reschedule", "2099-01-02T03:04:05Z", first, "--reason", "disk full")
    assert (found.status, found.lines) == (0, [f"{first}  O scheduled"])
    found = callsheet("reschedule", "2099-01-02T03:04:05Z", "-q", f"id:{second}", "--yes")
    assert found.status == 0
    times = {run_of(stand, one)["schedule_time"] for one in (first, second)}
    assert times == {"2099-01-02T03:04:05.000+00:00"}
    assert run_of(stand, first)["reason"] == "disk full"


def test_a_rerun_may_have_another_arg_and_the_old_definition(stand, callsheet):
    run_id = stand.a_run("reports/daily sales", args={"date": "1"}, definition="d1")
    found = callsheet("rerun", run_id, "--args", "date=2", "--format", "json")
    new = json.loads(found.out)
    assert new["args"] == {"date": "2"}
    run = run_of(stand, new["run_id"])
    assert (run["rerun_of"], run["rerun_number"]) == (run_id, 1)
    found = callsheet("rerun", run_id, "--definition", "old", "--format", "json")
    assert run_of(stand, json.loads(found.out)["run_id"])["rerun_number"] == 2


def test_a_rerun_with_what_is_downstream_is_an_operation(stand, callsheet):
    run_id = stand.a_run("backup", schedule_us=time.time_ns() // 1000)
    found = callsheet("rerun", run_id, "--downstream", "--yes")
    assert (found.status, f"  {run_id}  backup" in found.lines) == (0, True)
    assert "rerun: 1 done" in found.out


def test_operations_are_listed_and_one_is_told(stand, callsheet):
    planned(stand, 2)
    callsheet("hold", "--query", "backup", "--yes", "--reason", "move")
    found = callsheet("operations")
    assert found.lines[1].split()[1:6] == ["hold", "done", "2", "of", "2"]
    own_id = found.lines[1].split()[0]
    assert callsheet("operations", own_id, "--wait").lines == [f"{own_id}  hold: 2 done"]
    found = callsheet("operations", own_id, "--stop")
    assert (found.status, "not under way" in found.err) == (1, True)
    assert callsheet("operations", "--stop").status == 2


def test_a_chain_of_reruns_is_shown_as_one(stand, callsheet):
    first = stand.a_run("backup", schedule_us=time.time_ns() // 1000)
    second = json.loads(callsheet("rerun", first, "--format", "json").out)["run_id"]
    third = json.loads(callsheet("rerun", second, "--format", "json").out)["run_id"]
    lines = [line.split()[:3] for line in callsheet("run", second).lines]
    assert [first, "first", "+"] in lines
    assert ["*", second, "rerun"] in lines
    assert [third, "rerun", "2"] in lines
    shown = json.loads(callsheet("runs", "backup", "--group", "--format", "json").out)
    assert [(run["run_id"], run["rerun_number"]) for run in shown] == [(third, 2)]
    assert "rerun_number" in callsheet("runs", "backup", "-g").lines[0]
