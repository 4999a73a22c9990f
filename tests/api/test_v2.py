"""callsheet's own API: lists by query, one run's page, operations, jobs, server."""

import os
import signal
import threading

import pytest
from web_stand import WebStand, now_us

from callsheet.client import APIError, Client
from callsheet.jobs.bound_conditions import BoundConst, BoundDependency, BoundMaxRunning
from callsheet.jobs.findings import Finding
from callsheet.jobs.retry import Retry
from callsheet.jobs.states import State
from callsheet.messages.agents import AgentInfo
from callsheet.messages.instructions import CheckReport, NoteRun, OutputRecord

DAY_US = 86_400 * 10**6


def listed(stand, query):
    status, body = stand.ask("GET", f"/api/v2/runs?{query}")
    assert status == 200, body
    return [run["run_id"] for run in body["runs"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "bac"), ("job=a", "a"), ("job=match", "b"), ("job=grp", "c"), ("job=none", ""),
        ("job=match+prefix", "b"),
        ("q=mat+pre", "b"), ("q=!match", "ac"), ("q=color=red", "a"), ("q=color=", "abc"),
        ("q=!color=red", "bc"), ("q=color=red,blue", "ab"), ("arg=color%3Dred", "a"),
        ("state=skipped", "b"), ("state=skipped,scheduled", "abc"), ("q=!state:skipped", "ac"),
        ("label=fast", "a"), ("q=label:fast,slow", "ab"), ("q=!label:fast", "bc"),
        ("q=state:scheduled+color=red", "a"), ("q=id:r1", "a"), ("q=held:yes", "c"),
        ("state=held", "c"), ("q=adhoc:yes", ""), ("since=%2B23h", "c"), ("until=%2B23h", "ab"),
    ],
)  # fmt: skip
def test_queries_find_their_runs(stand, query, expected):
    soon, late = now_us() + 3600 * 10**6, now_us() + DAY_US
    a = stand.a_run(args={"color": "red"}, labels=("fast",), schedule_us=soon)
    b = stand.a_run("match prefix", args={"color": "blue"}, labels=("slow",), schedule_us=soon)
    c = stand.a_run("grp/with params", args={"color": "green"}, schedule_us=late)
    stand.ask("POST", f"/api/v2/runs/{b}/skip")
    stand.ask("POST", f"/api/v2/runs/{c}/hold")
    ids = {a: "a", b: "b", c: "c"}
    assert {ids[run_id] for run_id in listed(stand, query)} == set(expected)


@pytest.mark.parametrize("query", ["q=", "q=color="])
def test_pages_follow_each_other_without_gap_or_double(stand, query):
    made = [stand.a_run(args={"color": str(i % 2)}) for i in range(7)]
    found, cursor, pages = [], "", 0
    while cursor is not None:
        status, body = stand.ask("GET", f"/api/v2/runs?{query}&limit=3{cursor}")
        assert status == 200
        found += [run["run_id"] for run in body["runs"]]
        cursor = body["next_cursor"] and f"&cursor={body['next_cursor']}"
        pages += 1
    assert (found, pages) == (made[::-1], 3)


def test_counts_are_of_the_query_without_its_states(stand):
    stand.a_run()
    stand.ask("POST", f"/api/v2/runs/{stand.a_run()}/skip")
    _, body = stand.ask("GET", "/api/v2/runs?state=skipped")
    assert (body["counts"]["skipped"], body["counts"]["scheduled"]) == (1, 1)
    assert {"epoch", "seq", "now"} <= set(body)


