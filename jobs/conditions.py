"""Conditions as values, as written in a job: what its runs wait for.

`bound_conditions.py` has what they become for one run. A text may be a template wherever a run's
args can matter.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from .polled import Polled
from .states import State


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


# --- guards: decided by the ledger at the instant of the start ----------------------------------


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


class Pool(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="pool"
):
    """Wait until a named pool has room for `weight` more; taken while starting and running."""

    name: str
    weight: str = "1"
    enabled: bool | str = True


# --- times --------------------------------------------------------------------------------------


class Moment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An instant: `time`, or a `daytime` in `tz`, `date_shift` days after the local date of the
    run's schedule time. The texts may be templates."""

    time: str | None = None
    daytime: str | None = None
    tz: str | None = None
    date_shift: int = 0


class NotBefore(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type",
    tag="not_before",
):  # fmt: skip
    """Wait until an instant."""

    moment: Moment
    enabled: bool | str = True


class NotAfter(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type",
    tag="not_after",
):  # fmt: skip
    """The run goes to `else_state` if it has not started by an instant."""

    moment: Moment
    else_state: State = State.SKIPPED
    enabled: bool | str = True


class TimeWindow(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type",
    tag="time_window",
):  # fmt: skip
    """Start only from one daytime to before another, on the days of a calendar.

    A window whose end is not after its start reaches into the next day.
    """

    start: str
    end: str
    tz: str
    calendar: str = "all"
    enabled: bool | str = True


# --- composition --------------------------------------------------------------------------------


class AllOf(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="all"
):
    """All of the conditions hold at one moment; guards among them stand beside it."""

    conditions: tuple[Condition, ...]
    enabled: bool | str = True


class AnyOf(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="any"
):
    """At least one of the conditions holds. No guards among them."""

    conditions: tuple[Condition, ...]
    enabled: bool | str = True


class Not(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="not"
):
    """The condition does not hold. It is no guard."""

    condition: Condition
    enabled: bool | str = True


Condition = (
    Const
    | Dependency
    | MaxRunning
    | SkipDuplicate
    | Pool
    | NotBefore
    | NotAfter
    | TimeWindow
    | Polled
    | AllOf
    | AnyOf
    | Not
)


def leaves(conditions: tuple[Condition, ...]) -> Iterator[Condition]:
    """Yield the conditions that are not composed of others, however deep they are."""
    for cond in conditions:
        match cond:
            case AllOf() | AnyOf():
                yield from leaves(cond.conditions)
            case Not():
                yield from leaves((cond.condition,))
            case _:
                yield cond
