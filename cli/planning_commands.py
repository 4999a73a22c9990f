"""What will be: forecasts of runs, plans of a changed job folder, and their being carried out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .folder_commands import print_changes
from .local_times import local
from .shown import args_text, client, print_as, print_table, warn
from .sources import join_terms

if TYPE_CHECKING:
    from ..client.client import Client
    from ..jobs.job import Job
    from ..jobs.plan import Plan

RELOAD_TIMEOUT_S = 180.0
FOLDER = click.Path(path_type=Path)
CONFIG = click.option("--config", type=FOLDER, help="The settings that hold for the folder.")
# Definitions asked for at once; more parameters are refused.
HASHES_AT_ONCE = 100


@click.command()
@click.argument("query", nargs=-1)
@click.option("--from", "begin", default="now", help="From this time: now, a date, +2h, a time.")
@click.option(
    "--to",
    "end",
    help="To before this time.  [default: a day on, or as far as it goes]",
)
@click.option("--jobs", "folder", type=FOLDER, help="Forecast a job folder, without a server.")
@CONFIG
@click.option("--format", "form", type=click.Choice(["text", "json", "yaml"]), default="text")
@click.pass_context
def forecast(
    ctx: click.Context,
    query: tuple[str, ...],
    begin: str,
    end: str | None,
    folder: Path | None,
    config: Path | None,
    form: str,
) -> None:
    """Say which runs the schedules name, of all jobs or of those that QUERY means.

    QUERY is words of a job's path and terms: label:daily date=2026-11-24.
    """
    if folder is None:
        terms = {"q": join_terms(query), "from": begin, "to": end or ()}
        answer = client(ctx).get("/api/v2/forecast", query=terms)
        found, upto = answer["forecast"], answer["to"]
    else:
        found, upto = _forecast_folder(query, begin, end, folder, config)
    if end is None:
        click.echo(f"{len(found)} runs to before {local(upto)}", err=True)
    if print_as(form, found):
        return
    rows = [
        [local(one["schedule_time"]), one["job_id"], args_text(one["args"]), _remark(one)]
        for one in found
    ]
    head = ["time", "job_id", "args", "remark"]
    columns = 4 if any(row[3] for row in rows) else 3
    print_table(head[:columns], [row[:columns] for row in rows])


def _remark(one: dict[str, Any]) -> str:
    """Return what a blackout makes of a run, empty for nothing."""
    if one.get("left_out"):
        return f"left out: {one['left_out']}"
    return f"not before {local(one['not_before'])}" if one.get("not_before") else ""


def _forecast_folder(
    query: tuple[str, ...], begin: str, end: str | None, folder: Path, config: Path | None
) -> tuple[list[dict[str, Any]], str]:
    from ..jobs.forecast import forecast_ahead
    from ..jobs.times import DAY_S, SECOND_US, format_time
    from .offline import instant_of, keeper, matching_jobs, read_folder

    read = read_folder(folder, config)
    wanted, keep = keeper(query)
    jobs = matching_jobs(read.jobs, wanted.matches_job)
    from_us = instant_of(begin)
    to_us = from_us + DAY_S * SECOND_US if end is None else instant_of(end)
    whole = end is not None
    found, upto_us = forecast_ahead(jobs, from_us, to_us, read.calendars, keep=keep, whole=whole)
    rows = []
    for one in found:
        row = {"job_id": one.job_id, "args": one.args, "schedule_time": format_time(one.at_us)}
        if one.left_out:
            row["left_out"] = one.left_out
        if one.until_us is not None:
            row["not_before"] = format_time(one.until_us)
        rows.append(row)
    return rows, format_time(upto_us)


@click.command()
@click.option("--jobs", "folder", type=FOLDER, help="The new job folder (default: the server's).")
@click.option("--against", type=FOLDER, help="The old job folder, instead of a running server.")
@click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True)
@CONFIG
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "yaml", "markdown"]),
    default="text",
    help="How to print. A plan kept as JSON can be carried out: see apply.",
)
@click.pass_context
def plan(
    ctx: click.Context,
    folder: Path | None,
    against: Path | None,
    days: int,
    config: Path | None,
    form: str,
) -> None:
    """Say what a changed job folder would change: jobs, and runs of the coming days.

    Nothing is changed. Against a running server it also names runs that wait now.
    """
    if folder is None and against is not None:
        raise click.UsageError("--against needs --jobs: expected the new folder")
    if folder is None:
        found = client(ctx).get(
            "/api/v2/plan", query={"days": str(days)}, timeout_s=RELOAD_TIMEOUT_S
        )
        _print_plan(found, form)
        return
    from ..jobs.plan_words import plan_data, plan_markdown, plan_text

    made = _make(client(ctx) if against is None else None, folder, against, days, config)
    if not print_as(form, plan_data(made)):
        click.echo(plan_markdown(made) if form == "markdown" else plan_text(made, _local_us))


def _print_plan(found: dict[str, Any], form: str) -> None:
    """Print a plan that the server has made."""
    if print_as(form, found):
        return
    from ..jobs.plan_words import plan_from_data, plan_markdown, plan_text

    made = plan_from_data(found)
    click.echo(plan_markdown(made) if form == "markdown" else plan_text(made, _local_us))
    if not found["complete"]:
        warn("the change is too large for the server to say what becomes of the runs")


def _make(
    server: Client | None, folder: Path, against: Path | None, days: int, config: Path | None
) -> Plan:
    """Make the plan from one folder, or from what a server has in force, to another folder."""
    import msgspec

    from ..jobs.plan import WaitingRun, make_plan, plan_id
    from .offline import now_us, read_folder

    new = read_folder(folder, config)
    waiting: list[WaitingRun] = []
    if server is None:
        assert against is not None, "without a server there is another folder"
        old = read_folder(against, config)
        hashes, before = old.hashes, old.jobs
    else:
        answer = server.get("/api/v2/definitions")
        hashes = answer["jobs"]
        gone = [hash_ for job_id, hash_ in hashes.items() if new.hashes.get(job_id) != hash_]
        before = _definitions(server, gone)
        waiting = msgspec.convert(answer["waiting"], list[WaitingRun])
    after = {
        job_id: job for job_id, job in new.jobs.items() if hashes.get(job_id) != new.hashes[job_id]
    }
    before = {
        job_id: job for job_id, job in before.items() if hashes[job_id] != new.hashes.get(job_id)
    }
    id_ = plan_id(hashes, new.hashes)
    return make_plan(id_, before, after, now_us(), days, new.calendars, waiting)


def _definitions(server: Client, hashes: list[str]) -> dict[str, Job]:
    """Return jobs in force by id, asked for by their definitions' hashes."""
    import msgspec

    from ..jobs.job import Job

    found: dict[str, Job] = {}
    for place in range(0, len(hashes), HASHES_AT_ONCE):
        part = hashes[place : place + HASHES_AT_ONCE]
        answer = server.get("/api/v2/definitions", query={"hash": part})
        for data in answer["definitions"].values():
            job = msgspec.convert(data, Job)
            found[job.job_id] = job
    return found