def test_a_runs_page_says_all_there_is(stand):
    run_id = stand.a_running_run()
    record = OutputRecord(run_id=run_id, length=2, data=b"hi")
    stand.end_run(run_id, outputs=[record])
    status, body = stand.ask("GET", f"/api/v2/runs/{run_id}")
    assert status == 200
    run = body["run"]
    assert (run["state"], run["attempt"], run["agent"], run["lost"]) == ("success", 1, "one", False)
    assert [line["state"] for line in run["log"] if line["state"]] == [
        "scheduled", "starting", "running", "success",
    ]  # fmt: skip
    assert set(run["log"][0]) == {"seq", "time", "kind", "state", "message", "cause"}
    assert [output["length"] for output in run["outputs"]] == [2]
    assert run["why"]
    assert run["program"]["str"]
    assert run["operations"] == ["rerun", "mark"]


def test_the_attempts_of_a_run_are_shown_together_each_with_its_output(stand):
    run_id = stand.a_running_run(retry=Retry(attempts=2))
    record = OutputRecord(run_id=run_id, length=2, data=b"no")
    stand.end_run(run_id, State.FAILURE, message="exit code 1", outputs=[record])
    _, body = stand.ask("GET", f"/api/v2/runs/{run_id}")
    run = body["run"]
    assert (run["state"], run["operations"]) == (
        "waiting",
        ["start", "hold", "rerun", "skip", "stop"],
    )
    assert run["why"][0].endswith("before it is tried again.")
    [first] = run["attempts"]
    assert (first["attempt"], first["state"], first["reason"]) == (1, "failure", "exit code 1")
    assert first["started"] <= first["ended"]
    stand.ask("POST", f"/api/v2/runs/{run_id}/start")
    _, body = stand.ask("GET", f"/api/v2/runs/{run_id}")
    states = [(one["attempt"], one["state"], one["ended"]) for one in body["run"]["attempts"]]
    assert states[0] == (1, "failure", first["ended"])
    assert states[1][0] == 2
    assert states[1][2] is None
    path = f"/api/v2/runs/{run_id}/output/output"
    assert stand.ask("GET", f"{path}?attempt=1")[1]["data"] == "no"
    assert stand.ask("GET", f"{path}?attempt=2")[1]["data"] == ""
    assert stand.ask("GET", f"{path}?attempt=3")[0] == 404


def test_the_one_attempt_of_a_run_without_retries_is_listed_too(stand):
    run_id = stand.a_running_run()
    stand.end_run(run_id)
    _, body = stand.ask("GET", f"/api/v2/runs/{run_id}")
    assert [(one["attempt"], one["state"]) for one in body["run"]["attempts"]] == [(1, "success")]
    _, body = stand.ask("GET", f"/api/v2/runs/{stand.a_run()}")
    assert body["run"]["attempts"] == []


def test_a_waiting_run_says_what_each_condition_waits_for(stand):
    conds = (
        BoundDependency(job_id="dep", args={}),
        BoundMaxRunning(count=1, job_id="a", args={}),
    )
    run_id = stand.a_run(schedule_us=0, conds=conds)
    line = "waiting until: dependency dep() is success"
    stand.tell(lambda: NoteRun(run_id=run_id, message=line), sender="waiter/0")
    _, body = stand.ask("GET", f"/api/v2/runs/{run_id}")
    run = body["run"]
    assert [(one["condition"], one["met"], one["reason"]) for one in run["waits_for"]] == [
        (
            "dependency dep() is success",
            False,
            "no run of dep() is success: it has no run",
        ),
        ("fewer than 1 runs of a() running", True, "0 of 1 starting or running"),
    ]
    [sentence] = run["why"]
    assert sentence.startswith("It waits until dependency dep() is success, since 20")
    assert sentence.endswith(": no run of dep() is success: it has no run.")


def test_a_condition_that_was_passed_stays_passed(stand):
    conds = (BoundDependency(job_id="dep", args={}), BoundConst(value=False))
    run_id = stand.a_run(schedule_us=0, conds=conds)
    for words in ("dependency dep() is success", "constant False"):
        note = NoteRun(run_id=run_id, message=f"waiting until: {words}")
        stand.tell(lambda note=note: note, sender="waiter/0")
    _, body = stand.ask("GET", f"/api/v2/runs/{run_id}")
    assert [one["met"] for one in body["run"]["waits_for"]] == [True, False]


