"""Shapes and statuses of the Apsis-compatible endpoints of runs, as the contract has them."""

import json

import pytest
from web_stand import WebStand, a_job

from callsheet.jobs.bound_conditions import BoundDependency
from callsheet.jobs.programs import BoundProcess
from callsheet.jobs.states import State
from callsheet.messages.instructions import OutputRecord


def runs_of(found):
    status, body = found
    assert status == 200, body
    assert set(body) >= {"when", "runs"}
    return body["runs"]


def test_a_scheduled_run_is_answered_whole_and_found_again(stand):
    runs = runs_of(stand.ask("POST", "/api/v1/runs", {"job_id": "a", "times": {"schedule": "now"}}))
    [run] = runs.values()
    assert run["job_id"] == "a"
    assert {"conds", "actions", "meta", "program", "times", "labels", "args"} <= set(run)
    again = runs_of(stand.ask("GET", f"/api/v1/runs/{run['run_id']}"))
    assert list(again) == [run["run_id"]]


def test_count_makes_as_many_runs(stand):
    body = {"job_id": "a", "times": {"schedule": "2100-01-01T00:00:00Z", "stop": "1h"}}
    runs = runs_of(stand.ask("POST", "/api/v1/runs?count=3", body))
    assert [run["state"] for run in runs.values()] == ["scheduled"] * 3
    assert {run["times"]["schedule"] for run in runs.values()} == {"2100-01-01T00:00:00.000+00:00"}


def test_a_body_is_json_whatever_its_content_type_says(stand):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    runs_of(stand.ask("POST", "/api/v1/runs", {"job_id": "a"}, headers=form))


def test_where_ad_hoc_jobs_are_disabled_no_job_comes_with_a_request(tmp_path):
    stand = WebStand(tmp_path, jobs=(a_job("a"),), ad_hoc=False)
    try:
        wanted = {"job": {"program": {"type": "no-op"}}}
        for body in (wanted, wanted | {"job_id": "a"}, {"job": {"program": 7}}):
            for version in ("v1", "v2"):
                status, said = stand.ask("POST", f"/api/{version}/runs", body)
                assert (status, said["error"][:25]) == (403, "ad hoc jobs are disabled:")
        runs_of(stand.ask("POST", "/api/v1/runs", {"job_id": "a"}))
    finally:
        stand.close()


def test_bad_args_give_a_run_in_error_not_an_error(stand):
    body = {"job_id": "grp/with params", "args": {"color": 1}}
    [run] = runs_of(stand.ask("POST", "/api/v1/runs", body)).values()
    assert (run["state"], run["args"]) == ("error", {"color": "1"})


@pytest.mark.parametrize(
    ("target", "body", "part"),
    [
        ("/api/v1/runs", {}, "missing job_id or job"),
        ("/api/v1/runs", {"job_id": "match pre"}, "ambiguous job id"),
        ("/api/v1/runs", {"job_id": "nothing"}, "no job id match: nothing"),
        ("/api/v1/runs", {"job_id": 7}, "job_id"),
        ("/api/v1/runs", {"job": 7}, "job"),
        ("/api/v1/runs", {"job_id": "a", "args": [1]}, "args"),
        ("/api/v1/runs", {"job_id": "a", "args": {"x": {}}}, "args"),
        ("/api/v1/runs", {"job_id": "a", "times": {"schedule": "soon"}}, "schedule"),
        ("/api/v1/runs", {"job_id": "a", "times": {"schedule": 5}}, "schedule"),
        ("/api/v1/runs", {"job_id": "a", "times": {"stop": "never"}}, "stop"),
        (
            "/api/v1/runs",
            {"job_id": "a", "times": {"stop": -9e10}},
            "stop: -90000000000.0: expected",
        ),
        ("/api/v1/runs", {"job_id": "a", "times": []}, "times"),
        ("/api/v1/runs?count=0", {"job_id": "a"}, "count"),
        ("/api/v1/runs?count=x", {"job_id": "a"}, "count"),
        ("/api/v1/runs", b"{not json", "request body"),
        ("/api/v1/runs", b"[1]", "request body"),
        ("/api/v1/runs", b"\xff\xfe", "request body"),
        ("/api/v1/runs", b"[" * 5000, "request body"),
    ],
)
def test_bad_requests_for_runs_are_refused_in_json(stand, target, body, part):
    if body == {"job_id": "a", "times": []}:
        body = {"job_id": "a", "times": [1]}
    status, answer = stand.ask("POST", target, body)
    assert status == 400
    assert part in answer["error"]
    assert answer["request_id"]


