"""Apsis's own client, as the contract describes it, against a real server with real jobs."""

from __future__ import annotations

import asyncio
import re

import pytest
import requests
from apsis_client import APIError, ApsisClient
from live_server import PATIENCE_S, Server, end_all_of, until

from callsheet import __version__

pytestmark = pytest.mark.slow

SHELL = "program: {type: procstar-shell, command: "
JOBS = {
    "noop": "metadata: {labels: [x, y]}\nprogram: {type: no-op}\n",
    "lasts": "program: {type: no-op, duration: 600}\n",
    "match prefix": "metadata: {labels: x}\nprogram: {type: no-op}\n",
    "match prefix suffix": "program: {type: no-op}\n",
    "grp/echo": f"params: [word]\n{SHELL}'echo {{{{ word }}}} in {{{{ run_id }}}}'}}\n",
    "grp/slow": f"{SHELL}'for n in 1 2 3 4 5; do echo line $n; sleep 0.2; done'}}\n",
    "large": f"{SHELL}'head -c 1500000 /dev/urandom | base64 -w 99'}}\n",
    "traps": f"{SHELL}'trap \"echo got; exit 3\" USR1; echo set; while :; do sleep 0.05; done'}}\n",
    "sleeps": "program: {type: procstar, argv: [sleep, '600']}\n",
    "waits": "params: [date]\ncondition: {type: dependency, job_id: other}\n"
    "program: {type: no-op}\n",
    "other": "params: [date]\nprogram: {type: no-op}\nsuccessors: noop\n",
    "daily": "params: [date]\nschedule: {type: daily, tz: UTC, daytime: '00:00:01'}\n"
    "program: {type: no-op}\n",
}
SETTINGS = "procstar: {agent: {enable: true}}\n"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")
LATER = "2100-01-01T00:00:00Z"
FINISHED = ("success", "failure", "error", "skipped")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("apsis"), JOBS, SETTINGS).start()
    until(lambda: server.get("/api/procstar/connections").json, "the agent")
    yield server
    server.stop()
    end_all_of(server.folder)


@pytest.fixture
def client(server):
    return ApsisClient(("127.0.0.1", server.port))


def finished(client, run):
    run_id = run if isinstance(run, str) else run["run_id"]

    def over():
        found = client.get_run(run_id)
        return found if found["state"] in FINISHED else None

    return until(over, f"the end of {run_id}")


def in_state(client, run, state):
    until(lambda: client.get_run(run["run_id"])["state"] == state, f"{run} to be {state}")
    return run["run_id"]


def messages(client, run_id):
    log = client.get_run_log(run_id)
    for line in log:
        assert set(line) == {"run_id", "timestamp", "message"}
        assert line["run_id"] == run_id
        assert TIME.fullmatch(line["timestamp"])
    assert log == sorted(log, key=lambda line: line["timestamp"])
    return [line["message"] for line in log]


def follow(updates, enough):
    """Collect messages of a socket until they are enough."""

    async def collect():
        found = []
        async for message in updates:
            found.append(message)
            if enough(found):
                break
        return found

    return asyncio.run(asyncio.wait_for(collect(), PATIENCE_S))


def whole(updates):
    return b"".join(follow(updates, lambda _: False))


# --- the server -----------------------------------------------------------------------------------


def test_the_server_is_alive_runs_and_says_its_version(client):
    assert client.alive()
    client.wait_running(10)
    assert client.version() == __version__


def test_the_address_is_taken_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("APSIS_HOST", f"localhost:{server.port}")
    assert ApsisClient().alive()


def test_the_statistics_count_what_waits_and_runs(client):
    before = client.stats()["tasks"]
    waiting = client.schedule("waits", {"date": "stats"})
    running = client.schedule("lasts", {})
    in_state(client, waiting, "waiting")
    in_state(client, running, "running")
    stats = client.stats()
    assert stats["tasks"]["num_waiting"] == before["num_waiting"] + 1
    assert stats["tasks"]["num_running"] == before["num_running"] + 1
    assert stats["tasks"]["num_stopping"] == stats["tasks"]["num_action"] == 0
    assert stats["scheduled"]["num_entries"] >= 1
    assert TIME.fullmatch(stats["start_time"])
    assert stats["rusage_maxrss"] >= 10**6
    client.stop_run(running["run_id"])
    client.skip(waiting["run_id"])


