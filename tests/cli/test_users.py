"""`callsheetctl user`, against a server and against a database at rest."""

import json

import pytest

from callsheet.store.sqlite import SqliteReader, create_database
from callsheet.webui import passwords

PASSWORD = "correct horse battery"


@pytest.fixture
def given(tmp_path, monkeypatch):
    """The option that gives the password; its hash is made cheaply."""
    monkeypatch.setattr(passwords, "LOG_N", 8)
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    return ("--password-file", str(path))


def test_a_user_is_made_changed_listed_and_removed(stand, callsheetctl, given):
    made = callsheetctl("user", "create", "ann", "--role", "operator", *given)
    assert (made.status, made.err) == (0, "")
    [user] = stand.reader.users()
    assert passwords.matches(PASSWORD, user.password)
    assert callsheetctl("user", "change", "ann", "--role", "viewer", "--label", "x").status == 0
    [row] = json.loads(callsheetctl("user", "list", "--json").out)
    assert (row["name"], row["role"], row["labels"]) == ("ann", "viewer", ["x"])
    assert callsheetctl("user", "change", "ann", "--no-labels").status == 0
    assert "ann" in callsheetctl("user", "list").out
    again = callsheetctl("user", "create", "ann", *given)
    assert (again.status, "there is a user ann" in again.err) == (1, True)
    assert callsheetctl("user", "remove", "ann").status == 0
    unknown = callsheetctl("user", "remove", "ann")
    assert (unknown.status, "unknown user ann" in unknown.err) == (1, True)


def test_a_password_is_never_taken_from_the_command_line_or_guessed(stand, callsheetctl):
    refused = callsheetctl("user", "create", "ann")
    assert (refused.status, "--password-file" in refused.err) == (2, True)
    assert stand.reader.users() == []


def test_a_user_is_made_in_a_database_at_rest(command, tmp_path, given):
    path = str(tmp_path / "callsheet.db")
    create_database(path)
    at_rest = ("--role", "admin", "--database", path)
    assert command("administrators", "user", "create", "root", *at_rest, *given).status == 0
    reader = SqliteReader(path)
    [user] = reader.users()
    reader.close()
    assert (user.name, user.role) == ("root", "admin")
    (tmp_path / "password").write_text("short")
    bad = command("administrators", "user", "create", "b", *at_rest, *given)
    assert (bad.status, bad.err) == (1, "Error: password: expected 10 to 1000 characters\n")