def test_lists_need_a_job_or_a_run(stand):
    status, body = stand.ask("GET", "/api/v1/runs?state=success")
    assert (status, body["error"]) == (400, "either run_id or job_id filter is required")


def test_lists_filter_by_state_and_args_and_shorten(stand):
    red = stand.a_run(args={"color": "red", "state": "odd"})
    stand.a_run(args={"color": "blue"})
    found = runs_of(stand.ask("GET", "/api/v1/runs?job_id=a&color=red&summary=True"))
    assert list(found) == [red]
    assert "program" not in found[red]
    assert list(runs_of(stand.ask("GET", "/api/v1/runs?job_id=a&_state=odd"))) == [red]
    assert len(runs_of(stand.ask("GET", "/api/v1/runs?job_id=a&state=scheduled"))) == 2
    assert runs_of(stand.ask("GET", "/api/v1/runs?job_id=a&state=success")) == {}


@pytest.mark.parametrize("query", ["state=odd", "summary=1", "since=soon"])
def test_bad_terms_of_a_list_are_refused(stand, query):
    status, body = stand.ask("GET", f"/api/v1/runs?job_id=a&{query}")
    assert status == 400
    assert body["error"]


@pytest.mark.parametrize("run_id", ["r999", "x", "r01", "r-1", "r99999999999999999999999"])
@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""), ("GET", "/log"), ("GET", "/state"), ("GET", "/dependencies"),
        ("GET", "/output/output"), ("POST", "/skip"), ("POST", "/start"), ("POST", "/rerun"),
        ("PUT", "/stop"), ("PUT", "/signal/TERM"), ("POST", "/mark/success"),
    ],
)  # fmt: skip
def test_an_unknown_run_is_not_found(stand, method, rest, run_id):
    status, body = stand.ask(method, f"/api/v1/runs/{run_id}{rest}")
    assert (status, body["error"]) == (404, f"unknown run {run_id}")


def test_outputs_of_an_unknown_run_are_none(stand):
    assert stand.ask("GET", "/api/v1/runs/r999/outputs") == (200, [])


def test_the_log_of_a_run_has_its_moves(stand):
    run_id = stand.a_run()
    stand.ask("POST", f"/api/v1/runs/{run_id}/skip")
    status, body = stand.ask("GET", f"/api/v1/runs/{run_id}/log")
    assert status == 200
    messages = [line["message"] for line in body["run_log"]]
    assert messages[0].startswith("scheduled")
    assert messages[-1] == "skipped"
    assert {line["run_id"] for line in body["run_log"]} == {run_id}


def test_operations_move_runs_and_wrong_states_are_refused(stand):
    run_id = stand.a_run()
    assert stand.ask("POST", f"/api/v1/runs/{run_id}/start") == (200, {})
    status, body = stand.ask("POST", f"/api/v1/runs/{run_id}/start")
    assert (status, body["error"]) == (400, f"can't start {run_id} in state success")
    assert stand.ask("PUT", f"/api/v1/runs/{run_id}/mark/failure") == (200, {})
    assert stand.ask("GET", f"/api/v1/runs/{run_id}/state") == (200, {"state": "failure"})
    status, body = stand.ask("POST", f"/api/v1/runs/{run_id}/mark/odd")
    assert (status, body["error"]) == (400, "not a state: 'odd'")


def test_rerun_answers_with_the_new_run(stand):
    run_id = stand.a_run(args={"k": "v"})
    status, body = stand.ask("POST", f"/api/v1/runs/{run_id}/rerun")
    assert status == 200
    assert body["show_run_id"] in body["runs"]
    assert body["show_run_id"] != run_id
    assert body["runs"][body["show_run_id"]]["args"] == {"k": "v"}


def test_stop_answers_with_the_stopping_run(stand):
    run_id = stand.a_running_run()
    runs = runs_of(stand.ask("PUT", f"/api/v1/runs/{run_id}/stop"))
    assert runs[run_id]["state"] == "stopping"


