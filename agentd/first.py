"""The first process of a container: keeps one agentd, and buries whoever dies without a parent.

`python -m callsheet.agentd.first`, as the entry point of packaging/container/Containerfile; options
of agentd may follow. When the first process of a container ends, everything in it is killed. So
this one stays while agentd dies and is started again, whose keepers and jobs go on meanwhile; and
told to end it has agentd stop its jobs, and hand their ends over, before it goes itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping

# Those that somebody may send to the container, handed on to agentd.
HANDED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# agentd says so when a person has to mend something first.
UNUSABLE = 78
# A fallen agentd is started again after this time.
AGAIN_S = 1.0
SPOOL = "/var/lib/callsheet-agentd"
PR_SET_CHILD_SUBREAPER = 36


def arguments(environ: Mapping[str, str], given: list[str]) -> list[str]:
    """Return the options of agentd: what the environment says, and what was given after it.

    CALLSHEET_SERVER, _TOKEN_FILE, _AGENT_ID, _GROUP and _SLOTS are the options of these names;
    CALLSHEET_SPOOL is /var/lib/callsheet-agentd where it is not set. Its jobs end with it.
    """
    words = ["--spool", environ.get("CALLSHEET_SPOOL") or SPOOL, "--on-stop", "stop"]
    for name in ("server", "token-file", "agent-id", "group", "slots"):
        value = environ.get(f"CALLSHEET_{name.replace('-', '_').upper()}")
        if value:
            words += [f"--{name}", value]
    return words + given


def needs_nobody(status: int) -> bool:
    """Tell whether agentd ended of its own accord, or with something for a person to mend."""
    return status in (0, UNUSABLE)


def keep(command: list[str], is_over: Callable[[int], bool] = needs_nobody) -> int:
    """Keep a command running until it is over; return its exit status (128+n for signal n).

    `is_over` is asked with its exit status, −n for signal n. After any other end, unless the
    container was told to end, it is started again.
    """
    watched = {*HANDED_ON, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    stopping = False
    while True:
        pid = _start(command)
        status = None
        while status is None:
            got = signal.sigwaitinfo(watched).si_signo
            if got == signal.SIGCHLD:
                status = _bury(pid)
            else:
                stopping = True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, got)
        if stopping or is_over(status):
            return status if status >= 0 else 128 - status
        if signal.sigtimedwait(HANDED_ON, AGAIN_S) is not None:
            # Told to end while nothing runs: nothing is begun for that.
            return status if status >= 0 else 128 - status


def _start(command: list[str]) -> int:
    return os.posix_spawn(sys.executable, command, os.environ, setsigmask=())


def _bury(pid: int) -> int | None:
    """Bury all the dead; return how `pid` ended (−n for signal n) when it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while True:
            dead, status = os.waitpid(-1, os.WNOHANG)
            if not dead:
                break
            if dead == pid:
                found = os.waitstatus_to_exitcode(status)
    return found


def adopt_orphans() -> None:
    """Have whoever's parent has died come to this process, also where it is not the first."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def main() -> int:
    """Run agentd; return its exit status."""
    adopt_orphans()
    options = arguments(os.environ, sys.argv[1:])
    return keep([sys.executable, "-m", "callsheet.agentd.daemon", *options])


if __name__ == "__main__":
    sys.exit(main())
