"""Conditions as values, bound to one run: nothing in them is a template any more.

A bound condition is either one that the waiter judges, or a *guard* (`BoundMaxRunning`,
`BoundSkipDuplicate`, `BoundPool`), which the waiter only proposes and the ledger decides at the
instant of the move. Guards stand at the top of a run's conditions, never inside of others.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from .polled import BoundPolled
from .states import State


class BoundConst(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="const"):
    """A constant."""

    value: bool


class BoundDependency(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="type",
    tag="dependency",
):
    """A dependency on one instance (job and args). `exist` empty: existence is not asked for.

    `after`: only runs with a greater number count, as those of a rerun do for what was rerun
    because of it.
    """

    job_id: str
    args: dict[str, str]
    states: tuple[State, ...] = (State.SUCCESS,)
    exist: tuple[State, ...] = ()
    after: int = 0


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


class BoundPool(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="pool"):
    """The pool has room for `weight` more."""

    name: str
    weight: int = 1


class BoundNotBefore(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="not_before"):
    """The instant has come."""

    at_us: int


class BoundNotAfter(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="not_after"):
    """The instant has not passed; at the top of a run's conditions it ends the wait when it does,
    in `else_state`."""

    at_us: int
    else_state: State = State.SKIPPED


class BoundTimeWindow(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type",
    tag="time_window",
):  # fmt: skip
    """Now is from one daytime to before another, in seconds since local midnight.

    `calendar` is `all`, `none` or weekdays; `days` not None: these dates alone, of a calendar that
    is a file.
    """

    start_s: float
    end_s: float
    tz: str
    calendar: str = "all"
    days: tuple[str, ...] | None = None


class BoundAll(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="all"):
    """All hold at one moment."""

    conditions: tuple[BoundCondition, ...]


class BoundAny(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="any"):
    """At least one holds."""

    conditions: tuple[BoundCondition, ...]


class BoundNot(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="not"):
    """It does not hold."""

    condition: BoundCondition


BoundGuard = BoundMaxRunning | BoundSkipDuplicate | BoundPool
BoundCondition = (
    BoundConst
    | BoundDependency
    | BoundMaxRunning
    | BoundSkipDuplicate
    | BoundPool
    | BoundNotBefore
    | BoundNotAfter
    | BoundTimeWindow
    | BoundPolled
    | BoundAll
    | BoundAny
    | BoundNot
)


def bound_leaves(conditions: tuple[BoundCondition, ...]) -> Iterator[BoundCondition]:
    """Yield the conditions that are not composed of others, however deep they are."""
    for cond in conditions:
        match cond:
            case BoundAll() | BoundAny():
                yield from bound_leaves(cond.conditions)
            case BoundNot():
                yield from bound_leaves((cond.condition,))
            case _:
                yield cond


def dependencies(conditions: tuple[BoundCondition, ...]) -> Iterator[BoundDependency]:
    """Yield the dependencies among conditions, however deep they are, in order."""
    for cond in bound_leaves(conditions):
        if isinstance(cond, BoundDependency):
            yield cond


def polled_of(cond: BoundCondition) -> Iterator[BoundPolled]:
    """Yield the polled conditions in a condition, however deep they are."""
    for leaf in bound_leaves((cond,)):
        if isinstance(leaf, BoundPolled):
            yield leaf


def pools_of(conditions: tuple[BoundCondition, ...]) -> Iterator[BoundPool]:
    """Yield the places in pools that a run with these conditions takes."""
    for cond in conditions:
        if isinstance(cond, BoundPool):
            yield cond
