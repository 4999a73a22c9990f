"""A thousand cases of each kind of fuzzing, as `make fuzz` plays a million; and proof that faults
which are planted are found.

The three kinds that need a server share one. A case that fails is named by its number:
`python tests/fuzz/fuzz.py --only KIND --case N` plays it alone.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from functools import partial

import fuzz_command
import fuzz_config
import fuzz_files
import fuzz_gate
import fuzz_ledger
import fuzz_rest
import fuzz_rogue
import fuzz_socket
import fuzz_spool
import fuzz_wire
import pytest
from fuzz_rest import Answer
from fuzzed_server import FuzzedServer, play_and_judge
from live_server import until
from odd_requests import Asked
from odd_values import Dice
from verdict import FOR_EVER, HANG_S, Verdict, summed

from callsheet.cli import administrators, people

pytestmark = pytest.mark.slow

SEED = 20_261_126
CASES = range(1_000)
LIVE = {
    "wire": fuzz_wire.play,
    "rest": fuzz_rest.play,
    "socket": fuzz_socket.play,
    "command": fuzz_command.play,
    "gate": fuzz_gate.play,
}
# What costs more a case, or is soon through.
SOME = {"ledger": range(20), "command": range(40), "gate": range(150), "rogue": range(400)}
# Each kind is to have met both, or its cases prove nothing.
MET = {
    "wire": ("read of agent", "not to be read", "told StartProcess"),
    "rest": ("200", "400", "404", "403"),
    "socket": ("op", "opened 101", "ended"),
    "files": ("bound", "not a job", "a job with problems"),
    "command": ("status 0", "status 1", "status 2"),
    "gate": ("held", "closed", "said", "answered Refuse"),
    "rogue": ("StartProcess", "ShutDown", "OutputTaken"),
    "config": ("settings", "with places", "of overrides"),
    "ledger": ("with all rows", "with rows set aside"),
    "spool": ("then done", "then lost", "then not_started", "a spec wounded"),
}
ASKED = Asked(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET", "GET /")


@pytest.fixture(scope="module")
def server():
    server = FuzzedServer("test")
    yield server
    server.close(keep=False)


@pytest.mark.parametrize("kind", LIVE)
def test_a_server_is_as_before_whatever_it_is_sent(server, kind):
    verdict = Verdict(kind, SEED)
    play_and_judge(server, LIVE[kind], SOME.get(kind, CASES), FOR_EVER, verdict)
    assert verdict.holds, verdict.text()
    assert_met(verdict)


def test_a_job_file_is_a_job_or_has_problems_with_places():
    verdict = fuzz_files.fuzz(SEED, CASES, workers=1)
    assert verdict.holds, verdict.text()
    assert_met(verdict)


def test_an_agent_takes_up_any_spool_and_says_what_servers_read():
    verdict = fuzz_spool.fuzz(SEED, CASES)
    assert verdict.holds, verdict.text()
    assert_met(verdict)


def test_a_ledger_begins_and_decides_whatever_row_is_spoilt_and_whatever_roles_say():
    verdict = fuzz_ledger.fuzz(SEED, SOME["ledger"])
    assert verdict.holds, verdict.text()
    assert_met(verdict)


def test_an_agent_lives_and_refuses_whatever_a_rogue_server_says():
    verdict = fuzz_rogue.fuzz(SEED, SOME["rogue"], workers=1)
    assert verdict.holds, verdict.text()
    assert_met(verdict)


def test_settings_are_read_or_have_a_line_for_each_mistake():
    verdict = fuzz_config.fuzz(SEED, range(200), workers=1)
    assert verdict.holds, verdict.text()
    assert all(verdict.seen[what] for what in MET["config"]), verdict.text()


def assert_met(verdict):
    assert verdict.cases == len(SOME.get(verdict.kind, CASES))
    assert all(verdict.seen[what] for what in MET[verdict.kind]), verdict.text()


# --- planted faults -------------------------------------------------------------------------------


def test_a_file_that_makes_the_checker_raise_is_named(monkeypatch):
    load = fuzz_files.load_folder

    def fragile(folder):
        if (folder / "7.yaml").exists():
            raise LookupError("planted")
        return load(folder)

    monkeypatch.setattr(fuzz_files, "load_folder", fragile)
    verdict = fuzz_files.fuzz(SEED, range(10), workers=1)
    assert not verdict.holds
    assert verdict.faulty == 1
    assert verdict.faults[0].startswith("case 7: ")
    assert "planted" in verdict.faults[0]


def test_a_checker_that_dies_is_found(monkeypatch):
    monkeypatch.setattr(fuzz_files, "check_loaded", lambda *_, **__: os._exit(3))
    verdict = fuzz_files.fuzz(SEED, range(300), workers=2)
    assert verdict.faulty == 2
    assert "died: exit code 3" in verdict.text()


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        (partial(int, "planted"), "ValueError"),
        (partial(os._exit, 1), "died without a word"),
        (threading.Event().wait, "Timeout"),
    ],
)
def test_an_agent_that_fails_at_a_spool_is_found(monkeypatch, planted, said):
    monkeypatch.setattr(fuzz_spool, "read", lambda *_: planted())
    monkeypatch.setattr(fuzz_spool, "HANG_S", 0.2)
    verdict = fuzz_spool.fuzz(SEED, range(1))
    assert verdict.faults[0].startswith("case 0: ")
    assert said in verdict.text()


@pytest.mark.parametrize(
    ("status", "head", "body", "said"),
    [
        (500, b"", b'{"error": "internal error", "request_id": "1"}', "500"),
        (503, b"", b"{}", "without Retry-After"),
        (400, b"", b"sorry", "not an error in JSON"),
        (400, b"", b'{"error": "", "request_id": "1"}', "not an error in JSON"),
        (400, b"", b'{"error": "File \\"/a.py\\"", "request_id": "1"}', "what is inside"),
        (200, b"", b"whatever", None),
        (503, b"\r\nRetry-After: 5\r\n", b"{}", None),
    ],
)
def test_an_answer_is_judged(status, head, body, said):
    verdict = Verdict("rest", SEED)
    fuzz_rest.judge(verdict, 5, ASKED, Answer(status, head, body))
    assert [said is None or said in fault for fault in verdict.faults] == [True] * (
        said is not None
    )


class Host:
    """A server of one port that does with each connection what it is told."""

    tokens: list[str] = []

    def __init__(self, act):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._act, self._kept = act, []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                link = self._listener.accept()[0]
            except OSError:
                return
            self._kept.append(link)
            self._act(link)

    def trouble(self):
        return ""

    def warm(self):
        pass

    def close(self):
        self._listener.close()
        for link in self._kept:
            link.close()


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda link: None, "no answer within"),
        (lambda link: link.close(), "the connection was ended"),
        (lambda link: link.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"), "500"),
        (lambda link: link.sendall(b"SSH-2.0-OpenSSH\r\n\r\n"), "no HTTP"),
    ],
)
def test_a_server_that_hangs_dies_or_fails_is_found(monkeypatch, act, said):
    monkeypatch.setattr(fuzz_rest, "HANG_S", 0.2)
    monkeypatch.setattr(fuzz_rest, "a_request", lambda *_: ASKED)
    host, verdict = Host(act), Verdict("rest", SEED)
    fuzz_rest.play(host, SEED, range(1), FOR_EVER, verdict)
    host.close()
    assert said in verdict.text(), verdict.text()
    assert not verdict.holds


def test_a_death_and_a_traceback_are_found_in_a_server(server):
    server.server.kill("checker/0")
    until(
        lambda: server.server.processes()["checker/0"] not in (0, server.pids["checker/0"]),
        "another checker",
    )
    with (server.folder / "server.log").open("a") as log:
        log.write("Traceback (most recent call last):\n")
    verdict = Verdict("rest", SEED)
    verdict.cases = 1
    server.judge(verdict)
    assert any("checker/0 is another process" in fault for fault in verdict.faults)
    assert any("Traceback" in fault for fault in verdict.faults)
    again = Verdict("rest", SEED)
    again.cases = 1
    server.judge(again)
    assert again.holds, again.text()


def test_spells_of_a_kind_add_up(tmp_path):
    verdict = Verdict("files", SEED)
    verdict.played(1_500)
    verdict.fault("oh")
    verdict.took_s = 3.0
    lines = [json.dumps(verdict.spell(start)) for start in (0, 1_500)]
    assert summed("\n".join(lines)) == [
        "files    3,000 cases in 2 spells and 6 s (500/s): 2 faults"
    ]


def test_a_command_that_raises_hangs_or_ends_oddly_is_found(server, monkeypatch):
    for planted, said in (
        (partial(int, "planted"), "ValueError"),
        (partial(sys.exit, 7), "status 7"),
        (threading.Event().wait, "did not end"),
        (partial(sys.exit, 1), "not a word"),
    ):
        monkeypatch.setattr(fuzz_command, "TOO_LONG_S", 0.2 if "end" in said else HANG_S)
        monkeypatch.setattr(people, "main", planted)
        monkeypatch.setattr(administrators, "main", planted)
        verdict = Verdict("command", SEED)
        fuzz_command.play(server, SEED, range(1), FOR_EVER, verdict)
        assert said in verdict.text(), verdict.text()


def test_a_ledger_that_fails_at_a_row_is_found(monkeypatch):
    monkeypatch.setattr(fuzz_ledger, "Found", lambda: int("planted"))
    verdict = fuzz_ledger.fuzz(SEED, range(1))
    assert verdict.faults[0].startswith("case 0: ")
    assert "planted" in verdict.faults[0]


def test_a_case_is_made_by_its_number_alone():
    for make in (fuzz_files.a_file, fuzz_socket.a_frame, fuzz_wire.a_message):
        assert make(Dice("x", 1, 5)) == make(Dice("x", 1, 5))
        assert make(Dice("x", 1, 5)) != make(Dice("x", 2, 5))
