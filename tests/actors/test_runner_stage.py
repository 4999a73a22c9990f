"""The runner's stage: placements on record before agents hear of them, outputs kept beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pykka
import pytest
import zmq
from faults import on_a_small_disk
from recording_link import RecordingLink
from runner_driver import SLEEP, a_hello, a_run

from callsheet.actors import clock
from callsheet.actors.outputs_seam import KeepPlaced, Placed
from callsheet.actors.runner import Runner
from callsheet.actors.runner_stage import PlacementJournal, RunnerStage
from callsheet.actors.stage import Script
from callsheet.jobs.states import State
from callsheet.messages.agents import (
    AgentWelcome,
    ForgetProcess,
    OutputChunk,
    OutputTaken,
    ProcessEnded,
    ProcessStarted,
    StartProcess,
)
from callsheet.messages.codec import (
    FROM_LEDGER_READER,
    LEDGER_READER,
    RUNNER_READER,
    TO_AGENT_READER,
)
from callsheet.messages.commands import Recorded, StartRun
from callsheet.messages.hello import Hello, RunnerWelcome
from callsheet.messages.instructions import AttemptEnded, AttemptStarted
from callsheet.store.outputs import OutputFiles
from callsheet.wire.ports import DealerPort, Letter, Port, PublisherPort, RouterPort

WAIT_S = 60.0
PEERS = r"\w+/\w+"


def placed(run_id: str, agent_id: str = "x") -> Placed:
    return Placed(run_id=run_id, attempt=1, agent_id=agent_id)


# --- the journal ----------------------------------------------------------------------------------


def given(journal: PlacementJournal) -> dict[tuple[str, int], str]:
    return {key: one.agent_id for key, one in journal.placed.items()}


def reopened(folder: Path) -> dict[tuple[str, int], str]:
    journal = PlacementJournal(str(folder))
    journal.close()
    return given(journal)


def test_the_journal_remembers_the_boot_of_the_host_and_reads_lines_without(tmp_path):
    journal = PlacementJournal(str(tmp_path))
    journal.take([msgspec.structs.replace(placed("r1"), boot_id="b1")])
    journal.close()
    with (tmp_path / "placements").open("ab") as file:
        file.write(b'\n["r2", 1, "y"]\n["r3"]\n7\n["r4", "one", "x"]\n')
    journal = PlacementJournal(str(tmp_path))
    journal.close()
    assert [(one.run_id, one.agent_id, one.boot_id) for one in journal.placed.values()] == [
        ("r1", "x", "b1"),
        ("r2", "y", ""),
    ]


def test_the_journal_remembers_who_was_given_what(tmp_path):
    journal = PlacementJournal(str(tmp_path / "made"))
    journal.take([placed("r1"), placed("r2", "y")])
    journal.close()
    assert reopened(tmp_path / "made") == {("r1", 1): "x", ("r2", 1): "y"}
    assert (tmp_path / "made" / "placements").stat().st_mode & 0o777 == 0o600


def test_a_torn_line_spoils_neither_those_before_nor_those_after_it(tmp_path):
    journal = PlacementJournal(str(tmp_path))
    journal.take([placed("r1"), placed("r2")])
    journal.close()
    path = tmp_path / "placements"
    os.truncate(path, len(path.read_bytes().rstrip(b"\0")) - 4)
    journal = PlacementJournal(str(tmp_path))
    assert given(journal) == {("r1", 1): "x"}
    journal.take([placed("r3")])
    journal.close()
    assert reopened(tmp_path) == {("r1", 1): "x", ("r3", 1): "x"}


def test_the_journal_begins_anew_with_those_that_count_and_goes_on(tmp_path):
    journal = PlacementJournal(str(tmp_path))
    journal.take([placed("r1"), placed("r2"), KeepPlaced(placed=[placed("r2")]), placed("r3")])
    journal.take([placed("r4")])
    journal.close()
    assert reopened(tmp_path) == {("r2", 1): "x", ("r3", 1): "x", ("r4", 1): "x"}
    assert (tmp_path / "placements").read_bytes().count(b"r1") == 0


def test_a_runner_that_dies_while_the_journal_begins_anew_leaves_the_old_one(tmp_path):
    journal = PlacementJournal(str(tmp_path))
    journal.take([placed("r1")])
    journal.close()
    (tmp_path / "placements.part").write_bytes(b'["r9", 1')
    assert reopened(tmp_path) == {("r1", 1): "x"}


ON_A_FULL_DISK = """\
import sys
from pathlib import Path
from callsheet.actors.outputs_seam import KeepPlaced, Placed
from callsheet.actors.runner_stage import PlacementJournal
from faults import fill
folder = sys.argv[1]
def some(first, last):
    return [Placed(run_id=f"r{n}", attempt=1, agent_id="x") for n in range(first, last)]
journal = PlacementJournal(folder)
journal.take(some(0, 10))
fill(Path(folder) / "filler")
journal.take([*some(10, 500), KeepPlaced(placed=some(400, 500)), *some(500, 1000)])
journal.close()
again = PlacementJournal(folder)
again.take(some(1000, 2000))
again.close()
print(sorted(int(key[0][1:]) for key in PlacementJournal(folder).placed) == list(range(2000)))
"""


@pytest.mark.slow
def test_the_journal_goes_on_where_the_disk_is_full(tmp_path):
    command = [sys.executable, "-c", ON_A_FULL_DISK, str(tmp_path)]
    support = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "support")}
    done = subprocess.run(
        [*on_a_small_disk(tmp_path, "2m"), *command],
        env=support, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "True\n", done.stderr


# --- the stage ------------------------------------------------------------------------------------


class WatchingRouter(RouterPort):
    """The agents' port; notes which runs it is told to start that are not in the journal."""

    journal: Path
    unwritten: list[str]

    def send(self, to: str, messages: Iterable[Any]) -> None:
        messages = list(messages)
        known = self.journal.read_text()
        for message in messages:
            if isinstance(message, StartProcess) and f'"{message.run_id}"' not in known:
                self.unwritten.append(message.run_id)
        super().send(to, messages)


