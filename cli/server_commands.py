"""The commands about a running server: its version, its end, its restart."""

from __future__ import annotations

import click

from .. import __version__
from .shown import client


@click.command()
@click.pass_context
def version(ctx: click.Context) -> None:
    """Show the server's address, its version and this client's."""
    server = client(ctx)
    click.echo(f"server: {server.url}")
    click.echo(f"server version: {server.version()}")
    click.echo(f"client version: {__version__}")


@click.command("shut-down")
@click.pass_context
def shut_down(ctx: click.Context) -> None:
    """Stop the server in order; processes of runs live on."""
    client(ctx).shut_down()


@click.command()
@click.pass_context
def restart(ctx: click.Context) -> None:
    """Have the server end in order and begin anew."""
    client(ctx).shut_down(restart=True)
