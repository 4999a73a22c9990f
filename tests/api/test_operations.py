"""Operations on many runs over the API: looked at first, carried out, and told run by run."""

from __future__ import annotations

import time

import pytest
from web_stand import WebStand, a_job

from callsheet.jobs.actions import ScheduleAction
from callsheet.jobs.bound_conditions import BoundDependency
from callsheet.jobs.conditions import Dependency
from callsheet.jobs.states import State

JOBS = (
    a_job("load", metadata={"labels": ["nightly"]}),
    a_job("report", params=("day",)),
    a_job("sum", conditions=(Dependency(job_id="load"),)),
    a_job("mail", conditions=(Dependency(job_id="sum"), Dependency(job_id="made"))),
    a_job("made"),
    a_job("other", conditions=(Dependency(job_id="sum"),)),
)
LATER_US = 3600 * 1_000_000


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    stand = WebStand(tmp_path_factory.mktemp("stand"), jobs=JOBS)
    yield stand
    stand.close()


def planned(stand, job_id="load", **fields):
    at_us = time.time_ns() // 1000 + LATER_US
    return stand.a_run(job_id, schedule_us=at_us, **fields)


def look(stand, status=200, **body):
    answered, answer = stand.ask("POST", "/api/v2/operations/preview", body)
    assert answered == status, answer
    return answer


def carry_out(stand, status=200, headers=None, **body):
    answered, answer = stand.ask("POST", "/api/v2/operations", body, headers=headers or {})
    assert answered == status, answer
    return answer["operation"] if status == 200 else answer["error"]


def ended(stand, operation):
    """Wait until an operation is over; return it, and its rows by run."""
    deadline_s = time.monotonic() + 60
    while True:
        _, page = stand.ask("GET", f"/api/v2/operations/{operation['operation_id']}")
        if page["operation"]["ended"]:
            return page["operation"], {row["run_id"]: row for row in page["runs"]}
        assert time.monotonic() < deadline_s, page
        time.sleep(0.02)


def state(stand, run_id):
    return stand.ask("GET", f"/api/v2/runs/{run_id}")[1]["run"]["state"]


def test_a_preview_says_what_would_be_done_to_what(stand):
    mine = [planned(stand, labels=("p1",)) for _ in range(2)]
    running = stand.a_running_run(labels=("p1",))
    seen = look(stand, verb="skip", query="label:p1")
    assert (seen["count"], seen["fits"], seen["refused"]) == (3, 2, 1)
    assert seen["states"] == {"scheduled": 2, "running": 1}
    assert seen["jobs"][0] == {"job_id": "load", "count": 2}
    assert seen["refusals"] == [
        {"sentence": "can't skip RUN in state running", "count": 1, "runs": [running]}
    ]
    assert {run["run_id"] for run in seen["sample"]} == {*mine, running}
    # Nothing was done.
    assert state(stand, mine[0]) == "scheduled"


def test_carried_out_it_is_about_just_these_runs_and_tells_of_each(stand):
    first, second = (planned(stand, labels=("p2",)) for _ in range(2))
    token = look(stand, verb="skip", query="label:p2", reason="holiday")["preview"]
    later = planned(stand, labels=("p2",))
    stand.ask("POST", f"/api/v2/runs/{second}/start")
    operation, rows = ended(stand, carry_out(stand, preview=token))
    assert operation["state"] == "done"
    assert operation["counts"] == {"done": 1, "refused": 0, "changed": 1, "stopped": 0}
    assert (operation["total"], operation["query"], operation["reason"]) == (
        2,
        "label:p2",
        "holiday",
    )
    assert rows[first]["outcome"] == "done"
    assert rows[second]["sentence"].startswith(f"{second} was scheduled, and is ")
    assert (state(stand, first), state(stand, later)) == ("skipped", "scheduled")


def test_a_preview_is_carried_out_once_however_often_it_is_asked_for(stand):
    planned(stand, labels=("p3",))
    token = look(stand, verb="hold", query="label:p3")["preview"]
    first, second = carry_out(stand, preview=token), carry_out(stand, preview=token)
    assert first["operation_id"] == second["operation_id"]
    ended(stand, first)


def test_the_number_that_is_expected_stands_for_a_preview(stand):
    run_ids = [planned(stand, labels=("p4",)) for _ in range(2)]
    body = {"verb": "hold", "query": "label:p4"}
    said = carry_out(stand, 400, **body, expect=3)
    assert said == "2 runs are meant: expected 3: nothing was done"
    key = {"Idempotency-Key": "hold p4"}
    operation, rows = ended(stand, carry_out(stand, headers=key, **body, expect=2))
    assert set(rows) == set(run_ids)
    again = carry_out(stand, headers=key, **body, expect=2)
    assert again["operation_id"] == operation["operation_id"]


