"""A real server for a benchmark: started as people start it, spoken to over HTTP.

    with running_server({"noop": "program: {type: no-op}"}) as server:
        server.api.post("/runs", {"job_id": "noop"}, count=1000)

Every benchmark gets a server of its own in a folder of its own on a disk; both go at the end. Its
modules are compiled beforehand, as those of an installed package are: a server that compiles them
at each start takes a second and 5 MB more.
"""

from __future__ import annotations

import collections
import compileall
import contextlib
import datetime
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from figures import BenchError
from machine import durable_folder

import callsheet

START_S = 120.0
STOP_S = 60.0
# Between two looks at whether all runs are finished: rare enough to cost the server nothing.
LOOK_EVERY_S = 0.25
FINISHED = {"success", "failure", "error", "skipped"}
PROGRAM = "import sys; from callsheet.cli.administrators import main; sys.exit(main())"


class Api:
    """The REST API over one connection that stays open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def get(self, path: str, **query: Any) -> Any:
        """Return the decoded JSON of a GET below /api/v1."""
        return json.loads(self.raw("GET", path, query))

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """Return the decoded JSON of the answer to a POST below /api/v1."""
        return json.loads(self.raw("POST", path, query, body))

    def get_v2(self, target: str) -> Any:
        """Return the decoded JSON of a GET below /api/v2, its query included."""
        return json.loads(self._ask("GET", f"/api/v2{target}"))

    def raw(self, method: str, path: str, query: dict[str, Any], body: Any = None) -> bytes:
        """Return the answer's bytes; anything but 200 raises BenchError."""
        target = "/api/v1" + quote(path) + (f"?{urlencode(query)}" if query else "")
        return self._ask(method, target, body)

    def _ask(self, method: str, target: str, body: Any = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        try:
            self._connection.request(method, target, body=data, headers=headers)
            try:
                answer = self._connection.getresponse()
            except http.client.RemoteDisconnected:
                if method != "GET":
                    raise
                # The server has cut a connection on which nothing was said for long.
                self._connection.close()
                self._connection.request(method, target)
                answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()  # the next request opens it anew
            raise
        if answer.status != 200:
            message = (
                f"{method} {target}: {answer.status}: {content[:500].decode(errors='replace')}"
            )
            raise BenchError(message)
        return content

    def schedule(self, job_id: str, *, count: int = 1, at_s: float | None = None) -> list[str]:
        """Schedule runs of a job, now or at an instant (epoch seconds); return their ids."""
        times = {} if at_s is None else {"schedule": api_time(at_s)}
        ids: list[str] = []
        while len(ids) < count:
            # A thousand at a time, so that no request or answer grows without bound.
            some = min(1000, count - len(ids))
            answer = self.post("/runs", {"job_id": job_id, "times": times}, count=some)
            ids += answer["runs"]
        return ids

    def succeeded(self, job_id: str, ids: list[str], timeout_s: float) -> list[dict[str, Any]]:
        """Wait until all these runs of a job have succeeded; return their summaries.

        Until the last one is finished only that one is asked for: waiting must cost the server
        nothing that would show in the figures.

        Raises:
            BenchError: a run has ended otherwise, or not all are done in time.
        """
        until = time.monotonic() + timeout_s
        self.wait_for(ids[-1], timeout_s)
        while True:
            every = self.get("/runs", job_id=job_id, summary="True")["runs"]
            runs = [every[run_id] for run_id in ids if run_id in every]
            states = collections.Counter(run["state"] for run in runs)
            if states["success"] == len(ids):
                return runs
            if FINISHED & set(states) - {"success"} or time.monotonic() > until:
                message = f"{job_id}: {len(ids)} successes within {timeout_s:.0f} s: {dict(states)}"
                raise BenchError(message)
            time.sleep(LOOK_EVERY_S)

    def wait_for(self, run_id: str, timeout_s: float) -> None:
        """Wait until a run is finished, asking for it alone."""
        until = time.monotonic() + timeout_s
        while self.get(f"/runs/{run_id}")["runs"][run_id]["state"] not in FINISHED:
            if time.monotonic() > until:
                message = f"{run_id}: not finished within {timeout_s} s"
                raise BenchError(message)
            time.sleep(LOOK_EVERY_S)


class Server:
    """The files of a server, and the process while it runs."""

    def __init__(self, folder: str, jobs: dict[str, str], settings: str = "") -> None:
        """`settings`: more lines of the settings file."""
        self.folder = folder
        self.jobs = f"{folder}/jobs"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        compile_modules()
        for job_id, text in jobs.items():
            path = f"{self.jobs}/{job_id}.yaml"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        with open(f"{folder}/callsheet.yaml", "w", encoding="utf-8") as file:
            file.write("job_dir: jobs\ndatabase:\n  path: callsheet.db\n" + settings)
        self._command("create", f"{folder}/callsheet.db")

    @property
    def address(self) -> str:
        """Where the running server listens, as `host:port`."""
        return f"127.0.0.1:{self.port}"

    @property
    def api(self) -> Api:
        """Return a new connection to the running server."""
        return Api(self.port)

    def start(self) -> float:
        """Start the server; return the seconds from exec until it answers that it is running."""
        self.port = free_port()
        command = [
            sys.executable, "-c", PROGRAM, "serve",
            "--config", f"{self.folder}/callsheet.yaml", "--bind", f"127.0.0.1:{self.port}",
        ]  # fmt: skip
        with open(f"{self.folder}/server.log", "ab") as log:
            begun = time.perf_counter()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        while time.perf_counter() - begun < START_S:
            if self._process.poll() is not None:
                message = f"server: exited with {self._process.returncode}:\n{self.log_tail()}"
                raise BenchError(message)
            try:
                self.api.get("/running")
            except (OSError, http.client.HTTPException, BenchError):
                time.sleep(0.005)  # not listening yet, or 503: the docket is still being loaded
            else:
                return time.perf_counter() - begun
        message = f"server: not running after {START_S:.0f} s:\n{self.log_tail()}"
        raise BenchError(message)

    def stop(self) -> None:
        """Stop the server in order; anything but exit status 0 raises BenchError."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            message = f"server: did not stop within {STOP_S:.0f} s:\n{self.log_tail()}"
            raise BenchError(message) from None
        if status != 0:
            message = f"server: exit status {status} on SIGTERM: expected 0:\n{self.log_tail()}"
            raise BenchError(message)

    def kill(self) -> None:
        """SIGKILL the supervisor, whose roles die with it."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def log_tail(self) -> str:
        """Return the end of the server's log."""
        with open(f"{self.folder}/server.log", encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def _command(self, *words: str) -> None:
        result = subprocess.run(
            [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            message = f"callsheetctl {' '.join(words)}: {result.stderr.strip()}"
            raise BenchError(message)


@contextlib.contextmanager
def running_server(jobs: dict[str, str], settings: str = "") -> Iterator[Server]:
    """Give a server with these jobs (id to text of the file), started and ready."""
    with durable_folder() as folder:
        server = Server(folder, jobs, settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def compile_modules() -> None:
    """Compile those modules of callsheet that are not, or have changed."""
    package = Path(callsheet.__file__).parent
    for folder in package.iterdir():
        if (folder / "__init__.py").exists():
            compileall.compile_dir(folder, quiet=2)
    compileall.compile_file(callsheet.__file__, quiet=2)


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def api_time(at_s: float) -> str:
    """Return an instant (seconds since the epoch) as the API takes it, to the millisecond."""
    at = datetime.datetime.fromtimestamp(at_s, datetime.UTC)
    return at.isoformat(timespec="milliseconds")


def instant_s(text: str) -> float:
    """Return an instant of the API as seconds since the epoch."""
    return datetime.datetime.fromisoformat(text).timestamp()


def times_s(runs: list[dict[str, Any]], name: str) -> list[float]:
    """Return the instants `times.name` of all runs, in seconds since the epoch."""
    return [instant_s(run["times"][name]) for run in runs]
