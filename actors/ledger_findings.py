"""The findings of the checker, as the ledger keeps them: since when each is so, and what of it is
new. Part of the ledger's core.

A round of checks says all that is so; here it is held against what was open. A finding is announced
when it opens and when it closes, never in between; the log, the feed and the alerts have it once.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import msgspec
from msgspec.structs import replace

from ..jobs.actions import Action
from ..jobs.findings import CheckRound, Finding, Severity, at_least
from ..messages.commands import Digest
from ..messages.instructions import AskDigest, CheckReport
from ..messages.post import CHECKER, Post
from ..messages.transitions import FindingNoted
from ..store.interface import Opening
from .ledger_book import Book


class Alerts(msgspec.Struct, frozen=True, kw_only=True):
    """What is done, once when a finding of this severity or a graver one opens, and once when it
    closes."""

    actions: tuple[Action, ...] = ()
    severity: Severity = "warning"


NO_ALERTS = Alerts()

# More at once say no more; the next round has the rest.
OPEN_AT_MOST = 1_000
# Rows that are told one by one; `verify` tells of all.
SET_ASIDE_TOLD = 50


class Findings:
    """See the module. Open findings by key."""

    def __init__(
        self,
        opening: Opening,
        book: Book,
        reply_with: Callable[[Callable[[], Post]], None],
        alerts: Alerts,
    ) -> None:
        self._book = book
        self._reply_with = reply_with
        self._alerts = alerts
        self._open = {finding.key: finding for finding in opening.findings}
        self._set_aside = opening.set_aside

    def report(self, sender: str, message: CheckReport, now_us: int) -> None:
        """Take in what a round has found."""
        found = {finding.key: finding for finding in message.findings}
        opened = [self._take(finding, message.at_us, now_us) for finding in found.values()]
        looked = set(message.checks)
        gone = [
            finding
            for finding in self._open.values()
            if finding.key not in found and finding.check in looked
        ]
        for finding in gone:
            del self._open[finding.key]
            self._announce(replace(finding, closed_us=message.at_us), finding, now_us)
        self._book.changes.check_round = CheckRound(
            began_us=message.began_us or message.at_us,
            at_us=message.at_us,
            checks=message.checks,
            left_out=message.left_out,
            opened=sum(opened),
            closed=len(gone),
            open=len(self._open),
        )

    def digest(self, sender: str, message: AskDigest, now_us: int) -> None:
        """Say what is held in memory, as of the end of this batch."""

        def answer() -> Post:
            count, total = self._book.active.standing()
            said = Digest(
                request=message.request,
                seq=self._book.seq,
                count=count,
                sum=total,
                set_aside=list(islice(self._set_aside.values(), SET_ASIDE_TOLD)),
            )
            return Post(sender, said)

        self._reply_with(answer)

    # --- inside ---------------------------------------------------------------------------------

    def _take(self, finding: Finding, at_us: int, now_us: int) -> bool:
        """Take one that is so; return whether it is new."""
        known = self._open.get(finding.key)
        if known is None and len(self._open) >= OPEN_AT_MOST:
            return False
        since_us = finding.since_us or at_us if known is None else known.since_us
        finding = replace(finding, since_us=since_us)
        if finding != known:
            self._open[finding.key] = finding
            if known is None:
                self._announce(finding, None, now_us)
            else:
                self._book.changes.findings[finding.key] = finding
                self._alert(finding, known, now_us)
        return known is None

    def _announce(self, finding: Finding, known: Finding | None, now_us: int) -> None:
        """Put on record that a finding has opened, or closed."""
        self._book.changes.findings[finding.key] = finding
        self._book.log(
            FindingNoted(
                seq=0,
                at_us=now_us,
                cause=CHECKER,
                outcome="opened" if finding.closed_us is None else "closed",
                finding=finding,
            )
        )
        self._alert(finding, known, now_us)

    def _alert(self, finding: Finding, known: Finding | None, now_us: int) -> None:
        """Owe the alerts of a finding that is grave now and was not, or the other way."""
        limit = self._alerts.severity
        was = known is not None and at_least(known, limit)
        is_so = finding.closed_us is None and at_least(finding, limit)
        if was is not is_so:
            book = self._book
            if was and finding.closed_us is None:
                finding = replace(finding, closed_us=now_us)
            book.acts.alert(finding, book.seq, self._alerts.actions, now_us, book.changes)
