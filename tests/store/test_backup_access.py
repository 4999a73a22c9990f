"""Backups hold nothing to log in by; a restore lets nobody in who was shut out since."""

import fcntl
import os
import sqlite3
import stat
import time

import pytest
from msgspec.structs import replace

from callsheet.messages.access import ApiToken, Role, Session, User
from callsheet.messages.registry import AgentRecord, AgentToken
from callsheet.store.backup import backup_database, restore_database
from callsheet.store.interface import Changes, StoreUnusable
from callsheet.store.sqlite import SqliteReader, SqliteWriter, create_database
from callsheet.webui.passwords import hashed, matches

ANN = User(name="ann", password=hashed("canary sesame open"), role=Role.ADMIN)
TOKEN = ApiToken(token_id="t1", secret_hash="ab" * 32, name="ci", role=Role.OPERATOR)
SESSION = Session(session_id="cd" * 32, user="ann", since_us=1, expires_us=2**60)
AGENT = AgentRecord(agent_id="db1", public_key="k" * 40, token_id="x")
INVITATION = AgentToken(token_id="x", secret_hash="ef" * 32, expires_us=2**60)


@pytest.fixture
def database(tmp_path):
    path = str(tmp_path / "a.db")
    create_database(path)
    write(
        path,
        users={"ann": ANN},
        api_tokens={"t1": TOKEN},
        sessions={SESSION.session_id: SESSION},
        agents={"db1": AGENT},
        agent_tokens={"x": INVITATION},
    )
    return path


def write(path, **changes):
    writer = SqliteWriter(path)
    writer.open(time.time_ns() // 1000)
    writer.commit(Changes(**changes))
    writer.close()


def read(path, act):
    reader = SqliteReader(path)
    try:
        return act(reader)
    finally:
        reader.close()


def test_a_backup_has_no_password_no_log_in_and_no_invitation(database, tmp_path):
    target = str(tmp_path / "b.db")
    backup_database(database, target)
    assert stat.S_IMODE(os.stat(target).st_mode) == 0o600
    (ann,) = read(target, lambda reader: reader.users())
    assert (ann.name, ann.role, ann.password) == ("ann", Role.ADMIN, "")
    assert not matches("", ann.password)
    assert read(target, lambda reader: (reader.sessions(), reader.agent_tokens())) == ([], [])
    assert read(target, lambda reader: reader.api_tokens()) == [TOKEN]
    data = (tmp_path / "b.db").read_bytes()
    for secret in (ANN.password, SESSION.session_id, INVITATION.secret_hash):
        assert secret.encode() not in data, "not even in what SQLite does not use any more"


def test_passwords_are_in_it_where_that_was_asked_for(database, tmp_path):
    target = str(tmp_path / "b.db")
    backup_database(database, target, passwords=True)
    assert read(target, lambda reader: reader.users()) == [ANN]
    assert read(target, lambda reader: reader.sessions()) == []


def test_a_restore_keeps_who_may_come_in_as_it_is_now(database, tmp_path):
    target = str(tmp_path / "b.db")
    backup_database(database, target)
    revoked = replace(TOKEN, revoked_us=5)
    gone = replace(AGENT, revoked_us=5)
    new = User(name="ben", password=hashed("another one here"), role=Role.VIEWER)
    write(
        database,
        users={"ann": None, "ben": new},
        api_tokens={"t1": revoked},
        agents={"db1": gone},
    )
    done = restore_database(target, database)
    assert done.access_kept
    assert read(database, lambda reader: reader.api_tokens()) == [revoked]
    assert read(database, lambda reader: reader.users()) == [new]
    assert read(database, lambda reader: reader.agents()) == [gone]
    assert read(database, lambda reader: reader.sessions()) == []
    assert read(done.moved_to, lambda reader: reader.users()) == [new], "what was there is whole"


def test_where_nothing_is_left_or_it_was_asked_for_it_is_as_in_the_backup(database, tmp_path):
    target = str(tmp_path / "b.db")
    backup_database(database, target)
    write(database, api_tokens={"t1": replace(TOKEN, revoked_us=5)})
    assert not restore_database(target, database, backups_access=True).access_kept
    assert read(database, lambda reader: reader.api_tokens()) == [TOKEN]
    os.unlink(database)
    assert not restore_database(target, database).access_kept
    assert read(database, lambda reader: reader.api_tokens()) == [TOKEN]


@pytest.mark.parametrize("kind", ["cut", "changed", "newer", "no database"])
def test_a_backup_that_was_tampered_with_is_refused_and_nothing_is_changed(
    database, tmp_path, kind
):
    target = tmp_path / "b.db"
    backup_database(database, str(target))
    data = target.read_bytes()
    if kind == "newer":
        connection = sqlite3.connect(target)
        connection.execute("PRAGMA user_version = 9999")
        connection.close()
    else:
        spoilt = {
            "cut": data[: len(data) // 2],
            "changed": data[:4096] + os.urandom(4096) + data[8192:],
            "no database": b"hello",
        }
        target.write_bytes(spoilt[kind])
    before = read(database, lambda reader: (reader.head(), reader.users()))
    with pytest.raises(StoreUnusable):
        restore_database(str(target), database)
    assert read(database, lambda reader: (reader.head(), reader.users())) == before


def test_what_killed_backups_left_is_removed_and_what_another_writes_is_not(database, tmp_path):
    target = tmp_path / "b.db"
    ours, dead, held = (tmp_path / f"b.db.{pid}.part" for pid in (os.getpid(), 7, 8))
    for part in (ours, dead, held):
        part.write_bytes(b"half of it")
    for beside in (f"{dead.name}-journal", f"{dead.name}-wal", "b.db.9.part-shm"):
        (tmp_path / beside).write_bytes(b"x")
    others = tmp_path / "b.db.old.part"
    others.touch()
    with held.open() as writing:
        fcntl.flock(writing, fcntl.LOCK_EX)
        backup_database(database, str(target))
    assert [one.name for one in sorted(tmp_path.glob("b.db*"))] == ["b.db", held.name, others.name]
    backup_database(database, str(target))
    assert [one.name for one in sorted(tmp_path.glob("b.db*"))] == ["b.db", others.name]
