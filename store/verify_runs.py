"""A run against its log: folded again from its events, it must be what its record says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..jobs.run import Run
from ..jobs.states import EDGES, FINISHED, MARKABLE, SETTLES, State
from ..messages.transitions import AnyEvent, RunMoved, RunNoted
from .rows import BLOCK_BITS, headings

Rows = Callable[..., Any]


def fold(
    run: Run, events: Iterable[AnyEvent], changed_us: int, *, is_old: bool = False
) -> Iterator[str]:
    """Yield what a run's events say that its record does not. `is_old`: the events of the version
    that wrote it do not tell when an agent saw what they say."""
    state: State | None = None
    times: dict[str, int] = {}
    version = last_us = seq = 0
    for event in events:
        if event.seq <= seq:
            yield f"event {event.seq}: comes after {seq}"
        seq = event.seq
        if isinstance(event, RunMoved):
            if event.before is not state or not _may_follow(state, event.after):
                yield f"event {event.seq}: moves it from {event.before}, being {state}"
            if event.after is State.STARTING and state is State.WAITING:
                # When an earlier attempt ran is in that attempt's record.
                times.pop(State.RUNNING.value, None)
            state = event.after
            entered_us = event.at_us if event.entered_us is None else event.entered_us
            times[state.value] = entered_us
        if isinstance(event, RunMoved | RunNoted):
            version, last_us = event.seq, event.at_us
    if state is not run.state:
        yield f"is {run.state}: by its log {state}"
    if version != run.version:
        yield f"is of event {run.version}: by its log of {version}"
    if times.keys() != run.times.keys() or (times != run.times and not is_old):
        yield f"has the times {run.times}: by its log {times}"
    if last_us != changed_us:
        yield f"last changed at {changed_us}: by its log at {last_us}"


def _may_follow(before: State | None, after: State) -> bool:
    if before is None:
        return after in (State.SCHEDULED, State.ERROR, State.SKIPPED)
    marked = before in FINISHED and after in MARKABLE
    return after in EDGES[before] or after in SETTLES.get(before, ()) or marked


class RunCheck:
    """Holds runs against what they are found by: spans, agents, labels, deadlines."""

    def __init__(self, rows: Rows, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._spans = {row[0]: row[1:] for row in rows("SELECT * FROM spans")}
        self._labels = set(rows("SELECT job_id, label FROM run_jobs"))
        self._rows = rows
        self._deadlines: dict[int, int] = {}
        for n, kinds in rows("SELECT n, json_group_array(kind) FROM deadlines GROUP BY n"):
            self._deadlines[n] = len(json.loads(kinds))

    def run(self, run: Run) -> None:
        """Look whether a run is found by what it is."""
        number = run.number
        span = self._spans.get(number >> BLOCK_BITS)
        if span is None or not span[0] <= run.schedule_us <= span[1]:
            self._tell(f"run {run.run_id}: its block of numbers does not span its time")
        for heading in headings(run.labels, run.owner):
            if (run.job_id, heading) not in self._labels:
                self._tell(f"run {run.run_id}: is not found by its job and label {heading!r}")
        agent = self._rows("SELECT agent_id FROM run_agents WHERE n = ?", (number,)).fetchone()
        if (agent[0] if agent else None) != run.agent_id:
            self._tell(f"run {run.run_id}: is not found by its agent {run.agent_id}")
        if self._deadlines.pop(number, 0) and run.due is None:
            self._tell(f"run {run.run_id}: has a deadline that is not its own")

    def finish(self) -> None:
        """Tell of what is left over."""
        text = "SELECT n FROM run_agents WHERE n NOT IN (SELECT n FROM runs)"
        for (number,) in self._rows(text):
            self._tell(f"run r{number}: has an agent and is not there")
        for number in self._deadlines:
            self._tell(f"run r{number}: has a deadline and is not there")
