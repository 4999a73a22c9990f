"""Carrying actions out: what is allowed, how texts are filled in, and that secrets stay."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from http_stand import Hook
from live_server import until

from callsheet.actors.deliver_limits import NotDelivered
from callsheet.actors.deliver_process import ask_child, kill_all, run_command
from callsheet.actors.deliveries import Deliveries
from callsheet.actors.delivery_seam import ArgsFilled, Delivered
from callsheet.conf.action_settings import (
    KINDS,
    ActionSettings,
    Secret,
    SmtpSettings,
    WebhookSettings,
)
from callsheet.jobs.actions import (
    Action,
    CommandAction,
    EmailAction,
    NotifyAction,
    ScheduleAction,
    WebhookAction,
)
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.commands import OutboxItem

LOCAL = WebhookSettings(allow_hosts=frozenset({"127.0.0.1"}))
CANARY = "c4nary-0f-all-s3crets"


def carry_out(action: Action, settings: ActionSettings | None = None, **run: Any) -> Any:
    fields = {"run_id": "r7", "job_id": "a", "args": {"x": "q"}, "state": State.FAILURE}
    one = Run(**(fields | {"schedule_us": 0} | run))
    item = OutboxItem(action_id="r7.9.0", run=one, action=action, at_us=5)
    return Deliveries(settings or ActionSettings(allow=KINDS, webhooks=LOCAL)).carry_out(item)


def shell(text: str, **fields: Any) -> CommandAction:
    return CommandAction(command=text, **fields)


# --- commands -----------------------------------------------------------------------------------


def test_a_command_knows_what_happened_by_its_environment(tmp_path):
    out = tmp_path / "out"
    done = carry_out(shell(f"env > {out}"))
    assert done == Delivered(action_id="r7.9.0", message=f"ran env > {out}")
    env = dict(line.split("=", 1) for line in out.read_text().splitlines() if "=" in line)
    assert env["CALLSHEET_ACTION_ID"] == "r7.9.0"
    assert env["CALLSHEET_RUN_ID"] == "r7"
    assert json.loads(env["CALLSHEET_ARGS"]) == {"x": "q"}


def test_a_command_gets_nothing_else_of_the_servers_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_SERVER", CANARY)
    carry_out(shell(f"env > {tmp_path}/out"))
    assert CANARY not in (tmp_path / "out").read_text()


def test_args_of_a_run_are_never_code(tmp_path):
    evil = f"$(touch {tmp_path}/evil); `touch {tmp_path}/evil`"
    argv = ("/bin/echo", "{{ x }}")
    assert not carry_out(CommandAction(argv=argv), args={"x": evil}).error
    assert not carry_out(shell('echo "$CALLSHEET_ARGS"'), args={"x": evil}).error
    assert not (tmp_path / "evil").exists()


ENDS = [
    (shell("echo one; echo two >&2; exit 3"), "command /bin/sh: exit code 3: two"),
    (shell("kill -KILL $$"), "command /bin/sh: killed by SIGKILL"),
    (CommandAction(argv=("/no/such/program",)), "No such file or directory"),
    (shell("sleep 60", timeout_us=200_000), "took longer than 0.2 s: killed"),
    (shell("yes", timeout_us=200_000), "took longer than 0.2 s: killed"),
]


@pytest.mark.parametrize(("action", "words"), ENDS)
def test_a_command_that_fails_is_told_and_may_be_tried_again(action, words):
    failed = carry_out(action)
    assert words in failed.error
    assert not failed.final


def test_a_command_ends_though_something_it_started_holds_its_output(tmp_path):
    done = carry_out(shell(f"sleep 60 & echo $! > {tmp_path}/pid"))
    assert not done.error
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_a_command_that_takes_too_long_is_killed_with_all_it_started(tmp_path):
    text = f"sleep 61 & echo $! > {tmp_path}/pid; sleep 61"
    assert "killed" in carry_out(shell(text, timeout_us=300_000)).error
    stat = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")

    def is_dead() -> bool:
        try:
            return stat.read_text().split(") ")[1][0] in "ZX"
        except OSError:
            return True

    until(is_dead, "what it started to be killed")


def test_what_runs_is_killed_when_the_responder_ends():
    errors: list[str] = []

    def run() -> None:
        try:
            run_command(["/bin/sh", "-c", "exec sleep 60"], {}, 60)
        except NotDelivered as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        kill_all()
        thread.join(0.01)
    assert errors == ["command /bin/sh: killed by SIGKILL"]


# --- what is allowed ----------------------------------------------------------------------------

ALL = [
    EmailAction(to=("a@x.org",)),
    WebhookAction(url="http://127.0.0.1/"),
    CommandAction(argv=("/bin/true",)),
    NotifyAction(service="x"),
]


@pytest.mark.parametrize("action", ALL)
def test_what_the_settings_do_not_allow_is_refused_for_good(action):
    failed = carry_out(action, ActionSettings(allow=()))
    assert failed.final
    assert "actions.allow" in failed.error


def test_commands_are_not_allowed_unless_the_settings_say_so():
    assert "actions.allow" in carry_out(ALL[2], ActionSettings()).error
    assert carry_out(ALL[2]).error == ""


def test_an_ad_hoc_job_never_runs_a_command():
    failed = carry_out(ALL[2], ad_hoc=True)
    assert failed.final
    assert "ad hoc" in failed.error


# --- texts --------------------------------------------------------------------------------------


def test_names_in_texts_are_filled_in_and_args_come_first(tmp_path):
    out = tmp_path / "out"
    argv = ("/bin/sh", "-c", 'echo "$0" "$1" > "$2"', "{{ run_id }}", "{{ state }}", str(out))
    carry_out(CommandAction(argv=argv), args={"state": "of mine"})
    assert out.read_text() == "r7 of mine\n"


@pytest.mark.slow
def test_what_is_more_than_names_is_filled_in_by_a_process_of_its_own():
    action = ScheduleAction(job_id="b", args={"y": "{{ x | upper }}", "z": "{{ x }}"})
    assert carry_out(action) == ArgsFilled(action_id="r7.9.0", args={"y": "Q", "z": "q"})


@pytest.mark.slow
def test_the_args_of_a_follow_up_run_know_only_the_args_of_the_run():
    action = ScheduleAction(job_id="b", args={"y": "{{ x | upper }}{{ run_id }}"})
    failed = carry_out(action)
    assert failed.final
    assert "name 'run_id' is not defined" in failed.error


BOMBS = [
    "{% for a in range(10**5) %}{% for b in range(10**5) %}{% endfor %}{% endfor %}",
    "{% set a = ['x' * 900000] * 1 %}{% for n in range(5000) %}{{ a[0] ~ n }}{% endfor %}",
]


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_template_that_is_a_bomb_ends_itself_alone(bomb):
    failed = carry_out(NotifyAction(service="x", title=bomb))
    assert isinstance(failed, Delivered)
    assert failed.error


def test_a_name_that_is_not_there_is_an_error_for_good():
    failed = carry_out(EmailAction(to=("{{ nobody }}@x.org",)))
    assert (failed.error, failed.final) == ("name 'nobody' is not defined", True)


# --- secrets ------------------------------------------------------------------------------------


def test_no_secret_is_left_in_what_is_said(caplog):
    hook = Hook(lambda handler: handler.send_error(500, f"you sent {CANARY}"))
    try:
        settings = ActionSettings(
            webhooks=LOCAL,
            secrets={"k": Secret(text=CANARY)},
            services={"s": Secret(text=f"nosuch://{CANARY}")},
            smtp=SmtpSettings(host="127.0.0.1", port=1, password=Secret(text=CANARY)),
        )
        failed = carry_out(WebhookAction(url=hook.url(), secret="k"), settings)
    finally:
        hook.close()
    assert "500 you sent ***" in failed.error
    assert CANARY not in caplog.text
    assert CANARY not in repr(settings)


def test_a_secret_file_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "key"
    path.write_text(f"{CANARY}\n")
    path.chmod(0o600)
    assert Secret(path=path).read() == CANARY
    path.chmod(0o640)
    settings = ActionSettings(webhooks=LOCAL, secrets={"k": Secret(path=path)})
    failed = carry_out(WebhookAction(url="http://127.0.0.1:1/", secret="k"), settings)
    assert "others can read it: expected mode 0600" in failed.error


# --- notification services ----------------------------------------------------------------------


@pytest.mark.slow
def test_a_notification_goes_to_the_service_by_its_url():
    pytest.importorskip("apprise")
    hook = Hook(200, 500)
    try:
        url = f"json://127.0.0.1:{hook.port}/{CANARY}"
        settings = ActionSettings(services={"chat": Secret(text=url)})
        action = NotifyAction(service="chat", title="{{ run_id }}", body="it said {{ state }}")
        assert carry_out(action, settings) == Delivered(action_id="r7.9.0", message="notified chat")
        failed = carry_out(action, settings)
    finally:
        hook.close()
    (_, path, _, body) = hook.requests[0]
    assert path.startswith(f"/{CANARY}")
    assert json.loads(body)["title"] == "r7"
    assert json.loads(body)["message"] == "it said failure"
    assert failed.error == "service chat: did not take it"
    assert not failed.final


@pytest.mark.slow
def test_a_url_of_no_service_is_an_error_for_good():
    pytest.importorskip("apprise")
    settings = ActionSettings(services={"chat": Secret(text=f"nosuch://{CANARY}")})
    failed = carry_out(NotifyAction(service="chat"), settings)
    assert (failed.error, failed.final) == ("service chat: its URL is of no known service", True)


def test_a_service_nobody_knows_is_told_by_its_name():
    failed = carry_out(NotifyAction(service="nix"))
    assert failed.error == "service nix: expected it among notify in the settings"


def test_without_the_library_a_notification_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    settings = ActionSettings(services={"chat": Secret(text="json://x")})
    failed = carry_out(NotifyAction(service="chat"), settings)
    assert failed.final
    assert "expected callsheet[notify]" in failed.error


@pytest.mark.slow
def test_a_child_that_dies_is_an_error():
    with pytest.raises(NotDelivered, match="without an answer"):
        ask_child("no_such_module", {}, 30)
