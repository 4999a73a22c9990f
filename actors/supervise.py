"""The supervisor's loop: forks the roles, listens to their lines, reaps them, keeps the state file.

Everything it decides is in `supervisor.py`. This process uses no pykka, ZeroMQ, thread or store:
it must survive whatever its children meet, and a fork must copy nothing that is half done. `cli/`
calls `supervise` after it has imported what all roles share, so that they share its memory too.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import msgspec

from ..messages.figures import RoleStanding, told
from ..wire.trial import Trial
from . import clock
from .heap import fill_holes, forget_looked_up, keep_thresholds
from .link import CRASHED, TOLD_BYTES
from .state_files import StateFiles
from .supervisor import (
    Act,
    Announce,
    AskStop,
    Kill,
    Quit,
    RoleSpec,
    Spawn,
    Supervisor,
    Warn,
)

log = logging.getLogger("callsheet.supervisor")

# A line longer than this is not one of ours.
LINE_BYTES = 64 * 2**10
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# The status `supervise` returns when it was told (SIGHUP) to stop and be started anew.
RESTART = -1


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """How to run a role: `play` in a fork, given the fd of its line, returning the exit status; or
    `command`, given that fd, returning the arguments of a program to execute. With `wants_figures`
    it is handed what all roles say of their figures, whenever it beats; `is_signalled`: it is asked
    to stop by SIGTERM too, for it may be busy before it reads its line."""

    spec: RoleSpec
    wants_figures: bool = False
    is_signalled: bool = False
    play: Callable[[int], int] | None = None
    command: Callable[[int], list[str]] | None = None


def supervise(
    programs: list[Program],
    state_dir: Path,
    announce: Callable[[dict[str, str]], None],
    trial: tuple[str, ...] = (),
) -> tuple[int, str]:
    """Run the programs until told to stop by SIGTERM or SIGINT, or to begin anew by SIGHUP.

    Args:
        programs: what to keep running.
        state_dir: where `processes.json` (role to pid) and `health.json` are kept up to date, for
            `doctor`, tests and people; both go when the server ends.
        announce: called once when all roles are ready, with what each said of itself.
        trial: a command by which to try, at a SIGHUP, whether it could begin anew (`Trial`).

    Returns:
        The exit status, or `RESTART`; and for people a sentence when a mistake of theirs ended it.
    """
    return _Loop(programs, state_dir, announce, Trial(trial)).run()


class _Loop:
    def __init__(
        self,
        programs: list[Program],
        state_dir: Path,
        announce: Callable[[dict[str, str]], None],
        trial: Trial,
    ) -> None:
        self._programs = {program.spec.role: program for program in programs}
        self._core = Supervisor([program.spec for program in programs])
        self._state = StateFiles(state_dir)
        self._announce = announce
        self._trial = trial
        self._lines: dict[int, str] = {}
        self._fds: dict[str, int] = {}
        self._heard: dict[str, bytes] = {}
        self._figures: dict[str, str] = {}
        self._stops = 0
        self._hang_ups = 0
        self._restart = False
        self._told_to = ""
        self._result: tuple[int, str] | None = None
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._wake_read, select.POLLIN)

    def run(self) -> tuple[int, str]:
        before = {number: signal.signal(number, self._on_stop) for number in SIGNALS}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _on_child)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        # What is there now is there for good: children that never touch it never copy it.
        gc.collect()
        gc.freeze()
        forget_looked_up()
        fill_holes()
        keep_thresholds()
        # What a killed server left behind names processes that are no more.
        self._state.unlink()
        try:
            self._carry_out(self._core.begin(clock.monotonic_s()))
            while self._result is None:
                self._turn()
            return self._result
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._kill_all()
            self._trial.end()
            gc.unfreeze()
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._state.unlink()

    # --- a turn ---------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Wait, then hear every line before looking at the clock: if this process itself stood
        still, its children are not to blame."""
        self._state.write(self._core)
        wakes_at_s = self._core.wakes_at_s()
        wait_ms = None
        if wakes_at_s is not None:
            wait_ms = max(0.0, wakes_at_s - clock.monotonic_s()) * 1e3 + 1
        for fd, _ in self._poll.poll(wait_ms):
            if fd == self._wake_read:
                _drain(fd)
            elif fd in self._lines:
                self._hear(self._lines[fd])
        self._reap()
        self._judge()
        now_s = clock.monotonic_s()
        for _ in range(self._stops):
            log.info("told to end by %s", self._told_to)
            self._carry_out(self._core.stop(now_s))
        self._stops = 0
        if self._result is None:
            self._carry_out(self._core.tick(now_s))

    def _judge(self) -> None:
        """At a SIGHUP, begin anew if it could; who was told to end, or begins anew, does so."""
        if self._told_to:
            return
        if self._hang_ups:
            self._hang_ups = 0
            self._trial.begin()
        wrong = self._trial.outcome()
        if wrong:
            log.error("it goes on as it is, for it could not begin anew: %s", wrong)
        elif wrong is not None:
            self._told_to, self._restart = "SIGHUP", True
            self._stops += 1

    def _hear(self, role: str) -> None:
        """Read what a role says, until nothing is left or its line is closed."""
        fd = self._fds[role]
        while True:
            try:
                data = os.read(fd, 65_536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._poll.unregister(fd)
                del self._lines[fd]
                return
            *lines, rest = (self._heard[role] + data).split(b"\n")
            self._heard[role] = rest[-LINE_BYTES:]
            for line in lines:
                self._carry_out(self._line(role, line.decode("utf-8", "replace")))

    def _line(self, role: str, line: str) -> list[Act]:
        word, _, rest = line.partition(" ")
        now_s = clock.monotonic_s()
        match word:
            case "beat":
                self._core.heard(role, now_s)
                if rest:
                    self._figures[role] = rest
                if self._programs[role].wants_figures:
                    self._hand_figures(role)
                return []
            case "ready":
                return self._core.ready(role, rest, now_s)
            case "health":
                return self._core.health(role, rest)
            case "fatal":
                return self._core.unusable(role, rest, now_s)
            case _:
                return [Warn(f"{role}: said {line[:80]!r}: expected ready, beat, health or fatal")]

    def _reap(self) -> None:
        for role, kept in list(self._core.kept.items()):
            if kept.pid is None:
                continue
            pid, status = os.waitpid(kept.pid, os.WNOHANG)
            if not pid:
                continue
            if self._fds[role] in self._lines:
                self._hear(role)
            self._forget_line(role)
            self._figures.pop(role, None)
            self._carry_out(self._core.exited(role, _how(status), clock.monotonic_s()))

    # --- acts -----------------------------------------------------------------------------------

    def _carry_out(self, acts: list[Act]) -> None:
        self._spawn([act.role for act in acts if isinstance(act, Spawn)])
        for act in acts:
            match act:
                case AskStop():
                    self._ask_stop(act.role)
                case Kill():
                    log.warning("%s is killed: %s", act.role, act.reason)
                    self._signal(act.role, signal.SIGKILL)
                case Warn():
                    log.warning("%s", act.sentence)
                case Announce():
                    self._announce({r: kept.detail for r, kept in self._core.kept.items()})
                case Quit():
                    status = RESTART if self._restart and not act.status else act.status
                    self._result = (status, act.sentence)

    def _spawn(self, roles: list[str]) -> None:
        """Fork roles, one right after the other: of each page that this process writes to between
        two forks, as it does when it logs and listens, the former keeps one of its own."""
        if not roles:
            return
        ends = {role: [end.detach() for end in socket.socketpair()] for role in roles}
        forked: dict[str, int | OSError] = {}
        sys.stdout.flush()
        sys.stderr.flush()
        for role in roles:
            try:
                forked[role] = pid = os.fork()
            except OSError as error:
                forked[role] = error
                continue
            if pid == 0:
                theirs = ends[role].pop()
                others = [fd for pair in ends.values() for fd in pair]
                self._become(role, theirs, [*others, *self._fds.values()])
        for role, (ours, theirs) in ends.items():
            os.close(theirs)
            self._forked(role, forked[role], ours)

    def _forked(self, role: str, pid: int | OSError, line_fd: int) -> None:
        """Listen to a role that was forked, or have it tried again when it could not be."""
        if isinstance(pid, OSError):
            os.close(line_fd)
            how = f"it could not be forked: {pid.strerror}"
            self._carry_out(self._core.exited(role, how, clock.monotonic_s()))
            return
        os.set_blocking(line_fd, False)
        self._fds[role], self._lines[line_fd], self._heard[role] = line_fd, role, b""
        self._poll.register(line_fd, select.POLLIN)
        self._core.spawned(role, pid, clock.monotonic_s())
        log.info("%s: process %d", role, pid)

    def _become(self, role: str, line_fd: int, others: list[int]) -> None:
        """In the child: be the role. Never returns."""
        status = CRASHED
        try:
            # A session of its own: a Ctrl-C in the terminal is for the supervisor alone, who stops
            # the roles in order. The other roles' lines are closed here, or their ends would not
            # be noticed while this process lives.
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in (*SIGNALS, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            for fd in (*others, self._wake_read, self._wake_write):
                os.close(fd)
            program = self._programs[role]
            if program.command is not None:
                os.set_inheritable(line_fd, True)
                arguments = program.command(line_fd)
                os.execv(arguments[0], arguments)  # noqa: S606 - no shell is wanted
            assert program.play is not None, f"{role}: neither play nor command"
            status = program.play(line_fd)
        except BaseException:  # noqa: BLE001 - nothing may unwind into the parent's frames
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _hand_figures(self, role: str) -> None:
        """Hand a role what is known of all of them, if its line has room; else it is for later."""
        standing = {
            name: RoleStanding(pid=kept.pid or 0, ready=kept.ready, starts=kept.starts)
            for name, kept in self._core.kept.items()
        }
        standing["supervisor"] = RoleStanding(pid=os.getpid(), ready=True, starts=1)
        line = f"figures {told(standing, self._figures).said()}\n".encode()
        poll = select.poll()
        poll.register(self._fds[role], select.POLLOUT)
        if len(line) <= TOLD_BYTES and poll.poll(0):
            with contextlib.suppress(OSError):
                os.write(self._fds[role], line)

    def _ask_stop(self, role: str) -> None:
        try:
            os.write(self._fds[role], b"stop\n")
        except OSError:
            return
        program = self._programs[role]
        if program.is_signalled or program.command is not None:
            self._signal(role, signal.SIGTERM)

    def _signal(self, role: str, number: signal.Signals) -> None:
        """Signal a child that is not reaped yet, so that its pid cannot be another's."""
        pid = self._core.kept[role].pid
        if pid is not None:
            os.kill(pid, number)

    def _forget_line(self, role: str) -> None:
        fd = self._fds.pop(role)
        if self._lines.pop(fd, None) is not None:
            self._poll.unregister(fd)
        os.close(fd)

    def _kill_all(self) -> None:
        """Leave nobody behind when the loop itself failed."""
        for role, kept in self._core.kept.items():
            if kept.pid is not None:
                self._signal(role, signal.SIGKILL)
                os.waitpid(kept.pid, 0)
                self._forget_line(role)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._hang_ups += 1
            return
        self._stops += 1
        self._told_to, self._restart = signal.Signals(number).name, False


def _on_child(number: int, frame: FrameType | None) -> None:
    """Nothing: the wake-up fd has told the loop."""


def _drain(fd: int) -> None:
    try:
        while os.read(fd, 4_096):
            pass
    except BlockingIOError:
        return


def _how(status: int) -> str:
    """Say how a process ended."""
    code = os.waitstatus_to_exitcode(status)
    return f"exit status {code}" if code >= 0 else f"signal {-code}"
