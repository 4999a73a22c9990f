"""Settings: defaults, every key, every refusal."""

from pathlib import Path

import pytest

from callsheet.conf.settings import SettingsError, load_settings
from callsheet.jobs.actions import ScheduleAction
from callsheet.jobs.programs import TimeoutSpec
from callsheet.jobs.states import State

S = 1_000_000


def a_file(tmp_path, text):
    path = tmp_path / "callsheet.yaml"
    path.write_text(text)
    return path


def test_without_a_file_defaults_are_relative_to_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = load_settings()
    assert found.job_dir == tmp_path / "jobs"
    assert found.database.path == tmp_path / "callsheet.db"
    assert found.state_dir == tmp_path / "callsheet.db.state"
    assert found.web.bind == ("127.0.0.1:5000",)
    assert found.schedule.horizon_us == 86_400 * S
    assert found.schedule.ahead == 24
    assert found.checks.interval_us == 30 * S
    assert found.program.timeout is None


@pytest.mark.parametrize("text", ["", "{}", "# nothing", "unknown: {keys: [are, ignored]}"])
def test_a_file_that_says_nothing_means_the_defaults_beside_it(tmp_path, text):
    found = load_settings(a_file(tmp_path, text))
    assert found.job_dir == tmp_path / "jobs"
    assert found.database.path == tmp_path / "callsheet.db"


def test_every_key_is_read(tmp_path):
    found = load_settings(
        a_file(
            tmp_path,
            """
job_dir: ../there/jobs
database: {path: /srv/a.db, timeout: 10s}
state_dir: state
runs: {lookback: 3600}
schedule: {horizon: 2d, since: "1970-01-01T00:00:01Z", max_age: 1h, ahead: 5,
  catch_up: last}
waiting: {max_time: 1h}
action: {type: schedule, job_id: a, if: {states: error}}
program: {timeout: {duration: 5 min, signal: INT}}
bind: ["127.0.0.1:1", "[::1]:2"]
checks: {interval: 30}
job_watch: auto
pools: {db: 4, mail: 1}
conditions: {allow: [file, sql], databases: {main: 'sqlite:////srv/a.db'}}
procstar: {agent: {enable: true}}
""",
        )
    )
    assert found.job_dir == tmp_path.parent / "there" / "jobs"
    assert found.database.path == Path("/srv/a.db")
    assert found.database.timeout_us == 10 * S
    assert found.state_dir == tmp_path / "state"
    assert found.runs.lookback_us == 3600 * S
    assert found.schedule.horizon_us == 2 * 86_400 * S
    assert found.schedule.since == S
    assert found.schedule.ahead == 5
    assert found.schedule.max_age_us == 3600 * S
    assert found.schedule.catch_up == "last"
    assert found.waiting.max_time_us == 3600 * S
    assert found.actions == (ScheduleAction(job_id="a", states=(State.ERROR,)),)
    assert found.program.timeout == TimeoutSpec(duration="5 min", signal="INT")
    assert found.web.bind == ("127.0.0.1:1", "[::1]:2")
    assert found.checks.interval_us == 30 * S
    assert found.job_watch == "auto"
    assert found.conditions.rules.pools == {"db": 4, "mail": 1}
    assert found.conditions.rules.allow == ("file", "sql")
    assert found.conditions.rules.databases == {"main": "sqlite:////srv/a.db"}


