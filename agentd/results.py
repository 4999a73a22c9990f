"""Where processes write their results, and what they have written.

Used by the local host. The file of the agent's own user lies in the claim. Another user cannot come
there: that file lies in a folder of the agent's below the system's folder for temporary files,
which others may enter but not list, under a name that only the process is told. The path is in the
spec of the claim, so that whoever comes next finds it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import stat
import tempfile
from collections.abc import Collection

from ..jobs.programs import SSH_PROGRAM, BoundProcess
from ..jobs.results import RESULT_BYTES, parse_results
from ..wire.temporary import hold
from .host import Key, Results, Spec

log = logging.getLogger("callsheet.agentd")

# In the environment of each process: the path of the file for its `key=value` lines.
VARIABLE = "CALLSHEET_RESULT"
FILE = "result"


class ResultFiles:
    """See the module. `runs` is the spool's folder of claims, `prefix` tells ours from those of
    other spools."""

    def __init__(self, runs: str, prefix: str, folder: str | None = None) -> None:
        self._runs = runs
        self._prefix = prefix
        self._folder = folder or f"{tempfile.gettempdir()}/callsheet-results-{os.geteuid()}"
        self._is_held = False
        # Of claims whose file is not in them.
        self._elsewhere: dict[Key, str] = {}

    def begin(self, key: Key, spec: Spec) -> None:
        """Make the file that another user is to write. Where it cannot be made the process runs
        all the same, and its results are missing."""
        path = self._outside(key, spec)
        if path is None:
            return
        try:
            # Others may enter it by a name they know, and not look around.
            make_folder(self._folder, 0o711)
            self._hold()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(path, flags, 0o600)
            os.fchmod(fd, 0o666)
            os.close(fd)
        except FileExistsError:
            pass  # It was begun before, by an agentd that died.
        except OSError as error:
            log.warning("results of %s: %s: cannot be made: %s", key, path, error.strerror)

    def read(self, key: Key, spec: Spec) -> Results:
        """Return what a process that is over has given back."""
        path = spec.env.get(VARIABLE)
        if path is None:
            return Results({})
        outside = self._outside(key, spec) is not None
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(path, flags), "rb") as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    return Results({}, ("results: is not a file: expected key=value lines",))
                if found.st_size > RESULT_BYTES:
                    said = f"has {found.st_size} bytes: expected at most {RESULT_BYTES}"
                    return Results({}, (f"results: {said}: none are taken",))
                data = file.read(RESULT_BYTES + 1)
        except FileNotFoundError:
            return Results({}, ("results: their file is gone",) if outside else ())
        except OSError as error:
            return Results({}, (f"results: cannot be read: {error.strerror}",))
        values, notes = parse_results(data)
        return Results(values, tuple(notes))

    def forget(self, key: Key) -> None:
        """Remove the file of a claim that lies elsewhere; that in the claim goes with it."""
        path = self._elsewhere.pop(key, None)
        if path is not None:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def sweep(self, claims: Collection[tuple[Key, Spec]]) -> None:
        """Take up the files of these claims, which are all there are, and remove others of ours."""
        kept = {path for key, spec in claims if (path := self._outside(key, spec)) is not None}
        with contextlib.suppress(OSError):
            for name in os.listdir(self._folder):
                path = f"{self._folder}/{name}"
                if name.startswith(self._prefix) and path not in kept:
                    with contextlib.suppress(OSError):
                        os.unlink(path)
        if kept:
            self._hold()

    def path_for(self, key: Key, program: BoundProcess) -> str:
        """Return where a process is to write, empty for one that gives no results: what runs on a
        host of its own."""
        if program.argv[:1] == (SSH_PROGRAM,):
            return ""
        if program.sudo_user is None:
            return f"{self._runs}/{key}/{FILE}"
        return f"{self._folder}/{self._prefix}{key}.{secrets.token_hex(16)}"

    def _hold(self) -> None:
        """Have the files of processes that run for weeks stay."""
        if not self._is_held:
            hold(self._folder)
            self._is_held = True

    def _outside(self, key: Key, spec: Spec) -> str | None:
        """Return the path of a file that is not in the claim, and remember it."""
        path = spec.env.get(VARIABLE)
        if path is None or path.startswith(f"{self._runs}/"):
            return None
        self._elsewhere[key] = path
        return path


def make_folder(path: str, mode: int) -> None:
    """Make a folder, or see that it is ours alone to write in.

    Raises:
        OSError: it is not.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, mode)
        os.chmod(path, mode)
    found = os.lstat(path)
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not ours or found.st_mode & 0o022:
        raise PermissionError(13, "is not a folder of the agent's own")
