"""The settings of actions: read, checked with their places, never shown where secret."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import pytest

from callsheet.conf.action_settings import ActionSettings, Secret, SmtpSettings, WebhookSettings
from callsheet.conf.settings import SettingsError, load_settings

CANARY = "c4nary"


def read(folder: Path, text: str) -> ActionSettings:
    path = folder / "callsheet.yaml"
    path.write_text(text)
    return load_settings(path).acting


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(folder, text)
    return str(caught.value)


FORMS: list[tuple[str, Any]] = [
    ("", ActionSettings()),
    ("smtp: {}", ActionSettings(smtp=SmtpSettings())),
    (
        "smtp: {host: mail, port: 0, ssl: true}",
        ActionSettings(smtp=SmtpSettings(host="mail", port=465, tls="tls")),
    ),
    (
        "smtp: {ssl: starttls, from: me@x.org, auth: {username: u, password: p}}",
        ActionSettings(
            smtp=SmtpSettings(
                port=587,
                tls="starttls",
                username="u",
                password=Secret(text="p"),
                sender="me@x.org",
            )
        ),
    ),
    (
        "actions: {allow: [email, command], attempts: 3}",
        ActionSettings(allow=("email", "command"), attempts=3),
    ),
    ("actions: {allow: []}", ActionSettings(allow=())),
    (
        "webhooks: {allow_hosts: Hooks.inner, allow_networks: [10.1.0.0/16, 'fd00::/8']}",
        ActionSettings(
            webhooks=WebhookSettings(
                allow_hosts=frozenset({"hooks.inner"}),
                allow_networks=(
                    ipaddress.ip_network("10.1.0.0/16"),
                    ipaddress.ip_network("fd00::/8"),
                ),
            )
        ),
    ),
    ("secrets: {k: v}", ActionSettings(secrets={"k": Secret(text="v")})),
    ("notify: {chat: 'json://x'}", ActionSettings(services={"chat": Secret(text="json://x")})),
]


@pytest.mark.parametrize(("text", "settings"), FORMS)
def test_the_settings_of_actions_are_read(tmp_path, text, settings):
    assert read(tmp_path, text) == settings


def test_a_secret_may_be_in_a_file_beside_the_settings_and_is_read_anew_each_time(tmp_path):
    path = tmp_path / "keys" / "hook"
    path.parent.mkdir()
    path.touch(mode=0o600)
    path.write_text("one\n")
    settings = read(tmp_path, "secrets: {k: {file: keys/hook}}")
    assert settings.secrets["k"].read() == "one"
    path.write_text("two\n")
    assert settings.secrets["k"].read() == "two"


def test_a_secret_is_not_in_the_words_for_it(tmp_path):
    settings = read(
        tmp_path, f"secrets: {{k: {CANARY}}}\nsmtp: {{auth: {{username: u, password: {CANARY}}}}}"
    )
    assert CANARY not in repr(settings)


MISTAKES = [
    ("smtp: {port: 99999}", "smtp.port: 99999: expected a port"),
    ("smtp: {ssl: maybe}", "smtp.ssl: 'maybe': expected false, true or starttls"),
    ("smtp: {ssl: 1}", "smtp.ssl: 1: expected false, true or starttls"),
    ("smtp: {hots: x}", "did you mean host?"),
    ("smtp: {auth: {username: u}}", "expected exactly one of password, password_file"),
    ("actions: {allow: [emial]}", "'emial': expected some of email, webhook, notify, command"),
    ("actions: {attempts: 0}", "expected a whole number from 1 to 30"),
    ("actions: []", "expected a mapping"),
    ("webhooks: {allow_hosts: ['http://x/']}", "expected the name of a host"),
    ("webhooks: {allow_networks: [10.1.2.3/16]}", "expected a network like 10.1.0.0/16"),
    ("secrets: {k: 12}", "write it in quotes"),
    ("secrets: {k: ''}", "expected a text that is not empty"),
    ("secrets: {k: {file: nowhere}}", "cannot be read: No such file or directory"),
    ("secrets: [k]", "expected a mapping"),
]


@pytest.mark.parametrize(("text", "words"), MISTAKES)
def test_a_mistake_is_told_with_its_place(tmp_path, text, words):
    said = refusal(tmp_path, text)
    assert words in said
    assert said.startswith(f"{tmp_path}/callsheet.yaml:1:")


def test_a_mistaken_secret_is_not_shown(tmp_path):
    said = refusal(tmp_path, f"secrets: {{k: [{CANARY}]}}\nnotify: {{c: {{url: {CANARY}}}}}")
    assert CANARY not in said


def test_a_secret_file_that_others_can_read_is_refused_at_once(tmp_path):
    (tmp_path / "key").write_text("x")
    (tmp_path / "key").chmod(0o644)
    assert "expected mode 0600" in refusal(tmp_path, "secrets: {k: {file: key}}")
