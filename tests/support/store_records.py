"""Builders of what a store keeps; each names only what its test is about."""

from callsheet.jobs.job import Job
from callsheet.jobs.programs import NoOp
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.codec import encode
from callsheet.messages.hello import ScheduleRow
from callsheet.messages.instructions import StoredDefinition
from callsheet.messages.transitions import RunMoved
from callsheet.store.interface import Changes

HOUR_US = 3600 * 1_000_000
T0_US = 1_800_000_000 * 1_000_000


def a_run(number=1, **fields):
    """A run `r<number>` of job `a`, scheduled for T0 by a person."""
    defaults = {
        "run_id": f"r{number}",
        "job_id": "a",
        "args": {},
        "state": State.SCHEDULED,
        "schedule_us": T0_US,
        "times": {"scheduled": T0_US - HOUR_US},
    }
    return Run(**(defaults | fields))


def a_planned_run(number=1, **fields):
    """A run that the schedule `f` made and that is still expected."""
    return a_run(number, **({"fingerprint": "f", "expected": True} | fields))


def a_move(seq, run_id="r1", after=State.SCHEDULED, at_us=T0_US, **fields):
    return RunMoved(seq=seq, at_us=at_us, run_id=run_id, after=after, **fields)


def changes_of(*runs):
    """The runs as they now are, without events."""
    return Changes(runs={run.run_id: run for run in runs})


def a_schedule(job_id="a", fingerprint="f", **fields):
    defaults = {
        "job_id": job_id,
        "fingerprint": fingerprint,
        "definition": "d",
        "valid_from_us": T0_US,
        "written_upto_us": T0_US,
        "spec": {"type": "interval", "every": [1, 2]},
    }
    return ScheduleRow(**(defaults | fields))


def a_definition(hash_="d", job_id="a"):
    """A definition and the job it holds."""
    job = Job(job_id=job_id, params=("date",), program=NoOp())
    return StoredDefinition(hash=hash_, job_id=job_id, body=encode(job)), job
