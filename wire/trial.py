"""Whether a server could begin by the settings as they are now, found out in a process of its own.

The supervisor asks before it begins anew, and the web server before it has it done: a mistake in
the settings, or a database that has not been migrated, then leaves the server that is there. A
process, since what would begin is the program as it is installed now, with its extensions.
"""

from __future__ import annotations

import contextlib
import os
import subprocess

# A settings file on a disk that hangs, or an extension that never ends: it is given up then.
TRIAL_S = 60.0
SAID_BYTES = 4_096


class Trial:
    """One try at a time, by a command that ends in 0 or says on standard error what is wrong.
    Without a command nothing is ever wrong."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._said: int | None = None
        self._failed: str | None = None

    def begin(self) -> None:
        """Begin to try; what was being tried before is given up."""
        self.end()
        self._failed = None
        if not self._command:
            self._failed = ""
            return
        try:
            # In memory: a full disk is no reason not to know, and a pipe may be full, too.
            self._said = os.memfd_create("trial")
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                start_new_session=True,
            )
        except OSError as error:
            self.end()
            self._failed = f"the settings could not be tried: {error.strerror}"

    def outcome(self) -> str | None:
        """Return, once, what is wrong, empty if nothing is; None: it is not known (yet)."""
        if self._process is None:
            failed, self._failed = self._failed, None
            return failed
        status = self._process.poll()
        if status is None:
            return None
        assert self._said is not None
        text = os.pread(self._said, SAID_BYTES, 0).decode("utf-8", "replace").strip()
        self.end()
        return "" if status == 0 else _sentence(text, status)

    def wait(self) -> str:
        """Try, and return what is wrong, empty if nothing is; takes `TRIAL_S` at most."""
        self.begin()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(TRIAL_S)
        wrong = self.outcome()
        self.end()
        return f"the settings were not read in {TRIAL_S:.0f} s" if wrong is None else wrong

    def end(self) -> None:
        """Leave nothing of a try behind."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._said is not None:
            os.close(self._said)
            self._said = None


def _sentence(text: str, status: int) -> str:
    """Return what was said in one line, without the names of who says it."""
    lines = [line.removeprefix("Error: ").removeprefix("callsheet: ") for line in text.split("\n")]
    said = "; ".join(line.strip() for line in lines if line.strip())
    return said or f"the try ended with status {status}"
