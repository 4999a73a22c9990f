"""`callsheet new-job`: a job file to begin with, every key in it explained."""

from __future__ import annotations

from pathlib import Path

import click

PROGRAMS = {
    "shell": """\
program:
  type: shell
  # Run by bash. {{ date }} is the run's arg of that name; see "Templates" in the docs of job files.
  command: |
    echo "hello on {{ date }}"
""",
    "process": """\
program:
  type: process
  # Run without a shell: a program and its arguments, each of which may hold templates.
  argv: [echo, "hello on {{ date }}"]
""",
}

SETTINGS = """\
  # group_id: default               # which agents may run it
  # cwd: /srv/data
  # env: {LANG: C.UTF-8}
  # umask: '027'
  # sudo_user: batch                # run as another user
  # timeout: 1h                     # or {duration: 1h, signal: SIGTERM}
  # stop: {signal: SIGTERM, grace_period: 60}
"""

NO_OP = """\
program:
  type: no-op
  # Does nothing, for a while if asked: useful to join other jobs.
  # duration: 10s
"""

TEMPLATE = """\
# A job: the ID is the path of this file in the job folder, without .yaml.
metadata:
  description: |
    What the job does, and whom to ask about it. *Markdown*; shown in the console.
  labels: [example]
  # owner: somebody@example.com       # any key of your own

# The names of the args of a run; a schedule gives some by itself, such as date.
params:
  date: date
  # size: {choices: [small, large], default: small, description: How much to do.}

# When runs are made; leave it out for a job that is only run by hand or by other jobs. Also:
# interval, daily-interval, explicit, cron.
schedule:
  type: daily
  tz: UTC
  calendar: Mon-Fri
  daytime: "09:30"
  enabled: false                    # take this out when the job is ready
  # args: {size: large}

@PROGRAM@
# What a run waits for before it starts, one after another.
# condition:
# - {type: max_running, count: 1}
# - {type: dependency, job_id: other/job, args: {date: "{{ date }}"}}

# What follows after a success: runs of other jobs, which take args of the same name.
# successors: [other/job]

# What else follows, by the state a run comes to.
# action:
# - {type: schedule, job_id: other/job, if: {states: [failure, error]}}
"""
SUFFIX = ".yaml"


@click.command("new-job")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--type",
    "kind",
    type=click.Choice(["shell", "process", "no-op"]),
    default="shell",
    show_default=True,
    help="What the job is to run.",
)
def new_job(path: Path, kind: str) -> None:
    """Write a job file at PATH to begin with; nothing may be there yet."""
    if not path.name:
        raise click.ClickException(f"{path}: is a folder: expected the path of a new file")
    if path.suffix != SUFFIX and path.suffix.lower() in (SUFFIX, ".yml"):
        sentence = f"{path}: is the name of no job file: expected one that ends in {SUFFIX}"
        raise click.ClickException(sentence)
    if path.suffix != SUFFIX:
        path = path.with_name(path.name + SUFFIX)
    if path.exists():
        raise click.ClickException(f"{path}: is there already: expected a new file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(template(kind))
    except OSError as error:
        sentence = f"{path}: cannot be written: {error.strerror}: expected a folder to write to"
        raise click.ClickException(sentence) from None
    click.echo(f"wrote {path}; `callsheet check {path.parent}` says whether it is well")


def template(kind: str) -> str:
    """Return the text of a job file to begin with, for a kind of program."""
    program = NO_OP if kind == "no-op" else PROGRAMS[kind] + SETTINGS
    return TEMPLATE.replace("@PROGRAM@\n", program + "\n")
