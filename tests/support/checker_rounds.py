"""A checker beside a ledger, with a runner that says what the test wants; time passes by rounds."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from planning_world import SECOND, PlanningWorld
from world import GOOD

from callsheet.actors.checker import Checker
from callsheet.actors.surroundings import Disk, Surroundings
from callsheet.jobs.findings import Finding
from callsheet.jobs.programs import BoundProcess
from callsheet.messages.agents import AgentInfo, AgentsAnswer, AskAgents, ProcessInfo
from callsheet.messages.instructions import AttemptStarted
from callsheet.messages.post import FEED, RUNNER, Post
from callsheet.messages.transitions import FindingNoted

AGENT = AgentInfo(
    agent_id="host", group_id="default", connected=True, first_seen_us=0, last_seen_us=0
)
ROOMY = Disk(path="/", free_bytes=2**40, all_bytes=2**41)


class AnsweringRunner:
    """Tells what the agents keep, as long as it is not `mute`; starts nothing."""

    address = RUNNER

    def __init__(self) -> None:
        self.agents = [AGENT]
        self.kept: dict[str, list[ProcessInfo]] = {"host": []}
        self.mute = False

    def boot(self) -> list[Post]:
        return []

    def step(self, batch: list[tuple[str, Any]]) -> list[Post]:
        asked = [(who, one) for who, one in batch if isinstance(one, AskAgents) and not self.mute]
        return [
            Post(who, AgentsAnswer(request=a.request, agents=self.agents, processes=self.kept))
            for who, a in asked
        ]

    def wakes_at(self) -> int | None:
        return None


class Rounds:
    """See the module. `world` may be any with a ledger in it."""

    def __init__(self, world: PlanningWorld | None = None, *, runner: bool = True) -> None:
        self.world = world or PlanningWorld(1, GOOD)
        self.runner = AnsweringRunner()
        if runner:
            self.world.add(self.runner)
        self.disks = [ROOMY]
        self.checker = self.world.core("checker/0", self._checker, FEED)

    def _checker(self, now_us: int) -> Checker:
        return Checker(self.world.reader, around=self._around)

    def _around(self) -> Surroundings:
        # Here a host begins when its clock says 0 less than what was added to it.
        return Surroundings(disks=self.disks, begun_us=self.world.offset_us)

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.world.run_for(int(seconds * SECOND))

    def findings(self) -> list[Finding]:
        """Return what is open."""
        return self.world.reader.findings()[1]

    def checks(self) -> set[str]:
        """Return the kinds of what is open."""
        return {finding.check for finding in self.findings()}

    def noted(self) -> list[tuple[str, str]]:
        """Return what the log says of findings: what happened to which key."""
        events = self.world.reader.events_after(0, 10**6)
        return [(e.outcome, e.finding.key) for e in events if isinstance(e, FindingNoted)]

    def a_process(self, **fields: Any) -> str:
        """Have a run made that runs on the agent `host`, which does not keep it yet."""
        [run] = self.world.add_runs({"program": BoundProcess(argv=("true",))} | fields)
        self.started(run)
        return run

    def started(self, run_id: str, attempt: int = 1) -> None:
        """Have a run's start reported."""
        driver = self.world.ledger.driver
        driver.now_us = self.world.now_us
        started = AttemptStarted(
            run_id=run_id, attempt=attempt, at_us=self.world.now_us, agent_id="host"
        )
        driver.tell(started, sender=RUNNER)
        self.world.send("ledger/0", driver.posts)

    def keep(self, *processes: ProcessInfo) -> None:
        """Let the agent keep these processes."""
        self.runner.kept = {"host": list(processes)}

    def agent(self, **fields: Any) -> None:
        """Let the agent be otherwise."""
        self.runner.agents = [replace(AGENT, **fields)]


def process(run_id: str, attempt: int = 1, state: str = "running", **fields: Any) -> ProcessInfo:
    """Return a process that an agent keeps."""
    return ProcessInfo(
        **{"run_id": run_id, "attempt": attempt, "state": state, "pid": 77, "started_us": 1}
        | fields
    )