@pytest.mark.parametrize("name", ["USR1", "SIGUSR1", "10"])
def test_signals_are_named_in_three_ways(stand, name):
    run_id = stand.a_running_run()
    assert stand.ask("PUT", f"/api/v1/runs/{run_id}/signal/{name}") == (200, {})
    assert stand.signals == [10]


@pytest.mark.parametrize("name", ["XYZ", "0", "999", "-9", "SIG", "%20"])
def test_invalid_signals_are_refused(stand, name):
    run_id = stand.a_running_run()
    status, body = stand.ask("PUT", f"/api/v1/runs/{run_id}/signal/{name}")
    assert status == 400
    assert body["error"].startswith("invalid signal: ")


def test_dependencies_list_the_runs_of_exactly_the_instance(stand):
    wanted = stand.a_run("match prefix", args={"date": "1"})
    stand.a_run("match prefix", args={"date": "1", "more": "2"})
    run_id = stand.a_run(conds=(BoundDependency(job_id="match prefix", args={"date": "1"}),))
    status, body = stand.ask("GET", f"/api/v1/runs/{run_id}/dependencies")
    entry = {"job_id": "match prefix", "args": {"date": "1"}, "run_ids": [wanted]}
    assert (status, body) == (200, {run_id: [entry]})


def with_output(stand, data, **fields):
    run_id = stand.a_running_run()
    record = OutputRecord(run_id=run_id, length=len(data), **({"data": data} | fields))
    stand.end_run(run_id, State.SUCCESS, outputs=[record])
    return run_id


def test_an_output_is_its_bytes(stand):
    run_id = with_output(stand, b"hello \xff\n")
    assert stand.ask("GET", f"/api/v1/runs/{run_id}/outputs") == (
        200,
        [{"output_id": "output", "output_len": 8}],
    )
    status, headers, body = stand.request("GET", f"/api/v1/runs/{run_id}/output/output")
    assert (status, body) == (200, b"hello \xff\n")
    assert headers["content-type"] == "application/octet-stream"
    assert "content-encoding" not in headers
    ranged = stand.request(
        "GET", f"/api/v1/runs/{run_id}/output/output", headers={"Range": "bytes=0-1"}
    )
    assert (ranged[0], ranged[2]) == (200, body)


def test_a_missing_output_is_not_found(stand):
    run_id = stand.a_run()
    status, body = stand.ask("GET", f"/api/v1/runs/{run_id}/output/odd")
    assert (status, body["error"]) == (404, f"no output odd for {run_id}")


def test_reads_go_on_and_wishes_are_refused_with_their_key_while_nobody_decides(stand, monkeypatch):
    monkeypatch.setattr("callsheet.webui.hub.WISH_S", 0.3)
    run_id = stand.a_run()
    stand.lost.add("ledger/0")
    headers = {"Idempotency-Key": "my-key"}
    status, sent, body = stand.request("POST", f"/api/v1/runs/{run_id}/skip", headers=headers)
    assert (status, json.loads(body)["command_id"]) == (503, "my-key")
    assert int(sent["retry-after"]) > 0
    assert stand.ask("GET", f"/api/v1/runs/{run_id}/state") == (200, {"state": "scheduled"})


def test_a_wish_that_was_lost_is_repeated(stand, monkeypatch):
    monkeypatch.setattr("callsheet.webui.wishes.REPEAT_US", 200_000)
    run_id = stand.a_run()
    stand.lose_next["ledger/0"] = 1
    assert stand.ask("POST", f"/api/v1/runs/{run_id}/skip") == (200, {})
    assert stand.lose_next["ledger/0"] == 0


def test_the_same_key_has_one_effect(stand):
    headers = {"Idempotency-Key": "once"}
    first = stand.ask("POST", "/api/v1/runs", {"job_id": "a"}, headers=headers)
    again = stand.ask("POST", "/api/v1/runs", {"job_id": "a"}, headers=headers)
    assert list(runs_of(first)) == list(runs_of(again))
    assert len(runs_of(stand.ask("GET", "/api/v1/runs?job_id=a"))) == 1


def test_a_process_is_shown_while_it_runs(stand):
    run_id = stand.a_running_run(program=BoundProcess(argv=("sleep", "1")))
    [run] = runs_of(stand.ask("GET", f"/api/v1/runs/{run_id}")).values()
    assert run["state"] == "running"
