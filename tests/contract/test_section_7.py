"""The REST API of Apsis, statement by statement: what of the contract's sections 6 and 7 the tests
in tests/api do not show beside their own subjects.

Those hold the rest: Apsis's own client (`test_apsis_client.py`), statuses (`test_runs_v1.py`), what
may be done in which state (`test_contract_operations.py`), sockets and outputs.
"""

from __future__ import annotations

import json

import pytest
from web_stand import WebStand, a_job, now_us
from websockets.sync.client import connect

from callsheet.jobs.times import parse_time
from callsheet.messages.agents import AgentInfo
from callsheet.messages.instructions import ApplyJobs, OutputRecord

WAIT_S = 60.0
HOUR_US = 3600 * 10**6
MANY = tuple(f"many {number}" for number in range(10))
JOBS = (
    a_job("a"),
    a_job("grp/deep/b c", metadata={"labels": ["x"]}),
    a_job("params", params=("one", "two", "three", "four")),
    *map(a_job, MANY),
)


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    stand = WebStand(tmp_path_factory.mktemp("stand"), jobs=JOBS)
    yield stand
    stand.close()


def runs_of(found):
    status, body = found
    assert status == 200, body
    return body["runs"]


def refused(found):
    status, body = found
    return status, body["error"]


# --- 7: JSON, and 7.1: errors ---------------------------------------------------------------------


def test_json_is_compact_and_slashes_are_as_they_are(stand):
    _, headers, body = stand.request("GET", "/api/v1/jobs/grp/deep/b%20c")
    assert headers["content-type"] == "application/json"
    assert b'"job_id":"grp/deep/b c"' in body
    assert body == json.dumps(json.loads(body), separators=(",", ":")).encode()


def test_no_header_lets_pages_of_other_origins_read(stand):
    _, headers, _ = stand.request("GET", "/api/v1/jobs", headers={"Origin": "http://example.com"})
    assert not [name for name in headers if name.startswith("access-control-")]


# --- 7.2 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alive", "running"])
def test_a_server_that_is_up_has_nothing_more_to_say(stand, name):
    assert stand.ask("GET", f"/api/v1/{name}") == (200, {})


@pytest.mark.parametrize("path", ["grp/deep/b%20c", "grp%2Fdeep%2Fb%20c", "deep%20b"])
def test_a_job_is_named_by_its_path_encoded_or_not_or_by_words(stand, path):
    assert stand.ask("GET", f"/api/v1/jobs/{path}")[1]["job_id"] == "grp/deep/b c"
    assert stand.ask("GET", f"/api/v1/jobs/{path}/runs")[0] == 200


def test_ad_hoc_jobs_are_in_no_list_but_found_by_their_id(stand):
    [run] = runs_of(stand.ask("POST", "/api/v1/runs", {"job": {"program": "true"}})).values()
    job_id = run["job_id"]
    assert job_id not in [job["job_id"] for job in stand.ask("GET", "/api/v1/jobs")[1]]
    status, job = stand.ask("GET", f"/api/v1/jobs/{job_id}")
    assert (status, job["job_id"], job["ad_hoc"]) == (200, job_id, True)
    assert refused(stand.ask("GET", "/api/v1/jobs/adhoc")) == (404, "no job_id adhoc")
    assert run["run_id"] in runs_of(stand.ask("GET", f"/api/v1/jobs/{job_id}/runs"))


def test_operations_need_no_body_and_heed_none(stand):
    run_id = stand.a_run()
    path = f"/api/v1/runs/{run_id}/skip"
    assert stand.ask("POST", path, b"{no json", headers={"Content-Type": "x/y"}) == (200, {})


# --- 7.3 ------------------------------------------------------------------------------------------


def test_a_job_that_is_given_wins_over_an_id(stand):
    body = {"job": {"program": {"type": "no-op"}}, "job_id": "nothing"}
    [run] = runs_of(stand.ask("POST", "/api/v1/runs", body)).values()
    assert run["job_id"].startswith("adhoc-")


def test_args_may_be_any_scalars_and_become_texts(stand):
    args = {"one": 1, "two": True, "three": 1.5, "four": "x"}
    [run] = runs_of(stand.ask("POST", "/api/v1/runs", {"job_id": "params", "args": args})).values()
    assert run["args"] == {"four": "x", "one": "1", "three": "1.5", "two": "True"}


