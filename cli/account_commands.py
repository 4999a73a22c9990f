"""`callsheetctl audit`: what became of every nominal run, worked out again from definitions."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .database_commands import CONFIG, DATABASE, database_there
from .shown import args_text, warn

if TYPE_CHECKING:
    from ..jobs.accounts import Entry, Fault

# Faults that are printed for people; beyond, only their number.
MOST_TOLD = 1_000


@click.command()
@click.option("--from", "begin", help="Of this time on: a date, -7d, a time (default: ever).")
@click.option("--to", "end", help="To before this time (default: all that is on record).")
@click.option("--job", "jobs", multiple=True, help="Only of this job; may be repeated.")
@DATABASE
@CONFIG
@click.option(
    "--archive",
    "archives",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Look for runs in this archive, too; those that the log names are found by themselves.",
)
@click.option("--list", "listed", is_flag=True, help="Show every nominal run.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print a line for each nominal run, and a last one."
)
def audit(
    begin: str | None,
    end: str | None,
    jobs: tuple[str, ...],
    database: Path | None,
    config: Path | None,
    archives: tuple[Path, ...],
    listed: bool,
    as_json: bool,
) -> None:
    """Account for every nominal run between two times; exit 1 when one is not accounted for.

    The times are worked out from the stored definitions and from when each was in force. Each has
    run, was skipped, paused or left out by policy, was withdrawn by a change, is archived, or is to
    come; whatever else is found, or missing, is a fault. A server may run meanwhile; a backup will
    do as well.
    """
    from ..jobs.errors import UserError
    from ..store.accounting import Account
    from .offline import instant_of, read_settings

    read_settings(config)
    path = database_there(database, config)
    account = Account(str(path), map(str, archives))
    try:
        from_us = instant_of(begin) if begin else 0
        to_us = instant_of(end) if end else account.as_of_us + 1
        if from_us >= to_us and (begin or end):
            raise click.UsageError("--from: expected a time before that of --to, or of the record")
        unknown = sorted(set(jobs) - account.job_ids()) if jobs else []
        if unknown:
            expected = "expected the whole id of a job that is or was in force, or has runs"
            raise UserError(f"--job {unknown[0]}: there is none on record: {expected}")
        told = _Told(listed=listed, as_json=as_json)
        for one in account.entries(from_us, to_us, jobs):
            told.take(one)
        told.finish(str(path), from_us, to_us, account.as_of_us, account.remarks)
    finally:
        account.close()
    if told.faults:
        sys.exit(1)


class _Told:
    """Prints an account as it is made, and counts."""

    def __init__(self, *, listed: bool, as_json: bool) -> None:
        self.faults = 0
        self._listed = listed
        self._as_json = as_json
        self._counts: Counter[str] = Counter()
        self._first_us: int | None = None

    def take(self, one: Entry | Fault) -> None:
        """Take the next entry, or what is wrong."""
        from ..jobs.accounts import Fault

        if isinstance(one, Fault):
            self.faults += 1
            if self._as_json:
                click.echo(json.dumps(_fault_line(one)))
            elif self.faults <= MOST_TOLD:
                click.echo(f"{one.kind}: {one.sentence}")
            return
        self._counts[one.fate.value] += 1
        if self._first_us is None or one.at_us < self._first_us:
            self._first_us = one.at_us
        if self._as_json:
            click.echo(json.dumps(_line(one)))
        elif self._listed:
            click.echo(_words(one))

    def finish(
        self, path: str, from_us: int, to_us: int, as_of_us: int, remarks: list[str]
    ) -> None:
        """Print the total."""
        from ..jobs.times import format_time

        if from_us == 0:
            from_us = to_us if self._first_us is None else self._first_us
        span = {"from": format_time(from_us), "to": format_time(to_us)}
        total = sum(self._counts.values())
        if self._as_json:
            said = {"nominal": total, **span, "as_of": format_time(as_of_us)}
            counts = dict(sorted(self._counts.items()))
            total_line = {"total": said | {"counts": counts, "faults": self.faults}}
            click.echo(json.dumps(total_line | {"remarks": remarks}))
            return
        if self.faults > MOST_TOLD:
            click.echo(f"and {self.faults - MOST_TOLD} more")
        for remark in remarks:
            warn(remark)
        counts_said = ", ".join(f"{n:,} {fate}" for fate, n in self._counts.most_common())
        click.echo(f"{path}: {total:,} nominal runs from {span['from']} to {span['to']}")
        if counts_said:
            click.echo(f"  {counts_said}")
        number = "1 fault" if self.faults == 1 else f"{self.faults:,} faults"
        click.echo(f"  {number}" if self.faults else "  each is accounted for")


def _line(one: Entry) -> dict[str, Any]:
    from ..jobs.times import format_time

    times = {"began": one.began_us, "ended": one.ended_us}
    found: dict[str, Any] = {
        "job_id": one.job_id,
        "args": json.loads(one.instance),
        "schedule_time": format_time(one.at_us),
        "fate": one.fate.value,
        "run_id": one.run_id or None,
        "state": one.state or None,
    }
    found |= {name: None if us is None else format_time(us) for name, us in times.items()}
    return found | {"because": one.because or None, "archive": one.archive or None}


def _fault_line(one: Fault) -> dict[str, Any]:
    from ..jobs.times import format_time

    at = None if one.at_us is None else format_time(one.at_us)
    return {"fault": one.kind, "job_id": one.job_id, "schedule_time": at, "sentence": one.sentence}


def _words(one: Entry) -> str:
    from ..jobs.times import format_time

    args = args_text(json.loads(one.instance))
    said = f"{format_time(one.at_us)}  {one.job_id}{f'({args})' if args else ''}: {one.fate.value}"
    if one.run_id:
        state = f" {one.state}" if one.state else ""
        said += f" {one.run_id}{state}"
    if one.ended_us is not None and one.fate.value == "ran":
        said += f" at {format_time(one.ended_us)}"
    return said + (f": {one.because}" if one.because else "")
