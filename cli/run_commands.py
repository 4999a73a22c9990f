"""The commands that act on runs: schedule, start, skip, stop, signal, mark, rerun, hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import click

from .lazy import offering
from .look_commands import print_run, reason_of
from .many_runs import RUNS, Many, many, operate
from .shown import FORMAT, client, print_as, state_word, warn

MARKABLE = ("success", "failure", "error", "skipped")


def when(text: str) -> str:
    """Return TIME as the API takes it: `now`, a time, `+10m` from now, or the next `HH:MM[:SS]`.

    A daytime is that of this machine's zone.
    """
    from ..jobs.errors import UserError
    from ..jobs.times import format_time, parse_daytime, parse_duration, parse_time

    if text == "now":
        return text
    if text.startswith("+"):
        now_us = round(datetime.now().timestamp() * 1e6)  # noqa: DTZ005 - an epoch time
        return format_time(now_us + parse_duration(text[1:]))
    if re.match(r"\d{1,2}:\d{2}(:\d{2})?$", text):
        now = datetime.now().astimezone()
        day = now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        at = day + timedelta(seconds=parse_daytime(text))
        if at.astimezone() <= now:
            at += timedelta(days=1)
        return at.astimezone().isoformat()
    if not text[:1].isdigit():
        expected = "expected now, +10m, 18:30 or a form like 2024-01-02T03:04:05Z"
        raise UserError(f"time {text!r}: {expected}")
    return format_time(parse_time(text))


def args_of(words: tuple[str, ...]) -> dict[str, str]:
    """Return NAME=VALUE words as args."""
    args: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{word!r}: expected NAME=VALUE")
        if args.get(name, value) != value:
            raise click.BadParameter(f"{word!r}: {name} is given as {args[name]!r} too")
        args[name] = value
    return args


def _print_new(server: Any, found: Any, form: str) -> None:
    for one in found if isinstance(found, list) else [found]:
        if not print_as(form, one):
            print_run(one, reason_of(server, one))


@click.command()
@click.argument("time")
@click.argument("job_id", shell_complete=offering("jobs"))
@click.argument("args", nargs=-1, metavar="[NAME=VALUE]...", shell_complete=offering("args_of_job"))
@click.option("--count", type=click.IntRange(1, 10_000), help="Schedule so many of them.")
@click.option("--stop-time", help="Stop them then: a time, or a duration after TIME.")
@FORMAT
@click.pass_context
def schedule(
    ctx: click.Context,
    time: str,
    job_id: str,
    args: tuple[str, ...],
    count: int | None,
    stop_time: str | None,
    form: str,
) -> None:
    """Schedule a run of a job.

    TIME is `now`, `+10m`, `HH:MM:SS` (the next one) or a full time with a zone.
    """
    server = client(ctx)
    found = server.schedule(job_id, args_of(args), when(time), count=count, stop_time=stop_time)
    _print_new(server, found, form)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("time")
@click.argument("command", nargs=-1, required=True)
@click.option("--shell", is_flag=True, help="Run it by a shell.")
@FORMAT
@click.pass_context
def adhoc(ctx: click.Context, time: str, command: tuple[str, ...], shell: bool, form: str) -> None:
    """Run a command once, without a job file."""
    server = client(ctx)
    if shell:
        found = server.schedule_shell_program(when(time), " ".join(command))
    else:
        found = server.schedule_program(when(time), list(command))
    _print_new(server, found, form)


@click.command()
@RUNS
@click.option(
    "--definition",
    type=click.Choice(("new", "old")),
    default="new",
    show_default=True,
    help="By the job as it is now, or as it was when the run was bound to it.",
)
@click.option("-a", "--args", "changes", multiple=True, metavar="NAME=VALUE", help="Another arg.")
@click.option("--downstream", is_flag=True, help="And what ran because of it, in order.")
@many
@click.pass_context
def rerun(
    ctx: click.Context,
    run_ids: tuple[str, ...],
    definition: str,
    changes: tuple[str, ...],
    *,
    downstream: bool,
    of: Many,
) -> None:
    """Run again what runs ran."""
    args = args_of(changes)
    if of.is_meant(run_ids) or downstream:
        deed = {"verb": "rerun", "definition": definition, "args": args, "downstream": downstream}
        operate(ctx, of, run_ids, deed)
        return
    server = client(ctx)

    def act(run_id: str) -> None:
        body = {"definition": definition, "args": args, "reason": of.reason}
        made = server.operate(run_id, "rerun", **body)["runs"]
        _print_new(server, [server.get_run(run["run_id"]) for run in made], of.form)

    if not _in_turn(run_ids, act):
        ctx.exit(1)


def _each(ctx: click.Context, run_ids: tuple[str, ...], of: Many, verb: str, **body: Any) -> None:
    """Act on every run; go on after a refusal, and fail at the end if there was one."""
    if of.is_meant(run_ids):
        operate(ctx, of, run_ids, {"verb": verb, **body})
        return
    server = client(ctx)
    found = []

    def act(run_id: str) -> None:
        run = server.operate(run_id, verb, **body, reason=of.reason)["run"]
        found.append(run)
        if of.form == "text":
            click.echo(f"{run_id}  {state_word(run['state'])}")

    is_done = _in_turn(run_ids, act)
    print_as(of.form, found)
    if not is_done:
        ctx.exit(1)


def _in_turn(run_ids: tuple[str, ...], act: Callable[[str], None]) -> bool:
    """Do something to one run after the other, and tell what is refused, which keeps none of the
    others; return whether nothing was."""
    from ..client.http import APIError

    is_done = True
    for run_id in run_ids:
        try:
            act(run_id)
        except APIError as error:
            is_done = False
            said = error.error if run_id in error.error else f"{run_id}: {error.error}"
            warn(f"Error: {said} [API status: {error.status}]")
    return is_done


@click.command()
@RUNS
@many
@click.pass_context
def start(ctx: click.Context, run_ids: tuple[str, ...], of: Many) -> None:
    """Start scheduled runs now, or waiting ones without their conditions."""
    _each(ctx, run_ids, of, "start")


@click.command()
@RUNS
@many
@click.pass_context
def skip(ctx: click.Context, run_ids: tuple[str, ...], of: Many) -> None:
    """Skip scheduled or waiting runs."""
    _each(ctx, run_ids, of, "skip")


@click.command()
@RUNS
@many
@click.pass_context
def stop(ctx: click.Context, run_ids: tuple[str, ...], of: Many) -> None:
    """Stop running runs by their stop signal, and by SIGKILL after their grace period."""
    _each(ctx, run_ids, of, "stop")


@click.command()
@RUNS
@many
@click.pass_context
def kill(ctx: click.Context, run_ids: tuple[str, ...], of: Many) -> None:
    """Kill the processes of runs at once."""
    _each(ctx, run_ids, of, "kill")


@click.command()
@RUNS
@many
@click.pass_context
def hold(ctx: click.Context, run_ids: tuple[str, ...], of: Many) -> None:
    """Hold scheduled or waiting runs until they are released."""
    _each(ctx, run_ids, of, "hold")


@click.command()
@RUNS
@many
@click.pass_context
def release(ctx: click.Context, run_ids: tuple[str, ...], of: Many) -> None:
    """Release held runs."""
    _each(ctx, run_ids, of, "release")


@click.command()
@click.argument("time")
@RUNS
@click.option("--stop-time", help="And their scheduled stop: a time, as TIME.")
@many
@click.pass_context
def reschedule(
    ctx: click.Context, time: str, run_ids: tuple[str, ...], stop_time: str | None, of: Many
) -> None:
    """Put scheduled or waiting runs to another time.

    TIME is `now`, `+10m`, `HH:MM:SS` (the next one) or a full time with a zone.
    """
    body = {"time": when(time)}
    if stop_time is not None:
        body["stop_time"] = when(stop_time)
    _each(ctx, run_ids, of, "reschedule", **body)


@click.command("signal")
@click.argument("signal")
@RUNS
@many
@click.pass_context
def send_signal(ctx: click.Context, signal: str, run_ids: tuple[str, ...], of: Many) -> None:
    """Send a signal, by name or number, to the processes of runs."""
    _each(ctx, run_ids, of, "signal", signal=signal)


@click.command()
@click.argument("state")
@RUNS
@many
@click.pass_context
def mark(ctx: click.Context, state: str, run_ids: tuple[str, ...], of: Many) -> None:
    """Force finished runs into another finished state; STATE may be shortened."""
    found = [name for name in MARKABLE if state and name.startswith(state)]
    if len(found) != 1:
        raise click.BadParameter(f"{state!r}: expected one of {', '.join(MARKABLE)}")
    _each(ctx, run_ids, of, "mark", state=found[0])
