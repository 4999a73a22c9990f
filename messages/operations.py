"""Operations: one deed on many runs, which the ledger carries out part by part.

An operation is on record from the moment it is accepted, and each of its parts from the moment it
is carried out, with what happened to every run: whatever dies when goes on where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import msgspec

from ..jobs.run import Run, RunId
from ..jobs.states import State
from ..jobs.times import Instant
from .access import Access

Verb = Literal[
    "start",
    "skip",
    "hold",
    "release",
    "stop",
    "kill",
    "signal",
    "mark",
    "reschedule",
    "rerun",
]
VERBS: tuple[Verb, ...] = get_args(Verb)
# `done`: carried out; `refused`: it does not fit the run; `changed`: the run is in another state
# than when the set was looked at, and was left alone; `stopped`: somebody stopped the operation.
Outcome = Literal["done", "refused", "changed", "stopped"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

# Runs that one operation may be about, and those of one part of it: one commit of the ledger.
RUNS_AT_MOST = 10_000
RUNS_A_PART = 100
# Runs that are run again in an order: whether one is made decides on others.
CHAINED_AT_MOST = 500


class Deed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is done to each run. `signal` goes with that verb, `state` with `mark`; `schedule_us`
    (None: now) and `stop_us` (None: as it was) with `reschedule`; `args` (those that change) and
    `stored` (by the definition each run was bound to, not the one in force) with `rerun`."""

    verb: Verb
    reason: str = ""
    signal: int = 0
    state: State | None = None
    schedule_us: Instant | None = None
    stop_us: Instant | None = None
    args: dict[str, str] = {}
    stored: bool = False


class After(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run of this instance with a greater number than `number` must be in one of `states`
    before."""

    job_id: str
    args: dict[str, str]
    number: int
    states: tuple[State, ...] = (State.SUCCESS,)


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run an operation is about: it was `seen` in that state. `after`: what a rerun of it waits
    for besides its own conditions. Then what became of it; `new_run` is a rerun's."""

    run_id: RunId
    seen: State
    after: tuple[After, ...] = ()
    outcome: Outcome | None = None
    sentence: str = ""
    new_run: str = ""


class Operation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One deed on many runs; `by` has asked for it on `query` (empty: on runs it named).

    `parts` of it, of which `parts_done` are over; `counts` are the runs by
    outcome. `stopped_by`: somebody stopped it before it was over.
    """

    operation_id: str
    command_id: str
    by: str
    deed: Deed
    total: int
    parts: int
    begun_us: int
    access: Access | None = None
    query: str = ""
    parts_done: int = 0
    counts: dict[str, int] = {}
    ended_us: int | None = None
    stopped_by: str = ""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Some targets of an operation; `number` counts from 0."""

    operation_id: str
    number: int
    targets: list[Target]


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A run that was put to another time than the one its schedule made it for."""

    run_id: str
    job_id: str
    args_key: str
    schedule_us: int


def operation_id(command_id: str) -> str:
    """Return the id of the operation that a wish brings: the same each time it is repeated."""
    digest = hashlib.sha256(command_id.encode("utf-8", "replace"))
    return f"o{digest.hexdigest()[:16]}"


def is_chained(targets: Iterable[Target]) -> bool:
    """Return whether any of the targets waits for others: then all are one part."""
    return any(target.after for target in targets)


def parts_of(operation: str, targets: Sequence[Target]) -> list[Part]:
    """Return the parts of an operation."""
    size = CHAINED_AT_MOST if is_chained(targets) else RUNS_A_PART
    return [
        Part(
            operation_id=operation,
            number=begin // size,
            targets=list(targets[begin : begin + size]),
        )
        for begin in range(0, len(targets), size)
    ]


def root_of(run: Run) -> str:
    """Return the id of the first run of the chain that a run is in, its own when it is the first;
    of a rerun that is older than chains, the run it repeats."""
    return run.rerun_root or run.rerun_of or run.run_id
