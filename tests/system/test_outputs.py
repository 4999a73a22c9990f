"""Outputs of a real server with its local agent: streams apart, artifacts, floods, followers."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from live_server import Server, until

ROOT = Path(__file__).parents[2]

JOBS = {
    "both": """
program:
  type: shell
  command: |
    mkdir -p out
    for n in 1 2 3; do echo result $n; echo warning $n >&2; sleep 0.05; done
    echo 1,2 > out/table.csv
    exit 3
  cwd: WORK
  output: {streams: split}
  artifacts: ["out/*.csv", missing.txt]
""",
    "gated": """
params: [gate]
program:
  type: shell
  command: "echo first; while [ ! -e {{ gate }} ]; do sleep 0.01; done; echo second"
""",
    "endless": """
program:
  type: shell
  command: "echo begins; ulimit -t 100; exec yes output"
  output: {keep: 256K}
""",
    "line": """
program:
  type: shell
  command: |
    ulimit -t 100; tr '\\0' x < /dev/zero
  output: {keep: 256K}
""",
    "noise": """
program:
  type: shell
  command: "ulimit -t 100; exec cat /dev/urandom"
  output: {keep: 256K}
""",
    "bytes": """
program:
  type: shell
  command: head -c 3000000 /dev/urandom | tee WORK/bytes
""",
    "again": """
params: [gate]
program:
  type: shell
  command: |
    echo begin $CALLSHEET_ATTEMPT
    while [ ! -e {{ gate }} ]; do sleep 0.01; done
    seq 100000
    [ $CALLSHEET_ATTEMPT = 3 ]
retry: {attempts: 3, backoff: 0}
""",
    "much": """
program:
  type: shell
  command: seq 100000; seq 200000 300000 >&2
  output: {streams: split, keep: 64K}
""",
    "old": "program: {type: archive, age: 0, path: WORK/old.db, count: 9}",
    "quick": "program: {type: process, argv: [/bin/true]}",
}


@pytest.fixture
def server(tmp_path):
    jobs = {name: text.replace("WORK", str(tmp_path)) for name, text in JOBS.items()}
    server = Server(tmp_path / "site", jobs)
    server.start()
    yield server
    server.stop()


def raw(server, run_id, output_id):
    """The whole of an output, as a person downloads it."""
    path = f"/api/v2/runs/{run_id}/output/{output_id}/raw"
    return server.request("GET", path).body.decode()


def test_streams_are_read_apart_and_in_order_and_files_are_kept(server):
    run_id = server.schedule("both")
    assert server.finished(run_id)["state"] == "failure"
    run = server.get(f"/api/v2/runs/{run_id}").json["run"]
    found = {one["output_id"]: (one["name"], one["length"]) for one in run["outputs"]}
    assert found == {
        "output": ("combined stdout & stderr", 57),
        "stdout": ("stdout", 27),
        "stderr": ("stderr", 30),
        "out.table.csv": ("out/table.csv", 4),
    }
    results = [f"result {n}\n" for n in (1, 2, 3)]
    warnings = [f"warning {n}\n" for n in (1, 2, 3)]
    assert raw(server, run_id, "stdout") == "".join(results)
    assert raw(server, run_id, "stderr") == "".join(warnings)
    assert raw(server, run_id, "output") == "".join(
        line for pair in zip(results, warnings, strict=True) for line in pair
    )
    answer = server.request("GET", f"/api/v2/runs/{run_id}/output/out.table.csv/raw")
    assert answer.body == b"1,2\n"
    assert answer.headers["Content-Disposition"].endswith("''table.csv")
    assert run["meta"]["program"]["remarks"] == ["missing.txt: there is no such file"]
    span = server.get(f"/api/v2/runs/{run_id}/output/stderr?start=10&limit=9").json
    assert (span["data"], span["length"]) == ("warning 2", 30)


def test_streams_that_were_told_apart_are_verified_archived_and_read_there(server, tmp_path):
    run_id = server.schedule("both")
    server.finished(run_id)
    assert "nothing wrong" in said(
        "administrators", "verify", "--database", f"{server.folder}/callsheet.db"
    )
    assert server.finished(server.schedule("old"))["state"] == "success"
    old = str(tmp_path / "old.db")
    assert "nothing wrong" in said("administrators", "verify", "--archive", old)
    read = ("people", "output", "--archive", old, run_id)
    assert said(*read, "--stdout").splitlines() == [f"result {n}" for n in (1, 2, 3)]
    assert said(*read, "--stderr").splitlines() == [f"warning {n}" for n in (1, 2, 3)]
    listed = [line.split()[0] for line in said(*read, "--list").splitlines()[1:]]
    assert listed == ["out.table.csv", "output", "stderr", "stdout"]


def test_a_stream_of_which_a_part_is_not_kept_says_so(server):
    run_id = server.schedule("much")
    outputs = (
        server.finished(run_id) and server.get(f"/api/v2/runs/{run_id}").json["run"]["outputs"]
    )
    left_out = {one["output_id"]: (one["truncated"], "left_out" in one) for one in outputs}
    assert left_out == {"output": (True, True), "stdout": (True, False), "stderr": (True, False)}
    packed = server.request("GET", f"/api/v2/runs/{run_id}/outputs.zip").body
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        told = archive.read("left-out.txt").decode().splitlines()
    assert {"stdout.txt: a part was left out", "stderr.txt: a part was left out"} < set(told)


def said(*words):
    """What a command prints when all is well."""
    command = [sys.executable, "-m", f"callsheet.cli.{words[0]}", *words[1:]]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stderr
    return found.stdout


def follower_of(server, run_id):
    """The command that follows a run's output."""
    command = [sys.executable, "-m", "callsheet.cli.people", "output", "-f", run_id]
    environ = {**os.environ, "CALLSHEET_HOST": f"127.0.0.1:{server.port}"}
    follower = subprocess.Popen(command, stdout=subprocess.PIPE, env=environ)
    assert follower.stdout is not None
    return follower


