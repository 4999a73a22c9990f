"""A client as Apsis has it: its methods, paths and assumptions, over requests and websockets.

Written from the contract (§7.11), not from callsheet's own client, so that both sides of the API
are read by somebody who knows only the page. It quotes nothing but what requests quotes, and
checks of every answer what Apsis's client relies on.
"""

from __future__ import annotations

import json
import os
import re
import time as clock
from collections.abc import AsyncIterator
from typing import Any

import requests
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedOK

DEFAULT_PORT = 5000
RANGE = re.compile(r"bytes=(\d+)-(\d+)/(\d+)$")


class APIError(RuntimeError):
    """Any answer that is not 2xx."""

    def __init__(self, status: int, error: str, jso: dict[str, Any]) -> None:
        super().__init__(f"{error} [API status: {status}]")
        self.status, self.error, self.jso = status, error, jso


class ApsisClient:
    """See the module."""

    def __init__(self, address: tuple[str, int] | None = None) -> None:
        if address is None:
            host, _, port = os.environ.get("APSIS_HOST", "localhost").partition(":")
            address = (host, int(port) if port else DEFAULT_PORT)
        self.address = address
        self.session = requests.Session()

    # --- requests -------------------------------------------------------------------------------

    def _url(self, *path: str, control: bool = False, scheme: str = "http") -> str:
        host, port = self.address
        base = "api/control" if control else "api/v1"
        return f"{scheme}://{host}:{port}/{base}/{'/'.join(path)}"

    def _request(
        self, method: str, *path: str, control: bool = False, data: Any = None, **query: Any
    ) -> Any:
        url = self._url(*path, control=control)
        response = self.session.request(method, url, params=query or None, json=data, timeout=60)
        if not 200 <= response.status_code < 300:
            try:
                jso = response.json()
                error = jso.pop("error", "unknown error")
            except ValueError:
                jso, error = {}, "unknown error"
            raise APIError(response.status_code, error, jso)
        assert response.headers["Content-Type"] == "application/json"
        return response.json()

    def _get(self, *path: str, **query: Any) -> Any:
        return self._request("GET", *path, **query)

    def _post(self, *path: str, data: Any = None, **query: Any) -> Any:
        return self._request("POST", *path, data=data, **query)

    # --- the server -----------------------------------------------------------------------------

    def alive(self) -> bool:
        return self._get("alive") == {}

    def wait_running(self, timeout: float) -> None:
        """Poll; only a refused connection is tried again."""
        deadline = clock.monotonic() + timeout
        while clock.monotonic() < deadline:
            try:
                self._get("running")
            except requests.ConnectionError:
                clock.sleep(0.05)
            else:
                return
        raise TimeoutError(f"not running after {timeout} s")

    def stats(self) -> Any:
        return self._get("stats")

    def version(self) -> str:
        return self._request("GET", "version", control=True)["version"]

    def reload_jobs(self, *, dry_run: bool = False) -> Any:
        return self._request("POST", "reload_jobs", control=True, dry_run=dry_run)

    def shut_down(self, restart: bool = False) -> None:
        path = "shut_down?restart" if restart else "shut_down"
        assert self._request("POST", path, control=True) == {}

    # --- jobs -----------------------------------------------------------------------------------

    def get_job(self, job_id: str) -> Any:
        return self._get("jobs", job_id)

    def get_job_runs(self, job_id: str) -> Any:
        return self._get("jobs", job_id, "runs")["runs"]

    def get_jobs(self, label: str | None = None) -> Any:
        return self._get("jobs", **({} if label is None else {"label": label}))

    # --- runs -----------------------------------------------------------------------------------

    def get_runs(
        self,
        *,
        job_id: str | None = None,
        state: str | None = None,
        args: dict[str, str] | None = None,
        **query: Any,
    ) -> dict[str, Any]:
        reserved = ("job_id", "run_id", "state", "since")
        query |= {f"_{n}" if n in reserved else n: v for n, v in (args or {}).items()}
        query |= {} if job_id is None else {"job_id": job_id}
        query |= {} if state is None else {"state": state}
        return self._get("runs", **query)["runs"]

    def get_run(self, run_id: str) -> Any:
        [(found, run)] = self._get("runs", run_id)["runs"].items()
        assert found == run["run_id"] == run_id
        return run

    def get_run_log(self, run_id: str) -> Any:
        return self._get("runs", run_id, "log")["run_log"]

    def get_run_dependencies(self, run_id: str) -> Any:
        return self._get("runs", run_id, "dependencies")[run_id]

    def get_outputs(self, run_id: str) -> Any:
        response = self.session.get(self._url("runs", run_id, "outputs"), timeout=60)
        response.raise_for_status()
        return response.json()

    def get_output(self, run_id: str, output_id: str) -> bytes:
        response = self.session.get(self._url("runs", run_id, "output", output_id), timeout=60)
        response.raise_for_status()
        return response.content

    # --- operations -----------------------------------------------------------------------------

    def skip(self, run_id: str) -> None:
        assert self._post("runs", run_id, "skip") == {}

    def start(self, run_id: str) -> None:
        assert self._post("runs", run_id, "start") == {}

    def signal(self, run_id: str, signal: Any) -> None:
        assert self._request("PUT", "runs", run_id, "signal", str(signal)) == {}

    def mark(self, run_id: str, state: str) -> None:
        assert self._post("runs", run_id, "mark", state) == {}

    def stop_run(self, run_id: str) -> Any:
        return self._request("PUT", "runs", run_id, "stop")["runs"][run_id]

    def rerun(self, run_id: str) -> Any:
        [run] = self._post("runs", run_id, "rerun")["runs"].values()
        return run

    def _schedule(self, job: dict[str, Any], time: Any, count: int | None, stop_time: Any) -> Any:
        times = {"schedule": "now" if time == "now" else str(time)}
        times |= {} if stop_time is None else {"stop": str(stop_time)}
        query = {} if count is None else {"count": count}
        runs = list(self._post("runs", data={**job, "times": times}, **query)["runs"].values())
        if count is None:
            [run] = runs
            return run
        return runs

    def schedule(
        self,
        job_id: str,
        args: dict[str, Any],
        time: Any = "now",
        count: int | None = None,
        stop_time: Any = None,
    ) -> Any:
        job = {"job_id": job_id, "args": {str(k): str(v) for k, v in args.items()}}
        return self._schedule(job, time, count, stop_time)

    def schedule_adhoc(
        self, time: Any, job: Any, count: int | None = None, stop_time: Any = None
    ) -> Any:
        return self._schedule({"job": job}, time, count, stop_time)

    def schedule_program(self, time: Any, args: list[str], **options: Any) -> Any:
        return self.schedule_adhoc(time, {"program": [str(arg) for arg in args]}, **options)

    def schedule_shell_program(self, time: Any, command: str, **options: Any) -> Any:
        return self.schedule_adhoc(time, {"program": str(command)}, **options)

    # --- sockets --------------------------------------------------------------------------------

    async def get_run_updates(self, run_id: str, *, init: bool = False) -> AsyncIterator[Any]:
        url = self._url("runs", run_id, "updates", scheme="ws") + ("?init" if init else "")
        async with connect(url) as socket:
            async for frame in socket:
                assert isinstance(frame, str)
                message = json.loads(frame)
                assert isinstance(message, dict)
                yield message

    async def get_summary(self, *, init: bool = False) -> AsyncIterator[Any]:
        url = self._url("summary", scheme="ws") + ("?init" if init else "")
        async with connect(url, max_size=None) as socket:
            async for frame in socket:
                assert isinstance(frame, str)
                messages = json.loads(frame)
                assert isinstance(messages, list)
                for message in messages:
                    yield message

    async def get_output_data_updates(
        self, run_id: str, output_id: str, *, start: int | None = None
    ) -> AsyncIterator[bytes]:
        url = self._url("runs", run_id, "output", output_id, "updates", scheme="ws")
        upto = start
        async with connect(url + ("" if start is None else f"?start={start}")) as socket:
            while True:
                try:
                    frame = await socket.recv()
                except ConnectionClosedOK:
                    return
                assert isinstance(frame, bytes)
                head, separator, data = frame.partition(b"\r\n\r\n")
                assert separator
                headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
                assert headers["Content-Type"]
                found = RANGE.match(headers["Content-Range"])
                assert found is not None, headers
                first, last, total = (int(number) for number in found.groups())
                assert int(headers["Content-Length"]) == len(data) == last + 1 - first > 0
                assert last < total
                assert upto is None or first == upto, f"{first}: expected contiguous data"
                upto = last + 1
                yield data
