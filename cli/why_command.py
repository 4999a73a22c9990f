"""`why`: why a run is as it is, or why a job has no run for a time."""

from __future__ import annotations

from typing import Any

import click

from .local_times import local
from .seen import some_lines
from .shown import args_text, client, is_run_id, print_as, state_word


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="RUN | JOB [NAME=VALUE...] --at TIME")
@click.option("--at", help="The time the run is for: a time, a date, +2h.")
@click.option("--format", "form", type=click.Choice(["text", "json", "yaml"]), default="text")
@click.pass_context
def why(ctx: click.Context, what: tuple[str, ...], at: str | None, form: str) -> None:
    """Explain a run, or why a job has no run for a time.

    Of the job's args only those given are looked at.
    """
    if at is None:
        if len(what) > 1:
            raise click.UsageError("expected one RUN, or a JOB with its args and --at TIME")
        if not is_run_id(what[0]):
            sentence = f"{what[0]!r} is no run: expected one like r1234, or a JOB with --at TIME"
            raise click.UsageError(sentence)
        query: dict[str, str | list[str]] = {"run": what[0]}
    else:
        job = [word for word in what if "=" not in word]
        args = [word for word in what if "=" in word]
        if not job:
            raise click.UsageError("expected the JOB")
        query = {"job": " ".join(job), "at": at, "arg": args}
    found = client(ctx).get("/api/v2/why", query=query)
    if print_as(form, found):
        return
    _print(found)


def _print(found: dict[str, Any]) -> None:
    args = args_text(found["args"])
    name = found["job_id"] + (f"({args})" if args else "")
    run = found.get("run")
    head = f"{found['run_id']}  {name}" if run else name
    click.echo(click.style(head, bold=True) + f"  for {local(found['schedule_time'])}")
    if run:
        click.echo(f"  {state_word(run['state'])}")
    for line in found["lines"]:
        click.echo(f"  {some_lines(line)}")
    for cond in _conditions(run or {}):
        click.echo(f"  {some_lines(cond)}")


def _conditions(run: dict[str, Any]) -> list[str]:
    """Return each condition of a run with what it comes to."""
    waits = run.get("waits_for") or []
    if waits:
        words = {True: "met", False: "not met", None: "not known"}
        return [f"{one['condition']}: {words[one['met']]}, {one['reason']}" for one in waits]
    return [f"condition: {cond['str']}" for cond in run.get("conds", [])]