# --- jobs -----------------------------------------------------------------------------------------


def test_jobs_are_listed_by_label_and_found_by_words(client):
    assert {job["job_id"] for job in client.get_jobs()} == set(JOBS)
    assert [job["job_id"] for job in client.get_jobs(label="x")] == ["match prefix", "noop"]
    assert client.get_jobs(label="none") == []
    assert client.get_job("match prefix")["job_id"] == "match prefix"
    assert client.get_job("suf mat")["job_id"] == "match prefix suffix"
    assert client.get_job("grp/echo")["params"] == ["word"]


@pytest.mark.parametrize(
    ("text", "status", "error"),
    [
        ("match pre", 400, "ambiguous job id: match prefix, match prefix suffix"),
        ("Match prefix", 404, "no job_id Match prefix"),
        ("nothing", 404, "no job_id nothing"),
    ],
)
def test_a_job_that_is_not_found_is_said(client, text, status, error):
    with pytest.raises(APIError) as refused:
        client.get_job(text)
    assert (refused.value.status, refused.value.error) == (status, error)


def test_a_jobs_runs_are_listed_also_those_expected(client):
    runs = until(lambda: client.get_job_runs("daily"), "the expected runs")
    for run in runs.values():
        assert (run["state"], run["expected"]) == ("scheduled", True)
        assert run["args"]["date"] == run["times"]["schedule"][:10]
    with pytest.raises(APIError) as refused:
        client.get_job_runs("nothing")
    assert (refused.value.status, refused.value.error) == (400, "no job id match: nothing")


# --- runs -----------------------------------------------------------------------------------------


def test_a_no_op_has_the_shape_of_the_contract(client):
    run = finished(client, client.schedule("noop", {}))
    times = run.pop("times")
    assert run.pop("meta").keys() == {"job", "program", "elapsed"}
    assert run == {
        "job_id": "noop",
        "args": {},
        "run_id": run["run_id"],
        "state": "success",
        "labels": ["x", "y"],
        "conds": [],
        "actions": [],
        "program": {
            "type": "apsis.program.noop.BoundNoOpProgram",
            "duration": None,
            "success": True,
            "str": "no-op",
        },
    }
    assert set(times) == {"schedule", "scheduled", "starting", "running", "success"}
    assert all(TIME.fullmatch(time) for time in times.values())
    assert messages(client, run["run_id"]) == ["scheduled: now", "starting", "running", "success"]


def test_a_process_has_its_meta_and_its_output(client):
    run = finished(client, client.schedule("grp/echo", {"word": "grüße"}))
    run_id, program = run["run_id"], run["meta"]["program"]
    assert run["program"] == {
        "type": "apsis.program.procstar.agent.BoundProcstarProgram",
        "argv": ["/usr/bin/bash", "-c", f"echo grüße in {run_id}"],
        "group_id": "default",
        "stop": {"signal": 15, "grace_period": 60},
        "str": f"/usr/bin/bash -c 'echo grüße in {run_id}'",
    }
    assert program["status"] == {
        "status": 0, "exit_code": 0, "signum": None, "signal": None, "core_dump": False,
    }  # fmt: skip
    assert program["times"]["elapsed"] > 0
    assert program["proc_stat"]["pid"] > 1
    assert program["stop"] == {"signals": []}
    assert program["procstar_conn"]["group_id"] == "default"
    assert {"utime", "stime", "maxrss", "nvcsw"} <= set(program["rusage"])
    data = f"grüße in {run_id}\n".encode()
    assert client.get_outputs(run_id) == [{"output_id": "output", "output_len": len(data)}]
    assert client.get_output(run_id, "output") == data


def test_what_prints_nothing_has_no_output(client):
    run = finished(client, client.schedule_program("now", ["true"]))
    assert client.get_outputs(run["run_id"]) == []
    with pytest.raises(requests.HTTPError) as missing:
        client.get_output(run["run_id"], "output")
    assert missing.value.response.status_code == 404
    assert missing.value.response.json()["error"] == f"no output output for {run['run_id']}"