@pytest.mark.parametrize("times", [None, {}, {"schedule": "now"}])
def test_a_run_is_for_now_unless_a_time_is_given_and_has_no_stop_time(stand, times):
    before_us = now_us() // 1000 * 1000
    body = {"job_id": "a"} | ({} if times is None else {"times": times})
    [run] = runs_of(stand.ask("POST", "/api/v1/runs", body)).values()
    assert parse_time(run["times"]["schedule"]) >= before_us
    assert "stop" not in run["times"]


# --- 7.4, 7.5 -------------------------------------------------------------------------------------


def test_since_compares_with_the_last_change_of_a_run(stand):
    run_id = stand.a_run("many 1")
    skipped = stand.ask("POST", f"/api/v1/runs/{run_id}/skip")
    assert skipped == (200, {})
    times = runs_of(stand.ask("GET", f"/api/v1/runs/{run_id}"))[run_id]["times"]
    at = times["skipped"].replace("+", "%2B")
    # It was to run in an hour: its schedule time is later than either.
    assert list(runs_of(stand.ask("GET", f"/api/v1/runs?job_id=many%201&since={at}"))) == [run_id]
    later = "2100-01-01T00:00:00Z"
    assert runs_of(stand.ask("GET", f"/api/v1/runs?job_id=many%201&since={later}")) == {}


@pytest.mark.parametrize(
    ("text", "short"),
    [
        *((text, True) for text in ("True", "true", "T", "t")),
        *((text, False) for text in ("False", "false", "F", "f")),
    ],
)
def test_summary_is_a_boolean_as_python_people_write_it(stand, text, short):
    run_id = stand.a_run()
    found = runs_of(stand.ask("GET", f"/api/v1/runs?run_id={run_id}&summary={text}"))
    assert ("program" not in found[run_id]) is short


def test_other_parameters_are_args_all_of_which_must_be_those_of_the_run(stand):
    run_id = stand.a_run("many 2", args={"color": "red", "since": "x", "more": "1"})
    stand.a_run("many 2", args={"color": "red", "since": "y"})
    both = "/api/v1/runs?job_id=many%202&color=red"
    assert len(runs_of(stand.ask("GET", both))) == 2
    assert list(runs_of(stand.ask("GET", f"{both}&_since=x"))) == [run_id]
    assert runs_of(stand.ask("GET", f"{both}&color=blue")) == {}
    assert runs_of(stand.ask("GET", f"{both}&size=1")) == {}


def test_a_list_that_would_be_too_long_is_refused_and_says_how_long(stand, monkeypatch):
    monkeypatch.setattr("callsheet.webui.runs_page.LIST_LIMIT", 2)
    for _ in range(3):
        stand.a_run("many 3")
    for path in ("/api/v1/runs?job_id=many%203", "/api/v1/jobs/many%203/runs"):
        status, error = refused(stand.ask("GET", path))
        assert (status, error[:42]) == (400, "query would return 3 runs (limit 2); narro")


def pages(stand, path, cursor):
    """Return the runs of each page from a cursor on."""
    found = []
    while cursor is not None:
        status, body = stand.ask("GET", f"{path}cursor={cursor}")
        assert status == 200, body
        found.append(list(body["runs"]))
        cursor = body["paging"]["next"]
    return found


def test_who_gives_a_cursor_reads_a_list_of_any_length_in_pages(stand, monkeypatch):
    monkeypatch.setattr("callsheet.webui.runs_page.LIST_LIMIT", 2)
    ids = [stand.a_run("many 4", args={"n": str(n)}) for n in range(5)]
    newest_first = ids[::-1]
    for path in ("/api/v1/runs?job_id=many%204&", "/api/v1/jobs/many%204/runs?"):
        first = pages(stand, path, "r999999999999999999")
        assert first == [newest_first[:2], newest_first[2:4], newest_first[4:]]
        assert pages(stand, path, newest_first[0]) == [newest_first[1:3], newest_first[3:]]
    # Runs that are named are one page, whatever the cursor; so is a list that fits.
    for query in (f"run_id={ids[0]}&run_id={ids[1]}&cursor=r1", "job_id=many%204&n=3&cursor="):
        status, body = stand.ask("GET", f"/api/v1/runs?{query}")
        assert (status, body["paging"]) == (200, {"next": None})
        assert set(body["runs"]) == (set(ids[:2]) if "run_id" in query else {ids[3]})


@pytest.mark.parametrize("cursor", ["bad", "r", "5", "r-5", "r1.0", f"r{10**18}", "r1&cursor=r2"])
@pytest.mark.parametrize("path", ["runs?job_id=a&", "jobs/a/runs?"])
def test_a_cursor_is_one_run_id(stand, path, cursor):
    status, error = refused(stand.ask("GET", f"/api/v1/{path}cursor={cursor}"))
    assert (status, error[:6]) == (400, "cursor")


