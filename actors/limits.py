"""What work on other people's templates may take: memory, and processor time for each piece.

Templates are programs. Who takes too much time is interrupted first: the piece of work ends with
`OutOfLimits` and its process goes on. Where that does not help, within one long step of C, the
kernel ends the process; the supervisor starts it again, and the scheduler finds out which item it
was.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import threading
import time
from types import FrameType

from ..jobs.errors import OutOfLimits

# Of address space, the libraries' included; a folder of 100,000 jobs needs less than half of it.
MEMORY_BYTES = 2 * 2**30
# Of processor time, for one run to be bound; and when the process is ended for it.
WORK_S = 1.0
KILL_S = 2.0
# How far one piece of work may make the process grow.
WORK_BYTES = 256 * 2**20
# How often work under way is looked at, and for how long after the last piece.
LOOK_S = 0.05
LOOKS_AFTER = 20
# Processor time after which work that did not end when it was interrupted is interrupted again.
AGAIN_S = 0.1
PAGE_BYTES = resource.getpagesize()


def limit_memory(limit_bytes: int = MEMORY_BYTES) -> None:
    """Bound the memory of this process for good."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        limit_bytes = min(limit_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, hard))


class WorkLimit:
    """Ends the process by SIGPROF when the work inside takes more than its processor time.

    The signal keeps its default action, so that no handler, thread or lock of this process is
    needed for it to work.
    """

    def __init__(self, limit_s: float = KILL_S) -> None:
        self._limit_s = limit_s

    def __enter__(self) -> None:
        """The work begins."""
        signal.setitimer(signal.ITIMER_PROF, self._limit_s)

    def __exit__(self, *error: object) -> None:
        """It is over in time."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)


class Interrupting:
    """Interrupts work in its own thread when it takes more than its processor time.

    Used as a context, by one thread at a time, as often as there is work; a thread of its own looks
    at the work while there is any. Also bounds the memory the work may add to the process.

    An exception that reaches the work inside a callback of the interpreter (of a weak reference, a
    `__del__`) is printed there and lost, and other people's code may catch everything. So work that
    goes on is interrupted again.
    """

    def __init__(self, limit_s: float = WORK_S, grow_bytes: int | None = WORK_BYTES) -> None:
        """`grow_bytes` None: memory is not bounded."""
        self._limit_s = limit_s
        self._grow_bytes = grow_bytes
        self._pid: int | None = None
        self._worker: int | None = None
        self._clock = 0
        self._until_s = 0.0
        self._fired = False
        self._caller: FrameType | None = None
        self._memory = (0, 0)

    def __enter__(self) -> None:
        """The work begins."""
        self.begin(sys._getframe(1))

    def begin(self, caller: FrameType) -> None:
        """The work begins, in calls made by a frame."""
        if self._pid != os.getpid():
            self._open()
        self._clock = time.pthread_getcpuclockid(threading.get_ident())
        if self._grow_bytes is not None:
            self._allow(self._grow_bytes)
        with self._lock:
            self._fired, self._caller = False, caller
            self._until_s = time.clock_gettime(self._clock) + self._limit_s
            self._worker = threading.get_ident()
        self._busy.set()

    def __exit__(self, *error: object) -> None:
        """It is over: nothing is raised into what comes after it."""
        with self._lock:
            worker, self._worker, self._caller = self._worker, None, None
            if self._fired and worker is not None:
                _raise_in(worker, None)
        if self._grow_bytes is not None:
            resource.setrlimit(resource.RLIMIT_AS, self._memory)

    def _open(self) -> None:
        """Begin to look at the work of this process; a fork has neither thread nor lock of the one
        it comes from."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._busy = threading.Event()
        self._worker = None
        if self._grow_bytes is not None:
            self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        threading.Thread(target=self._watch, name="limits", daemon=True).start()

    def _allow(self, grow_bytes: int) -> None:
        """Let the process grow by so much, within the limits it has."""
        now_bytes = int(os.pread(self._statm, 100, 0).split(None, 1)[0]) * PAGE_BYTES
        self._memory = soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        known = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_AS, (min([now_bytes + grow_bytes, *known]), hard))

    def _watch(self) -> None:
        """Look at the work while there is any."""
        quiet = 0
        while True:
            if quiet >= LOOKS_AFTER:
                self._busy.wait()
                quiet = 0
            self._busy.clear()
            threading.Event().wait(LOOK_S)
            with self._lock:
                quiet = 0 if self._worker is not None or self._busy.is_set() else quiet + 1
                if self._worker is None or time.clock_gettime(self._clock) < self._until_s:
                    continue
                if self._fired and not _is_under(self._worker, self._caller):
                    # It arrived on the way out, so that `__exit__` never ran.
                    self._worker = None
                    continue
                self._fired = True
                self._until_s = time.clock_gettime(self._clock) + AGAIN_S
                _raise_in(self._worker, OutOfLimits)


class Together:
    """Interrupts work that takes too long, and ends the process where that does not help."""

    def __init__(self, interrupting: Interrupting, kill_s: float = KILL_S) -> None:
        self._kill = WorkLimit(kill_s)
        self._interrupt = interrupting

    def __enter__(self) -> None:
        """The work begins."""
        self._kill.__enter__()
        self._interrupt.begin(sys._getframe(1))

    def __exit__(self, *error: object) -> None:
        """It is over."""
        self._interrupt.__exit__(*error)
        self._kill.__exit__()


def _is_under(thread: int, caller: FrameType | None) -> bool:
    """Whether a thread is in a call made by a frame, at any depth."""
    frame = sys._current_frames().get(thread)
    while frame is not None:
        frame = frame.f_back
        if frame is caller:
            return frame is not None
    return False


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Have a thread raise an exception at its next step of Python; None: no longer."""
    target = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), target)
