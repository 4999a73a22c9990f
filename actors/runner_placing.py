"""Starting and stopping processes: what the ledger wants, brought to the agents.

Part of the runner's core. Each attempt is given to one agent, once: that is written down before the
agent hears of it, and no other agent ever gets the attempt. Every command is repeated until it is
answered.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..jobs.run import Run
from ..jobs.states import State
from ..messages.agents import (
    AgentHello,
    AskHello,
    ProcessRefused,
    ProcessStarted,
    StartProcess,
    StopProcess,
)
from ..messages.instructions import AttemptEnded
from ..messages.post import Post
from .outputs_seam import Placed
from .runner_agents import Agent
from .runner_book import Attempt, Book, Key, Phase
from .runner_ends import Ends
from .runner_given import Given, has_rebooted
from .runner_reports import (
    FORGOTTEN,
    no_agent,
    no_slot,
    not_there,
    noted,
    rebooted,
    running,
    unreachable,
)
from .runner_words import running_meta

# Commands without an answer are repeated.
REPEAT_US = 2_000_000
# A start that could not be carried out now, or had no agent, is tried again.
RETRY_US = 1_000_000
# A command to start may be this old when the agent gets it.
START_WITHIN_US = 20_000_000
REPEATS_AT_ONCE = 500


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
        self._due: dict[Key, int] = {}
        self._full: dict[Key, None] = {}
        self._freed = False
        self._doubts = 0

    # --- the ledger's side ----------------------------------------------------------------------

    def start(self, run: Run, now_us: int) -> list[Post]:
        """Take a run that is to be started."""
        key = (run.run_id, run.attempt)
        attempt = self._book.attempts.get(key)
        if attempt is not None:
            return self._ask(attempt, now_us) if attempt.phase is Phase.ASKED else []
        attempt = self._book.attempts[key] = Attempt(key, run, Phase.PLACING)
        attempt.wait_until_us = max(now_us + self._start_timeout_us, self.not_before_us)
        return self._place(attempt, now_us)

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
            posts.append(unreachable(attempt))
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
        self._again(key, now_us + REPEAT_US)
        command = StopProcess(
            epoch=self._book.epoch, run_id=key[0], attempt=key[1], kill=attempt.killing
        )
        return [self._book.tell(attempt, command)]

    def over(self, key: Key) -> None:
        """The end of an attempt is on record."""
        self._due.pop(key, None)
        self._given.drop(key)
        self._freed = bool(self._full)

    def keep_only(self, live: set[Key]) -> list[Post]:
        """The ledger has named all live runs: what else was under way here is so no more."""
        for key, attempt in list(self._book.attempts.items()):
            if key not in live and not attempt.is_over and not attempt.stranger:
                if attempt.phase is Phase.RUNNING:
                    # Its process may be there still: its end will say what becomes of it.
                    attempt.stranger = True
                else:
                    self._book.drop(key)
                self._due.pop(key, None)
        return [self._given.keep_only(live)]

    # --- agents ---------------------------------------------------------------------------------

    def met(self, agent: Agent, hello: AgentHello, now_us: int) -> list[Post]:
        """An agent has introduced itself: give it what it is to start, and compare."""
        posts: list[Post] = []
        for attempt in list(self._book.attempts.values()):
            if attempt.phase is Phase.PLACING:
                posts += self._place(attempt, now_us)
            elif attempt.phase is Phase.ASKED and attempt.agent_id == agent.agent_id:
                posts += self._ask(attempt, now_us)
        return posts + self.compare(agent, hello, now_us)

    def compare(self, agent: Agent, hello: AgentHello, now_us: int) -> list[Post]:
        """Compare what an agent has with what it should have."""
        posts: list[Post] = []
        doubted: frozenset[Key] = frozenset()
        if agent.doubt is not None and agent.doubt[0] == hello.answers:
            doubted, agent.doubt = agent.doubt[1], None
        missing = set()
        for key, attempt in list(self._book.attempts.items()):
            if attempt.phase is not Phase.RUNNING:
                continue
            if not attempt.agent_id and key in agent.claims:
                self._book.give(attempt, agent.agent_id, now_us)
            if attempt.agent_id != agent.agent_id or key in agent.claims:
                continue
            if key in doubted:
                what = rebooted if has_rebooted(attempt, agent) else not_there
                posts += self._ends.over(attempt, what(attempt, now_us), now_us)
            else:
                missing.add(key)
        if missing:
            # It may have said so before it was told to start them: ask once more.
            self._doubts += 1
            # The answer to a question of an earlier runner says nothing of what began since.
            question = f"doubt {self._incarnation} {self._doubts}"
            agent.doubt = (question, frozenset(missing))
            ask = AskHello(epoch=self._book.epoch, request=question)
            posts.append(Post(agent.address, ask))
        for key, state in agent.claims.items():
            if state == "not_started" and key not in self._book.attempts:
                posts.append(Post(agent.address, self._book.forget_command(key)))
        return posts

    def fell_silent(self, agent: Agent) -> list[Post]:
        """Flag the runs of an agent that is not heard of."""
        posts = []
        for attempt in self._book.attempts.values():
            if attempt.agent_id == agent.agent_id and attempt.is_reported_running:
                attempt.flagged = True
                posts.append(unreachable(attempt))
        return posts

    def heard_again(self, agent: Agent, now_us: int) -> list[Post]:
        """Say of an agent's flagged runs that they run."""
        posts = []
        for attempt in self._book.attempts.values():
            if attempt.agent_id == agent.agent_id and attempt.flagged:
                attempt.flagged = False
                if attempt.is_reported_running:
                    posts.append(self._book.report(running(attempt), now_us))
        return posts

    def started(self, agent: Agent, message: ProcessStarted, now_us: int) -> list[Post]:
        """A process runs."""
        attempt = self._book.of(agent, message.run_id, message.attempt)
        if attempt is None or attempt.phase is not Phase.ASKED:
            return []
        attempt.phase = Phase.RUNNING
        attempt.started_us = message.at_us
        if agent.hello is not None:
            attempt.boot_id = agent.hello.boot_id
        self._due.pop(attempt.key, None)
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
        if message.retry:
            # By the same agent: another copy of the command may be on its way to it still.
            self._again(attempt.key, now_us + RETRY_US)
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
        late = []
        for key, at_us in self._due.items():
            # A clock that was set back must not silence the repeats.
            if at_us <= now_us or at_us > now_us + 2 * REPEAT_US:
                late.append(key)
                if len(late) >= REPEATS_AT_ONCE:
                    break
        for key in late:
            del self._due[key]
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
        return min(self._due.values(), default=None)

    # --- inside ---------------------------------------------------------------------------------

    def _place(self, attempt: Attempt, now_us: int) -> list[Post]:
        """Give an attempt to an agent, for good; or look again soon, as long as there is time."""
        posts: list[Post] = []
        placed = self._given.of(attempt.key)
        if placed is None:
            agent = self._book.free_agent(attempt)
            if agent is None:
                return self._wait(attempt, now_us)
            self._full.pop(attempt.key, None)
            if self._given.may_be_forgotten(attempt, agent):
                return [self._end(attempt, now_us, FORGOTTEN, State.LOST)]
            placed, posts = self._given.write(attempt, agent)
        self._book.give(attempt, placed.agent_id, now_us)
        attempt.boot_id = placed.boot_id
        attempt.phase = Phase.ASKED
        return posts + self._ask(attempt, now_us)

    def _wait(self, attempt: Attempt, now_us: int) -> list[Post]:
        """Wait for an agent, or for a slot of one; an error when it has taken too long."""
        group_id = attempt.program.group_id
        full = self._book.is_full(group_id)
        # With agents there, a run waits for its turn; only a start timeout bounds that.
        bounded = not full or self._start_timeout_us > 0
        if bounded and now_us >= attempt.wait_until_us:
            self._full.pop(attempt.key, None)
            sentence = no_slot(attempt) if full else no_agent(attempt)
            return [self._error(attempt, now_us, sentence)]
        until_us = attempt.wait_until_us if bounded else now_us + RETRY_US
        self._again(attempt.key, min(now_us + RETRY_US, until_us))
        if not full or attempt.key in self._full:
            return []
        self._full[attempt.key] = None
        return [noted(attempt, f"waits for a free slot in group {group_id}")]

    def _fill(self, now_us: int) -> list[Post]:
        """A slot is free: give it to who has waited longest for one of its group."""
        self._freed = False
        posts: list[Post] = []
        tried: set[str] = set()
        for key in list(self._full):
            attempt = self._book.attempts.get(key)
            if attempt is None or attempt.phase is not Phase.PLACING:
                del self._full[key]
            elif attempt.program.group_id not in tried:
                if self._book.free_agent(attempt) is None:
                    tried.add(attempt.program.group_id)
                else:
                    posts += self._place(attempt, now_us)
        return posts

    def _ask(self, attempt: Attempt, now_us: int) -> list[Post]:
        """Command the start, if its agent is there; again until it answers."""
        self._again(attempt.key, now_us + REPEAT_US)
        agent = self._book.agents.by_id[attempt.agent_id]
        if not agent.connected or agent.hello is None:
            return []
        if has_rebooted(attempt, agent) and attempt.key not in agent.claims:
            # It had been given it before, and what it had of it may have gone with the power.
            self._due.pop(attempt.key, None)
            return self._ends.over(attempt, rebooted(attempt, now_us), now_us)
        run_id, number = attempt.key
        command = StartProcess(
            epoch=self._book.epoch,
            run_id=run_id,
            attempt=number,
            program=attempt.program,
            not_after_us=now_us + START_WITHIN_US,
            stop_us=attempt.stop_us,
            job_id=attempt.job_id,
            incarnation=agent.hello.incarnation,
            sudo_argv=self._sudo_argv,
        )
        return [self._book.tell(attempt, command)]

    def _again(self, key: Key, at_us: int) -> None:
        self._due.pop(key, None)
        self._due[key] = at_us

    def _error(self, attempt: Attempt, now_us: int, sentence: str) -> Post:
        return self._end(attempt, now_us, sentence, State.ERROR)

    def _end(self, attempt: Attempt, now_us: int, sentence: str, state: State) -> Post:
        """The attempt ends without ever having had a process."""
        attempt.phase = Phase.REPORTED
        self._due.pop(attempt.key, None)
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