def test_a_span_of_schedule_times_has_its_begin_and_not_its_end(stand):
    days = [f"2026-01-0{day}T09:00:00Z" for day in (1, 2, 3, 4)]
    ids = [stand.a_run("many 5", schedule_us=parse_time(day)) for day in days]
    path = "/api/v1/runs?job_id=many%205"

    def found(query):
        return list(runs_of(stand.ask("GET", path + query)))

    assert found(f"&schedule_since={days[1]}") == [ids[3], ids[2], ids[1]]
    assert found(f"&schedule_until={days[2]}") == [ids[1], ids[0]]
    assert found(f"&schedule_since={days[1]}&schedule_until={days[3]}") == [ids[2], ids[1]]
    # The same instant as another zone has it.
    assert found("&schedule_since=2026-01-04T14:00:00%2B05:00") == [ids[3]]
    # An arg of that name has the mark that takes it for an arg.
    assert found("&_schedule_since=x") == []


@pytest.mark.parametrize("name", ["schedule_since", "schedule_until"])
@pytest.mark.parametrize("text", ["", "now", "2026-01-01", "2026-01-01T00:00:00%2B99:99"])
def test_a_bound_of_schedule_times_is_a_time_with_a_zone(stand, name, text):
    status, error = refused(stand.ask("GET", f"/api/v1/runs?job_id=a&{name}={text}"))
    assert (status, error[:22]) == (400, f"invalid {name}")
    twice = f"/api/v1/runs?job_id=a&{name}=2026-01-01T00:00:00Z&{name}={text}"
    assert refused(stand.ask("GET", twice)) == (400, f"{name} may be given at most once")


@pytest.mark.parametrize("until", ["2026-01-01T00:00:00Z", "2025-01-01T00:00:00Z"])
def test_a_span_of_schedule_times_ends_after_it_begins(stand, until):
    query = f"schedule_since=2026-01-01T00:00:00Z&schedule_until={until}"
    answer = refused(stand.ask("GET", f"/api/v1/runs?job_id=a&{query}"))
    assert answer == (400, "schedule_since must be before schedule_until")


