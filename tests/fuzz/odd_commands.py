"""Command lines that nobody should type: every command of both programs, with arguments and options
of the right names and odd values, and files that are not what they should be.

What would never return, start or end a server or an agent, or reach another host, is left out.
Files are named within a folder that is made for the case alone.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

import click
from odd_values import BY_NAME, JOBS, STATES, TEXTS, TIMES, Dice, odd, wounded
from spoilt_jobs import spoilt

from callsheet.cli import administrators, people

KIND = "command"
PROGRAMS = {"callsheet": people, "callsheetctl": administrators}
SPARED = {
    ("serve",), ("demo",), ("restart",), ("shut-down",), ("watch",), ("adhoc",), ("feed", "follow"),
    ("agent", "start"), ("agent", "stop"), ("agent", "status"), ("agent", "install"),
    ("agent", "shutdown"), ("agent", "kill"),
}  # fmt: skip
# Options that wait for something to come.
WAITING = {"--follow", "--follow-new", "--watch", "--wait", "--debug"}
FILES = [
    "there.yaml", "jobs", "jobs/noop.yaml", "nothing", "empty", "binary", "spoilt.yaml",
    "server.db", "callsheet.yaml", "cut.db", "list.json", "crontab", "link", "closed/x",
    "nowhere/x", "empty/x", "gr\u00fc\u00df.yaml", ".",
]  # fmt: skip
HOSTS = [
    "127.0.0.1:1",
    "unix:nowhere",
    "[::",
    "a:b:c",
    "http://",
    "localhost:99999",
    "unix:",
    ":",
    "@",
]
AGENTS = ["nobody", "x", "a b", "\u202e", "fuzz"]
MEANT: dict[str, list[str]] = {
    "run_ids": ["r1", "r2", "r1 r2", "r0", "x", "r1..r3", "all", "-", "r99999999999999999999"],
    "run_id": BY_NAME["run_id"],
    "what": ["r1", "r2", "noop", "later", "nothing"],
    "job_id": JOBS,
    "job": JOBS,
    "query": [*BY_NAME["q"], *BY_NAME["query"]],
    "args": ["word=x", "x", "=", "a=b=c", "word="],
    "state": STATES,
    "agent_id": AGENTS,
    "process": ["r1", "r1.1", "1", "x"],
    "name": ["ada", "ci", "x"],
    "signal": ["TERM", "SIGKILL", "0", "99", "-9"],
    "backfill_id": ["b1", "b0", "x"],
    "operation_id": ["o1", "x"],
    "columns": ["id", "id,job,state", ",", "nothing"],
    "override": ["web.port=1", "x", "=", "database=x", "a.b.c=1", "schedule.horizon=-1"],
    "expires": ["1d", "-1h", "x", "0", "9" * 30],
    "tz": ["UTC", "Mars/Olympus", "Europe/Berlin"],
    "last": ["0", "1", "-5", "9" * 30],
    "resume": ["0:0", "x", "-1:-1", "9" * 30 + ":1"],
    "output_id": ["output", "stdout", "../x"],
}
TIMED = {"time", "since", "until", "from", "to", "at", "stop_time", "from_", "to_"}
STDIN = ["", "y\n", "secret\nsecret\n", "n\n", "\udcff\n", "r1\nr2\n", "x" * 5_000]


_NO_PATHS = [text for text in TEXTS if "/" not in text and text != ".."]


class Typed(NamedTuple):
    """A command line: which program, its arguments, what comes to its standard input, more of its
    environment."""

    program: str
    args: list[str]
    stdin: str
    environ: dict[str, str]


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the names of all commands of a program that are not spared."""
    found = []
    for name in group.list_commands(click.Context(group)):
        one = group.get_command(click.Context(group), name)
        here = (*path, name)
        if isinstance(one, click.Group):
            found += commands(one, here)
        elif here not in SPARED:
            found.append(here)
    return found


@functools.cache
def _all(program: str) -> list[tuple[str, ...]]:
    return commands(PROGRAMS[program].group)


@functools.cache
def _params(program: str, path: tuple[str, ...]) -> list[click.Parameter]:
    command: Any = PROGRAMS[program].group
    for name in path:
        command = command.get_command(click.Context(command), name)
    return [
        param
        for param in command.params
        if not (isinstance(param, click.Option) and WAITING & set(param.opts))
    ]


