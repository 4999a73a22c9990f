"""What may be said of a finding where an alert tells of it. Pure."""

from __future__ import annotations

import json
from typing import Any

from msgspec.structs import replace

from .actions import Action, EmailAction, NotifyAction
from .findings import Finding
from .times import format_time

SUBJECT = "callsheet: {{ check }} {{ outcome }}: {{ sentence }}"
BODY = """\
{{ sentence }}

check       {{ check }}
severity    {{ severity }}
outcome     {{ outcome }}
since       {{ since }}
at          {{ event_time }}
run         {{ run_id }}
evidence    {{ evidence }}

{{ remedy }}
"""


def as_alert(action: Action) -> Action:
    """Return an action with what an alert says where the action says nothing."""
    match action:
        case EmailAction():
            subject = SUBJECT if action.subject is None else action.subject
            body = BODY if action.body is None else action.body
            return replace(action, subject=subject, body=body)
        case NotifyAction():
            title = SUBJECT if action.title is None else action.title
            return replace(action, title=title, body=BODY if action.body is None else action.body)
    return action


def finding_facts(finding: Finding, action_id: str, at_us: int) -> dict[str, str]:
    """Return what may be said of a finding that opened or closed at an instant, all of it text."""
    return {
        "check": finding.check,
        "severity": finding.severity,
        "sentence": finding.sentence,
        "remedy": finding.remedy,
        "outcome": _outcome(finding),
        "run_id": finding.run_id or "",
        "since": format_time(finding.since_us),
        "event_time": format_time(at_us),
        "evidence": json.dumps(finding.evidence, sort_keys=True, default=str),
        "action_id": action_id,
    }


def finding_document(finding: Finding, action_id: str, at_us: int) -> dict[str, Any]:
    """Return the event as a webhook sends it unless it has a body of its own."""
    closed_us = finding.closed_us
    return {
        "id": action_id,
        "event": "finding",
        "time": format_time(at_us),
        "finding": {
            "key": finding.key,
            "check": finding.check,
            "severity": finding.severity,
            "outcome": _outcome(finding),
            "sentence": finding.sentence,
            "remedy": finding.remedy,
            "run_id": finding.run_id,
            "since": format_time(finding.since_us),
            "closed": None if closed_us is None else format_time(closed_us),
            "evidence": finding.evidence,
        },
    }


def _outcome(finding: Finding) -> str:
    return "opened" if finding.closed_us is None else "closed"