def test_the_command_follows_what_comes_and_ends_with_the_run(server, tmp_path):
    gate = tmp_path / "gate"
    follower = follower_of(server, server.schedule("gated", gate=str(gate)))
    assert follower.stdout.readline() == b"first\n"
    gate.touch()
    assert follower.stdout.read() == b"second\n"
    assert follower.wait(60) == 0


def test_a_run_that_is_tried_again_is_followed_from_attempt_to_attempt(server, tmp_path):
    gate = tmp_path / "gate"
    follower = follower_of(server, server.schedule("again", gate=str(gate)))
    assert follower.stdout.readline() == b"begin 1\n"
    gate.touch()
    lines = follower.stdout.read().decode().splitlines()
    counted = [str(n) for n in range(1, 100_001)]
    assert lines == [*counted, "begin 2", *counted, "begin 3", *counted]
    assert follower.wait(60) == 0


def test_an_endless_output_is_stopped_with_its_head_and_tail(server):
    run_id = server.schedule("endless")
    until(lambda: _length(server, run_id) > 50 * 2**20, "50 MiB of output")
    # While it goes on, what is on disk at one moment says nothing: the holes follow it.
    server.request("PUT", f"/api/v1/runs/{run_id}/signal/STOP")
    until(lambda: _on_disk(server) < 40 * 2**20, "the middle of it to leave the disk")
    server.request("PUT", f"/api/v1/runs/{run_id}/signal/CONT")
    server.post(f"/api/v1/runs/{run_id}/stop")
    server.finished(run_id)
    (output,) = server.get(f"/api/v2/runs/{run_id}").json["run"]["outputs"]
    start, end = output["left_out"]
    assert (output["truncated"], start) == (True, 2**16)
    assert output["length"] - (end - start) == 2**18
    text = raw(server, run_id, "output")
    assert text.startswith("begins\noutput\n")
    assert f"[callsheet: {end - start:,} bytes were left out here]\n" in text
    # It is stopped anywhere: the first and the last word of the tail may be cut.
    tail = text.partition(" bytes were left out here]\n")[2].split()
    assert set(tail[1:-1]) == {"output"}


def _on_disk(server):
    spools = server.state.glob("**/runs/*/out")
    return sum(path.stat().st_blocks for path in spools) * 512


def test_runs_begin_and_end_beside_floods_of_one_endless_line_and_of_noise(server, tmp_path):
    floods = [server.schedule(name) for name in ("line", "line", "noise", "noise")]
    until(lambda: _length(server, floods[0]) > 10**9, "a line of 1 GB")
    until(lambda: all(_length(server, one) > 20 * 2**20 for one in floods), "20 MiB of each")
    for _ in range(3):
        assert server.finished(server.schedule("quick"))["state"] == "success"
    exact = server.schedule("bytes")
    assert server.finished(exact)["state"] == "success"
    assert whole(server, exact) == (tmp_path / "bytes").read_bytes()
    (agent,) = server.get("/api/v2/agents").json["agents"]
    assert agent["connected"]
    for run_id in floods:
        assert server.run(run_id)["state"] == "running"
        server.post(f"/api/v1/runs/{run_id}/stop")
    for run_id in floods:
        server.finished(run_id)
        assert "unreachable" not in server.get(f"/api/v1/runs/{run_id}/log").body.decode()
        (output,) = server.get(f"/api/v2/runs/{run_id}").json["run"]["outputs"]
        start, end = output["left_out"]
        assert (start, output["length"] - (end - start)) == (2**16, 2**18)
    # What is left out is said between the head and the tail, however long the line.
    head, said, tail = whole(server, floods[0]).partition(b"\n[callsheet: ")
    assert head == b"x" * 2**16
    assert said
    assert tail.endswith(b" bytes were left out here]\n" + b"x" * (2**18 - 2**16))


def whole(server, run_id):
    """The whole of an output, byte by byte."""
    return server.request("GET", f"/api/v2/runs/{run_id}/output/output/raw").body


def _length(server, run_id):
    found = server.get(f"/api/v1/runs/{run_id}/outputs").json
    return sum(one["output_len"] for one in found)


def test_many_large_outputs_at_once_cost_little_memory_and_leave_others_alone():
    command = [sys.executable, "g10_outputs.py", "6", str(100 * 2**20)]
    found = subprocess.run(
        command, cwd=ROOT / "bench", capture_output=True, text=True, timeout=300, check=False
    )
    assert found.returncode == 0, found.stderr
    figures = {line.split()[0]: float(line.split()[1]) for line in found.stdout.splitlines()}
    assert figures["G10_memory"] <= 32
