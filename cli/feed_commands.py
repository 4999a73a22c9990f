"""`callsheetctl feed`: where other programs follow the server, by which keys, and a look at it."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import click

from .shown import print_json, warn

# A server that is there is heard of within this time.
HEARD_S = 5.0


@click.group("feed")
def group() -> None:
    """Let other programs follow the server over ZeroMQ (docs/feed.md)."""


@group.command()
@click.option("--config", type=click.Path(path_type=Path), help="The server's settings.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def address(config: Path | None, *, as_json: bool) -> None:
    """Show where the feed is, on this host and for others, and the server's public key."""
    from ..conf.settings import load_settings
    from ..wire import place as places
    from ..wire.curve import own_keys, public_text
    from .serve import server_key

    settings = load_settings(config)
    run = places.run_directory(settings.state_dir / "run")
    found = {"address": places.address(run, places.PUBLISHED)}
    if settings.feed.listen is not None:
        found["listen"] = settings.feed.listen
        found["server_key"] = public_text(own_keys(server_key(settings.state_dir)).public)
    if as_json:
        print_json(found)
        return
    click.echo(found["address"])
    if "listen" in found:
        click.echo(f"{found['listen']}  server key {found['server_key']}")


@group.command()
@click.argument("file", type=click.Path(path_type=Path))
def key(file: Path) -> None:
    """Make a key in FILE, if there is none, and show its public part, for `feed.allow`."""
    from ..wire.curve import own_keys, public_text

    click.echo(public_text(own_keys(file).public))


@group.command()
@click.argument("address")
@click.option("--resume", metavar="EPOCH:SEQ", help="Go on from there; else begin with all runs.")
@click.option("--key-file", type=click.Path(path_type=Path), help="Over TCP: our own key.")
@click.option("--server-key", metavar="KEY", help="Over TCP: the server's public key.")
def follow(address: str, resume: str | None, key_file: Path | None, server_key: str | None) -> None:
    """Print what happens, as a line of JSON each, until Ctrl-C: first the runs that are not over.

    Each line has a `position`, from which `--resume` goes on.
    """
    from ..client.feed import Feed

    with Feed(address, resume=resume, key_file=key_file, server_key=server_key) as feed:
        # Without a place to go on from there is news at once, if there is a server.
        first = feed.next(HEARD_S) if resume is None else None
        if first is None and resume is None:
            over_tcp = ", that allows this key" if address.startswith("tcp:") else ""
            warn(f"{address}: nothing is heard yet: expected a server there{over_tcp}; it goes on")
        for news in chain([] if first is None else [first], feed):
            kind = {"news": type(news).__name__.lower(), "position": feed.position}
            said = {name: getattr(news, name) for name in news._fields[2:]}
            click.echo(json.dumps(kind | said))
