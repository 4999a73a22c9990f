"""What the sanity checker finds, as values: the kinds, how grave each is, and what to do about it.

Pure. The checker says what is so; the ledger says since when, and whether that is anything new.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from .times import Instant

Severity = Literal["info", "warning", "error"]
# From the least on.
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")

# Each kind of finding, with what a person may do about it.
REMEDIES = {
    "late": "Look at the scheduler in the health of the server; start or skip the run by hand.",
    "started-late": "If it happens again: fewer runs at one time, or a faster host.",
    "missing": "Run `callsheetctl audit`; schedule the run by hand if it is still wanted.",
    "unscheduled": "Run `callsheetctl verify`: somebody else may have written to the database.",
    "double": "Look at both runs, stop one of them, and run `callsheetctl verify`.",
    "orphan": "Look whether the work was done, then mark the run.",
    "stray": "Kill it from the page of its agent, or let it end.",
    "stuck": "Look at `callsheet why RUN`; start, stop or skip it by hand.",
    "silent": "Look at the host and its agentd; its runs go on, and report when it is back.",
    "drift": "Restart the server: it reads what is true; then run `callsheetctl verify`.",
    "clock": "Set the clock by NTP; times of runs are only as right as the clocks.",
    "disk": "Make room: archive old runs, let `retention` drop outputs, or give it a larger disk.",
    "calendar": "Renew the calendar's file, and reload the jobs.",
    "unread": "Run `callsheetctl verify`; restore the last backup that it finds whole, or mend the"
    " row while the server is stopped.",
    "schedule": "Reload the jobs, and look at what the reload says.",
}


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the database that is there and cannot be read: everything goes on without it."""

    table: str
    name: str
    why: str

    @property
    def sentence(self) -> str:
        """What is wrong."""
        return f"{self.table} {self.name}: cannot be read, and is left out: {self.why}"


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing the checker found: `key` names it over time; evidence is plain data.

    `remedy`: what to do about it. Since `since_us` it is so; `closed_us` None: still.
    """

    key: str
    check: str
    severity: Severity
    sentence: str
    run_id: str | None = None
    since_us: Instant = 0
    evidence: Any = None
    remedy: str = ""
    closed_us: Instant | None = None


class CheckRound(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One round of checks: which kinds were looked for, and which were left out, as somebody did
    not answer; how many findings it opened and closed, and how many were open then."""

    began_us: int
    at_us: int
    checks: list[str]
    left_out: list[str] = []
    opened: int = 0
    closed: int = 0
    open: int = 0


def found(
    check: str,
    name: str,
    sentence: str,
    *,
    severity: Severity = "error",
    run_id: str | None = None,
    **evidence: Any,
) -> Finding:
    """Return a finding of a kind; `name` tells it from others of the kind."""
    return Finding(
        key=f"{check}:{name}",
        check=check,
        severity=severity,
        sentence=sentence,
        run_id=run_id,
        evidence=evidence,
        remedy=REMEDIES[check],
    )


def at_least(finding: Finding, severity: Severity) -> bool:
    """Return whether a finding is as grave as that, or graver."""
    return SEVERITIES.index(finding.severity) >= SEVERITIES.index(severity)
