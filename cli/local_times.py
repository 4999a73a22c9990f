"""Times as a person wants to read them: in which zone, and with how many digits of a second.

Both are options of the whole command line. They are kept in the `meta` that click shares among
the contexts of one call, so that whatever prints a time finds them there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

ZONE = f"{__name__}.zone"
PRECISION = f"{__name__}.precision"


def local(time: str | None) -> str:
    """Return an API time as `YYYY-MM-DD HH:MM:SS` in the zone wanted; empty for none.

    The zone is that of `--zone`, else of this machine. With `--precision` digits of the second
    follow, cut and not rounded, so that no time shows as later than it is.
    """
    if not time:
        return ""
    from datetime import datetime

    ctx = click.get_current_context(silent=True)
    wanted = ctx.meta if ctx else {}
    at = datetime.fromisoformat(time).astimezone(wanted.get(ZONE))
    text = at.strftime("%Y-%m-%d %H:%M:%S")
    digits = wanted.get(PRECISION, 0)
    return f"{text}.{at.microsecond:06}"[: len(text) + 1 + digits] if digits else text


def time_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a group of commands the options `--zone` and `--precision`."""
    zone = click.option(
        "--zone",
        expose_value=False,
        callback=_keep_zone,
        help="Show times in this zone, as Europe/Berlin or UTC (default: $CALLSHEET_ZONE, "
        "else this machine's).",
    )
    precision = click.option(
        "--precision",
        type=click.IntRange(0, 6),
        default=0,
        metavar="DIGITS",
        expose_value=False,
        callback=_keep_precision,
        help="Show so many digits of a second, up to 6 (default: $CALLSHEET_PRECISION, else 0).",
    )
    return zone(precision(command))


def _keep_zone(ctx: click.Context, _option: click.Parameter, name: str | None) -> None:
    if name is None:
        return
    from ..jobs.errors import UserError
    from ..jobs.times import zone

    try:
        ctx.meta[ZONE] = zone(name)
    except UserError as error:
        raise click.BadParameter(str(error)) from None


def _keep_precision(ctx: click.Context, _option: click.Parameter, digits: int) -> None:
    ctx.meta[PRECISION] = digits
