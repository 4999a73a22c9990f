"""The waiter's core: what each waiting run waits for, and when it may be proposed to the ledger.

Driven by the feed. It proposes (`ClearRun`, `ConcludeRun`) and never decides: guards are evaluated
by the ledger at the instant of the move. Rule I11: a wait registers its interest, then reads the
store, then decides; what the feed brings after that is applied on top. After a hole in the feed, or
when another ledger speaks, everything is read again. Never starts anything, never writes.
"""

from __future__ import annotations

import heapq
from itertools import islice
from typing import Any

from ..jobs.conditions import BoundConst, BoundDependency
from ..jobs.run import Run, args_key
from ..jobs.states import State
from ..messages.commands import ClearRefused
from ..messages.hello import Hello, Welcome
from ..messages.instructions import ClearRun, ConcludeRun, FewerThan, NoteRun
from ..messages.post import LEDGER, WAITER, Post
from ..messages.transitions import Beat, FeedFrame, RunMoved, RunWithdrawn
from ..store.interface import Reader
from ..wire.feed import FeedFollower, Then
from .requests import OpenRequests, earliest
from .waiting import OCCUPYING, GuardLine, GuardLines, Instance, Interests, Wait, counting
from .waiting_words import condition_text, missing_text, timeout_text

# Runs looked at in one turn; the rest are next, so that no turn blocks for long.
LOOKS_A_TURN = 2_000
# Each line is also tried this often without a reason, in case an answer was crossed and lost.
TRY_LINES_US = 30_000_000
HELLO = ("hello",)


