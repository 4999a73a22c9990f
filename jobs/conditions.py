"""Conditions as values: what a job's runs wait for, and what a run is bound to.

A bound condition is either *one-way*, decided by the waiter (`BoundConst`, `BoundDependency`), or a
*guard*, proposed by the waiter and decided by the ledger at the instant of the move
(`BoundMaxRunning`, `BoundSkipDuplicate`).
"""

from __future__ import annotations

import msgspec

from .states import State

# --- as written in a job ------------------------------------------------------------------------


class Const(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="const"):
    """True passes at once, False waits for ever. `enabled` may be a template string."""

    value: bool
    enabled: bool | str = True


class Dependency(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="dependency"):
    """Wait until a run of `job_id` with exactly the bound args is in one of `states`.

    `exist`: None does not ask; True asks for any state from which `states` can be reached; a tuple
    names the states of which some matching run must be in one, else the run is an error.
    """

    job_id: str
    args: dict[str, str] = {}
    states: tuple[State, ...] = (State.SUCCESS,)
    exist: bool | tuple[State, ...] | None = None
    enabled: bool | str = True


class MaxRunning(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="max_running"):
    """Wait while `count` or more runs of the job with the same args are starting or running."""

    count: str = "1"
    job_id: str | None = None
    enabled: bool | str = True


class SkipDuplicate(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="skip_duplicate"
):
    """Conclude the run when another of the same instance is in one of `check_states`."""

    check_states: tuple[State, ...] = (State.WAITING, State.STARTING, State.RUNNING)
    target_state: State = State.SKIPPED
    enabled: bool | str = True


Condition = Const | Dependency | MaxRunning | SkipDuplicate

# --- bound --------------------------------------------------------------------------------------


class BoundConst(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="const"):
    """A constant."""

    value: bool


class BoundDependency(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="dependency"
):
    """A dependency on one instance (job and args). `exist` empty: existence is not asked for."""

    job_id: str
    args: dict[str, str]
    states: tuple[State, ...] = (State.SUCCESS,)
    exist: tuple[State, ...] = ()


class BoundMaxRunning(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="max_running"
):
    """Fewer than `count` runs of the instance may be starting or running."""

    count: int
    job_id: str
    args: dict[str, str]


class BoundSkipDuplicate(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="skip_duplicate"
):
    """No other run of the run's own instance may be in one of `check_states`."""

    check_states: tuple[State, ...]
    target_state: State


BoundCondition = BoundConst | BoundDependency | BoundMaxRunning | BoundSkipDuplicate
