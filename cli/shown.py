"""How runs and jobs look on a terminal: states, spans, tables. Plain text; colour only there."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

import click

from .local_times import local
from .seen import cell as cell_seen
from .seen import one_line, width

SYMBOLS = {
    "new": ".",
    "scheduled": "O",
    "waiting": "|",
    "starting": "›",
    "running": "»",
    "stopping": "≯",
    "success": "+",
    "failure": "X",
    "error": "!",
    "skipped": "-",
}
# The id of a run, as against a query or the id of a job.
_RUN_ID = re.compile("r[0-9]+")
# A run in one of these is over.
OVER = ("success", "failure", "error", "skipped")
COLOURS = {
    "running": "blue",
    "starting": "blue",
    "stopping": "blue",
    "waiting": "yellow",
    "success": "green",
    "failure": "red",
    "error": "magenta",
    "skipped": "bright_black",
    "scheduled": "bright_black",
}


def is_run_id(word: str) -> bool:
    """Whether a word is the id of a run, be there such a run or not."""
    return _RUN_ID.fullmatch(word) is not None


def client(ctx: click.Context) -> Any:
    """Return a client of the server that the options name."""
    from ..client.client import Client

    host, port = ctx.find_root().obj or (None, None)
    return Client(host, port)


FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "yaml"]),
    default="text",
    help="How to print.",
)


def print_json(value: Any) -> None:
    """Print a value as JSON, indented by two."""
    click.echo(json.dumps(value, indent=2))


def print_as(form: str, value: Any) -> bool:
    """Print a value as it is, in JSON or as a document of YAML; False, and nothing, else."""
    if form == "json":
        print_json(value)
    elif form == "yaml":
        import yaml

        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, explicit_start=True)
        click.echo(text, nl=False)
    return form in ("json", "yaml")


def state_word(state: str) -> str:
    """Return a state with its symbol, in its colour on a terminal."""
    return click.style(f"{SYMBOLS.get(state, '?')} {state}", fg=COLOURS.get(state))


def args_text(args: dict[str, str]) -> str:
    """Return args as `name=value` words."""
    return one_line(" ".join(f"{name}={value}" for name, value in sorted(args.items())))


def job_text(of: dict[str, Any], args: str = "") -> str:
    """Return the job id of a run or a job with `args` in brackets, marked when it is no file's."""
    job_id: str = of["job_id"]
    return job_id + (f"({args})" if args else "") + (" (ad hoc)" if of.get("ad_hoc") else "")


def elapsed_text(seconds: float | None) -> str:
    """Return `m:ss`, `h:mm:ss` or `d:hh:mm:ss`; empty for None."""
    if seconds is None:
        return ""
    whole = int(seconds)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}:{hour:02}:{minute:02}:{second:02}"
    if hours:
        return f"{hour}:{minute:02}:{second:02}"
    return f"{minute}:{second:02}"


def elapsed_s(run: dict[str, Any], now: str | None = None) -> float | None:
    """Return how long a run ran, or has been running by the server's clock."""
    from datetime import datetime

    times = run.get("times") or run.get("timestamps") or {}
    began = times.get("running")
    if began is None:
        return None
    # What became of a lost run may be found yet: only while it is lost was that its end.
    over = ("success", "failure", "error") + ("lost",) * (run.get("state") == "lost")
    ends = [times[s] for s in over if s in times]
    end = max(ends) if ends else now
    if end is None:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(began)).total_seconds()


def print_table(head: list[str], rows: list[list[str]]) -> None:
    """Print a table, a line for each row, aligned by what is seen (colours count for nothing)."""
    rows = [[cell_seen(cell) for cell in row] for row in rows]
    taken = [[width(click.unstyle(cell)) for cell in row] for row in rows]
    columns = zip(map(len, head), *taken, strict=True)
    widths = [max(span for span in column if span <= WIDEST) for column in columns]
    line = "  ".join(cell.ljust(wide) for cell, wide in zip(head, widths, strict=True))
    lines = [click.style(line.rstrip(), bold=True)]
    for row, spans in zip(rows, taken, strict=True):
        cells = [
            cell + " " * max(0, wide - span)
            for cell, span, wide in zip(row, spans, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    # In one go: each echo is a write of its own, and a forecast has many lines.
    click.echo("\n".join(lines))


def print_agents(agents: list[dict[str, Any]]) -> None:
    """Print a table of agents, as the API has them."""
    rows = [
        [
            agent["agent_id"],
            agent["group_id"],
            agent["state"],
            agent["hostname"] or "?",
            str(agent["live"]) + (f"/{agent['slots']}" if agent["slots"] else ""),
            ",".join(agent["labels"]),
        ]
        for agent in agents
    ]
    print_table(["agent", "group", "state", "host", "live", "labels"], rows)


# A longer cell moves the rest of its own row to the right, instead of that of all rows.
WIDEST = 200
# Fields that not every run has.
SOMETIMES = {"stop_time", "not_before", "rerun_of", "rerun_root", "rerun_number", "reruns"}
SOMETIMES |= {"rescheduled_from", "backfill", "awaits_turn", "ad_hoc", "stop_asked", "priority"}
SOMETIMES |= {"missed", "start", *SYMBOLS}
COLUMNS = ("run_id", "state", "start", "elapsed", "job_id", "args")


def print_runs(
    runs: list[dict[str, Any]], now: str | None = None, columns: Sequence[str] = COLUMNS
) -> None:
    """Print a table of runs, in the order given.

    Args:
        now: the server's time, up to which what runs has been running.
        columns: those of `COLUMNS`, fields of the run's JSON, or names of args.
    """
    rows = [[_cell(run, column, now) for column in columns] for run in runs]
    print_table(list(columns), rows)
    known = SOMETIMES.union(*({*run, *run["args"]} for run in runs))
    for column in columns if runs else ():
        if column not in known:
            warn(f"column {column!r}: no field of runs, and none of these has such an arg")


def _cell(run: dict[str, Any], column: str, now: str | None) -> str:
    times = run.get("times") or run.get("timestamps") or {}
    match column:
        case "state":
            return state_word(run["state"])
        case "start":
            return local(times.get("running") or run.get("schedule_time") or times.get("schedule"))
        case "elapsed":
            return elapsed_text(elapsed_s(run, now))
        case "job_id":
            return job_text(run)
        case "args":
            return args_text(run["args"])
    value = run["args"].get(column) if column in run["args"] else run.get(column, times.get(column))
    if column.endswith("_time") or column in times:
        return local(value)
    if isinstance(value, list):
        value = " ".join(map(str, value))
    return "" if value is None else one_line(str(value))


def warn(sentence: str) -> None:
    """Say something to the person, not to the pipe."""
    print(sentence, file=sys.stderr)
