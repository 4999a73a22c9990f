"""The waiter's core: what each waiting run waits for, and when it may be proposed to the ledger.

Driven by the feed. It proposes (`ClearRun`, `ConcludeRun`) and never decides: guards are evaluated
by the ledger at the instant of the move. Rule I11: a wait registers its interest, then reads the
store, then decides; what the feed brings after that is applied on top. After a hole in the feed
what it has lost is read; when another ledger speaks, everything. Never starts anything, never
writes.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from ..jobs.bound_conditions import polled_of
from ..jobs.judging import Verdict
from ..jobs.run import KnownRun
from ..jobs.states import OCCUPYING, State
from ..messages.commands import ClearRefused
from ..messages.hello import Hello, Welcome
from ..messages.instructions import ClearRun, ConcludeRun, NoteRun
from ..messages.post import LEDGER, WAITER, Post
from ..messages.transitions import Beat, FeedFrame, RunMoved, RunWithdrawn
from ..store.interface import Reader
from ..wire.feed import FeedFollower, Then
from .gates import Gates
from .guard_lines import GuardLine, GuardLines
from .missed import read_missed
from .probe_seam import Probed
from .requests import OpenRequests, earliest
from .waiting import TermsInUse, Wait
from .waiting_words import deadline_text, not_yet_line, timeout_text, until_line

# Runs looked at in one turn; the rest are next, so that what comes meanwhile is not kept waiting.
LOOKS_A_TURN = 500
# Each line is also tried this often without a reason, in case an answer was crossed and lost.
TRY_LINES_US = 30_000_000
# A check that finds something else each time must not fill the run's log.
LACKING_NOTED = 50
HELLO = ("hello",)


class Waiter:
    """Proposes waiting runs to the ledger when what they wait for has come.

    `max_time_us`: a run that has waited longer is an error; None: never. `pools` has the sizes of
    the pools of the settings.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        max_time_us: int | None = None,
        pools: Mapping[str, int] | None = None,
        incarnation: str = "",
        address: str = WAITER,
    ) -> None:
        self.address = address
        self._reader = reader
        self._max_time_us = max_time_us
        self._pools = pools or {}
        self._incarnation = incarnation
        self._feed = FeedFollower[KnownRun]()
        self._known = False
        self._read_again = self._hole = False
        self._read_seq = -1
        self._waits: dict[str, Wait] = {}
        self._terms = TermsInUse()
        self._gates = Gates(reader)
        self._lines = GuardLines()
        self._look: dict[str, None] = {}
        self._timers: list[tuple[int, str]] = []
        self._try_lines_us = 0
        self._requests = OpenRequests()
        self._notes = OpenRequests()
        self._posts: list[tuple[tuple[int, ...], Post]] = []

    def __len__(self) -> int:
        return len(self._waits)

    # --- what the stage calls -------------------------------------------------------------------

    def figures(self) -> dict[str, float]:
        """Return how much it has in hand."""
        return {"waiting_runs": len(self._waits)}

    def begin(self, now_us: int) -> list[Post]:
        """Greet the ledger; its welcome says that the store can be read."""
        hello = Hello(role=self.address, incarnation=self._incarnation)
        return [self._requests.send(HELLO, Post(LEDGER, hello), now_us)]

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        """Take one message."""
        match message:
            case FeedFrame() | Beat():
                return self._follow(message, now_us)
            case ClearRefused():
                self._refused(message)
            case Probed():
                self._look.update(dict.fromkeys(self._gates.polls.probed(message, now_us)))
            case Welcome():
                self._welcome(message)
        return []

    def settle(self, now_us: int) -> list[Post]:
        """Read again if need be, look at the runs that may have come on, repeat what is open."""
        if self._read_again or (self._hole and not self._catch_up()):
            self._read_all()
        self._time(now_us)
        if not now_us < self._try_lines_us <= now_us + TRY_LINES_US:
            self._try_lines_us = now_us + TRY_LINES_US
            for line in self._lines:
                self._next(line)
        self._look.update(dict.fromkeys(self._gates.polls.settle(now_us)))
        self._gates.new_turn()
        some = list(islice(self._look, LOOKS_A_TURN))
        for run_id in some:
            del self._look[run_id]
        waits = [self._waits[run_id] for run_id in some if run_id in self._waits]
        for wait in sorted(waits, key=lambda wait: wait.order):
            self._advance(wait, now_us)
        posts = [post for _, post in sorted(self._posts, key=lambda item: item[0])]
        self._posts = []
        # What was looked at may be checked now, and what is passed need not be.
        self._look.update(dict.fromkeys(self._gates.polls.settle(now_us)))
        posts += self._gates.polls.take_posts()
        return posts + self._notes.repeat(now_us) + self._requests.repeat(now_us)

    def wakes_at(self) -> int | None:
        """Return when something is to be repeated or has waited long enough."""
        if self._look or self._read_again or self._hole:
            return 0
        timer_us = self._timers[0][0] if self._timers else None
        lines_us = self._try_lines_us if self._lines else None
        polls_us = self._gates.polls.wakes_at()
        requests_us = earliest(self._requests.wakes_at(), self._notes.wakes_at())
        return earliest(timer_us, lines_us, polls_us, requests_us)

    # --- feed and store -------------------------------------------------------------------------

    def _welcome(self, message: Welcome) -> None:
        self._requests.answered(HELLO)
        if not self._known or message.epoch > self._feed.epoch or message.seq > self._feed.seq:
            self._known = self._read_again = True

    def _follow(self, message: FeedFrame[KnownRun] | Beat, now_us: int) -> list[Post]:
        if not self._known:
            return []
        step = self._feed.take(message)
        match step.then:
            case Then.APPLY:
                self._apply(step.events, step.runs)
            case Then.HOLE:
                self._hole = True
            case Then.NEW_EPOCH:
                self._read_again = True
                return self.begin(now_us) if HELLO not in self._requests else []
        return []

    def _catch_up(self) -> bool:
        """Apply what the feed has lost; return whether that was possible."""
        missed = read_missed(self._reader, self._feed)
        if missed is None:
            return False
        self._hole = False
        self._feed.stand(self._feed.epoch, missed.seq)
        self._apply(missed.events, missed.runs)
        return True

    def _read_all(self) -> None:
        """Read all waiting runs, and have everything waited for looked up again (I11)."""
        with self._reader.snapshot():
            epoch, seq = self._reader.head()
            waiting = {run.run_id: run for run in self._reader.active((State.WAITING,))}
        self._read_again = self._hole = False
        self._feed.stand(epoch, seq)
        self._read_seq = seq
        for run_id in [run_id for run_id in self._waits if run_id not in waiting]:
            self._drop(run_id)
        for run in waiting.values():
            self._register(run)
        self._look.update(dict.fromkeys(waiting))
        for line in self._lines:
            self._next(line)

    def _apply(self, events: list[Any], runs: Sequence[KnownRun]) -> None:
        records = {run.run_id: run for run in runs}
        for run in runs:
            if run.state is State.WAITING:
                self._register(run)
            else:
                self._drop(run.run_id)
        for event in events:
            if isinstance(event, RunMoved):
                record = records.get(event.run_id)
                if record is not None:
                    self._moved(event, record)
            elif isinstance(event, RunWithdrawn):
                self._look.update(dict.fromkeys(self._gates.withdrawn(event)))

    def _moved(self, event: RunMoved, run: KnownRun) -> None:
        """Wake those whom this move of another run may concern."""
        woken = self._gates.moved(event, run.job_id, run.args, self._waits)
        self._look.update(dict.fromkeys(woken))
        if event.before in OCCUPYING and event.after not in OCCUPYING:
            for line in self._lines.of_places(run):
                line.freed_seq = event.seq
                self._next(line)

    # --- waits ----------------------------------------------------------------------------------

    def _register(self, run: KnownRun) -> None:
        """Begin a wait, or take in what changed of it."""
        wait = self._waits.get(run.run_id)
        if wait is not None and wait.version > run.version:
            return
        if wait is not None and wait.is_of(run):
            changed = wait.take(run)
            if run.message == wait.noted:
                self._notes.answered(run.run_id)
            if changed:
                self._withdraw(wait)
                self._look[run.run_id] = None
            return
        self._drop(run.run_id)
        own_us = run.waiting_max_us
        terms = self._terms.of(run)
        wait = Wait(run, terms, self._max_time_us if own_us is None else own_us, self._pools)
        self._waits[run.run_id] = wait
        self._lines.join(wait.guards)
        self._look[run.run_id] = None

    def _drop(self, run_id: str) -> None:
        """A run waits no more, whatever became of it."""
        wait = self._waits.pop(run_id, None)
        if wait is None:
            return
        self._gates.leave(wait)
        self._requests.answered(run_id)
        self._notes.answered(run_id)
        for line in self._lines.part(run_id, wait.guards):
            self._next(line)

    def _withdraw(self, wait: Wait) -> None:
        """Take back a proposal, since the run is held now, its time has changed or has run out."""
        if not wait.concluded:
            self._requests.answered(wait.run_id)
        self._gates.leave(wait)
        for line in self._lines.of_run(wait.guards):
            if line.withdraw(wait.run_id):
                self._next(line)

    def _advance(self, wait: Wait, now_us: int) -> None:
        """Take a run through its gates as far as it gets, and propose it when it is through."""
        if wait.held or wait.concluded or wait.run_id in self._requests:
            return
        if wait.overdue(now_us):
            reason = timeout_text(wait.condition, wait.max_time_us or 0)
            self._conclude(wait, State.ERROR, reason, now_us)
            return
        if wait.deadline is not None and wait.late(now_us):
            reason = deadline_text(wait.deadline, wait.condition)
            self._conclude(wait, wait.deadline.else_state, reason, now_us)
            return
        next_us = wait.not_before_us
        if next_us is None or next_us <= now_us:
            verdict = self._pass_gates(wait, now_us)
            if verdict is None:
                self._propose(wait, now_us)
            elif verdict.final:
                self._conclude(wait, verdict.else_state, verdict.reason, now_us)
            next_us = None if verdict is None else verdict.next_us
        wake_us = earliest(next_us, wait.ends_us())
        if wake_us is not None and not wait.concluded:
            self._wake_at(wait, wake_us)

    def _pass_gates(self, wait: Wait, now_us: int) -> Verdict | None:
        """Pass the gates that are open; return the verdict on the one that is not, if any."""
        while wait.gate < len(wait.gates):
            self._note(wait, wait.gate + 1, now_us)
            verdict = self._gates.present(wait, now_us)
            if not verdict.met:
                self._note_lacking(wait, verdict, now_us)
                return verdict
            self._gates.leave(wait)
            wait.gate += 1
        closed = self._gates.closed_window(wait, now_us)
        if closed is not None:
            # Whoever stands behind it in a line may go first.
            for line in self._lines.of_run(wait.guards):
                self._next(line)
        return closed

    # --- proposing ------------------------------------------------------------------------------

    def _propose(self, wait: Wait, now_us: int) -> None:
        """Ask the ledger to clear a run, unless enough of its instance are asking already."""
        run_id = wait.run_id
        self._note(wait, len(wait.gates) + len(wait.guard_conds), now_us)
        claims = self._lines.claims(wait.guards)
        for place, (line, weight) in enumerate(claims):
            if not line.has_room(wait.order, run_id, weight):
                line.queue(wait.order, run_id)
                for passed, _ in claims[:place]:
                    passed.withdraw(run_id)
                    self._next(passed)
                return
        for line, weight in claims:
            line.propose(run_id, weight)
        wait.blocked_by = None
        clear = ClearRun(run_id=run_id, guards=list(wait.guards))
        self._say(wait, 1, self._requests.send(run_id, Post(LEDGER, clear), now_us))

    def _refused(self, message: ClearRefused) -> None:
        """The ledger says that a guard does not hold: the run stays in line."""
        wait = self._waits.get(message.run_id)
        if wait is None or wait.concluded or not self._requests.answered(message.run_id):
            return
        index = message.guard if message.guard < len(wait.guards) else 0
        wait.blocked_by = index
        for line in self._lines.of_run(wait.guards):
            line.withdraw(message.run_id)
            if line not in self._lines.of_run(wait.guards[index : index + 1]):
                self._next(line)
                continue
            line.queue(wait.order, message.run_id)
            # A place that became free after the ledger looked, and that we heard of first.
            if max(line.freed_seq, self._read_seq) > message.seq:
                self._next(line)

    def _next(self, line: GuardLine) -> None:
        """Have the first in line looked at: a place may be free."""
        if len(line.proposed) < line.room:
            run_id = line.first()
            if run_id is not None:
                self._look[run_id] = None

    def _conclude(self, wait: Wait, state: State, reason: str, now_us: int) -> None:
        self._withdraw(wait)
        wait.concluded = True
        message = ConcludeRun(run_id=wait.run_id, state=state, reason=reason)
        self._say(wait, 1, self._requests.send(wait.run_id, Post(LEDGER, message), now_us))

    def _note(self, wait: Wait, upto: int, now_us: int) -> None:
        """Note the beginning of each condition up to number `upto`, once."""
        for cond in wait.noted_conds[wait.seen : upto]:
            wait.seen += 1
            self._say_line(wait, until_line(cond), now_us)

    def _note_lacking(self, wait: Wait, verdict: Verdict, now_us: int) -> None:
        """Note what a check found lacking, when it is not what the one before found."""
        if verdict.met is None or not any(polled_of(wait.gates[wait.gate])):
            return
        line = not_yet_line(verdict.reason)
        if line != wait.lacking and wait.lacking_count < LACKING_NOTED:
            wait.lacking = line
            wait.lacking_count += 1
            self._say_line(wait, line, now_us)

    def _say_line(self, wait: Wait, line: str, now_us: int) -> None:
        # Those who wait for the same share the text of it.
        wait.noted = line = sys.intern(line)
        note = NoteRun(run_id=wait.run_id, message=line)
        self._say(wait, 0, self._notes.send(wait.run_id, Post(LEDGER, note), now_us))

    def _say(self, wait: Wait, rank: int, post: Post) -> None:
        """Send in this turn: notes before proposals, each in the order of priority, time, id."""
        self._posts.append(((rank, *wait.order), post))

    # --- the clock ------------------------------------------------------------------------------

    def _wake_at(self, wait: Wait, at_us: int) -> None:
        if wait.timer_us is None or at_us < wait.timer_us:
            wait.timer_us = at_us
            heapq.heappush(self._timers, (at_us, wait.run_id))

    def _time(self, now_us: int) -> None:
        while self._timers and self._timers[0][0] <= now_us:
            run_id = heapq.heappop(self._timers)[1]
            wait = self._waits.get(run_id)
            if wait is None:
                continue
            wait.timer_us = None
            over = wait.overdue(now_us) or wait.late(now_us)
            if over and not wait.held and not wait.concluded:
                self._requests.answered(run_id)
            ends_us = wait.ends_us()
            if not over and ends_us is not None:
                self._wake_at(wait, ends_us)
            self._look[run_id] = None
