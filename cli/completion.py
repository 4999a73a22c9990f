"""Completion in a shell: the scripts for bash, zsh and fish, and what the server knows to offer.

What is offered comes from the server that the command would ask. Without one, or with a slow one,
nothing is offered: a completion never prints an error.
"""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from .runs_around import runs_around_now
from .shown import SYMBOLS

# A person waits for it with the finger on the key.
TIMEOUT_S = 1.0
MOST = 200
# No run of the API is new.
STATES = tuple(state for state in SYMBOLS if state != "new")
KEYS = ("state", "label", "owner", "agent", "job", "since", "until")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that teaches a shell to complete this command.

    For bash: `eval "$(callsheet completion bash)"` in ~/.bashrc. For zsh the same with `zsh` in
    ~/.zshrc. For fish: `callsheet completion fish > ~/.config/fish/completions/callsheet.fish`.
    """
    from click.shell_completion import get_completion_class

    root = ctx.find_root()
    name = root.info_name or "callsheet"
    variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
    made = get_completion_class(shell)
    assert made is not None, f"click knows {shell}"
    click.echo(made(root.command, {}, name, variable).source())


def jobs(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer ids of jobs; folders come out by their slashes."""
    return _offer(ctx, lambda server: [job["job_id"] for job in server.get_jobs()], begun)


def runs(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the runs around now, with their job and state."""

    def ask(server: Any) -> list[tuple[str, str]]:
        found, _ = runs_around_now(server, {}, MOST)
        return [(run["run_id"], f"{run['state']} {run['job_id']}") for run in found]

    return _offer(ctx, ask, begun)


def args_of_job(ctx: click.Context, _param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer `NAME=` for the params of the job that was named before."""

    def ask(server: Any) -> list[str]:
        given = {word.partition("=")[0] for word in ctx.params.get("args") or ()}
        params = server.get_job(ctx.params["job_id"])["params"]
        return [f"{name}=" for name in params if name not in given]

    return _offer(ctx, ask, begun) if ctx.params.get("job_id") else []


def terms(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer what a query is made of: its keys, states, ids of jobs."""
    key, colon, state = begun.partition(":")
    if colon and key == "state":
        return [CompletionItem(f"{key}:{one}") for one in STATES if one.startswith(state)]
    keys = [CompletionItem(f"{one}:") for one in KEYS if one.startswith(begun)]
    return keys + jobs(ctx, param, begun)


def _offer(ctx: click.Context, ask: Any, begun: str) -> list[CompletionItem]:
    from ..client.client import Client

    options = ctx.find_root().params
    try:
        with Client(options.get("host"), options.get("port"), timeout_s=TIMEOUT_S) as server:
            found = ask(server)
    except (OSError, RuntimeError, ValueError, KeyError):
        return []
    pairs = [(one, None) if isinstance(one, str) else one for one in found]
    return [CompletionItem(word, help=help_) for word, help_ in pairs if word.startswith(begun)][
        :MOST
    ]
