"""`callsheetctl audit-log`: who did what, and whether the record of it is whole."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from .shown import client, print_table

if TYPE_CHECKING:
    from ..messages.audit import AuditRow

PAGE = 1_000


@click.command("audit-log")
@click.option(
    "--last",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="So many of the last entries that match.",
)
@click.option("--all", "everything", is_flag=True, help="All entries.")
@click.option("--who", help="Only what this one did: user:ann, token:ci, local.")
@click.option("--target", help="Only what was about this: a run, job, agent, user, token.")
@click.option("--json", "as_json", is_flag=True, help="Print an entry a line, as it is stored.")
@click.option("--verify", is_flag=True, help="Follow the chain of hashes from its beginning.")
@click.option(
    "--expect", metavar="NUMBER:HASH", help="With --verify: this entry has to be there still."
)
@click.option(
    "--database",
    type=click.Path(exists=True, dir_okay=False),
    help="Read a database itself, instead of asking a server.",
)
@click.pass_context
def audit_log(
    ctx: click.Context,
    last: int,
    everything: bool,
    who: str | None,
    target: str | None,
    as_json: bool,
    verify: bool,
    expect: str | None,
    database: str | None,
) -> None:
    """Show who did what, or was refused it; the oldest first."""
    source = _Stored(database) if database else _Served(ctx)
    if verify:
        _verify(source, expect)
        return
    if expect:
        raise click.UsageError("--expect goes with --verify")
    head = source.head()
    # Of those that match so many are the last, however far back they are.
    every = everything or who is not None or target is not None
    found = source.rows(0 if every else max(0, head - last))
    matching = (row for row in found if _concerns(row, who, target))
    rows = list(matching if everything else deque(matching, maxlen=last))
    if as_json:
        for row in rows:
            click.echo(row.body)
    else:
        _print(rows)


def _verify(source: _Stored | _Served, expect: str | None) -> None:
    from ..jobs.errors import UserError
    from ..messages.audit import Broken, Chain

    number, hash_ = _expected(expect)
    chain = Chain()
    try:
        for row in source.rows(0):
            chain.follow([row])
            if row.number == number and not row.hash.startswith(hash_):
                raise Broken(number, f"its hash is {row.hash}: expected {hash_}")
    except Broken as error:
        raise UserError(f"{error}; up to entry {chain.number} it is whole") from None
    head = source.head()
    if chain.number < max(head, number):
        sentence = f"it ends at entry {chain.number}: expected {max(head, number)} at least"
        raise UserError(f"audit log: {sentence}: its end was cut off")
    click.echo(f"{chain.number} entries, each as it was written; the last is")
    click.echo(f"{chain.number}:{chain.hash}")


def _expected(text: str | None) -> tuple[int, str]:
    if text is None:
        return 0, ""
    number, colon, hash_ = text.partition(":")
    if not colon or not number.isascii() or not number.isdigit() or not hash_:
        raise click.UsageError(f"--expect {text}: expected NUMBER:HASH, as --verify prints it")
    return int(number), hash_


def _print(rows: list[AuditRow]) -> None:
    from ..jobs.times import format_time

    table = []
    for row in rows:
        entry = row.entry
        outcome = entry.outcome + (f": {entry.sentence}" if entry.sentence else "")
        what = f"{entry.act} {entry.target}".strip()
        where = entry.source or "-"
        table.append([str(row.number), format_time(entry.at_us), entry.who, where, what, outcome])
    print_table(["number", "time", "who", "from", "what", "outcome"], table)


def _concerns(row: AuditRow, who: str | None, target: str | None) -> bool:
    """Whether an entry is of somebody and about something; of runs that were made, about each."""
    found = json.loads(row.body)
    about = [found.get("target", ""), *found.get("details", {}).get("runs", [])]
    return who in (None, found["who"]) and (target is None or target in about)


class _Served:
    """The record as a server shows it, in pages."""

    def __init__(self, ctx: click.Context) -> None:
        self._client = client(ctx)

    def head(self) -> int:
        found: int = self._ask(after="0", limit="1")["head"]["number"]
        return found

    def rows(self, after: int) -> Iterator[AuditRow]:
        from ..messages.audit import AuditRow

        while True:
            page = self._ask(after=str(after), limit=str(PAGE))["rows"]
            for row in page:
                yield AuditRow(*row)
            if len(page) < PAGE:
                return
            after = page[-1][0]

    def _ask(self, **query: str) -> Any:
        return self._client.get("/api/v2/audit-log", query={"raw": "True", **query})


class _Stored:
    """The record as a database holds it."""

    def __init__(self, path: str) -> None:
        from ..store.sqlite import SqliteReader

        self._reader = SqliteReader(path)

    def head(self) -> int:
        return self._reader.audit_head()[0]

    def rows(self, after: int) -> Iterator[AuditRow]:
        while True:
            page = self._reader.audit(after, PAGE)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].number
