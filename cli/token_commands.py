"""`callsheetctl token`: which programs may come in."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, TextIO

import click

from .shown import client, print_json, print_table

ROLES = ("viewer", "operator", "admin")
DATABASE = click.option(
    "--database",
    type=click.Path(dir_okay=False),
    help="Change a database that no server has in use, instead of asking a server.",
)


@click.group("token")
def group() -> None:
    """Let programs in by tokens, which are shown once."""


@group.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True)
@click.option("--label", "labels", multiple=True, help="Only runs with this label; repeatable.")
@click.option("--expires", default="90d", show_default=True, help="How long it holds, or never.")
@click.option("--out", type=click.Path(dir_okay=False), help="Write it to a new file, mode 0600.")
@click.option("--json", "as_json", is_flag=True, help="Print everything about it as JSON.")
@DATABASE
@click.pass_context
def create(
    ctx: click.Context,
    name: str,
    role: str,
    labels: tuple[str, ...],
    expires: str,
    out: str | None,
    as_json: bool,
    database: str | None,
) -> None:
    """Make a token called NAME and print it. It is shown once: the server keeps its hash."""
    body = {
        "name": name,
        "role": role,
        "labels": list(labels),
        "expires": None if expires == "never" else expires,
    }
    with contextlib.ExitStack() as whole:
        # Before the token is made: one that cannot be written down is of no use.
        file = None if out is None else whole.enter_context(_new_file(out))
        made = (
            _at_rest(database, body) if database else client(ctx).post("/api/v2/tokens", body=body)
        )
        if file is not None:
            file.write(made["token"] + "\n")
    if file is not None:
        click.echo(f"{out}: token {made['token_id']}")
    elif as_json:
        print_json(made)
    else:
        click.echo(made["token"])


@group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the tokens as JSON.")
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List the tokens: never what they are, but whose and for what."""
    tokens = client(ctx).get("/api/v2/tokens")["tokens"]
    if as_json:
        print_json(tokens)
        return
    head = ["token_id", "name", "role", "state", "expires", "labels", "made_by"]
    rows = [[_cell(token[name]) for name in head] for token in tokens]
    print_table(head, rows)


@group.command()
@click.argument("token_id")
@DATABASE
@click.pass_context
def revoke(ctx: click.Context, token_id: str, database: str | None) -> None:
    """Never let the holder of TOKEN_ID in again, at once."""
    if database:
        from ..messages.access import RevokeApiToken
        from .at_rest import carry_out

        carry_out(database, RevokeApiToken(token_id=token_id))
        return
    from ..client.paths import quote

    client(ctx).post(f"/api/v2/tokens/{quote(token_id)}/revoke")


@contextlib.contextmanager
def _new_file(path: str) -> Iterator[TextIO]:
    """Yield a new file to write to, which is gone again if that comes to nothing."""
    from ..jobs.errors import UserError

    try:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: expected the name of a new file") from None
    try:
        with os.fdopen(fd, "w", encoding="ascii") as file:
            yield file
    except BaseException:
        os.unlink(path)
        raise


def _at_rest(database: str, body: dict[str, Any]) -> dict[str, Any]:
    import secrets
    import time

    from ..jobs.times import parse_duration
    from ..messages.access import TOKEN_PREFIX, MakeApiToken, Role, secret_hash
    from .at_rest import carry_out

    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    expires_us = None
    if body["expires"] is not None:
        expires_us = time.time_ns() // 1000 + parse_duration(body["expires"])
    wish = MakeApiToken(
        token_id=secrets.token_hex(6),
        secret_hash=secret_hash(secret),
        name=body["name"],
        role=Role(body["role"]),
        labels=tuple(body["labels"]),
        expires_us=expires_us,
    )
    carry_out(database, wish)
    return {"token": secret, "token_id": wish.token_id, "name": wish.name, "role": wish.role}


def _cell(value: Any) -> str:
    if value is None:
        return "never"
    return ",".join(value) if isinstance(value, list) else str(value)
