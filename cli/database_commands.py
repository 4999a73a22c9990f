"""The commands about a database's file: its backup, its restoration, whether it is sound."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .shown import print_json

if TYPE_CHECKING:
    from ..store.outputs import OutputFiles

DATABASE = click.option(
    "--database",
    type=click.Path(path_type=Path),
    help="The database, if not that of the settings.",
)
CONFIG = click.option("--config", type=click.Path(path_type=Path), help="The server's settings.")


def database_of(database: Path | None, config: Path | None) -> Path:
    """Return the path of the database that is meant."""
    from ..conf.settings import load_settings

    return database if database is not None else load_settings(config).database.path


def database_there(database: Path | None, config: Path | None) -> Path:
    """Return the path of the database that is meant.

    Raises:
        UserError: neither names one, and where it would be by default there is none.
    """
    from ..jobs.errors import UserError

    path = database_of(database, config)
    if database is None and config is None and not path.exists():
        expected = "expected --config FILE or --database PATH"
        raise UserError(f"database {path}: there is no such file: {expected}")
    return path


def output_files(database: Path | None, config: Path | None) -> OutputFiles:
    """Return the output files of the database that is meant, wherever the settings have them go."""
    from ..conf.settings import load_settings
    from ..store.outputs import OutputFiles
    from ..store.places import UrlPlace

    if database is not None:
        return OutputFiles(f"{database}.state/outputs")
    settings = load_settings(config)
    url = settings.outputs.url
    far = None if url is None else UrlPlace(url, settings.outputs.options)
    return OutputFiles(str(settings.state_dir / "outputs"), far)


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@DATABASE
@CONFIG
@click.option("--with-passwords", is_flag=True, help="With the hashes of passwords, too.")
def backup(target: Path, database: Path | None, config: Path | None, with_passwords: bool) -> None:
    """Write a copy of the database to TARGET, in place of an older backup there.

    It holds no log-ins, no one-time tokens and no passwords, and only its owner can read it.

    A server may run meanwhile: the copy is of one instant, and nobody waits for it. Output files
    are not in it: they never change once their run is over, so any copy of their folder will do.
    """
    from ..store.backup import backup_database

    source = database_there(database, config)
    made = backup_database(str(source), str(target), passwords=with_passwords)
    click.echo(f"{target}: backup as of event {made.seq}, {made.size_bytes:,} bytes")


@click.command()
@click.argument("source", type=click.Path(path_type=Path), metavar="BACKUP")
@DATABASE
@CONFIG
@click.option(
    "--other-server", is_flag=True, help="Also in the place of another installation's database."
)
@click.option(
    "--access-of-backup",
    is_flag=True,
    help="Tokens, users and agents as in the backup, not as in the database that is there.",
)
def restore(
    source: Path,
    database: Path | None,
    config: Path | None,
    other_server: bool,
    access_of_backup: bool,
) -> None:
    """Put BACKUP in the place of the database, which is moved aside; no server may run on it.

    What has happened since the backup is forgotten: nothing of it is done again under the same run
    ids, and agents believe the server that starts next. Schedules catch up as after a downtime.
    """
    from ..store.backup import restore_database

    target = database_of(database, config)
    done = restore_database(
        str(source), str(target), other_server=other_server, backups_access=access_of_backup
    )
    number = done.next_run_number
    click.echo(f"{target}: restored as of event {done.seq}; runs go on from r{number}")
    if done.migrated:
        click.echo(f"brought up to date, {done.migrated} step(s)")
    if done.moved_to is not None:
        click.echo(f"what was there is now {done.moved_to}")
    if done.access_kept:
        click.echo("tokens, users and agents are as they were there; all log-ins have ended")
    else:
        click.echo(
            "tokens, users and agents are as in the backup: what was revoked since may hold again, "
            "and users without a password need one: callsheetctl user change NAME --password"
        )


@click.command()
@DATABASE
@CONFIG
@click.option("--archive", type=click.Path(path_type=Path), help="Look at this archive instead.")
@click.option("--no-outputs", is_flag=True, help="Do not look at output files.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def verify(
    database: Path | None,
    config: Path | None,
    archive: Path | None,
    no_outputs: bool,
    as_json: bool,
) -> None:
    """Hold every row of the database against the others; exit 1 when anything is wrong.

    A server may run meanwhile. Every event is there, every run is what its log makes of it by legal
    moves, every nominal run of a schedule is a run, a recorded skip or withdrawn, and no row is
    other than it was written.
    """
    import msgspec

    from ..store.archive import outputs_of
    from ..store.outputs import OutputFiles
    from ..store.verify import verify_database

    if archive is not None:
        path, files = archive, OutputFiles(os.path.abspath(outputs_of(str(archive))))
    else:
        path, files = database_there(database, config), output_files(database, config)
    found = verify_database(path, None if no_outputs else files, archive=archive is not None)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        for sentence in found.problems:
            click.echo(sentence)
        if found.count > len(found.problems):
            click.echo(f"and {found.count - len(found.problems)} more")
        looked = f"{found.runs:,} runs, {found.events:,} events, {found.schedules:,} schedules"
        said = f"{found.count:,} wrong" if found.count else "nothing wrong"
        click.echo(f"{path}: {looked}: {said}")
    if found.count:
        sys.exit(1)
