"""What went wrong in a span and no later run has made good: kept while the runs are folded.

A day may have a hundred thousand runs; whoever looks at it wants the few that need a person.
"""

from __future__ import annotations

from ..jobs.run import Run, args_key
from ..jobs.states import State
from ..store.interface import Reader
from .records import run_record
from .shapes_charts import Trouble, Unsolved

# The worst first: of a lost run nobody knows what it has done.
WORST = (State.LOST, State.FAILURE, State.ERROR)
# So many instances are looked up for what came after the span; beyond them they count as unsolved.
MOST_LOOKED_UP = 1_000


class Troubles:
    """The runs of a span that went wrong, by instance, and when each instance last went well."""

    def __init__(self) -> None:
        self._bad: dict[tuple[str, str], list[Run]] = {}
        self._good: dict[tuple[str, str], int] = {}

    def add(self, run: Run) -> None:
        """Take a run of the span, in any order."""
        if run.state is State.SUCCESS:
            key = (run.job_id, args_key(run.args))
            self._good[key] = max(self._good.get(key, 0), run.schedule_us)
        elif run.state in WORST:
            self._bad.setdefault((run.job_id, args_key(run.args)), []).append(run)

    def unsolved(self, reader: Reader, most: int, is_over: bool) -> Unsolved:
        """Return of each instance the newest run in trouble, the worst first, at most `most`.

        Args:
            is_over: runs may have been made good after the span.
        """
        found: list[tuple[Run, int]] = []
        for key, runs in self._bad.items():
            since_us = self._good.get(key, 0)
            left = sorted(
                (run for run in runs if run.schedule_us >= since_us),
                key=lambda run: (run.schedule_us, run.number),
            )
            if left and not (is_over and len(found) < MOST_LOOKED_UP and _went_well(reader, left)):
                found.append((left[-1], len(left)))
        found.sort(key=lambda row: (WORST.index(row[0].state), -row[0].schedule_us))
        rows: list[Trouble] = [{"run": run_record(run), "times": n} for run, n in found[:most]]
        return {"count": len(found), "runs": rows}


def _went_well(reader: Reader, runs: list[Run]) -> bool:
    last = runs[-1]
    after = max(run.number for run in runs)
    return bool(reader.instance_states(last.job_id, args_key(last.args), after).get(State.SUCCESS))
