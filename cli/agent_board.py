"""Progress and outcome of the steps on several hosts, as people see them: a table that moves on a
terminal, lines elsewhere. Progress goes to stderr, outcomes to stdout."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
import msgspec

from ..client.http import APIError, NoServer
from ..jobs.errors import UserError
from .agent_steps import Found
from .shown import print_json

Work = Callable[[str, Callable[[str], None]], Found]
# How often a second the table of a terminal is drawn.
DRAWN_PER_S = 8


class Board:
    """What each host is at. `tell` is called from any thread."""

    def __init__(self, hosts: Sequence[str], *, quiet: bool) -> None:
        self._steps = dict.fromkeys(hosts, "waiting its turn")
        self._quiet = quiet
        self._lock = threading.Lock()
        self._is_live = not quiet and sys.stderr.isatty()

    def tell(self, host: str, step: str) -> None:
        """Say what a host is at."""
        with self._lock:
            self._steps[host] = step
            if not self._is_live and not self._quiet:
                click.echo(f"{host}: {step}", err=True)

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table while the block runs, on a terminal."""
        if not self._is_live:
            yield
            return
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        with Live(
            get_renderable=self._table,
            console=console,
            refresh_per_second=DRAWN_PER_S,
            transient=True,
        ):
            yield

    def _table(self) -> Any:
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        with self._lock:
            for host, step in self._steps.items():
                is_over = step in ("done", "failed")
                sign = Text("+" if step == "done" else "X") if is_over else Spinner("line")
                table.add_row(sign, Text(host), Text(step, style="red" if step == "failed" else ""))
        return table


def on_hosts(hosts: Sequence[str], work: Work, at_once: int, *, quiet: bool) -> list[Found]:
    """Do the work on each host, several at a time; return what became of each, in their order.

    Args:
        work: called with the host and with whom to tell its steps; what users may cause is caught.
        at_once: how many hosts are worked on at the same time.
        quiet: show no progress.
    """
    board = Board(hosts, quiet=quiet)

    def one(host: str) -> Found:
        try:
            found = work(host, lambda step: board.tell(host, step))
        except (UserError, NoServer) as error:
            found = Found(host=host, ok=False, error=str(error))
        except APIError as error:
            found = Found(host=host, ok=False, error=f"the server says: {error.error}")
        board.tell(host, "done" if found.ok else "failed")
        return found

    with board.shown(), ThreadPoolExecutor(max_workers=at_once) as pool:
        return list(pool.map(one, hosts))


def print_found(found: Sequence[Found], *, as_json: bool) -> None:
    """Print the outcomes; end with status 1 if any of them is a failure."""
    if as_json:
        print_json([msgspec.to_builtins(one) for one in found])
    else:
        width = max(len(one.host) for one in found)
        for one in found:
            click.echo(f"{one.host:<{width}}  {_line(one)}")
            for remark in one.remarks:
                click.echo(f"{'':<{width}}  mind: {remark}")
    if not all(one.ok for one in found):
        sys.exit(1)


def _line(found: Found) -> str:
    if not found.ok:
        return f"failed: {found.error}"
    if not found.installed:
        return f"no agent in {found.folder}"
    parts = [f"agent {found.agent_id} of group {found.group}" if found.agent_id else "not enrolled"]
    parts.append(f"runs by {found.by}, pid {found.pid}" if found.pid else "does not run")
    if found.state:
        parts.append(f"the server has it as {found.state}")
    return ", ".join(parts)