@click.command()
@click.argument("file", type=FOLDER, required=False)
@click.option("--plan", "plan_id", help="The plan's id, instead of a file.")
@click.option("--format", "form", type=click.Choice(["text", "json", "yaml"]), default="text")
@click.pass_context
def apply(ctx: click.Context, file: Path | None, plan_id: str | None, form: str) -> None:
    """Carry out a plan: have the server load its folder, if the plan still holds.

    FILE is what `plan --format json` printed. The plan is refused when other jobs have come into
    force since it was made, or when the server's folder holds other jobs than it was made for.
    """
    if (file is None) is (plan_id is None):
        raise click.UsageError("expected a FILE with a plan, or --plan ID")
    if file is not None:
        plan_id = _id_in(file)
    found = client(ctx).reload_jobs(plan=plan_id)
    if print_as(form, found):
        return
    print_changes(found)


def _id_in(file: Path) -> str:
    from ..jobs.errors import UserError

    try:
        found = json.loads(file.read_text())
        id_ = found["id"]
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}: expected a plan") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{file}: expected what `plan --format json` printed") from None
    if not isinstance(id_, str) or not id_:
        raise UserError(f"{file}: id: expected the id of a plan")
    return id_


def _local_us(at_us: int) -> str:
    from ..jobs.times import format_time

    return local(format_time(at_us))
