"""The commands that only look: jobs, runs, agents, checks."""

from __future__ import annotations

from typing import Any

import click

from .lazy import offering
from .local_times import local
from .runs_around import runs_around_now
from .seen import one_line, some_lines
from .shown import (
    FORMAT,
    args_text,
    client,
    elapsed_s,
    elapsed_text,
    job_text,
    print_agents,
    print_as,
    print_table,
    state_word,
)
from .sources import ARCHIVE, source

# Of the other runs of a run's job and args the newest are shown.
OTHERS = 20


@click.command()
@click.option("--label", help="Only jobs with this label.")
@FORMAT
@click.pass_context
def jobs(ctx: click.Context, label: str | None, form: str) -> None:
    """List the jobs."""
    found = client(ctx).get_jobs(label=label)
    if print_as(form, found):
        return
    rows = [
        [
            job["job_id"],
            f"({', '.join(job['params'])})" if job["params"] else "",
            " ".join(job["metadata"].get("labels", [])),
            "; ".join(schedule["str"] for schedule in job["schedule"]),
        ]
        for job in sorted(found, key=lambda job: job["job_id"])
    ]
    print_table(["job_id", "params", "labels", "schedule"], rows)


@click.command()
@click.argument("job_id", nargs=-1, required=True, shell_complete=offering("jobs"))
@FORMAT
@click.pass_context
def job(ctx: click.Context, job_id: tuple[str, ...], form: str) -> None:
    """Show a job; its id may be shortened as long as it is clear."""
    found = client(ctx).get_job(" ".join(job_id))
    if print_as(form, found):
        return
    click.echo(click.style(job_text(found), bold=True))
    description = found["metadata"].get("description")
    if description:
        click.echo(f"\n{description.strip()}\n")
    for title, key in (
        ("schedule", "schedule"),
        ("program", "program"),
        ("condition", "condition"),
        ("action", "action"),
    ):
        things = found[key] if isinstance(found[key], list) else [found[key]]
        for number, thing in enumerate(things):
            click.echo(f"{'' if number else title:<10} {thing['str']}")
    click.echo(f"{'params':<10} {', '.join(found['params']) or '–'}")
    click.echo(f"{'labels':<10} {', '.join(found['metadata'].get('labels', [])) or '–'}")


@click.command()
@click.argument(
    "run_ids", nargs=-1, required=True, metavar="RUN...", shell_complete=offering("runs")
)
@click.option("-v", "--verbose", is_flag=True, help="Show times, results and the log too.")
@ARCHIVE
@FORMAT
@click.pass_context
def run(
    ctx: click.Context, run_ids: tuple[str, ...], verbose: bool, archive: str | None, form: str
) -> None:
    """Show runs."""
    server = source(ctx, archive)
    for run_id in run_ids:
        found = server.get_run(run_id)
        if print_as(form, found):
            continue
        print_run(found, reason_of(server, found))
        if archive is None:
            _print_chain(server.get_reruns(run_id)["runs"], run_id)
        if verbose:
            for name, at in found["times"].items():
                click.echo(f"  {name:<10} {local(at)}")
            for entry in server.get_run_log(run_id):
                click.echo(f"  {local(entry['timestamp'])}  {some_lines(entry['message'])}")
            _print_others(server, found)


def _print_chain(chain: list[dict[str, Any]], run_id: str) -> None:
    """Print the chain of reruns that a run is in, if there is any, its first run first."""
    if len(chain) < 2:
        return
    click.echo("  reruns:")
    for run in chain:
        number = f"rerun {run['rerun_number']}" if "rerun_of" in run else "first"
        here = "*" if run["run_id"] == run_id else " "
        start = local(run["times"].get("running") or run["schedule_time"])
        click.echo(f"  {here} {run['run_id']:<10} {number:<9} {state_word(run['state'])}  {start}")


def _print_others(server: Any, found: dict[str, Any]) -> None:
    """Print the other runs of the same job and args around now, the latest last."""
    named = [f"{name}={value}" for name, value in found["args"].items()]
    runs, _ = runs_around_now(server, {"job": found["job_id"], "arg": named}, OTHERS)
    others = [
        run
        for run in reversed(runs)
        if run["run_id"] != found["run_id"] and run["args"] == found["args"]
    ]
    if others:
        click.echo("  other runs of the same:")
    for run in others:
        start = run["times"].get("running") or run["schedule_time"]
        click.echo(f"    {run['run_id']:<10} {state_word(run['state'])}  {local(start)}")


def reason_of(server: Any, found: dict[str, Any]) -> str:
    """Return why a run came to a bad end, by its log; empty where there is nothing to say."""
    state = found["state"]
    if state not in ("failure", "error", "skipped"):
        return ""
    said = [entry["message"] for entry in server.get_run_log(found["run_id"])]
    ends = [line.removeprefix(f"{state}: ") for line in said if line.startswith(f"{state}: ")]
    return ends[-1] if ends else ""


def print_run(found: dict[str, Any], reason: str = "") -> None:
    """Print a run in a few lines; `reason` is why it came to a bad end."""
    head = f"{found['run_id']}  {job_text(found, args_text(found['args']))}"
    click.echo(click.style(head, bold=True))
    seconds = elapsed_s(found)
    took = f" after {elapsed_text(seconds)}" if seconds is not None else ""
    click.echo(f"  {state_word(found['state'])}{took}, for {local(found['times'].get('schedule'))}")
    if reason:
        click.echo(f"  reason: {some_lines(reason)}")
    if found.get("program"):
        click.echo(f"  program: {some_lines(found['program']['str'])}")
    for cond in found.get("conds", []):
        click.echo(f"  condition: {some_lines(cond['str'])}")
    for name, value in found.get("results", {}).items():
        click.echo(f"  result: {name}={one_line(value)}")


@click.command()
@FORMAT
@click.pass_context
def agents(ctx: click.Context, form: str) -> None:
    """List the agents."""
    found = client(ctx).get("/api/v2/agents")
    if print_as(form, found):
        return
    print_agents(found["agents"])
