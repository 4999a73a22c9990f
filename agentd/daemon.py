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
import secrets
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

import zmq

from ..jobs.errors import UserError
from ..messages.agents import AgentHello, StartProcess
from ..messages.codec import TO_AGENT_READER
from ..messages.hello import Refuse
from ..messages.post import RUNNER, Post
from ..wire.curve import ClientSide, public_bytes
from ..wire.log_files import begin_logs
from ..wire.ports import DealerPort, Letter
from ..wire.sockets import event_of
from ..wire.standard import open_standard
from .cgroups import NONE, Cgroups
from .core import AgentCore
from .grouped import grouping
from .host import Key, Now, Spec
from .identity import identity
from .joining import EVENTS, Desk, failure_of, read_token, side_of
from .keepers import KeeperFailed, Keepers
from .launch import base_environment, spec_of
from .local import LocalHost
from .options import UNUSABLE, USUAL, BadOption, Ways, check, host_name, logs_of, parse, ways_of
from .spool import Spool
from .users import NotAllowed

log = logging.getLogger("callsheet.agentd")

FRAMES_AT_ONCE = 200
# As a plain number: to ask an enumeration costs more than to ask the socket.
READABLE = int(zmq.POLLIN)
# Exit status of a daemon that cannot work yet.
NOT_NOW = 75
# After a refusal the server is asked again so much later, and up to as much again at random.
REFUSED_S = 5.0