def test_a_span_of_an_output_is_read_from_either_end(stand):
    run_id = stand.a_running_run()
    stand.end_run(run_id, outputs=[OutputRecord(run_id=run_id, length=5, data=b"hello")])
    path = f"/api/v2/runs/{run_id}/output/output"
    _, body = stand.ask("GET", f"{path}?start=1&limit=2")
    assert (body["data"], body["length"], body["ended"]) == ("el", 5, False)
    _, body = stand.ask("GET", f"{path}?start=-2")
    assert (body["start"], body["data"], body["ended"]) == (3, "lo", True)


def test_holding_and_releasing(stand):
    run_id = stand.a_run()
    status, body = stand.ask("POST", f"/api/v2/runs/{run_id}/hold", {"reason": "wait\nfor me"})
    assert (status, body["run"]["held"], body["run"]["reason"]) == (200, True, "wait for me")
    held, starts = "It is due at ", "It starts at "
    assert stand.ask("GET", f"/api/v2/runs/{run_id}")[1]["run"]["why"][0].startswith(held)
    status, body = stand.ask("POST", f"/api/v2/runs/{run_id}/release")
    assert (status, body["run"]["held"]) == (200, False)
    assert stand.ask("GET", f"/api/v2/runs/{run_id}")[1]["run"]["why"][0].startswith(starts)
    status, body = stand.ask("POST", f"/api/v2/runs/{run_id}/release")
    assert (status, body["error"]) == (400, f"can't release {run_id}: it is not held")


@pytest.mark.parametrize(
    ("verb", "body", "status"),
    [
        ("stop", {}, 200), ("kill", {}, 200), ("signal", {"signal": "USR1"}, 200),
        ("signal", {}, 400), ("signal", {"signal": [1]}, 400), ("mark", {"state": "odd"}, 400),
        ("mark", {"state": "success"}, 400), ("odd", {}, 404), ("skip", {"reason": 7}, 400),
        ("skip", {"reason": "x" * 2000}, 400), ("skip", [], 400),
    ],
)  # fmt: skip
def test_operations_on_a_running_run(stand, verb, body, status):
    run_id = stand.a_running_run()
    assert stand.ask("POST", f"/api/v2/runs/{run_id}/{verb}", body)[0] == status


def test_a_body_must_say_that_it_is_json(stand):
    run_id = stand.a_run()
    headers = {"Content-Type": "text/plain"}
    status, _ = stand.ask("POST", f"/api/v2/runs/{run_id}/skip", {"x": 1}, headers=headers)
    assert status == 415


def test_runs_are_scheduled_and_run_again(stand):
    status, body = stand.ask("POST", "/api/v2/runs", {"job_id": "a", "count": 2})
    assert (status, len(body["runs"])) == (200, 2)
    run_id = body["runs"][0]["run_id"]
    status, body = stand.ask("POST", f"/api/v2/runs/{run_id}/rerun")
    assert (status, len(body["runs"])) == (200, 1)
    assert stand.ask("POST", "/api/v2/runs", {"job_id": "a", "count": 0})[0] == 400


def test_jobs_are_listed_with_what_comes_and_what_was(stand):
    stand.a_run(schedule_us=2 * 10**15)
    over = stand.a_run(schedule_us=now_us())
    status, body = stand.ask("GET", "/api/v2/jobs")
    assert status == 200
    assert [job["job_id"] for job in body["jobs"]] == [
        "a", "grp/with params", "match prefix", "match prefix suffix",
    ]  # fmt: skip
    job = body["jobs"][0]
    assert (job["description"], job["labels"], job["params"]) == ("Loads", ["x"], [])
    assert job["next"].startswith("2033-")
    assert over in [run["run_id"] for run in job["last"]]


