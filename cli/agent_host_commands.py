"""`callsheetctl agent install|start|status|stop HOST…`: agents of other hosts, by SSH; and
`callsheet agent start|status|stop`: one of this host."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from ..agentd.options import as_name, host_name
from ..agentd.ssh import Target, read_target
from ..jobs.errors import UserError
from .agent_board import on_hosts, print_found
from .agent_shells import HERE, FarShell, HereShell, Shell
from .agent_steps import FOLDER, Found, Plan, Steps
from .agent_wheel import agent_wheel
from .shown import client

EVERYWHERE = ("0.0.0.0", "*", "[::]", "::")  # noqa: S104 - what a server may listen on
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class ServerOffice:
    """The server, by its API; for one thread."""

    def __init__(self, ctx: click.Context, *, here: bool) -> None:
        """`here`: the agents are on the host of this command."""
        self._client = client(ctx)
        self._here = here

    def token(self, group: str) -> str:
        """See `Office`."""
        made = self._client.post("/api/v2/agents/tokens", body={"group": group, "expires": "1h"})
        return str(made["token"])

    def address(self) -> str:
        """See `Office`; where the server listens on all addresses, it is the one we reach it by.

        Raises:
            UserError: agents of other hosts cannot come in.
        """
        listen = self._client.get("/api/v2/agents")["listen"]
        if listen is None:
            sentence = "agents cannot come in to the server: expected the setting agents.listen"
            raise UserError(sentence)
        host, _, port = listen.removeprefix("tcp://").rpartition(":")
        if host in EVERYWHERE:
            host = urlsplit(self._client.url).hostname or "localhost"
            if host in LOOPBACK and not self._here:
                host = socket.getfqdn()
            host = f"[{host}]" if ":" in host else host
        return f"tcp://{host}:{port}"

    def agent(self, agent_id: str) -> dict[str, Any] | None:
        """See `Office`."""
        agents = self._client.get("/api/v2/agents")["agents"]
        return next((agent for agent in agents if agent["agent_id"] == agent_id), None)


# --- options ------------------------------------------------------------------------------------


def _together(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


FAR_OPTIONS = _together(
    click.argument("hosts", nargs=-1, required=True, metavar="[USER@]HOST[:PORT]…"),
    click.option("--identity-file", "-i", help="The private key (default: as ssh finds one)."),
    click.option(
        "--known-hosts",
        help="File of host keys (default: ~/.ssh/known_hosts and the system's). "
        "A host that is not in it is not spoken with.",
    ),
    click.option("--dir", "folder", default=FOLDER, show_default=True, help="Its folder there."),
    click.option(
        "--parallel",
        type=click.IntRange(1, 100),
        default=10,
        show_default=True,
        help="So many hosts at a time.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON."),
)
START_OPTIONS = _together(
    click.option("--group", default="", help="The group its token puts it into."),
    click.option(
        "--by",
        type=click.Choice(["auto", "systemd", "background"]),
        default="auto",
        show_default=True,
        help="Who keeps it: the user's systemd, or nobody.",
    ),
    click.option(
        "--wait",
        "wait_s",
        type=click.FloatRange(1, 3600),
        default=60,
        show_default=True,
        help="Seconds until the server has to have heard of it.",
    ),
)
AGENT_OPTIONS = _together(
    click.option("--server", help="Where agents come in: tcp://HOST:PORT (default: as it says)."),
    click.option("--agent-id", help="Its name (default: that of the host)."),
    click.option("--label", "labels", multiple=True, help="Say this of it; repeatable."),
    click.option("--slots", type=int, help="Processes at the same time (default: any number)."),
    click.option("--sudo-allow", metavar="FILE", help="The host's file of users jobs may be."),
    click.option("--secrets", metavar="PATH", help="The host's file or folder of jobs' secrets."),
    click.option("--secrets-command", metavar="COMMAND", help="What prints one there."),
)


def _agent_words(given: Mapping[str, Any]) -> tuple[str, ...]:
    words = [word for label in given["labels"] for word in ("--label", label)]
    for option in ("slots", "sudo_allow", "secrets", "secrets_command"):
        if given[option] is not None:
            words += [f"--{option.replace('_', '-')}", str(given[option])]
    return tuple(words)


# --- other hosts --------------------------------------------------------------------------------


@click.command()
@FAR_OPTIONS
@START_OPTIONS
@AGENT_OPTIONS
@click.option("--python", help="The Python there to make a virtual environment with.")
@click.option(
    "--wheel",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Install this wheel (default: one made of the agent that is installed here).",
)
@click.option("--requirement", help="Install what pip finds by this, such as callsheet==1.0.")
@click.option("--command", help="Install nothing: use this callsheet-agentd that is there already.")
@click.option("--with-ssh", is_flag=True, help="Install fabric too, for programs of type ssh.")
@click.option("--no-start", is_flag=True, help="Do not start it.")
@click.pass_context
def install(ctx: click.Context, /, **given: Any) -> None:
    """Install an agent on each HOST over SSH, let it in and start it.

    It gets a folder and a virtual environment of its own there; done again, it is brought up to
    date and started anew, and its processes go on meanwhile.
    """
    ways = [given[name] for name in ("wheel", "requirement", "command") if given[name]]
    if len(ways) > 1:
        raise click.UsageError("expected one of --wheel, --requirement, --command")
    if given["agent_id"] and len(given["hosts"]) > 1:
        raise click.UsageError("--agent-id: expected one HOST: a name is for one agent")
    wheel = None
    if given["wheel"]:
        wheel = (given["wheel"].name, given["wheel"].read_bytes())
    elif not ways:
        wheel = agent_wheel()
    plan = _plan(
        given,
        server=given["server"],
        agent_id=given["agent_id"],
        python=given["python"],
        command=(given["command"],) if given["command"] else (),
        wheel=wheel,
        requirement=given["requirement"],
        with_ssh=given["with_ssh"],
        options=_agent_words(given),
    )
    _far(ctx, given, plan, lambda steps: steps.install(start=not given["no_start"]))


@click.command()
@FAR_OPTIONS
@START_OPTIONS
@click.pass_context
def start(ctx: click.Context, /, **given: Any) -> None:
    """Start the agent of each HOST, anew if it runs; its processes go on."""
    _far(ctx, given, _plan(given), Steps.start)


@click.command()
@FAR_OPTIONS
@click.pass_context
def status(ctx: click.Context, /, **given: Any) -> None:
    """Say what is so of the agent of each HOST."""
    _far(ctx, given, _plan(given), Steps.status)


@click.command()
@FAR_OPTIONS
@click.pass_context
def stop(ctx: click.Context, /, **given: Any) -> None:
    """End the agent of each HOST. Its processes go on; `shutdown --kill` ends them too."""
    _far(ctx, given, _plan(given), Steps.stop)


def _plan(given: dict[str, Any], **more: Any) -> Plan:
    names = ("group", "folder", "by", "wait_s")
    return Plan(**{name: given[name] for name in names if name in given}, **more)


def _far(
    ctx: click.Context, given: dict[str, Any], plan: Plan, act: Callable[[Steps], Found]
) -> None:
    more = {"identity_file": given["identity_file"], "known_hosts": given["known_hosts"]}
    targets: dict[str, Target] = {}
    for text in given["hosts"]:
        target = read_target(text, **more)
        targets[str(target)] = target

    def work(host: str, tell: Callable[[str], None]) -> Found:
        tell("connecting")
        return _within(FarShell(targets[host]), ServerOffice(ctx, here=False), plan, tell, act)

    found = on_hosts(list(targets), work, given["parallel"], quiet=given["as_json"])
    print_found(found, as_json=given["as_json"])


def _within(
    shell: Shell,
    office: ServerOffice,
    plan: Plan,
    tell: Callable[[str], None],
    act: Callable[[Steps], Found],
) -> Found:
    try:
        return act(Steps(shell, office, plan, tell))
    finally:
        shell.close()


# --- this host ----------------------------------------------------------------------------------


@click.group("agent")
def here() -> None:
    """Start an agent on this host, and look after it."""


HERE_OPTIONS = _together(
    click.option("--group", default="default", show_default=True, help="The group it is for."),
    click.option("--dir", "folder", help=f"Its folder (default: ~/{FOLDER}-GROUP)."),
    click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON."),
)


@here.command("start")
@HERE_OPTIONS
@AGENT_OPTIONS
@click.option(
    "--by",
    type=click.Choice(["background", "systemd", "foreground"]),
    default="background",
    show_default=True,
    help="Who keeps it.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(1, 3600),
    default=60,
    show_default=True,
    help="Seconds until the server has to have heard of it.",
)
@click.pass_context
def start_here(ctx: click.Context, /, **given: Any) -> None:
    """Start an agent for a group on this host, connected to the server.

    The first time the server lets it in; it must listen for agents (`agents.listen`).
    """
    is_front = given["by"] == "foreground"
    plan = _here_plan(
        given,
        server=given["server"],
        agent_id=given["agent_id"] or as_name(f"{host_name()}-{given['group']}"),
        command=(sys.executable, "-P", "-m", "callsheet.agentd.daemon"),
        options=_agent_words(given),
        by="background" if is_front else given["by"],
        wait_s=given["wait_s"],
    )
    if is_front:
        tell: Callable[[str], None] = lambda step: click.echo(step, err=True)  # noqa: E731
        _within(HereShell(), ServerOffice(ctx, here=True), plan, tell, Steps.run_here)
    _here(ctx, given, plan, lambda steps: steps.install(start=True))


@here.command("status")
@HERE_OPTIONS
@click.pass_context
def status_here(ctx: click.Context, /, **given: Any) -> None:
    """Say what is so of this host's agent for a group."""
    _here(ctx, given, _here_plan(given), Steps.status)


@here.command("stop")
@HERE_OPTIONS
@click.pass_context
def stop_here(ctx: click.Context, /, **given: Any) -> None:
    """End this host's agent for a group. Its processes go on."""
    _here(ctx, given, _here_plan(given), Steps.stop)


def _here_plan(given: dict[str, Any], **more: Any) -> Plan:
    folder = given["folder"] or f"{FOLDER}-{as_name(given['group'])}"
    if given["folder"]:
        folder = str(Path(folder).absolute())
    return Plan(group=given["group"], folder=folder, **more)


def _here(
    ctx: click.Context, given: dict[str, Any], plan: Plan, act: Callable[[Steps], Found]
) -> None:
    def work(_host: str, tell: Callable[[str], None]) -> Found:
        return _within(HereShell(), ServerOffice(ctx, here=True), plan, tell, act)

    print_found(on_hosts([HERE], work, 1, quiet=given["as_json"]), as_json=given["as_json"])
