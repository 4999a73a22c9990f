"""A keeper: the parent of jobs. Starts them, waits for them, writes what became of them.

Forked from a program that agentd executes and that ends at once (`start_keeper.py`), in a session
of its own, so that it outlives agentd; any later agentd of the same user connects to its socket. It
is single-threaded, uses the standard library alone and does no I/O but on its spool and socket. It
must never decide anything about a run, start one twice, or end while it has one. It is in three
files: this one keeps processes, `keeper_line.py` speaks with agentd, `keeper_record.py` is what is
on the disk.

Into the record of a run the keeper writes `started` before it starts the process, `pid` when the
process has lived for a moment, `exit` when it is over.

Messages are JSON lists of lists, one datagram each, both ways:

    agentd → keeper   ["env", {name: value}]   ["start", key, argv, env or null, stderr apart]
                      ["file", key] ["signal", key, number, whole group] ["retire"]
    keeper → agentd   ["hello", format, keeper id] ["live", [[key, pid], …]] ["ready"]
                      ["started", key, pid, at_us, monotonic_us] ["ended", key, exit text]
                      ["refused", key, text]
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import sys
import time
from collections import deque

from .keeper_line import Line, lock, say
from .keeper_record import EXIT, PID, SPEC_OFFSET, STARTED, boot_ticks, write

# (`typing` itself would be a tenth of a keeper's memory.)
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FORMAT = 2
COMBINED = (os.POSIX_SPAWN_DUP2, 1, 2)
OUT_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
# How the system's names and variables are encoded.
NAMES = (sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())
# Started in one turn before those that ended are looked after.
STARTS_A_TURN = 8
RETIRE_AFTER_S = 60.0
# Children are also looked for this often, whatever signals say; without a run, less often.
POLL_S = 1.0
REST_S = 20.0
# A process that is still there after this time gets its `pid` record.
NOTE_AFTER_S = 0.02
# While starts wait their turn, that a process runs is told no sooner than after this time: of one
# that is over by then only its end is told.
TELL_AFTER_US = 5_000
# Reasons why a process could not be started that may be gone later.
PASSING = frozenset(
    {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT}
)
PR_SET_CHILD_SUBREAPER = 36
# Found here, before the forks: to look for it in each would copy what they share.
_PRCTL = ctypes.CDLL(None).prctl
# All of them: one that is not named here the C library looks up before it sets it to its default.
DEFAULT_SIGNALS = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


class Keeper:
    """One keeper; `run` returns when it retires."""

    def __init__(self, runs: str, folder: str, name: str) -> None:
        self.runs = runs
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            self.boot_id = file.read().strip()
        self.keeper_id = f"{name}.{os.getpid()}.{time.time_ns() // 1_000_000:x}"
        # pid -> (key, start by the monotonic clock in us)
        self.live: dict[int, tuple[str, int]] = {}
        self.pids: dict[str, int] = {}  # key -> pid
        self.fresh: list[int] = []  # pids whose `pid` record is not written yet
        self.note_at = 0.0
        self.begun: dict[str, list[Any]] = {}  # key -> what is to be told of its start
        self.unwritten: dict[str, str] = {}  # key -> exit that could not be written yet
        self.waiting: deque[list[Any]] = deque()  # starts that wait their turn
        self.env: dict[bytes, bytes] = {}
        self.paths: dict[tuple[str, bytes], str] = {}
        self.retiring = False
        self.alone_since = time.monotonic()
        self.null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self.lock = lock(f"{folder}/{name}.lock", self.keeper_id)
        self.wake, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self.epoll = select.epoll()
        self.line = Line(folder, name, self.epoll)
        self.told = self.line.told
        self.epoll.register(self.wake, select.EPOLLIN)

    def run(self) -> None:
        """Serve until there is nobody to serve."""
        while not self.is_over():
            for fd, _ in self.epoll.poll(self.patience_s()):
                if fd == self.wake:
                    os.read(self.wake, 4096)
                elif self.line.is_call(fd):
                    self.accept()
                else:
                    self.receive()
            self.start_some()
            # Reaped in any case: no signal is needed to find what has ended.
            self.reap()
            if self.unwritten:
                self.write_exits()
            if self.fresh and time.monotonic() >= self.note_at:
                self.note_pids()
            self.tell_begun()
            self.line.send()

    def patience_s(self) -> float:
        """How long to wait for something to happen."""
        if self.waiting:
            return 0
        if self.fresh:
            return max(0.0, self.note_at - time.monotonic())
        rests = self.line.agent is not None and not (self.live or self.unwritten or self.retiring)
        return REST_S if rests else POLL_S

    def is_over(self) -> bool:
        """Whether it is time to go: told to, or nobody has been there for a while."""
        if self.line.agent is not None:
            self.alone_since = time.monotonic()
        if self.live or self.waiting or self.unwritten:
            return False
        return self.retiring or time.monotonic() - self.alone_since > RETIRE_AFTER_S

    # --- agentd ---------------------------------------------------------------------------------

    def accept(self) -> None:
        """Take a new agentd; what the one before had asked is carried out first."""
        new = self.line.answer()
        if new is None:
            return
        self.receive()
        self.line.hang_up()
        while self.waiting:
            self.start_some()
        self.begun.clear()
        self.told.clear()
        live = [[key, pid] for key, pid in self.pids.items()]
        lists = [["live", live[i : i + 500]] for i in range(0, len(live), 500)]
        self.line.take(new, [["hello", FORMAT, self.keeper_id], *lists])

    def receive(self) -> None:
        """Do what agentd asks, as long as it is there."""
        self.alone_since = time.monotonic()
        try:
            for item in self.line.hear():
                self.obey(item)
        except (ValueError, TypeError, IndexError, KeyError) as error:
            self.line.not_understood(error)

    def obey(self, item: list[Any]) -> None:
        """Do one thing agentd asks."""
        verb = item[0]
        if verb == "start":
            self.waiting.append(item)
        elif verb == "file":
            try:
                with open(f"{self.runs}/{item[1]}/record", "rb") as file:
                    file.seek(SPEC_OFFSET)
                    spec = json.loads(file.read(int(file.read(9))))
                split = spec.get("split", False)
                self.waiting.append(["start", item[1], spec["argv"], spec["env"], split])
            except (OSError, ValueError, KeyError) as error:
                self.told.append(["refused", item[1], f"record: {error}"])
        elif verb == "signal":
            _, key, number, whole = item
            # Not reaped yet, so the pid cannot be another's.
            with contextlib.suppress(ProcessLookupError, PermissionError, KeyError):
                (os.killpg if whole else os.kill)(self.pids[key], number)
        elif verb == "env":
            self.env = {os.fsencode(n): os.fsencode(v) for n, v in item[1].items()}
            self.paths.clear()
        elif verb == "retire":
            self.retiring = True
            self.line.close()

    # --- processes ------------------------------------------------------------------------------

    def start_some(self) -> None:
        """Start those whose turn it is."""
        for _ in range(min(len(self.waiting), STARTS_A_TURN)):
            _, key, argv, more, split = self.waiting.popleft()
            if self.retiring:
                self.told.append(["refused", key, "the keeper retires"])
            elif key not in self.pids:
                self.start(key, argv, more, split)

    def start(self, key: str, argv: list[str], more: dict[str, str] | None, split: bool) -> None:
        """Record that the process is to be started, then start it."""
        folder = f"{self.runs}/{key}"
        at_us, monotonic_us = time.time_ns() // 1000, time.monotonic_ns() // 1000
        text = f"{self.keeper_id} {self.boot_id} {at_us} {monotonic_us} {boot_ticks()}"
        try:
            write(f"{folder}/record", STARTED, text)
        except OSError as error:
            self.told.append(["refused", key, f"record: {error.strerror}"])
            return
        try:
            pid = self.spawn(folder, argv, more, split)
        except (OSError, ValueError) as error:
            self.not_started(key, argv, error)
            return
        self.live[pid] = (key, monotonic_us)
        self.pids[key] = pid
        if not self.fresh:
            self.note_at = time.monotonic() + NOTE_AFTER_S
        self.fresh.append(pid)
        self.begun[key] = ["started", key, pid, at_us, monotonic_us]

    def spawn(self, to: str, argv: list[str], more: dict[str, str] | None, split: bool) -> int:
        """Start a process in a session of its own, its output going to files; return its pid.

        Raises:
            OSError: it could not be started; ValueError: an argument holds a NUL.
        """
        env = self.env
        if more:
            # (As `os.fsencode` does, but for its look at what it is given: 2 µs of each start.)
            env = env | {n.encode(*NAMES): v.encode(*NAMES) for n, v in more.items()}
        actions = (
            (os.POSIX_SPAWN_DUP2, self.null, 0),
            (os.POSIX_SPAWN_OPEN, 1, f"{to}/out", OUT_FLAGS, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, f"{to}/err", OUT_FLAGS, 0o600) if split else COMBINED,
        )
        path = self.path_of(argv[0], env)
        return os.posix_spawn(
            path, argv, env,
            file_actions=actions, setsid=True, setsigmask=(), setsigdef=DEFAULT_SIGNALS,
        )  # fmt: skip

    def path_of(self, program: str, env: dict[bytes, bytes]) -> str:
        """Find a program by the PATH of its own environment, as `execvp` does."""
        if "/" in program:
            return program
        where = env.get(b"PATH", b"/usr/bin:/bin")
        known = self.paths.get((program, where))
        if known is not None and os.access(known, os.X_OK):
            return known
        error = errno.ENOENT
        for folder in os.fsdecode(where).split(":"):
            path = os.path.join(folder, program)
            if os.path.isfile(path):
                if os.access(path, os.X_OK):
                    if len(self.paths) > 1_000:
                        self.paths.clear()
                    self.paths[program, where] = path
                    return path
                error = errno.EACCES
        raise OSError(error, os.strerror(error))

    def not_started(self, key: str, argv: list[str], error: OSError | ValueError) -> None:
        """The process could not be started: for good, or for now."""
        record = f"{self.runs}/{key}/record"
        if isinstance(error, OSError) and error.errno in PASSING:
            with contextlib.suppress(OSError):
                write(record, STARTED, "")
            self.told.append(["refused", key, f"{argv[0]}: {error.strerror}"])
            return
        why = error.strerror if isinstance(error, OSError) and error.errno else error
        text = f"{argv[0]}: {why}"
        self.ended(key, f"E {time.time_ns() // 1000} {' '.join(text.split())}")

    def reap(self) -> None:
        """Record what became of every process that is over. (Who lost its parent is reaped too.)"""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            known = self.live.pop(pid, None)
            if known is None:
                continue
            key, monotonic_us = known
            del self.pids[key]
            now_us = time.time_ns() // 1000
            elapsed_us = time.monotonic_ns() // 1000 - monotonic_us
            self.ended(
                key,
                f"X {now_us} {os.waitstatus_to_exitcode(status)} {int(os.WCOREDUMP(status))} "
                f"{pid} {elapsed_us} {int(usage[0] * 1e6)} {int(usage[1] * 1e6)} {usage[2]} "
                f"{usage[6]} {usage[7]} {usage[8]} {usage[9]} {usage[10]} {usage[14]} {usage[15]}",
            )

    def tell_begun(self) -> None:
        """Tell agentd of those that have begun and run still."""
        before_us = time.monotonic_ns() // 1000 - (TELL_AFTER_US if self.waiting else 0)
        for key, said in list(self.begun.items()):
            if said[4] > before_us:
                break
            self.told.append(said)
            del self.begun[key]

    def ended(self, key: str, text: str) -> None:
        """Write the exit record and tell agentd. A record that cannot be written is still told."""
        self.begun.pop(key, None)
        self.unwritten[key] = text
        self.write_exits()
        if key in self.unwritten:
            say(f"{key}: the exit cannot be written yet: {text}")
        self.told.append(["ended", key, text])

    def write_exits(self) -> None:
        """Write the exit records that are not written yet; those of claims that are gone, never."""
        for key, text in list(self.unwritten.items()):
            try:
                write(f"{self.runs}/{key}/record", EXIT, text)
            except FileNotFoundError:
                pass
            except OSError:
                continue
            del self.unwritten[key]

    def note_pids(self) -> None:
        """Record the pids of processes that still live; of the others the exit is on record."""
        ticks = boot_ticks()
        for pid in self.fresh:
            known = self.live.get(pid)
            if known is not None:
                with contextlib.suppress(OSError):
                    write(f"{self.runs}/{known[0]}/record", PID, f"{pid} {ticks}")
        self.fresh.clear()


def keep(runs: str, folder: str, name: str, is_ready: int) -> None:
    """Be a keeper, in a process that was forked for it; see the module.

    Args:
        runs, folder: the spool's directories of runs and of keepers.
        name: the keeper's own in `folder`.
        is_ready: a descriptor to be closed once it listens.
    """
    os.setsid()
    log = os.open(f"{folder}/{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for fd in (1, 2):
        os.dup2(log, fd)
    os.close(log)
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="utf-8") as comm:
        comm.write("cs-keeper")
    # Whoever loses its parent in a run becomes a child of the keeper, where agentd finds it.
    _PRCTL(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    keeper = Keeper(runs, folder, name)
    os.close(is_ready)
    keeper.run()
