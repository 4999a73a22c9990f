"""How long runs of a job usually take, told beside each that runs or is to come. Only reads."""

from __future__ import annotations

from ..jobs.states import State
from ..store.interface import Reader
from .records import elapsed_s
from .shapes import Usual

# Last runs of a job by which it is told, and how many good ones it takes.
USUAL_RUNS = 60
FEWEST_USUAL = 3


def usual_lengths(reader: Reader, job_ids: list[str]) -> dict[str, Usual]:
    """Return what runs of jobs that ended well usually take; jobs with too few of them are left
    out."""
    found: dict[str, Usual] = {}
    for job_id, last in reader.last_runs(job_ids, USUAL_RUNS).items():
        good = (run for run in last if run.state is State.SUCCESS)
        took = sorted(s for run in good if (s := elapsed_s(run)) is not None)
        if len(took) >= FEWEST_USUAL:
            found[job_id] = {
                "p10": round(took[len(took) // 10], 3),
                "p50": round(took[len(took) // 2], 3),
                "p90": round(took[min(len(took) - 1, len(took) * 9 // 10)], 3),
                "n": len(took),
            }
    return found
