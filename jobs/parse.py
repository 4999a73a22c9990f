"""Jobs out of the data of a job file, and back: the one reader of that format.

Called by the job folder, by the scheduler for ad hoc jobs, and by tools. It collects every problem
of a job before it refuses it, and never looks at other jobs, at calendars, or at the time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from .blackout_rules import blackouts_data, read_blackouts
from .errors import UserError
from .internal_programs import InternalProgram
from .job import Job
from .params import Params, ParamSpec, check_given, params_data, read_params
from .parse_actions import read_action, read_successor
from .parse_conditions import read_condition, read_priority, read_waiting
from .parse_deadlines import read_deadline
from .parse_programs import read_program
from .parse_retry import read_retry
from .parse_schedules import read_schedule
from .programs import NoOp, Ssh
from .reading import At, Fields, KeyPath, Told, filled, flag, free, many, shown, word
from .results import read_results, results_data
from .schedules import Schedule
from .times import SECOND_US
from .unparse import (
    action_data,
    condition_data,
    deadline_data,
    program_data,
    retry_data,
    schedule_data,
)

DEEPEST_METADATA = 32
_metadata_value = free(DEEPEST_METADATA)
HASH_CHARACTERS = 32
PROBLEMS_SAID = 5

_packed = msgspec.msgpack.Encoder(order="deterministic")


class BadJob(UserError):
    """A job's data is not a job. `problems` holds (key path, sentence) pairs, at least one."""

    def __init__(self, problems: list[tuple[KeyPath, str]]) -> None:
        self.problems = problems
        said = [sentence for _, sentence in problems[:PROBLEMS_SAID]]
        more = len(problems) - len(said)
        super().__init__("; ".join(said) + (f"; and {more} more" if more else ""))


def job_from_data(data: Any, job_id: str) -> Job:
    """Return the job that the data of a job file describes.

    Args:
        data: what YAML or JSON made of the file: mappings, lists and plain values.
        job_id: the ID the job has by its place in the folder.

    Raises:
        BadJob: with all problems found.
    """
    problems: list[tuple[KeyPath, str]] = []
    try:
        return read_job(data, At((), problems), job_id)
    except Told:
        pass
    except UserError as error:
        problems.append(((), f"{error}"))
    raise BadJob(problems)


def read_job(data: Any, at: At, job_id: str) -> Job:
    """Read a job; see `job_from_data`, which collects its problems."""
    if not isinstance(data, Mapping):
        raise UserError(f"job is {shown(data)}: expected a mapping with at least `program`")
    fields = Fields(data, at)
    given = fields.take("job_id", filled, None)
    if given is not None and given != job_id:
        at.fail(f"job_id {shown(given)}: expected {job_id!r}, as the file is called", key="job_id")
    none: Params = ((), {})
    given_params: Params | None = fields.take("params", read_params, none)
    params, specs = given_params or none
    schedules = fields.take("schedule", many(partial(read_schedule, jitter_key=job_id)), ())
    program = fields.take("program", read_program)
    conditions = fields.take("condition", many(read_condition), ())
    waiting_max_us = fields.take("waiting", read_waiting, None)
    priority = fields.take("priority", read_priority, 0)
    actions = fields.take("action", many(read_action), ())
    successors = fields.take("successors", many(read_successor), ())
    deadline = fields.take("deadline", read_deadline, None)
    retry = fields.take("retry", read_retry, None)
    blackouts = fields.take("blackouts", read_blackouts, {})
    results = fields.take("results", read_results, {})
    metadata = fields.take("metadata", read_metadata, {})
    ad_hoc = fields.take("ad_hoc", flag, False)
    _check_args(schedules or (), specs, at, data.get("schedule"))
    if results and isinstance(program, NoOp | Ssh | InternalProgram):
        at.fail("a program of this type gives no results: expected a process", key="results")
    fields.finish()
    return Job(
        job_id=job_id,
        params=params,
        schedules=schedules,
        program=program,
        conditions=conditions,
        actions=actions + successors,
        metadata=metadata,
        ad_hoc=ad_hoc,
        param_specs=specs,
        priority=priority,
        waiting_max_us=waiting_max_us,
        deadline=deadline,
        retry=retry,
        results=results or {},
        blackouts=blackouts or {},
    )


def _check_args(
    schedules: tuple[Schedule, ...], specs: Mapping[str, ParamSpec], at: At, data: Any
) -> None:
    """Record args of schedules that their params do not take."""
    if not specs:
        return
    for index, schedule in enumerate(schedules):
        place = at.key("schedule")
        entry = data
        if isinstance(data, list | tuple):
            place, entry = place.key(index), data[index]
        if "type" not in entry:
            place = place.key("start")
        check_given(specs, schedule.args, place.key("args"))


def read_metadata(value: Any, at: At) -> dict[str, Any]:
    """Read metadata: anything JSON can hold, its labels as a list of texts."""
    fields = Fields(value, at)
    found = {
        key: fields.take(key, _metadata_value, null=True) for key in list(value) if key != "labels"
    }
    if value.get("labels") is not None:
        found["labels"] = list(fields.take("labels", many(word)) or ())
    else:
        fields.take("labels", word, None)
    fields.finish()
    return found


# --- and back -----------------------------------------------------------------------------------


def job_to_data(job: Job) -> dict[str, Any]:
    """Return data of which `job_from_data` makes an equal job; what is empty is left out."""
    found: dict[str, Any] = {}
    if job.params:
        found["params"] = params_data(job.params, job.param_specs)
    if job.schedules:
        found["schedule"] = [schedule_data(schedule) for schedule in job.schedules]
    found["program"] = program_data(job.program)
    if job.conditions:
        found["condition"] = [condition_data(condition) for condition in job.conditions]
    if job.waiting_max_us is not None:
        found["waiting"] = {"max_time": job.waiting_max_us / SECOND_US}
    if job.priority:
        found["priority"] = job.priority
    if job.actions:
        found["action"] = [action_data(action) for action in job.actions]
    if job.deadline is not None:
        found["deadline"] = deadline_data(job.deadline)
    if job.retry is not None:
        found["retry"] = retry_data(job.retry)
    if job.blackouts:
        found["blackouts"] = blackouts_data(job.blackouts)
    if job.results:
        found["results"] = results_data(job.results)
    if job.metadata:
        found["metadata"] = job.metadata
    if job.ad_hoc:
        found["ad_hoc"] = True
    return found


def definition_hash(job: Job) -> str:
    """Return the name of a job's definition: equal jobs have equal ones, in every process."""
    return hashlib.sha256(_packed.encode(job)).hexdigest()[:HASH_CHARACTERS]
