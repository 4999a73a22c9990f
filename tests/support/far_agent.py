"""An agentd of its own over TCP, as on another host, and the server it belongs to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from live_server import Server
from ports import free_port
from warm import popen


def two_ports() -> int:
    """Return a port that is free with the one after it."""
    return free_port(2)


class Far:
    """An agentd with a spool of its own, as on another host."""

    def __init__(
        self,
        server: Server,
        folder: Path,
        port: int,
        host: str = "127.0.0.1",
        inside: Callable[[list[str]], list[str]] = list,
    ) -> None:
        """`inside` turns a command into one that runs elsewhere; the server is at `host` there."""
        self.server, self.folder, self.port = server, folder, port
        self._host, self._inside = host, inside
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    def token(self, *options: str) -> str:
        """Have a token made, and put it into the file the agent reads."""
        made = ctl(self.server, "agent", "token", *options)
        assert made.returncode == 0, made.stderr
        path = self.folder / "token"
        path.touch(mode=0o600)
        path.write_text(made.stdout)
        return made.stdout.strip()

    def start(self, *options: str) -> None:
        command = [sys.executable, "-m", "callsheet.agentd.daemon"]
        command += ["--server", f"tcp://{self._host}:{self.port}"]
        command += ["--spool", str(self.folder / "spool"), "--log-level", "INFO", *options]
        with (self.folder / "log").open("ab") as log:
            self.process = popen(self._inside(command), stdout=log, stderr=log)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def ends(self) -> int:
        assert self.process is not None
        return self.process.wait(60)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes()
            except (OSError, NotADirectoryError):
                continue
            if str(self.folder).encode() in words and b"keeper.py" in words:
                os.kill(int(entry.name), signal.SIGKILL)


def ctl(server: Server, *args: str) -> subprocess.CompletedProcess[str]:
    return server.callsheetctl("--host", f"127.0.0.1:{server.port}", *args)


def agent(server: Server, agent_id: str) -> dict[str, Any]:
    agents = server.get("/api/v2/agents").json["agents"]
    return next((one for one in agents if one["agent_id"] == agent_id), {})


def is_active(server: Server, agent_id: str) -> Callable[[], bool]:
    return lambda: agent(server, agent_id).get("state") == "active"


def output(server: Server, run_id: str) -> bytes:
    return server.get(f"/api/v1/runs/{run_id}/output/output").body