class Daemon:
    """See the module. The line to the supervisor is `fd`, None when nobody supervises."""

    def __init__(
        self,
        server: str,
        spool: Spool,
        identity: AgentHello,
        fd: int | None = None,
        side: ClientSide | None = None,
        ways: Ways = USUAL,
    ) -> None:
        """`side`: how we show a server elsewhere who we are; `ways`: what its host allows, and how
        it ends."""
        self._spool = spool
        self._fd = fd
        self._context = zmq.Context[zmq.Socket[bytes]]()
        environ = base_environment(os.environ)
        self._environ = tuple(environ)
        self._sudo_allow = ways.sudo_allow
        self._keepers = Keepers(spool.runs, spool.keepers, environ)
        self._cgroups = Cgroups.find(ways.cgroup)
        if self._cgroups.why_not:
            level = logging.INFO if ways.cgroup in (None, NONE) else logging.WARNING
            log.log(level, "limits of jobs cannot be held here: %s", self._cgroups.why_not)
        whole = server.startswith("ipc:")
        self._host = LocalHost(spool, self._keepers, self._cgroups, ways.secrets, take_whole=whole)
        self._core = AgentCore(
            identity,
            self._host,
            self._spec,
            epoch=spool.epoch.read(),
            away_us=spool.away.read(),
            policy=ways.policy,
        )
        self._server = server
        self._side = side
        self._reopen_s: float | None = None
        self._told = ""
        self._on_stop = ways.on_stop
        self._stop_asked = self._over = False
        self._port: DealerPort
        self._monitor: zmq.Socket[bytes]
        self._epoll = select.epoll()
        self._polled: set[int] = set()
        self._wake, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def _spec(self, message: StartProcess) -> Spec | str:
        key = Key(message.run_id, message.attempt)
        cookie = self._spool.cookie(key)
        group, remark, why_not = grouping(message.program, self._cgroups, cookie)
        if why_not:
            return why_not
        try:
            return spec_of(
                key,
                message.program,
                folder=f"{self._spool.runs}/{key}",
                cookie=cookie,
                stop_us=message.stop_us,
                job_id=message.job_id,
                environ=self._environ,
                sudo=message.sudo_argv,
                allow=self._sudo_allow,
                cgroup=group,
                remarks=(remark,) if remark else (),
                keep_bytes=message.keep_bytes,
                result=self._host.results.path_for(key, message.program),
            )
        except NotAllowed as error:
            return str(error)

    def run(self) -> None:
        """Serve until told to stop."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        # Sent when somebody opens a file in the moment in which we hold it (see `reuse`).
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._keepers.open()
        self._core.begin(_now())
        self._connect()
        if self._fd is not None:
            self._epoll.register(self._fd, select.EPOLLIN)
            os.set_blocking(self._fd, False)
            # Who is to hear it may be gone by now: the first turn finds that out.
            with contextlib.suppress(OSError):
                os.write(self._fd, b"ready\n")
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        try:
            while not self._over:
                self._turn()
            self._host.clean()
            if self._core.leaves_nothing:
                self._spool.remove_free()
            rest = "nothing is left of it" if self._core.leaves_nothing else "its processes go on"
            log.info("told to end: %s", rest)
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
            reader=TO_AGENT_READER,
            clock=time.monotonic,
            events=EVENTS,
            side=self._side,
            # The agent of a server's own host has the sockets of that server's life.
            rival=self._fd is None,
        )
        assert self._port.monitor is not None, "events were asked for"
        self._monitor = self._port.monitor
        for watched in (self._port.socket, self._monitor):
            self._epoll.register(watched, select.EPOLLIN | select.EPOLLET)

    def _reopen(self) -> None:
        """Try again where we were refused: ZeroMQ itself gives up then."""
        self._reopen_s = None
        for watched in (self._port.socket, self._monitor):
            self._epoll.unregister(watched)
        self._port.socket.disable_monitor()
        self._port.close()
        self._connect()

    # --- a turn ---------------------------------------------------------------------------------

    def _turn(self) -> None:
        core, host = self._core, self._host
        if self._reopen_s is not None and time.monotonic() >= self._reopen_s:
            self._reopen()
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
                if isinstance(message, Refuse):
                    self._tell(f"{self._server}: {message.sentence}")
                    core.refused()
                else:
                    posts += core.receive(letter.peer, message, now)
        # What is to be started is with a keeper before anything else is looked after.
        host.flush()
        if self._stop_asked and self._on_stop != "leave":
            core.shut_down(self._on_stop, now)
        posts += core.settle(now)
        for line in core.said:
            log.warning("%s", line)
        core.said.clear()
        host.flush()
        self._send(posts)
        self._end_if_closed(now)

    def _end_if_closed(self, now: Now) -> None:
        """Go no further when the core is through; a signal that comes meanwhile is not undone."""
        if self._core.is_closed(now):
            self._over = True

    def _wait(self) -> None:
        """Wait for something, removing what is forgotten while there is nothing else to do."""
        timeout_s = 0.0 if self._readable() else self._patience_s()
        events = self._epoll.poll(0.0)
        if not events and timeout_s > 0:
            timeout_s = min(timeout_s, self._host.tidy(time.monotonic()))
            events = self._epoll.poll(timeout_s)
        if events:
            self._host.is_busy(time.monotonic())
        for fd, _ in events:
            if fd in self._polled:
                self._host.hear(fd)
            elif fd == self._wake:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 4_096)
            elif fd == self._fd:
                self._hear_supervisor()

    def _readable(self) -> bool:
        """Whether a ZeroMQ socket has something: its descriptor tells of changes only."""
        return _has_some(self._port.socket) or _has_some(self._monitor)

    def _patience_s(self) -> float:
        wakes_at = self._core.wakes_at()
        wait_s = 2.0 if wakes_at is None else (wakes_at - time.monotonic_ns() // 1_000) / 1e6
        if self._reopen_s is not None:
            wait_s = min(wait_s, self._reopen_s - time.monotonic())
        return max(0.0, min(wait_s, 2.0))

    def _listen_to_monitor(self, now: Now) -> list[Post]:
        posts: list[Post] = []
        while _has_some(self._monitor):
            event = event_of(self._monitor.recv_multipart(zmq.NOBLOCK))
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                posts += self._core.meet(now)
                self._told = ""
                log.info("connected to %s", self._server)
                continue
            self._core.part()
            failure = failure_of(event, self._server)
            if failure is not None:
                self._tell(failure)
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self._reopen_s = time.monotonic() + REFUSED_S * (1 + secrets.randbelow(1_000) / 1e3)
            elif event == zmq.EVENT_DISCONNECTED:
                log.info("the server is away: %s", self._server)
        return posts

    def _tell(self, sentence: str) -> None:
        """Say why the server does not have us; once, until that changes."""
        if sentence != self._told:
            self._told = sentence
            log.warning("%s", sentence)

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

    def _on_signal(self, number: int, frame: Any) -> None:
        """End, after the processes if they are to be ended; told twice, at once."""
        self._over = self._stop_asked or self._on_stop == "leave"
        self._stop_asked = True


def _has_some(sock: zmq.Socket[bytes]) -> bool:
    """Whether something is to be read from a ZeroMQ socket."""
    return bool(int(sock.getsockopt(zmq.EVENTS)) & READABLE)


def _now() -> Now:
    return Now(time.time_ns() // 1_000, time.monotonic_ns() // 1_000)


def _join(options: argparse.Namespace, spool: Spool) -> ClientSide | None:
    """Settle who this agent is (in `options`), and return how it shows that to a server elsewhere;
    None for a server of this host, which knows its own."""
    side = None
    if options.server.startswith("tcp:"):
        desk = Desk(spool.path)
        membership = desk.membership()
        token = None
        # Once it has let the agent in, the file may be gone.
        if options.token_file and (membership is None or os.path.exists(options.token_file)):
            token = read_token(Path(options.token_file))
        if token is not None and (membership is None or membership.server != token.server):
            wanted = options.agent_id or host_name()
            membership = desk.enrol(options.server, token, wanted, options.group or "")
            log.info("enrolled as %s, group %s", membership.agent_id, membership.group_id)
        if membership is not None:
            if options.agent_id not in (None, membership.agent_id):
                expected = f"{membership.agent_id}, as which it is enrolled"
                raise BadOption("--agent-id", options.agent_id, expected)
            options.agent_id, options.group = membership.agent_id, membership.group_id
        server = options.server_key or (membership.server if membership else None)
        if server is None:
            expected = "also --token-file for the first time, or --server-key"
            raise BadOption("--server", options.server, expected)
        public_bytes(server, "--server-key")
        side = side_of(desk.keys, server)
    options.agent_id = options.agent_id or host_name()
    options.group = options.group or "default"
    return side


def main(arguments: list[str] | None = None) -> int:
    """Run agentd; return its exit status."""
    open_standard()
    return run(parse(arguments))


def run(options: argparse.Namespace) -> int:
    """Run agentd by its options; return its exit status."""
    fd = options.supervised_fd
    if fd is not None:
        os.set_inheritable(fd, False)
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as comm:
        comm.write("cs-agentd")
    try:
        check(options)
        begin_logs(logs_of(options), "agent", options.log_file)
        try:
            spool = Spool(options.spool)
        except OSError as error:
            # A full disk passes; whoever keeps agentd running tries again.
            said = f"spool {options.spool}: {error.strerror}: expected a folder to write into"
            print(f"callsheet-agentd: {said}", file=sys.stderr, flush=True)
            return NOT_NOW
        side = _join(options, spool)
        Daemon(options.server, spool, identity(options), fd, side, ways_of(options)).run()
    except KeeperFailed as error:
        # Perhaps no process can be started now; the next one of us may have more luck.
        print(f"callsheet-agentd: {error}", file=sys.stderr, flush=True)
        return NOT_NOW
    except UserError as error:
        print(f"callsheet-agentd: {error}", file=sys.stderr, flush=True)
        if fd is not None:
            os.write(fd, f"fatal {' '.join(str(error).split())}\n".encode())
        return UNUSABLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
