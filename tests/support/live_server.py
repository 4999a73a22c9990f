"""A real server for the system tests: its own folder, its own port, its processes by name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ports import free_port
from warm import popen, run

from callsheet.store.outputs import OutputFiles
from callsheet.store.sqlite import create_database
from callsheet.store.verify import verify_database
from callsheet.wire.place import PUBLISHED, run_directory

# Against hanging only; nothing here asserts how fast something is.
PATIENCE_S = 120.0

# Each is a process of its own, kept by the supervisor.
ROLES = (
    "ledger/0",
    "scheduler/0",
    "binder/0",
    "waiter/0",
    "runner/0",
    "responder/0",
    "checker/0",
    "web/0",
    "agent",
)


def until(holds: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Wait until `holds()` is true and return it; fail with `what` when it never is."""
    deadline = time.monotonic() + patience_s
    pause_s = 0.02
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience_s:.0f} s for {what}")
        # Less and less often: most of what is looked at is a server that has to answer.
        time.sleep(pause_s)
        pause_s = min(0.2, pause_s * 1.2)


def end_all_of(folder: Path, word: str = "") -> None:
    """Kill what names a folder, and `word`, in its command line, and all that it has started:
    keepers outlive a server on purpose, and their jobs them."""
    marks = (os.fsencode(str(folder)), word.encode())
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue  # It has ended meanwhile.
        if all(mark in line for mark in marks) and int(entry.name) != os.getpid():
            _end_with_children(int(entry.name))


def _end_with_children(pid: int) -> None:
    """Kill a process and all below it; one that has ended meanwhile, or is another's, stays."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return
    for child in children:
        _end_with_children(int(child))


class Answer:
    """An HTTP answer: its status, headers and body."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Server:
    """`callsheetctl serve` in a folder with the given job files; restartable in place."""

    def __init__(self, folder: Path, jobs: dict[str, str], settings: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self.bind = f"127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        # How long it may take to start, or to answer who insists.
        self.patience_s = PATIENCE_S
        # What goes before the server, to put it somewhere else.
        self.prefix: list[str] = []
        # What is added to its environment.
        self.environ: dict[str, str] = {}
        # Whether a test has written what no server writes into its database.
        self.harmed = False
        # Whether all outputs that the database tells of are there, to be verified as well.
        self.has_outputs = True
        for name, text in jobs.items():
            path = folder / "jobs" / f"{name}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (folder / "jobs").mkdir(exist_ok=True)
        self.state = folder / "callsheet.db.state"
        self.config = folder / "callsheet.yaml"
        self.config.write_text(f"job_dir: jobs\ndatabase: callsheet.db\n{settings}")
        create_database(folder / "callsheet.db")

    # --- life -----------------------------------------------------------------------------------

    def callsheetctl(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run a `callsheetctl` command to its end."""
        command = [sys.executable, "-m", "callsheet.cli.administrators", *args]
        return run(command, timeout=PATIENCE_S)

    def callsheet(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run a `callsheet` command against it to its end."""
        command = [sys.executable, "-m", "callsheet.cli.people", *args]
        environ = os.environ | {"CALLSHEET_HOST": f"127.0.0.1:{self.port}"}
        return run(command, timeout=PATIENCE_S, env=environ)

    def start(self, *options: str) -> Server:
        """Start it and wait until it is ready."""
        command = [*self.prefix, sys.executable, "-m", "callsheet.cli.administrators", "serve"]
        command += ["--config", str(self.config), "--bind", self.bind, *options]
        # One that is started again is executed: what it finds was written by another interpreter.
        start = popen if self.process is None else subprocess.Popen
        with (self.folder / "server.log").open("ab") as log:
            self.process = start(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                env=os.environ | self.environ,
            )  # fmt: skip
        until(self._ready, f"the server; its log:\n{self.log()}", self.patience_s)
        return self

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended:\n{self.log()}"
        try:
            return self.get("/api/v1/running").status == 200
        except OSError:
            return False

    def stop(self) -> int:
        """Stop it as an administrator does and return its exit status; what it leaves behind is
        verified, unless a test has harmed it."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE_S)
        if status == 0 and not self.harmed:
            files = OutputFiles(str(self.state / "outputs")) if self.has_outputs else None
            problems = verify_database(self.folder / "callsheet.db", files).problems
            assert not problems, f"{self.folder}: {problems[:5]}"
        return status

    def log(self) -> str:
        """Everything the server has printed."""
        path = self.folder / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def processes(self) -> dict[str, int]:
        """Return the pid of each role's process, by role."""
        text = (self.state / "processes.json").read_text()
        return {str(role): int(pid) for role, pid in json.loads(text).items()}

    def sockets(self) -> Path:
        """Return the folder of its sockets, once those from outside are led there."""
        found = run_directory(self.state / "run") / PUBLISHED
        until(found.exists, "the server to say where it is")
        return found.resolve().parent

    def kill(self, role: str) -> int:
        """SIGKILL a role's process and return its pid."""
        pid = until(lambda: self._alive(role), f"a process of {role}")
        os.kill(pid, signal.SIGKILL)
        return int(pid)

    def _alive(self, role: str) -> int:
        """Return the pid of a role's process, 0 while there is none, or no server yet that says."""
        try:
            pid = self.processes().get(role, 0)
        except FileNotFoundError:
            return 0
        return pid if pid > 0 and Path(f"/proc/{pid}").exists() else 0

    # --- HTTP -----------------------------------------------------------------------------------

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a request; any status is an answer, a broken connection raises OSError."""
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        headers = {"Content-Type": "application/json"} | (headers or {})
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return Answer(reply.status, reply.headers, reply.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            raise OSError(str(error)) from error

    def get(self, path: str) -> Answer:
        """GET a path."""
        return self.request("GET", path)

    def post(self, path: str, body: Any = None) -> Answer:
        """POST a body, once."""
        return self.request("POST", path, {} if body is None else body)

    def insist(self, path: str, body: Any) -> Answer:
        """POST with one command id until it is answered, as a careful client does."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}

        def answered() -> Answer | None:
            try:
                answer = self.request("POST", path, body, headers)
            except OSError:
                return None
            return None if answer.status == 503 else answer

        return until(answered, f"an answer to POST {path}", self.patience_s)

    def schedule(self, job_id: str, **args: str) -> str:
        """Schedule a run for now, insisting, and return its id."""
        answer = self.insist("/api/v1/runs", {"job_id": job_id, "args": args})
        assert answer.status == 200, answer.body
        return next(iter(answer.json["runs"]))

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run's full record."""
        answer = self.get(f"/api/v1/runs/{run_id}")
        assert answer.status == 200, answer.body
        return answer.json["runs"][run_id]

    def finished(self, run_id: str) -> dict[str, Any]:
        """Wait for a run to finish and return it."""
        over = ("success", "failure", "error", "skipped")
        return until(lambda: (r := self.run(run_id))["state"] in over and r, f"{run_id} to finish")
