"""Backfills: runs of what schedules name for a time that is over, so many at once, in order."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..jobs.times import Instant
from .wish_base import Instruction

# A run is scheduled and held until its turn has come; then it is as any other.
BackfillState = Literal["running", "stopping", "stopped", "done"]
# At once; more is what agents' slots and pools are for.
PARALLEL_AT_MOST = 1_000
# Of one backfill.
RUNS_AT_MOST = 10_000


class Backfill(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A group of runs of one job, for its nominal times in [from_us, to_us).

    At most `parallel` of them are under way at once, the oldest times first or `newest_first`.
    `args`: only of nominal runs that have these. `again`: also of times that have a run; else
    `left_out` of them were left out. `total` runs were made, of which `withdrawn` are gone since it
    was stopped before they began. `ended_us`: when the last of them was over.
    """

    number: int
    job_id: str
    from_us: Instant
    to_us: Instant
    at_us: Instant
    by: str
    parallel: int = 1
    newest_first: bool = False
    again: bool = False
    args: dict[str, str] = {}
    total: int = 0
    left_out: int = 0
    withdrawn: int = 0
    stopped_us: Instant | None = None
    stopped_by: str = ""
    reason: str = ""
    ended_us: Instant | None = None

    @property
    def backfill_id(self) -> str:
        """Its id, such as `b3`."""
        return f"b{self.number}"

    @property
    def state(self) -> BackfillState:
        """What has become of it."""
        if self.stopped_us is not None:
            return "stopping" if self.ended_us is None else "stopped"
        return "running" if self.ended_us is None else "done"

    def overlaps(self, other: Backfill) -> bool:
        """Whether both are about a time of the same job."""
        same = self.job_id == other.job_id
        return same and self.from_us < other.to_us and other.from_us < self.to_us


class OpenBackfill(msgspec.Struct, frozen=True, kw_only=True):
    """A backfill that is not over: the ids of its runs that have not begun, in the order in which
    they are to, and of those that have and are not over."""

    backfill: Backfill
    pending: list[str] = []
    begun: list[str] = []


def backfill_number(text: str) -> int | None:
    """Return the number in an id such as `b3`, None when it is none."""
    digits = text[1:]
    if text[:1] != "b" or not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        return None
    number = int(digits)
    return number if number and str(number) == digits else None


class StartBackfill(
    Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="StartBackfill"
):
    """Make the runs of a backfill; see `Backfill`. For the scheduler, which binds them."""

    job_id: str
    from_us: int
    to_us: int
    parallel: int = 1
    newest_first: bool = False
    again: bool = False
    args: dict[str, str] = {}


class AddBackfill(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="AddBackfill"):
    """Scheduler → ledger: the runs of a backfill, bound, packed by `codec.pack_runs`.

    `backfill` has no number yet. `known`: the number of the last backfill there was when was looked
    which times have a run. `labels` are the job's.
    """

    backfill: Backfill
    packed: bytes
    known: int
    labels: tuple[str, ...] = ()


class StopBackfill(Instruction, frozen=True, kw_only=True, omit_defaults=True, tag="StopBackfill"):
    """Withdraw the runs of a backfill that have not begun; those that have are left alone."""

    number: int
    reason: str = ""


OfBackfills = AddBackfill | StopBackfill
