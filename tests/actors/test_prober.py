"""The prober: real files, a real web server, real commands, a real database."""

from __future__ import annotations

import os
import queue
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from callsheet.actors.probe_seam import CancelProbe, Probe
from callsheet.actors.prober import Prober
from callsheet.jobs.condition_rules import POLLED_KINDS, ConditionRules
from callsheet.jobs.polled import (
    BoundCommandCheck,
    BoundFileCheck,
    BoundHttpCheck,
    BoundSqlCheck,
)

PATIENCE_S = 60.0


class Bench:
    """A prober, and what it tells."""

    def __init__(self, rules):
        self.told = queue.Queue()
        self.prober = Prober(rules, self.told.put)
        self.count = 0

    def begin(self, cond):
        self.count += 1
        self.prober.take([Probe(probe_id=self.count, cond=cond)])
        return self.count

    def ask(self, cond):
        probe_id = self.begin(cond)
        found = self.told.get(timeout=PATIENCE_S)
        assert found.probe_id == probe_id
        return found.met, found.reason


@pytest.fixture
def bench(tmp_path):
    rules = ConditionRules(allow=POLLED_KINDS, databases={"main": f"sqlite:///{tmp_path}/a.db"})
    bench = Bench(rules)
    yield bench
    bench.prober.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("probe-")]


def a_check(kind, timeout_s=20.0, **fields):
    return kind(timeout_us=int(timeout_s * 1e6), poll_us=1_000_000, **fields)


# --- file ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "met", "said"),
    [
        ({}, True, "is there"),
        ({"min_bytes": 5}, True, "is there"),
        ({"min_bytes": 6}, False, "is smaller than 6 bytes"),
        ({"changed_within_us": 3_600_000_000}, False, "was not changed within 3600 s"),
        ({"changed_within_us": 36_000_000_000}, True, "is there"),
        ({"older_than_us": 3_600_000_000}, True, "is there"),
        ({"older_than_us": 36_000_000_000}, False, "was changed less than 36000 s ago"),
        ({"exists": False}, False, "exists: expected none"),
    ],
    ids=str,
)
def test_a_file_is_looked_at(bench, tmp_path, fields, met, said):
    path = tmp_path / "x"
    path.write_bytes(b"hello")
    os.utime(path, (time.time() - 7200,) * 2)
    assert bench.ask(a_check(BoundFileCheck, path=str(path), **fields)) == (met, f"{path}: {said}")


def test_a_file_that_is_not_there(bench, tmp_path):
    path = str(tmp_path / "none" / "x")
    gone = (False, f"{path}: does not exist")
    assert bench.ask(a_check(BoundFileCheck, path=path)) == gone
    met, reason = bench.ask(a_check(BoundFileCheck, path=path, exists=False))
    assert (met, reason) == (True, gone[1])
    too_long = "/" + "x" * 300
    assert bench.ask(a_check(BoundFileCheck, path=too_long))[0] is False


# --- http ---------------------------------------------------------------------------------------


class Site(BaseHTTPRequestHandler):
    """Answers by the path; what came is kept in `asked` of the server."""

    def do_GET(self):
        self.server.asked.append((self.command, self.path))
        name = self.path.partition("?")[0].strip("/")
        if name == "hang":
            self.server.hang.wait(PATIENCE_S)
        elif name == "drip":
            self.send_response(200)
            self.end_headers()
            while not self.server.hang.wait(0.02):
                try:
                    self.wfile.write(b".")
                except OSError:
                    return
        elif name.startswith("to-"):
            self.send_response(302)
            self.send_header("Location", self.server.places[name])
            self.end_headers()
        else:
            self.send_response(int(name or 200))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(b"all is ready")

    do_HEAD = do_GET  # noqa: N815 - as the base class has it
    do_POST = do_GET  # noqa: N815

    def log_message(self, *args):
        pass


