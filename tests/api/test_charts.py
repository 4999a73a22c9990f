"""What pages draw of many runs: the day, timelines, histories, the graph and the chain of a run."""

from __future__ import annotations

import pytest
from web_stand import WebStand, a_job, now_us

from callsheet.jobs.bound_conditions import BoundConst, BoundDependency
from callsheet.jobs.conditions import Dependency
from callsheet.jobs.schedules import Interval
from callsheet.jobs.states import State
from callsheet.jobs.times import SECOND_US, format_time, parse_time

HOUR_US = 3600 * SECOND_US
NEED = Dependency(job_id="ingest/raw")
JOBS = (
    a_job("ingest/raw", metadata={"labels": ["early"]}),
    a_job("ingest/clean", conditions=(NEED,), metadata={"labels": ["early", "late"]}),
    a_job("report", conditions=(Dependency(job_id="ingest/clean"),)),
    a_job("alone"),
    a_job("hourly", schedules=(Interval(interval_us=HOUR_US),)),
)


@pytest.fixture
def stand(tmp_path):
    stand = WebStand(tmp_path, jobs=JOBS)
    yield stand
    stand.close()


def ask(stand, path):
    status, answer = stand.ask("GET", path)
    assert status == 200, answer
    return answer


def test_a_day_counts_runs_by_folder_and_marks_them_in_their_bins(stand):
    base = now_us() // HOUR_US * HOUR_US + 3 * HOUR_US
    for hours, job_id in ((0, "ingest/raw"), (0, "ingest/clean"), (1, "alone")):
        stand.a_run(job_id, schedule_us=base + hours * HOUR_US)
    span = f"from={format_time(base)}&to={format_time(base + 2 * HOUR_US)}".replace("+", "%2B")
    day = ask(stand, f"/api/v2/day?{span}&bins=2&q=!hourly")
    groups = {group["name"]: group for group in day["groups"]}
    assert set(groups) == {"", "ingest"}
    assert groups["ingest"]["counts"] == {"scheduled": 2}
    assert groups["ingest"]["marks"] == {"scheduled": [[0, 2]]}
    assert groups[""]["marks"] == {"scheduled": [[1, 1]]}
    assert day["all"]["expected"] == 3
    assert day["complete"]
    assert day["told_to"] == day["to"]


def test_a_day_by_label_has_a_run_under_each_of_its_labels(stand):
    at_us = now_us() + HOUR_US
    stand.a_run("ingest/clean", schedule_us=at_us, labels=("early", "late"))
    day = ask(stand, "/api/v2/day?by=label&q=clean")
    assert [group["name"] for group in day["groups"]] == ["early", "late"]
    assert day["all"]["expected"] == 1


def test_what_schedules_name_but_nobody_has_written_is_to_come(stand):
    day = ask(stand, "/api/v2/day?from=2031-01-01&to=2031-01-02&q=hourly")
    assert day["all"]["counts"] == {"scheduled": 24}


def test_of_more_than_can_be_counted_as_much_is_as_can_be_and_up_to_when(stand, monkeypatch):
    monkeypatch.setattr("callsheet.webui.chart_runs.MOST_NOMINAL", 10)
    day = ask(stand, "/api/v2/day?from=2031-01-01&to=2031-01-02&q=hourly")
    assert (day["all"]["counts"], day["complete"]) == ({"scheduled": 10}, False)
    assert parse_time(day["told_to"]) - parse_time(day["from"]) == 10 * HOUR_US
    monkeypatch.setattr("callsheet.webui.v2_day.MOST_RUNS", 4)
    day = ask(stand, "/api/v2/day?from=2031-01-01&to=2031-01-02&q=hourly")
    assert (day["all"]["counts"], day["complete"]) == ({"scheduled": 4}, False)
    assert parse_time(day["told_to"]) - parse_time(day["from"]) == 4 * HOUR_US
    for hours in range(1, 6):
        stand.a_run("alone", schedule_us=now_us() + hours * HOUR_US)
    day = ask(stand, "/api/v2/day?q=alone")
    assert (day["all"]["expected"], day["told_to"]) == (4, day["from"])


def test_a_run_that_should_have_begun_is_late(stand):
    never = (BoundConst(value=False),)
    stand.a_run("alone", schedule_us=now_us() - 10 * 60 * SECOND_US, conds=never)
    day = ask(stand, "/api/v2/day?q=alone")
    assert day["all"]["counts"]["late"] == 1
    assert len(day["all"]["late"]) == 1