def test_lists_reach_back_so_far_and_a_run_is_found_beyond(tmp_path):
    stand = WebStand(tmp_path, jobs=(a_job("a"),), lookback_us=HOUR_US)
    try:
        old = stand.a_run(schedule_us=now_us() - 2 * HOUR_US)
        new = stand.a_run(schedule_us=now_us() - HOUR_US // 2)
        for path in ("runs?job_id=a", "jobs/a/runs"):
            assert list(runs_of(stand.ask("GET", f"/api/v1/{path}"))) == [new]
        assert old in runs_of(stand.ask("GET", f"/api/v1/runs/{old}"))
        with connect(f"ws://127.0.0.1:{stand.port}/api/v1/summary?init") as socket:
            found = []
            while new not in found:
                messages = json.loads(socket.recv(timeout=WAIT_S))
                found += [m["run_summary"]["run_id"] for m in messages if "run_summary" in m]
            assert old not in found
    finally:
        stand.close()


def test_at_most_eight_of_those_a_word_may_mean_are_named(stand):
    status, error = refused(stand.ask("GET", "/api/v1/jobs/man"))
    assert status == 400
    assert error == f"ambiguous job id: {', '.join(MANY[:8])} …"


# --- 6: runs --------------------------------------------------------------------------------------


def test_times_have_an_entry_for_each_state_that_was_entered(stand):
    run_id = stand.a_running_run()
    stand.end_run(run_id)
    times = runs_of(stand.ask("GET", f"/api/v1/runs/{run_id}"))[run_id]["times"]
    assert set(times) == {"schedule", "scheduled", "starting", "running", "success"}
    moves = [times[name] for name in ("scheduled", "starting", "running", "success")]
    assert moves == sorted(moves)


# --- 7.6, 7.9, 7.10 -------------------------------------------------------------------------------


def test_the_statistics_have_what_readers_use(stand):
    status, stats = stand.ask("GET", "/api/v1/stats")
    assert status == 200
    assert set(stats["tasks"]) == {"num_waiting", "num_running", "num_stopping", "num_action"}
    assert {"num_entries", "num_heap"} <= set(stats["scheduled"])
    assert {"num_expected_runs", "num_active_runs"} <= set(stats["run_store"])
    plain = {"start_time", "time", "rusage_maxrss", "rusage_utime", "rusage_stime", "gc"}
    assert {"async", "statm_size", "statm_resident", *plain} <= set(stats)


@pytest.mark.parametrize(
    ("query", "dry"), [("", False), ("?dry_run=False", False), ("?dry_run=T", True)]
)
def test_a_reload_is_a_real_one_unless_it_says_otherwise_and_names_jobs_in_order(stand, query, dry):
    stand.reload = {"added": ["c", "b"], "changed": [], "removed": ["z", "y"]}
    status, answer = stand.ask("POST", f"/api/control/reload_jobs{query}")
    lists = {"added": ["b", "c"], "changed": [], "removed": ["y", "z"]}
    assert (status, answer) == (200, {**lists, "dry_run": dry})


def test_a_reload_with_mistakes_names_job_and_mistake(stand):
    stand.reload_errors = [["a", "missing key: program"]]
    status, answer = stand.ask("POST", "/api/control/reload_jobs?dry_run=False")
    stand.reload_errors = []
    assert (status, answer["job_errors"]) == (400, [["a", "missing key: program"]])
    assert answer["error"].startswith("errors loading jobs in ")


def test_nobody_gets_into_a_debugger(stand):
    assert stand.ask("GET", "/api/control/debug")[0] == 404


def test_an_agent_is_shown_as_a_connection_by_its_id_and_by_its_group(stand):
    stand.agents = [agent("one"), agent("two", group_id="far", state="draining")]
    _, connections = stand.ask("GET", "/api/procstar/connections")
    _, groups = stand.ask("GET", "/api/procstar/groups")
    stand.agents = []
    assert groups == {"default": [connections["one"]], "far": [connections["two"]]}
    assert [connections[name]["shutdown_state"] for name in ("one", "two")] == ["active", "idling"]
    info = connections["one"]["info"]
    assert {name: set(part) for name, part in info.items()} == {
        "conn": {"conn_id", "group_id", "restricted_exe"},
        "socket": {"address", "port"},
        "proc": {
            *("pid", "ppid", "uid", "euid", "username", "gid", "egid", "groupname", "hostname"),
        },
        "stats": {
            *("connected", "first_connect_time", "last_connect_time", "last_disconnect_time"),
            *("num_connections", "num_received", "num_sent"),
        },
    }


def agent(agent_id, **fields):
    said = {"group_id": "default", "connected": True, "first_seen_us": 1, "last_seen_us": 2}
    return AgentInfo(agent_id=agent_id, **said | fields)


# --- 7.7, 7.8 -------------------------------------------------------------------------------------


def test_an_output_that_is_not_compressed_names_no_encoding(stand):
    run_id = stand.a_running_run()
    record = OutputRecord(run_id=run_id, length=2, data=b"hi", content_type="text/plain")
    stand.end_run(run_id, outputs=[record])
    _, headers, body = stand.request("GET", f"/api/v1/runs/{run_id}/output/output")
    assert (body, headers["content-type"]) == (b"hi", "text/plain")
    assert "content-encoding" not in headers


def test_the_summary_tells_of_jobs_agents_and_runs_that_come_and_go(stand):
    stand.agents = [agent("here")]
    with connect(f"ws://127.0.0.1:{stand.port}/api/v1/summary?init") as socket:
        wait_for(socket, "agent_conn")
        stand.apply(a_job("new"))
        assert wait_for(socket, "job_add")["job"]["job_id"] == "new"
        change(stand, set_jobs={"new": "h-new"}, changed=["new"])
        assert wait_for(socket, "job")["job"]["job_id"] == "new"
        change(stand, removed_jobs=["new"])
        assert wait_for(socket, "job_delete") == {"type": "job_delete", "job_id": "new"}
        stand.agents = []
        gone = wait_for(socket, "agent_conn_delete")
        assert gone == {"type": "agent_conn_delete", "conn_id": "here"}


def change(stand, **changes):
    stand.tell(
        lambda: ApplyJobs(based_on=stand.ledger.book.jobs_version, at_us=now_us(), **changes)
    )


def wait_for(socket, kind):
    """Read on; return the first message of a kind in a frame that has one."""
    while True:
        for message in json.loads(socket.recv(timeout=WAIT_S)):
            if message["type"] == kind:
                return message


def test_the_first_that_is_told_of_a_new_run_is_that_it_is_scheduled(stand):
    with connect(f"ws://127.0.0.1:{stand.port}/api/v1/summary?init") as socket:
        wait_for(socket, "run_summary")
        run_id = stand.a_run("many 5")
        while True:
            message = wait_for(socket, "run_transition")
            if message["run_summary"]["run_id"] == run_id:
                break
        assert message["run_summary"]["state"] == "scheduled"
