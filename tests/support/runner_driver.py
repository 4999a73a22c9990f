"""Drives a runner core as its stage does, on virtual time: messages in, posts out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from callsheet.actors.runner import Runner
from callsheet.jobs.programs import BoundNoOp, BoundProcess
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.agents import AgentHello, Claim, StartProcess
from callsheet.messages.commands import Recorded, StartRun
from callsheet.messages.hello import RunnerWelcome
from callsheet.messages.post import LEDGER, Post

SECOND = 1_000_000
START_US = 1_800_000_000 * SECOND
SLEEP = BoundProcess(argv=("sleep", "600"))


def a_run(run_id: str = "r1", state: State = State.STARTING, **fields: Any) -> Run:
    """A run of a process as the ledger hands it over."""
    fields = {
        "job_id": "a",
        "args": {},
        "schedule_us": START_US,
        "attempt": 1,
        "version": 100,
        "program": SLEEP,
    } | fields
    return Run(run_id=run_id, state=state, **fields)


def a_noop(run_id: str = "r1", duration_s: float | None = 5, **fields: Any) -> Run:
    """A run that does nothing, for a while."""
    duration_us = None if duration_s is None else int(duration_s * SECOND)
    success = fields.pop("success", True)
    return a_run(run_id, program=BoundNoOp(duration_us=duration_us, success=success), **fields)


def a_hello(agent_id: str = "x", **fields: Any) -> AgentHello:
    """The introduction of an agent; `claims` as texts such as `r1.1 running`."""
    claims = []
    for text in fields.pop("claims", ()):
        key, state = text.split(" ")
        run_id, attempt = key.split(".")
        claims.append(Claim(run_id=run_id, attempt=int(attempt), state=state))
    fields = {"group_id": "default", "incarnation": f"{agent_id}1", "boot_id": "b"} | fields
    return AgentHello(agent_id=agent_id, claims=claims, **fields)


class RunnerDriver:
    """A runner that has said hello and been welcomed, unless `welcomed` is false."""

    def __init__(
        self,
        *runs: Run,
        placed: Mapping[tuple[str, int], str] | None = None,
        welcomed: bool = True,
        agents: tuple[str, ...] = (),
        **fields: Any,
    ) -> None:
        self.now_us = START_US
        self.runner = Runner(placed=placed, incarnation="one", server_id="here", **fields)
        self.begun = self.runner.begin(self.now_us)
        for agent_id in agents:
            self.hello(agent_id)
        if welcomed:
            self.welcome(*runs)

    def tell(self, sender: str, *messages: Any) -> list[Post]:
        """Give the runner one batch; return all it posts."""
        posts: list[Post] = []
        for message in messages:
            posts += self.runner.receive(sender, message, self.now_us)
        return posts + self.runner.settle(self.now_us)

    def later(self, seconds: float) -> list[Post]:
        """Let time pass as the stage does, waking the runner when it asks; return all posts."""
        until_us = self.now_us + int(seconds * SECOND)
        posts: list[Post] = []
        while True:
            wakes_at = self.runner.wakes_at()
            if wakes_at is None or wakes_at > until_us:
                break
            self.now_us = max(self.now_us, wakes_at)
            posts += self.runner.settle(self.now_us)
            if self.runner.wakes_at() == wakes_at:
                self.now_us += 1
        self.now_us = until_us
        return posts

    # --- the ledger -----------------------------------------------------------------------------

    def welcome(self, *runs: Run, epoch: int = 1, session: int = 0, seq: int = 100) -> list[Post]:
        return self.tell(
            LEDGER,
            RunnerWelcome(
                epoch=epoch,
                seq=seq,
                session=session,
                part=0,
                last=True,
                runs=list(runs),
                incarnation="one",
            ),
        )

    def start(self, run: Run, epoch: int = 1) -> list[Post]:
        """Command a start that came to be after the welcome."""
        return self.tell(LEDGER, StartRun(epoch=epoch, run=run))

    def recorded(
        self, run_id: str = "r1", state: State = State.RUNNING, *, ended: bool = False
    ) -> list[Post]:
        return self.tell(LEDGER, Recorded(run_id=run_id, attempt=1, state=state, ended=ended))

    # --- agents ---------------------------------------------------------------------------------

    def hello(self, agent_id: str = "x", **fields: Any) -> list[Post]:
        return self.tell(f"agent/{agent_id}", a_hello(agent_id, **fields))

    def from_agent(self, *messages: Any, agent_id: str = "x") -> list[Post]:
        return self.tell(f"agent/{agent_id}", *messages)


def starts(posts: list[Post]) -> list[tuple[str, str]]:
    """Return who was told to start which run."""
    return [(to, m.run_id) for to, m in posts if isinstance(m, StartProcess)]
