"""`doctor`: what this installation is made of, and what is wrong with it."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys

import click

# SQLite before these may corrupt a database when two connections checkpoint at once (its WAL-reset
# race, mended in 3.51.3 and backports); here only the ledger writes and checkpoints.
SAFE_SQLITE = (3, 51, 3)


@click.command()
def doctor() -> None:
    """Say what this installation is made of; exit 1 when something it needs is missing."""
    import zmq

    from .. import __version__

    wrong: list[str] = []
    click.echo(f"callsheet  {__version__}")
    click.echo(f"python     {platform.python_version()} on {platform.platform()}")
    click.echo(f"zeromq     {zmq.zmq_version()}, CURVE {'yes' if zmq.has('curve') else 'no'}")
    note = "" if sqlite3.sqlite_version_info >= SAFE_SQLITE else " (one writer only: as built)"
    click.echo(f"sqlite     {sqlite3.sqlite_version}{note}")
    who = "root: expected a user of its own for a server" if os.geteuid() == 0 else "no root"
    click.echo(f"user       {os.geteuid()}, {who}")
    sudo = shutil.which("sudo") or "missing: only an agent that is root runs jobs of other users"
    click.echo(f"sudo       {sudo}")
    for program in ("bash", "setpriv"):
        found = shutil.which(program)
        click.echo(f"{program:<10} {found or 'missing'}")
        if found is None:
            wrong.append(f"{program}: not found: expected it for programs that name it")
    for sentence in wrong:
        click.echo(f"wrong: {sentence}", err=True)
    sys.exit(1 if wrong else 0)
