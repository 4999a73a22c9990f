"""`callsheetctl doctor`: each thing that can be wrong is found, with what to do about it."""

import json
import os
import resource
import sqlite3
import time

import pytest
from certificates import Authority

from callsheet.cli import doctor_host, doctor_server
from callsheet.conf.settings import load_settings
from callsheet.messages.agents import AgentInfo
from callsheet.store.migrate import newest_version
from callsheet.store.sqlite import create_database

GIB = 2**30


@pytest.fixture
def site(tmp_path):
    """A folder with settings, as `callsheetctl create` leaves it."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "callsheet.yaml").write_text("job_dir: jobs\nbind: 127.0.0.1:1\n")
    create_database(tmp_path / "callsheet.db")
    return tmp_path


def settings_of(site):
    return load_settings(site / "callsheet.yaml")


def bad(found):
    """What is wrong, by area; each says what to do."""
    worse = [one for one in found if one.level in ("warning", "error")]
    assert all(one.do for one in worse), worse
    return [(one.area, one.level) for one in worse]


def test_what_was_found_is_printed_as_json_too(command, site):
    found = command("administrators", "doctor", "--config", str(site / "callsheet.yaml"), "--json")
    areas = {one["area"]: one["level"] for one in json.loads(found.out)}
    assert areas["database"] == "ok"
    assert areas["config"] == "ok"
    assert areas["service"] == "note", "nobody said that a server should run"
    assert found.status == 0


def test_a_server_that_is_named_has_to_answer(command, tmp_path):
    found = command("administrators", "--server", f"unix:{tmp_path}/none", "doctor")
    assert found.status == 1
    assert "no answer" in found.out


def test_settings_that_cannot_be_read_are_told_with_their_place(command, site):
    (site / "callsheet.yaml").write_text("schedule: {ahead: many}")
    found = command("administrators", "doctor", "--config", str(site / "callsheet.yaml"))
    assert found.status == 1
    assert "callsheet.yaml:1:12: " in found.out
    assert "→ mend it" in found.out


@pytest.mark.parametrize(("mode", "level"), [(0o600, None), (0o644, "error"), (0o660, "error")])
def test_a_database_that_others_may_use_is_found(site, mode, level):
    (site / "callsheet.db").chmod(mode)
    found = bad(doctor_server.look_at_files(settings_of(site)))
    assert found == ([("files", level)] if level else [])


def test_a_corrupt_database_is_found(site):
    path = site / "callsheet.db"
    data = bytearray(path.read_bytes())
    data[4096 : 4096 + 2_000] = os.urandom(2_000)
    path.write_bytes(data)
    assert ("database", "error") in bad(doctor_server.look_at_database(settings_of(site)))


@pytest.mark.parametrize("version", [newest_version() - 1, newest_version() + 1])
def test_a_database_of_another_version_is_found(site, version):
    connection = sqlite3.connect(site / "callsheet.db")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    (found,) = [
        one for one in doctor_server.look_at_database(settings_of(site)) if one.level == "error"
    ]
    assert "callsheetctl" in found.do


def test_a_missing_database_is_found(site):
    (site / "callsheet.db").unlink()
    (found,) = doctor_server.look_at_database(settings_of(site))
    assert (found.level, found.do) == ("error", f"callsheetctl create {site / 'callsheet.db'}")


@pytest.mark.parametrize(
    ("days", "level"), [(60, "ok"), (20, "warning"), (3, "error"), (-1, "error")]
)
def test_a_certificate_is_found_before_it_expires(site, days, level):
    files = Authority(site).issue("server", days=days)
    tls = f"tls: {{certificate: {files['certificate']}, key: {files['key']}}}\n"
    with (site / "callsheet.yaml").open("a") as file:
        file.write(tls)
    (found,) = doctor_server.look_at_certificate(settings_of(site), time.time())
    assert found.level == level, found


@pytest.mark.parametrize(
    "text", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_what_is_no_certificate_is_found(site, text):
    (site / "a.crt").write_text(text)
    with (site / "callsheet.yaml").open("a") as file:
        file.write("tls: {certificate: a.crt, key: a.key}\n")
    (found,) = doctor_server.look_at_certificate(settings_of(site), time.time())
    assert found.level == "error"


class Disk:
    f_frsize = 1
    f_files = 10**6

    def __init__(self, free, inodes):
        self.f_bavail, self.f_favail = free, inodes


@pytest.mark.parametrize(
    ("disk", "level"),
    [
        (Disk(10 * GIB, 10**6), "ok"),
        (Disk(1 * GIB, 10**6), "warning"),
        (Disk(GIB // 10, 10**6), "error"),
        (Disk(10 * GIB, 10_000), "warning"),
        (Disk(10 * GIB, 100), "error"),
    ],
)
def test_a_disk_that_fills_up_is_found_by_bytes_or_inodes(tmp_path, monkeypatch, disk, level):
    monkeypatch.setattr(os, "statvfs", lambda _path: disk)
    (found,) = doctor_host.look_at_disks([tmp_path / "not" / "there", tmp_path])
    assert found.level == level
    assert bool(found.do) is (level != "ok")


def test_limits_that_are_too_low_are_found(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (100, 100))
    found = [one for one in doctor_host.look_at_host() if one.area == "limits"]
    assert [one.level for one in found] == ["warning"] * 3
    assert all("raise it" in one.do for one in found)


def test_a_server_whose_supervisor_was_killed_is_found(site):
    state = site / "callsheet.db.state"
    state.mkdir()
    (state / "health.json").write_text('{"degraded": {}, "roles": {}}')
    (state / "processes.json").write_text('{"supervisor": 4194304}')
    (found,) = doctor_server.look_at_processes(settings_of(site))
    assert found.level == "error"
    assert "was killed" in found.sentence


def test_a_role_that_is_unwell_is_found_with_its_reason(site):
    state = site / "callsheet.db.state"
    state.mkdir()
    health = {"degraded": {"ledger/0": "the store cannot write"}, "roles": {}}
    (state / "health.json").write_text(json.dumps(health))
    (state / "processes.json").write_text(json.dumps({"supervisor": os.getpid()}))
    (found,) = doctor_server.look_at_processes(settings_of(site))
    assert (found.level, found.sentence) == ("error", "ledger/0: the store cannot write")


def an_agent(agent_id, state):
    return AgentInfo(
        agent_id=agent_id,
        group_id="default",
        connected=state == "active",
        first_seen_us=1,
        last_seen_us=1,
        state=state,
    )


def test_agents_that_are_away_and_a_server_of_another_version_are_found(callsheetctl, stand):
    stand.agents = [an_agent("here", "active"), an_agent("gone", "away")]
    found = callsheetctl("doctor", "--json")
    said = {(one["area"], one["level"]): one["sentence"] for one in json.loads(found.out)}
    assert said["agents", "error"] == "away: gone"
    assert said["agents", "ok"] == "1 connected"
    assert said["service", "warning"].startswith("the server runs 1.2.3, here is ")
    assert found.status == 1


def test_a_server_without_any_agent_is_found(callsheetctl):
    found = callsheetctl("doctor", "--json")
    said = {(one["area"], one["level"]): one["do"] for one in json.loads(found.out)}
    assert "no run can start" in said["agents", "error"]
