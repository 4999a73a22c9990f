"""The commands that follow a run while it lives."""

import json
import threading
import zipfile

import pytest

from callsheet.messages.instructions import OutputRecord


@pytest.mark.parametrize(("state", "status"), [("success", 0), ("failure", 1)])
def test_watching_ends_with_the_run_and_says_how_it_went(callsheet, stand, state, status):
    from callsheet.jobs.states import State

    run_id = stand.a_running_run(job_id="backup")
    ending = threading.Timer(0.2, stand.end_run, [run_id, State(state)])
    ending.start()
    found = callsheet("watch", run_id)
    ending.join()
    assert found.status == status
    assert found.lines[-1].startswith(run_id)
    assert found.lines[-1].endswith(state)


def test_watching_a_finished_run_ends_at_once(callsheet, stand):
    run_id = stand.a_run("backup")
    stand.ask("POST", f"/api/v1/runs/{run_id}/skip")
    found = callsheet("watch", "--silent", run_id)
    assert (found.status, found.out) == (1, "")


def test_watching_as_json_prints_every_update(callsheet, stand):
    run_id = stand.a_run("backup")
    stand.ask("POST", f"/api/v1/runs/{run_id}/skip")
    found = callsheet("watch", "--json", run_id)
    first, _end = json.JSONDecoder().raw_decode(found.out)
    assert first["run"]["state"] == "skipped"
    assert first["run_log"]


def test_watching_what_is_not_there_is_an_error(callsheet):
    found = callsheet("watch", "r999")
    assert found.status == 1
    assert found.err == "Error: unknown run r999 [API status: 404]\n"


def test_an_output_that_is_not_there_is_an_error(callsheet, stand):
    run_id = stand.a_run("backup")
    found = callsheet("output", run_id)
    assert found.status == 1
    assert found.err == f"Error: no output output for {run_id} [API status: 404]\n"


def test_a_query_is_followed_until_all_that_it_means_is_finished(callsheet, stand):
    from callsheet.jobs.states import State

    first = stand.a_running_run(job_id="backup")
    second = stand.a_running_run(job_id="backup")
    other = stand.a_running_run(job_id="reports/daily sales", args={"date": "2026-01-02"})
    endings = [
        threading.Timer(0.3, stand.end_run, [first, State.SUCCESS]),
        threading.Timer(0.6, stand.end_run, [second, State.FAILURE]),
    ]
    for ending in endings:
        ending.start()
    found = callsheet("watch", "--finish", "backup")
    for ending in endings:
        ending.join()
    assert found.status == 1
    assert [
        line.split()[2:5] for line in found.lines if "success" in line or "failure" in line
    ] == [
        [first, "+", "success"],
        [second, "X", "failure"],
    ]
    assert other not in found.out


def test_following_what_is_over_already_ends_at_once(callsheet, stand):
    run_id = stand.a_run("backup")
    stand.ask("POST", f"/api/v1/runs/{run_id}/skip")
    found = callsheet("watch", "--finish", "backup")
    assert (found.status, found.out) == (0, "")


def test_a_query_that_cannot_be_is_an_error_of_watching_too(callsheet):
    found = callsheet("watch", "state:sleeping")
    assert found.status == 1
    assert "sleeping" in found.err


def test_outputs_and_artifacts_are_listed_printed_and_written(callsheet, stand, tmp_path):
    run_id = stand.a_running_run()
    stand.end_run(
        run_id,
        outputs=[
            OutputRecord(
                run_id=run_id, length=1_004, data=b"headtail", truncated=True, gap_at=4,
                gap_bytes=996,
            ),
            OutputRecord(run_id=run_id, output_id="a.csv", name="out/a.csv", length=3, data=b"1,2"),
        ],
    )  # fmt: skip
    lines = callsheet("output", "--list", run_id).out.splitlines()
    assert lines[1].split() == [
        "a.csv", "1", "3", "out/a.csv",
    ]  # fmt: skip
    assert lines[2].endswith("996 bytes left out")
    assert [one["output_id"] for one in json.loads(callsheet("output", "--json", run_id).out)] == [
        "a.csv", "output",
    ]  # fmt: skip
    target = tmp_path / "a.csv"
    assert callsheet("output", "--output-id", "a.csv", "-o", str(target), run_id).status == 0
    assert target.read_bytes() == b"1,2"
    together = tmp_path / "all.zip"
    assert callsheet("output", "--zip", str(together), run_id).status == 0
    with zipfile.ZipFile(together) as archive:
        assert archive.namelist() == ["artifacts/out/a.csv", "output.txt", "left-out.txt"]
    refused = callsheet("output", "--zip", str(together), "--archive", "a.db", run_id)
    assert (refused.status, "--zip" in refused.err) == (2, True)
    shown = callsheet("output", "-f", run_id).out
    assert shown == "head\n[callsheet: 996 bytes were left out here]\ntail"
