"""Where an agent's host has the secrets of jobs: a file, a folder of files, or a command.

Said by the options of agentd, and by nothing that comes from a server: jobs name secrets, and what
a name means is this host's to say. Files are looked at anew for each run, so that a secret that is
changed there is another for the next one. Used by `given_secrets.py`.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
from collections import deque
from pathlib import Path
from typing import NamedTuple

from ..jobs.errors import UserError
from ..jobs.masking import SECRET_CHARACTERS
from ..wire.curve import BadKey, read_secret

# Of one secret: a certificate with its key and chain. What a run is given must fit its start.
SECRET_BYTES = 16_384
FILE_BYTES = 2**20
# A command answers within this time; so many are at work at once.
COMMAND_S = 30.0
AT_ONCE = 4
# One that has closed its output ends within this time, or is ended.
ENDS_S = 1.0


class NoSecret(UserError):
    """A secret that a job names cannot be had here; `sentence` says why, and what was expected."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(f"secret {name}: on {socket.gethostname()}: {sentence}")


class Source(NamedTuple):
    """`path`: a file of `name=value` lines, or a folder with a file for each secret; `command`:
    what prints a secret, whose name is its last argument. None, empty: there is none."""

    path: str | None = None
    command: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: str | None, command: str | None) -> Source:
        """Read options.

        Raises:
            ValueError: the command is no words of a shell.
        """
        return cls(path, tuple(shlex.split(command or "")))

    def read(self, name: str) -> str | None:
        """Return a secret that is in a file, None where a command has to be asked.

        Raises:
            NoSecret: it cannot be had.
        """
        if self.path is None:
            if not self.command:
                expected = "expected the option --secrets or --secrets-command, or the settings'"
                raise NoSecret(name, f"this agent has no secrets: {expected}")
            return None
        try:
            found = self._in_folder(name) if os.path.isdir(self.path) else self._in_file(name)
        except (BadKey, OSError) as error:
            raise NoSecret(name, str(error)) from None
        if found is not None:
            return checked(name, found)
        if self.command:
            return None
        where = f"a file of this name, or a line {name}=…, in {self.path}"
        raise NoSecret(name, f"there is none: expected {where}")

    def _in_folder(self, name: str) -> bytes | None:
        assert self.path is not None, "there is a folder"
        if os.stat(self.path).st_mode & 0o022:
            raise BadKey(self.path, "others may put files there", "a folder of 0755 or less")
        path = Path(self.path, name)
        return read_secret(path, FILE_BYTES) if path.exists() else None

    def _in_file(self, name: str) -> bytes | None:
        assert self.path is not None, "there is a file"
        for line in read_secret(Path(self.path), FILE_BYTES).splitlines():
            key, equals, value = line.partition(b"=")
            if equals and key.strip() == name.encode():
                return value.strip()
        return None


def checked(name: str, data: bytes) -> str:
    """Return what a source gave as a secret, without the end of its last line.

    Raises:
        NoSecret: it is none that a process could be given, or that could be kept out of outputs.
    """
    data = data.removesuffix(b"\n").removesuffix(b"\r")
    if len(data) > SECRET_BYTES:
        raise NoSecret(name, f"it is too long: expected at most {SECRET_BYTES} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise NoSecret(name, "it is no text: expected UTF-8") from None
    if len(text) < SECRET_CHARACTERS or "\0" in text:
        expected = f"expected {SECRET_CHARACTERS} characters or more, none of them NUL"
        raise NoSecret(name, f"it could not be kept out of outputs: {expected}")
    return text


class Commands:
    """The commands that are asked for secrets, each by a descriptor that is to be polled. What is
    asked for twice at once is asked for once."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._waiting: deque[str] = deque()
        self._asked: dict[int, tuple[str, subprocess.Popen[bytes], bytearray, float]] = {}
        self._done: dict[str, str | NoSecret] = {}

    @property
    def fds(self) -> list[int]:
        """What is to be polled."""
        return list(self._asked)

    def ask(self, name: str, now_s: float) -> None:
        """Ask for a secret; `answers` has it later."""
        if name not in self._waiting and all(name != asked for asked, *_ in self._asked.values()):
            self._waiting.append(name)
        self._go_on(now_s)

    def answers(self, now_s: float) -> dict[str, str | NoSecret]:
        """Return what has been answered since the last time."""
        for fd, (name, process, data, since_s) in list(self._asked.items()):
            is_late = now_s - since_s > COMMAND_S
            if is_late or _is_read(fd, data):
                del self._asked[fd]
                self._done[name] = self._answer(name, process, bytes(data), is_late=is_late)
        self._go_on(now_s)
        done, self._done = self._done, {}
        return done

    def _go_on(self, now_s: float) -> None:
        while self._waiting and len(self._asked) < AT_ONCE:
            name = self._waiting.popleft()
            try:
                process = subprocess.Popen(
                    (*self._command, name),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                self._done[name] = NoSecret(name, f"{self._command[0]}: {error.strerror}")
                continue
            assert process.stdout is not None, "it is a pipe"
            os.set_blocking(process.stdout.fileno(), False)
            self._asked[process.stdout.fileno()] = (name, process, bytearray(), now_s)

    def _answer(
        self, name: str, process: subprocess.Popen[bytes], data: bytes, *, is_late: bool
    ) -> str | NoSecret:
        assert process.stdout is not None, "it is a pipe"
        process.stdout.close()
        try:
            status = process.wait(0 if is_late else ENDS_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
        program = self._command[0]
        try:
            if is_late:
                raise NoSecret(name, f"{program} has not answered within {COMMAND_S:.0f} s")
            if status != 0:
                expected = "expected status 0, and the secret on its standard output"
                raise NoSecret(name, f"{program} has failed with status {status}: {expected}")
            return checked(name, data)
        except NoSecret as error:
            return error


def _is_read(fd: int, data: bytearray) -> bool:
    """Take what there is to be read; return whether that was all, or more than may be."""
    while len(data) <= SECRET_BYTES + 2:
        try:
            more = os.read(fd, 65_536)
        except BlockingIOError:
            return False
        if not more:
            return True
        data += more
    return True
