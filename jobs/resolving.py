"""What a job's conditions come to for each of its schedules, as far as it can be known ahead.

Called for the JSON of jobs, in the web server: so nothing is rendered here. `{{ name }}` is filled
in from the args of a schedule, `{{ name == 'text' }}` is compared; any other template stays as it
is, and counts as unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from .conditions import Condition, Dependency
from .job import Job

FindJob = Callable[[str], Job | None]

_NAME = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_COMPARED = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*(==|!=)\s*(?:'([^'\\]*)'|\"([^\"\\]*)\")\s*\}\}\Z")
_MARKS = ("{{", "{%", "{#")


def split_conditions(
    job: Job, shape: Callable[[Condition], dict[str, Any]], find_job: FindJob | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the conditions common to all schedules, and for each schedule those of its own.

    Args:
        shape: makes the JSON of a condition.
        find_job: gives the job of an ID; None: the params of other jobs are not known.
    """
    if not job.schedules:
        common = [
            resolved
            for cond in job.conditions
            if not (isinstance(cond, Dependency) and _is_template(cond.job_id))
            and (resolved := _resolve(cond, {}, shape, find_job)) is not None
        ]
        return common, []
    # For each condition what it comes to under each schedule; None where it is disabled.
    table = [
        [_resolve(cond, schedule.args, shape, find_job) for schedule in job.schedules]
        for cond in job.conditions
    ]
    common = [row[0] for row in table if row[0] is not None and all(x == row[0] for x in row)]
    own = [row for row in table if row[0] is None or any(x != row[0] for x in row)]
    groups = [
        {
            "schedule_args": dict(schedule.args),
            "conditions": [row[place] for row in own if row[place] is not None],
        }
        for place, schedule in enumerate(job.schedules)
    ]
    return common, groups


def _resolve(
    cond: Condition,
    args: Mapping[str, str],
    shape: Callable[[Condition], dict[str, Any]],
    find_job: FindJob | None,
) -> dict[str, Any] | None:
    if not _enabled(cond.enabled, args):
        return None
    found = shape(cond)
    if isinstance(cond, Dependency):
        job_id = _fill(cond.job_id, args)
        known = None if _is_template(job_id) else job_id
        found["resolved_job_id"] = known
        found["resolved_args"] = _resolved_args(cond, args, known, find_job)
    return found


def _resolved_args(
    cond: Dependency, args: Mapping[str, str], job_id: str | None, find_job: FindJob | None
) -> dict[str, str]:
    found = {name: _fill(text, args) for name, text in cond.args.items()}
    target = find_job(job_id) if find_job is not None and job_id is not None else None
    for param in target.params if target is not None else ():
        if param not in found:
            found[param] = args.get(param, "{{ " + param + " }}")
    return dict(sorted(found.items(), key=lambda item: (_is_template(item[1]), item[0])))


def _enabled(enabled: bool | str, args: Mapping[str, str]) -> bool:
    if isinstance(enabled, bool):
        return enabled
    compared = _COMPARED.match(enabled.strip())
    if compared is not None and compared[1] in args:
        text = compared[3] if compared[3] is not None else compared[4]
        return (args[compared[1]] == text) is (compared[2] == "==")
    said = _fill(enabled, args)
    return _is_template(said) or said not in ("", "false", "False")


def _fill(text: str, args: Mapping[str, str]) -> str:
    if "{%" in text or "{#" in text:
        return text
    return _NAME.sub(lambda match: args.get(match[1], match[0]), text)


def _is_template(text: str) -> bool:
    return any(mark in text for mark in _MARKS)
