"""What the binder's process may take: memory for life, processor time for each piece of work.

Templates are other people's programs. Who takes too much is ended by the kernel, not asked: the
supervisor starts the binder again, and the scheduler finds out which item it was.
"""

from __future__ import annotations

import resource
import signal

# Of address space, the libraries' included; a folder of 100,000 jobs needs less than half of it.
MEMORY_BYTES = 2 * 2**30
# Of processor time, for one run to be bound.
WORK_S = 1.0


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

    def __init__(self, limit_s: float = WORK_S) -> None:
        self._limit_s = limit_s

    def __enter__(self) -> None:
        """The work begins."""
        signal.setitimer(signal.ITIMER_PROF, self._limit_s)

    def __exit__(self, *error: object) -> None:
        """It is over in time."""
        signal.setitimer(signal.ITIMER_PROF, 0.0)
