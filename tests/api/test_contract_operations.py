"""What may be done to a run in which state, and with which words it is refused: a table."""

import pytest

from callsheet.jobs.bound_conditions import BoundConst
from callsheet.jobs.states import State

UNFINISHED = ("scheduled", "waiting", "starting", "running", "stopping")
FINISHED = ("success", "failure", "error", "skipped")
STATES = UNFINISHED + FINISHED


def a_run_in(stand, state):
    """Make a run and bring it into a state."""
    match state:
        case "scheduled":
            return stand.a_run()
        case "waiting":
            return stand.a_run(schedule_us=0, conds=(BoundConst(value=False),))
        case "starting" | "stopping":
            if state == "starting":
                stand.lost.add("runner/0")
            run_id = stand.a_running_run()
            if state == "stopping":
                stand.lost.add("runner/0")
                assert stand.ask("PUT", f"/api/v1/runs/{run_id}/stop")[0] == 200
        case "skipped":
            run_id = stand.a_run()
            assert stand.ask("POST", f"/api/v1/runs/{run_id}/skip") == (200, {})
        case _:
            run_id = stand.a_running_run()
            if state == "running":
                stand.lost.add("runner/0")
            else:
                stand.end_run(run_id, State(state))
    return run_id


ALLOWED = {
    "start": ("scheduled", "waiting"),
    "skip": ("scheduled", "waiting"),
    # One that is starting is stopped as soon as it runs.
    "stop": ("starting", "running", "stopping"),
    "signal/TERM": ("running", "stopping"),
    "mark/success": ("failure", "error", "skipped"),
    "rerun": STATES,
}
REFUSED = {
    "start": "can't start {run} in state {state}",
    "skip": "can't skip {run} in state {state}",
    "stop": "can't stop run {run}: run is {state}",
    "signal/TERM": "invalid run state for signal: {state}",
    "mark/success": "can't mark {run} in state {state}",
}


@pytest.mark.parametrize("state", STATES)
def test_each_operation_is_possible_in_its_states_and_refused_in_all_others(stand, state):
    run_id = a_run_in(stand, state)
    for verb, states in ALLOWED.items():
        if state in states:
            continue
        status, body = stand.ask("POST", f"/api/v1/runs/{run_id}/{verb}")
        said = REFUSED[verb].format(run=run_id, state=state)
        if (verb, state) == ("mark/success", "success"):
            said = f"run {run_id} already in state success"
        assert (status, body["error"]) == (400, said)
        assert stand.ask("GET", f"/api/v1/runs/{run_id}/state") == (200, {"state": state})


@pytest.mark.parametrize(
    ("verb", "state"), [(verb, state) for verb, states in ALLOWED.items() for state in states]
)
def test_each_operation_is_carried_out_in_its_states(stand, verb, state):
    run_id = a_run_in(stand, state)
    for method in ("PUT", "POST") if verb == "stop" else ("POST",):
        status, body = stand.ask(method, f"/api/v1/runs/{run_id}/{verb}")
        assert status == 200
    if verb == "stop":
        assert list(body["runs"]) == [run_id]
    elif verb == "rerun":
        assert list(body["runs"]) == [body["show_run_id"]] != [run_id]
        assert set(body) == {"when", "runs", "show_run_id"}
    else:
        assert body == {}


@pytest.mark.parametrize("state", FINISHED)
def test_a_finished_run_is_marked_as_any_other_finished_state(stand, state):
    for wanted in FINISHED:
        if wanted == state:
            continue
        run_id = a_run_in(stand, state)
        for method in ("PUT", "POST"):
            status, _ = stand.ask(method, f"/api/v1/runs/{run_id}/mark/{wanted}")
            assert status == (200 if method == "PUT" else 400)
        run = stand.ask("GET", f"/api/v1/runs/{run_id}")[1]["runs"][run_id]
        assert run["state"] == wanted
        # The old entry stays.
        assert {state, wanted} <= set(run["times"])
        log = stand.ask("GET", f"/api/v1/runs/{run_id}/log")[1]["run_log"]
        assert log[-1]["message"] == f"marked as {wanted}"


@pytest.mark.parametrize("state", ["new", "scheduled", "running", "odd", "SUCCESS"])
def test_no_run_is_marked_as_what_is_no_finished_state(stand, state):
    run_id = a_run_in(stand, "failure")
    status, body = stand.ask("POST", f"/api/v1/runs/{run_id}/mark/{state}")
    assert status == 400
    assert state in body["error"]


def test_a_lost_run_shows_as_an_error(stand):
    run_id = stand.a_running_run()
    stand.end_run(run_id, State.LOST, message="lost: the host was rebooted")
    run = stand.ask("GET", f"/api/v1/runs/{run_id}")[1]["runs"][run_id]
    assert run["state"] == "error"
    assert "error" in run["times"]
    assert "lost" not in run["times"]
    listed = stand.ask("GET", "/api/v1/runs?job_id=a&state=error")[1]["runs"]
    assert list(listed) == [run_id]
    record = stand.ask("GET", f"/api/v2/runs/{run_id}")[1]["run"]
    assert (record["lost"], record["reason"]) == (True, "lost: the host was rebooted")
    # An exit record that turns up settles it.
    stand.end_run(run_id, State.SUCCESS)
    assert stand.ask("GET", f"/api/v1/runs/{run_id}/state") == (200, {"state": "success"})


def test_a_rerun_is_a_plain_new_run_of_the_same_instance_with_its_stop_time(stand):
    run_id = stand.a_run(args={"k": "v"}, stop_us=2_000_000_000_000_000)
    body = stand.ask("POST", f"/api/v1/runs/{run_id}/rerun", b"any body at all")[1]
    [run] = body["runs"].values()
    assert (run["job_id"], run["args"]) == ("a", {"k": "v"})
    assert run["times"]["stop"] == "2033-05-18T03:33:20.000+00:00"
    assert "rerun_of" not in run