def test_runs_are_filtered_by_job_state_args_and_id(client):
    red = finished(client, client.schedule("grp/echo", {"word": "red"}))
    blue = finished(client, client.schedule("grp/echo", {"word": "blue"}))
    assert list(client.get_runs(job_id="grp/echo", args={"word": "red"})) == [red["run_id"]]
    assert {red["run_id"], blue["run_id"]} <= set(client.get_runs(job_id="grp echo"))
    assert client.get_runs(job_id="grp/echo", state="failure") == {}
    ids = [red["run_id"], blue["run_id"]]
    assert set(client.get_runs(run_id=ids)) == set(ids)
    assert client.get_runs(run_id=["r99999"]) == {}
    summary = client.get_runs(run_id=ids, summary=True)
    assert {"program", "conds", "actions", "meta"}.isdisjoint(summary[ids[0]])
    assert client.get_runs(job_id="grp/echo", since="2100-01-01T00:00:00Z") == {}
    with pytest.raises(APIError) as refused:
        client.get_runs(state="success")
    assert (refused.value.status, refused.value.error) == (
        400,
        "either run_id or job_id filter is required",
    )


def test_an_unknown_run_is_not_found(client):
    for run_id in ("r99999", "x"):
        with pytest.raises(APIError) as refused:
            client.get_run(run_id)
        assert (refused.value.status, refused.value.error) == (404, f"unknown run {run_id}")
    assert client.get_outputs("r99999") == []


# --- scheduling -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stop_time", "stop"),
    [
        ("1h", "2100-01-01T01:00:00.000+00:00"),
        ("+1s", "2100-01-01T00:00:01.000+00:00"),
        (3600, "2100-01-01T01:00:00.000+00:00"),
        ("2100-01-02T00:00:00+01:00", "2100-01-01T23:00:00.000+00:00"),
    ],
)
def test_runs_are_scheduled_by_count_with_a_stop_time(client, stop_time, stop):
    runs = client.schedule("noop", {}, LATER, count=3, stop_time=stop_time)
    assert len({run["run_id"] for run in runs}) == 3
    for run in runs:
        assert run["state"] == "scheduled"
        assert "expected" not in run
        assert run["times"]["schedule"] == "2100-01-01T00:00:00.000+00:00"
        assert run["times"]["stop"] == stop
        assert messages(client, run["run_id"]) == [
            "scheduled: 2100-01-01T00:00:00+00:00",
            f"stop time: {stop.replace('.000', '')}",
        ]
        client.skip(run["run_id"])
        assert client.get_run(run["run_id"])["state"] == "skipped"


def test_count_one_gives_a_list_of_one(client):
    [run] = client.schedule("noop", {}, count=1)
    assert finished(client, run)["state"] == "success"


def test_a_past_time_is_now(client):
    run = finished(client, client.schedule("noop", {}, "2020-01-01T00:00:00Z"))
    assert run["times"]["schedule"] == "2020-01-01T00:00:00.000+00:00"


def test_args_are_texts_and_wrong_ones_an_error_run(client):
    run = client.schedule("grp/echo", {"zz": 1})
    assert (run["state"], run["args"], run["program"]) == ("error", {"zz": "1"}, None)
    assert "scheduled" not in run["times"]
    assert b"missing args (word) for job grp/echo" in client.get_output(run["run_id"], "output")


def test_programs_and_shell_commands_are_scheduled_ad_hoc(client):
    program = finished(client, client.schedule_program("now", ["echo", "a b", "c"]))
    shell = finished(client, client.schedule_shell_program("now", "echo a   b; exit 4"))
    assert client.get_output(program["run_id"], "output") == b"a b c\n"
    assert client.get_output(shell["run_id"], "output") == b"a b\n"
    assert (program["state"], shell["state"]) == ("success", "failure")
    assert messages(client, shell["run_id"])[-1] == "failure: exit code 4"
    assert re.fullmatch(r"adhoc-[A-Za-z]{12}", program["job_id"])
    # It is found by its exact id alone, listed nowhere, and may be scheduled again.
    assert client.get_job(shell["job_id"])["ad_hoc"] is True
    assert shell["job_id"] not in {job["job_id"] for job in client.get_jobs()}
    with pytest.raises(APIError):
        client.get_job("adhoc")
    again = finished(client, client.schedule(shell["job_id"], {}))
    assert (again["job_id"], again["state"]) == (shell["job_id"], "failure")


