"""What the commands that only look print, and how they end."""

import json

import pytest
from web_stand import now_us

from callsheet.cli.seen import one_line, some_lines, width
from callsheet.cli.shown import SOMETIMES, SYMBOLS, elapsed_s, elapsed_text, print_table
from callsheet.jobs.states import State
from callsheet.store.interface import StoreError
from callsheet.store.sqlite import SqliteReader
from callsheet.webui.shapes import RunRecord

HOUR_US = 3600 * 10**6


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "0:00"),
        (8.9, "0:08"),
        (401, "6:41"),
        (9668, "2:41:08"),
        (86400, "1:00:00:00"),
        (180_061, "2:02:01:01"),
    ],
)
def test_elapsed_is_shown_as_apsis_shows_it(seconds, text):
    assert elapsed_text(seconds) == text


def test_a_lost_run_has_run_until_it_was_lost():
    times = {"running": "2026-01-01T00:00:00Z", "lost": "2026-01-01T00:00:05Z"}
    now = "2026-02-01T00:00:00Z"
    assert elapsed_s({"state": "lost", "times": times}, now) == 5
    assert elapsed_s({"state": "success", "times": times | {"success": now}}) == 31 * 86_400
    assert elapsed_s({"state": "running", "times": times}, now) == 31 * 86_400


def test_every_state_of_the_api_has_its_own_symbol():
    states = {state.value for state in State} - {State.LOST.value}
    assert states <= set(SYMBOLS)
    assert len(set(SYMBOLS.values())) == len(SYMBOLS)


@pytest.mark.parametrize(
    ("text", "line", "lines", "columns"),
    [
        ("plain", "plain", "plain", 5),
        ("a\nb\tc", r"a\nb\tc", "a\nb\tc", 5),
        ("\x1b[2J\x1b[31m\x9b\r", r"\x1b[2J\x1b[31m\x9b\r", r"\x1b[2J\x1b[31m\x9b\r", 11),
        ("漢字e\u0301", "漢字e\u0301", "漢字e\u0301", 5),
    ],
)
def test_no_character_of_a_text_commands_the_terminal(text, line, lines, columns):
    assert one_line(text) == line
    assert some_lines(text) == lines
    assert width(text) == columns or not text.isprintable()


def test_a_row_is_a_line_in_its_columns(capsys):
    print_table(["a", "b"], [["漢", "x"], ["two\nlines", "\x1b[31mred\x1b[0m\x07"]])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == ["漢          x", r"two\nlines  red\x07"]


def test_jobs_are_listed_with_params_and_labels(callsheet):
    found = callsheet("jobs")
    assert found.status == 0
    assert found.lines[0].split() == ["job_id", "params", "labels", "schedule"]
    assert [line.split("  ")[0] for line in found.lines[1:]] == [
        "backup",
        "reports/daily sales",
        "reports/daily stock",
    ]
    assert "(date)" in found.lines[2]
    assert "nightly" in found.lines[1]


def test_jobs_can_be_narrowed_to_a_label(callsheet):
    found = callsheet("jobs", "--label", "sales")
    assert [line.split("  ")[0] for line in found.lines[1:]] == ["reports/daily sales"]


def test_jobs_as_json_are_what_the_api_answers(callsheet, stand):
    found = callsheet("jobs", "--format", "json")
    _, answered = stand.ask("GET", "/api/v1/jobs")
    assert json.loads(found.out) == answered


def test_a_job_is_shown_by_words_of_its_id(callsheet):
    found = callsheet("job", "sales")
    assert found.status == 0
    assert found.lines[0] == "reports/daily sales"
    assert "no-op" in found.out


def test_an_ambiguous_job_is_an_error_that_names_the_candidates(callsheet):
    found = callsheet("job", "daily")
    assert found.status == 1
    assert found.err.startswith("Error: ")
    assert "reports/daily sales, reports/daily stock" in found.err
    assert found.err.endswith("[API status: 400]\n")


