"""The checker's core: looks again at what the other roles did, and reports every difference.

In each round it asks the runner what the agents keep and the ledger what it holds in memory, reads
the store after both have answered, and sends one report with all that is wrong. It repairs nothing
and decides nothing: the ledger says what of it is new.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..jobs.findings import Finding
from ..messages.agents import AgentsAnswer, AskAgents
from ..messages.commands import CheckNow, Digest
from ..messages.hello import Hello, Welcome
from ..messages.instructions import AskDigest, CheckReport
from ..messages.post import CHECKER, LEDGER, RUNNER, Post
from ..messages.transitions import Beat
from ..store.interface import Reader
from . import check_calendars, check_plans, check_processes, check_server, checks
from .check_plans import Plans
from .check_server import Clock
from .check_waiting import Waits
from .housekeeping import CHECKS, Chore, Timetable
from .requests import OpenRequests, earliest
from .surroundings import Surroundings

HELLO = ("hello",)
# The runner has to ask its agents, so it gets longer before it is asked again.
ASK_AGAIN_US = 5_000_000
# Without an answer a round is closed with the checks that need none.
ANSWER_IN_US = 20_000_000

# What each answer is needed for; the rest needs the store alone.
OF_AGENTS = (
    check_processes.ORPHAN,
    check_processes.STRAY,
    check_processes.DOUBLE,
    check_processes.STUCK,
    check_processes.SILENT,
    check_server.CLOCK,
)
OF_LEDGER = (check_server.DRIFT,)
OF_DIGEST = (check_server.UNREAD,)
OF_STORE = (
    checks.LATE,
    checks.STARTED_LATE,
    check_plans.MISSING,
    check_plans.UNSCHEDULED,
    check_plans.SCHEDULE,
    check_server.DISK,
    check_calendars.CALENDAR,
)


class _Round:
    """A round that is under way, and the answers it has had."""

    def __init__(self, name: str, began_us: int) -> None:
        self.name = name
        self.began_us = began_us
        self.agents: AgentsAnswer | None = None
        self.digest: Digest | None = None

    @property
    def is_answered(self) -> bool:
        """Whether everybody has answered."""
        return self.agents is not None and self.digest is not None


class Checker:
    """Checks in rounds; `every_s` apart, the first soon after the start, one at once when somebody
    asks for it. `around` says what there is besides the store."""

    def __init__(
        self,
        reader: Reader,
        *,
        around: Callable[[], Surroundings] = Surroundings,
        every_s: float = CHECKS.every_s,
        incarnation: str = "",
        address: str = CHECKER,
    ) -> None:
        self.address = address
        self._reader = reader
        self._around = around
        self._incarnation = incarnation
        self._every_s = every_s
        self._timetable = Timetable((), 0)
        self._known = False
        self._epoch = 0
        self._greetings = OpenRequests()
        self._requests = OpenRequests(ASK_AGAIN_US)
        self._round: _Round | None = None
        self._rounds = 0
        self._is_wanted = False
        self._late: checks.LateStarts | None = None
        self._plans: Plans | None = None
        self._calendars = check_calendars.CalendarEnds()
        self._of_agents: list[Finding] = []
        self._waits = Waits()
        self._clock = Clock()

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
            case AgentsAnswer():
                return self._answered(message, now_us)
            case Digest():
                return self._answered(message, now_us)
            case CheckNow():
                self._is_wanted = True
            case Beat() if message.epoch > self._epoch > 0:
                self._epoch = message.epoch
                return self._greet(now_us)
        return []

    def settle(self, now_us: int) -> list[Post]:
        """Begin a round when it is time, close one that has no answer, repeat what is open."""
        posts = self._greetings.repeat(now_us)
        if not self._known:
            return posts
        if self._round is not None and abs(now_us - self._round.began_us) >= ANSWER_IN_US:
            posts += self._close_round(self._round, now_us)
        is_due = bool(self._timetable.take(now_us))
        if (is_due or self._is_wanted) and self._round is None:
            self._is_wanted = False
            posts += self._begin_round(now_us)
        return posts + self._requests.repeat(now_us)

    def wakes_at(self) -> int | None:
        """Return when a round begins or ends, or something is to be repeated."""
        if not self._known:
            return self._greetings.wakes_at()
        end_us = self._round.began_us + ANSWER_IN_US if self._round is not None else None
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

    def _begin_round(self, now_us: int) -> list[Post]:
        self._rounds += 1
        name = f"{self._incarnation}{now_us}.{self._rounds}"
        self._round = _Round(name, now_us)
        asked = (
            Post(RUNNER, AskAgents(request=name, processes=True)),
            Post(LEDGER, AskDigest(request=name)),
        )
        return [self._requests.send((post.to, name), post, now_us) for post in asked]

    def _answered(self, answer: AgentsAnswer | Digest, now_us: int) -> list[Post]:
        round_ = self._round
        if round_ is None or answer.request != round_.name:
            return []
        if isinstance(answer, Digest):
            round_.digest = answer
            self._requests.answered((LEDGER, round_.name))
        else:
            round_.agents = answer
            self._requests.answered((RUNNER, round_.name))
        return self._close_round(round_, now_us) if round_.is_answered else []

    def _close_round(self, round_: _Round, now_us: int) -> list[Post]:
        """Check, and report. Findings of checks left out this time stay as they are."""
        self._requests.clear()
        self._round = None
        names = list(OF_STORE)
        left_out: list[str] = []
        with self._reader.snapshot():
            findings = self._by_store(now_us)
            agents = round_.agents
            if agents is None:
                left_out += OF_AGENTS
            else:
                names += OF_AGENTS
                findings += self._by_agents(agents, now_us)
                findings += self._waits.look(self._reader, now_us)
                findings += self._clock.look(self._around(), now_us)
            digest = round_.digest
            if digest is None:
                left_out += OF_DIGEST
            else:
                names += OF_DIGEST
                findings += check_server.unread(digest)
            drift = None if digest is None else check_server.drift(self._reader, digest)
            if drift is None:
                left_out += OF_LEDGER
            else:
                names += OF_LEDGER
                findings += drift
        if agents is None:
            # Of a kind that was looked for in part, nothing may be closed.
            findings = [finding for finding in findings if finding.check in names]
        report = CheckReport(
            at_us=now_us,
            began_us=round_.began_us,
            checks=names,
            left_out=left_out,
            findings=findings,
        )
        return [Post(LEDGER, report)]

    def _by_store(self, now_us: int) -> list[Finding]:
        """Return what the store alone tells."""
        reader = self._reader
        if self._late is None or self._plans is None:
            # What an earlier life has found is remembered for as long as by that.
            known = reader.findings()[1]
            every_us = round(self._every_s * 1e6)
            self._late = checks.LateStarts(known, every_us)
            self._plans = Plans(known)
        findings = checks.late_runs(reader, now_us)
        findings += self._late.look(reader, now_us)
        findings += self._plans.look(reader, now_us)
        findings += check_server.disks(self._around())
        return findings + self._calendars.look(reader, now_us)

    def _by_agents(self, answer: AgentsAnswer, now_us: int) -> list[Finding]:
        """Return what the agents tell; of one that says nothing now, what it told last."""
        findings = check_processes.processes(self._reader, answer, now_us)
        told = {agent.agent_id for agent in answer.agents if agent.connected}
        told &= answer.processes.keys()
        found = {finding.key for finding in findings}
        findings += [
            finding
            for finding in self._of_agents
            if finding.key not in found and finding.evidence["agent_id"] not in told
        ]
        kinds = (check_processes.ORPHAN, check_processes.STRAY)
        self._of_agents = [finding for finding in findings if finding.check in kinds]
        return findings
