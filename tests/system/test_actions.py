"""Actions and deadlines on a real server: they survive kills, and no secret is left anywhere."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from http_stand import Hook
from live_server import Server, until

from callsheet.client.webhooks import Webhooks

CANARY = "c4nary-0f-all-s3crets"
SETTINGS = f"""\
actions: {{allow: [webhook, command]}}
webhooks: {{allow_hosts: [127.0.0.1]}}
secrets: {{inline: {CANARY}-1, filed: {{file: key}}}}
"""
JOB = """\
program: {{type: no-op}}
action:
  - {{type: webhook, url: "{url}", secret: filed, if: {{states: success}}}}
  - {{type: command, command: 'echo "$CALLSHEET_ACTION_ID" >> {evidence}', if: {{states: success}}}}
  - {{type: schedule, job_id: next, if: {{states: success}}}}
"""
NEXT = "program: {type: no-op}\n"


@pytest.fixture
def a_hook() -> Iterator[Callable[..., Hook]]:
    made: list[Hook] = []

    def make(*answers: Any) -> Hook:
        made.append(Hook(*answers))
        return made[-1]

    yield make
    for one in made:
        one.close()


def with_key(server: Server) -> Server:
    key = server.folder / "key"
    key.touch(mode=0o600)
    key.write_text(f"{CANARY}-2\n")
    return server.start()


def outcomes(server: Server, run_id: str) -> list[str]:
    """How each action of a run ended, once none is owed any more."""

    def over() -> list[dict[str, Any]] | None:
        try:
            run = server.get(f"/api/v2/runs/{run_id}").json["run"]
        except OSError:
            return None
        settled = [line for line in run["log"] if line.get("outcome") in ("done", "failed")]
        return settled if not run["owed"] and settled else None

    return [line["outcome"] for line in until(over, f"the actions of {run_id}")]


def hits(folder: Path, text: str) -> list[str]:
    """The files of a server that hold a text, but for those the administrator wrote it into."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    theirs = {folder / "callsheet.yaml", folder / "key"}
    return [
        str(path) for path in files if path not in theirs and text.encode() in path.read_bytes()
    ]


@pytest.mark.slow
def test_kill_9_of_responder_and_ledger_in_the_middle_loses_no_action(a_server, a_hook, tmp_path):
    evidence = tmp_path / "evidence"
    evidence.touch()
    go_on = threading.Event()

    def hang(handler: Any) -> None:
        # The responder is killed while it waits for this.
        go_on.wait(60)
        handler.close_connection = True

    hook = a_hook(hang, 200)
    jobs = {"work": JOB.format(url=hook.url(), evidence=evidence), "next": NEXT}
    server = with_key(a_server(jobs, SETTINGS))
    run_id = server.schedule("work")
    assert hook.arrived.wait(60)
    server.kill("responder/0")
    server.kill("ledger/0")
    go_on.set()
    until(lambda: len(hook.requests) >= 2, "the webhook to come again")
    assert outcomes(server, run_id) == ["done", "done", "done"]
    keys = {headers["idempotency-key"] for _, _, headers, _ in hook.requests}
    assert len(keys) == 1
    receiver = Webhooks(f"{CANARY}-2")
    events = [receiver.check(headers, body) for _, _, headers, body in hook.requests]
    assert events[0]["run"]["run_id"] == run_id
    assert events[1:] == [None] * (len(events) - 1)
    assert len(set(evidence.read_text().split())) == 1
    followers = server.get("/api/v1/runs?job_id=next").json["runs"]
    assert len(followers) == 1


@pytest.mark.slow
def test_a_failing_webhook_is_tried_again_and_its_secret_is_nowhere(a_server, a_hook, tmp_path):
    hook = a_hook(lambda handler: handler.send_error(503, f"no, {CANARY}-2"), 200)
    jobs = {"work": JOB.format(url=hook.url(), evidence=tmp_path / "evidence"), "next": NEXT}
    server = with_key(a_server(jobs, SETTINGS))
    run_id = server.schedule("work")

    def waiting() -> Any:
        owed = server.get(f"/api/v2/runs/{run_id}").json["run"]["owed"]
        return next((one for one in owed if one["attempts"]), None)

    failed = until(waiting, "the first attempt to fail")
    assert "503 no, ***" in failed["error"]
    assert failed["next_attempt"]
    assert sorted(outcomes(server, run_id)) == ["done", "done", "done"]
    assert server.finished(run_id)["state"] == "success"
    said = [
        server.get(path).body.decode()
        for path in (f"/api/v2/runs/{run_id}", f"/api/v1/runs/{run_id}/log", "/api/v1/jobs/work")
    ]
    server.stop()
    assert CANARY not in json.dumps(said)
    assert CANARY not in server.log()
    assert hits(server.folder, CANARY) == []


def stopped_before(seconds: float, server: Server, hook: Hook) -> tuple[str, datetime] | None:
    """Have a run planned for so many seconds from now and stop the server before it has missed
    anything; None when the machine was not as quick as that."""
    at = (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)
    (server.folder / "jobs" / "work.yaml").write_text(f"""\
schedule: {{type: explicit, times: "{at.isoformat()}"}}
deadline: {{start_by: 1s, finish_by: 2s}}
condition: {{type: const, value: false}}
program: {{type: no-op}}
action: {{type: webhook, url: "{hook.url()}", if: {{deadline: [start_by, finish_by]}}}}
""")
    server.start()
    planned: list[str] = []
    while not planned and datetime.now(UTC) < at:
        planned = list(server.get("/api/v1/runs?job_id=work").json["runs"])
    server.stop()
    in_time = datetime.now(UTC) < at + timedelta(seconds=1)
    return (planned[0], at) if planned and in_time else None


@pytest.mark.slow
def test_a_deadline_that_passes_while_the_server_is_down_is_missed_once(a_server, a_hook):
    for seconds in (8, 16, 32, 64, 128, 256):
        hook = a_hook()
        server = a_server({}, "webhooks: {allow_hosts: [127.0.0.1]}\n", name=f"in{seconds}")
        planned = stopped_before(seconds, server, hook)
        if planned is not None:
            break
    assert planned is not None, "no machine is as slow as that"
    run_id, at = planned
    until(lambda: datetime.now(UTC) > at + timedelta(seconds=3), "the deadlines to pass", 400)
    assert hook.requests == []
    server.start()

    def told() -> dict[str, str]:
        """Which deadline each key tells of: what came twice came by one key."""
        return {
            headers["idempotency-key"]: json.loads(body)["deadline"]
            for _, _, headers, body in list(hook.requests)
        }

    until(lambda: len(told()) == 2, "both to be told of")
    server.kill("ledger/0")
    server.stop()
    server.start()
    run = server.run(run_id)
    assert list(run["meta"]["deadlines"]) == ["start_by", "finish_by"]
    path = f"/api/v2/runs/{run_id}"
    until(lambda: not server.get(path).json["run"]["owed"], "nothing to be owed any more")
    lines = [line["message"] for line in server.get(path).json["run"]["log"]]
    assert sum(line.startswith("deadline missed") for line in lines) == 2
    assert sorted(told().values()) == ["finish_by", "start_by"]