def test_an_unknown_run_is_an_error_in_the_words_of_the_api(callsheet):
    found = callsheet("run", "r999")
    assert (found.status, found.out) == (1, "")
    assert found.err == "Error: unknown run r999 [API status: 404]\n"


def test_runs_are_a_table_with_the_newest_last(callsheet, stand):
    first = stand.a_run("backup")
    second = stand.a_run("reports/daily sales", args={"date": "2026-01-02"})
    found = callsheet("runs")
    assert found.lines[0].split() == ["run_id", "state", "start", "elapsed", "job_id", "args"]
    assert [line.split()[0] for line in found.lines[1:]] == [first, second]
    assert "O scheduled" in found.lines[1]
    assert found.lines[2].endswith("reports/daily sales  date=2026-01-02")


def test_runs_can_be_asked_for_by_job_state_and_words(callsheet, stand):
    stand.a_run("backup")
    sales = stand.a_run("reports/daily sales", args={"date": "2026-01-02"})
    running = stand.a_running_run(job_id="reports/daily stock", args={"date": "2026-01-02"})

    def ids(*args):
        return [line.split()[0] for line in callsheet("runs", *args).lines[1:]]

    assert ids("--job", "reports/daily sales") == [sales]
    assert ids("-s", "starting,running") == [running]
    assert ids("sal", "date=2026-01-02") == [sales]
    assert sales not in ids("!reports")


def test_a_query_that_is_wrong_is_an_error(callsheet):
    found = callsheet("runs", "-s", "sleeping")
    assert found.status == 1
    assert "sleeping" in found.err
    assert found.err.endswith("[API status: 400]\n")


def test_times_of_runs_are_listed_by_state(callsheet, stand):
    run_id = stand.a_run("backup")
    found = callsheet("runs", "--times")
    assert found.lines[0] == f"{run_id}  backup"
    assert [line.split()[0] for line in found.lines[1:]] == list(
        stand.ask("GET", f"/api/v2/runs/{run_id}")[1]["run"]["times"]
    )


def test_a_run_is_shown_with_its_log_when_asked_for_everything(callsheet, stand):
    run_id = stand.a_run("reports/daily sales", args={"date": "2026-01-02"})
    short, long = callsheet("run", run_id), callsheet("run", "-v", run_id)
    assert short.lines[0] == f"{run_id}  reports/daily sales(date=2026-01-02)"
    assert "program: no-op" in short.out
    log = stand.ask("GET", f"/api/v1/runs/{run_id}/log")[1]["run_log"]
    assert log
    assert all(entry["message"] in long.out for entry in log)
    assert len(long.lines) > len(short.lines)


def test_a_run_that_came_to_a_bad_end_is_shown_with_its_reason(callsheet):
    made = callsheet("schedule", "now", "reports/daily sales")
    run_id = made.lines[0].split()[0]
    for shown in (made, callsheet("run", run_id)):
        assert "reason: missing args (date) for job reports/daily sales" in shown.out


def test_several_runs_as_json_come_one_after_another(callsheet, stand):
    ids = [stand.a_run("backup"), stand.a_run("backup")]
    found = callsheet("run", "--format", "json", *ids)
    decode, texts, rest = json.JSONDecoder().raw_decode, [], found.out
    while rest.strip():
        value, end = decode(rest.lstrip())
        texts.append(value["run_id"])
        rest = rest.lstrip()[end:]
    assert texts == ids


def test_checks_without_findings_succeed(callsheet):
    found = callsheet("checks")
    assert found.status == 0
    assert found.out.startswith("nothing found")


