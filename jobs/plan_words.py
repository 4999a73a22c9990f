"""A plan for people: as data, as text, and as Markdown for pull requests. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from .plan import JobChange, Plan, RunChange, WaitingRun
from .times import format_time, parse_time
from .words import instance_words

# Runs of a job that are named in text; the rest is counted.
RUNS_NAMED = 10
SIGNS = {"added": "+", "removed": "-", "changed": "~"}
RUN_SIGNS = {"appears": "+", "vanishes": "-", "moves": ">"}


def plan_data(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain data, whole."""
    return {
        "id": plan.id,
        "from": format_time(plan.from_us),
        "to": format_time(plan.to_us),
        "jobs": [
            {
                "job_id": job.job_id,
                "what": job.what,
                "parts": list(job.parts),
                "kept": job.kept,
                "more": job.more,
            }
            for job in plan.jobs
        ],
        "runs": [
            {
                "what": run.what,
                "job_id": run.job_id,
                "args": run.args,
                "schedule_time": format_time(run.at_us),
            }
            | ({} if run.to_us is None else {"moves_to": format_time(run.to_us)})
            for run in plan.runs
        ],
        "waiting": [
            {"run_id": run.run_id, "job_id": run.job_id, "args": run.args} for run in plan.waiting
        ],
    }


def plan_from_data(data: dict[str, Any]) -> Plan:
    """Return the plan of which `plan_data` made this."""
    return Plan(
        id=data["id"],
        from_us=parse_time(data["from"]),
        to_us=parse_time(data["to"]),
        jobs=msgspec.convert(data["jobs"], tuple[JobChange, ...]),
        runs=tuple(
            RunChange(
                what=run["what"],
                job_id=run["job_id"],
                args=run["args"],
                at_us=parse_time(run["schedule_time"]),
                to_us=parse_time(run["moves_to"]) if "moves_to" in run else None,
            )
            for run in data["runs"]
        ),
        waiting=msgspec.convert(data["waiting"], tuple[WaitingRun, ...]),
    )


def plan_text(plan: Plan, local: Callable[[int], str] = format_time) -> str:
    """Return a plan as lines for a terminal; `local` gives the text of an instant."""
    lines = [f"plan {plan.id}: {_summary(plan)}"]
    for job in plan.jobs:
        lines.append(f"{SIGNS[job.what]} {job.job_id}{_detail(job)}")
    if plan.runs:
        lines.append(f"runs from {local(plan.from_us)} to {local(plan.to_us)}:")
        for run, rest in _named(plan.runs):
            lines.append(f"  {RUN_SIGNS[run.what]} {_run_words(run, local)}")
            if rest:
                lines.append(f"    and {rest} more of {run.job_id}")
    if plan.waiting:
        lines.append("runs that wait now and stay as they were bound:")
        lines += [f"  {run.run_id}  {instance_words(run.job_id, run.args)}" for run in plan.waiting]
    return "\n".join(lines)


def plan_markdown(plan: Plan, local: Callable[[int], str] = format_time) -> str:
    """Return a plan in Markdown."""
    lines = [f"### Jobs: {_summary(plan)}", "", f"Plan `{plan.id}`"]
    if plan.jobs:
        lines += ["", "| | job | what changes |", "|---|---|---|"]
        lines += [
            f"| {job.what} | {_code(job.job_id)} | {_cell(_detail(job).lstrip(': '))} |"
            for job in plan.jobs
        ]
    if plan.runs:
        lines += ["", f"Runs from {local(plan.from_us)} to {local(plan.to_us)}:", ""]
        for run, rest in _named(plan.runs):
            words = _run_words(run, local)
            lines.append(f"- {run.what}: {_code(words)}")
            if rest:
                lines.append(f"- … and {rest} more of {_code(run.job_id)}")
    if plan.waiting:
        lines += ["", "Runs that wait now and stay as they were bound:", ""]
        lines += [
            f"- {run.run_id} {_code(instance_words(run.job_id, run.args))}" for run in plan.waiting
        ]
    return "\n".join(lines)


# --- inside -------------------------------------------------------------------------------------


def _summary(plan: Plan) -> str:
    if not plan.jobs:
        return "no changes"
    words = [f"{len(found)} {what}" for what in SIGNS if (found := plan.of(what))]
    return ", ".join(words)


def _detail(job: JobChange) -> str:
    parts = ", ".join(job.parts)
    if job.what == "changed" and job.parts == ("metadata",):
        return f": {parts}; its runs stay as they are"
    kept = f"{job.kept} runs stay at their time and are bound anew" if job.kept else ""
    more = "only its first runs were looked at" if job.more else ""
    said = "; ".join(filter(None, (parts, kept, more)))
    return f": {said}" if said else ""


def _named(runs: Sequence[RunChange]) -> Iterator[tuple[RunChange, int]]:
    """Yield the runs to be named, with the count of those left out after the last of their job."""
    counts: dict[str, int] = {}
    for run in runs:
        counts[run.job_id] = counts.get(run.job_id, 0) + 1
    seen: dict[str, int] = {}
    for run in runs:
        number = seen[run.job_id] = seen.get(run.job_id, 0) + 1
        if number <= RUNS_NAMED:
            last = number == RUNS_NAMED
            yield run, counts[run.job_id] - RUNS_NAMED if last else 0


def _run_words(run: RunChange, local: Callable[[int], str]) -> str:
    moved = "" if run.to_us is None else f" → {local(run.to_us)}"
    return f"{local(run.at_us)}{moved}  {instance_words(run.job_id, run.args)}"


def _code(text: str) -> str:
    """Return text that Markdown shows as it is; a name may hold whatever a file's may."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{_cell(text)}{fence}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
