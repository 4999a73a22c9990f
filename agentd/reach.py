"""Signals to processes of other users, for an agent that is not root: by way of those users.

Used by the local host. Such an agent can neither signal what it has started by sudo, nor read whose
it is; the user can. So `procs.py` is executed once more as that user, by the same sudo as the run,
and finds the attempt's processes by what their environment carries. It waits for them if need be:
a stop may come before sudo has started anything. What does not work is said, once for each run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import NamedTuple

from . import procs
from .held import signal_name
from .host import Key, Noted

# So many at once; each of them is a sudo.
AT_ONCE = 8
# A run that was just started has its first process within this time.
PATIENCE_S = 10.0
SAID_BYTES = 2_000
# Executes a program by the first Python that the user may execute.
BY_PYTHON = """\
program=$1 variable=$2 number=$3 whole=$4 patience=$5; shift 5
for python; do
    if [ -x "$python" ]; then
        exec "$python" -I -S -c "$program" "$variable" "$number" "$whole" "$patience"
    fi
done
echo "no Python that the user may execute: expected one of $*"
exit 69
"""


class Errand(NamedTuple):
    """One signal to be sent; `become` goes before the command."""

    key: Key
    user: str
    become: tuple[str, ...]
    variable: str
    number: int
    whole: bool
    is_live: bool


class Reach:
    """See the module. `fds` are to be polled; `hear` returns what there is to tell of one."""

    def __init__(self) -> None:
        self._waiting: deque[Errand] = deque()
        self._under_way: dict[int, tuple[Errand, subprocess.Popen[bytes]]] = {}
        self._said: dict[Key, set[str]] = {}

    @property
    def fds(self) -> list[int]:
        """Readable when an errand is done."""
        return list(self._under_way)

    def send(self, errand: Errand) -> Noted | None:
        """Send a signal, as soon as there are not too many on their way."""
        if len(self._under_way) >= AT_ONCE:
            self._waiting.append(errand)
            return None
        argv = (
            *errand.become,
            *("/bin/sh", "-c", BY_PYTHON, "callsheet"),
            Path(procs.__file__).read_text(encoding="utf-8"),
            errand.variable,
            str(errand.number),
            "whole" if errand.whole else "",
            str(PATIENCE_S if errand.is_live else 0),
            *_pythons(),
        )
        try:
            process = subprocess.Popen(
                argv,
                env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return self._note(errand, f"{argv[0]}: {error.strerror}")
        self._under_way[os.pidfd_open(process.pid)] = (errand, process)
        return None

    def hear(self, fd: int) -> list[Noted]:
        """An errand is done: return what went wrong with it, and go on with the next."""
        errand, process = self._under_way.pop(fd)
        os.close(fd)
        assert process.stdout is not None, "its output is a pipe"
        with process.stdout:
            os.set_blocking(process.stdout.fileno(), False)
            said = (process.stdout.read(SAID_BYTES) or b"").decode("utf-8", "replace")
        status = process.wait()
        notes = [self._outcome(errand, status, " ".join(said.split()))]
        if self._waiting:
            notes.append(self.send(self._waiting.popleft()))
        return [note for note in notes if note is not None]

    def forget(self, key: Key) -> None:
        """A run is over and done with."""
        self._said.pop(key, None)

    def _outcome(self, errand: Errand, status: int, said: str) -> Noted | None:
        if status:
            return self._note(errand, said or f"exit status {status}")
        if said == "0" and errand.is_live:
            return self._note(errand, "no process of that user carries the mark of the run")
        return None

    def _note(self, errand: Errand, why: str) -> Noted | None:
        sentence = (
            f"{signal_name(errand.number)} was not sent as {errand.user}: {why}: expected the rule "
            "of sudo that let the run start"
        )
        said = self._said.setdefault(errand.key, set())
        if sentence in said:
            return None
        said.add(sentence)
        return Noted(errand.key, sentence)


def _pythons() -> tuple[str, ...]:
    """Return interpreters that another user may have: ours is perhaps in our own home."""
    return tuple(dict.fromkeys((
        os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3",
    )))  # fmt: skip