def test_an_ad_hoc_job_has_the_schema_of_a_job_file(client):
    job = {
        "params": ["n"],
        "metadata": {"labels": "one"},
        "program": {"type": "no-op", "success": False},
        "condition": {"type": "const", "value": True},
        "action": {"type": "schedule", "job_id": "noop", "if": {"states": "failure"}},
    }
    with pytest.raises(APIError) as refused:
        client.schedule_adhoc("now", job | {"programme": 1})
    assert refused.value.status == 400
    assert "unexpected keys: programme" in refused.value.error
    run = client.schedule_adhoc("now", job)
    assert run["state"] == "error"
    assert b"missing args (n)" in client.get_output(run["run_id"], "output")


# --- operations -----------------------------------------------------------------------------------


def test_a_run_waits_for_its_dependency_and_names_it(client):
    run_id = in_state(client, client.schedule("waits", {"date": "d1"}), "waiting")
    run = client.get_run(run_id)
    assert run["dependencies"] == [["other", {"date": "d1"}]]
    assert [(cond["type"], cond["str"]) for cond in run["conds"]] == [
        ("dependency", "dependency other(date=d1) is success")
    ]
    assert client.get_run_dependencies(run_id) == [
        {"job_id": "other", "args": {"date": "d1"}, "run_ids": []}
    ]
    client.schedule("other", {"date": "d2"})
    needed = finished(client, client.schedule("other", {"date": "d1"}))
    assert finished(client, run_id)["state"] == "success"
    assert client.get_run_dependencies(run_id)[0]["run_ids"] == [needed["run_id"]]
    said = messages(client, run_id)
    assert said[:2] == ["scheduled: now", "waiting"]
    assert "waiting until: dependency other(date=d1) is success" in said
    assert said[-3:] == ["starting", "running", "success"]
    # Its successor was scheduled, and both logs say so.
    [line] = until(
        lambda: [m for m in messages(client, needed["run_id"]) if m.startswith("action")],
        "the successor",
    )
    found = re.fullmatch(r"action scheduling noop\(\) as (r\d+)", line)
    assert found is not None
    assert f"scheduled by action of {needed['run_id']}" in messages(client, found[1])


def test_a_scheduled_run_is_started_by_override_and_its_conditions_hold(client):
    run = client.schedule("waits", {"date": "d3"}, LATER)
    client.start(run["run_id"])
    in_state(client, run, "waiting")
    client.start(run["run_id"])
    assert finished(client, run)["state"] == "success"
    said = messages(client, run["run_id"])
    assert "scheduled run started by override" in said
    assert "waiting run started by override" in said
    with pytest.raises(APIError) as refused:
        client.start(run["run_id"])
    assert (refused.value.status, refused.value.error) == (
        400,
        f"can't start {run['run_id']} in state success",
    )


def test_a_process_is_signalled_and_stopped(client):
    run_id = in_state(client, client.schedule("traps", {}), "running")
    until(lambda: client.get_outputs(run_id), "the trap to be set")
    client.signal(run_id, "USR1")
    run = finished(client, run_id)
    assert (run["state"], run["meta"]["program"]["status"]["exit_code"]) == ("failure", 3)
    assert run["meta"]["program"]["stop"] == {"signals": []}
    assert "sending SIGUSR1" in messages(client, run_id)
    run_id = in_state(client, client.schedule("sleeps", {}), "running")
    assert client.stop_run(run_id)["state"] == "stopping"
    run = finished(client, run_id)
    assert run["meta"]["program"]["status"]["signal"] == "SIGTERM"
    assert run["meta"]["program"]["stop"] == {"signals": ["SIGTERM"]}
    assert messages(client, run_id)[-2:] == ["stopping", "failure: killed by SIGTERM"]
    for act, error in (
        (lambda: client.stop_run(run_id), f"can't stop run {run_id}: run is failure"),
        (lambda: client.signal(run_id, "TERM"), "invalid run state for signal: failure"),
        (lambda: client.signal(run_id, "ODD"), "invalid signal: ODD"),
    ):
        with pytest.raises(APIError) as refused:
            act()
        assert (refused.value.status, refused.value.error) == (400, error)