def test_a_jobs_page_has_a_description_that_can_do_no_harm(stand):
    status, body = stand.ask("GET", "/api/v2/jobs/a")
    assert status == 200
    html = body["description_html"]
    assert "<h1>Loads</h1>" in html
    assert "<b>" not in html
    assert 'href="javascript' not in html
    assert body["job"]["job_id"] == "a"
    assert stand.ask("GET", "/api/v2/jobs/grp/with%20params")[1]["params"] == ["color", "date"]
    assert stand.ask("GET", "/api/v2/jobs/none")[0] == 404


def test_jobs_are_found_by_words_in_the_contracts_way(stand):
    assert stand.ask("GET", "/api/v1/jobs/match%20prefix")[1]["job_id"] == "match prefix"
    status, body = stand.ask("GET", "/api/v1/jobs/match%20pre")
    assert (status, body["error"]) == (
        400,
        "ambiguous job id: match prefix, match prefix suffix",
    )
    status, body = stand.ask("GET", "/api/v1/jobs/none")
    assert (status, body["error"]) == (404, "no job_id none")
    status, body = stand.ask("GET", "/api/v1/jobs/none/runs")
    assert (status, body["error"]) == (400, "no job id match: none")
    assert [job["job_id"] for job in stand.ask("GET", "/api/v1/jobs?label=x")[1]] == ["a"]


def test_agents_are_shown_in_all_three_ways(stand):
    stand.agents = [
        AgentInfo(
            agent_id="one", group_id="g", connected=True, first_seen_us=1, last_seen_us=2, pid=3
        )
    ]
    [agent] = stand.ask("GET", "/api/v2/agents")[1]["agents"]
    assert (agent["agent_id"], agent["processes"][0]["pid"]) == ("one", 7)
    conn = stand.ask("GET", "/api/procstar/connections")[1]["one"]
    assert conn["info"]["conn"]["group_id"] == "g"
    assert conn["info"]["proc"]["pid"] == 3
    assert list(stand.ask("GET", "/api/procstar/groups")[1]) == ["g"]


def test_findings_are_shown(stand):
    finding = Finding(key="k", check="c", severity="warning", sentence="Odd.")
    stand.tell(
        lambda: CheckReport(at_us=10**15, checks=["c"], findings=[finding]), sender="checker/0"
    )
    _, body = stand.ask("GET", "/api/v2/checks")
    assert body["checked_at"].startswith("2001-")
    assert [one["sentence"] for one in body["findings"]] == ["Odd."]
    stand.tell(lambda: CheckReport(at_us=2 * 10**15, checks=["c"]), sender="checker/0")
    _, body = stand.ask("GET", "/api/v2/checks")
    assert body["findings"] == []
    assert [(one["key"], one["closed"][:5]) for one in body["closed"]] == [("k", "2033-")]
    assert [(one["opened"], one["closed"]) for one in body["rounds"]] == [(0, 1), (1, 0)]
    _, body = stand.ask("GET", "/api/v2/checks?limit=1")
    assert len(body["rounds"]) == 1
    assert stand.ask("GET", "/api/v2/checks?limit=-1")[0] == 400


def test_a_round_of_checks_is_asked_for(stand):
    status, body = stand.ask("POST", "/api/v2/checks")
    assert status == 200
    assert body["asked"].endswith("+00:00")


def test_health_metrics_and_stats(stand):
    stand.a_run()
    stand.ask("GET", "/api/v1/running")
    _, body = stand.ask("GET", "/api/v2/health")
    assert body["status"] == "ok"
    assert {role["status"] for role in body["roles"].values()} == {"up"}
    assert stand.ask("GET", "/healthz") == (200, {})
    _, headers, text = stand.request("GET", "/metrics")
    assert b'callsheet_runs{state="scheduled"} 1.0' in text
    assert headers["content-type"].startswith("text/plain")
    _, stats = stand.ask("GET", "/api/v1/stats")
    assert stats["scheduled"]["num_entries"] == 1
    assert stats["tasks"]["num_running"] == 0


