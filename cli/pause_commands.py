"""The commands that pause what schedules make, end that, and list it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from .lazy import offering
from .local_times import local
from .shown import FORMAT, client, print_as, print_table, warn


def what(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say what it is about."""
    options = (
        click.option("-j", "--job", help="This job.", shell_complete=offering("jobs")),
        click.option("--folder", help="The jobs below this folder."),
        click.option("--label", help="The jobs with this label."),
        click.option("--all", "everything", is_flag=True, help="All jobs."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _what(
    job: str | None, folder: str | None, label: str | None, *, everything: bool
) -> dict[str, str]:
    given = {"job": job, "folder": folder, "label": label, "all": "" if everything else None}
    named = {kind: name for kind, name in given.items() if name is not None}
    if len(named) != 1:
        raise click.UsageError("expected one of --job, --folder, --label, --all")
    [(kind, name)] = named.items()
    return {"kind": kind, "name": name}


@click.command()
@what
@click.option("-r", "--reason", default="", help="Why, for those who wonder.")
@click.option("--until", help="Resume by itself then: a time, or +2h.")
@FORMAT
@click.pass_context
def pause(
    ctx: click.Context,
    job: str | None,
    folder: str | None,
    label: str | None,
    everything: bool,
    reason: str,
    until: str | None,
    form: str,
) -> None:
    """Skip the runs that schedules make of a job, a folder, a label or all, from now on.

    Each is recorded as skipped when it is due, with who has paused it and why. Runs that people
    or actions ask for still start.
    """
    body = _what(job, folder, label, everything=everything) | {"reason": reason}
    server = client(ctx)
    _print(server.pause(**body, until=until), form)
    if (folder or label) and not any(
        one["job_id"].startswith(f"{(folder or '').strip('/')}/") or label in one["labels"]
        for one in server.get("/api/v2/jobs")["jobs"]
    ):
        warn(f"no job is in folder {folder}" if folder else f"no job has the label {label}")


@click.command()
@what
@FORMAT
@click.pass_context
def resume(
    ctx: click.Context,
    job: str | None,
    folder: str | None,
    label: str | None,
    everything: bool,
    form: str,
) -> None:
    """End a pause."""
    _print(client(ctx).resume(**_what(job, folder, label, everything=everything)), form)


@click.command()
@FORMAT
@click.pass_context
def pauses(ctx: click.Context, form: str) -> None:
    """List what is paused, since when, until when, by whom and why."""
    _print(client(ctx).get("/api/v2/pauses"), form)


def _print(found: dict[str, Any], form: str) -> None:
    if print_as(form, found["pauses"]):
        return
    if not found["pauses"]:
        click.echo("nothing is paused")
        return
    rows = [
        [one["what"], local(one["since"]), local(one["until"]), one["by"], one["reason"]]
        for one in found["pauses"]
    ]
    print_table(["paused", "since", "until", "by", "reason"], rows)
