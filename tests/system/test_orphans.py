"""A role of a killed server goes on beside the next server, and meets nobody of it."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest
from live_server import ROLES, Server, until
from orphans import Orphans, gone
from ports import free_port

pytestmark = pytest.mark.slow

JOBS = {
    # Planned, waited for, run and followed by another: every role has a part in it.
    "first": "program: {type: shell, command: 'true'}\n"
    "action: {type: schedule, job_id: second, if: {states: success}}\n",
    "second": "condition: {type: dependency, job_id: first}\n"
    "program: {type: shell, command: 'true'}\n",
}
# All but those that have what the next server cannot have as well: database and spool.
BESIDE = ("scheduler/0", "binder/0", "waiter/0", "runner/0", "responder/0", "checker/0", "web/0")
# One by one, it is seen who takes what from whom.
GROUPS = [(role,) for role in BESIDE] if os.environ.get("CALLSHEET_ONE_BY_ONE") else [BESIDE]
# By then each of their sockets has tried to connect again, more than once.
TRIED_S = 3.0


def elsewhere(server: Server) -> None:
    """Have it answer at another port: the one it had may be an orphan's."""
    server.port = free_port()
    server.bind = f"127.0.0.1:{server.port}"


def starts(server: Server) -> dict[str, Any]:
    """How often each role was started, once all are ready."""

    def ready() -> Any:
        try:
            found = json.loads((server.state / "health.json").read_text())
        except (OSError, ValueError):
            return None
        return found if found["ready"] and not found["degraded"] else None

    found = until(ready, f"all roles to be ready:\n{server.log()}")
    return {role: one["starts"] for role, one in found["roles"].items()}


def all_answer(server: Server) -> None:
    """See that every role does its part and was started once."""
    run = server.finished(server.schedule("first"))
    runs = len(server.get("/api/v1/runs?job_id=first").json["runs"])
    assert run["state"] == "success"

    def followed() -> Any:
        answer = server.get("/api/v1/runs?job_id=second")
        states = [run["state"] for run in answer.json.get("runs", {}).values()]
        return answer.status == 200 and states == ["success"] * runs

    until(followed, "the runs that follow")
    assert server.insist("/api/control/reload_jobs?dry_run=False", {}).status == 200
    asked = server.insist("/api/v2/checks", {})
    assert asked.status == 200, asked.body

    def checked() -> Any:
        rounds = server.get("/api/v2/checks").json["rounds"]
        return next((one for one in rounds if one["began"] >= asked.json["asked"]), None)

    assert until(checked, "a round of the checker")["left_out"] == []
    until(lambda: server.get("/healthz/ready").status == 200, "the web server to be ready")
    assert set(starts(server).values()) == {1}, server.log()


@pytest.mark.parametrize("roles", GROUPS)
def test_roles_that_go_on_beside_the_next_server_take_nothing_from_it(a_server, roles):
    server = a_server(JOBS).start()
    starts(server)
    with Orphans(server, *roles, unaware=True) as orphans:
        elsewhere(server)
        server.start()
        starts(server)
        orphans.go_on()
        tried_s = time.monotonic() + TRIED_S
        while time.monotonic() < tried_s:
            all_answer(server)
        all_answer(server)
        assert not any(map(gone, orphans.pids))
    # Nor has one of them done the part of another meanwhile.
    all_answer(server)


@pytest.mark.parametrize(
    ("roles", "status", "sentence"),
    [(ROLES, 2, "in use"), (("agent",), 1, "another agentd uses this spool")],
    ids=["all", "agent"],
)
def test_what_an_orphan_has_alone_the_next_server_waits_for(a_server, roles, status, sentence):
    server = a_server(JOBS).start()
    starts(server)
    with Orphans(server, *roles, unaware=False) as orphans:
        refused = server.callsheetctl("serve", "--config", str(server.config))
        assert (refused.returncode, sentence in refused.stderr) == (status, True), refused.stderr
        orphans.go_on()
        server.start()
        all_answer(server)
        assert all(map(gone, orphans.pids))