def test_reloads_say_what_changed_or_what_is_wrong(stand):
    stand.reload = {"added": ["z", "b"], "changed": [], "removed": ["c"]}
    assert stand.ask("POST", "/api/control/reload_jobs?dry_run=True") == (
        200,
        {"removed": ["c"], "added": ["b", "z"], "changed": [], "dry_run": True},
    )
    assert stand.ask("POST", "/api/control/reload_jobs")[1]["dry_run"] is False
    assert stand.ask("POST", "/api/v2/reload", {"dry_run": True})[1]["dry_run"] is True
    stand.reload_errors = [["a", "missing key: program"]]
    status, body = stand.ask("POST", "/api/control/reload_jobs?dry_run=False")
    assert (status, body["job_errors"]) == (400, [["a", "missing key: program"]])
    assert stand.ask("POST", "/api/control/reload_jobs?dry_run=1")[0] == 400


def test_the_client_speaks_all_of_it(stand):
    with Client(("127.0.0.1", stand.port)) as client:
        client.wait_running(20)
        assert client.alive()
        assert client.version() == "1.2.3"
        run = client.schedule("a", {"n": 1}, "2100-01-01T00:00:00Z")
        run_id = run["run_id"]
        assert client.get_run(run_id)["args"] == {"n": "1"}
        assert list(client.get_runs(job_id="a", args={"n": "1"})) == [run_id]
        assert client.hold(run_id)["run"]["held"]
        client.release(run_id)
        client.skip(run_id)
        client.mark(run_id, "error")
        assert client.get_run_log(run_id)[-1]["message"] == "marked as error"
        assert len(client.schedule("a", {}, count=2)) == 2
        assert client.rerun(run_id)["run_id"] != run_id
        assert client.get_job("match prefix")["job_id"] == "match prefix"
        assert len(client.get_jobs()) == 4
        assert client.get_outputs(run_id) == []
        assert client.get_run_dependencies(run_id) == []
        assert client.schedule_shell_program("now", "echo hi")["run_id"]
        running = stand.a_running_run()
        client.signal(running, signal.SIGUSR1)
        assert client.stop_run(running)["state"] == "stopping"
        with pytest.raises(APIError) as refused:
            client.get_run("r999")
        assert (refused.value.status, refused.value.error) == (404, "unknown run r999")
        assert client.reload_jobs(dry_run=True)["dry_run"]
        assert client.stats()["time"]


def test_shutting_down_asks_the_supervisor(stand, tmp_path):
    assert stand.ask("POST", "/api/control/shut_down")[0] == 503
    heard = threading.Event()
    old = signal.signal(signal.SIGTERM, lambda number, frame: heard.set())
    folder = tmp_path / "supervised"
    folder.mkdir()
    supervised = WebStand(folder, shut_down_pid=os.getpid())
    try:
        assert supervised.ask("POST", "/api/control/shut_down") == (200, {})
        assert heard.wait(20)
    finally:
        supervised.close()
        signal.signal(signal.SIGTERM, old)


def test_running_waits_until_all_are_there(tmp_path, monkeypatch):
    monkeypatch.setattr("callsheet.webui.v1_jobs.RUNNING_S", 0.3)
    stand = WebStand(tmp_path, lost=("scheduler/0",))
    try:
        assert stand.ask("GET", "/api/v1/running")[0] == 503
        assert stand.ask("GET", "/api/v1/alive") == (200, {})
        monkeypatch.setattr("callsheet.webui.v1_jobs.RUNNING_S", 20)
        stand.lost.clear()
        assert stand.ask("GET", "/api/v1/running") == (200, {})
    finally:
        stand.close()


def test_the_schema_of_job_files_is_there_for_editors(stand):
    status, schema = stand.ask("GET", "/api/v2/schema/job")
    assert status == 200
    assert schema["title"] == "A job of callsheet"
    assert schema["required"] == ["program"]
    assert {"interval", "phase"} <= set(schema["$defs"]["schedule interval"]["properties"])
