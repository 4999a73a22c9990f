"""Backfills over the API and by the client."""

import pytest
from web_stand import WebStand, a_job

from callsheet.client import Client
from callsheet.jobs.schedules import Interval
from callsheet.jobs.states import State

HOURLY = Interval(interval_us=3_600_000_000)
JOBS = (
    a_job("shop/load", schedules=(HOURLY,), params=("time",)),
    a_job("other", params=("x",)),
)
SPAN = {"job_id": "load", "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T03:00:00Z"}


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    stand = WebStand(tmp_path_factory.mktemp("stand"), jobs=JOBS)
    yield stand
    stand.close()


def began(stand, **fields):
    return stand.ask("POST", "/api/v2/backfills", SPAN | fields)


def runs_of(stand, backfill_id):
    return stand.ask("GET", f"/api/v2/runs?q=backfill:{backfill_id}")[1]["runs"]


def end(stand, state="running"):
    for run in stand.ask("GET", f"/api/v2/runs?state={state}")[1]["runs"]:
        stand.end_run(run["run_id"], State.SUCCESS)


def test_a_backfill_is_listed_first_then_begun_followed_and_stopped(stand):
    status, listed = began(stand, dry_run=True, order="newest")
    assert (status, listed["left_out"], listed["job_id"]) == (200, 0, "shop/load")
    times = ["2026-01-01T02:00:00+00:00", "2026-01-01T01:00:00+00:00", "2026-01-01T00:00:00+00:00"]
    assert [run["schedule_time"] for run in listed["runs"]] == times
    assert stand.ask("GET", "/api/v2/backfills")[1]["backfills"] == []

    status, answer = began(stand, order="newest")
    one = answer["backfill"]
    assert (status, one["state"], one["total"], one["by"]) == (200, "running", 3, "local")
    assert one["counts"] == {"running": 1, "pending": 2}
    made = runs_of(stand, one["backfill_id"])
    assert [(run["schedule_time"][:19], run["state"], run["held"]) for run in made] == [
        ("2026-01-01T00:00:00", "scheduled", True),
        ("2026-01-01T01:00:00", "scheduled", True),
        ("2026-01-01T02:00:00", "running", False),
    ]
    assert {run["backfill"] for run in made} == {one["backfill_id"]}
    assert [run.get("awaits_turn") for run in made] == [True, True, None]
    page = stand.ask("GET", f"/api/v2/runs/{made[0]['run_id']}")[1]["run"]
    assert f"held for backfill {one['backfill_id']}" in page["log"][0]["message"]

    path = f"/api/v2/backfills/{one['backfill_id']}"
    stopped = stand.ask("POST", f"{path}/stop", {"reason": "wrong table"})[1]["backfill"]
    assert (stopped["state"], stopped["reason"], stopped["withdrawn"]) == (
        "stopping",
        "wrong table",
        2,
    )
    assert len(runs_of(stand, one["backfill_id"])) == 1
    end(stand)
    assert stand.ask("GET", path)[1]["backfill"]["state"] == "stopped"
    assert stand.ask("GET", "/api/v2/backfills")[1]["backfills"][0]["counts"] == {"success": 1}
    status, answer = stand.ask("POST", f"{path}/stop", {})
    assert (status, "it is over" in answer["error"]) == (400, True)


def test_the_client_begins_lists_shows_and_stops_them(stand):
    client = Client("127.0.0.1", stand.port)
    args = {"time": "2026-02-01T01:00:00+00:00"}
    span = ("2026-02-01T00:00:00Z", "2026-02-01T05:00:00Z")
    listed = client.backfill_runs("load", *span, args=args)
    assert [run["args"] for run in listed["runs"]] == [args]
    one = client.backfill("load", *span, parallel=2)
    assert one["counts"] == {"running": 2, "pending": 3}
    assert client.backfills()[0] == one
    assert client.get_backfill(one["backfill_id"]) == one
    assert client.stop_backfill(one["backfill_id"])["withdrawn"] == 3
    end(stand)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"job_id": None}, 400, "job_id: is null: expected a text"),
        ({"job_id": "nothing"}, 400, "no job id match"),
        ({"job_id": "other"}, 400, "job other: has no schedule that is enabled"),
        ({"from": None}, 400, "from: is null: expected a text"),
        ({"from": "soon"}, 400, "from: not a time: 'soon'"),
        ({"to": "+1d"}, 400, "expected a span of time that is over"),
        ({"to": "2025-01-01"}, 400, "expected a span of time that is over"),
        ({"from": "1990-01-01"}, 400, "more than 10000 runs"),
        ({"parallel": 0}, 400, "parallel: expected a whole number from 1 to 1000"),
        (
            {"parallel": True},
            400,
            "parallel: is true or false: expected a whole number from 1 to 1000",
        ),
        ({"order": "random"}, 400, "order: expected one of oldest, newest"),
        ({"again": "yes"}, 400, "again: is a text: expected true or false"),
        ({"args": 3}, 400, "args: is a whole number: expected an object"),
        ({"paralel": 3}, 400, "paralel: not known: expected again, args, "),
    ],
)
def test_a_backfill_that_makes_no_sense_is_refused(stand, body, status, said):
    answered, answer = began(stand, **{"dry_run": True} | body)
    assert (answered, said in answer["error"]) == (status, True), answer


@pytest.mark.parametrize("path", ["b99", "b0", "r1", "b%201"])
def test_an_unknown_backfill_is_told(stand, path):
    assert stand.ask("GET", f"/api/v2/backfills/{path}")[0] == 404
    assert stand.ask("POST", f"/api/v2/backfills/{path}/stop", {})[0] == 404


def test_a_query_for_what_is_no_backfill_says_so(stand):
    status, answer = stand.ask("GET", "/api/v2/runs?q=backfill:7")
    assert (status, "expected an id like b3" in answer["error"]) == (400, True)
