"""A server as those see it who look after it: its logs, as its settings have them."""

import json
import re
import threading
import time
from pathlib import Path

import pytest
from live_server import Server, until
from prometheus_client.parser import text_string_to_metric_families

SETTINGS = """\
log:
  folder: logs
  format: json
  levels: {runs: info, requests: info}
  rotate: {size: 8KiB, keep: 1000}
"""
ROLES = ("supervisor", "ledger", "web", "agent")
# A process at rest wakes about ten times a second; two that answer each other, hundreds of times.
AT_REST = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("operations")
    jobs = {
        "hello": "params: []\nprogram: {type: procstar, argv: [echo, hello]}\n",
        "nothing": "params: []\nprogram: {type: no-op}\n",
    }
    server = Server(folder, jobs, SETTINGS).start()
    yield server
    server.stop()


def lines_of(server, part):
    """All lines of a part so far, of the files before its file too."""
    while True:
        files = sorted(Path(server.folder / "logs").glob(f"{part}.log.*"))
        files.append(server.folder / "logs" / f"{part}.log")
        try:
            texts = [path.read_text() for path in files if path.exists()]
        except FileNotFoundError:
            continue  # It was rolled over just now.
        return [json.loads(line) for text in texts for line in text.splitlines()]


def test_each_process_logs_to_a_file_of_its_own_one_object_a_line(server):
    for role in ROLES:
        lines = until(lambda role=role: lines_of(server, role), f"a line of {role}")
        assert {line["part"] for line in lines} == {role}


def test_a_run_is_followed_through_its_log_by_its_id(server):
    run_id = server.schedule("hello")
    server.finished(run_id)

    def moves():
        lines = lines_of(server, "ledger")
        return [line["message"] for line in lines if line.get("run_id") == run_id]

    end = f"run {run_id}: running → success"
    until(lambda: any(move.startswith(end) for move in moves()), "the line of its end")


def test_a_ledger_that_is_killed_while_it_logs_loses_no_line_of_a_run(server):
    run_ids = [server.schedule("nothing") for _ in range(40)]
    before = server.kill("ledger/0")
    run_ids += [server.schedule("nothing") for _ in range(5)]
    for run_id in run_ids:
        server.finished(run_id)
    until(
        lambda: any(line["pid"] != before and "seq" in line for line in lines_of(server, "ledger")),
        "a move of the ledger that came after",
    )
    lines = lines_of(server, "ledger")
    seqs = [line["seq"] for line in lines if "seq" in line]
    assert len(seqs) == len(set(seqs)), "no move is told twice"


def test_a_request_is_logged_with_what_became_of_it(server):
    server.get("/api/v2/no-such")

    def found():
        return [line for line in lines_of(server, "web") if line.get("path") == "/api/v2/no-such"]

    assert [line["status"] for line in until(found, "the line of the request")] == [404]


def figures(server):
    """The samples of `/metrics` by name and labels."""
    families = text_string_to_metric_families(server.get("/metrics").body.decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_each_role_tells_its_figures_and_the_ledger_those_of_runs(server):
    server.finished(server.schedule("hello"))

    # Each role beats by itself, so what one tells is there before what another does.
    success, active = (("state", "success"),), (("state", "active"),)
    least = {
        ("callsheet_runs_ended_total", success): 1,
        ("callsheet_run_start_delay_seconds_count", ()): 1,
        ("callsheet_commit_seconds_count", ()): 1,
        ("callsheet_agents", active): 1,
    }
    memory = "callsheet_process_resident_memory_bytes"
    least |= {(memory, (("role", role),)): 10**6 for role in ("ledger", "runner", "agent")}

    def told():
        found = figures(server)
        return found if all(found.get(name, 0) >= some for name, some in least.items()) else None

    found = until(told, f"at least {least}")
    roles = {dict(labels)["role"] for name, labels in found if name == "callsheet_role_up"}
    assert roles >= {"supervisor", "ledger", "scheduler", "runner", "waiter", "web", "agent"}
    assert found["callsheet_agents", active] == 1
    assert server.get("/healthz/ready").status == 200


def test_a_role_that_was_killed_shows_in_its_starts(server):
    name = ("callsheet_role_starts_total", (("role", "checker"),))
    before = until(lambda: figures(server).get(name), "the starts of the checker")
    server.kill("checker/0")
    until(lambda: figures(server).get(name, 0) > before, "another start of the checker")


def test_each_metric_that_an_alert_looks_at_is_told(server):
    alerts = (Path(__file__).parents[2] / "examples/prometheus/alerts.yaml").read_text()
    wanted = set(re.findall(r"callsheet_\w+", alerts))
    server.finished(server.schedule("hello"))

    def missing():
        body = server.get("/metrics?jobs=hello").body.decode()
        told = {line.split("{")[0].split()[0] for line in body.splitlines() if line[:1] != "#"}
        return wanted - told

    until(lambda: not missing(), "all that the alerts look at")
    assert len(wanted) > 8


def test_the_doctor_finds_a_server_that_is_well_and_that_it_is(server):
    server.finished(server.schedule("hello"))

    def well():
        found = server.callsheetctl("--server", server.bind, "doctor", "--json", "--config", config)
        errors = [one for one in json.loads(found.stdout) if one["level"] == "error"]
        return found if not errors else None

    config = str(server.config)
    found = until(well, "a doctor who is content")
    assert found.returncode == 0
    areas = {one["area"] for one in json.loads(found.stdout)}
    assert areas >= {"config", "files", "disk", "database", "server", "service", "agents", "clock"}


def test_no_role_has_refused_what_another_has_to_say(server):
    server.finished(server.schedule("hello"))
    assert server.post("/api/v2/reload").status == 200
    assert server.get("/api/v2/agents").status == 200
    for path in sorted((server.folder / "logs").iterdir()):
        assert "frame: " not in path.read_text(), path.name


def wakeups(pid):
    """How often the threads of a process have waited so far."""
    statuses = Path(f"/proc/{pid}/task").glob("*/status")
    lines = [line for status in statuses for line in status.read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))


def test_no_process_of_a_server_at_rest_keeps_another_busy(server):
    def busy():
        pids = {"supervisor": server.process.pid, **server.processes()}
        before = {role: wakeups(pid) for role, pid in pids.items()}
        began_s = time.monotonic()
        threading.Event().wait(1.0)
        most = AT_REST * (time.monotonic() - began_s)
        woken = {role: wakeups(pid) - before[role] for role, pid in pids.items()}
        return {role: times for role, times in woken.items() if times > most}

    until(lambda: not busy(), "a second in which every process rests")
