"""Alerts: what the settings have done when a finding opens and closes, once each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ledger_driver import LedgerDriver

from callsheet.actors.deliveries import Deliveries
from callsheet.actors.delivery_seam import DELIVERY, Deliver, Delivered
from callsheet.actors.delivery_texts import event_of
from callsheet.actors.ledger_findings import Alerts
from callsheet.actors.responder import Responder
from callsheet.conf.action_settings import ActionSettings
from callsheet.conf.settings import SettingsError, load_settings
from callsheet.jobs.actions import CommandAction, EmailAction, WebhookAction
from callsheet.jobs.finding_texts import as_alert
from callsheet.jobs.findings import Finding, Severity, found
from callsheet.messages.commands import ActOn, OutboxItem
from callsheet.messages.instructions import ActionSettled, CheckReport
from callsheet.messages.post import CHECKER, RESPONDER
from callsheet.messages.transitions import FindingNoted

COMMAND = CommandAction(argv=("true",))
HOOK = WebhookAction(url="https://example.com")


class Alerting:
    """A ledger with alerts; `report` is a round of the checker."""

    def __init__(self, *actions: Any, severity: Severity = "warning") -> None:
        alerts = Alerts(actions=actions or (COMMAND,), severity=severity)
        self.driver = LedgerDriver(alerts=alerts)

    def report(self, *findings: Finding) -> list[OutboxItem]:
        """Return the actions that the ledger sends for it."""
        driver = self.driver
        driver.now_us += 30_000_000
        report = CheckReport(at_us=driver.now_us, checks=["disk"], findings=list(findings))
        driver.tell(report, sender=CHECKER)
        sent = [post.message for post in driver.posts if post.to == RESPONDER]
        items = [item for message in sent if isinstance(message, ActOn) for item in message.items]
        for item in items:
            settled = ActionSettled(action_id=item.action_id, message="told")
            driver.tell(settled, sender=RESPONDER)
        return items


def full(severity: Severity = "warning", **evidence: Any) -> Finding:
    return found("disk", "/", "the disk is full", severity=severity, **evidence)


def test_an_alert_is_owed_when_a_finding_opens_and_when_it_closes_only() -> None:
    alerting = Alerting(COMMAND, HOOK)
    first = alerting.report(full(n=1))
    assert [item.action for item in first] == [COMMAND, HOOK]
    assert [item.finding and item.finding.closed_us for item in first] == [None, None]
    assert alerting.report(full(n=1)) == []
    assert alerting.report(full(n=2)) == [], "it has changed, and is as grave as before"
    alerting.driver.restart()
    assert alerting.report(full(n=2)) == []
    last = alerting.report()
    assert [item.finding is not None and item.finding.closed_us for item in last] == [
        alerting.driver.now_us
    ] * 2
    assert alerting.report() == []
    assert len({item.action_id for item in first + last}) == 4
    assert not alerting.driver.writer.reader.owed_actions()


def test_only_what_is_grave_enough_is_told_and_also_what_becomes_so() -> None:
    alerting = Alerting(severity="error")
    assert alerting.report(full("warning")) == []
    [opened] = alerting.report(full("error"))
    assert opened.finding is not None
    assert opened.finding.closed_us is None
    [closed] = alerting.report(full("info"))
    assert closed.finding is not None
    assert closed.finding.closed_us is not None
    assert alerting.report() == []


def test_an_alert_owed_is_carried_out_after_the_ledgers_death() -> None:
    alerting = Alerting()
    driver = alerting.driver
    report = CheckReport(at_us=driver.now_us, checks=["disk"], findings=[full()])
    driver.tell(report, sender=CHECKER)
    driver.restart()
    responder = Responder()
    for post in responder.begin(driver.now_us):
        driver.tell(post.message, sender=RESPONDER)
    posts = driver.posts
    driver.later(60)
    sent = [p.message for p in [*posts, *driver.posts] if isinstance(p.message, ActOn)]
    [item] = {item.action_id: item for message in sent for item in message.items}.values()
    responder.receive("ledger/0", ActOn(items=[item]), driver.now_us)
    begun = [post.message for post in responder.settle(driver.now_us) if post.to == DELIVERY]
    assert begun == [Deliver(item=item)]
    delivered = Delivered(action_id=item.action_id, message="ran true")
    [settled] = responder.receive("local", delivered, driver.now_us)
    driver.tell(settled.message, sender=RESPONDER)
    noted = [
        event
        for event in driver.writer.reader.events_after(0, 100)
        if isinstance(event, FindingNoted)
    ]
    assert [(event.outcome, event.message) for event in noted] == [
        ("opened", ""),
        ("told", "ran true"),
    ]


def test_a_command_has_the_finding_in_its_environment(tmp_path: Path) -> None:
    target = tmp_path / "said"
    action = CommandAction(command=f'echo "$CALLSHEET_CHECK $CALLSHEET_OUTCOME" > {target}')
    item = OutboxItem(action_id="c7.0", action=action, at_us=10**15, finding=full())
    done = Deliveries(ActionSettings(allow=("command",))).carry_out(item)
    assert isinstance(done, Delivered)
    assert done.error == ""
    assert target.read_text() == "disk opened\n"


def test_a_webhook_sends_the_finding_as_a_document() -> None:
    item = OutboxItem(action_id="c7.0", action=HOOK, at_us=10**15, finding=full(n=1))
    event = json.loads(json.dumps(event_of(item)))
    assert (event["id"], event["event"]) == ("c7.0", "finding")
    assert event["finding"]["outcome"] == "opened"
    assert event["finding"]["evidence"] == {"n": 1}


def test_settings_name_alerts_that_say_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "callsheet.yaml"
    path.write_text(
        "checks: {severity: error, alert: {type: email, to: ops@example.com}}\nsmtp: {host: mail}\n"
    )
    checks = load_settings(path).checks
    assert checks.severity == "error"
    [alert] = checks.alerts
    assert isinstance(alert, EmailAction)
    assert alert == as_alert(EmailAction(to=("ops@example.com",)))
    assert "{{ sentence }}" in (alert.subject or "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{severity: bad}", "expected one of info, warning, error"),
        ("{alert: {type: schedule, job_id: a}}", "expected an action such as email"),
        ("{alert: {type: command, argv: [x], if: {states: failure}}}", "without `if`"),
        ("{interval: -3}", "has negative duration"),
    ],
)
def test_settings_of_checks_that_are_wrong_say_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "callsheet.yaml"
    path.write_text(f"checks: {text}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
