"""Starting and stopping processes: what the ledger wants, brought to the agents.

Part of the runner's core. Each attempt is given to one agent, once: that is written down before the
agent hears of it, and no other agent ever gets the attempt. Every command is repeated until it is
answered.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..jobs.run import Run
from ..jobs.states import State
from ..messages.agents import ProcessRefused, ProcessStarted, StartProcess
from ..messages.instructions import AttemptEnded
from ..messages.post import Post
from .due_times import DueTimes
from .outputs_seam import Placed
from .runner_agents import Agent
from .runner_book import Attempt, Book, Key, Phase
from .runner_ends import Ends
from .runner_given import Given, went_with_reboot
from .runner_reports import (
    CALLED_OFF,
    FORGOTTEN,
    away,
    is_too_old,
    no_agent,
    no_slot,
    noted,
    running,
    too_old,
    unknown,
    unreachable,
)
from .runner_words import running_meta

# Agents get this long to come when the runner starts, whatever the start timeout says.
GRACE_US = 10_000_000
# Commands without an answer are repeated.
REPEAT_US = 2_000_000
# A start that could not be carried out now, or had no agent, is tried again.
RETRY_US = 1_000_000
# Who waits for a slot is looked at again so often, whatever has happened.
LOOK_AGAIN_US = 10_000_000
# A command to start may be this old when the agent gets it.
START_WITHIN_US = 20_000_000
# By so much the clocks of two hosts may differ.
SKEW_US = 5_000_000
# A command from before a clock was set back is waited for as if that had been by no more than this.
SET_BACK_US = 60_000_000
REPEATS_AT_ONCE = 500
# Agents of older versions have no answer to a stop of what they have not got.
CALLS_OFF_SINCE = 3


class Placing:
    """See the module. `placed` is what the journal of placements holds; before `booted_us` the host
    of the journal was down, and it may have lost what was written last."""

    def __init__(
        self,
        book: Book,
        ends: Ends,
        placed: Mapping[Key, Placed],
        *,
        start_timeout_us: int,
        incarnation: str,
        sudo_argv: tuple[str, ...] = (),
        booted_us: int = 0,
    ) -> None:
        self.not_before_us = 0
        self._book = book
        self._ends = ends
        self._given = Given(placed, booted_us)
        self._start_timeout_us = start_timeout_us
        self._incarnation = incarnation
        self._sudo_argv = sudo_argv
        self._due: DueTimes[Key] = DueTimes()
        # Who has no agent yet, in order; and who of them waits for a slot.
        self._waits: dict[Key, Attempt] = {}
        self._full: set[Key] = set()
        self._freed = False

    # --- the ledger's side ----------------------------------------------------------------------

    def start(self, run: Run, now_us: int) -> list[Post]:
        """Take a run that is to be started."""
        key = (run.run_id, run.attempt)
        attempt = self._book.attempts.get(key)
        if attempt is None:
            attempt = self._book.attempts[key] = Attempt(key, run, Phase.PLACING)
            attempt.wait_until_us = max(now_us + self._start_timeout_us, self.not_before_us)
            attempt.stopping, attempt.killing = run.stop_asked, run.kill_asked
            return self._place(attempt, now_us)
        attempt.killing = attempt.killing or run.kill_asked
        if run.stop_asked and attempt.is_unstarted:
            attempt.stopping = True
            return self._call_off(attempt, now_us)
        return self._ask(attempt, now_us) if attempt.phase is Phase.ASKED else []

    def adopt(self, run: Run, now_us: int) -> list[Post]:
        """Take a run that the ledger has as running or stopping."""
        key = (run.run_id, run.attempt)
        posts: list[Post] = []
        attempt = self._book.attempts.get(key)
        if attempt is None:
            attempt = self._book.attempts[key] = Attempt(key, run, Phase.RUNNING)
            attempt.started_us = run.times.get("running", now_us)
            attempt.flagged = run.unreachable
            placed = self._given.of(key)
            attempt.boot_id = placed.boot_id if placed is not None else ""
            agent_id = placed.agent_id if placed is not None else ""
            self._book.give(attempt, run.agent_id or agent_id, now_us)
        elif attempt.flagged and not run.unreachable:
            # The ledger that was told so is gone, and has not put it on record.
            posts.append(unreachable(attempt, self._book.session))
        if run.state is State.STOPPING:
            posts += self.stop(key, now_us, kill=run.kill_asked)
        return posts

    def stop(self, key: Key, now_us: int, *, kill: bool) -> list[Post]:
        """Stop a process, repeated until it is over."""
        attempt = self._book.attempts.get(key)
        if attempt is None or attempt.is_over:
            return []
        attempt.stopping = True
        attempt.killing = attempt.killing or kill
        if not attempt.agent_id:
            return []
        self._due.set(key, now_us + REPEAT_US)
        return [self._book.tell(attempt, self._book.stop_command(attempt))]

    def over(self, key: Key) -> None:
        """The end of an attempt is on record."""
        self._due.drop(key)
        self._given.drop(key)
        self.refill()

    def refill(self) -> None:
        """There may be a slot again: at the next `settle` what waits is placed."""
        self._freed = bool(self._waits)

    def keep_only(self, live: set[Key]) -> list[Post]:
        """The ledger has named all live runs: what else was under way here is so no more."""
        for key, attempt in list(self._book.attempts.items()):
            if key not in live and not attempt.is_over and not attempt.stranger:
                if attempt.phase is Phase.RUNNING:
                    # Its process may be there still: its end will say what becomes of it.
                    attempt.stranger = True
                else:
                    self._waits_no_more(key)
                    self._book.drop(key)
                self._due.drop(key)
        return [self._given.keep_only(live)]

    # --- agents ---------------------------------------------------------------------------------

    def agent_came(self, agent: Agent, now_us: int) -> list[Post]:
        """Tell an agent what it is to start, and place on it what waits for one like it."""
        posts: list[Post] = []
        for key in list(agent.has):
            attempt = self._book.attempts[key]
            if attempt.phase is Phase.ASKED:
                posts += self._ask(attempt, now_us)
        for key in agent.claims:
            attempt_or_none = self._waits.get(key)
            if attempt_or_none is not None:
                posts += self._place(attempt_or_none, now_us)
        return posts + self._fill(now_us, agent)

    def started(self, agent: Agent, message: ProcessStarted, now_us: int) -> list[Post]:
        """A process runs."""
        attempt = self._book.of(agent, message.run_id, message.attempt)
        if attempt is None or attempt.phase is not Phase.ASKED:
            return []
        attempt.phase = Phase.RUNNING
        attempt.started_us = message.at_us
        if agent.hello is not None:
            attempt.boot_id = agent.hello.boot_id
        self._due.drop(attempt.key)
        meta = running_meta(message.pid, message.at_us, agent.meta, message.remarks)
        posts = [self._book.report(running(attempt, meta), now_us)]
        posts += [noted(attempt, remark) for remark in message.remarks]
        if attempt.stopping:
            # An agent that has nothing to stop yet lets the command pass.
            posts += self.stop(attempt.key, now_us, kill=False)
        return posts

    def refused(self, agent: Agent, message: ProcessRefused, now_us: int) -> list[Post]:
        """A process was not started."""
        attempt = self._book.of(agent, message.run_id, message.attempt)
        if attempt is None or attempt.phase is not Phase.ASKED:
            return []
        if message.elsewhere:
            # Nor will a copy of the command that is on its way still.
            self._book.agents.is_leaving(agent)
            self._given.drop(attempt.key)
            attempt.boot_id = ""
            self._book.take_back(attempt)
            attempt.phase = Phase.PLACING
            attempt.wait_until_us = max(now_us + self._start_timeout_us, self.not_before_us)
            return self._place(attempt, now_us)
        if message.retry:
            # By the same agent: another copy of the command may be on its way to it still.
            self._due.set(attempt.key, now_us + RETRY_US)
            if message.sentence == attempt.refusal:
                return []
            attempt.refusal = message.sentence
            line = f"agent {agent.agent_id} cannot start it now: {message.sentence}"
            return [noted(attempt, f"{line}; it is asked again every second")]
        return [self._error(attempt, now_us, message.sentence)]

    # --- time -----------------------------------------------------------------------------------

    def settle(self, now_us: int) -> list[Post]:
        """Repeat what has no answer."""
        posts: list[Post] = self._fill(now_us) if self._freed else []
        for key in self._due.take(now_us, REPEATS_AT_ONCE):
            attempt = self._book.attempts.get(key)
            if attempt is None or attempt.is_over:
                continue
            if attempt.phase is Phase.PLACING:
                posts += self._place(attempt, now_us)
            elif attempt.phase is Phase.ASKED:
                posts += self._ask(attempt, now_us)
            elif attempt.stopping:
                posts += self.stop(key, now_us, kill=False)
        return posts

    def wakes_at(self) -> int | None:
        """Return when `settle` has something to do."""
        return self._due.earliest()

    # --- inside ---------------------------------------------------------------------------------

    def _place(self, attempt: Attempt, now_us: int) -> list[Post]:
        """Give an attempt to an agent, for good, once its time has come; or look again soon, as
        long as there is time."""
        posts: list[Post] = []
        if now_us < attempt.held_us and not attempt.stopping:
            self._due.set(attempt.key, attempt.held_us)
            return posts
        placed = self._given.of(attempt.key)
        if placed is None:
            agent = self._book.claimer(attempt)
            if agent is None and attempt.stopping:
                return self._call_off(attempt, now_us)
            agent = agent or self._book.free_agent(attempt)
            if agent is None:
                return self._wait(attempt, now_us)
            if self._given.may_be_forgotten(attempt, agent):
                return [self._end(attempt, now_us, FORGOTTEN, State.LOST)]
            placed, posts = self._given.write(attempt, agent)
        self._waits_no_more(attempt.key)
        self._book.give(attempt, placed.agent_id, now_us)
        attempt.boot_id = placed.boot_id
        attempt.phase = Phase.ASKED
        attempt.told_us = now_us
        return posts + self._ask(attempt, now_us)

    def _wait(self, attempt: Attempt, now_us: int) -> list[Post]:
        """Wait for an agent, or for a slot of one; an error when it has taken too long."""
        group_id = attempt.program.group_id
        full = self._book.is_full(group_id)
        # With agents there, a run waits for its turn; only a start timeout bounds that.
        bounded = not full or self._start_timeout_us > 0
        # A clock that was set back must not make it longer.
        longest_us = max(self._start_timeout_us, GRACE_US)
        attempt.wait_until_us = min(attempt.wait_until_us, now_us + longest_us)
        if bounded and now_us >= attempt.wait_until_us:
            sentence = no_slot(attempt) if full else no_agent(attempt, self._book.resting(group_id))
            return [self._error(attempt, now_us, sentence)]
        # Whoever frees a slot, or brings one, has it filled at once.
        self._due.set(attempt.key, attempt.wait_until_us if bounded else now_us + LOOK_AGAIN_US)
        self._waits[attempt.key] = attempt
        if not full or attempt.key in self._full:
            return []
        self._full.add(attempt.key)
        return [noted(attempt, f"waits for a free slot in group {group_id}")]

    def _fill(self, now_us: int, agent: Agent | None = None) -> list[Post]:
        """Place what waits, in order, as long as there are agents, or a given one, to take it."""
        self._freed = False
        posts: list[Post] = []
        tried: set[str] = set()
        for attempt in list(self._waits.values()):
            group_id = attempt.program.group_id
            if group_id in tried:
                continue
            fits = agent is None or self._book.choice.fits(agent, group_id)
            if fits and not attempt.stopping and self._book.free_agent(attempt) is not None:
                posts += self._place(attempt, now_us)
            elif not attempt.stopping:
                tried.add(group_id)
        return posts

    def _waits_no_more(self, key: Key) -> None:
        self._waits.pop(key, None)
        self._full.discard(key)

    def _ask(self, attempt: Attempt, now_us: int) -> list[Post]:
        """Command the start, if its agent is there; again until it answers."""
        agent = self._book.agents.by_id[attempt.agent_id]
        if attempt.stopping and not (agent.connected and agent.version < CALLS_OFF_SINCE):
            return self._call_off(attempt, now_us)
        self._due.set(attempt.key, now_us + REPEAT_US)
        if not agent.connected or agent.hello is None:
            return away(attempt, agent) if now_us >= self.not_before_us else []
        if self._put_in_doubt(attempt, agent):
            return []
        if is_too_old(attempt, agent):
            return [self._error(attempt, now_us, too_old(attempt, agent))]
        run_id, number = attempt.key
        # By a clock that was set back since, an earlier command may be good for longer than this.
        attempt.told_us = max(attempt.told_us, now_us)
        command = StartProcess(
            epoch=self._book.epoch,
            run_id=run_id,
            attempt=number,
            program=attempt.with_args(),
            not_after_us=now_us + START_WITHIN_US,
            stop_us=attempt.stop_us,
            job_id=attempt.job_id,
            incarnation=agent.hello.incarnation,
            sudo_argv=self._sudo_argv,
            keep_bytes=attempt.keep_bytes or self._book.keep_bytes,
        )
        return [self._book.tell(attempt, command)]

    def _call_off(self, attempt: Attempt, now_us: int) -> list[Post]:
        """End an attempt that is to be stopped, and of whose start nothing is known here.

        One that was given to nobody never starts. Its agent is asked, and says that it never will,
        or that it has. If it is away, nobody can know: the attempt is lost, and stopped when the
        agent comes back with it. An older agent has no answer: its process is stopped once it runs.
        """
        # A clock that was set back must not make the grace longer.
        self.not_before_us = min(self.not_before_us, now_us + GRACE_US)
        if now_us < self.not_before_us and not self._agent_is_there(attempt):
            # A new runner: who has it may be about to say so.
            self._due.set(attempt.key, min(self.not_before_us, now_us + RETRY_US))
            if not attempt.agent_id:
                self._waits[attempt.key] = attempt
            return []
        if not attempt.agent_id:
            if self._given.is_doubtful(attempt):
                return [self._end(attempt, now_us, FORGOTTEN, State.LOST)]
            return [self._error(attempt, now_us, CALLED_OFF)]
        agent = self._book.agents.by_id[attempt.agent_id]
        if not agent.connected:
            # What is lost is not to begin: a command on its way must be too old, or have this next.
            posts = self.stop(attempt.key, now_us, kill=attempt.killing)
            attempt.told_us = min(attempt.told_us, now_us + SET_BACK_US)
            too_old_us = attempt.told_us + START_WITHIN_US + SKEW_US
            if now_us < too_old_us:
                self._due.set(attempt.key, too_old_us)
                return posts
            return posts + self.give_up(attempt, now_us, f"agent {agent.agent_id} is away")
        if agent.version < CALLS_OFF_SINCE:
            return self._ask(attempt, now_us)
        if self._put_in_doubt(attempt, agent):
            return []
        return self.stop(attempt.key, now_us, kill=attempt.killing)

    def _agent_is_there(self, attempt: Attempt) -> bool:
        agent = self._book.agents.by_id.get(attempt.agent_id)
        return agent is not None and agent.connected

    def _put_in_doubt(self, attempt: Attempt, agent: Agent) -> bool:
        """Have `Meeting` ask if a reboot may have taken an attempt; return whether it may."""
        gone = went_with_reboot(attempt, agent)
        agent.recheck = agent.recheck or gone
        return gone

    def give_up(self, attempt: Attempt, now_us: int, why: str) -> list[Post]:
        """End an attempt as lost, since nobody can say what becomes of it."""
        self._due.drop(attempt.key)
        attempt.given_up = True
        return self._ends.over(attempt, unknown(attempt, now_us, why), now_us)

    def _error(self, attempt: Attempt, now_us: int, sentence: str) -> Post:
        return self._end(attempt, now_us, sentence, State.ERROR)

    def _end(self, attempt: Attempt, now_us: int, sentence: str, state: State) -> Post:
        """The attempt ends without ever having had a process."""
        attempt.phase = Phase.REPORTED
        self._waits_no_more(attempt.key)
        self._due.drop(attempt.key)
        run_id, number = attempt.key
        ended = AttemptEnded(
            run_id=run_id,
            attempt=number,
            at_us=now_us,
            state=state,
            message=sentence,
            agent_id=attempt.agent_id or None,
        )
        return self._book.report(ended, now_us)
