"""The server at a Unix socket: reached by every client, by whoever its mode lets, and no one else's
file is touched."""

import asyncio
import os
import pwd
import socket
import stat

import pytest
from web_stand import WebStand, a_job

from callsheet.cli import people
from callsheet.cli.lazy import guarded
from callsheet.client.client import Client
from callsheet.client.stream import follow_topic
from callsheet.jobs.errors import UserError
from callsheet.webui.app import WebServer
from callsheet.webui.services import WebSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("unix")


@pytest.fixture(scope="module")
def stand(folder):
    bind = ("127.0.0.1:0", f"unix:{folder}/s")
    stand = WebStand(folder, jobs=(a_job("a"),), bind=bind, socket_mode=0o660)
    yield stand
    stand.close()
    assert not (folder / "s").exists(), "the socket goes with its server"


@pytest.fixture
def address(stand, folder):
    return f"unix:{folder}/s"


def test_it_is_there_besides_other_addresses_with_the_mode_that_was_asked_for(stand, folder):
    assert stand.ask("GET", "/healthz") == (200, {})
    assert stat.S_IMODE((folder / "s").stat().st_mode) == 0o660


def test_a_client_asks_and_acts_through_it(stand, address):
    with Client(address) as client:
        assert client.alive()
        assert client.url == address
        run_id = stand.a_run()
        client.skip(run_id)
        assert client.get_run(run_id)["state"] == "skipped"


def test_who_acted_is_on_record_by_the_name_of_his_user(stand, address):
    with Client(address) as client:
        client.skip(stand.a_run())
        newest = client.get("/api/v2/audit-log")["entries"][0]
    assert newest["source"] == f"user {pwd.getpwuid(os.geteuid()).pw_name}"


def test_the_stream_is_followed_through_it(stand, address):
    async def first():
        with Client(address) as client:
            return await anext(follow_topic(client._connection, "runs", {"q": ""}))

    found = asyncio.run(asyncio.wait_for(first(), 60))
    assert "lost" not in found


def test_a_command_takes_it_for_its_server(stand, address, capsys):
    stand.a_run()
    with pytest.raises(SystemExit) as ended:
        guarded(lambda: people.group(args=["--server", address, "runs"]))
    assert ended.value.code in (0, None)
    assert "scheduled" in capsys.readouterr().out


def test_a_command_names_the_socket_at_which_nobody_answers(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        guarded(lambda: people.group(args=["--server", f"unix:{tmp_path}/none", "runs"]))
    assert ended.value.code == 1
    assert f"unix:{tmp_path}/none: no answer" in capsys.readouterr().err


def a_server(folder, path):
    database, outputs = str(folder / "db"), str(folder)
    return WebServer(WebSettings(bind=(f"unix:{path}",), database=database, outputs_root=outputs))


def test_a_socket_that_a_killed_server_left_is_taken_over(tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    server = a_server(tmp_path, path)
    assert server.urls == [f"unix:{path}"]
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(path)


def test_one_at_which_somebody_answers_is_refused_and_left_to_him(stand, folder, address):
    with pytest.raises(UserError, match="another server listens there"):
        a_server(folder, folder / "s")
    with Client(address) as client:
        assert client.alive()


def test_another_file_is_never_removed(tmp_path):
    (tmp_path / "s").write_text("precious")
    with pytest.raises(UserError, match="no socket"):
        a_server(tmp_path, tmp_path / "s")
    assert (tmp_path / "s").read_text() == "precious"


@pytest.mark.parametrize("path", ["relative", "", "/" + "x" * 200])
def test_a_path_that_cannot_be_one_is_refused_in_a_sentence(tmp_path, path):
    with pytest.raises(UserError, match=r"bind: .?unix:"):
        a_server(tmp_path, path)


def test_where_a_log_in_is_needed_a_socket_needs_it_too(tmp_path):
    stand = WebStand(tmp_path, bind=("127.0.0.1:0", f"unix:{tmp_path}/s"), loopback="login")
    try:
        with Client(f"unix:{tmp_path}/s") as client, pytest.raises(RuntimeError) as refused:
            client.get("/api/v2/me")
        assert "401" in str(refused.value)
    finally:
        stand.close()