def test_a_no_op_ignores_signals_and_is_stopped_as_an_error(client):
    run_id = in_state(client, client.schedule("lasts", {}), "running")
    client.signal(run_id, 15)
    client.stop_run(run_id)
    assert finished(client, run_id)["state"] == "error"
    assert messages(client, run_id)[-1] == "error: program stopped"


def test_a_stop_time_in_the_past_stops_the_run_as_it_begins(client):
    run = client.schedule("sleeps", {}, stop_time="2020-01-01T00:00:00Z")
    assert finished(client, run)["state"] == "failure"


def test_a_finished_run_is_marked_and_run_again(client):
    run = finished(client, client.schedule("grp/echo", {"word": "again"}))
    client.mark(run["run_id"], "error")
    marked = client.get_run(run["run_id"])
    assert marked["state"] == "error"
    assert {"success", "error"} <= set(marked["times"])
    assert messages(client, run["run_id"])[-1] == "marked as error"
    new = client.rerun(run["run_id"])
    assert (new["job_id"], new["args"]) == ("grp/echo", {"word": "again"})
    assert finished(client, new)["state"] == "success"
    assert messages(client, new["run_id"])[:2] == [
        "scheduled: now",
        f"scheduled as rerun of {run['run_id']}",
    ]


# --- sockets --------------------------------------------------------------------------------------


def test_output_is_followed_from_its_start_while_it_grows(client):
    run = client.schedule("grp/slow", {})
    data = b"".join(b"line %d\n" % n for n in range(1, 6))
    pieces = follow(
        client.get_output_data_updates(run["run_id"], "output", start=0), lambda _: False
    )
    assert b"".join(pieces) == data
    # It ended by itself: all there was has come, in more than one go.
    assert len(pieces) > 1
    assert finished(client, run)["state"] == "success"
    assert whole(client.get_output_data_updates(run["run_id"], "output", start=7)) == data[7:]
    assert whole(client.get_output_data_updates(run["run_id"], "output", start=999)) == b""
    assert whole(client.get_output_data_updates(run["run_id"], "output")) == b""


def test_a_large_output_comes_whole_by_request_and_by_socket(client):
    run = finished(client, client.schedule("large", {}))
    data = client.get_output(run["run_id"], "output")
    assert len(data) == client.get_outputs(run["run_id"])[0]["output_len"] > 2_000_000
    assert whole(client.get_output_data_updates(run["run_id"], "output", start=0)) == data


def test_a_runs_updates_begin_whole_and_end_with_its_end(client):
    run = client.schedule("grp/slow", {}, LATER)
    run_id = run["run_id"]
    started = False

    def enough(found):
        nonlocal started
        if not started:
            started = True
            client.start(run_id)
        return found[-1].get("run", {}).get("state") in FINISHED

    found = follow(client.get_run_updates(run_id, init=True), enough)
    assert set(found[0]) == {"run", "meta", "run_log", "outputs"}
    assert found[0]["run"]["state"] == "scheduled"
    assert found[0]["outputs"] == {}
    assert {key for message in found[1:] for key in message} == {
        "run", "meta", "run_log_append", "outputs",
    }  # fmt: skip
    appended = [m["run_log_append"]["message"] for m in found if "run_log_append" in m]
    log = [line["message"] for line in found[0]["run_log"]] + appended
    assert log == messages(client, run_id)
    assert set(found[-1]) == {"run", "meta"}
    assert found[-1]["meta"] == client.get_run(run_id)["meta"]
    lengths = [m["outputs"]["output"]["length"] for m in found[1:] if "outputs" in m]
    assert lengths == sorted(lengths)
    assert lengths[-1] == client.get_outputs(run_id)[0]["output_len"]
    # Of a finished run the same, and the socket stays open.
    [first] = follow(client.get_run_updates(run_id, init=True), bool)
    assert first["run"]["state"] == "success"
    assert [line["message"] for line in first["run_log"]] == log
    assert first["outputs"]["output"] == {
        "name": "combined stdout & stderr",
        "length": lengths[-1],
        "content_type": "application/octet-stream",
    }