@pytest.mark.parametrize(
    ("text", "read", "expected"),
    [
        (
            "database: x.db",
            lambda s: (s.database.path.name, s.state_dir.name),
            ("x.db", "x.db.state"),
        ),
        ("runs_lookback: 60", lambda s: s.runs.lookback_us, 60 * S),
        ("schedule: {since: now}", lambda s: s.schedule.since, "now"),
        ("program: {timeout: {signal: INT}}", lambda s: s.program.timeout, None),
        ("program: {timeout: null}", lambda s: s.program.timeout, None),
        ("schedule:\nbind:\naction:\n", lambda s: (s.schedule.ahead, s.actions), (24, ())),
    ],
)
def test_other_forms_are_read(tmp_path, text, read, expected):
    assert read(load_settings(a_file(tmp_path, text))) == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("database: {timeout: -30s}", "1:12: database.timeout has negative duration: -30s"),
        ("database: {timeout: 0}", "1:12: database.timeout: is 0: expected a duration of more"),
        ("database: [x]", "1:1: database: a list: expected a string"),
        (
            "procstar: {agent: {connection: {start_timeout: -1}}}",
            "1:33: procstar.agent.connection.start_timeout has negative duration: -1",
        ),
        (
            "procstar: {agent: {run: {output_interval: soon}}}",
            "1:26: procstar.agent.run.output_interval: duration 'soon'",
        ),
        (
            "procstar: {agent: {resource_defaults: {mem_max_gb: 0}}}",
            "1:40: procstar.agent.resource_defaults.mem_max_gb: 0: expected more than 0",
        ),
        ("procstar: {agent: {server: {port: x}}}", "1:29: procstar.agent.server.port: 'x'"),
        (
            "procstar: {agent: {ecs: {region: x}}}",
            "1:20: procstar.agent.ecs: missing keys: cluster",
        ),
        ("python: {gc: {enabled: 3}}", "1:15: python.gc.enabled: 3: expected true or false"),
        ("host_groups: [a]", "1:1: host_groups: a list: expected a mapping"),
        ("host_groups: {a: {type: single}}", "1:15: host_groups.a: null: expected a string"),
        ("job_watch: yes", "1:1: job_watch: 'yes': expected off, notify or auto"),
        ("job_dir: 3", "1:1: job_dir: 3: expected a string; write '3'"),
        ("runs: {lookback: 1h}", "1:8: runs.lookback: '1h': expected a number of seconds"),
        ("schedule: {horizon: soon}", "1:12: schedule.horizon: duration 'soon'"),
        ("schedule: {horizon: 99999d}", "1:12: schedule.horizon: expected at most"),
        ("schedule: {since: later}", "1:12: schedule.since: time 'later'"),
        ("schedule: {catch_up: some}", "1:12: schedule.catch_up: 'some': expected one of all"),
        ("schedule: {max_age: 0}", "1:12: schedule.max_age: is 0: expected a duration of more"),
        ("schedule: {ahead: 0}", "1:12: schedule.ahead: 0: expected a whole number"),
        ("schedule: 3", "1:1: schedule: 3: expected a mapping"),
        ("waiting: {max_time: -1}", "1:11: waiting.max_time has negative duration: -1"),
        (
            "\nprogram:\n  timeout:\n    duration: 5\n    signal: X",
            "5:5: program.timeout.signal: not a signal: X",
        ),
        ("program: {timeout: {signal: X}}", "1:21: program.timeout.signal: not a signal: X"),
        ("action: [{type: x}]", "1:11: action[0]: bad type: 'x'"),
        ("bind: 5000", "1:1: bind: 5000: expected a string"),
        ("bind: [here]", "1:8: bind[0]: 'here': expected a form like"),
        ("bind: 'x:99999'", "1:1: bind: 'x:99999': expected a form like"),
        ("checks: {interval: 0}", "1:10: checks.interval: is 0"),
        ("job_dir: a\njob_dir: b", '2:1: found duplicate key "job_dir"'),
        ("[]", "1:1: settings are a list: expected a mapping"),
        ("a: [", "2:1: not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path, text, line):
    path = a_file(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    (found,) = caught.value.lines
    assert found.startswith(f"{path}:{line}")


def test_all_mistakes_are_told_at_once(tmp_path):
    path = a_file(tmp_path, "bind: x\nchecks: {interval: 0}\njob_dir: 3\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert len(caught.value.lines) == 3
    assert len(str(caught.value).splitlines()) == 3


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load_settings(tmp_path / "nowhere.yaml")


def test_overrides_win_over_the_file(tmp_path):
    path = a_file(tmp_path, "database: a.db\nschedule: {ahead: 3, horizon: 2d}\nbind: 'x:1'\n")
    found = load_settings(
        path,
        [
            "schedule.ahead=4",
            "schedule.ahead=5",
            "database.timeout=7",
            "bind=[a:1, b:2]",
            "job_dir=j",
        ],
    )
    assert found.schedule.ahead == 5
    assert found.schedule.horizon_us == 2 * 86_400 * S
    assert found.database.path == tmp_path / "a.db"
    assert found.database.timeout_us == 7 * S
    assert found.web.bind == ("a:1", "b:2")
    assert found.job_dir == tmp_path / "j"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("x", "override 'x': expected a form like"),
        ("=3", "override '=3': expected a form like"),
        ("a..b=3", "override 'a..b=3': expected a form like"),
        ("bind=[", "override bind:2:1: not YAML"),
        ("checks.interval=-1", "checks.interval has negative duration: -1"),
    ],
)
def test_a_wrong_override_is_told_without_a_place_in_the_file(tmp_path, override, words):
    with pytest.raises(SettingsError) as caught:
        load_settings(a_file(tmp_path, ""), [override])
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pools: {db: 0}", "pools.db: 0: expected a whole number from 1 to 1000000"),
        ("pools: {db: two}", "pools.db: 'two': expected a whole number"),
        ("pools: [db]", "pools: a list: expected a mapping"),
        ("pools: {'': 1}", "pools: is empty: expected a string"),
        ("conditions: {allow: [mail]}", "'mail': expected one of file, http, command, sql"),
        ("conditions: {allowed: file}", "unexpected keys: allowed"),
        ("conditions: {databases: {a: a.db}}", "'a.db': expected a URL like sqlite:////path"),
    ],
)
def test_what_the_settings_say_of_conditions_is_checked(tmp_path, text, said):
    with pytest.raises(SettingsError, match=said):
        load_settings(a_file(tmp_path, text))


