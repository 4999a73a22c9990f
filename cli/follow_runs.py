"""Following the runs that a query means: a line for each change, as long as one wants."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import click

from .local_times import local
from .seen import one_line
from .shown import OVER, args_text, job_text, print_json, state_word, warn

NOT_OVER = f"!state:{','.join(OVER)}"
PAGE = 1_000


def follow_runs(server: Any, query: str, *, finish: bool, silent: bool, as_json: bool) -> bool:
    """Print what becomes of the runs that match a query; empty: of all runs.

    Args:
        finish: end when no run that matches is unfinished, and not by Ctrl-C only.

    Returns:
        Whether every run that was seen to finish succeeded.
    """
    follower = _Follower(server, query, silent=silent, as_json=as_json)
    return asyncio.run(follower.run(finish=finish))


class _Follower:
    def __init__(self, server: Any, query: str, *, silent: bool, as_json: bool) -> None:
        self._server = server
        self._query = query
        self._silent = silent
        self._as_json = as_json
        self._open: set[str] = set()
        self._versions: dict[str, int] = {}
        self._well = True

    async def run(self, *, finish: bool) -> bool:
        resume = self._read()
        if finish and not self._open:
            return True
        changes = self._server.follow("runs", {"q": self._query}, resume=resume)
        async with contextlib.aclosing(changes) as messages:
            async for message in messages:
                if "lost" in message:
                    warn(f"{message['lost']}: trying again")
                elif message.get("resync"):
                    self._read()
                for record in message.get("runs", []):
                    self._see(record)
                self._open.difference_update(message.get("gone", []))
                if finish and not self._open:
                    break
        return self._well

    def _read(self) -> str:
        """Read which runs are not finished; return where the list stands in the stream."""
        cursor: str | None = None
        resume = ""
        seen: set[str] = set()
        while True:
            more = {} if cursor is None else {"cursor": cursor}
            page = self._server.find_runs(q=f"{self._query} {NOT_OVER}", limit=str(PAGE), **more)
            resume = resume or f"{page['epoch']}:{page['seq']}"
            seen |= {run["run_id"] for run in page["runs"]}
            cursor = page["next_cursor"]
            if cursor is None:
                break
        for run_id in sorted(self._open - seen):
            # It finished while nobody was told.
            found = self._server.find_runs(q=f"id:{run_id}")["runs"]
            for record in found:
                self._see(record)
        self._open = seen
        return resume

    def _see(self, record: dict[str, Any]) -> None:
        run_id, state = record["run_id"], record["state"]
        if self._versions.get(run_id, -1) >= record["version"]:
            return
        self._versions[run_id] = record["version"]
        if state in OVER:
            self._open.discard(run_id)
            self._versions.pop(run_id)
            self._well = self._well and state == "success"
        else:
            self._open.add(run_id)
        if self._as_json:
            print_json(record)
        elif not self._silent:
            times = record["times"]
            at = local(max(times.values(), default=None))
            job = job_text(record, args_text(record["args"]))
            reason = f"  {one_line(record['reason'])}" if record.get("reason") else ""
            click.echo(f"{at}  {run_id:<10} {state_word(state):<12}  {job}{reason}")
