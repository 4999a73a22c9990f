"""`serve`: read the settings, run the server in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path

import click

# What settings are called in the documents; read when it is named, as any other.
USUAL = "callsheet.yaml"


@click.command("serve")
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file.")
@click.option("-o", "--override", multiple=True, metavar="NAME=VALUE", help="Set one of its keys.")
@click.option(
    "--bind",
    multiple=True,
    metavar="ADDRESS",
    help="Where it listens: HOST:PORT or unix:PATH; repeatable.",
)
@click.option("--host", help="The same in two, as Apsis has it.")
@click.option("--port", type=int, help="The port that goes with --host.")
@click.option("--inline", is_flag=True, help="All roles in one process, for tests and tiny hosts.")
@click.option("--debug", is_flag=True, help="Log more.")
@click.option("--dry-run", is_flag=True, help="Only say whether it could begin; exit 1 if not.")
def serve_command(
    config: Path | None,
    override: tuple[str, ...],
    bind: tuple[str, ...],
    host: str | None,
    port: int | None,
    inline: bool,
    debug: bool,
    dry_run: bool,
) -> None:
    """Run a server in the foreground until SIGTERM or Ctrl-C.

    Without --config its settings are the defaults. SIGHUP has it begin anew by the settings as they
    are then; where it could not, it goes on as it is and the log says why.
    """
    if not bind and (host is not None or port is not None):
        bind = (f"{host or '127.0.0.1'}:{5000 if port is None else port}",)
    sys.exit(run(config, override, bind, inline=inline, debug=debug, dry_run=dry_run))


def run(
    config: Path | None,
    override: tuple[str, ...] = (),
    bind: tuple[str, ...] = (),
    *,
    inline: bool = False,
    debug: bool = False,
    dry_run: bool = False,
) -> int:
    """Run a server, or try whether it could begin, and return the exit status."""
    from msgspec.structs import replace

    from ..conf.settings import load_settings
    from ..wire.log_files import LogPlan, begin_logs
    from .serve import serve

    begin_logs(LogPlan(level="debug" if debug else "info"), "supervisor")
    settings = load_settings(config, override)
    if debug:
        settings = replace(settings, log=replace(settings.log, level="debug", levels={}))
    if bind:
        # Without a path it stays as it is, and is refused as it was typed.
        paths = {one: one.removeprefix("unix:") for one in bind if one.startswith("unix:")}
        bind = tuple(
            f"unix:{Path(paths[one]).absolute()}" if paths.get(one) else one for one in bind
        )
        settings = replace(settings, web=replace(settings.web, bind=bind))
    if dry_run:
        from .entrance import tell_whether

        return tell_whether(settings, config)
    notes = [
        f"settings: unknown key {key} is ignored: did you mean {near}?"
        for key, near in settings.unknown
        if near
    ]
    if config is None and Path(USUAL).exists():
        notes.append(f"{USUAL} is not read: expected --config {USUAL}, or no such file here")
    trial = (sys.executable, *sys.orig_argv[1:], "--dry-run")
    return serve(settings, inline=inline, trial=trial, notes=tuple(notes))
