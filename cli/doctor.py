"""`doctor`: what this installation is made of, how a server does, and what to do about it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .doctor_host import Finding, look_at_disks, look_at_host
from .shown import client, print_json

if TYPE_CHECKING:
    from ..conf.settings import Settings

COLOURS = {"ok": "green", "note": "bright_black", "warning": "yellow", "error": "red"}


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="The settings of a server.")
@click.option("--strict", is_flag=True, help="Exit 1 for warnings too.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.pass_context
def doctor(ctx: click.Context, config: Path | None, strict: bool, as_json: bool) -> None:
    """Look at this host, and at a server; say what is wrong and what to do; exit 1 if anything is.

    Versions, limits, the clock. With --config also the settings, whose the files are, the disks,
    the database, the certificate and the processes. Then the server itself, by --server or as the
    settings say, and its agents. Nothing is changed.
    """
    found = list(look_at_host())
    settings = None
    if config is not None:
        told, settings = _look_at_config(config)
        found += told
    found += _look_at_service(ctx, settings)
    if as_json:
        print_json(
            [
                {"area": one.area, "level": one.level, "sentence": one.sentence, "do": one.do}
                for one in found
            ]
        )
    else:
        _print(found)
    bad = ("error", "warning") if strict else ("error",)
    sys.exit(1 if any(one.level in bad for one in found) else 0)


def _look_at_config(config: Path) -> tuple[list[Finding], Settings | None]:
    from . import doctor_server as server

    found, settings = server.look_at_settings(config)
    if settings is not None:
        found += server.look_at_files(settings)
        folders = [settings.database.path.parent, settings.state_dir, settings.job_dir]
        found += look_at_disks(folders + ([settings.log.folder] if settings.log.folder else []))
        found += server.look_at_database(settings)
        found += server.look_at_certificate(settings, time.time())
        found += server.look_at_processes(settings)
    return found, settings


def _look_at_service(ctx: click.Context, settings: Settings | None) -> Iterable[Finding]:
    """Ask the server that is named, or where the settings have it, or where one may be."""
    import os

    from ..jobs.errors import UserError
    from .doctor_server import look_at_service

    named = any(ctx.find_root().obj or ()) or "CALLSHEET_HOST" in os.environ
    try:
        asked: Any = client(ctx) if named or settings is None else _by_settings(settings)
    except UserError as error:
        return [Finding("service", "error", str(error))]
    return list(look_at_service(asked, wanted=named))


def _by_settings(settings: Settings) -> Any:
    from ..client.client import Client

    near = [bind for bind in settings.web.bind if bind.startswith(("unix:", "127.", "localhost"))]
    return Client((near or list(settings.web.bind))[0])


def _print(found: list[Finding]) -> None:
    width = max(len(one.area) for one in found)
    for one in found:
        level = click.style(f"{one.level:<7}", fg=COLOURS[one.level])
        click.echo(f"{one.area:<{width}}  {level}  {one.sentence}")
        if one.do:
            click.echo(f"{'':<{width}}           → {one.do}")
