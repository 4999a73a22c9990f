"""A secret of a job, printed in every way: in nothing that the server has, says or shows."""

from __future__ import annotations

import base64
import json
import socket
import sys
import urllib.parse
from pathlib import Path

import pytest
from live_server import until

from callsheet.client.client import Client

pytestmark = pytest.mark.slow

CANARY = "cänary/7+a 'b\" $c?"
DATA = CANARY.encode()
# A part of each form that is nobody else's.
FORMS = (
    DATA,
    DATA[:9],
    DATA[-9:],
    base64.b64encode(DATA)[:20],
    base64.b64encode(b"-" + DATA)[4:20],
    base64.b64encode(b"--" + DATA)[4:20],
    base64.urlsafe_b64encode(DATA)[:20],
    urllib.parse.quote(CANARY, safe="").encode(),
    urllib.parse.quote(CANARY, safe="").lower().encode(),
    urllib.parse.quote_plus(CANARY).encode(),
    json.dumps(CANARY)[1:-1].encode(),
    json.dumps(CANARY, ensure_ascii=False)[1:-1].encode(),
    DATA.hex().encode(),
    DATA.hex().upper().encode(),
    repr(CANARY)[1:-1].encode(),
)
SAYS = """\
import base64, json, os, sys, time, urllib.parse as u
s = os.environ["TOKEN"]
d = s.encode()
forms = [s, s, s, base64.b64encode(d).decode(), base64.b64encode(b"-" + d).decode(),
         base64.b64encode(b"--" + d).decode(), base64.urlsafe_b64encode(d).decode(),
         u.quote(s, safe=""), u.quote(s, safe="").lower(), u.quote_plus(s), json.dumps(s),
         json.dumps(s, ensure_ascii=False), d.hex(), d.hex().upper(), repr(s)]
for form in forms:
    for part in (form[:5], form[5:]):
        sys.stdout.write(part)
        sys.stdout.flush()
        time.sleep(0.01)  # chunk borders, if the agent looks just now; none are needed
    print()
print("said", len(forms), flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
with open(os.environ["CALLSHEET_RESULT"], "w") as file:
    print("token=" + s, file=file)
sys.exit("bye " + s)
"""
JOB = """\
program:
  type: process
  argv: ["{python}", "-c", {says}, "{go}"]
  env: {{TOKEN: {{secret: db}}}}
"""
MISSING = "program: {type: shell, command: 'true', env: {A: {secret: not-there}}}\n"


def found_in(data: bytes) -> list[bytes]:
    return [form for form in FORMS if form in data]


def text_of(message: dict[str, object]) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode()


def holders(folder: Path) -> dict[str, list[bytes]]:
    """Files that hold a form of the secret, but for what the process itself wrote on its host."""
    found = {}
    for path in folder.rglob("*"):
        ours = "agentd" not in path.parts or path.name not in ("out", "result")
        if path.is_file() and path.name != "db" and ours:
            forms = found_in(path.read_bytes())
            found |= {str(path): forms} if forms else {}
    return found


def test_a_secret_is_nowhere_but_in_its_job_and_one_that_is_missing_is_an_error(a_server, tmp_path):
    secrets = tmp_path / "secrets"
    secrets.mkdir(0o700)
    (secrets / "db").write_text(CANARY)
    (secrets / "db").chmod(0o600)
    go = tmp_path / "go"
    says = json.dumps(SAYS)
    jobs = {
        "work": JOB.format(python=sys.executable, says=says, go=go),
        "missing": MISSING,
    }
    server = a_server(jobs, f"agents: {{secrets: {secrets}}}\n").start()
    missing = server.finished(server.schedule("missing"))
    assert missing["state"] == "error"
    log = server.get(f"/api/v1/runs/{missing['run_id']}/log").json["run_log"]
    expected = f"secret not-there: on {socket.gethostname()}: there is none: expected a file"
    assert any(expected in line["message"] for line in log)

    told = bytearray()
    run_id = server.schedule("work")
    output = f"/api/v2/runs/{run_id}/output/output/raw"
    until(lambda: b"said 15" in server.get(output).body, "the process to have said all")
    # What is live comes masked, not only what is over.
    told += server.get(output).body
    lines = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists()]
    go.touch()
    assert server.finished(run_id)["state"] == "failure"
    with Client("127.0.0.1", server.port) as client:
        # The first message has all there is so far.
        told += text_of(next(iter(client.follow("run", {"run_id": run_id}))))
        terms = {"run_id": run_id, "output_id": "output"}
        for message in client.follow("output", terms):
            told += text_of(message) + base64.b64decode(message.get("b64", ""))
            if message.get("ended"):
                break
    body = server.get(output).body
    assert body.count(b"*" * len(DATA)) >= 3
    paths = (
        f"/api/v2/runs/{run_id}", f"/api/v1/runs/{run_id}/log", f"/api/v1/runs/{run_id}",
        "/api/v1/jobs/work", "/api/v2/audit-log", "/api/v2/agents", "/api/v2/runs", output,
    )  # fmt: skip
    for path in paths:
        answer = server.get(path)
        assert answer.status == 200
        told += answer.body
    assert server.get(f"/api/v2/runs/{run_id}").json["run"]["results"] == {"token": "***"}
    assert found_in(bytes(told)) == []
    assert [line for line in lines if found_in(line)] == []
    assert found_in(server.log().encode()) == []
    assert holders(tmp_path) == {}
    server.stop()
    assert holders(tmp_path) == {}
