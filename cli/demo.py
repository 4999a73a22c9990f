"""`demo`: a server with believable jobs, in a folder of its own, one command from nothing."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import click

from ..jobs.errors import UserError

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
# What the jobs take from these is in the folder of examples beside this package.
PARTS = ("jobs", "calendars")
# What the examples take to be the server's address and the folder of the demonstration.
ADDRESS = "127.0.0.1:5000"
FOLDER = "/srv/callsheet-demo"
# Commands and YAML hold the folder's path as it is.
_PATH = re.compile(r"[\w./ -]+")
CONFIG = """\
# The settings of this demonstration. Every key has a default; these are the ones its jobs need.
job_dir: jobs
database: callsheet.db
# How many places there are for those who share something.
pools: {{packing tables: 2, warehouse: 1}}
conditions:
  # On a server that many write jobs for, command and sql are better left out.
  allow: [file, http, command, sql]
  databases: {{warehouse: {warehouse}}}
actions: {{allow: [email, webhook, notify, command]}}
# Webhooks lead to public addresses, and to these. The jobs send theirs to this very server.
webhooks: {{allow_hosts: [{host}]}}
# A real one is better kept in a file: `demo: {{file: path}}`.
secrets: {{demo: not a secret}}
"""


@click.command()
@click.option("--bind", default=ADDRESS, show_default=True, metavar="HOST:PORT", help="Where.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("callsheet-demo"),
    show_default=True,
    help="The folder for its jobs and database; kept for the next time.",
)
# Asked by the server itself before it begins anew.
@click.option("--dry-run", is_flag=True, hidden=True)
def demo(bind: str, folder: Path, dry_run: bool) -> None:
    """Run a server with a folder of demonstration jobs; Ctrl-C ends it."""
    from ..store.sqlite import create_database
    from .serve_command import run

    if dry_run:
        sys.exit(run(folder / "callsheet.yaml", bind=(bind,), dry_run=True))
    lay_out(folder, bind)
    database = folder / "callsheet.db"
    if not database.exists():
        create_database(database)
    click.echo(f"jobs are in {folder / 'jobs'}: change one, then `callsheet reload`")
    sys.stdout.flush()
    sys.exit(run(folder / "callsheet.yaml", bind=(bind,)))


def lay_out(folder: Path, bind: str = ADDRESS) -> None:
    """Put everything the examples need into a folder; what is there already stays as it is.

    Args:
        folder: it; made when it is not there.
        bind: where the server will listen: the examples that talk to it are told so.
    Raises:
        UserError: the folder's path has characters that the examples cannot hold.
    """
    place = str(folder.absolute())
    if not _PATH.fullmatch(place):
        raise UserError(f"folder {place}: expected a path of letters, digits, blanks, . _ and -")
    folder.mkdir(parents=True, exist_ok=True)
    address = _reached_at(bind)
    if not (folder / "jobs").exists():
        for part in PARTS:
            shutil.copytree(EXAMPLES / part, folder / part, dirs_exist_ok=True)
        for path in (folder / "jobs").rglob("*.yaml"):
            text = path.read_text(encoding="utf-8")
            fitting = text.replace(ADDRESS, address).replace(FOLDER, place)
            if fitting != text:
                path.write_text(fitting, encoding="utf-8")
    if not (folder / "warehouse.db").exists():
        with closing(sqlite3.connect(folder / "warehouse.db")) as database:
            database.execute("CREATE TABLE loads (minute TEXT PRIMARY KEY)")
    config = folder / "callsheet.yaml"
    if not config.exists():
        host = address.rpartition(":")[0].strip("[]")
        warehouse = json.dumps(f"sqlite:///{place}/warehouse.db")
        said = CONFIG.format(warehouse=warehouse, host=json.dumps(host))
        config.write_text(said, encoding="utf-8")


def _reached_at(bind: str) -> str:
    """Return where a server that listens there is reached from its own host."""
    host, colon, port = bind.rpartition(":")
    everywhere = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104
    return everywhere.get(host, host) + colon + port