def test_runs_may_be_named(stand):
    run_id = planned(stand)
    seen = look(stand, verb="hold", runs=[run_id, "r99999", "x"])
    assert (seen["count"], seen["missing"]) == (1, ["r99999", "x"])
    ended(stand, carry_out(stand, preview=seen["preview"]))
    assert stand.ask("GET", f"/api/v2/runs/{run_id}")[1]["run"]["held"]


def test_runs_are_put_to_another_time(stand):
    run_id = planned(stand, labels=("p5",))
    seen = look(stand, verb="reschedule", query="label:p5", time="2099-01-02T03:04:05Z")
    ended(stand, carry_out(stand, preview=seen["preview"], reason="disk full"))
    run = stand.ask("GET", f"/api/v2/runs/{run_id}")[1]["run"]
    assert run["schedule_time"] == "2099-01-02T03:04:05.000+00:00"
    assert run["rescheduled_from"] < run["schedule_time"]
    assert run["log"][-1]["message"].endswith(": disk full")


def test_one_run_is_put_to_another_time(stand):
    run_id = planned(stand)
    path = f"/api/v2/runs/{run_id}/reschedule"
    assert "reschedule" in stand.ask("GET", f"/api/v2/runs/{run_id}")[1]["run"]["operations"]
    status, answer = stand.ask("POST", path, {"time": "2099-01-02T03:04:05Z", "reason": "later"})
    assert (status, answer["run"]["reason"]) == (200, "later")
    why = stand.ask("GET", f"/api/v2/runs/{run_id}")[1]["run"]["why"]
    assert any("put to another time by local: later." in line for line in why)
    assert stand.ask("POST", path, {"time": "now"})[0] == 200
    assert stand.ask("POST", path, {"time": "now"})[0] == 400


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "time: expected `now`, or a time with its zone"),
        ({"time": "soon"}, "time 'soon': expected a form like"),
        ({"time": 3}, "time: is a whole number: expected a text"),
        ({"time": "2001-01-01T00:00:00Z"}, "expected a time to come, or now"),
    ],
)
def test_a_time_that_is_none_is_refused(stand, body, said):
    status, answer = stand.ask("POST", f"/api/v2/runs/{planned(stand)}/reschedule", body)
    assert (status, said in answer["error"]) == (400, True), answer


def test_reruns_are_made_and_named(stand):
    first = stand.a_running_run(job_id="load", labels=("p6",))
    stand.end_run(first, State.FAILURE)
    stand.a_run("gone", labels=("p6",), schedule_us=time.time_ns() // 1000)
    seen = look(stand, verb="rerun", query="label:p6")
    assert seen["refusals"][0]["sentence"].startswith("unknown job gone")
    _, rows = ended(stand, carry_out(stand, preview=seen["preview"]))
    assert rows[first]["outcome"] == "done", rows
    again = rows[first]["new_run"]
    run = stand.ask("GET", f"/api/v2/runs/{again}")[1]["run"]
    assert (run["rerun_of"], run["rerun_root"], run["rerun_number"]) == (first, first, 1)
    _, chain = stand.ask("GET", f"/api/v2/runs/{again}/reruns")
    assert [one["run_id"] for one in chain["runs"]] == [first, again]
    assert (chain["root"], chain["runs"][0]["reruns"]) == (first, 1)


def test_an_operation_is_stopped(stand):
    run_ids = [planned(stand, labels=("p7",)) for _ in range(3)]
    operation = carry_out(stand, verb="hold", runs=run_ids, expect=3)
    ended(stand, operation)
    status, answer = stand.ask("POST", f"/api/v2/operations/{operation['operation_id']}/stop", {})
    assert (status, "not under way" in answer["error"]) == (400, True)
    assert stand.ask("POST", "/api/v2/operations/nothing/stop", {})[0] == 404


def test_operations_are_listed_newest_first_and_their_rows_by_outcome(stand):
    run_id, running = planned(stand), stand.a_running_run()
    operation = carry_out(stand, verb="skip", runs=[run_id, running], expect=2)
    ended(stand, operation)
    path = f"/api/v2/operations/{operation['operation_id']}"
    assert (
        stand.ask("GET", "/api/v2/operations")[1]["operations"][0]["operation_id"]
        == operation["operation_id"]
    )
    _, page = stand.ask("GET", f"{path}?outcome=refused")
    assert [(row["run_id"], row["sentence"]) for row in page["runs"]] == [
        (running, f"can't skip {running} in state running")
    ]
    assert page["next_cursor"] is None
    assert stand.ask("GET", f"{path}?outcome=odd")[0] == 400
    assert stand.ask("GET", "/api/v2/operations/odd")[0] == 404


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "verb"),
        ({"verb": "skip"}, "expected one of `query`, a text, and `runs`"),
        ({"verb": "skip", "query": "a", "runs": ["r1"]}, "expected one of `query`"),
        ({"verb": "skip", "query": " "}, "query: expected a text"),
        ({"verb": "skip", "query": "state:odd"}, "state"),
        ({"verb": "skip", "runs": []}, "runs: 0 ids: expected 1 to 10000"),
        ({"verb": "skip", "runs": [1]}, "runs"),
        ({"verb": "mark", "query": "a"}, "state"),
        ({"verb": "mark", "query": "a", "state": "running"}, "state: running: expected one of"),
        ({"verb": "signal", "query": "a", "signal": "odd"}, "invalid signal"),
        ({"verb": "reschedule", "query": "a"}, "time: expected `now`"),
        ({"verb": "rerun", "query": "a", "definition": "odd"}, "definition"),
        ({"verb": "skip", "query": "a", "downstream": True}, "downstream: goes with rerun"),
        ({"verb": "rerun", "query": "a", "downstream": 1}, "downstream"),
        (
            {"verb": "rerun", "query": "a", "downstream": True, "args": {"a": "b"}},
            "downstream: with other args",
        ),
        ({"verb": "skip", "query": "a", "force": True}, "force"),
        ({"verb": "skip", "query": "a", "reason": "x" * 1001}, "reason"),
    ],
)
def test_what_makes_no_sense_is_refused(stand, body, said):
    assert said in look(stand, 400, **body)["error"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "expected `preview`, a token, or `verb` and `expect`"),
        ({"preview": "odd"}, "preview: not known any more"),
        ({"preview": 3}, "preview"),
        ({"preview": "x", "verb": "skip"}, "preview: says already what"),
        ({"verb": "skip", "query": "label:nobody", "expect": 1}, "0 runs are meant: expected 1"),
    ],
)
def test_what_is_not_to_be_carried_out_is_refused(stand, body, said):
    assert said in carry_out(stand, 400, **body)


