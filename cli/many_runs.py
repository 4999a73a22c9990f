"""One deed on the runs of a query: shown first, then asked for, carried out and followed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import click

from .lazy import offering
from .shown import FORMAT, client, is_run_id, print_as, state_word, warn

# How often it is asked how far the server is; and lines of a kind that are printed.
LOOK_FIRST_S, LOOK_MOST_S = 0.1, 1.0
LINES = 20
# A server that is started again is back within a few seconds; and what one says that is not ready.
AWAY_LOOKS = 30
AWAY = 503

RUNS = click.argument("run_ids", nargs=-1, metavar="[RUN]...", shell_complete=offering("runs"))
REASON = click.option("-r", "--reason", default="", help="Why, for those who wonder.")


class Many:
    """What a command line says of the runs that are meant, and of how sure one is."""

    def __init__(
        self,
        *,
        query: str | None,
        dry_run: bool,
        yes: bool,
        expect: int | None,
        form: str,
        reason: str,
    ) -> None:
        self.query = query
        self.dry_run = dry_run
        self.yes = yes
        self.expect = expect
        self.form = form
        self.reason = reason

    def is_meant(self, run_ids: tuple[str, ...]) -> bool:
        """Return whether the deed is an operation: on a query, or only to be looked at.

        Raises:
            UsageError: neither runs nor a query are named, or both, or what is named is no run.
        """
        if (self.query is None) is (not run_ids):
            raise click.UsageError("expected runs, or --query 'QUERY'")
        for run_id in run_ids:
            if not is_run_id(run_id):
                hint = "expected its id, as r12, or a query as --query 'QUERY'"
                raise click.UsageError(f"{run_id}: no run: {hint}")
        return self.query is not None or self.dry_run


def many(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of an operation on many runs, as its argument `of`."""
    import functools

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        query: str | None,
        dry_run: bool,
        yes: bool,
        expect: int | None,
        form: str,
        reason: str,
        **rest: Any,
    ) -> Any:
        of = Many(query=query, dry_run=dry_run, yes=yes, expect=expect, form=form, reason=reason)
        return command(*args, of=of, **rest)

    options = (
        click.option("-q", "--query", help="The runs of this query.", metavar="QUERY"),
        click.option("-n", "--dry-run", is_flag=True, help="Only say what would be done."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
        click.option(
            "--expect", type=click.IntRange(1), metavar="N", help="Do it if it is about N runs."
        ),
        REASON,
        FORMAT,
    )
    found: Callable[..., Any] = wrapped
    for option in reversed(options):
        found = option(found)
    return found


def operate(ctx: click.Context, of: Many, run_ids: tuple[str, ...], deed: dict[str, Any]) -> None:
    """Look at an operation, have it confirmed, carry it out, and say what became of it.

    Ends the command with 1 when not all was done, with 2 when it is not carried out.
    """
    server = client(ctx)
    body = deed | {"reason": of.reason}
    body |= {"query": of.query} if of.query is not None else {"runs": list(run_ids)}
    seen = server.preview_operation(**body)
    quiet = of.form != "text"
    if of.dry_run and print_as(of.form, seen):
        return
    if not quiet:
        _print_preview(seen)
    if of.dry_run:
        return
    if not seen["count"]:
        if quiet:
            print_as(of.form, None)
        return
    if not _sure(of, seen):
        ctx.exit(2)
    operation = server.begin_operation(preview=seen["preview"])
    operation = follow(server, operation, quiet=quiet)
    if not print_as(of.form, operation):
        print_operation(server, operation)
    if operation["counts"]["done"] != operation["total"]:
        ctx.exit(1)


def follow(server: Any, operation: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Wait until an operation is over; on a terminal its progress is shown."""
    shown = not quiet and sys.stderr.isatty()
    wait_s = LOOK_FIRST_S
    try:
        while operation["ended"] is None:
            if shown:
                line = f"\r{operation['over']:,} of {operation['total']:,}"
                print(line, end="", file=sys.stderr, flush=True)
            time.sleep(wait_s)
            wait_s = min(wait_s * 2, LOOK_MOST_S)
            operation = _look_again(server, operation)
    except KeyboardInterrupt:
        own_id = operation["operation_id"]
        warn(f"\nthe server goes on with it: callsheet operations {own_id} [--stop]")
        raise
    if shown:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return operation


def _look_again(server: Any, operation: dict[str, Any]) -> dict[str, Any]:
    """Return an operation as it is now; while the server is away, as it was known."""
    from ..client.http import APIError, NoServer

    for left in range(AWAY_LOOKS, -1, -1):
        try:
            found: dict[str, Any] = server.get_operation(operation["operation_id"])["operation"]
        except (APIError, NoServer) as error:
            if not left or (isinstance(error, APIError) and error.status != AWAY):
                raise
            time.sleep(LOOK_MOST_S)
        else:
            return found
    raise AssertionError("the last look returns or raises")


def print_operation(server: Any, operation: dict[str, Any]) -> None:
    """Print what became of an operation, and of the runs to which it was not done."""
    counts = {outcome: count for outcome, count in operation["counts"].items() if count}
    said = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items()) or "nothing yet"
    of = "" if operation["state"] != "running" else f" of {operation['total']:,}"
    click.echo(f"{operation['operation_id']}  {operation['verb']}: {said}{of}")
    for outcome in ("refused", "changed"):
        count = counts.get(outcome, 0)
        if not count:
            continue
        rows = _rows(server, operation["operation_id"], outcome)
        for row in rows:
            click.echo(f"  {row['run_id']}  {outcome}: {row['sentence']}")
        if count > len(rows):
            click.echo(f"  … and {count - len(rows):,} more")


def _rows(server: Any, own_id: str, outcome: str) -> list[dict[str, Any]]:
    """Return the first rows of an outcome."""
    rows: list[dict[str, Any]] = []
    cursor: str | None = "0"
    while cursor is not None and len(rows) < LINES:
        page = server.get_operation(own_id, cursor=cursor, outcome=outcome)
        rows += page["runs"]
        cursor = page["next_cursor"]
    return rows[:LINES]


def _print_preview(seen: dict[str, Any]) -> None:
    count = seen["count"]
    click.echo(f"{seen['verb']} {count:,} {_runs(count)}")
    for state, number in sorted(seen["states"].items(), key=lambda item: -item[1]):
        click.echo(f"  {number:>7,}  {state_word(state)}")
    for job in seen["jobs"][:LINES]:
        click.echo(f"  {job['count']:>7,}  {job['job_id']}")
    if seen["job_count"] > LINES:
        click.echo(f"  … {seen['job_count']:,} jobs in all")
    for refusal in seen["refusals"]:
        runs = " ".join(refusal["runs"])
        more = " …" if refusal["count"] > len(refusal["runs"]) else ""
        click.echo(f"  not {refusal['count']:,}: {refusal['sentence']}  ({runs}{more})")
    for run_id in seen["missing"]:
        click.echo(f"  not {run_id}: there is no such run")
    if seen.get("downstream"):
        _print_downstream(seen["downstream"])


def _print_downstream(found: dict[str, Any]) -> None:
    for one in found["order"]:
        args = " ".join(f"{name}={value}" for name, value in sorted(one["args"].items()))
        waits = ", ".join(f"{w['job_id']} newer than {w['newer_than']}" for w in one["waits_for"])
        job = f"{one['job_id']}({args})" if args else one["job_id"]
        click.echo(f"  {one['run_id']}  {job}" + (f"  after {waits}" if waits else ""))
    for one in found["made_by_actions"]:
        click.echo(f"  {one['run_id']}  is made anew by the actions of {one['by']}")
    for one in found["not_over"]:
        click.echo(f"  {one['run_id']}  is not over, and takes the new result of {one['after']}")


def _sure(of: Many, seen: dict[str, Any]) -> bool:
    """Return whether it is to be carried out: as was said, or as is said now.

    Raises:
        UsageError: nobody can be asked.
    """
    count = seen["count"]
    if of.expect is not None and of.expect != count:
        warn(f"{count} {_runs(count)} are meant: expected {of.expect}: nothing was done")
        return False
    if of.yes or of.expect is not None:
        return True
    if not sys.stdin.isatty():
        raise click.UsageError("not at a terminal: expected --yes, --expect N or --dry-run")
    return click.confirm(f"{seen['verb']} {count:,} {_runs(count)}?", err=True)


def _runs(count: int) -> str:
    return "run" if count == 1 else "runs"


@click.command()
@click.argument("operation_id", required=False)
@click.option("--stop", is_flag=True, help="Leave alone what it has not come to.")
@click.option("-w", "--wait", is_flag=True, help="Wait until it is over.")
@FORMAT
@click.pass_context
def operations(
    ctx: click.Context, operation_id: str | None, stop: bool, wait: bool, form: str
) -> None:
    """List the operations on many runs, or say what became of one."""
    server = client(ctx)
    if operation_id is None:
        if stop or wait:
            raise click.UsageError("expected the id of an operation")
        found = server.get_operations()
        if not print_as(form, found):
            _print_list(found)
        return
    if stop:
        operation = server.stop_operation(operation_id)
    else:
        operation = server.get_operation(operation_id)["operation"]
    if wait:
        operation = follow(server, operation, quiet=form != "text")
    if not print_as(form, operation):
        print_operation(server, operation)


def _print_list(found: list[dict[str, Any]]) -> None:
    from .local_times import local
    from .shown import print_table

    rows = [
        [
            one["operation_id"],
            one["verb"],
            one["state"],
            f"{one['over']:,} of {one['total']:,}",
            local(one["begun"]),
            one["by"],
            one["query"] or "",
            one["reason"],
        ]
        for one in found
    ]
    head = ["operation", "verb", "state", "runs", "begun", "by", "query", "reason"]
    print_table(head, rows)