class Played:
    """A runner's stage between a router that plays the ledger and a dealer that plays an agent."""

    def __init__(self, context: Any, folder: Path) -> None:
        self.root = folder / "kept"
        self.link = RecordingLink()
        self.unwritten: list[str] = []
        self.came: dict[str, deque[Any]] = {}
        paths = {name: f"ipc://{folder}/{name}" for name in ("ledger", "agents", "outputs")}
        now = clock.monotonic_s
        self.ledger = RouterPort(
            context, "ledger", [paths["ledger"]], reader=LEDGER_READER, peers=PEERS, clock=now
        )

        def open_ports() -> list[Port]:
            agents = WatchingRouter(
                context, "agents", [paths["agents"]], reader=RUNNER_READER, peers=PEERS, clock=now
            )
            agents.journal, agents.unwritten = self.root / "placements", self.unwritten
            ledger = DealerPort(
                context,
                "ledger",
                paths["ledger"],
                address="runner/0",
                peer="ledger/0",
                reader=FROM_LEDGER_READER,
                clock=now,
            )
            return [
                agents, ledger, PublisherPort(context, "outputs", [paths["outputs"]], clock=now),
            ]  # fmt: skip

        def never() -> Any:
            raise AssertionError("the core is made of its placements")

        script = Script(address="runner/0", open_ports=open_ports, make_core=never)
        self.ref = RunnerStage.start(
            script, self.link, str(self.root), lambda placed: Runner(placed=placed)
        )
        self.agent = DealerPort(
            context,
            "runner",
            paths["agents"],
            address="agent/x",
            peer="runner/0",
            reader=TO_AGENT_READER,
            clock=now,
        )

    def next(self, port: Port, kind: type) -> Any:
        """Return the next message of a kind at a port; others are passed over."""
        until_s = clock.monotonic_s() + WAIT_S
        came = self.came.setdefault(port.name, deque())
        while True:
            while came:
                message = came.popleft()
                if isinstance(message, kind):
                    return message
            letters: list[Letter] = []
            assert clock.monotonic_s() < until_s, f"no {kind.__name__} came"
            for waiting in (self.agent, self.ledger):
                waiting.flush()
            port.socket.poll(5)
            port.receive(1, letters)
            for letter in letters:
                came.extend(letter.messages)

    def command(self, *messages: Any) -> None:
        self.ledger.send("runner/0", messages)

    def report(self, *messages: Any) -> None:
        self.agent.send("runner/0", messages)

    def meet(self) -> None:
        """Have the ledger and an agent meet the runner."""
        self.next(self.ledger, Hello)
        self.command(RunnerWelcome(epoch=1, seq=1, part=0, last=True, runs=[]))
        self.report(a_hello())
        self.next(self.agent, AgentWelcome)


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Played]:
    context: Any = zmq.Context()
    played = Played(context, tmp_path)
    assert played.link.hears() == ("ready", "")
    yield played
    pykka.ActorRegistry.stop_all()
    played.agent.close()
    played.ledger.close()
    context.destroy(linger=0)


def a_start(run_id: str) -> StartRun:
    return StartRun(epoch=1, run=a_run(run_id, version=9))


def test_no_agent_hears_of_a_placement_that_is_not_on_record(played):
    played.meet()
    played.command(a_start("r1"))
    assert played.next(played.agent, StartProcess).program == SLEEP
    # The first goes to the agent again, in one batch with the second that is placed only now.
    played.command(a_start("r1"), a_start("r2"))
    assert [played.next(played.agent, StartProcess).run_id for _ in range(2)] == ["r1", "r2"]
    assert played.unwritten == []
    assert given(PlacementJournal(str(played.root))) == {("r1", 1): "x", ("r2", 1): "x"}


def test_a_process_goes_from_its_start_to_its_kept_output(played):
    played.meet()
    played.command(a_start("r1"))
    played.next(played.agent, StartProcess)
    played.report(ProcessStarted(run_id="r1", attempt=1, pid=7, at_us=5))
    assert played.next(played.ledger, AttemptStarted).agent_id == "x"
    played.command(Recorded(run_id="r1", attempt=1, state=State.RUNNING, ended=False))
    played.report(OutputChunk(run_id="r1", attempt=1, name="output", offset=0, data=b"hello"))
    assert played.next(played.agent, OutputTaken).upto == 5
    files = OutputFiles(str(played.root))
    live = files.live("r1", 1, "output")
    assert live is not None
    assert live.span(0, 99) == (0, b"hello")
    played.report(
        ProcessEnded(
            run_id="r1", attempt=1, status=0, at_us=9, started_us=5, output_bytes={"output": 5}
        )
    )
    end = played.next(played.ledger, AttemptEnded)
    [record] = end.outputs
    assert files.read(record, 0, 99) == b"hello"
    assert files.live("r1", 1, "output") is None
    played.command(Recorded(run_id="r1", attempt=1, state=State.SUCCESS, ended=True))
    assert played.next(played.agent, ForgetProcess).run_id == "r1"


def test_an_error_that_ends_the_output_store_ends_the_role(played):
    error = RuntimeError("disk on fire")
    played.ref.tell(error)
    assert played.link.hears() == ("crashed", error)
    assert not played.ref.is_alive()