def test_a_preview_of_no_run_is_not_carried_out(stand):
    token = look(stand, verb="skip", query="label:nobody")["preview"]
    assert carry_out(stand, 400, preview=token) == "no run is meant: nothing was done"


def after(*job_ids):
    """Return the conditions of a run that depends on these jobs."""
    return tuple(BoundDependency(job_id=job_id, args={}) for job_id in job_ids)


def ran(stand, job_id, **fields):
    """Have a run made and end in success; return its id."""
    run_id = stand.a_run(job_id, schedule_us=time.time_ns() // 1000, **fields)
    if fields.get("conds"):
        stand.ask("POST", f"/api/v2/runs/{run_id}/start")
    assert state(stand, run_id) == "success"
    return run_id


def test_what_is_downstream_is_run_again_in_order_and_waits_for_the_new_result(tmp_path):
    stand = WebStand(tmp_path, jobs=JOBS)
    try:
        old = ran(stand, "sum", conds=after("load"))
        makes = ScheduleAction(job_id="made", states=(State.SUCCESS,))
        root = ran(stand, "load", actions=(makes,))
        ran(stand, "sum", conds=after("load"))
        middle = ran(stand, "sum", conds=after("load"))
        made = stand.a_run("made", schedule_us=time.time_ns() // 1000, by=f"action:{root}")
        last = ran(stand, "mail", conds=after("sum", "made"))
        coming = stand.a_run("other", conds=after("sum"))
        seen = look(stand, verb="rerun", runs=[root], downstream=True)
        assert [(one["run_id"], one["root"]) for one in seen["downstream"]["order"]] == [
            (root, True),
            (middle, False),
            (last, False),
        ]
        assert old not in str(seen["downstream"])
        assert seen["downstream"]["order"][2]["waits_for"] == [
            {"job_id": "made", "args": {}, "newer_than": made},
            {"job_id": "sum", "args": {}, "newer_than": middle},
        ]
        assert seen["downstream"]["made_by_actions"] == [{"run_id": made, "by": root}]
        assert seen["downstream"]["not_over"] == [{"run_id": coming, "after": middle}]
        _, rows = ended(stand, carry_out(stand, preview=seen["preview"]))
        run = stand.ask("GET", f"/api/v2/runs/{rows[last]['new_run']}")[1]["run"]
        assert run["state"] == "waiting"
        assert [(cond["job_id"], cond["after"]) for cond in run["conds"]] == [
            ("made", made),
            ("sum", middle),
        ]
        assert any(f"newer than {middle}" in line for line in run["why"])
    finally:
        stand.close()
