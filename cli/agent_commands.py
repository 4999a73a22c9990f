"""`callsheetctl agent`: who may come in from other hosts, and who gets runs."""

from __future__ import annotations

from typing import Any

import click

from .agent_host_commands import install, start, status, stop
from .local_times import local
from .shown import client, print_agents, print_json, print_table


@click.group("agent")
def group() -> None:
    """Let agents of other hosts in, and look after all agents.

    `install`, `start`, `status` and `stop` reach their hosts by SSH; the rest asks the server.
    """


for _by_ssh in (install, start, status, stop):
    group.add_command(_by_ssh)


@group.command()
@click.option("--group", "group_id", default="", help="The group it puts its agent into.")
@click.option("--expires", default="1h", show_default=True, help="How long it may be used.")
@click.option("--json", "as_json", is_flag=True, help="Print everything about it as JSON.")
@click.pass_context
def token(ctx: click.Context, group_id: str, expires: str, as_json: bool) -> None:
    """Make a token that lets one new agent in, and print it. It is shown once."""
    body = {"group": group_id, "expires": expires}
    made = client(ctx).post("/api/v2/agents/tokens", body=body)
    if as_json:
        print_json(made)
    else:
        click.echo(made["token"])


@group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the agents as JSON.")
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List the agents: group, state, processes, labels."""
    agents = client(ctx).get("/api/v2/agents")["agents"]
    if as_json:
        print_json(agents)
        return
    print_agents(agents)


@group.command()
@click.argument("agent_id")
@click.option("--json", "as_json", is_flag=True, help="Print the processes as JSON.")
@click.pass_context
def processes(ctx: click.Context, agent_id: str, *, as_json: bool) -> None:
    """List what AGENT_ID keeps, from its own inventory: also what belongs to no run any more."""
    from ..client.paths import quote

    found = client(ctx).get(f"/api/v2/agents/{quote(agent_id)}")["agent"]["processes"]
    if as_json:
        print_json(found)
        return
    header = ["process", "job", "state", "pid", "started", "memory", "cpu"]
    print_table(header, [_process_row(process) for process in found])


@group.command()
@click.argument("agent_id")
@click.pass_context
def drain(ctx: click.Context, agent_id: str) -> None:
    """Give AGENT_ID no new runs; those it has go on."""
    _decide(ctx, agent_id, "drain")


@group.command()
@click.argument("agent_id")
@click.pass_context
def undrain(ctx: click.Context, agent_id: str) -> None:
    """Give AGENT_ID runs again."""
    _decide(ctx, agent_id, "undrain")


@group.command()
@click.argument("agent_id")
@click.pass_context
def revoke(ctx: click.Context, agent_id: str) -> None:
    """Never let the key of AGENT_ID in again. Its id is not given to another agent.

    Its processes are left as they are, and their runs become unreachable.
    """
    _decide(ctx, agent_id, "revoke")


@group.command()
@click.argument("agent_id")
@click.pass_context
def forget(ctx: click.Context, agent_id: str) -> None:
    """Take AGENT_ID, which is away or revoked, for gone for good: its host is no more.

    Runs it had are lost, and run again where their jobs say so. Its key is never let in again.
    """
    _decide(ctx, agent_id, "forget")


@group.command()
@click.argument("agent_id")
@click.option("--stop", "how", flag_value="stop", help="Stop its processes first, with grace.")
@click.option("--kill", "how", flag_value="kill", help="Kill its processes first.")
@click.pass_context
def shutdown(ctx: click.Context, agent_id: str, how: str | None) -> None:
    """End AGENT_ID now. Its processes are left running unless they are to be stopped or killed.

    The server's own agent is started again.
    """
    _decide(ctx, agent_id, "shutdown", processes=how or "leave")


@group.command()
@click.argument("agent_id")
@click.argument("process")
@click.pass_context
def kill(ctx: click.Context, agent_id: str, process: str) -> None:
    """Kill a PROCESS of AGENT_ID, given as run and attempt: r12.1. Its run, if any, is stopped."""
    _decide(ctx, agent_id, f"processes/{process}/kill")


def _decide(ctx: click.Context, agent_id: str, verb: str, **body: Any) -> Any:
    from ..client.paths import quote

    return client(ctx).post(f"/api/v2/agents/{quote(agent_id)}/{verb}", body=body)


def _process_row(process: dict[str, Any]) -> list[str]:
    used = process["rss_bytes"] is not None
    return [
        f"{process['run_id']}.{process['attempt']}",
        process["job_id"] or "?",
        "stopping" if process["stopping"] else process["state"],
        str(process["pid"] or ""),
        local(process["started"]) if process["started"] else "",
        f"{process['rss_bytes'] / 2**20:.1f} MiB" if used else "",
        f"{process['cpu_s']:.2f} s" if used else "",
    ]