@pytest.fixture
def site():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.asked, server.hang = [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.places = {
        "to-here": "/200",
        "to-elsewhere": "http://example.invalid/",
        "to-file": "file:///etc/passwd",
        "to-itself": "/to-itself",
    }
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.hang.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "fields", "met", "said"),
    [
        ("200", {}, True, "status 200"),
        ("204", {}, True, "status 204"),
        ("503", {}, False, "status 503: expected 2xx"),
        ("503", {"status": (200, 503)}, True, "status 503"),
        ("204", {"status": (200,)}, False, "status 204: expected 200"),
        ("200", {"contains": "ready"}, True, "status 200, contains 'ready'"),
        ("200", {"contains": "nope"}, False, "status 200: expected it to contain 'nope'"),
        ("200", {"method": "HEAD"}, True, "status 200"),
        ("201?secret=1", {"method": "POST"}, True, "status 201"),
        ("to-here", {}, True, "status 200"),
        ("to-here", {"status": (302,)}, True, "status 302"),
        ("to-here", {"method": "POST"}, False, "status 302: expected 2xx"),
        ("to-elsewhere", {}, False, "redirects to example.invalid: expected no other host"),
        ("to-file", {}, False, "redirects to None: expected no other host"),
        ("to-itself", {}, False, "status 302: expected 2xx"),
    ],
)
def test_a_url_is_asked(bench, site, path, fields, met, said):
    found = bench.ask(a_check(BoundHttpCheck, url=f"{site.url}/{path}", **fields))
    assert found == (met, f"{site.url}/{path.partition('?')[0]}: {said}")
    assert site.asked[0] == (fields.get("method", "GET"), f"/{path}")


@pytest.mark.parametrize("path", ["hang", "drip"])
def test_a_url_that_does_not_end_is_given_up(bench, site, path):
    cond = a_check(BoundHttpCheck, url=f"{site.url}/{path}", timeout_s=0.2, contains="x")
    assert bench.ask(cond) == (False, f"{site.url}/{path}: no answer within 0.2 s")


def test_a_server_that_is_not_there_is_a_finding(bench, site):
    assert bench.ask(a_check(BoundHttpCheck, url="http://127.0.0.1:1/"))[1] == (
        "http://127.0.0.1:1/: Connection refused"
    )
    [met, reason] = bench.ask(a_check(BoundHttpCheck, url="http://127.0.0.1:nn/"))
    assert not met
    assert "nn" in reason
    # It speaks plain http.
    assert not bench.ask(a_check(BoundHttpCheck, url=site.url.replace("http", "https")))[0]


def test_asking_ends_when_nobody_waits_for_the_answer(bench, site):
    probe_id = bench.begin(a_check(BoundHttpCheck, url=f"{site.url}/hang"))
    while not site.asked:
        time.sleep(0.01)
    bench.prober.take([CancelProbe(probe_id=probe_id)])
    assert not bench.told.get(timeout=PATIENCE_S).met


# --- command ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "met", "said"),
    [
        (("/bin/sh", "-c", "exit 0"), True, "/bin/sh: exit status 0"),
        (("/bin/sh", "-c", "exit 3"), False, "/bin/sh: exit status 3: expected 0"),
        (("/bin/sh", "-c", "kill -9 $$"), False, "/bin/sh: killed by SIGKILL: expected exit"),
        (("/no/such/program",), False, "/no/such/program: No such file or directory"),
        (("/bin/sh", "-c", 'test -z "$CALLSHEET_TEST_SECRET"'), True, "/bin/sh: exit status 0"),
    ],
)
def test_a_command_is_run(bench, monkeypatch, argv, met, said):
    monkeypatch.setenv("CALLSHEET_TEST_SECRET", "x")
    found, reason = bench.ask(a_check(BoundCommandCheck, argv=argv))
    assert found is met
    assert reason.startswith(said)


@pytest.mark.slow
def test_a_command_that_does_not_end_is_killed_with_all_it_started(bench, tmp_path):
    pids = tmp_path / "pids"
    script = f"echo $$ > {pids}; sleep 100 & echo $! >> {pids}; wait"
    cond = a_check(BoundCommandCheck, argv=("/bin/sh", "-c", script), timeout_s=2)
    assert bench.ask(cond) == (False, "/bin/sh: did not end within 2 s")
    assert len(pids.read_text().split()) == 2
    for pid in pids.read_text().split():
        assert not is_alive(int(pid))


