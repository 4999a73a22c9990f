"""What the ledger's core has to be shown from the store before it can decide a batch.

The core is pure, so it names what it lacks (`Needs`), its stage looks that up (`find`) and hands it
in (`Found`). Runs that are active are in the core's memory and never asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ..jobs.run import Run
from ..jobs.states import State
from ..messages.hello import DueRow
from ..messages.operations import Part
from ..messages.transitions import AnyEvent
from ..messages.wishes import AddRuns, Done, Refused
from ..store.interface import StoreBroken, Writer

# The docket a welcome carries: what is due within this time, at most so many rows. The scheduler
# reads what lies beyond from the store.
DOCKET_SPAN_US = 3600 * 1_000_000
DOCKET_ROWS = 20_000
# Events one `Replayed` holds at most; who is further behind asks again or reads the store.
REPLAY_EVENTS = 2_000


class Needs(msgspec.Struct, kw_only=True):
    """Keys to look up. `instances` are (job id, args key); `expected_keys` (job id, args key,
    schedule_us); `closed` (job id, fingerprint, from_us), of schedules that end or are kept;
    `operation_parts` (operation id, number), with the runs they are about."""

    run_ids: set[str] = msgspec.field(default_factory=set)
    instances: set[tuple[str, str]] = msgspec.field(default_factory=set)
    expected_keys: list[tuple[str, str, int]] = []
    closed: list[tuple[str, str, int]] = []
    command_ids: set[str] = msgspec.field(default_factory=set)
    replay_after: set[int] = msgspec.field(default_factory=set)
    operation_parts: list[tuple[str, int]] = []
    docket: bool = False

    def __bool__(self) -> bool:
        """Whether anything is to be looked up."""
        return bool(
            self.run_ids
            or self.instances
            or self.expected_keys
            or self.closed
            or self.command_ids
            or self.replay_after
            or self.operation_parts
            or self.docket
        )


class Found(msgspec.Struct, kw_only=True):
    """What the store says, as of the last commit."""

    runs: dict[str, Run] = {}
    instance_states: dict[tuple[str, str], dict[State, int]] = {}
    existing_expected: set[tuple[str, str, int]] = msgspec.field(default_factory=set)
    closed: dict[tuple[str, str], list[Run]] = {}
    answers: dict[str, Done | Refused] = {}
    replays: dict[int, list[AnyEvent]] = {}
    operation_parts: dict[tuple[str, int], Part] = {}
    due: list[DueRow] = []


def find(needs: Needs, writer: Writer, now_us: int, epoch: int) -> Found:
    """Look up everything in `needs`; what is not there is left out of the answer.

    Raises:
        StoreBroken: another ledger has taken the store since `epoch` began. What it wrote does not
            fit what the one that asks holds in memory.
    """
    found = Found()
    reader = writer.reader
    wanted = set(needs.run_ids)
    for command_id in needs.command_ids:
        answer = reader.answer(command_id)
        if answer is not None:
            found.answers[command_id] = answer
            if isinstance(answer, Done) and answer.result and "run_ids" in answer.result:
                wanted.update(answer.result["run_ids"])
    for after_seq in needs.replay_after:
        events = reader.events_after(after_seq, REPLAY_EVENTS)
        found.replays[after_seq] = events
        wanted.update(event.run_id for event in events if hasattr(event, "run_id"))
    for operation_id, number in needs.operation_parts:
        for part in reader.operation_parts(operation_id, number, 1):
            if part.number == number:
                found.operation_parts[operation_id, number] = part
                wanted.update(target.run_id for target in part.targets)
    if wanted:
        found.runs = {run.run_id: run for run in reader.runs(sorted(wanted))}
    for job_id, key in needs.instances:
        found.instance_states[job_id, key] = reader.instance_states(job_id, key)
    if needs.expected_keys:
        found.existing_expected = writer.existing_expected(needs.expected_keys)
    for job_id, fingerprint, from_us in needs.closed:
        expected = writer.expected_after(job_id, fingerprint, from_us)
        found.closed[job_id, fingerprint] = expected
        found.runs.update((run.run_id, run) for run in expected)
    if needs.docket:
        found.due = reader.due(now_us + DOCKET_SPAN_US, DOCKET_ROWS)
    if reader.head()[0] != epoch:
        raise StoreBroken(f"epoch {epoch} is over: expected to be the only server")
    return found


def runs_named(instruction: AddRuns) -> Iterator[str]:
    """Yield the ids of the runs that are added, and of those they repeat."""
    for run in instruction.runs:
        yield run.run_id
        yield from filter(None, (run.rerun_of, run.rerun_root))
    yield from instruction.alike
