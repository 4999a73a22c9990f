"""agentd's side of artifacts: a collector for each process that is over and has some.

Used by the local host. What a collector has found is in the claim, so a claim is collected once,
whoever dies meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys

from ..jobs.keeping import is_output_id
from ..jobs.programs import output_of
from . import collect
from .host import Collected, Extent, Key, Spec
from .keeper_record import READING

log = logging.getLogger("callsheet.agentd")

# Collectors at work at once.
AT_ONCE = 4


class Collecting:
    """See the module. `runs` is the spool's folder of claims."""

    def __init__(self, runs: str) -> None:
        self._runs = runs
        self._waiting: dict[Key, Spec] = {}
        self._working: dict[int, tuple[Key, int]] = {}
        self._done: list[Collected] = []

    @property
    def fds(self) -> list[int]:
        """What is to be polled."""
        return list(self._working)

    def start(self, key: Key, spec: Spec) -> bool:
        """Have the artifacts of a process collected; False when its program names none."""
        if not output_of(spec.program).artifacts or spec.program.cwd is None:
            return False
        if os.path.exists(self._manifest(key)):
            self._done.append(self._read(key))
        else:
            self._waiting[key] = spec
            self._spawn()
        return True

    def hear(self, fd: int) -> bool:
        """Take the end of a collector; False when the descriptor is none of one."""
        known = self._working.pop(fd, None)
        if known is None:
            return False
        key, pid = known
        os.close(fd)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        self._done.append(self._read(key))
        self._spawn()
        return True

    def facts(self) -> list[Collected]:
        """Return what was collected."""
        done, self._done = self._done, []
        return done

    def _spawn(self) -> None:
        while self._waiting and len(self._working) < AT_ONCE:
            key, spec = next(iter(self._waiting.items()))
            del self._waiting[key]
            wish = {
                "cwd": spec.program.cwd,
                "alone": spec.program.sudo_user is not None,
                "artifacts": [[a.path, a.max_bytes] for a in output_of(spec.program).artifacts],
            }
            script = [sys.executable, "-I", "-S", collect.__file__]
            argv = [*script, f"{self._runs}/{key}", json.dumps(wish)]
            null = [
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            ]
            try:
                pid = os.posix_spawn(
                    sys.executable, argv, {}, file_actions=null, setsid=True, setsigmask=()
                )
                self._working[os.pidfd_open(pid)] = (key, pid)
            except OSError as error:
                what = f"artifacts: could not be collected: {error.strerror}"
                self._done.append(Collected(key, notes=(what,)))

    def _read(self, key: Key) -> Collected:
        """Return what a collector has found; it may not have come to its end."""
        try:
            with open(os.open(self._manifest(key), READING), "rb") as file:
                found = json.loads((file.read() or b"").decode("utf-8", "surrogateescape"))
            files = [(str(n), str(p), int(s)) for n, p, s in found["files"] if is_output_id(n)]
            notes = tuple(str(note) for note in found["notes"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("claim %s: its artifacts were not collected: %s", key, error)
            return Collected(key, notes=("artifacts: were not collected: their collector died",))
        return Collected(
            key,
            extents=tuple(Extent(name, size) for name, _, size in files),
            names=tuple((name, _text(path)) for name, path, _ in files),
            notes=tuple(map(_text, notes)),
        )

    def _manifest(self, key: Key) -> str:
        return f"{self._runs}/{key}/{collect.FOLDER}/{collect.MANIFEST}"


def _text(name: str) -> str:
    """Return a name that may not be text as one."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
