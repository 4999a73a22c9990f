"""The contract against a whole server of its own processes, by callsheet's client and stream."""

import asyncio
import json

import pytest
from live_server import PATIENCE_S, Server, end_all_of, until
from websockets.sync.client import connect

from callsheet.client import APIError, Client

pytestmark = pytest.mark.slow

JOBS = {
    "noop": "program: {type: no-op}\n",
    "grp/echo": (
        "params: [word]\n"
        "program: {type: procstar-shell, command: 'echo {{ word }}; sleep 0.2; echo end'}\n"
    ),
    "sleeps": "program: {type: procstar, argv: [sleep, '600']}\n",
    "later": "schedule: {type: interval, interval: 1d}\nprogram: {type: no-op}\n",
}
SETTINGS = "procstar: {agent: {enable: true}}\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"), JOBS, SETTINGS).start()
    yield server
    server.stop()
    end_all_of(server.folder)


@pytest.fixture
def client(server):
    with Client("127.0.0.1", server.port) as client:
        yield client


def finished(client, run_id):
    def over():
        run = client.get_run(run_id)
        return run if run["state"] in ("success", "failure", "error", "skipped") else None

    return until(over, f"the end of {run_id}")


def test_a_no_op_succeeds_and_its_log_says_so(client):
    run_id = client.schedule("noop", {})["run_id"]
    assert finished(client, run_id)["state"] == "success"
    messages = [line["message"] for line in client.get_run_log(run_id)]
    assert messages[0] == "scheduled: now"
    assert messages[1:] == ["starting", "running", "success"]


def test_a_process_prints_and_its_output_is_followed(client):
    run_id = client.schedule("grp/echo", {"word": "hi"})["run_id"]

    async def follow():
        return b"".join([p async for p in client.get_output_data_updates(run_id, start=0)])

    assert asyncio.run(asyncio.wait_for(follow(), PATIENCE_S)) == b"hi\nend\n"
    run = finished(client, run_id)
    assert run["state"] == "success"
    assert run["meta"]["program"]["status"]["exit_code"] == 0
    assert client.get_output(run_id) == b"hi\nend\n"


def test_missing_args_are_an_error_run(client):
    run = finished(client, client.schedule("grp/echo", {})["run_id"])
    assert run["state"] == "error"
    assert b"missing args (word) for job grp/echo" in client.get_output(run["run_id"])


def test_a_running_run_is_stopped(client):
    run_id = client.schedule("sleeps", {})["run_id"]
    until(lambda: client.get_run(run_id)["state"] == "running", "the run to run")
    assert client.stop_run(run_id)["state"] == "stopping"
    run = finished(client, run_id)
    assert (run["state"], run["meta"]["program"]["stop"]["signals"]) == ("failure", ["SIGTERM"])


def test_runs_expected_of_a_schedule_are_listed_and_skipped(client):
    [run_id, *_] = until(lambda: list(client.get_runs(job_id="later")), "expected runs")
    assert client.get_run(run_id)["expected"] is True
    client.skip(run_id)
    run = client.get_run(run_id)
    assert (run["state"], "expected" in run) == ("skipped", False)
    with pytest.raises(APIError) as refused:
        client.start(run_id)
    assert (refused.value.status, refused.value.error) == (
        400,
        f"can't start {run_id} in state skipped",
    )


def test_jobs_are_read_again_and_mistakes_refused(server, client):
    folder = server.folder / "jobs"
    (folder / "new.yaml").write_text("program: {type: no-op}\n")
    assert client.reload_jobs(dry_run=True)["added"] == ["new"]
    (folder / "bad.yaml").write_text("programme: {type: no-op}\n")
    with pytest.raises(APIError) as refused:
        client.reload_jobs()
    assert refused.value.status == 400
    assert refused.value.jso["job_errors"][0][0] == "bad"
    (folder / "bad.yaml").unlink()
    assert client.reload_jobs()["added"] == ["new"]
    assert client.get_job("new")["job_id"] == "new"


def test_the_stream_tells_of_a_run_from_its_making_to_its_end(server, client):
    with connect(f"ws://127.0.0.1:{server.port}/api/v2/stream") as socket:
        page = client.find_runs(limit="1")
        op = {"op": "subscribe", "id": "q", "topic": "runs", "job": "noop"}
        socket.send(json.dumps(op | {"resume": f"{page['epoch']}:{page['seq']}"}))
        run_id = client.schedule("noop", {})["run_id"]
        states = []
        while "success" not in states:
            message = json.loads(socket.recv(timeout=PATIENCE_S))
            states += [r["state"] for r in message.get("runs", ()) if r["run_id"] == run_id]


def test_all_roles_are_up(client):
    until(lambda: client.health()["status"] == "ok", "all roles to answer")


def test_an_agent_is_connected(client):
    until(lambda: client.get("/api/procstar/connections"), "an agent")
    assert "default" in client.get("/api/procstar/groups")