def test_a_command_is_killed_when_nobody_waits_for_it(bench, tmp_path):
    mark = tmp_path / "begun"
    script = f"echo $$ > {mark}.part; mv {mark}.part {mark}; exec sleep 100"
    probe_id = bench.begin(a_check(BoundCommandCheck, argv=("/bin/sh", "-c", script)))
    while not mark.exists():
        time.sleep(0.01)
    bench.prober.take([CancelProbe(probe_id=probe_id)])
    assert not bench.told.get(timeout=PATIENCE_S).met
    assert not is_alive(int(mark.read_text()))


def is_alive(pid):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
        ).stdout.strip()
        if not state or state.startswith("Z"):
            return False
        time.sleep(0.02)
    return True


# --- sql ----------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE loads (day TEXT, done INTEGER)")
        connection.execute("INSERT INTO loads VALUES ('mon', 1), ('tue', 0), ('wed', NULL)")
        connection.commit()
    return str(path)


QUERY = "SELECT done FROM loads WHERE day = "


@pytest.mark.parametrize(
    ("query", "met", "said"),
    [
        (QUERY + "'mon'", True, "the query finds something true"),
        (QUERY + "'tue'", False, "the query finds nothing true"),
        (QUERY + "'wed'", False, "the query finds nothing true"),
        (QUERY + "'sun'", False, "the query finds no row"),
        ("SELECT ''", False, "the query finds nothing true"),
        ("SELECT count(*) > 2 FROM loads", True, "the query finds something true"),
        ("SELECT nonsense", False, "no such column: nonsense"),
        ("DELETE FROM loads", False, "not authorized"),
        ("ATTACH 'other.db' AS other", False, "not authorized"),
        ("PRAGMA query_only = 0", False, "not authorized"),
        ("SELECT 1; SELECT 2", False, "You can only execute one statement at a time."),
    ],
)
def test_a_query_is_asked(bench, database, query, met, said):
    assert bench.ask(a_check(BoundSqlCheck, database="main", query=query)) == (
        met, f"main: {said}",
    )  # fmt: skip
    by_path = bench.ask(a_check(BoundSqlCheck, database=database, query=query))
    assert by_path == (met, f"{database}: {said}")


def test_a_query_that_does_not_end_is_given_up(bench, database):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    cond = a_check(BoundSqlCheck, database="main", query=endless, timeout_s=0.2)
    assert bench.ask(cond) == (False, "main: no answer within 0.2 s")


def test_a_database_that_is_not_there_is_not_made(bench, tmp_path):
    path = tmp_path / "none.db"
    met, reason = bench.ask(a_check(BoundSqlCheck, database=str(path), query="SELECT 1"))
    assert (met, reason) == (False, f"{path}: unable to open database file")
    assert not path.exists()


# --- rules and bounds ---------------------------------------------------------------------------


def test_what_the_settings_switch_off_is_not_done(tmp_path):
    mark = tmp_path / "mark"
    bench = Bench(ConditionRules())
    met, reason = bench.ask(a_check(BoundCommandCheck, argv=("/usr/bin/touch", str(mark))))
    assert not met
    assert reason.startswith("command conditions are switched off on this server")
    assert not mark.exists()


def test_the_end_of_the_server_ends_the_checks(bench):
    for _ in range(5):
        bench.begin(a_check(BoundCommandCheck, argv=("/bin/sleep", "1000")))
    bench.prober.close()
    assert [bench.told.get(timeout=PATIENCE_S).met for _ in range(5)] == [False] * 5


def test_when_too_many_checks_hang_no_more_are_begun(tmp_path, monkeypatch):
    monkeypatch.setattr("callsheet.actors.prober.MOST_THREADS", 1)
    bench = Bench(ConditionRules(allow=POLLED_KINDS))
    pipe = tmp_path / "go"
    os.mkfifo(pipe)
    bench.begin(a_check(BoundCommandCheck, argv=("/bin/sh", "-c", f"read x < {pipe}")))
    bench.begin(a_check(BoundCommandCheck, argv=(sys.executable, "-c", "")))
    assert bench.told.get(timeout=PATIENCE_S).reason == "too many other checks hang: none is begun"
    pipe.write_text("go\n")
    assert bench.told.get(timeout=PATIENCE_S).met
