"""The ledger's core: the only one that decides what state a run is in.

Its stage shows it what it needs of the store, gives it a batch of messages, commits
`take_changes()` and only then sends what `settle` returned (rule I2). Every message may come twice,
late or not at all: each handler is idempotent, and what the ledger commands it repeats until it is
answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..jobs.run import Run, args_key
from ..jobs.states import ACTIVE, State
from ..jobs.times import SECOND_US
from ..messages.commands import ClearRefused, IdsLeased, OutboxItem
from ..messages.door import Unfit
from ..messages.hello import PROTOCOL_VERSION, Hello, Refuse, Welcome
from ..messages.instructions import (
    ActionSettled,
    ActionTried,
    AgentsTaken,
    ApplyJobs,
    AskClaim,
    AskDigest,
    AttemptEnded,
    AttemptStarted,
    AttemptUpdated,
    CheckReport,
    ClearRun,
    ConcludeRun,
    ExpectRuns,
    FewerThan,
    Guard,
    LeaseIds,
    NoneOf,
    NoteRun,
    PoolFree,
    RunsDue,
    RunsLate,
    RunsSoon,
)
from ..messages.post import RESPONDER, RUNNER, SCHEDULER, Post
from ..messages.transitions import FeedFrame, Replay, Replayed
from ..messages.wishes import AddRuns, KillProcess, LedgerWish, OfRuns
from ..store.interface import Changes, Opening
from .ledger_access import AccessBook
from .ledger_acts import noted
from .ledger_agents import AgentBook
from .ledger_attempts import Attempts
from .ledger_audit import Audit
from .ledger_backfills import Backfills, stops_in
from .ledger_book import Book, Misfit
from .ledger_due import DueRuns
from .ledger_findings import NO_ALERTS, Alerts, Findings
from .ledger_horizon import Horizon, expected_key
from .ledger_needs import REPLAY_EVENTS, Found, Needs, runs_named
from .ledger_operations import Operations
from .ledger_pauses import Pauses
from .ledger_runners import RunnerSessions
from .ledger_sending import Outgoing, is_internal
from .ledger_upkeep import Upkeep
from .ledger_wishes import Wishes
from .requests import earliest
from .upkeep_seam import StepDone

# Run numbers one lease gives at most.
LEASE_AT_MOST = 100_000


class Ledger:
    """Decides; see `Book` for what it keeps, `Horizon` for planning, `Attempts` for execution."""

    def __init__(
        self,
        opening: Opening,
        address: str = "ledger/0",
        *,
        login_always: bool = False,
        alerts: Alerts = NO_ALERTS,
    ) -> None:
        self.address = address
        self.misfits = 0
        self.book = Book(opening)
        self._outgoing = Outgoing(self.book)
        self._horizon = Horizon(opening, self.book, self._outgoing)
        self._attempts = Attempts(self.book, self._outgoing)
        self._runners = RunnerSessions(self.book.epoch, self._outgoing)
        self._upkeep = Upkeep(opening, self.book, self._attempts)
        self._agents = AgentBook(opening, self.book, self._outgoing)
        self._pauses = Pauses(opening, self.book)
        due = DueRuns(self.book, self._attempts, self._pauses)
        self._backfills = Backfills(opening, self.book, self._attempts)
        findings = Findings(opening, self.book, self._outgoing.reply_with, alerts)
        access = AccessBook(opening, self.book, login_always=login_always)
        self._operations = Operations(opening, self.book, self._attempts, access.judge)
        self._hellos: dict[str, str] = {}
        self._handlers: dict[type, Callable[[str, Any, int], None]] = {
            Hello: self._hello,
            Replay: self._replay,
            Unfit: self._outgoing.unfit,
            ApplyJobs: self._horizon.apply_jobs,
            ExpectRuns: self._horizon.expect_runs,
            RunsDue: due.due,
            RunsSoon: due.soon,
            RunsLate: self._horizon.runs_late,
            LeaseIds: self._lease_ids,
            ClearRun: self._clear_run,
            ConcludeRun: self._conclude_run,
            NoteRun: self._note_run,
            AttemptStarted: self._attempts.started,
            AttemptEnded: self._runners.present(self._attempts.ended),
            AttemptUpdated: self._runners.present(self._attempts.updated),
            ActionSettled: self._action_settled,
            ActionTried: self._action_tried,
            CheckReport: findings.report,
            AskDigest: findings.digest,
            AgentsTaken: self._runners.present(self._agents.taken),
            AskClaim: self._attempts.claim,
            StepDone: self._upkeep.done,
            LedgerWish: Wishes(
                self.book,
                self._outgoing,
                self._attempts,
                self._horizon.open,
                self._agents,
                access,
                Audit(opening, self.book),
                self._pauses,
                self._backfills,
                self._operations,
            ).wish,
        }

    def figures(self) -> dict[str, float]:
        """Return how much it has in hand."""
        unfit = self._outgoing.unfit_count
        return {"active_runs": len(self.book.active), "misfits": self.misfits, "unfit": unfit}

    @property
    def epoch(self) -> int:
        """This ledger's epoch, for the feed's heartbeat."""
        return self.book.epoch

    @property
    def seq(self) -> int:
        """The seq of the last event published, for the feed's heartbeat."""
        return self._outgoing.published_seq

    # --- what the stage calls -------------------------------------------------------------------

    def begin(self, now_us: int) -> list[Post]:
        """Return nothing: the ledger waits to be greeted."""
        return []

    def needs(self, batch: list[tuple[str, Any]], now_us: int) -> Needs:
        """Return what of the store this batch of (sender, message) cannot be decided without, and
        what is due at this time."""
        needs = Needs()
        needs.run_ids.update(self.book.deadlines.ripen(now_us))
        needs.run_ids.update(self._backfills.needs(stops_in(batch)))
        needs.operation_parts = self._operations.choose(batch)
        for _, message in batch:
            match message:
                case RunsDue() | RunsSoon() | RunsLate():
                    needs.run_ids.update(message.run_ids)
                case AttemptStarted() | AttemptEnded() | AttemptUpdated() | AskClaim():
                    needs.run_ids.add(message.run_id)
                case StepDone():
                    needs.run_ids.update(message.copied)
                case ClearRun():
                    for guard in message.guards:
                        if isinstance(guard, NoneOf) and not ACTIVE.issuperset(guard.states):
                            needs.instances.add((guard.job_id, args_key(guard.args)))
                case LedgerWish():
                    needs.command_ids.add(message.command_id)
                    if isinstance(message.instruction, AddRuns):
                        needs.run_ids.update(runs_named(message.instruction))
                    elif isinstance(message.instruction, OfRuns | KillProcess):
                        needs.run_ids.add(message.instruction.run_id)
                case ExpectRuns():
                    for expectation in message.expectations:
                        needs.expected_keys.extend(map(expected_key, expectation.runs))
                case ApplyJobs():
                    needs.closed.extend((job, fp, message.at_us) for job, fp in message.closed)
                    needs.closed.extend(
                        (kept.job_id, kept.fingerprint, message.at_us) for kept in message.kept
                    )
                case Hello() if message.role == SCHEDULER:
                    needs.docket = True
                case Replay():
                    needs.replay_after.add(message.after_seq)
        # (`difference_update` would look at each of the active ones.)
        needs.run_ids = {run_id for run_id in needs.run_ids if run_id not in self.book.active}
        return needs

    def admit(self, found: Found) -> None:
        """Take in what the store says for the batch that follows."""
        self.book.found = found

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        """Decide one message. Returns nothing: what is to be said waits for `settle`."""
        try:
            self._handlers[type(message)](sender, message, now_us)
        except Misfit:
            # The peer's picture of the run is not ours; the run stays as it is.
            self.misfits += 1
        return []

    def settle(self, now_us: int) -> list[Post]:
        """Return all that is to be sent once the batch is durable: the feed, answers, commands."""
        self._judge(now_us)
        self._pauses.settle(now_us)
        self._operations.settle(now_us)
        # After all that moves runs: they are those of backfills too.
        self._backfills.settle(now_us)
        for sender, incarnation in self._hellos.items():
            self._welcome(sender, incarnation, now_us)
        self._hellos = {}
        steps = self._upkeep.settle(now_us)
        # Before any answer: who is told that an agent is let in finds that it is.
        return self._agents.settle(now_us) + self._outgoing.settle(now_us) + steps

    def take_changes(self) -> Changes:
        """Return what the batch changed, to be committed whole before anything is sent."""
        return self.book.take_changes()

    def wakes_at(self) -> int | None:
        """Return when a command is to be repeated or a deadline judged."""
        return earliest(
            self._outgoing.wakes_at(),
            self.book.deadlines.wakes_at(),
            self._agents.wakes_at(),
            self._pauses.wakes_at(),
            self._backfills.wakes_at(),
            self._operations.wakes_at(),
            self._upkeep.wakes_at(),
        )

    # --- meeting --------------------------------------------------------------------------------

    def _hello(self, sender: str, message: Hello, now_us: int) -> None:
        if message.version == PROTOCOL_VERSION:
            self._hellos[sender] = message.incarnation
            return
        said = f"{sender}: speaks protocol version {message.version}: expected {PROTOCOL_VERSION}"
        self._outgoing.reply(sender, Refuse(sentence=said))

    def _welcome(self, sender: str, incarnation: str, now_us: int) -> None:
        """Give a role its workload, as of the end of this batch."""
        epoch, seq = self.book.epoch, self.book.seq
        if sender == SCHEDULER:
            for post in self._horizon.welcome(incarnation):
                self._outgoing.reply(*post)
        elif sender == RUNNER:
            runs = [run for run in self.book.active.started() if not is_internal(run)]
            self._outgoing.runner_told(runs, now_us)
            self._agents.runner_new()
            for welcome in self._runners.welcome(incarnation, runs, seq):
                self._outgoing.reply(sender, welcome)
        else:
            self._outgoing.reply(sender, Welcome(epoch=epoch, seq=seq))
            if sender == RESPONDER:
                self._outgoing.responder_new()

    def _replay(self, sender: str, message: Replay, now_us: int) -> None:
        events = self.book.found.replays.get(message.after_seq, [])
        expected = range(message.after_seq + 1, message.after_seq + 1 + len(events))
        whole = [event.seq for event in events] == list(expected)
        frame = None
        if whole:
            run_ids = dict.fromkeys(getattr(event, "run_id", "") for event in events)
            runs = [run for run in map(self.book.get, run_ids) if run is not None]
            frame = FeedFrame(
                epoch=self.book.epoch, after_seq=message.after_seq, events=events, runs=runs
            )
        complete = whole and len(events) < REPLAY_EVENTS
        self._outgoing.reply(sender, Replayed(complete=complete, frame=frame))

    # --- scheduler ------------------------------------------------------------------------------

    def _lease_ids(self, sender: str, message: LeaseIds, now_us: int) -> None:
        first, count = self.book.next_number, max(1, min(message.count, LEASE_AT_MOST))
        self.book.next_number += count
        self.book.changes.next_run_number = self.book.next_number
        leased = IdsLeased(first_id=first, count=count, request=message.request)
        self._outgoing.reply(sender, leased)

    # --- waiter ---------------------------------------------------------------------------------

    def _waiting(self, run_id: str) -> Run | None:
        """Return the run if it is waiting, None otherwise: a late message moves nothing."""
        run = self.book.get(run_id)
        return run if run is not None and run.state is State.WAITING else None

    def _clear_run(self, sender: str, message: ClearRun, now_us: int) -> None:
        run = self._waiting(message.run_id)
        if run is None or run.held or (run.not_before_us or 0) > now_us:
            # One that is put off was cleared for an attempt that is over by now.
            return
        for index, guard in enumerate(message.guards):
            blocker = self._blocker(guard, run)
            if blocker is None:
                continue
            if isinstance(guard, NoneOf):
                reason = f"transitioning to {guard.else_state} because {blocker}"
                line = f"{guard.else_state}: {reason}"
                self.book.move(run, guard.else_state, now_us, line, sender, message=reason)
            else:
                refused = ClearRefused(run_id=run.run_id, guard=index, seq=self.book.seq)
                self._outgoing.reply(sender, refused)
            return
        self._attempts.start(run, now_us, sender)

    def _blocker(self, guard: Guard, run: Run) -> str | None:
        """Return what keeps a guard from holding for `run` now, None when it holds."""
        match guard:
            case FewerThan():
                count = self.book.count_in(guard.job_id, args_key(guard.args), guard.states)
                return f"{count} are running" if count >= guard.n else None
            case PoolFree():
                used = self.book.pool_use(guard.pool)
                alone = used == 0 < guard.size
                return None if alone or used + guard.weight <= guard.size else f"{used} in use"
            case NoneOf():
                return self._other(guard, run)

    def _other(self, guard: NoneOf, run: Run) -> str | None:
        """Return another run of the instance that is in one of the guard's states, in words."""
        key = args_key(guard.args)
        for other_id, state in self.book.active.states(guard.job_id, key).items():
            if other_id != run.run_id and state in guard.states:
                return f"{other_id} {state}"
        resting = [state for state in guard.states if state not in ACTIVE]
        if resting:
            for other in self.book.touched.values():
                here = other.job_id == guard.job_id and other.args_key == key
                if here and other.state in resting:
                    return f"{other.run_id} {other.state}"
            stored = self.book.found.instance_states.get((guard.job_id, key), {})
            for state in resting:
                if stored.get(state, 0) > 0:
                    return f"another run is {state}"
        return None

    def _conclude_run(self, sender: str, message: ConcludeRun, now_us: int) -> None:
        run = self._waiting(message.run_id)
        if run is not None:
            line = f"{message.state}: {message.reason}"
            self.book.move(run, message.state, now_us, line, sender, message=message.reason)

    def _note_run(self, sender: str, message: NoteRun, now_us: int) -> None:
        run = self._waiting(message.run_id)
        if run is not None and run.message != message.message:
            self.book.note(run, now_us, message.message, sender, message=message.message)

    # --- responder, checker ---------------------------------------------------------------------

    def _action_settled(self, sender: str, message: ActionSettled, now_us: int) -> None:
        item = self.book.acts.settled(message.action_id, self.book.changes)
        if item is None:
            return
        self._outgoing.act_settled(message.action_id)
        line = f"error: {message.error}" if message.error else message.message
        self._note_action(item, line, "failed" if message.error else "done", sender, now_us)

    def _action_tried(self, sender: str, message: ActionTried, now_us: int) -> None:
        item = self.book.acts.tried(message, self.book.changes)
        if item is None:
            return
        self._outgoing.act_tried(message.action_id, message.next_us)
        wait_s = max(0, message.next_us - now_us) / SECOND_US
        line = f"error: {message.error}: attempt {message.attempts}, the next in {wait_s:.0f} s"
        self._note_action(item, line, "again", sender, now_us)

    def _note_action(
        self, item: OutboxItem, line: str, outcome: str, sender: str, now_us: int
    ) -> None:
        self.book.log(noted(item, line, outcome, sender, now_us))

    # --- deadlines ------------------------------------------------------------------------------

    def _judge(self, now_us: int) -> None:
        """Put on record which of the deadlines that are due were missed."""
        for at_us, (run_id, kind) in self.book.deadlines.take_ripe():
            self.book.judge(run_id, kind, at_us, now_us)
