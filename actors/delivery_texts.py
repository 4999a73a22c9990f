"""What an action may say of what it follows: of a run's event, or of a finding of the checker.

Used by those who carry actions out, on their threads.
"""

from __future__ import annotations

from typing import Any

from ..jobs.action_texts import document, environment, facts
from ..jobs.finding_texts import finding_document, finding_facts
from ..messages.commands import OutboxItem


def names_of(item: OutboxItem) -> dict[str, str]:
    """Return what the texts of the action may name."""
    if item.finding is not None:
        return finding_facts(item.finding, item.action_id, item.at_us)
    run = item.of_run
    return facts(run, item.action_id, item.at_us, item.deadline) | run.args


def event_of(item: OutboxItem) -> dict[str, Any]:
    """Return the event as a document."""
    if item.finding is not None:
        return finding_document(item.finding, item.action_id, item.at_us)
    return document(item.of_run, item.action_id, item.at_us, item.deadline)


def environment_of(item: OutboxItem) -> dict[str, str]:
    """Return the variables by which a command knows what happened."""
    if item.finding is None:
        return environment(item.of_run, item.action_id, item.at_us, item.deadline)
    # A variable cannot hold it.
    return {f"CALLSHEET_{n.upper()}": t.replace("\0", "") for n, t in names_of(item).items()}


def log_terms_of(item: OutboxItem) -> dict[str, str]:
    """Return what a log record is found by."""
    found = {"cause": item.action_id}
    if item.finding is not None:
        return found | ({"run_id": item.finding.run_id} if item.finding.run_id else {})
    return found | {"run_id": item.of_run.run_id, "job_id": item.of_run.job_id}
