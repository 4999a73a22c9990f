"""`callsheetctl user`: which people may log in."""

from __future__ import annotations

import sys
from typing import Any

import click

from .shown import client, print_json, print_table
from .token_commands import DATABASE, ROLES

PASSWORD = click.option(
    "--password-file",
    type=click.File("r"),
    help="Read the password from a file (- for standard input) instead of asking for it.",
)


@click.group("user")
def group() -> None:
    """Let people log in to the console."""


@group.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True)
@click.option("--label", "labels", multiple=True, help="Only runs with this label; repeatable.")
@PASSWORD
@DATABASE
@click.pass_context
def create(
    ctx: click.Context,
    name: str,
    role: str,
    labels: tuple[str, ...],
    password_file: Any,
    database: str | None,
) -> None:
    """Let NAME log in. The password is asked for, never given on the command line."""
    password = _password(password_file)
    if not database:
        body = {"name": name, "password": password, "role": role, "labels": list(labels)}
        client(ctx).post("/api/v2/users", body=body)
        return
    from ..jobs.errors import UserError
    from ..messages.access import AddUser, Role
    from ..webui.passwords import hashed, problem_of
    from .at_rest import carry_out

    problem = problem_of(password, name)
    if problem:
        raise UserError(problem)
    wish = AddUser(name=name, password=hashed(password), role=Role(role), labels=labels)
    carry_out(database, wish)


@group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the users as JSON.")
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """List the users."""
    users = client(ctx).get("/api/v2/users")["users"]
    if as_json:
        print_json(users)
        return
    rows = [[user["name"], user["role"], ",".join(user["labels"]), user["since"]] for user in users]
    print_table(["name", "role", "labels", "since"], rows)


@group.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), help="Another role.")
@click.option("--label", "labels", multiple=True, help="Other labels, all of them; repeatable.")
@click.option("--no-labels", is_flag=True, help="Reach everything.")
@click.option("--password", "again", is_flag=True, help="Another password, which is asked for.")
@PASSWORD
@click.pass_context
def change(
    ctx: click.Context,
    name: str,
    role: str | None,
    labels: tuple[str, ...],
    no_labels: bool,
    again: bool,
    password_file: Any,
) -> None:
    """Change NAME's role, labels or password. All of NAME's log-ins end."""
    from ..client.paths import quote

    body: dict[str, Any] = {}
    if role is not None:
        body["role"] = role
    if labels or no_labels:
        body["labels"] = list(labels)
    if again or password_file is not None:
        body["password"] = _password(password_file)
    client(ctx).post(f"/api/v2/users/{quote(name)}/change", body=body)


@group.command()
@click.argument("name")
@click.pass_context
def remove(ctx: click.Context, name: str) -> None:
    """Let NAME log in no more; all log-ins end at once."""
    from ..client.paths import quote

    client(ctx).post(f"/api/v2/users/{quote(name)}/remove")


def _password(file: Any) -> str:
    if file is not None:
        try:
            text: str = file.readline(2_000)
        except UnicodeDecodeError:
            raise click.ClickException(f"{file.name}: is not UTF-8: expected a password") from None
        return text.rstrip("\r\n")
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for the password: --password-file")
    found: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return found
