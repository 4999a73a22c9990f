"""The check of waiting runs: whose conditions are all met, and which are waiting all the same.

Conditions that only a place or a poll can tell are the waiter's to know; runs with such are left
out. Owned by the checker's core; reads the store only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..jobs.bound_conditions import (
    BoundMaxRunning,
    BoundPool,
    BoundSkipDuplicate,
    bound_leaves,
)
from ..jobs.findings import Finding, found
from ..jobs.judging import Verdict, judge
from ..jobs.polled import BoundPolled
from ..jobs.run import Run, args_key
from ..jobs.states import OCCUPYING, State
from ..jobs.times import SECOND_US
from ..store.interface import Reader

STUCK = "stuck"

# A run may wait so long after the last of what it waits for: it is cleared, and refused, in turns.
AFTER_US = 30 * SECOND_US
# Runs looked at in one round, the oldest first.
LOOKED_AT = 2_000
# Runs read at a time: what many took at once stays in the heap for good.
PORTION = 100


class Waits:
    """Finds waiting runs that nothing holds; `look` is called once a round."""

    def __init__(self) -> None:
        # Since when a run of that version was seen to wait for nothing.
        self._free_us: dict[tuple[str, int], int] = {}

    def look(self, reader: Reader, now_us: int) -> list[Finding]:
        """Return the runs that have waited for nothing for too long."""
        facts = _Facts(reader)
        before, self._free_us = self._free_us, {}
        findings = []
        for run in _waiting(reader):
            if not _is_free(run, facts, now_us):
                continue
            key = run.run_id, run.version
            since_us = self._free_us[key] = min(before.get(key, now_us), now_us)
            if now_us - since_us >= AFTER_US:
                sentence = (
                    f"run {run.run_id} of {run.job_id}: waiting, and all its conditions are met"
                )
                findings.append(found(STUCK, f"{run.run_id}.waiting", sentence, run_id=run.run_id))
        return findings


def _waiting(reader: Reader) -> Iterator[Run]:
    """Yield the waiting runs, the oldest first, at most `LOOKED_AT`."""
    after = 0
    for _ in range(LOOKED_AT // PORTION):
        runs = reader.active((State.WAITING,), PORTION, after)
        yield from runs
        if len(runs) < PORTION:
            return
        after = runs[-1].number


def _is_free(run: Run, facts: _Facts, now_us: int) -> bool:
    if run.held or (run.not_before_us or 0) > now_us:
        return False
    if any(isinstance(leaf, BoundPool | BoundPolled) for leaf in bound_leaves(run.conds)):
        return False
    for cond in run.conds:
        if isinstance(cond, BoundMaxRunning):
            counts = facts.states_of(cond.job_id, args_key(cond.args))
            if sum(counts.get(state, 0) for state in OCCUPYING) >= cond.count:
                return False
        elif not isinstance(cond, BoundSkipDuplicate) and not judge(cond, facts, now_us).met:
            return False
    return True


class _Facts:
    """What is known of the world by the store alone; each instance is read once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._states: dict[tuple[str, str, int], Mapping[State, int]] = {}

    def states_of(self, job_id: str, key: str, after: int = 0) -> Mapping[State, int]:
        """See `jobs.judging.Facts`."""
        found_ = self._states.get((job_id, key, after))
        if found_ is None:
            found_ = self._reader.instance_states(job_id, key, after)
            self._states[job_id, key, after] = found_
        return found_

    def checked(self, cond: BoundPolled) -> Verdict | None:
        """See `jobs.judging.Facts`: no poll is known here."""
        return None
