"""The command line of agentd: read, and refused where it cannot be used."""

from __future__ import annotations

import argparse
import re
import socket

from ..jobs.errors import UserError
from ..messages.registry import NAME
from .cgroups import NONE

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
SLOTS_AT_MOST = 100_000


class BadOption(UserError):
    """An option of the command line cannot be used."""

    def __init__(self, option: str, value: object, expected: str) -> None:
        super().__init__(f"{option}: {value!r} cannot be used: expected {expected}")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options; wrong usage ends the process as argparse does."""
    parser = argparse.ArgumentParser(
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
    add("--cgroup", metavar="PATH", help="where runs with limits get their cgroups, or none")
    add("--supervised-fd", type=int, help=argparse.SUPPRESS)
    add("--log-level", default="WARNING", help="DEBUG, INFO, WARNING or ERROR")
    return parser.parse_args(arguments)


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
    if options.log_level.upper() not in LOG_LEVELS:
        raise BadOption("--log-level", options.log_level, "DEBUG, INFO, WARNING or ERROR")


def host_name() -> str:
    """Return the host's name, as far as it may name an agent."""
    return re.sub(r"[^A-Za-z0-9._@:-]", "-", socket.gethostname())[:200] or "host"
