"""The commands about files: a new database, a folder of jobs checked, a folder read again."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from .shown import client, print_json


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--since", help="Never schedule runs from before this time (default: now).")
def create(path: Path, since: str | None) -> None:
    """Create a database at PATH; nothing may be there yet."""
    from ..jobs.times import parse_time
    from ..store.sqlite import create_database

    since_us = None if since in (None, "now") else parse_time(since)
    create_database(path, since_us=since_us)
    click.echo(f"created {path}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
@click.option("--config", help="Accepted for Apsis's sake.", hidden=True, expose_value=False)
@click.option("--check-dependencies-scheduled", is_flag=True, hidden=True, expose_value=False)
def check(folder: Path, as_json: bool) -> None:
    """Check a folder of job files without a server; exit 1 when anything is wrong."""
    from ..conf.check import check_folder

    problems = check_folder(folder, round(time.time() * 1e6))
    if as_json:
        print_json(
            [
                {
                    "path": problem.path,
                    "line": problem.line,
                    "column": problem.column,
                    "job_id": problem.job_id,
                    "sentence": problem.sentence,
                }
                for problem in problems
            ]
        )
    else:
        for problem in problems:
            click.echo(problem.text)
        if not problems:
            click.echo(f"{folder}: nothing wrong")
    if problems:
        sys.exit(1)


@click.command("reload-jobs")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--quiet", is_flag=True, help="Print nothing.")
@click.pass_context
def reload_jobs(ctx: click.Context, dry_run: bool, quiet: bool) -> None:
    """Read the job folder again: all of it, or nothing when a file is wrong."""
    found = client(ctx).reload_jobs(dry_run=dry_run)
    if quiet:
        return
    for word in ("removed", "added", "changed"):
        if found[word]:
            click.echo(f"Jobs {word}:")
            for job_id in found[word]:
                click.echo(f"  {job_id}")
    if not any(found[word] for word in ("removed", "added", "changed")):
        click.echo("no changes")
