"""`callsheetctl config`: what a server's settings are, where each is from, whether they hold."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .shown import print_json

if TYPE_CHECKING:
    from ..conf.settings import Settings

FILE = click.argument("file", type=click.Path(path_type=Path), required=False)
CONFIG = click.option("--config", type=click.Path(path_type=Path), help="The same as FILE.")
OVERRIDE = click.option(
    "-o", "--override", multiple=True, metavar="NAME=VALUE", help="Set one of its keys, as `serve`."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")


@click.group("config")
def group() -> None:
    """Look at settings: what they are, where each is from, whether they hold."""


@group.command()
@FILE
@CONFIG
@OVERRIDE
@click.option("--effective", "which", flag_value="all", default="all", help="All of them.")
@click.option("--changed", "which", flag_value="changed", help="Only those that somebody wrote.")
@click.option("--defaults", "which", flag_value="defaults", help="Only the defaults of the rest.")
@JSON
def show(
    file: Path | None,
    config: Path | None,
    override: tuple[str, ...],
    which: str,
    as_json: bool,
) -> None:
    """Print all settings as the server of FILE would have them, and where each is from.

    Without FILE it is the defaults. Secrets are not shown. What is printed is a settings file
    again, apart from these.
    """
    from ..conf.settings_shown import DEFAULT, as_yaml, show_settings

    found = show_settings(file or config, override)
    if which != "all":
        found = [one for one in found if (one[1].source == DEFAULT) == (which == "defaults")]
    if as_json:
        print_json([{"key": s.key, "value": s.value, "from": s.source} for _, s in found])
    else:
        click.echo(as_yaml(found), nl=False)


@group.command()
@FILE
@CONFIG
@OVERRIDE
@click.option("--strict", is_flag=True, help="Exit 1 for warnings too.")
@JSON
def check(
    file: Path | None,
    config: Path | None,
    override: tuple[str, ...],
    strict: bool,
    as_json: bool,
) -> None:
    """Check the settings of FILE without a server; exit 1 when anything is wrong.

    All mistakes are told at once, with path, line and column; then whether what they name is there:
    folders, files, certificates, modules of extensions and functions. `callsheetctl check` looks at
    the jobs.
    """
    from ..conf.settings import SettingsError, load_settings

    path = file or config
    try:
        settings = load_settings(path, override)
        said = check_settings(settings)
    except SettingsError as error:
        said = [("error", line) for line in error.lines]
    if as_json:
        print_json([{"severity": severity, "sentence": sentence} for severity, sentence in said])
    else:
        for severity, sentence in said:
            click.echo(sentence if severity == "error" else f"warning: {sentence}")
        if not said:
            click.echo(f"{path or 'settings'}: nothing wrong")
    if any(strict or severity == "error" for severity, _ in said):
        sys.exit(1)


def check_settings(settings: Settings) -> list[tuple[str, str]]:
    """Return what is wrong with settings that could be read: (`error` or `warning`, sentence)."""
    from ..actors.extensions import load_extensions
    from ..actors.template_functions import load_templates
    from ..jobs.errors import UserError
    from ..webui.certificate import Certificate
    from ..webui.listening import parse_bind

    found: list[tuple[str, str]] = []
    for key, near in settings.unknown:
        hint = f": did you mean {near}?" if near else ""
        found.append(("warning", f"unknown key {key} is ignored{hint}"))

    def attempt(act: object) -> None:
        try:
            act()  # type: ignore[operator]
        except UserError as error:
            found.append(("error", str(error)))

    web = settings.web
    if web.certificate is not None and web.key is not None:
        certificate, key_file = str(web.certificate), str(web.key)
        attempt(lambda: Certificate(certificate, key_file))
    for bind in web.bind:
        attempt(lambda bind=bind: parse_bind(bind, certificate=web.certificate is not None))
    attempt(lambda: load_extensions(settings.extensions))
    attempt(lambda: load_templates(settings.templates))
    if not settings.job_dir.is_dir():
        found.append(("error", f"job_dir: {settings.job_dir}: there is no such folder"))
    if settings.calendars is not None and not settings.calendars.is_dir():
        found.append(("error", f"calendars: {settings.calendars}: there is no such folder"))
    for name, folder in (
        ("database", settings.database.path.parent),
        ("state_dir", _there(settings.state_dir)),
        ("log.folder", None if settings.log.folder is None else _there(settings.log.folder)),
    ):
        if folder is not None and not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            found.append(("error", f"{name}: {folder}: expected a folder to write into"))
    if not settings.database.path.exists():
        create = f"callsheetctl create {settings.database.path}"
        found.append(("warning", f"database: {settings.database.path}: not there yet: {create}"))
    return found


def _there(folder: Path) -> Path:
    """Return a folder that a server makes, as far as there is one: itself or the nearest above."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
