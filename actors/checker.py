"""The checker's core: looks again at what the other roles did, and reports every difference.

In each round it asks the runner what the agents keep, reads the store after the answer came, and
sends one report with all open findings. It repairs nothing and decides nothing.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from ..messages.agents import AgentsAnswer, AskAgents
from ..messages.hello import Hello, Welcome
from ..messages.instructions import CheckReport, Finding
from ..messages.post import CHECKER, LEDGER, RUNNER, Post
from ..messages.transitions import Beat
from ..store.interface import Reader
from . import checks
from .housekeeping import CHECKS, Chore, Timetable
from .requests import OpenRequests, earliest

HELLO = ("hello",)
# The runner has to ask its agents, so it gets longer before it is asked again.
ASK_AGAIN_US = 5_000_000
# Without an answer of the runner the round is closed with the checks that need only the store.
ANSWER_IN_US = 20_000_000


class Checker:
    """Checks in rounds; `every_s` apart, the first soon after the start."""

    def __init__(
        self,
        reader: Reader,
        *,
        every_s: float = CHECKS.every_s,
        incarnation: str = "",
        address: str = CHECKER,
    ) -> None:
        self.address = address
        self._reader = reader
        self._incarnation = incarnation
        self._every_s = every_s
        self._timetable = Timetable((), 0)
        self._known = False
        self._epoch = 0
        self._greetings = OpenRequests()
        self._requests = OpenRequests(ASK_AGAIN_US)
        self._round: str | None = None
        self._round_us = 0
        self._rounds = 0
        self._late = checks.LateStarts()
        self._open: dict[str, Finding] = {}

    def begin(self, now_us: int) -> list[Post]:
        """Greet the ledger; its welcome says that the store can be read."""
        chore = Chore(
            name=CHECKS.name, every_s=self._every_s, soon_s=min(CHECKS.soon_s, self._every_s)
        )
        self._timetable = Timetable((chore,), now_us)
        return self._greet(now_us)

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        """Take one message."""
        match message:
            case Welcome():
                self._known = True
                self._greetings.answered(HELLO)
                self._epoch = max(self._epoch, message.epoch)
            case AgentsAnswer() if message.request == self._round:
                return self._close_round(message, now_us)
            case Beat() if message.epoch > self._epoch > 0:
                self._epoch = message.epoch
                return self._greet(now_us)
        return []

    def settle(self, now_us: int) -> list[Post]:
        """Begin a round when it is time, close one that has no answer, repeat what is open."""
        posts = self._greetings.repeat(now_us)
        if not self._known:
            return posts
        if self._round is not None and abs(now_us - self._round_us) >= ANSWER_IN_US:
            posts += self._close_round(None, now_us)
        if self._timetable.take(now_us) and self._round is None:
            self._rounds += 1
            self._round = f"{self._incarnation}{now_us}.{self._rounds}"
            self._round_us = now_us
            ask = AskAgents(request=self._round, processes=True)
            posts.append(self._requests.send(self._round, Post(RUNNER, ask), now_us))
        return posts + self._requests.repeat(now_us)

    def wakes_at(self) -> int | None:
        """Return when a round begins or ends, or something is to be repeated."""
        if not self._known:
            return self._greetings.wakes_at()
        end_us = self._round_us + ANSWER_IN_US if self._round is not None else None
        return earliest(
            self._timetable.wakes_at(),
            end_us,
            self._requests.wakes_at(),
            self._greetings.wakes_at(),
        )

    # --- inside ---------------------------------------------------------------------------------

    def _greet(self, now_us: int) -> list[Post]:
        hello = Hello(role=self.address, incarnation=self._incarnation)
        return [self._greetings.send(HELLO, Post(LEDGER, hello), now_us)]

    def _close_round(self, answer: AgentsAnswer | None, now_us: int) -> list[Post]:
        """Check, and report all that is open. Findings of checks left out this time stay open."""
        self._requests.answered(self._round)
        self._round = None
        names = [checks.LATE, checks.STARTED_LATE]
        with self._reader.snapshot():
            found = checks.late_runs(self._reader, now_us)
            found += self._late.look(self._reader, now_us)
            if answer is not None:
                names += [checks.ORPHAN, checks.STRAY]
                found += checks.processes(self._reader, answer, now_us)
        kept = [finding for finding in self._open.values() if finding.check not in names]
        findings = [self._since(finding, now_us) for finding in found] + kept
        self._open = {finding.key: finding for finding in findings}
        report = CheckReport(at_us=now_us, checks=names, findings=list(self._open.values()))
        return [Post(LEDGER, report)]

    def _since(self, finding: Finding, now_us: int) -> Finding:
        """Date a finding by when it was first found."""
        before = self._open.get(finding.key)
        return replace(finding, since_us=before.since_us if before is not None else now_us)
