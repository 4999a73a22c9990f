"""Starts callsheet's programs as forks of a process that has imported them already.

Most of what a start costs is imports: 0.7 s of a processor for a server and 0.2 s for an agent,
some four hundred times in all tests. So each process of the tests has, for each of `PRELOADED`,
one that imports it once (`warm_process.py`), keeps to one thread, and forks whenever a test starts
it. To the test such a fork is a `Popen` like any other. It has the arguments (`ps` shows them too),
environment, folder, descriptors, group and session that it would have had, and ends as an
interpreter ends. It is not the test's child, but its status is kept until it is asked for, like
that of any child.

What it cannot show is how an interpreter starts. So anything else is executed as ever: another
interpreter, a program before it, variables that are read before the first line of a program,
descriptors of its own, and whatever is started while the thread that starts it has other
namespaces, limits or rights than this process began with. So are, by their tests, the second start
of a server in its folder, and all that is about starting.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import functools
import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# By the module that is run: what it, and what it does first, imports.
SERVER = (
    "callsheet.cli.serve_command",
    "callsheet.cli.serve",
    "callsheet.cli.web_role",
    "callsheet.conf.settings",
    "callsheet.client.http",
    "callsheet.cli.shown",
)
PRELOADED = {
    "callsheet.cli.administrators": SERVER,
    "callsheet.cli.people": SERVER,
    "callsheet.agentd.daemon": ("callsheet.agentd.daemon",),
}
# Variables that nothing reads before the program does: those a test may set, or has set for it.
READ_LATE = ("CALLSHEET_", "APSIS_", "PYTEST_")
# What is inherited from the thread that starts a process, in /proc/thread-self/status.
INHERITED = ("Umask", "Uid", "Gid", "Groups", "CapEff", "Cpus_allowed", "SigBlk", "SigIgn")
# Room for the arguments that `ps` is to show.
ROOM_BYTES = 8_192


def popen(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    pass_fds: Sequence[int] = (),
    **ways: Any,
) -> subprocess.Popen[Any]:
    """Start a command as `subprocess.Popen` does: warm where that is the same."""
    if _is_the_same(command, env) and not pass_fds:
        return Warm(command, env=env, cwd=cwd, **ways)
    return subprocess.Popen(command, env=env, cwd=cwd, pass_fds=pass_fds, **ways)


def run(
    command: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it printed, as `subprocess.run` does."""
    pipe = subprocess.PIPE
    with popen(command, env=env, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _is_the_same(command: Sequence[str], env: Mapping[str, str] | None) -> bool:
    if command[:2] != [sys.executable, "-m"] or command[2] not in PRELOADED:
        return False
    if not all(name.startswith(READ_LATE) for name in _differences(env)):
        return False
    return _circumstances() == AT_FIRST


def _differences(env: Mapping[str, str] | None) -> dict[str, str | None]:
    """Return what is to be changed in the environment of the warm processes; None: taken away."""
    wanted, had = os.environ if env is None else env, _environment()
    gone: dict[str, str | None] = {name: None for name in had if name not in wanted}
    return gone | {name: text for name, text in wanted.items() if had.get(name) != text}


def _circumstances() -> tuple[Any, ...]:
    """Return what a process that is started now would have of this thread, besides its folder and
    descriptors."""
    own = Path("/proc/thread-self")
    names = sorted((own / "ns").iterdir())
    status = (own / "status").read_text().splitlines()
    return (
        [name.readlink() for name in names],
        [line for line in status if line.startswith(tuple(f"{name}:" for name in INHERITED))],
        (own / "limits").read_text(),
        (own / "cgroup").read_text(),
    )


# Those of the warm processes: they are started when nothing differs.
AT_FIRST = _circumstances()


@functools.cache
def _environment() -> dict[str, str]:
    """The environment of the warm processes: this one's, when it is first asked for."""
    return dict(os.environ)


class Warm(subprocess.Popen[Any]):
    """A fork of a warm process, in the place of a child of this one."""

    def _execute_child(  # type: ignore[override]
        self, args: Any, executable: Any, preexec_fn: Any, close_fds: Any, pass_fds: Any, cwd: Any,
        env: Any, startupinfo: Any, creationflags: Any, shell: Any,
        p2cread: int, p2cwrite: int, c2pread: int, c2pwrite: int, errread: int, errwrite: int,
        *others: Any,
    ) -> None:  # fmt: skip
        """As the one that is overridden, which executes it."""
        fds = [fd if fd >= 0 else i for i, fd in enumerate((p2cread, c2pwrite, errwrite))]
        try:
            self._source = _source(PRELOADED[args[2]])
            order = {
                "argv": list(args),
                "cwd": os.path.abspath(cwd or "."),
                "env": _differences(env),
            }
            self.pid = self._source.ask(order, fds)
            self._pidfd = os.pidfd_open(self.pid)
            self._child_created = True
        finally:
            self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """Return the pid and the status that it ended with; 0 and 0 while it runs, if that is to be
        known at once."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        if not poll.poll(0 if wait_flags & os.WNOHANG else None):
            return 0, 0
        status = self._source.ask({"ended": self.pid})
        os.close(self._pidfd)
        return self.pid, status

    def _internal_poll(self, _deadstate: int | None = None, **_: Any) -> int | None:
        if self.returncode is None and self._waitpid_lock.acquire(blocking=False):
            # Asked by its destructor, it may have outlived the process that it came from.
            last = contextlib.nullcontext() if _deadstate is None else contextlib.suppress(OSError)
            try:
                with last:
                    pid, status = self._try_wait(os.WNOHANG) if self.returncode is None else (0, 0)
                    if pid:
                        self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode


class Source:
    """A warm process of this one's, with what it has imported."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._lock = threading.Lock()
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script = Path(__file__).with_name("warm_process.py")
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, script, str(theirs.fileno()), *modules, "." * ROOM_BYTES],
                env=_environment(), pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            )  # fmt: skip
        atexit.register(self.close)

    def ask(self, order: dict[str, Any], fds: Sequence[int] = ()) -> int:
        """Have something forked, and return its pid; or one that has ended buried, and return its
        status.

        Raises:
            OSError: the warm process is no more.
        """
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        with self._lock:
            try:
                self._line.sendmsg([json.dumps(order).encode()], rights)
                return int(self._line.recv(64))
            except (OSError, ValueError):
                raise OSError(
                    "the process that servers and agents of tests are forked from has ended with "
                    f"{self._process.wait()}: expected it to live as long as the tests"
                ) from None

    def close(self) -> None:
        """End it; what it has forked goes on."""
        self._line.close()
        self._process.wait()


_sources: dict[tuple[int, tuple[str, ...]], Source] = {}
_sources_lock = threading.Lock()


def _source(modules: tuple[str, ...]) -> Source:
    """Return this process's source for modules; a fork of this process has others."""
    with _sources_lock:
        key = (os.getpid(), modules)
        if key not in _sources:
            _sources[key] = Source(modules)
        return _sources[key]
