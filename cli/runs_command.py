"""`callsheet runs`: the runs that a query means, as a table, by columns, again and again."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from .lazy import offering
from .local_times import local
from .runs_around import PAGE, runs_around_now
from .shown import COLUMNS, FORMAT, args_text, job_text, print_as, print_runs, warn
from .sources import ARCHIVE, join_terms, source

WATCH_S = 1.0
# The status of an answer that took the server's store too long.
TOO_SLOW = 503


@click.command()
@click.argument("query", nargs=-1, shell_complete=offering("terms"))
@click.option(
    "-j", "--job", "job_id", help="Only runs of this job.", shell_complete=offering("jobs")
)
@click.option("-s", "--state", help="Only runs in this state (several with commas).")
@click.option("--since", help="Only runs scheduled since then: a time, or -6h.")
@click.option("--until", help="Only runs scheduled before then.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="At most so many: the next five to come, before them those that were due last.",
)
@click.option("-t", "--times", is_flag=True, help="Show the time of each state.")
@click.option(
    "-c",
    "--columns",
    metavar="NAMES",
    help=f"What to show, with commas: {', '.join(COLUMNS)}, schedule_time, labels, agent, "
    "reason, or the name of an arg.",
)
@click.option("--count", is_flag=True, help="Only say how many there are in each state.")
@click.option("-g", "--group", is_flag=True, help="Of a run and its reruns only the last.")
@click.option("-w", "--watch", is_flag=True, help="Show the list again each second.")
@click.option(
    "--summary", is_flag=True, hidden=True, expose_value=False, help="Accepted for Apsis's sake."
)
@ARCHIVE
@FORMAT
@click.pass_context
def runs(
    ctx: click.Context,
    /,
    archive: str | None,
    form: str,
    watch: bool,
    times: bool,
    columns: str | None,
    count: bool,
    group: bool,
    **terms: Any,
) -> None:
    """List runs around now, the latest last.

    QUERY is words of a job's path and terms: state:failure label:daily date=2026-11-24.
    """
    if times:
        terms["query"] = [_span(word) for word in terms["query"]]
    shown = _columns(columns)
    if group and columns is None:
        shown = (*shown, "rerun_number")
    server = source(ctx, archive)
    while True:
        answer = _find(server, terms, terms["limit"], count=count)
        if group:
            answer["runs"] = _last_of_each(answer["runs"])
        if watch and sys.stdout.isatty():
            click.clear()
        if count:
            _print_counts(answer["counts"], form)
        else:
            _print(answer, form, shown, times=times)
        if not watch:
            return
        time.sleep(WATCH_S)


def _span(word: str) -> str:
    """Return the term of `A..B`, which Apsis takes as the value of `--times`; else the word."""
    return f"time:{word}" if ".." in word and not word.startswith(("time:", "!")) else word


def _last_of_each(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return of each chain of reruns among runs, the latest first, the latest."""
    last: dict[str, dict[str, Any]] = {}
    for run in runs:
        last.setdefault(run.get("rerun_root") or run["run_id"], run)
    return list(last.values())


def _columns(text: str | None) -> tuple[str, ...]:
    if text is None:
        return COLUMNS
    names = tuple(name for name in text.replace(" ", "").split(",") if name)
    if not names:
        raise click.BadParameter(f"{text!r}: expected names of columns with commas between")
    return names


def _find(server: Any, terms: dict[str, Any], limit: int, *, count: bool) -> dict[str, Any]:
    """Return the runs that are meant, the server's time, and how many there are in each state."""
    query = {
        "q": join_terms(terms["query"]),
        "job": terms["job_id"],
        "state": terms["state"],
        "since": terms["since"],
        "until": terms["until"],
    }
    query = {name: value for name, value in query.items() if value}
    if count:
        counted: dict[str, Any] = server.find_runs(**query, limit="1")
        return counted
    try:
        found, now = runs_around_now(server, query, limit)
    except RuntimeError as error:
        if getattr(error, "status", None) != TOO_SLOW:
            raise
        warn(f"{error}: these are the runs that were made last")
        return _made_last(server, query, limit)
    return {"runs": found, "now": now}


def _made_last(server: Any, query: dict[str, str], limit: int) -> dict[str, Any]:
    """Return the first page of the server's answer with the runs of as many pages as needed: no
    query is too much for that."""
    answer: dict[str, Any] = server.find_runs(**query, limit=str(min(limit, PAGE)))
    cursor = answer.get("next_cursor")
    while cursor and len(answer["runs"]) < limit:
        left = min(limit - len(answer["runs"]), PAGE)
        page = server.find_runs(**query, limit=str(left), cursor=cursor)
        answer["runs"] += page["runs"]
        cursor = page.get("next_cursor")
    return answer


def _print_counts(counts: dict[str, int] | None, form: str) -> None:
    if print_as(form, counts):
        return
    if counts is None:
        click.echo("too many to count in time: narrow the query")
        return
    for state, number in counts.items():
        if number:
            click.echo(f"{number:>9,}  {state}")


def _print(answer: dict[str, Any], form: str, columns: tuple[str, ...], *, times: bool) -> None:
    if print_as(form, answer["runs"]):
        return
    found = list(reversed(answer["runs"]))
    if not times:
        print_runs(found, answer.get("now"), columns)
        return
    for run in found:
        click.echo(f"{run['run_id']}  {job_text(run)}  {args_text(run['args'])}".rstrip())
        for state, at in run["times"].items():
            click.echo(f"    {state:<10} {local(at)}")
