"""`demo`: a server with believable jobs, in a folder of its own, one command from nothing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "jobs"
CONFIG = """\
# The settings of this demonstration. Every key has a default; these are the ones it needs.
job_dir: jobs
database: callsheet.db
"""


@click.command()
@click.option(
    "--bind", default="127.0.0.1:5000", show_default=True, metavar="HOST:PORT", help="Where."
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("callsheet-demo"),
    show_default=True,
    help="The folder for its jobs and database; kept for the next time.",
)
def demo(bind: str, folder: Path) -> None:
    """Run a server with a folder of demonstration jobs; Ctrl-C ends it."""
    from ..store.sqlite import create_database
    from .serve_command import run

    folder.mkdir(parents=True, exist_ok=True)
    jobs, config, database = folder / "jobs", folder / "callsheet.yaml", folder / "callsheet.db"
    if not jobs.exists():
        shutil.copytree(EXAMPLES, jobs)
    if not config.exists():
        config.write_text(CONFIG, encoding="utf-8")
    if not database.exists():
        create_database(database)
    click.echo(f"jobs are in {jobs}: change one, then `callsheet reload`")
    sys.stdout.flush()
    sys.exit(run(config, bind=(bind,)))
