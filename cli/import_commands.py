"""`callsheetctl import`: crontabs and Apsis installations taken over."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .shown import print_json, warn

if TYPE_CHECKING:
    from ..jobs.crontab import Entry

FILE = click.Path(path_type=Path)
LOCALTIME = "/etc/localtime"
ZONEINFO = "/zoneinfo/"


@click.group("import")
def group() -> None:
    """Take over what ran on something else."""


@group.command()
@click.argument("file", type=FILE)
@click.option("--out", type=FILE, help="Write the job files into this folder.")
@click.option("--tz", help="The zone of its times (default: this machine's).")
@click.option("--system", is_flag=True, help="Lines name a user, as in /etc/crontab.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made, and what not, as JSON.")
def crontab(file: Path, out: Path | None, tz: str | None, system: bool, as_json: bool) -> None:
    """Make a job file of each entry of a crontab FILE (- for standard input).

    Without --out the files are printed. Exit 1 when an entry could not be taken over.
    """
    from ..jobs.crontab import Entry, job_ids, read_crontab
    from ..jobs.times import zone

    tz = tz or _local_zone()
    zone(tz)
    found = read_crontab(_text(file), tz, system=system)
    entries = [one for one in found if isinstance(one, Entry)]
    refusals = [one for one in found if not isinstance(one, Entry)]
    made = dict(zip(job_ids(entries), entries, strict=True))
    files = {f"{job_id}.yaml": _job_file(entry) for job_id, entry in made.items()}
    if out is not None:
        _write(out, files)
    if as_json:
        print_json(
            {
                "jobs": [
                    {"job_id": job_id, "line": entry.line, "text": entry.text}
                    for job_id, entry in made.items()
                ],
                "refused": [
                    {"line": one.line, "text": one.text, "reason": one.reason, "entry": one.entry}
                    for one in refusals
                ],
            }
        )
    elif out is None:
        click.echo("\n".join(f"# --- {path}\n{text}" for path, text in files.items()), nl=False)
    else:
        for path in files:
            click.echo(f"{out / path}")
    for one in refusals:
        what = "no job" if one.entry else "taken over without it"
        warn(f"{file}:{one.line}: {what}: {one.reason}: {one.text}")
    if any(one.entry for one in refusals):
        sys.exit(1)


def _text(file: Path) -> str:
    from ..jobs.errors import UserError

    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{file}: is not UTF-8: expected a crontab") from None


def _job_file(entry: Entry) -> str:
    """Return a job file's text: the line it comes from, and what the line means."""
    from ..conf.yaml_writer import write_yaml
    from ..jobs.crontab import job_data

    said = "".join(char if char.isprintable() else " " for char in entry.text)
    return f"# From line {entry.line} of a crontab:\n#   {said}\n{write_yaml(job_data(entry))}"


def _write(out: Path, files: dict[str, str], mode: int = 0o666) -> None:
    """Write new files with these permissions at most; none when one of them is there already."""
    from ..jobs.errors import UserError

    there = [out / path for path in files if (out / path).exists()]
    if there:
        raise UserError(f"{there[0]}: is there already: expected a folder without these jobs")
    try:
        for path, text in files.items():
            target = out / path
            target.parent.mkdir(parents=True, exist_ok=True)
            number = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with open(number, "w", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise UserError(f"{error.filename}: cannot be written: {error.strerror}") from None


def _local_zone() -> str:
    """Return the name of this machine's time zone, UTC where it has none."""
    named = os.environ.get("TZ", "").lstrip(":")
    if named and not named.startswith("/"):
        return named
    real = os.path.realpath(LOCALTIME)
    return real.rpartition(ZONEINFO)[2] if ZONEINFO in real else "UTC"


@group.command()
@click.argument("config", type=FILE)
@click.option("--out", type=FILE, help="Write settings for this server into this new file.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def apsis(config: Path, out: Path | None, as_json: bool) -> None:
    """Check an Apsis CONFIG and its job folder: what is the same here, and what differs.

    Nothing of it is changed. Exit 1 when the jobs have errors.
    """
    from ..conf.apsis_import import inspect, settings_text
    from .offline import now_us

    report = inspect(config, now_us())
    if as_json:
        print_json(
            {
                "job_dir": str(report.settings.job_dir),
                "jobs": report.job_count,
                "same": report.same,
                "differs": report.differs,
                "problems": [
                    {"severity": one.severity, "text": one.text} for one in report.problems
                ],
            }
        )
    else:
        for line in _lines(report.job_count, report.same, report.differs):
            click.echo(line)
        for problem in report.problems:
            click.echo(problem.text)
    if out is not None:
        # Readable by no more than that which it is made of, and whose password it may hold.
        mode = config.stat().st_mode & 0o666
        _write(out.parent, {out.name: settings_text(config, report)}, mode)
        click.echo(f"wrote {out}", err=as_json)
    if not report.usable:
        sys.exit(1)


def _lines(count: int, same: tuple[str, ...], differs: tuple[str, ...]) -> Iterator[str]:
    yield f"{count} jobs can be read as they are"
    if same:
        yield f"the same here: {', '.join(same)}"
    if differs:
        yield "different here:"
        yield from (f"  {line}" for line in differs)


@group.command("apsis-db")
@click.argument("file", type=FILE)
@click.option("--config", type=FILE, help="The settings of the server that takes it over.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def apsis_db(file: Path, config: Path | None, as_json: bool) -> None:
    """Take the runs of an Apsis database FILE over, with logs and outputs, under their ids.

    The server must not run. Its database is made when it is missing, and schedules from where
    Apsis has come to. What was taken before is left as it is: an import may be cut off and begun
    again. Exit 1 when something could not be taken over.
    """
    from ..conf.settings import load_settings
    from ..jobs.times import format_time
    from ..store.apsis_database import ApsisDatabase, take_over
    from ..store.sqlite import create_database
    from .offline import now_us

    settings = load_settings(config)
    source = ApsisDatabase(str(file))
    try:
        clock_us = source.clock_us
        path = settings.database.path
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            create_database(path, clock_us)
        outputs = str(settings.state_dir / "outputs")
        taken = take_over(source, str(path), outputs, now_us(), _brotli())
    finally:
        source.close()
    if as_json:
        print_json(
            {
                "runs": taken.runs,
                "jobs": taken.jobs,
                "there": taken.there,
                "unfinished": taken.unfinished,
                "outputs": taken.outputs,
                "problems": taken.problem_count,
                "clock": None if clock_us is None else format_time(clock_us),
            }
        )
    else:
        click.echo(f"{taken.runs} runs and {taken.outputs} outputs taken over into {path}")
        if taken.jobs:
            click.echo(f"{taken.jobs} ad hoc jobs, without their schedules")
        click.echo(f"{taken.there} were there; {taken.unfinished} are not over and stay in Apsis")
    for sentence in taken.problems:
        warn(sentence)
    if taken.problem_count > len(taken.problems):
        warn(f"and {taken.problem_count - len(taken.problems)} more")
    if taken.problem_count:
        sys.exit(1)


def _brotli() -> Callable[[bytes], bytes] | None:
    """Return what decompresses the large outputs of Apsis, None where it is not installed."""
    try:
        import brotli  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    found: Callable[[bytes], bytes] = brotli.decompress
    return found