def test_a_day_has_what_went_wrong_and_has_not_been_made_good_however_much_there_is(stand):
    def ended(state, job_id, hours, **args):
        at_us = now_us() - hours * HOUR_US
        run_id = stand.a_running_run(job_id=job_id, schedule_us=at_us, args=args)
        stand.end_run(run_id, state)
        return run_id

    ended(State.FAILURE, "alone", 5, n="solved")
    ended(State.SUCCESS, "alone", 4, n="solved")
    ended(State.SUCCESS, "alone", 6, n="again")
    for hours in (5, 3, 4):
        ended(State.FAILURE, "alone", hours, n="again")
    later = [ended(State.FAILURE, "report", 2, n=str(n)) for n in range(3)]
    lost = ended(State.LOST, "report", 5)
    span = "from=-7h&to=%2B1h"
    assert ask(stand, f"/api/v2/day?{span}")["unsolved"] is None
    found = ask(stand, f"/api/v2/day?{span}&unsolved=3")["unsolved"]
    assert (found["count"], len(found["runs"])) == (5, 3)
    assert found["runs"][0]["run"]["run_id"] == lost
    assert {row["run"]["run_id"] for row in found["runs"][1:]} < set(later)
    [again] = ask(stand, "/api/v2/day?from=-7h&to=-150m&q=n%3Dagain&unsolved=9")["unsolved"]["runs"]
    assert (again["times"], again["run"]["args"]) == (3, {"n": "again"})
    # What came after a span that is over counts as well.
    ended(State.SUCCESS, "alone", 0, n="again")
    assert ask(stand, "/api/v2/day?from=-7h&to=-150m&q=n%3Dagain&unsolved=9")["unsolved"] == {
        "count": 0,
        "runs": [],
    }


def test_a_timeline_has_a_lane_per_job(stand):
    run_id = stand.a_run("alone", schedule_us=now_us() + HOUR_US, args={"n": "1"})
    line = ask(stand, "/api/v2/timeline?q=alone")
    assert [lane["job_id"] for lane in line["jobs"]] == ["alone"]
    bar = line["jobs"][0]["runs"][0]
    assert (bar["run_id"], bar["state"], bar["start"]) == (run_id, "scheduled", None)
    assert bar["args"] == {"n": "1"}


def test_a_span_that_ends_early_is_refused(stand):
    status, answer = stand.ask("GET", "/api/v2/timeline?from=2031-01-02&to=2031-01-01")
    assert status == 400
    assert "span" in answer["error"]


def test_a_history_is_columns_of_one_job(stand):
    stand.a_run("alone", schedule_us=now_us() - HOUR_US)
    stand.a_run("alone", schedule_us=now_us() - 2 * HOUR_US)
    stand.a_run("report", schedule_us=now_us() - HOUR_US)
    history = ask(stand, "/api/v2/history?job=alone")
    assert len(history["number"]) == 2
    assert history["at"] == sorted(history["at"])
    assert history["complete"]


def test_the_graph_around_a_job_has_what_it_needs_and_what_needs_it(stand):
    graph = ask(stand, "/api/v2/graph?focus=ingest/clean")
    assert [node["job_id"] for node in graph["nodes"]] == ["ingest/clean", "ingest/raw", "report"]
    pairs = [(edge["before"], edge["after"], edge["kind"]) for edge in graph["edges"]]
    assert pairs == [
        ("ingest/clean", "report", "needs"),
        ("ingest/raw", "ingest/clean", "needs"),
    ]
    status, _ = stand.ask("GET", "/api/v2/graph?focus=nobody")
    assert status == 404


def test_the_graph_of_a_query_leaves_out_what_hangs_on_nothing(stand):
    graph = ask(stand, "/api/v2/graph")
    assert "alone" not in [node["job_id"] for node in graph["nodes"]]
    graph = ask(stand, "/api/v2/graph?q=label:late")
    assert "ingest/clean" in [node["job_id"] for node in graph["nodes"]]


def test_the_chain_of_a_run_names_runs_before_and_after_it(stand):
    raw = stand.a_run("ingest/raw", schedule_us=now_us() + HOUR_US)
    needs_raw = (BoundDependency(job_id="ingest/raw", args={}),)
    clean = stand.a_run("ingest/clean", schedule_us=now_us() + HOUR_US, conds=needs_raw)
    stand.a_run("ingest/clean", schedule_us=now_us() + HOUR_US)
    chain = ask(stand, f"/api/v2/runs/{clean}/chain")
    assert [need["run"]["run_id"] for need in chain["needs"]] == [raw]
    chain = ask(stand, f"/api/v2/runs/{raw}/chain")
    assert [run["run_id"] for run in chain["needed_by"]] == [clean]
