"""`callsheetctl token`, against a server and against a database at rest."""

import base64
import contextlib
import json
import os
import sqlite3
import stat

import pytest
from ports import free_port

from callsheet.cli.entrance import NobodyCould, check_access
from callsheet.client import APIError, Client
from callsheet.conf.web_settings import WebAccess
from callsheet.store.sqlite import SqliteReader, create_database
from callsheet.wire.curve import own_keys


def test_a_token_is_made_listed_and_revoked(stand, callsheetctl):
    made = callsheetctl("token", "create", "ci", "--role", "operator", "--label", "nightly")
    assert (made.status, len(made.lines)) == (0, 1)
    token = made.lines[0]
    with Client(f"127.0.0.1:{stand.port}", token=token) as client:
        assert client.get("/api/v2/me")["labels"] == ["nightly"]
        listed = callsheetctl("token", "list")
        assert token not in listed.out
        [row] = json.loads(callsheetctl("token", "list", "--json").out)
        assert (row["name"], row["role"], row["state"]) == ("ci", "operator", "valid")
        assert row["made_by"] == "local"
        assert callsheetctl("token", "revoke", row["token_id"]).status == 0
        with pytest.raises(APIError) as refused:
            client.get("/api/v2/me")
    assert refused.value.status == 401
    assert "revoked" in callsheetctl("token", "list").out
    unknown = callsheetctl("token", "revoke", "nothing")
    assert (unknown.status, unknown.err) == (1, "Error: unknown token nothing [API status: 404]\n")


def test_the_commands_show_the_token_of_the_environment(
    stand, callsheet, callsheetctl, monkeypatch
):
    viewer = callsheetctl("token", "create", "v").lines[0]
    monkeypatch.setenv("CALLSHEET_TOKEN", viewer)
    assert callsheet("runs").status == 0
    refused = callsheet("schedule", "now", "backup")
    assert (refused.status, "token:v is a viewer: expected an operator" in refused.err) == (1, True)


def test_a_token_can_be_written_to_a_file_that_nobody_else_reads(stand, callsheetctl, tmp_path):
    path = tmp_path / "ci.token"
    made = callsheetctl("token", "create", "ci", "--out", str(path), "--expires", "never")
    assert (made.status, stat.S_IMODE(path.stat().st_mode)) == (0, 0o600)
    token = path.read_text().strip()
    assert token not in made.out
    with Client(f"127.0.0.1:{stand.port}", token=token) as client:
        assert client.get("/api/v2/me")["until"] is None
    again = callsheetctl("token", "create", "ci", "--out", str(path))
    assert (again.status, "expected the name of a new file" in again.err) == (1, True)
    [row] = json.loads(callsheetctl("token", "list", "--json").out)
    assert row["expires"] is None


def test_no_file_is_left_where_no_token_was_made(stand, callsheetctl, tmp_path):
    path = tmp_path / "ci.token"
    refused = callsheetctl("token", "create", "ci", "--out", str(path), "--expires", "soon")
    assert (refused.status, path.exists()) == (1, False)
    assert callsheetctl("token", "create", "ci", "--out", str(path)).status == 0


def test_a_token_is_made_in_a_database_at_rest(command, tmp_path):
    path = str(tmp_path / "callsheet.db")
    create_database(path)
    made = command(
        "administrators", "token", "create", "root", "--role", "admin", "--database", path
    )
    assert (made.status, made.lines[0][:4]) == (0, "cst_")
    reader = SqliteReader(path)
    [token] = reader.api_tokens()
    [row] = reader.audit(0, 10)
    reader.close()
    assert (token.name, token.role) == ("root", "admin")
    assert (row.entry.act, row.entry.source) == ("make_api_token", "command line")
    revoked = command("administrators", "token", "revoke", token.token_id, "--database", path)
    assert revoked.status == 0
    again = command("administrators", "token", "revoke", "nothing", "--database", path)
    assert (again.status, again.err) == (1, "Error: unknown token nothing\n")


def test_two_installations_have_no_secret_in_common(command, tmp_path):
    """Nothing that lets anybody in comes with the program: all of it is made where it is used."""
    found = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        path = str(folder / "callsheet.db")
        create_database(path)
        reader = SqliteReader(path)
        assert (reader.api_tokens(), reader.users()) == ([], [])
        reader.close()
        made = command("administrators", "token", "create", "t", "--database", path)
        secret = made.lines[0].removeprefix("cst_")
        assert len(base64.urlsafe_b64decode(secret + "=")) * 8 >= 256
        key = folder / "keys" / "server.key"
        found += [secret, own_keys(key).secret]
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len({*found}) == 4


def test_a_database_that_a_server_has_is_left_alone(stand, callsheetctl):
    refused = callsheetctl("token", "create", "x", "--database", str(stand.database))
    assert refused.status == 1
    assert "has it in use: expected no other server" in refused.err


@pytest.mark.parametrize(
    ("web", "why"),
    [
        (
            WebAccess(bind=("0.0.0.0:1",), certificate="c", key="k"),
            "bind: 0.0.0.0:1: others than this machine can reach it",
        ),
        (WebAccess(loopback="login"), "bind: 127.0.0.1:5000: access.loopback is login"),
    ],
)
def test_a_server_where_nobody_could_log_in_does_not_start(command, tmp_path, web, why):
    path = str(tmp_path / "callsheet.db")
    create_database(path)
    for options in ((), ("--role", "operator"), ("--role", "admin", "--label", "x")):
        if options:
            command("administrators", "token", "create", "x", *options, "--database", path)
        with pytest.raises(NobodyCould) as refused:
            check_access(web, path)
    assert str(refused.value) == (
        f"{why}, and nobody could log in: expected a user or a token with the role admin: "
        f"callsheetctl user create NAME --role admin --database {path}"
    )
    command("administrators", "token", "create", "x", "--role", "admin", "--database", path)
    check_access(web, path)


def test_a_server_that_was_there_begins_although_nobody_could_log_in(tmp_path):
    path = str(tmp_path / "callsheet.db")
    create_database(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE meta SET seq = 1")
        database.commit()
    [said] = check_access(WebAccess(loopback="login"), path)
    assert "access.loopback is login, and nobody could log in: expected a user" in said


def test_on_this_machine_alone_nobody_has_to_be_there(tmp_path):
    create_database(tmp_path / "callsheet.db")
    check_access(WebAccess(bind=(f"127.0.0.1:{free_port()}",)), str(tmp_path / "callsheet.db"))
    check_access(WebAccess(), os.devnull + "/nothing")
