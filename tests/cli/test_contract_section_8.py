"""Section 8 of the contract, statement by statement: what a user of Apsis's commands types works.

What other tests show is not repeated: how `watch`, `check-jobs`, `reload-jobs` and `serve` behave.
"""

import json
import re

import pytest
import yaml

from callsheet.client import Client
from callsheet.jobs.times import parse_time

SYMBOLS = {"scheduled": "O", "waiting": "|", "starting": "›", "running": "»"}


def test_8_log_level_may_be_given_and_shortened(callsheet, callsheetctl):
    for program in (callsheet, callsheetctl):
        for option in ("--log-level", "--log"):
            assert program(option, "DEBUG", "--help").status == 0


def test_8_host_and_port_may_be_given_apart(command, stand):
    found = command("people", "--host", "127.0.0.1", "--port", str(stand.port), "jobs")
    assert (found.status, found.lines[1].split()[0]) == (0, "backup")


def test_8_an_error_of_the_api_has_its_status_and_exit_1(callsheet):
    found = callsheet("run", "r404")
    assert (found.status, found.err) == (1, "Error: unknown run r404 [API status: 404]\n")


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_8_a_format_prints_the_raw_object(callsheet, stand, form):
    run_id = stand.a_run("reports/daily sales", args={"date": "2026-01-02"})
    raw = stand.ask("GET", f"/api/v1/runs/{run_id}")[1]["runs"][run_id]
    job = stand.ask("GET", "/api/v1/jobs/backup")[1]
    load = {"json": json.loads, "yaml": yaml.safe_load}[form]
    assert load(callsheet("run", "--format", form, run_id).out) == raw
    assert load(callsheet("job", "--format", form, "backup").out) == job
    assert "\n  " in callsheet("job", "--format", form, "backup").out


def test_8_several_runs_as_yaml_are_documents_one_after_another(callsheet, stand):
    ids = [stand.a_run("backup"), stand.a_run("backup")]
    found = yaml.safe_load_all(callsheet("run", "--format", "yaml", *ids).out)
    assert [one["run_id"] for one in found] == ids


def test_8_1_adhoc_joins_its_words_for_a_shell(callsheet, monkeypatch):
    asked = []
    carry_out = Client.carry_out
    monkeypatch.setattr(
        Client, "carry_out", lambda self, ask: asked.append(ask) or carry_out(self, ask)
    )
    for option in ([], ["--shell"]):
        assert callsheet("adhoc", *option, "+1h", "echo", "a b", "c").status == 0
    plain, shell = (ask.body["job"] for ask in asked)
    assert plain["program"] == ["echo", "a b", "c"]
    assert "echo a b c" in str(shell["program"])


def test_8_1_jobs_are_a_table_of_ids_params_and_labels(callsheet):
    lines = callsheet("jobs").lines
    assert lines[0].split()[:3] == ["job_id", "params", "labels"]
    assert re.split(r"  +", lines[2])[:3] == ["reports/daily sales", "(date)", "sales"]


def test_8_1_runs_are_a_table_with_symbols_of_states(callsheet, stand):
    stand.a_run("backup")
    stand.a_running_run(job_id="backup")
    lines = callsheet("runs", "-j", "backup").lines
    assert lines[0].split() == ["run_id", "state", "start", "elapsed", "job_id", "args"]
    for line in lines[1:]:
        state = line.split()[2]
        assert line.split()[1] == SYMBOLS[state]
        assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", line)


def test_8_1_runs_take_the_options_of_apsis(callsheet, stand):
    run_id = stand.a_run("backup")
    for options in (["-j", "backup"], ["--job", "backup", "-s", "scheduled"], ["--summary"]):
        found = callsheet("runs", *options)
        assert (found.status, found.lines[-1].split()[0]) == (0, run_id)
    assert callsheet("runs", "-j", "backup", "-t").status == 0


def test_8_1_times_may_name_a_span_as_newer_versions_of_apsis_have_it(callsheet, stand):
    ids = [stand.a_run("backup", schedule_us=parse_time(f"2031-01-0{n}T00:00Z")) for n in (1, 2, 3)]
    for span, wanted in (
        ("2031-01-01T00:00:00Z..2031-01-03T00:00:00Z", ids[:2]),
        ("2031-01-02T01:00:00+01:00..", ids[1:]),
        ("..2031-01-02T00:00:00Z", ids[:1]),
    ):
        found = callsheet("runs", "-j", "backup", "-t", span, "--format", "json")
        assert {run["run_id"] for run in json.loads(found.out)} == set(wanted), found.err
    assert callsheet("runs", "-t", "soon..later").status == 1


def test_8_1_a_run_with_everything_has_the_history_of_its_instance(callsheet, stand):
    args = {"date": "2026-01-02"}
    before = stand.a_run("reports/daily sales", args=args)
    run_id = stand.a_run("reports/daily sales", args=args)
    other = stand.a_run("reports/daily sales", args={"date": "2026-01-03"})
    found = callsheet("run", "-v", run_id)
    assert before in found.out
    assert other not in found.out
    assert before not in callsheet("run", run_id).out


@pytest.mark.parametrize("verb", [["start"], ["skip"], ["stop"], ["signal", "TERM"], ["rerun"]])
def test_8_1_operations_take_several_runs_and_a_missing_one_is_an_error(callsheet, stand, verb):
    found = callsheet(*verb, "r404", "r405")
    assert found.status == 1
    assert "r404" in found.err
    assert "[API status: 404]" in found.err


def test_8_1_only_a_clear_finished_state_is_a_mark(callsheet, stand):
    run_id = stand.a_run("backup")
    for word in ("s", "running", "", "scheduled"):
        assert callsheet("mark", word, run_id).status == 2


def test_8_1_schedule_takes_count_and_stop_time(callsheet, stand):
    found = callsheet(
        "schedule", "--count", "2", "--stop-time", "2099-01-01T00:00:00Z", "+1h", "backup"
    )
    ids = re.findall(r"\br\d+\b", found.out)
    assert (found.status, len(ids)) == (0, 2)
    assert "stop" in stand.ask("GET", f"/api/v1/runs/{ids[0]}")[1]["runs"][ids[0]]["times"]


def test_8_1_watching_need_not_end_with_the_run(callsheet):
    assert "--no-finish" in callsheet("watch", "--help").out


def test_8_2_version_names_the_server_and_both_versions(callsheetctl, stand):
    lines = callsheetctl("version").lines
    assert [line.partition(":")[0] for line in lines] == [
        "server",
        "server version",
        "client version",
    ]
    assert str(stand.port) in lines[0]


@pytest.mark.parametrize(
    "name",
    ["create", "check-jobs", "reload-jobs", "restart", "shut-down", "version", "serve"],
)
def test_8_2_every_command_of_an_administrator_has_its_name(callsheetctl, name):
    assert callsheetctl(name, "--help").status == 0
