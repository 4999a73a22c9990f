"""Both clients have one surface, and do the same with it against a real server's side."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from web_stand import WebStand, a_job

from callsheet.client import APIError, AsyncClient, Client, NoServer
from callsheet.client.endpoint import endpoint
from callsheet.client.surface import Surface
from callsheet.messages.instructions import OutputRecord

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "client"))
WAIT_S = 120.0


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    bind = ("127.0.0.1:0", f"unix:{folder}/s")
    stand = WebStand(
        folder,
        jobs=(a_job("a"), a_job("reports/daily", params=("date",))),
        bind=bind,
        socket_mode=0o600,
    )
    stand.unix = f"unix:{folder}/s"
    yield stand
    stand.close()


class InTurn:
    """An `AsyncClient` that is called like a `Client`, for tests of both."""

    def __init__(self, *args):
        self._client = AsyncClient(*args)
        self._runner = asyncio.Runner()

    def __getattr__(self, name):
        found = getattr(self._client, name)

        def call(*args, **kwargs):
            async def awaited():
                return await found(*args, **kwargs)

            return self._runner.run(awaited())

        return call

    def close(self):
        self._runner.run(self._client.aclose())
        self._runner.close()


@pytest.fixture(params=[Client, InTurn], ids=["sync", "async"])
def client(request, stand):
    with contextlib.closing(request.param("127.0.0.1", stand.port)) as client:
        yield client


def test_every_method_of_the_one_table_is_a_method_of_both():
    table = {name for name, found in vars(Surface).items() if isinstance(found, endpoint)}
    assert len(table) > 40
    for kind in (Client, AsyncClient):
        assert table <= set(dir(kind))
    public = {
        kind: {name for name in dir(kind) if not name.startswith("_")}
        for kind in (Client, AsyncClient)
    }
    assert public[Client] ^ public[AsyncClient] == {"close", "aclose"}
    assert inspect.getdoc(Client.get_run) == "Return a run."
    assert list(inspect.signature(Client.get_run).parameters) == ["self", "run_id"]


def test_a_run_is_asked_for_acted_on_and_found(client, stand):
    client.wait_running(WAIT_S)
    assert client.alive() is True
    run_id = stand.a_run(args={"k": "ü /?"})
    assert client.get_run(run_id)["state"] == "scheduled"
    assert client.hold(run_id, "later")["run"]["held"] is True
    client.release(run_id)
    assert client.skip(run_id) is None
    assert [line["message"] for line in client.get_run_log(run_id)][-1] == "skipped"
    found = client.find_runs(arg="k=ü /?", state=["skipped"])
    assert run_id in [run["run_id"] for run in found["runs"]]
    made = client.schedule("a", {}, "now", count=2)
    assert len(made) == 2
    assert client.rerun(made[0]["run_id"])["job_id"] == "a"
    assert client.get_jobs()[0]["job_id"] == "a"
    assert client.pauses() == []


def test_the_bytes_of_an_output_are_whole(client, stand):
    data = bytes(range(256)) * 40_000
    run_id = stand.a_running_run()
    stand.end_run(run_id, outputs=[OutputRecord(run_id=run_id, length=len(data), data=data)])
    assert client.get_output(run_id) == data


def test_an_error_of_the_server_is_an_exception_with_all_it_said(client):
    with pytest.raises(APIError) as refused:
        client.get_run("r999999")
    assert (refused.value.status, refused.value.error) == (404, "unknown run r999999")
    assert "request_id" in refused.value.jso
    with pytest.raises(APIError, match="400"):
        client.schedule("a", {}, "never")


@pytest.mark.parametrize("kind", [Client, InTurn])
def test_where_nobody_listens_is_said(kind):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # not listened on
        port = bound.getsockname()[1]
        with contextlib.closing(kind("127.0.0.1", port)) as client:
            with pytest.raises(NoServer, match=f"127.0.0.1:{port}: no answer: .*refused"):
                client.alive()
            with pytest.raises(TimeoutError, match=r"not running after 0\.1 s"):
                client.wait_running(0.1)


@pytest.mark.parametrize("kind", [Client, InTurn])
def test_who_does_not_answer_is_given_up(kind):
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        contextlib.closing(kind("127.0.0.1", silent.getsockname()[1])) as client,
        pytest.raises(TimeoutError),
    ):
        client.get("/api/v2/health", timeout_s=0.2)


@pytest.mark.parametrize("kind", [Client, InTurn])
def test_a_unix_socket_is_reached_by_both(kind, stand):
    with contextlib.closing(kind(stand.unix)) as client:
        assert client.health()["epoch"] == stand.ledger.epoch


def test_what_is_followed_is_iterated_over_with_and_without_a_loop(stand):
    run_id = stand.a_run()
    found = []
    with Client("127.0.0.1", stand.port) as client:
        for message in client.follow("run", {"run_id": run_id}):
            found.append(message["run"]["state"])
            if len(found) == 1:
                stand.ask("POST", f"/api/v1/runs/{run_id}/skip")
            if found[-1] == "skipped":
                break
    assert found == ["scheduled", "skipped"]

    async def follow():
        async with AsyncClient("127.0.0.1", stand.port) as client:
            updates = client.follow("run", {"run_id": run_id})
            async with contextlib.aclosing(updates):
                return (await anext(updates))["run"]["state"]

    assert asyncio.run(asyncio.wait_for(follow(), WAIT_S)) == "skipped"


def test_what_ends_by_itself_ends_a_plain_loop(stand):
    data = b"line\n" * 1_000
    run_id = stand.a_running_run()
    stand.end_run(run_id, outputs=[OutputRecord(run_id=run_id, length=len(data), data=data)])
    with Client("127.0.0.1", stand.port) as client:
        assert b"".join(client.get_output_data_updates(run_id, start=0)) == data


def test_many_tasks_ask_at_once(stand):
    async def ask():
        async with AsyncClient("127.0.0.1", stand.port) as client:
            return await asyncio.gather(*(client.alive() for _ in range(50)))

    assert asyncio.run(asyncio.wait_for(ask(), WAIT_S)) == [True] * 50


def test_the_example_runs_with_both_clients(stand):
    import watch

    with Client("127.0.0.1", stand.port) as client:
        assert watch.run_and_wait(client, "a") == "success"

    async def run_all():
        async with AsyncClient("127.0.0.1", stand.port) as client:
            return await watch.run_all(client, "a", 3)

    assert asyncio.run(asyncio.wait_for(run_all(), WAIT_S)) == ["success"] * 3


def test_the_examples_of_the_docs_do_what_they_say(stand, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    section = page[page.index("\n## Python\n") :]
    blocks = re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    monkeypatch.setenv("CALLSHEET_HOST", f"127.0.0.1:{stand.port}")
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "docs/api.md", "exec"), {"__name__": "example"})
    said = capsys.readouterr().out.splitlines()
    assert "success" in said
    assert any(re.fullmatch(r"400 can't skip r\d+ in state success", line) for line in said)
    named = set(re.findall(r"`(\w+)`", section[section.index("They have the methods") :]))
    methods = {name for name in named if hasattr(Surface, name) or hasattr(Client, name)}
    assert "`follow(topic" in section
    assert {"find_runs", "operate", "backfill", "get", "put"} <= methods


def test_the_ordinary_client_brings_no_event_loop_along():
    code = (
        "import sys; from callsheet.client import Client; "
        "print([name for name in ('tornado', 'asyncio', 'typing', 'zmq') if name in sys.modules])"
    )
    command = [sys.executable, "-I", "-c", code]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (said.stdout, said.stderr) == ("[]\n", "")
