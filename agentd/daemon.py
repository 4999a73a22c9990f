"""agentd: the daemon that runs processes on its host for a callsheet server.

`main` is the console script `callsheet-agentd`; the supervisor of a server starts one for its own
host. One thread, one epoll loop: the server's ZeroMQ socket, the keepers' sockets, a line to the
supervisor. It owns no process that matters: killed at any instant, its keepers and their jobs go
on, and the next agentd on the same spool takes them up.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import os
import pwd
import re
import secrets
import select
import signal
import socket
import sys
import time
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from .. import __version__
from ..jobs.errors import UserError
from ..messages.agents import AgentHello, StartProcess
from ..messages.codec import FROM_RUNNER_READER
from ..messages.post import RUNNER, Post
from ..wire.ports import DealerPort, Letter
from . import procs
from .core import AgentCore
from .host import Key, Now, Spec
from .keepers import KeeperFailed, Keepers
from .launch import base_environment, spec_of
from .local import LocalHost
from .spool import Spool

log = logging.getLogger("callsheet.agentd")

FRAMES_AT_ONCE = 200
# Forgotten claims removed in one idle moment; with more than the second waiting, in any moment.
CLEAN_AT_ONCE = 50
CLEAN_BACKLOG = 2_000
# Exit status of a daemon that cannot work as things are.
UNUSABLE = 78
# Exit status of a daemon that cannot work yet.
NOT_NOW = 75
NAME = re.compile(r"[A-Za-z0-9._@:-]{1,200}")


class BadOption(UserError):
    """An option of the command line cannot be used."""

    def __init__(self, option: str, value: str, expected: str) -> None:
        super().__init__(f"{option}: {value!r} cannot be used: expected {expected}")


class Daemon:
    """See the module. The line to the supervisor is `fd`, None when nobody supervises."""

    def __init__(
        self, server: str, spool: Spool, identity: AgentHello, fd: int | None = None
    ) -> None:
        self._spool = spool
        self._fd = fd
        self._context = zmq.Context[zmq.Socket[bytes]]()
        self._keepers = Keepers(spool.runs, spool.keepers, base_environment(os.environ))
        self._host = LocalHost(spool, self._keepers, take_whole=server.startswith("ipc:"))
        self._core = AgentCore(identity, self._host, self._spec, epoch=spool.epoch())
        self._server = server
        self._over = False
        self._port: DealerPort
        self._monitor: zmq.Socket[bytes]
        self._epoll = select.epoll()
        self._polled: set[int] = set()
        self._wake, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def _spec(self, message: StartProcess) -> Spec:
        key = Key(message.run_id, message.attempt)
        return spec_of(
            key,
            message.program,
            folder=f"{self._spool.runs}/{key}",
            cookie=self._spool.cookie(key),
            stop_us=message.stop_us,
            job_id=message.job_id,
        )

    def run(self) -> None:
        """Serve until told to stop."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_stop)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._keepers.open()
        self._core.begin(_now())
        self._connect()
        if self._fd is not None:
            self._epoll.register(self._fd, select.EPOLLIN)
            os.set_blocking(self._fd, False)
            os.write(self._fd, b"ready\n")
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        try:
            while not self._over:
                self._turn()
        finally:
            self._keepers.close()
            self._context.destroy(linger=200)

    def _connect(self) -> None:
        self._port = DealerPort(
            self._context,
            "runner",
            self._server,
            address=self._core.address,
            peer=RUNNER,
            reader=FROM_RUNNER_READER,
            clock=time.monotonic,
            events=zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED,
        )
        assert self._port.monitor is not None, "events were asked for"
        self._monitor = self._port.monitor
        for watched in (self._port.socket, self._monitor):
            self._epoll.register(watched, select.EPOLLIN | select.EPOLLET)

    # --- a turn ---------------------------------------------------------------------------------

    def _turn(self) -> None:
        core, host = self._core, self._host
        if host.fds_changed:
            self._poll_these(host.fds())
        self._wait()
        now = _now()
        posts = self._listen_to_monitor(now)
        for fact in host.facts():
            posts += core.happened(fact, now)
        letters: list[Letter] = []
        self._port.receive(FRAMES_AT_ONCE, letters)
        for letter in letters:
            for message in letter.messages:
                posts += core.receive(letter.peer, message, now)
        posts += core.settle(now)
        host.flush()
        self._send(posts)

    def _wait(self) -> None:
        """Wait for something, removing what is forgotten while there is nothing else to do."""
        timeout_s = 0.0 if self._readable() else self._patience_s()
        events = self._epoll.poll(0.0)
        if not events and timeout_s > 0:
            if self._host.clean(CLEAN_AT_ONCE):
                timeout_s = 0.0
            events = self._epoll.poll(timeout_s)
        for fd, _ in events:
            if fd in self._polled:
                self._host.hear(fd)
            elif fd == self._wake:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 4_096)
            elif fd == self._fd:
                self._hear_supervisor()
        if self._host.backlog > CLEAN_BACKLOG:
            self._host.clean(CLEAN_AT_ONCE)

    def _readable(self) -> bool:
        """Whether a ZeroMQ socket has something: its descriptor tells of changes only."""
        return any(
            int(sock.getsockopt(zmq.EVENTS)) & zmq.POLLIN
            for sock in (self._port.socket, self._monitor)
        )

    def _patience_s(self) -> float:
        wakes_at = self._core.wakes_at()
        wait_s = 2.0 if wakes_at is None else (wakes_at - time.monotonic_ns() // 1_000) / 1e6
        return max(0.0, min(wait_s, 2.0))

    def _listen_to_monitor(self, now: Now) -> list[Post]:
        posts: list[Post] = []
        while True:
            try:
                frames = self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return posts
            if parse_monitor_message(frames)["event"] == zmq.EVENT_DISCONNECTED:
                self._core.part()
                log.info("the server is away: %s", self._server)
            else:
                posts += self._core.meet(now)
                log.info("connected to %s", self._server)

    def _send(self, posts: list[Post]) -> None:
        if posts:
            self._port.send(RUNNER, [post.message for post in posts])
        if self._port.waits_to_write():
            self._port.flush()

    def _poll_these(self, fds: list[int]) -> None:
        wanted = set(fds)
        for fd in self._polled - wanted:
            with contextlib.suppress(OSError, ValueError):
                self._epoll.unregister(fd)
        for fd in wanted:
            # A number may have been closed and given out again since.
            with contextlib.suppress(FileExistsError):
                self._epoll.register(fd, select.EPOLLIN)
        self._polled = wanted
        self._host.fds_changed = False

    def _hear_supervisor(self) -> None:
        assert self._fd is not None, "nobody supervises"
        try:
            data = os.read(self._fd, 4_096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or b"stop\n" in data:
            self._over = True

    def _on_stop(self, number: int, frame: Any) -> None:
        self._over = True


def _now() -> Now:
    return Now(time.time_ns() // 1_000, time.monotonic_ns() // 1_000)


def _identity(agent_id: str, group_id: str) -> AgentHello:
    try:
        username = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        username = str(os.geteuid())
    return AgentHello(
        agent_id=agent_id,
        group_id=group_id,
        incarnation=secrets.token_hex(8),
        boot_id=procs.boot_id(),
        software=f"callsheet {__version__}",
        hostname=socket.gethostname(),
        username=username,
        pid=os.getpid(),
        uid=os.getuid(),
        gid=os.getgid(),
    )


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="callsheet-agentd",
        description="Run processes on this host for a callsheet server.",
    )
    parser.add_argument("--server", required=True, help="where the server is: ipc://PATH")
    parser.add_argument("--spool", required=True, help="folder for claims and outputs; made")
    parser.add_argument("--agent-id", default=socket.gethostname(), help="name of this agent")
    parser.add_argument("--group", default="default", help="group of agents it belongs to")
    parser.add_argument("--supervised-fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--log-level", default="WARNING", help="DEBUG, INFO, WARNING or ERROR")
    return parser.parse_args(arguments)


def _checked(options: argparse.Namespace) -> None:
    """Refuse what cannot be used.

    Raises:
        BadOption: it says which and why.
    """
    if options.server.startswith("tcp:"):
        raise BadOption(
            "--server",
            options.server,
            "ipc://PATH: agents on other hosts need encrypted connections, which this version "
            "does not have",
        )
    if not options.server.startswith("ipc://"):
        raise BadOption("--server", options.server, "ipc://PATH")
    for option, value in (("--agent-id", options.agent_id), ("--group", options.group)):
        if NAME.fullmatch(value) is None:
            raise BadOption(option, value, "1 to 200 letters, digits or . _ @ : -")
    if options.log_level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise BadOption("--log-level", options.log_level, "DEBUG, INFO, WARNING or ERROR")


def main(arguments: list[str] | None = None) -> int:
    """Run agentd; return its exit status."""
    options = _options(arguments)
    fd = options.supervised_fd
    if fd is not None:
        os.set_inheritable(fd, False)
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as comm:
        comm.write("cs-agentd")
    try:
        _checked(options)
        logging.basicConfig(
            level=options.log_level.upper(),
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        )
        try:
            spool = Spool(options.spool)
        except OSError as error:
            # A full disk passes; whoever keeps agentd running tries again.
            said = f"spool {options.spool}: {error.strerror}: expected a folder to write into"
            print(f"callsheet-agentd: {said}", file=sys.stderr, flush=True)
            return NOT_NOW
        Daemon(options.server, spool, _identity(options.agent_id, options.group), fd).run()
    except (UserError, KeeperFailed) as error:
        print(f"callsheet-agentd: {error}", file=sys.stderr, flush=True)
        if fd is not None and isinstance(error, UserError):
            os.write(fd, f"fatal {' '.join(str(error).split())}\n".encode())
        return UNUSABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
