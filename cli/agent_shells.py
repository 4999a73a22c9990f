"""Where the steps of setting an agent up are carried out: a shell here, or on another host by SSH.

Called by `agent_steps.py`. A script is a text for /bin/sh; whatever it is given goes by arguments
and stdin, so nothing is quoted into it.
"""

from __future__ import annotations

import shlex
import subprocess
import threading
from typing import Any, NamedTuple, Protocol

from ..agentd.ssh import NotConnected, Target, connect

# A virtual environment and its packages may take that long; everything else is over at once.
PATIENCE_S = 900.0
CHUNK_BYTES = 64 * 1024
HERE = "this host"


class Ran(NamedTuple):
    """How a script ended, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """The last words of a script that failed, in one line."""
        lines = [line for line in (self.err or self.out).splitlines() if line.strip()]
        return " ".join(" ".join(lines[-3:]).split())[-500:] or f"status {self.status}"


class Shell(Protocol):
    """A host's shell; `name` is how people call the host."""

    name: str

    def run(self, script: str, *args: str, stdin: bytes = b"") -> Ran:
        """Run a script to its end."""

    def close(self) -> None:
        """Be done with it."""


class HereShell:
    """The shell of this host."""

    name = HERE

    def run(self, script: str, *args: str, stdin: bytes = b"") -> Ran:
        """See `Shell`."""
        command = ["/bin/sh", "-c", script, "callsheet", *args]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        return Ran(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode())

    def close(self) -> None:
        """See `Shell`."""


class FarShell:
    """The shell of another host, over one connection."""

    def __init__(self, target: Target) -> None:
        """Connect.

        Raises:
            NotConnected: it cannot be reached, or is not known, or does not let us in.
        """
        self.name = str(target)
        self._target = target
        self._connection = connect(target)

    def run(self, script: str, *args: str, stdin: bytes = b"") -> Ran:
        """See `Shell`.

        Raises:
            NotConnected: the connection was lost.
        """
        import paramiko

        try:
            channel = self._connection.transport.open_session()
            channel.settimeout(PATIENCE_S)
            channel.exec_command(shlex.join(["/bin/sh", "-c", script, "callsheet", *args]))
            out: list[bytes] = []
            err: list[bytes] = []
            readers = [
                threading.Thread(target=_drain, args=(channel.recv, out), daemon=True),
                threading.Thread(target=_drain, args=(channel.recv_stderr, err), daemon=True),
            ]
            for reader in readers:
                reader.start()
            channel.sendall(stdin)
            channel.shutdown_write()
            for reader in readers:
                reader.join(PATIENCE_S)
            status = channel.recv_exit_status()
            channel.close()
        except (OSError, EOFError, paramiko.SSHException) as error:
            said = str(error) or "the connection was lost"
            raise NotConnected(self._target, said) from None
        if status < 0:
            raise NotConnected(self._target, "the connection was lost")
        return Ran(status, b"".join(out).decode(errors="replace"), b"".join(err).decode())

    def close(self) -> None:
        """See `Shell`."""
        self._connection.close()


def _drain(read: Any, found: list[bytes]) -> None:
    try:
        while data := read(CHUNK_BYTES):
            found.append(data)
    except OSError:
        return