def a_line(dice: Dice) -> Typed:
    """Return one command line."""
    program = dice.choice(sorted(PROGRAMS))
    path = dice.choice(_all(program))
    args: list[str] = []
    if dice.random() < 0.05:
        args += ["--host", dice.choice(HOSTS)]
    if dice.random() < 0.1 and program == "callsheet":
        args += ["--zone", dice.choice(["UTC", "Mars", "Europe/Berlin", ""])]
        args += ["--precision", dice.choice(["0", "6", "7", "x", "-1"])]
    args += path
    for param in dice.sample(_params(program, path), len(_params(program, path))):
        args += _given(param, dice)
    if dice.random() < 0.05:
        args.insert(dice.randrange(len(args) + 1), _anything(dice))
    if dice.random() < 0.02:
        args.append("--help")
    environ = {"CALLSHEET_ZONE": _typed(_anything(dice))} if dice.random() < 0.02 else {}
    return Typed(program, [_typed(one) for one in args], _typed(dice.choice(STDIN)), environ)


def _typed(text: str) -> str:
    """Return what a system can hand over of a text: bytes without zeros, if need be no UTF-8."""
    data = text.encode("utf-8", "surrogateescape" if "\udcff" in text else "replace")
    return data.replace(b"\0", b"").decode("utf-8", "surrogateescape")


def _given(param: click.Parameter, dice: Dice) -> list[str]:
    """Return a parameter as it is typed, at times not at all, or twice."""
    if isinstance(param, click.Argument):
        if not param.required and dice.random() < 0.3:
            return []
        times = dice.choice((1, 1, 2, 3)) if param.nargs == -1 else 1
        return [_value(param, dice) for _ in range(times if dice.random() > 0.05 else 0)]
    if dice.random() > 0.3:
        return []
    name = dice.choice([*param.opts, *param.secondary_opts])
    if getattr(param, "is_flag", False):
        return [name]
    return [name, _value(param, dice)]


def _value(param: click.Parameter, dice: Dice) -> str:
    kind, name = param.type, param.name or ""
    if isinstance(kind, click.Path | click.File) or name in ("file", "folder", "path"):
        return dice.choice(FILES)
    if dice.random() < 0.15:
        return _anything(dice)
    if isinstance(kind, click.Choice):
        return str(dice.choice(list(kind.choices)))
    if name in MEANT:
        return dice.choice(MEANT[name])
    if name in TIMED:
        return dice.choice(TIMES)
    if isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
        return dice.choice(["1", "3", "0", "-1", "1e3", "9" * 25, "nan", "inf"])
    return _anything(dice)


def _anything(dice: Dice) -> str:
    """Return what is no path: what is typed here may be written to, by us who may be root."""
    return dice.choice([*_NO_PATHS, "\udcff", "-", "--", "-\udcff"])


# --- the folder a line is typed in ----------------------------------------------------------------


def make_folder(folder: Path, dice: Dice, database: bytes) -> None:
    """Make the files that lines are about."""
    jobs = folder / "jobs"
    jobs.mkdir(parents=True)
    (jobs / "noop.yaml").write_text("program: {type: no-op}\n")
    (jobs / "later.yaml").write_text(
        "schedule: {type: interval, interval: 6h}\nprogram: {type: no-op}\n"
    )
    if dice.random() < 0.5:
        (jobs / "spoilt.yaml").write_bytes(spoilt(dice))
    (folder / "there.yaml").write_bytes(spoilt(dice))
    settings = b"database: server.db\njobs: jobs\n"
    (folder / "callsheet.yaml").write_bytes(
        wounded(settings, dice) if dice.random() < 0.3 else settings
    )
    (folder / "spoilt.yaml").write_bytes(wounded(settings, dice))
    (folder / "gr\u00fc\u00df.yaml").write_text("program: {type: no-op}\n")
    (folder / "empty").write_bytes(b"")
    (folder / "binary").write_bytes(dice.randbytes(300))
    (folder / "list.json").write_text(json.dumps(odd(dice), default=repr))
    crontab = b"MAILTO=x\n*/5 * * * * true\n@daily echo 1%2\n0 0 31 2 * \\x\n"
    (folder / "crontab").write_bytes(wounded(crontab, dice) if dice.random() < 0.6 else crontab)
    if dice.random() < 0.4:
        (folder / "server.db").write_bytes(database)
        (folder / "cut.db").write_bytes(database[: dice.randrange(len(database))])
    (folder / "link").symlink_to("nothing")