def test_the_updates_of_an_unknown_run_end_at_once(client):
    assert follow(client.get_run_updates("r99999"), lambda _: False) == []


def test_the_summary_begins_with_jobs_agents_and_runs_and_goes_on(client):
    run = client.schedule("noop", {}, LATER)
    started = False

    def enough(found):
        nonlocal started
        known = [m for m in found if m.get("run_summary", {}).get("run_id") == run["run_id"]]
        if known and not started:
            started = True
            client.skip(run["run_id"])
        return bool(known) and known[-1]["run_summary"]["state"] == "skipped"

    found = follow(client.get_summary(init=True), enough)
    kinds = [message["type"] for message in found]
    assert list(dict.fromkeys(kinds)) == ["job", "agent_conn", "run_summary", "run_transition"]
    assert {m["job"]["job_id"] for m in found if m["type"] == "job"} == set(JOBS)
    agent = next(m["conn"] for m in found if m["type"] == "agent_conn")
    assert agent["info"]["conn"] == {
        "conn_id": "local", "group_id": "default", "restricted_exe": None,
    }  # fmt: skip
    assert found[-1]["type"] == "run_transition"
    assert {"job_id", "args", "run_id", "state", "times", "labels"} == set(found[-1]["run_summary"])


# --- control --------------------------------------------------------------------------------------


def test_jobs_are_reloaded_dry_or_for_good_and_errors_refused(server, client):
    jobs = server.folder / "jobs"
    (jobs / "new.yaml").write_text("program: {type: no-op}\n")
    (jobs / "lasts.yaml").write_text("program: {type: no-op, duration: 601}\n")
    wanted = {"removed": [], "added": ["new"], "changed": ["lasts"]}
    assert client.reload_jobs(dry_run=True) == wanted | {"dry_run": True}
    with pytest.raises(APIError):
        client.get_job("new")

    seen = []

    def enough(found):
        if not seen:
            seen.append(client.reload_jobs())
        return {m["type"] for m in found} >= {"job_add"} and sum(
            m["type"] == "job" and m["job"]["job_id"] == "lasts" for m in found
        ) > 1

    follow(client.get_summary(init=True), enough)
    assert seen == [wanted | {"dry_run": False}]
    assert client.reload_jobs() == {"removed": [], "added": [], "changed": [], "dry_run": False}
    (jobs / "bad.yaml").write_text("program: {type: no-op}\nprogram: {type: no-op}\n")
    with pytest.raises(APIError) as refused:
        client.reload_jobs()
    assert refused.value.status == 400
    assert refused.value.error == "errors loading jobs in jobs"
    assert str(server.folder) not in str(refused.value.jso)
    [(job_id, error)] = refused.value.jso["job_errors"]
    assert job_id == "bad"
    assert "found duplicate key" in error
    assert client.get_job("new")["program"]["type"] == "no-op"


def test_a_server_is_restarted_and_shut_down(tmp_path):
    server = Server(tmp_path, {"noop": JOBS["noop"]}, SETTINGS).start()
    client = ApsisClient(("127.0.0.1", server.port))
    run = finished(client, client.schedule("noop", {}))
    before = client.stats()["start_time"]
    client.shut_down(restart=True)

    def restarted():
        try:
            return client.stats()["start_time"] != before
        except (requests.ConnectionError, APIError):
            return False

    until(restarted, "the restart")
    client.wait_running(PATIENCE_S)
    assert client.get_run(run["run_id"]) == run
    client.shut_down()
    assert server.process.wait(PATIENCE_S) == 0