def test_findings_are_shown_with_what_to_do_until_they_are_closed(callsheet, stand):
    from callsheet.jobs.findings import found as finding
    from callsheet.messages.instructions import CheckReport

    def report(*findings):
        round_ = CheckReport(at_us=10**15, checks=["disk"], findings=list(findings))
        stand.tell(lambda: round_, sender="checker/0")

    report(finding("disk", "/x", "the disk of /x is full", all_bytes=7))
    found = callsheet("checks")
    assert found.status == 1
    assert "the disk of /x is full" in found.out
    found = callsheet("checks", "--verbose")
    assert "Make room" in found.out
    assert "all_bytes=7" in found.out
    report(finding("disk", "/y", "not much left on /y", severity="info"))
    assert callsheet("checks").status == 0
    report()
    found = callsheet("checks", "--closed")
    assert found.status == 0
    assert "the disk of /x is full" in found.out


def test_agents_are_listed(callsheet, callsheetctl, stand):
    from callsheet.messages.agents import AgentInfo

    stand.agents = [
        AgentInfo(
            agent_id="calc-01",
            group_id="calc",
            connected=True,
            first_seen_us=1,
            last_seen_us=2,
            hostname="h1",
            pid=77,
        )
    ]
    found = callsheet("agents")
    assert found.lines[1].split() == ["calc-01", "calc", "active", "h1", "0"]
    assert callsheetctl("agent", "list").lines == found.lines


def test_the_processes_of_an_agent_are_listed_with_what_they_use(callsheetctl, stand):
    from callsheet.messages.agents import AgentInfo, ProcessInfo

    stand.agents = [
        AgentInfo(
            agent_id="calc-01", group_id="calc", connected=True, first_seen_us=1, last_seen_us=2
        )
    ]
    used = {"rss_bytes": 5 * 2**20, "cpu_us": 1_500_000}
    stand.processes = {
        "calc-01": [
            ProcessInfo(run_id="r7", attempt=2, state="running", pid=9, job_id="a/b", **used),
            ProcessInfo(run_id="r8", attempt=1, state="done"),
        ]
    }
    found = callsheetctl("agent", "processes", "calc-01")
    assert found.lines[1].split() == ["r7.2", "a/b", "running", "9", "5.0", "MiB", "1.50", "s"]
    assert found.lines[2].split() == ["r8.1", "?", "done"]


def test_nobody_at_the_address_is_one_sentence(command):
    found = command("people", "--host", "127.0.0.1:1", "runs")
    assert (found.status, found.out) == (1, "")
    assert found.err.count("\n") == 1
    assert found.err.startswith("Error: 127.0.0.1:1: no answer: ")


@pytest.mark.parametrize("name", ["CALLSHEET_HOST", "APSIS_HOST"])
def test_the_server_can_be_named_by_the_environment(command, stand, monkeypatch, name):
    monkeypatch.setenv(name, f"127.0.0.1:{stand.port}")
    assert command("people", "jobs").status == 0


def test_versions_of_server_and_client_are_shown(callsheetctl, stand):
    found = callsheetctl("version")
    assert f"http://127.0.0.1:{stand.port}" in found.lines[0]
    assert "1.2.3" in found.lines[1]


def test_a_long_cell_moves_its_own_row_alone(capsys):
    print_table(["a", "b"], [["x" * 999, "y"], ["x", "y"]])
    assert capsys.readouterr().out.splitlines()[1:] == ["x" * 999 + "  y", "x  y"]


def test_a_column_that_is_none_is_told(callsheet, stand):
    stand.a_run("reports/daily sales", args={"date": "2026-01-02"})
    found = callsheet("runs", "--columns", "run_id,date,dat,stop_time,success")
    assert found.status == 0
    assert found.err == "column 'dat': no field of runs, and none of these has such an arg\n"


def test_columns_that_not_every_run_has_are_those_of_the_api():
    assert RunRecord.__optional_keys__ <= SOMETIMES


def test_columns_are_those_asked_for_args_among_them(callsheet, stand):
    run_id = stand.a_run("reports/daily sales", args={"date": "2026-01-02"})
    found = callsheet("runs", "--columns", "run_id, date,labels,agent")
    assert [line.split() for line in found.lines] == [
        ["run_id", "date", "labels", "agent"],
        [run_id, "2026-01-02"],
    ]
    assert callsheet("runs", "--columns", ",").status == 2


