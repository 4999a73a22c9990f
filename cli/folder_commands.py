"""The commands about files: a new database, a folder of jobs checked, a folder read again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .shown import FORMAT, client, print_as, print_json


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
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say which steps it would take.")
def migrate(path: Path, dry_run: bool) -> None:
    """Bring the database at PATH up to date with this version; no server may use it meanwhile.

    Make a copy of it first: there is no way back. One of a newer version is refused.
    """
    from ..store.migrate import migrate_database, steps_to_take

    if dry_run:
        steps = steps_to_take(path)
        for step in steps:
            click.echo(step.removesuffix(".sql"))
        click.echo(f"{path}: {f'{len(steps)} step(s) to take' if steps else 'up to date already'}")
        return
    taken = migrate_database(path)
    click.echo(f"{path}: {'up to date already' if not taken else f'migrated, {taken} step(s)'}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
@click.option("--strict", is_flag=True, help="Exit 1 for warnings too.")
@click.option("--config", type=click.Path(path_type=Path), help="The settings that hold for it.")
@click.option(
    "--check-dependencies-scheduled",
    "scheduled",
    is_flag=True,
    help="What the runs of the coming day depend on has to be scheduled itself.",
)
def check(
    folder: Path | None, as_json: bool, strict: bool, config: Path | None, scheduled: bool
) -> None:
    """Check a FOLDER of job files without a server; exit 1 when anything is wrong.

    Warnings say what is allowed and yet may not be meant, over the coming year: times that the
    clocks leap over, calendars that end, schedules that make the same run, dependencies nothing
    makes runs of. Without FOLDER the one of the settings is checked.
    """
    from ..actors.limits import Interrupting
    from ..actors.template_functions import load_templates
    from ..conf.check import lint_folder
    from .offline import now_us, read_settings

    settings = read_settings(config)
    if settings is not None and folder is None:
        folder = settings.job_dir
    if folder is None:
        raise click.UsageError("missing argument FOLDER: expected a folder of jobs, or --config")
    if settings is not None:
        load_templates(settings.templates)
    problems = lint_folder(
        folder,
        now_us(),
        None if settings is None else settings.calendars,
        dependencies_scheduled=scheduled,
        rules=None if settings is None else settings.conditions.rules,
        blackouts=None if settings is None else settings.blackouts,
        limits=Interrupting(),
    )
    if as_json:
        print_json(
            [
                {
                    "path": problem.path,
                    "line": problem.line,
                    "column": problem.column,
                    "job_id": problem.job_id,
                    "severity": problem.severity,
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
    if any(strict or problem.severity == "error" for problem in problems):
        sys.exit(1)


@click.command("reload-jobs")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--quiet", is_flag=True, help="Print nothing.")
@FORMAT
@click.pass_context
def reload_jobs(ctx: click.Context, dry_run: bool, quiet: bool, form: str) -> None:
    """Read the job folder again: all of it, or nothing when a file is wrong."""
    found = client(ctx).reload_jobs(dry_run=dry_run)
    if not quiet and not print_as(form, found):
        print_changes(found)


def print_changes(found: dict[str, list[str]]) -> None:
    """Print which jobs were removed, added and changed."""
    for word in ("removed", "added", "changed"):
        if found[word]:
            click.echo(f"Jobs {word}:")
            for job_id in found[word]:
                click.echo(f"  {job_id}")
    if not any(found[word] for word in ("removed", "added", "changed")):
        click.echo("no changes")


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="Settings with extensions.")
def schema(config: Path | None) -> None:
    """Print the JSON Schema of job files, for editors."""
    from ..jobs.job_schema import schema_text
    from .offline import read_settings

    read_settings(config)
    click.echo(schema_text(), nl=False)
