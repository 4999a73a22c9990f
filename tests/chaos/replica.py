"""What a program has that follows the stream of all runs, whatever becomes of the server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from typing import Any

import history as h
from live_server import Server, until

from callsheet.client.http import Connection
from callsheet.client.stream import follow_topic

PATIENCE_S = 600.0


class Replica:
    """`runs`: (version, state) by run; `heard`: where the stream was with each message."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.runs: dict[str, tuple[int, str]] = {}
        self.heard: list[h.Heard] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join()
        self._loop.close()

    def same_as(self, history: h.History) -> bool:
        """Whether there is nothing else here; nobody is told that a run was archived."""
        there = {run.run_id: (run.version, run.state) for run in history.runs}
        return there == {
            run_id: known for run_id, known in self.runs.items() if run_id not in history.archived
        }

    def _follow(self) -> None:
        self._task = self._loop.create_task(self._take())
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)

    async def _take(self) -> None:
        server = Connection("127.0.0.1", self.server.port, 60.0)
        async for message in follow_topic(server, "runs", resume="0:0"):
            if "seq" in message and "epoch" in message:
                self.heard.append(h.Heard(message["epoch"], message["seq"]))
            if message.get("resync"):
                await self._loop.run_in_executor(None, self._read_all)
            for run in message.get("runs", ()):
                self._take_one(run)
            for run_id in message.get("gone", ()):
                self.runs.pop(run_id, None)

    def _read_all(self) -> None:
        """Take all there is, as one that lost its way does."""
        cursor = ""
        known = {}
        while cursor is not None:
            path = f"/api/v2/runs?limit=1000&counts=0{f'&cursor={cursor}' if cursor else ''}"
            page = until(lambda path=path: self._page(path), "a page of runs", PATIENCE_S)
            known |= {run["run_id"]: (run["version"], run["state"]) for run in page["runs"]}
            cursor = page["next_cursor"]
        self.runs = known

    def _page(self, path: str) -> Any:
        with contextlib.suppress(OSError, json.JSONDecodeError):
            answer = self.server.get(path)
            if answer.status == 200:
                return answer.json
        return None

    def _take_one(self, run: dict[str, Any]) -> None:
        known = self.runs.get(run["run_id"], (0, ""))
        if run["version"] >= known[0]:
            self.runs[run["run_id"]] = (run["version"], run["state"])
