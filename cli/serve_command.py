"""`serve`: read the settings, run the server in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path

import click


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
def serve_command(
    config: Path | None,
    override: tuple[str, ...],
    bind: tuple[str, ...],
    host: str | None,
    port: int | None,
    inline: bool,
    debug: bool,
) -> None:
    """Run a server in the foreground until SIGTERM or Ctrl-C."""
    if not bind and (host is not None or port is not None):
        bind = (f"{host or '127.0.0.1'}:{5000 if port is None else port}",)
    sys.exit(run(config, override, bind, inline=inline, debug=debug))


def run(
    config: Path | None,
    override: tuple[str, ...] = (),
    bind: tuple[str, ...] = (),
    *,
    inline: bool = False,
    debug: bool = False,
) -> int:
    """Run a server and return its exit status."""
    import logging

    from msgspec.structs import replace

    from ..conf.settings import load_settings
    from ..wire.log_files import LogPlan, begin_logs
    from .serve import serve

    begin_logs(LogPlan(level="debug" if debug else "info"), "supervisor")
    settings = load_settings(config, override)
    if debug:
        settings = replace(settings, log=replace(settings.log, level="debug", levels={}))
    for key, near in settings.unknown:
        if near:
            log = logging.getLogger("callsheet.serve")
            log.warning("settings: unknown key %s is ignored: did you mean %s?", key, near)
    if bind:
        bind = tuple(
            f"unix:{Path(one.removeprefix('unix:')).absolute()}" if one.startswith("unix:") else one
            for one in bind
        )
        settings = replace(settings, web=replace(settings.web, bind=bind))
    return serve(settings, inline=inline)
