"""Where a command finds runs, and the query that its words are.

Imports nothing heavy: commands that only look begin with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import click

from .shown import client

ARCHIVE = click.option(
    "--archive",
    type=click.Path(dir_okay=False),
    help="Look into this archive instead of asking a server.",
)


# What can hold blanks in its value, and no further term behind them.
_ONE_VALUE = re.compile(
    r"""(!?(?:[A-Za-z_]\w*=|label:|owner:|agent:))([^:=!"']*\s[^:=!"']*)""", re.DOTALL
)


def source(ctx: click.Context, archive: str | None) -> Any:
    """Return what answers: the server, or an archive."""
    if archive is None:
        return client(ctx)
    # Reading a database needs much that asking a server does not.
    from .archived import Archived

    return Archived(archive)


def join_terms(words: Iterable[str]) -> str:
    """Return the words of a command line as one query: what a shell has unquoted is quoted again.

    A word with blanks but no quotes is one value: `name=Ada Lovelace` is `name="Ada Lovelace"`.
    """
    return " ".join(map(_quoted_again, words))


def _quoted_again(word: str) -> str:
    found = _ONE_VALUE.fullmatch(word)
    return word if found is None else f'{found[1]}"{found[2]}"'
