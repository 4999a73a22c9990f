"""`callsheetctl`: the commands of administrators, who run servers and look after them."""

from __future__ import annotations

from . import names_first  # noqa: F401 - before all that has names

# isort: split
import click

from .lazy import LazyGroup, guarded

TABLE = {
    "completion": ("completion:completion", "Print the completion script of a shell."),
    "agent": ("agent_commands:group", "Let agents of other hosts in, and look after all agents."),
    "audit": ("account_commands:audit", "Account for every nominal run between two times."),
    "audit-log": ("audit_commands:audit_log", "Show who did what; verify the record of it."),
    "backup": ("database_commands:backup", "Copy the database while a server runs."),
    "check": ("folder_commands:check", "Check a folder of job files."),
    "check-jobs": ("folder_commands:check", "The same, by Apsis's name."),
    "config": ("config_commands:group", "Show and check the settings of a server."),
    "create": ("folder_commands:create", "Create a database."),
    "doctor": ("doctor:doctor", "Say what this installation is made of, and what is wrong."),
    "feed": ("feed_commands:group", "Let other programs follow the server over ZeroMQ."),
    "import": ("import_commands:group", "Take over crontabs and Apsis installations."),
    "migrate": ("folder_commands:migrate", "Bring a database up to date with this version."),
    "reload-jobs": ("folder_commands:reload_jobs", "Read the job folder again."),
    "restart": ("server_commands:restart", "Restart the server."),
    "restore": ("database_commands:restore", "Put a backup in the place of the database."),
    "schema": ("folder_commands:schema", "Print the JSON Schema of job files."),
    "serve": ("serve_command:serve_command", "Run a server in the foreground."),
    "shut-down": ("server_commands:shut_down", "Stop the server in order."),
    "token": ("token_commands:group", "Let programs in by tokens, which are shown once."),
    "user": ("user_commands:group", "Let people log in to the console."),
    "verify": ("database_commands:verify", "Hold every row of the database against the others."),
    "version": ("server_commands:version", "Show the versions of server and client."),
}


@click.command(
    cls=LazyGroup,
    table=TABLE,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--host",
    "--server",
    "host",
    help="The server, as HOST, HOST:PORT, https://HOST or unix:PATH (default: $CALLSHEET_HOST).",
)
@click.option("--port", type=int, help="The server's port.")
@click.option(
    "--log-level", "--log", hidden=True, expose_value=False, help="Accepted for Apsis's sake."
)
@click.version_option(package_name="callsheet")
@click.pass_context
def group(ctx: click.Context, host: str | None, port: int | None) -> None:
    """Run a server and look after it."""
    ctx.obj = (host, port)


def main() -> None:
    """Run the command line."""
    guarded(group)


if __name__ == "__main__":
    main()
