"""The checker: what it finds, what it leaves alone, and that a round ends without an answer."""

from __future__ import annotations

from typing import Any

from people import ADMIN
from planning_world import SECOND, PlanningWorld, a_runner
from world import GOOD

from callsheet.actors.checker import ANSWER_IN_US, Checker
from callsheet.jobs.programs import BoundProcess
from callsheet.jobs.states import State
from callsheet.messages.agents import AgentInfo, AgentsAnswer, AskAgents, ProcessInfo
from callsheet.messages.hello import Welcome
from callsheet.messages.instructions import AttemptStarted, CheckReport, Finding
from callsheet.messages.post import LEDGER, RUNNER
from callsheet.messages.wishes import HoldRun, LedgerWish

AGENT = AgentInfo(
    agent_id="host", group_id="default", connected=True, first_seen_us=0, last_seen_us=0
)


class Rounds:
    """A checker beside a ledger; `check` plays one whole round."""

    def __init__(self) -> None:
        self.world = PlanningWorld(1, GOOD)
        self.checker = Checker(self.world.reader, every_s=60)
        self.checker.begin(self.world.now_us)
        self.tell(LEDGER, Welcome(epoch=1, seq=0))

    def tell(self, sender: str, message: Any) -> list[Any]:
        return [post.message for post in self.checker.receive(sender, message, self.world.now_us)]

    def a_process(self) -> str:
        [run] = self.world.add_runs({"program": BoundProcess(argv=("true",))})
        driver = self.world.ledger.driver
        driver.tell(
            AttemptStarted(run_id=run, attempt=1, at_us=self.world.now_us, agent_id="host"),
            sender=RUNNER,
        )
        return run

    def later(self, seconds: float) -> None:
        self.world.run_until(self.world.now_us + int(seconds * SECOND))
        self.world.ledger.driver.now_us = self.world.now_us

    def ask(self) -> str:
        self.later(61)
        asked = [post for post in self.checker.settle(self.world.now_us) if post.to == RUNNER]
        assert isinstance(asked[0].message, AskAgents)
        assert asked[0].message.processes
        return asked[0].message.request

    def check(
        self, *processes: ProcessInfo, agent: AgentInfo = AGENT, answered: bool = True
    ) -> list[Finding]:
        request = self.ask()
        answer = AgentsAnswer(
            request=request, agents=[agent], processes={"host": list(processes)} if answered else {}
        )
        [report] = self.tell(RUNNER, answer)
        assert isinstance(report, CheckReport)
        return report.findings


def process(run_id: str, attempt: int = 1, state: str = "running") -> ProcessInfo:
    return ProcessInfo(run_id=run_id, attempt=attempt, state=state, pid=77, started_us=1)


def test_all_well_is_reported_too() -> None:
    rounds = Rounds()
    run = rounds.a_process()
    assert rounds.check(process(run)) == []


def test_a_running_run_without_a_process_is_found() -> None:
    rounds = Rounds()
    run = rounds.a_process()
    [finding] = rounds.check()
    assert (finding.check, finding.run_id, finding.severity) == ("orphan", run, "error")


def test_a_run_whose_process_has_just_ended_is_no_orphan() -> None:
    rounds = Rounds()
    run = rounds.a_process()
    assert rounds.check(process(run, state="done")) == []


def test_an_agent_that_is_silent_says_nothing_about_its_runs() -> None:
    from msgspec.structs import replace

    rounds = Rounds()
    rounds.a_process()
    assert rounds.check(agent=replace(AGENT, connected=False)) == []
    assert rounds.check(answered=False) == []


def test_a_process_of_no_run_and_of_a_finished_one_are_found() -> None:
    rounds = Rounds()
    run = rounds.a_process()
    found = rounds.check(process(run), process("r999"), process(run, attempt=2))
    assert {finding.key for finding in found} == {"stray:r999.1", f"stray:{run}.2"}


def test_a_finding_keeps_the_time_it_was_first_found_and_closes_when_it_is_gone() -> None:
    rounds = Rounds()
    run = rounds.a_process()
    [first] = rounds.check()
    [second] = rounds.check()
    assert second.since_us == first.since_us > 0
    assert rounds.check(process(run)) == []


def test_a_run_past_its_time_is_late_unless_it_is_held() -> None:
    rounds = Rounds()
    world = rounds.world
    late, held = world.add_runs(
        {"schedule_us": world.now_us + SECOND}, {"schedule_us": world.now_us + SECOND}
    )
    wish = LedgerWish(
        command_id="h", principal="ann", instruction=HoldRun(run_id=held), access=ADMIN
    )
    world.ledger.driver.tell(wish, sender="web/0")
    rounds.later(65)
    [finding] = rounds.check()
    assert (finding.check, finding.run_id) == ("late", late)
    assert world.states(late) == [State.SCHEDULED]


def test_a_run_that_started_late_is_remembered() -> None:
    from callsheet.messages.instructions import RunsDue

    rounds = Rounds()
    world = rounds.world
    [run] = world.add_runs({"schedule_us": world.now_us + SECOND})
    rounds.later(100)
    world.ledger.driver.tell(RunsDue(run_ids=[run]))
    assert [finding.check for finding in rounds.check()] == ["started-late"]
    assert [finding.check for finding in rounds.check()] == ["started-late"]


def test_a_round_without_an_answer_ends_and_keeps_what_it_could_not_check() -> None:
    rounds = Rounds()
    rounds.a_process()
    [orphan] = rounds.check()
    rounds.ask()
    rounds.later(ANSWER_IN_US / SECOND + 1)
    reports = [
        post.message
        for post in rounds.checker.settle(rounds.world.now_us)
        if isinstance(post.message, CheckReport)
    ]
    assert reports[0].findings == [orphan]
    assert "orphan" not in reports[0].checks


def test_a_late_answer_to_another_round_is_ignored() -> None:
    rounds = Rounds()
    rounds.ask()
    assert rounds.tell(RUNNER, AgentsAnswer(request="older", agents=[])) == []


def test_its_report_reaches_the_store() -> None:
    world = PlanningWorld(3)
    a_runner(world)
    world.core("checker/0", lambda now_us: Checker(world.reader, every_s=30), "feed")
    world.wait_until(lambda: world.reader.findings()[0] is not None, 300)
