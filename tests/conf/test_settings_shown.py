"""All settings are shown with where they are from; what is shown reads as what it was."""

import pytest
from msgspec.structs import replace

from callsheet.conf.settings import SettingsError, load_settings
from callsheet.conf.settings_shown import as_yaml, show_settings

EVERYTHING = """
job_dir: ../there/jobs
database: {path: a.db, timeout: 10s}
runs: {lookback: 3600}
schedule: {horizon: 2d, since: "1970-01-01T00:00:01Z", max_age: 1h, ahead: 5, catch_up: last}
waiting: {max_time: 1h}
action: {type: schedule, job_id: a, if: {states: error}}
program: {timeout: {duration: 5 min, signal: INT}}
bind: ["127.0.0.1:1", "unix:s"]
access: {loopback: login, socket_mode: 0660}
pools: {"db: main": 4, mail: 1}
outputs: {keep: 1M}
log: {levels: {web: debug}, rotate: {keep: 3}}
smtp: {host: mail}
agents: {listen: "tcp://0.0.0.0:5901", aliases: {farm: [a, b]}}
"""


def a_file(tmp_path, text, name="callsheet.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def shown(path, overrides=()):
    return {one.key: one for _, one in show_settings(path, overrides)}


@pytest.mark.parametrize("text", ["{}", EVERYTHING])
def test_what_is_shown_is_a_file_that_means_the_same(tmp_path, text):
    path = a_file(tmp_path, text)
    again = a_file(tmp_path, as_yaml(show_settings(path)), "again.yaml")
    assert replace(load_settings(again), unknown=()) == load_settings(path)


def test_each_has_its_place_in_the_file_or_is_a_default_or_an_override(tmp_path):
    path = a_file(tmp_path, "schedule:\n  ahead: 5\n")
    found = shown(path, ["checks.interval=30s"])
    assert found["schedule.ahead"].source == f"{path}:2:3"
    assert (found["schedule.horizon"].value, found["schedule.horizon"].source) == ("1d", "default")
    assert (found["checks.interval"].value, found["checks.interval"].source) == ("30s", "override")
    assert found["log.rotate.keep"].source == "default"
    assert found["access.socket_mode"].value == "0600"


def test_no_secret_is_shown_but_the_file_that_holds_one_is(tmp_path):
    text = """
secrets: {hook: canary-1, other: {file: HIDDEN}}
notify: {team: "https://example.org/canary-2"}
smtp: {host: mail, auth: {username: ann, password: canary-3}}
outputs: {url: "s3://a/b", options: {key: canary-4, client: {secret: canary-5}}}
odd: "https://ann:canary-6@example.org/?token=canary-7"
"""
    path = a_file(tmp_path, text.replace("HIDDEN", str(a_secret(tmp_path))))
    text = as_yaml(show_settings(path))
    assert "canary" not in text
    assert str(tmp_path / "hidden") in text
    assert "canary" not in str(shown(path))


def a_secret(tmp_path):
    path = tmp_path / "hidden"
    path.touch(mode=0o600)
    path.write_text("canary-8")
    return path


def test_what_cannot_be_read_is_not_shown_but_told_with_its_place(tmp_path):
    with pytest.raises(SettingsError, match=r"callsheet\.yaml:1:12: "):
        show_settings(a_file(tmp_path, "schedule: {ahead: many}"))


def test_apsis_s_own_keys_are_shown_where_they_were_written_alone(tmp_path):
    assert not any(key.startswith("procstar") for key in shown(a_file(tmp_path, "{}")))
    path = a_file(tmp_path, "procstar: {agent: {enable: true}}")
    assert shown(path)["procstar.agent.enable"].value is True