class Waiter:
    """Proposes waiting runs to the ledger when what they wait for has come.

    `max_time_us`: a run that has waited longer is an error; None: never.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        max_time_us: int | None = None,
        incarnation: str = "",
        address: str = WAITER,
    ) -> None:
        self.address = address
        self._reader = reader
        self._max_time_us = max_time_us
        self._incarnation = incarnation
        self._feed = FeedFollower()
        self._known = False
        self._read_again = False
        self._read_seq = -1
        self._waits: dict[str, Wait] = {}
        self._interests = Interests()
        self._lines = GuardLines()
        self._look: dict[str, None] = {}
        self._timers: list[tuple[int, str]] = []
        self._try_lines_us = 0
        self._requests = OpenRequests()
        self._notes = OpenRequests()
        self._found: dict[Instance, dict[State, int]] = {}
        self._posts: list[tuple[tuple[int, ...], Post]] = []

    def __len__(self) -> int:
        return len(self._waits)

    # --- what the stage calls -------------------------------------------------------------------

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
            case Welcome():
                self._welcome(message)
        return []

    def settle(self, now_us: int) -> list[Post]:
        """Read again if need be, look at the runs that may have come on, repeat what is open."""
        if self._read_again:
            self._read_all()
        self._time(now_us)
        if self._try_lines_us <= now_us:
            self._try_lines_us = now_us + TRY_LINES_US
            for line in self._lines:
                self._next(line)
        self._found = {}
        some = list(islice(self._look, LOOKS_A_TURN))
        for run_id in some:
            del self._look[run_id]
        waits = [self._waits[run_id] for run_id in some if run_id in self._waits]
        for wait in sorted(waits, key=lambda wait: wait.order):
            self._advance(wait, now_us)
        posts = [post for _, post in sorted(self._posts, key=lambda item: item[0])]
        self._posts = []
        return posts + self._notes.repeat(now_us) + self._requests.repeat(now_us)

    def wakes_at(self) -> int | None:
        """Return when something is to be repeated or has waited long enough."""
        if self._look or self._read_again:
            return 0
        timer_us = self._timers[0][0] if self._timers else None
        lines_us = self._try_lines_us if self._lines else None
        return earliest(timer_us, lines_us, self._requests.wakes_at(), self._notes.wakes_at())

    # --- feed and store -------------------------------------------------------------------------

    def _welcome(self, message: Welcome) -> None:
        self._requests.answered(HELLO)
        if not self._known or message.epoch > self._feed.epoch or message.seq > self._feed.seq:
            self._known = self._read_again = True

    def _follow(self, message: FeedFrame | Beat, now_us: int) -> list[Post]:
        if not self._known:
            return []
        step = self._feed.take(message)
        match step.then:
            case Then.APPLY:
                self._apply(step.events, step.runs)
            case Then.HOLE:
                self._read_again = True
            case Then.NEW_EPOCH:
                self._read_again = True
                return self.begin(now_us) if HELLO not in self._requests else []
        return []

    def _read_all(self) -> None:
        """Read all active runs, and have everything waited for looked up again (I11)."""
        with self._reader.snapshot():
            epoch, seq = self._reader.head()
            active = self._reader.active()
        self._read_again = False
        self._feed.stand(epoch, seq)
        self._read_seq = seq
        waiting = {run.run_id: run for run in active if run.state is State.WAITING}
        for run_id in [run_id for run_id in self._waits if run_id not in waiting]:
            self._drop(run_id)
        for run in waiting.values():
            self._register(run)
        self._look.update(dict.fromkeys(waiting))
        for line in self._lines:
            self._next(line)

    def _apply(self, events: list[Any], runs: list[Run]) -> None:
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
                self._look.update(dict.fromkeys(self._interests.of(event.job_id, event.args)))

    def _moved(self, event: RunMoved, run: Run) -> None:
        """Wake those whom this move of another run may concern."""
        for run_id in self._interests.of(run.job_id, run.args):
            wait = self._waits[run_id]
            cond = wait.gates[wait.gate]
            assert isinstance(cond, BoundDependency), f"run {run_id}: indexed without dependency"
            if event.after in cond.states:
                self._pass_gate(wait, cond)
                self._look[run_id] = None
            elif cond.exist and event.after not in cond.exist:
                self._look[run_id] = None
        if event.before in OCCUPYING and event.after not in OCCUPYING:
            line = self._lines.of(run.job_id, run.args)
            if line is not None:
                line.freed_seq = event.seq
                self._next(line)

    # --- waits ----------------------------------------------------------------------------------

    def _register(self, run: Run) -> None:
        """Begin a wait, or take in what changed of it."""
        wait = self._waits.get(run.run_id)
        if wait is not None and wait.run.version > run.version:
            return
        if wait is not None and wait.run.times.get("waiting") == run.times.get("waiting"):
            changed = (wait.run.held, wait.run.not_before_us) != (run.held, run.not_before_us)
            wait.run = run
            if run.message == _noted(wait):
                self._notes.answered(run.run_id)
            if changed:
                self._withdraw(wait)
                self._look[run.run_id] = None
            return
        self._drop(run.run_id)
        wait = self._waits[run.run_id] = Wait(run)
        self._lines.join(wait)
        self._look[run.run_id] = None
        if self._max_time_us is not None:
            deadline_us = run.times.get("waiting", 0) + self._max_time_us
            heapq.heappush(self._timers, (deadline_us, run.run_id))

    def _drop(self, run_id: str) -> None:
        """A run waits no more, whatever became of it."""
        wait = self._waits.pop(run_id, None)
        if wait is None:
            return
        self._forget_interest(wait)
        self._requests.answered(run_id)
        self._notes.answered(run_id)
        for line in self._lines.part(wait):
            self._next(line)

    def _withdraw(self, wait: Wait) -> None:
        """Take back a proposal, since the run is held now, its time has changed or has run out."""
        if not wait.concluded:
            self._requests.answered(wait.run.run_id)
        for line in self._lines.part(wait):
            self._next(line)
        self._lines.join(wait)

    def _forget_interest(self, wait: Wait) -> None:
        if wait.gate < len(wait.gates):
            cond = wait.gates[wait.gate]
            if isinstance(cond, BoundDependency):
                self._interests.discard((cond.job_id, args_key(cond.args)), wait.run.run_id)

    def _pass_gate(self, wait: Wait, cond: BoundConst | BoundDependency) -> None:
        if isinstance(cond, BoundDependency):
            self._interests.discard((cond.job_id, args_key(cond.args)), wait.run.run_id)
        wait.gate += 1

    def _advance(self, wait: Wait, now_us: int) -> None:
        """Take a run through its gates as far as it gets, and propose it when it is through."""
        run = wait.run
        if run.held or wait.concluded or run.run_id in self._requests:
            return
        if self._overdue(run, now_us):
            self._conclude(wait, timeout_text(wait.condition, self._max_time_us or 0), now_us)
            return
        if run.not_before_us is not None and run.not_before_us > now_us:
            heapq.heappush(self._timers, (run.not_before_us, run.run_id))
            return
        while wait.gate < len(wait.gates):
            cond = wait.gates[wait.gate]
            self._note(wait, wait.gate + 1, now_us)
            if not self._met(wait, cond, now_us):
                return
            self._pass_gate(wait, cond)
        self._propose(wait, now_us)

    def _met(self, wait: Wait, cond: BoundConst | BoundDependency, now_us: int) -> bool:
        """Whether a gate is open; if it can never be, the run is concluded."""
        if isinstance(cond, BoundConst):
            return cond.value
        instance = (cond.job_id, args_key(cond.args))
        self._interests.add(instance, wait.run.run_id)
        states = self._found.get(instance)
        if states is None:
            states = self._found[instance] = self._reader.instance_states(*instance)
        if any(states.get(state, 0) for state in cond.states):
            return True
        if cond.exist and not any(states.get(state, 0) for state in cond.exist):
            self._conclude(wait, missing_text(cond), now_us)
        return False

    # --- proposing ------------------------------------------------------------------------------

    def _propose(self, wait: Wait, now_us: int) -> None:
        """Ask the ledger to clear a run, unless enough of its instance are asking already."""
        run_id = wait.run.run_id
        self._note(wait, len(wait.gates) + len(wait.guards), now_us)
        lines: list[GuardLine] = []
        for guard in counting(wait.guards):
            line = self._lines.of(guard.job_id, guard.args)
            assert line is not None, f"run {run_id}: its guard has no line"
            if len(line.proposed) >= max(guard.n, 1) and run_id not in line.proposed:
                line.queue(wait.order, run_id)
                for passed in lines:
                    self._next(passed)
                return
            lines.append(line)
        for line in lines:
            line.leave(run_id)
            line.proposed[run_id] = None
        wait.blocked_by = None
        clear = ClearRun(run_id=run_id, guards=wait.guards)
        self._say(wait, 1, self._requests.send(run_id, Post(LEDGER, clear), now_us))

    def _refused(self, message: ClearRefused) -> None:
        """The ledger says that a guard does not hold: the run stays in line."""
        wait = self._waits.get(message.run_id)
        if wait is None or wait.concluded or not self._requests.answered(message.run_id):
            return
        index = message.guard if message.guard < len(wait.guards) else 0
        wait.blocked_by = index
        blocking = wait.guards[index]
        for guard in counting(wait.guards):
            line = self._lines.of(guard.job_id, guard.args)
            assert line is not None, f"run {message.run_id}: its guard has no line"
            line.proposed.pop(message.run_id, None)
            same = (guard.job_id, guard.args) == (blocking.job_id, blocking.args)
            if same and isinstance(blocking, FewerThan):
                line.queue(wait.order, message.run_id)
                # A place that became free after the ledger looked, and that we heard of first.
                if max(line.freed_seq, self._read_seq) > message.seq:
                    self._next(line)
            else:
                self._next(line)

    def _next(self, line: GuardLine) -> None:
        """Have the first in line looked at: a place may be free."""
        run_id = line.first()
        if run_id is not None:
            self._look[run_id] = None

    def _conclude(self, wait: Wait, reason: str, now_us: int) -> None:
        run_id = wait.run.run_id
        self._withdraw(wait)
        wait.concluded = True
        message = ConcludeRun(run_id=run_id, state=State.ERROR, reason=reason)
        self._say(wait, 1, self._requests.send(run_id, Post(LEDGER, message), now_us))

    def _note(self, wait: Wait, upto: int, now_us: int) -> None:
        """Note the beginning of each condition up to number `upto`, once."""
        conds = (*wait.gates, *wait.guard_conds)
        for cond in conds[wait.seen : upto]:
            wait.seen += 1
            note = NoteRun(run_id=wait.run.run_id, message=_line(cond))
            post = self._notes.send(wait.run.run_id, Post(LEDGER, note), now_us)
            self._say(wait, 0, post)

    def _say(self, wait: Wait, rank: int, post: Post) -> None:
        """Send in this turn: notes before proposals, each in the order of priority, time, id."""
        self._posts.append(((rank, *wait.order), post))

    def _time(self, now_us: int) -> None:
        while self._timers and self._timers[0][0] <= now_us:
            run_id = heapq.heappop(self._timers)[1]
            wait = self._waits.get(run_id)
            if wait is None:
                continue
            if self._overdue(wait.run, now_us) and not wait.run.held and not wait.concluded:
                self._requests.answered(run_id)
            self._look[run_id] = None

    def _overdue(self, run: Run, now_us: int) -> bool:
        """Whether a run has waited longer than any may."""
        if self._max_time_us is None:
            return False
        return run.times.get("waiting", now_us) + self._max_time_us <= now_us


def _line(cond: Any) -> str:
    return f"waiting until: {condition_text(cond)}"


def _noted(wait: Wait) -> str | None:
    """The line noted last, by which the ledger's record acknowledges it."""
    conds = (*wait.gates, *wait.guard_conds)
    return _line(conds[wait.seen - 1]) if wait.seen else None
