"""The command line of agentd: read, and refused where it cannot be used."""

from __future__ import annotations

import argparse
import os
import re
import socket
import sys
from typing import NamedTuple, NoReturn

from ..jobs.errors import UserError
from ..jobs.times import parse_duration
from ..messages.registry import NAME
from ..wire.log_files import OFF, LogPlan
from .abandoning import Policy
from .cgroups import NONE
from .closing import How
from .secret_sources import Source

# sysexits' EX_CONFIG: a person has to mend something before agentd can be started again.
UNUSABLE = 78
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
MOST_LOGGED = 2**40
SLOTS_AT_MOST = 100_000


class Ways(NamedTuple):
    """How an agent works on its host. `sudo_allow`: path of the list of users that jobs may run as.
    `cgroup`: where runs with limits get their groups. `policy`: what is abandoned when no server is
    there. `on_stop`: what SIGTERM does to the processes. `secrets`: where those of jobs are."""

    sudo_allow: str | None = None
    cgroup: str | None = None
    policy: Policy = Policy()
    on_stop: How = "leave"
    secrets: Source = Source()


USUAL = Ways()


class BadOption(UserError):
    """An option of the command line cannot be used."""

    def __init__(self, option: str, value: object, expected: str) -> None:
        super().__init__(f"{option}: {value!r} cannot be used: expected {expected}")


class _Parser(argparse.ArgumentParser):
    """Ends the process with `UNUSABLE`, by which a service knows not to start it again."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(UNUSABLE, f"{self.prog}: error: {message}\n")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options; wrong usage is told of and ends the process with `UNUSABLE`."""
    parser = _Parser(
        prog="callsheet-agentd",
        description="Run processes on this host for a callsheet server.",
    )
    add = parser.add_argument
    add("--server", required=True, help="where the server is: tcp://HOST:PORT or ipc://PATH")
    add("--spool", required=True, help="folder for claims, outputs and keys; made")
    add("--token-file", help="file with a token for enrolment, needed the first time")
    add("--server-key", help="the server's public key, if no token has named it")
    add("--agent-id", help="name of this agent (default: that of its enrolment, or of the host)")
    add("--group", help="group of agents it belongs to, unless its token says (default: default)")
    add("--label", action="append", default=[], dest="labels", help="say this of it; repeatable")
    add("--slots", type=int, default=0, help="processes at the same time (default: any number)")
    add("--sudo-allow", metavar="FILE", help="file with the users that jobs may run as, one a line")
    add(
        "--secrets",
        metavar="PATH",
        help="the secrets of jobs: a file of name=value lines, or a "
        "folder with a file for each, which nobody else may read",
    )
    add(
        "--secrets-command",
        metavar="COMMAND",
        help="what prints a secret, whose name is put after it",
    )
    add("--cgroup", metavar="PATH", help="where runs with limits get their cgroups, or none")
    add(
        "--on-stop",
        choices=("leave", "stop", "kill"),
        default="leave",
        help="what SIGTERM does to its processes: leave them running (the default), stop them with "
        "the grace of their jobs, or kill them; told twice, agentd ends at once",
    )
    add(
        "--abandon-processes-after",
        type=_duration,
        metavar="TIME",
        help="stop processes when no server was there for so long, such as 7d (default: never)",
    )
    add(
        "--abandon-results-after",
        type=_duration,
        metavar="TIME",
        help="remove results when no server was there for so long (default: never)",
    )
    add("--supervised-fd", type=int, help=argparse.SUPPRESS)
    add("--log-level", default="INFO", help="DEBUG, INFO, WARNING or ERROR")
    add("--log-file", metavar="FILE", help="log to this file (default: standard error)")
    add("--log-format", choices=("text", "json"), default="text", help="what a line is")
    add("--log-size", type=int, default=64 * 2**20, metavar="BYTES", help="its size at most")
    add("--log-every", type=_duration, metavar="TIME", help="roll it over each so long")
    add("--log-keep", type=int, default=10, metavar="N", help="keep so many files before it")
    add("--log-stderr", metavar="LEVEL", help="from this level to standard error too, or off")
    return parser.parse_args(arguments)


def ways_of(options: argparse.Namespace) -> Ways:
    """Return what the options say of how it works."""
    policy = Policy(options.abandon_processes_after, options.abandon_results_after)
    secrets = Source.of(options.secrets, options.secrets_command)
    return Ways(options.sudo_allow, options.cgroup, policy, options.on_stop, secrets)


def logs_of(options: argparse.Namespace) -> LogPlan:
    """Return how it logs, apart from the name of its file."""
    return LogPlan(
        level=options.log_level.lower(),
        style=options.log_format,
        size_bytes=options.log_size,
        every_us=options.log_every or 0,
        keep=options.log_keep,
        stderr=(options.log_stderr or "").lower(),
    )


def check(options: argparse.Namespace) -> None:
    """Refuse what cannot be used.

    Raises:
        BadOption: it says which and why.
    """
    server = options.server
    if server.startswith("tcp:"):
        match = re.fullmatch(r"tcp://[^/\s]+:([0-9]{1,5})", server)
        if match is None or not 1 <= int(match[1]) <= 65_534:
            raise BadOption("--server", server, "a form like tcp://scheduler.example.org:5901")
    elif not server.startswith("ipc://"):
        raise BadOption("--server", server, "tcp://HOST:PORT or ipc://PATH")
    for option, value in (
        ("--agent-id", options.agent_id),
        ("--group", options.group),
        *(("--label", label) for label in options.labels),
    ):
        if value is not None and re.fullmatch(NAME, value) is None:
            raise BadOption(option, value, "1 to 200 letters, digits or . _ @ : -")
    if not 0 <= options.slots <= SLOTS_AT_MOST:
        raise BadOption("--slots", options.slots, f"a number from 0 to {SLOTS_AT_MOST}")
    if options.cgroup is not None and options.cgroup != NONE and options.cgroup[:1] != "/":
        raise BadOption("--cgroup", options.cgroup, "the path of a cgroup, or none")
    if options.secrets is not None and options.secrets[:1] != "/":
        raise BadOption("--secrets", options.secrets, "the absolute path of a file or folder")
    try:
        Source.of(None, options.secrets_command)
    except ValueError as error:
        raise BadOption("--secrets-command", options.secrets_command, f"words: {error}") from None
    if options.log_level.upper() not in LOG_LEVELS:
        raise BadOption("--log-level", options.log_level, "DEBUG, INFO, WARNING or ERROR")
    shown = options.log_stderr
    if shown not in (None, OFF) and shown.upper() not in LOG_LEVELS:
        raise BadOption("--log-stderr", shown, "DEBUG, INFO, WARNING, ERROR or off")
    if options.log_file is not None and not os.path.isdir(os.path.dirname(options.log_file) or "."):
        raise BadOption("--log-file", options.log_file, "a file in a folder that is there")
    for option, value, least in (
        ("--log-size", options.log_size, 0),
        ("--log-keep", options.log_keep, 1),
    ):
        if not least <= value <= MOST_LOGGED:
            raise BadOption(option, value, f"a number of {least} or more")


def _duration(text: str) -> int:
    """Read a duration of more than nothing; return microseconds."""
    try:
        found = parse_duration(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if found <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be used: expected more than nothing")
    return found


def host_name() -> str:
    """Return the host's name, as far as it may name an agent."""
    return as_name(socket.gethostname())


def as_name(text: str) -> str:
    """Return a text as far as it may name an agent."""
    return re.sub(r"[^A-Za-z0-9._@:-]", "-", text)[:200] or "host"