FROM_APSIS = """
job_dir: jobs
database: {path: apsis.db, timeout: 10}
runs_lookback: 86400
schedule: {horizon: 86400, since: now, max_age: 1h}
waiting: {max_time: 1h}
action: []
program: {timeout: {duration: 1h, signal: SIGINT}}
procstar:
  agent:
    enable: true
    server:
      host: "*"
      port: 59789
      access_token: secret
      tls: {cert_path: a.cert, key_path: a.key}
    connection: {start_timeout: 10s, reconnect_timeout: 1h}
    run: {update_interval: 10, output_interval: 5s}
    sudo: {argv: [/usr/bin/sudo, --preserve-env]}
    resource_defaults: {mem_max_gb: 1.5}
    ecs:
      {cluster_name: a, container_name: a, default_task_definition: a, region: a,
       aws_account_id: 1, ebs_volume_role: a, log_group: a, log_stream_prefix: a,
       default_mem_gb: 1, default_vcpu: 1, default_disk_gb: 1, max_mem_gb: 2, retain_ebs: false}
adhoc: {enabled: false}
python: {gc: {enabled: true, threshold: [700, 10, 10]}}
host_groups: {a: host1, b: [host1, host2], c: {type: round-robin, hosts: [host1]}}
smtp: {host: localhost}
"""


def test_every_key_of_apsis_is_accepted_and_known(tmp_path):
    found = load_settings(a_file(tmp_path, FROM_APSIS))
    assert found.unknown == ()
    assert found.runs.lookback_us == 86_400 * S
    assert found.database.path == tmp_path / "apsis.db"
    assert found.web.ad_hoc is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("adhoc: {enabled: maybe}", "adhoc.enabled: 'maybe'"),
        ("adhoc: {enable: false}", "adhoc: unexpected keys: enable"),
        ("adhoc: false", "adhoc: False: expected a mapping"),
    ],
)
def test_a_mistake_about_ad_hoc_jobs_is_not_taken_for_leave(tmp_path, text, said):
    with pytest.raises(SettingsError, match=said):
        load_settings(a_file(tmp_path, text))
    assert load_settings(a_file(tmp_path, "{}")).web.ad_hoc is True


def test_keys_that_mean_nothing_are_kept_with_what_they_are_much_like(tmp_path):
    text = "jobdir: x\nschedule: {horizn: 1d, ahead: 3}\nprocstar: {agent: {sever: {}}}\nzebra: 1\n"
    assert dict(load_settings(a_file(tmp_path, text)).unknown) == {
        "jobdir": "job_dir",
        "schedule.horizn": "schedule.horizon",
        "procstar.agent.sever": "procstar.agent.server",
        "zebra": "",
    }
