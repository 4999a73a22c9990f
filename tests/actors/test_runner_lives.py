"""The runner's core over its own death and the ledger's: nothing out of date starts a process."""

from __future__ import annotations

from typing import Any

from callsheet.actors.outputs_seam import AppendOutput, FinishOutput, OutputFinished
from callsheet.actors.runner import Runner
from callsheet.actors.runner_ends import KEEP_AGAIN_US
from callsheet.jobs.programs import BoundNoOp, BoundProcess
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.agents import (
    AgentHello,
    AskHello,
    ForgetProcess,
    OutputChunk,
    ProcessEnded,
    ProcessLost,
    StartProcess,
    StopProcess,
)
from callsheet.messages.commands import Recorded
from callsheet.messages.hello import RunnerWelcome
from callsheet.messages.instructions import AttemptEnded
from callsheet.messages.post import FEED, LEDGER
from callsheet.messages.transitions import Beat

SECOND = 1_000_000
NOW_US = 1_800_000_000 * SECOND
AGENT = "agent/x"
KEY: dict[str, Any] = {"run_id": "r1", "attempt": 1}


def a_run(**fields: Any) -> Run:
    return Run(
        **{
            "run_id": "r1",
            "job_id": "a",
            "args": {},
            "state": State.STARTING,
            "schedule_us": NOW_US,
            "version": 5,
            "attempt": 1,
            "program": BoundProcess(argv=("true",)),
        }
        | fields
    )


class Played:
    """A runner of life `i1`, what it says, and its agent x."""

    def __init__(self) -> None:
        self.now_us = NOW_US
        self.runner = Runner(incarnation="i1")
        self.runner.begin(self.now_us)

    def hear(self, sender: str, *messages: Any) -> list[Any]:
        posts = []
        for message in messages:
            posts += self.runner.receive(sender, message, self.now_us)
        return [post.message for post in posts + self.runner.settle(self.now_us)]

    def welcome(self, *runs: Run, epoch: int = 1, incarnation: str = "i1") -> list[Any]:
        message = RunnerWelcome(
            epoch=epoch, seq=10, part=0, last=True, runs=list(runs), incarnation=incarnation
        )
        return self.hear(LEDGER, message)

    def meet(self, answers: str = "") -> list[Any]:
        hello = AgentHello(
            agent_id="x", group_id="default", incarnation="x1", boot_id="b", answers=answers
        )
        return self.hear(AGENT, hello)

    def over(self, state: State = State.SUCCESS) -> None:
        """Have the run's process end, on record."""
        self.meet()
        self.welcome(a_run())
        if state is State.LOST:
            self.hear(AGENT, ProcessLost(**KEY, at_us=NOW_US, sentence="lost"))
        else:
            self.hear(AGENT, ProcessEnded(**KEY, status=0, at_us=NOW_US, started_us=NOW_US))
        self.hear(LEDGER, Recorded(**KEY, state=state, ended=True))


def of(kind: type, messages: list[Any]) -> list[Any]:
    return [message for message in messages if isinstance(message, kind)]


def test_the_welcome_of_an_earlier_runner_is_not_taken() -> None:
    played = Played()
    played.meet()
    assert of(StartProcess, played.welcome(a_run(), incarnation="i0")) == []
    assert of(StartProcess, played.welcome(a_run())) != []


def test_a_welcome_that_comes_again_is_not_taken_for_that_of_a_new_ledger() -> None:
    played = Played()
    played.over()
    played.hear(FEED, Beat(epoch=2, seq=10))
    assert of(StartProcess, played.welcome(a_run(run_id="r2"))) == []
    assert len(of(StartProcess, played.welcome(a_run(run_id="r2"), epoch=2))) == 1


def test_what_is_on_record_as_over_is_never_taken_up_again() -> None:
    played = Played()
    played.over()
    played.hear(FEED, Beat(epoch=2, seq=10))
    assert of(StartProcess, played.welcome(a_run(), epoch=2)) == []


def test_output_of_what_is_over_is_answered_by_telling_the_agent_to_forget() -> None:
    played = Played()
    played.over()
    chunk = OutputChunk(**KEY, name="output", offset=0, data=b"again")
    assert of(ForgetProcess, played.hear(AGENT, chunk)) == [ForgetProcess(epoch=1, **KEY)]


def test_output_of_what_was_lost_is_taken_since_its_end_may_come_still() -> None:
    played = Played()
    played.over(State.LOST)
    chunk = OutputChunk(**KEY, name="output", offset=0, data=b"after all")
    assert [append.data for append in of(AppendOutput, played.hear(AGENT, chunk))] == [b"after all"]


def test_an_answer_to_an_earlier_runners_question_loses_no_process() -> None:
    played = Played()
    played.welcome(a_run(state=State.RUNNING, agent_id="x", times={"running": NOW_US}))
    [ask] = of(AskHello, played.meet())
    theirs = ask.request.replace("i1", "i0")
    assert of(AttemptEnded, played.meet(answers=theirs)) == []
    [again] = of(AskHello, played.meet())
    lost = of(AttemptEnded, played.meet(answers=again.request))
    assert [ended.state for ended in lost] == [State.LOST]


def test_a_kill_is_a_kill_for_the_next_runner_too() -> None:
    played = Played()
    times = {"running": NOW_US}
    sent = played.welcome(a_run(state=State.STOPPING, agent_id="x", times=times, kill_asked=True))
    assert [stop.kill for stop in of(StopProcess, sent)] == [True]


def test_output_that_could_not_be_kept_is_tried_again_though_the_clock_is_set_back() -> None:
    played = Played()
    played.meet()
    played.welcome(a_run())
    ended = ProcessEnded(
        **KEY, status=0, at_us=NOW_US, started_us=NOW_US, output_bytes={"output": 3}
    )
    played.hear(AGENT, ended)
    full = OutputFinished(**KEY, output_id="output", error="No space left on device")
    assert of(FinishOutput, played.hear("local", full)) == []
    played.now_us -= KEEP_AGAIN_US
    assert len(of(FinishOutput, played.hear("local"))) == 1


def test_a_no_op_lasts_as_long_though_the_clock_is_set_back() -> None:
    played = Played()
    played.welcome(a_run(program=BoundNoOp(duration_us=4 * SECOND)))
    played.now_us += 3 * SECOND
    assert of(AttemptEnded, played.hear("local")) == []
    played.now_us -= 3_600 * SECOND
    assert of(AttemptEnded, played.hear("local")) == []
    assert played.runner.wakes_at() <= played.now_us + 2 * SECOND
    played.now_us += 2 * SECOND
    assert [ended.state for ended in of(AttemptEnded, played.hear("local"))] == [State.SUCCESS]


def test_a_no_op_that_began_in_the_future_lasts_from_now_on() -> None:
    played = Played()
    program = BoundNoOp(duration_us=4 * SECOND)
    times = {"running": NOW_US + 3_600 * SECOND}
    played.welcome(a_run(state=State.RUNNING, program=program, times=times))
    played.now_us += 4 * SECOND
    assert len(of(AttemptEnded, played.hear("local"))) == 1
