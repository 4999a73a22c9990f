"""`callsheet-ssh`: run a program on another host, as if it ran here.

Started by agentd as the process of a run of type `ssh`, so it is kept, stopped and recorded as any
other; people may start it by hand. Its output is the program's, its end is the program's: the same
status, or the same signal. What kept the program from running is told to agentd in a file, and is
never taken for a status.

Signals are handed on. When this process is killed, or its host cut off, the far program is killed
by its own host as soon as the connection is known to be over.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import secrets
import select
import signal
import sys
import threading
import time
from typing import Any

from ..jobs.errors import UserError
from .far_shell import (
    GO,
    GROUP,
    OVER,
    FarRun,
    session_code,
    session_command,
    watch_code,
    watch_command,
)
from .launch import SAID, failure_in
from .own_programs import FAR_ENV
from .ssh import Target, connect, read_target
from .users import COOKIE

HANDED_ON = ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "CONT", "WINCH")
# After one of these nothing of the program is left behind when it ends.
ENDING = {"HUP", "INT", "QUIT", "TERM"}
CHUNK_BYTES = 256 * 1024
# Once a program is over, output of those it has left behind is read for no longer than this.
QUIET_S = 2.0
# By hand: the status when the program could not be run, as ssh has it.
NOT_RUN = 255
SAID_AT_MOST = 16_384


class NotRun(UserError):
    """The program was not run, or how it ended cannot be known."""


class FarProgram:
    """One program on one host; `run` returns how it ended."""

    def __init__(self, target: Target, far: FarRun) -> None:
        self._target, self._far = target, far
        self._end = f"end-{secrets.token_hex(16)}"
        self._said = b""
        self._group = 0
        self._is_watched = threading.Event()
        self._words: list[str] = []
        self._is_ended = False
        self._wake, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> tuple[int, str]:
        """Run it to its end.

        Returns:
            Its exit status and "", or 0 and the name of the signal that ended it.
        Raises:
            UserError: it could not be run, or how it ended is not known.
        """
        import paramiko

        connection = connect(self._target)
        try:
            return self._play(connection.transport)
        except (paramiko.SSHException, EOFError, OSError) as error:
            what = str(error) or "the connection was lost"
            raise NotRun(f"ssh to {self._target}: {what}") from None
        finally:
            connection.close()

    def _play(self, transport: Any) -> tuple[int, str]:
        import paramiko

        # Both before anything is started: the host may not give us a second one.
        try:
            main, watch = transport.open_session(), transport.open_session()
        except paramiko.ChannelException:
            expected = "expected two of one connection (MaxSessions of its sshd)"
            raise NotRun(f"ssh to {self._target}: no session is given: {expected}") from None
        for name in HANDED_ON:
            signal.signal(getattr(signal, f"SIG{name}"), self._on_signal)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        main.exec_command(session_command(self._far, self._end))
        threading.Thread(target=self._feed, args=(main,), daemon=True).start()
        threading.Thread(target=self._await_end, args=(main,), daemon=True).start()
        while not main.status_event.is_set():
            self._wait(main, None, *(() if self._is_watched.is_set() else (watch,)))
            self._tend(watch)
        # What holds its output open may be a process that outlives it.
        quiet_s = time.monotonic() + QUIET_S
        while self._is_open(main) and time.monotonic() < quiet_s:
            if self._wait(main, QUIET_S):
                quiet_s = time.monotonic() + QUIET_S
        self._read(main)
        if main.exit_status >= 0 and self._group and not self._is_ended:
            with contextlib.suppress(OSError):
                watch.sendall(f"{OVER}\n".encode())
        return self._outcome(main)

    # --- to the far side ------------------------------------------------------------------------

    def _feed(self, main: Any) -> None:
        """Send the code, and then our stdin as the program's; it may not want all of it."""
        with contextlib.suppress(OSError):
            main.sendall(session_code(self._far, self._end).encode())
            self._is_watched.wait()
            main.sendall(f"{GO}\n".encode())
            while data := os.read(0, CHUNK_BYTES):
                main.sendall(data)
        with contextlib.suppress(OSError, EOFError):
            main.shutdown_write()

    def _on_signal(self, number: int, _frame: Any) -> None:
        self._words.append(signal.Signals(number).name.removeprefix("SIG"))

    def _tend(self, watch: Any) -> None:
        """Begin the watch once there is a group to watch, and hand signals on to it."""
        if not self._group:
            for line in self._said.decode("utf-8", "replace").splitlines(keepends=True):
                number = line.removeprefix(GROUP).strip()
                if line.startswith(GROUP) and line.endswith("\n") and number.isdecimal():
                    self._group = int(number)
                    watch.exec_command(watch_command(self._far, self._end))
                    watch.sendall(watch_code(self._far, self._group, self._end).encode())
        if self._group and not self._is_watched.is_set():
            if watch.recv_ready():
                self._is_watched.set()
            elif watch.eof_received or watch.closed:
                said = failure_in(watch.recv_stderr(CHUNK_BYTES).decode().splitlines())
                raise NotRun(f"on {self._target}: it cannot be watched there: {said}")
        while self._is_watched.is_set() and self._words:
            word = self._words.pop(0)
            self._is_ended = self._is_ended or word in ENDING
            # Without its watch it goes on, but cannot be signalled.
            with contextlib.suppress(OSError):
                watch.sendall(f"{word}\n".encode())

    # --- from the far side ----------------------------------------------------------------------

    def _await_end(self, main: Any) -> None:
        """Wake us when the program, or the connection, is over."""
        main.status_event.wait()
        os.write(self._wake_write, b"e")

    def _is_open(self, main: Any) -> bool:
        return not main.eof_received and not main.closed

    def _wait(self, main: Any, patience_s: float | None, *more: Any) -> bool:
        """Wait for something, and take what has come; return whether output has."""
        # At its end a channel is readable for ever.
        ours = [main] if self._is_open(main) else []
        select.select([*ours, self._wake, *more], [], [], patience_s)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4_096)
        return self._read(main)

    def _read(self, main: Any) -> bool:
        """Take what has come; return whether there was something."""
        any_came = False
        while main.recv_ready():
            data = memoryview(main.recv(CHUNK_BYTES))
            any_came = True
            while data:
                data = data[os.write(1, data) :]
        while main.recv_stderr_ready():
            any_came = True
            self._said = (self._said + main.recv_stderr(CHUNK_BYTES))[:SAID_AT_MOST]
        return any_came

    def _outcome(self, main: Any) -> tuple[int, str]:
        said = [
            line
            for line in self._said.decode("utf-8", "replace").splitlines()
            if not line.startswith(GROUP)
        ]
        failure = failure_in(said)
        status, name = main.exit_status, getattr(main, "exit_signal", "")
        if failure and (status > 0 or not self._group):
            raise NotRun(f"on {self._target}: {failure}")
        if name:
            if not hasattr(signal, f"SIG{name}"):
                raise NotRun(f"on {self._target}: it was ended by a signal named {name}")
            return 0, name
        if status < 0:
            when = "while it ran: how it ended is not known" if self._group else "before it ran"
            raise NotRun(f"ssh to {self._target}: the connection was lost {when}")
        return status, ""


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options; wrong usage ends the process as argparse does."""
    parser = argparse.ArgumentParser(
        prog="callsheet-ssh",
        allow_abbrev=False,
        description="Run a program on another host; its output and its end are ours.",
    )
    add = parser.add_argument
    add("--identity-file", help="the private key (default: as ssh finds one)")
    add("--known-hosts", help="file of host keys (default: ~/.ssh/known_hosts and the system's)")
    add("--sudo-user", help="run it as this user there, by sudo")
    add("--env-mode", default="inherit", choices=("inherit", "clean", "login"))
    add("--cwd", default="", help="its working folder there")
    add("--umask", default="")
    add("--memory-kib", default="")
    add("--ulimits", default="", help="as prlimit takes them")
    add("--nice", default="")
    add("--stdin-file", default="", help="what it reads, a file there (default: our stdin)")
    add("--failed", help=argparse.SUPPRESS)
    add("target", metavar="[USER@]HOST[:PORT]")
    add("argv", nargs="+", metavar="WORD", help="the program and its arguments")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its status; ended by a signal, end by it."""
    options = options_of(arguments)
    try:
        more = {"identity_file": options.identity_file, "known_hosts": options.known_hosts}
        target = read_target(options.target, **more)
        far = FarRun(
            argv=tuple(options.argv),
            env=_far_env(),
            env_mode=options.env_mode,
            sudo_user=options.sudo_user,
            cwd=options.cwd,
            umask=options.umask,
            memory_kib=options.memory_kib,
            limits=options.ulimits,
            nice=options.nice,
            stdin_file=options.stdin_file,
        )
        status, name = FarProgram(target, far).run()
    except UserError as error:
        return _not_run(str(error), options.failed)
    if name:
        number = getattr(signal, f"SIG{name}")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    return status


def _far_env() -> dict[str, str]:
    """Return the variables for the far side. Its processes have a cookie of their own: both sides
    may be on one host."""
    env: dict[str, str] = json.loads(os.environ.get(FAR_ENV, "{}"))
    return env | {COOKIE: f"far/{env.get(COOKIE) or secrets.token_hex(16)}"}


def _not_run(sentence: str, failed: str | None) -> int:
    if failed is None:
        sys.stderr.write(f"callsheet-ssh: {sentence}\n")
        return NOT_RUN
    with open(failed, "w", encoding="utf-8", errors="replace") as file:
        file.write(f"{SAID}{sentence}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
