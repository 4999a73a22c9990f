"""`callsheet checks`: what the sanity checker has found, and a round of it now."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from .local_times import local
from .shown import FORMAT, client, print_as, print_table, warn

if TYPE_CHECKING:
    from ..client.client import Client

# So long a round may take: it waits for agents, too.
ROUND_S = 120.0
LOOK_AGAIN_S = 0.25


@click.command()
@click.option("--now", "at_once", is_flag=True, help="Check everything now, and wait for it.")
@click.option("--closed", is_flag=True, help="Show what was found and is not so any more, too.")
@click.option("-v", "--verbose", is_flag=True, help="Show what to do, and the evidence.")
@FORMAT
@click.pass_context
def checks(ctx: click.Context, at_once: bool, closed: bool, verbose: bool, form: str) -> None:
    """Show what the sanity checker has found; exit 1 when there is anything.

    Findings that are for information only do not count; mistakes of the job folder do.
    """
    server = client(ctx)
    if at_once:
        _check_now(server)
    found = server.get_checks()
    folder = server.health().get("jobs") or {}
    for problem in folder.get("problems", []):
        warn(f"job folder: {problem}")
    if folder.get("different"):
        warn(f"job folder: {folder['different']} jobs differ from those in force: see the plan")
    if not print_as(form, found):
        _print(found, verbose=verbose, closed=closed)
    if folder.get("problems") or any(one["severity"] != "info" for one in found["findings"]):
        sys.exit(1)


def _check_now(server: Client) -> None:
    """Have a round made, and wait until it is over.

    Raises:
        UserError: the checker does not answer.
    """
    from ..jobs.errors import UserError

    asked = server.check_now()["asked"]
    until_s = time.monotonic() + ROUND_S
    while time.monotonic() < until_s:
        rounds = server.get_checks(limit=1)["rounds"]
        if rounds and rounds[0]["began"] >= asked:
            return
        time.sleep(LOOK_AGAIN_S)
    raise UserError(f"the checker has made no round within {ROUND_S:g} s: see the server's health")


def _print(found: dict[str, Any], *, verbose: bool, closed: bool) -> None:
    if not found["findings"]:
        at = found["checked_at"]
        click.echo(
            f"nothing found, checked {local(at)}" if at else "nothing found, not checked yet"
        )
    elif verbose:
        for one in found["findings"]:
            click.echo(f"{one['severity']}: {one['sentence']}")
            click.echo(f"  {one['check']}, since {local(one['since'])}: {one['remedy']}")
            if one["evidence"]:
                said = ", ".join(f"{name}={value}" for name, value in one["evidence"].items())
                click.echo(f"  {said}")
    else:
        rows = [
            [one["severity"], one["check"], local(one["since"]), one["sentence"]]
            for one in found["findings"]
        ]
        print_table(["severity", "check", "since", "finding"], rows)
    if closed and found["closed"]:
        rows = [
            [local(one["since"]), local(one["closed"]), one["check"], one["sentence"]]
            for one in found["closed"]
        ]
        click.echo("")
        print_table(["since", "closed", "check", "finding"], rows)
