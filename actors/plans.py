"""What the planner keeps of one open schedule, and of what it has sent to be written."""

from __future__ import annotations

import msgspec

from ..jobs.schedules import Fire, Schedule
from ..jobs.times import format_time
from ..messages.codec import encode
from ..messages.hello import ScheduleRow
from ..messages.instructions import Expectation

BATCH_BYTES = 2**20

Key = tuple[str, str]


class Plan:
    """One open schedule. `busy`: a portion of it is being bound or written."""

    __slots__ = ("busy", "definition", "fingerprint", "job_id", "look_us", "schedule", "written_us")

    def __init__(self, row: ScheduleRow) -> None:
        self.job_id = row.job_id
        self.fingerprint = row.fingerprint
        self.definition = row.definition
        self.written_us = row.written_upto_us
        self.schedule: Schedule | None = None
        self.busy = False
        self.look_us: int | None = None

    @property
    def key(self) -> Key:
        """By what the ledger knows it."""
        return self.job_id, self.fingerprint


class Batch(msgspec.Struct):
    """Expectations under way, with what the ledger does not need of them."""

    version: int
    expectations: list[Expectation]
    plans: list[Plan]


def fitting(plan: Plan, expectation: Expectation) -> Expectation:
    """Cut an expectation whose runs are too large for one message; the rest follows later."""
    runs = expectation.runs
    while len(runs) > 1 and len(encode(runs[0])) * len(runs) > BATCH_BYTES:
        runs = runs[: len(runs) // 2]
    if len(runs) == len(expectation.runs):
        return expectation
    plan.look_us = 0
    upto_us = runs[-1].schedule_us + 1
    skips = [span for span in expectation.skips if span.to_us < upto_us]
    return msgspec.structs.replace(expectation, runs=runs, skips=skips, upto_us=upto_us)


def put_off_words(fire: Fire) -> str | None:
    """Return what the log of a run says of the blackout that it is put off by, None for none."""
    if fire.until_us is None:
        return None
    return f"blackout {fire.window}: does not start before {format_time(fire.until_us)}"