def test_runs_are_only_counted_when_that_is_all_one_wants(callsheet, stand):
    for _ in range(3):
        stand.a_run("backup")
    stand.a_running_run(job_id="backup")
    assert sorted(callsheet("runs", "--count").lines) == [
        "        1  running",
        "        3  scheduled",
    ]
    assert callsheet("runs", "--count", "nothing").out == ""


def by_hour(stand, hours):
    """Runs so many hours from now, made in this order; those of the past are over."""
    made, now = {}, now_us()
    for hour in hours:
        made[hour] = stand.a_running_run(job_id="backup", schedule_us=now + hour * HOUR_US)
        if hour < 0:
            stand.end_run(made[hour])
    return made


def listed(found):
    return [line.split()[0] for line in found.lines[1:]]


def test_runs_are_those_around_now_whatever_is_planned_ahead(callsheet, stand):
    made = by_hour(stand, [-9, 5, 4, -7, 3, 2, -8, 1, -6, -5, -4, -3, 6, -2, -1])
    assert listed(callsheet("runs")) == [made[hour] for hour in sorted(made)]
    # A fifth of the list is what comes next.
    assert listed(callsheet("runs", "-n", "10")) == [
        made[hour] for hour in (-8, -7, -6, -5, -4, -3, -2, -1, 1, 2)
    ]
    assert listed(callsheet("runs", "-n", "1")) == [made[-1]]
    # Where there is too little of the one there is more of the other.
    assert listed(callsheet("runs", "state:scheduled", "-n", "3")) == [
        made[hour] for hour in (1, 2, 3)
    ]
    assert listed(callsheet("runs", "--until", "-150m", "-n", "4")) == [
        made[hour] for hour in (-6, -5, -4, -3)
    ]
    shown = json.loads(callsheet("runs", "-n", "5", "--format", "json").out)
    assert [run["run_id"] for run in shown] == [made[hour] for hour in (1, -1, -2, -3, -4)]


def test_what_is_under_way_is_listed_however_long_ago_it_was_due(callsheet, stand):
    long_ago = [stand.a_running_run(job_id="backup", schedule_us=day) for day in (1, 2, 3, 4)]
    made = by_hour(stand, [-4, -3, -2, -1, 1, 2])
    assert listed(callsheet("runs", "-n", "5")) == [
        *long_ago[2:], *(made[hour] for hour in (-2, -1, 1))
    ]  # fmt: skip
    assert listed(callsheet("runs", "state:success", "-n", "2")) == [made[-2], made[-1]]
    # Even when nothing was due: what comes last gives way.
    assert listed(callsheet("runs", "--since", "now", "-n", "2")) == [made[1], made[2]]


def test_what_takes_too_long_by_time_is_listed_by_when_it_was_made(callsheet, stand, monkeypatch):
    made = by_hour(stand, [-1, 2, 1])

    def too_long(*_args, **_terms):
        raise StoreError("query took longer than 2 s: ask for less")

    monkeypatch.setattr(SqliteReader, "find_by_time", too_long)
    found = callsheet("runs")
    assert listed(found) == list(made.values())
    assert "ask for less" in found.err
    assert "made last" in found.err


def test_more_runs_than_a_page_holds_are_listed_when_asked_for(callsheet, stand, monkeypatch):
    made = by_hour(stand, [1, 2, -1, 3, 4, -7, -6, -5, -4, -3, -2])
    monkeypatch.setattr("callsheet.cli.runs_around.PAGE", 3)
    monkeypatch.setattr("callsheet.cli.runs_command.PAGE", 3)
    assert listed(callsheet("runs", "-n", "6")) == [made[h] for h in (-5, -4, -3, -2, -1, 1)]
    assert listed(callsheet("runs", "-n", "10")) == [made[h] for h in sorted(made)][:10]
    assert listed(callsheet("runs", "-n", "100")) == [made[h] for h in sorted(made)]
