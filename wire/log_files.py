"""Log files: one for each process, rolled over by size and by time, of which a number is kept.

A file has one writer, so that nobody has to agree with anybody when it is rolled over. Even so
nothing is lost where two write for a moment (a server that begins before the last of the one before
it has gone): lines are appended by one write each, and before each the name is looked up again. So
whatever takes the file away (logrotate, `mv`, `rm`) needs to tell nobody.

Rolling over is one rename, to a name with the time in it: a process that is killed at any point
leaves whole files. A disk that is full, or cannot be written, stops nobody: lines are left out, and
their number is said when it is well again.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping

import msgspec

from .log_feed import LogSender
from .log_lines import formatter

MODE = 0o640
# After a failure to roll over it is not tried again for so long.
AGAIN_S = 60.0
# Parts that say much and are silent unless they are named, or all is said: moves of runs, requests.
QUIET = ("runs", "requests")
OFF = "off"


class LogPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Where lines go, and which.

    `folder` None: to standard error alone. `level`: of all parts, `levels`: of some, by the name of
    a role or of `QUIET`. `style`: text or json. A file is rolled over at `size_bytes`, 0: never,
    and at each full `every_us` of UTC, 0: never; `keep` older ones stay. `stderr`: the level from
    which lines go to standard error too, or `off`; empty: all without a folder, else warnings.
    `socket`: where the web server takes lines for those who follow the log, empty: nowhere.
    """

    folder: str | None = None
    level: str = "info"
    levels: Mapping[str, str] = {}
    style: str = "text"
    size_bytes: int = 64 * 2**20
    every_us: int = 0
    keep: int = 10
    stderr: str = ""
    socket: str = ""


class RollingFile(logging.Handler):
    """Appends lines to a file; see the module. Opens it with the first line."""

    def __init__(
        self,
        path: str,
        *,
        size_bytes: int = 0,
        every_us: int = 0,
        keep: int = 10,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1_000,
    ) -> None:
        super().__init__()
        self.path = path
        self.left_out = 0
        self._size_bytes = size_bytes
        self._every_us = every_us
        self._keep = keep
        self._now_us = now_us
        self._fd = -1
        self._id = (0, 0)
        self._torn = False
        self._roll_again_s = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; raises nothing."""
        try:
            data = self.format(record).encode("utf-8", "replace") + b"\n"
        except Exception:  # noqa: BLE001 - a line that cannot be made is no reason to fail
            self.handleError(record)
            return
        try:
            self._write(data)
        except OSError:
            self.left_out += 1

    def close(self) -> None:
        """Close the file; the next line would open it again."""
        with self.lock or contextlib.nullcontext():
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
        super().close()

    def _write(self, data: bytes) -> None:
        """Append to the file that has the name now, which may be a new one."""
        size = self._look()
        if self._is_full(size, len(data)):
            self._roll()
        if self._torn:
            data = b"\n" + data
        if self.left_out:
            said = f"{self.left_out} lines were left out here: they could not be written\n"
            data = said.encode() + data if not self._torn else b"\n" + said.encode() + data[1:]
        written = os.write(self._fd, data)
        self.left_out = 0
        self._torn = written < len(data)
        if self._torn:
            raise OSError(errno.ENOSPC, "written in part")

    def _look(self) -> int:
        """Have the file of the name open; return its size."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                found = os.stat(self.path)
                if (found.st_dev, found.st_ino) == self._id:
                    return found.st_size
            os.close(self._fd)
            self._fd = -1
        return self._open()

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(self.path, flags, MODE)
        found = os.fstat(self._fd)
        self._id = (found.st_dev, found.st_ino)
        # A writer that was cut off in a line left no newline.
        self._torn = found.st_size > 0 and not self._ends_whole(found.st_size)
        return found.st_size

    def _ends_whole(self, size: int) -> bool:
        try:
            with open(self.path, "rb") as file:
                file.seek(size - 1)
                return file.read(1) in (b"\n", b"")
        except OSError:
            return True

    def _is_full(self, size: int, more: int) -> bool:
        if size == 0:
            return False
        if self._size_bytes and size + more > self._size_bytes:
            return True
        if not self._every_us:
            return False
        written_us = os.fstat(self._fd).st_mtime_ns // 1_000
        return written_us // self._every_us < self._now_us() // self._every_us

    def _roll(self) -> None:
        """Give the file a name with the time in it, begin a new one, and remove the oldest."""
        if time.monotonic() < self._roll_again_s:
            return
        target = self._next_name()
        try:
            os.rename(self.path, target)
            os.close(self._fd)
            self._fd = -1
            self._open()
            for old in self.rolled()[: -self._keep or None]:
                os.unlink(old)
        except OSError:
            # It goes on in the file it has.
            self._roll_again_s = time.monotonic() + AGAIN_S
            if self._fd < 0:
                self._open()

    def _next_name(self) -> str:
        """Return a free name after all that were given: also within a second, and when the clock
        was put back."""
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._now_us() / 1e6))
        number = 0
        rolled = self.rolled()
        if rolled:
            last_at, _, last = rolled[-1].removeprefix(f"{self.path}.").rpartition("-")
            if last_at >= at:
                at, number = last_at, int(last) + 1
        while os.path.lexists(f"{self.path}.{at}-{number:06d}"):
            number += 1
        return f"{self.path}.{at}-{number:06d}"

    def rolled(self) -> list[str]:
        """Return the files before this one, oldest first."""
        folder, name = os.path.split(self.path)
        ours = re.compile(re.escape(name) + r"\.\d{8}T\d{6}Z-\d{6}")
        names = [found for found in os.listdir(folder or ".") if ours.fullmatch(found)]
        return [os.path.join(folder, found) for found in sorted(names)]


def begin_logs(plan: LogPlan, part: str, path: str | None = None) -> None:
    """Have this process log as the plan says for the part: a role by its plain name (`ledger`).

    Its file is `path`, None: called after the part, in the plan's folder, if there is one. What it
    logged by before is closed, so that a forked role does not write its parent's file.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    level = plan.levels.get(part, plan.level)
    _set_level(root, level)
    for name in QUIET:
        quiet = "debug" if level == "debug" else "warning"
        _set_level(logging.getLogger(f"callsheet.{name}"), plan.levels.get(name, quiet))
    if path is None and plan.folder is not None:
        path = os.path.join(plan.folder, f"{part}.log")
    shown = plan.stderr or ("warning" if path is not None else "debug")
    handlers: list[logging.Handler] = []
    if shown != OFF:
        stream = logging.StreamHandler(sys.stderr)
        stream.setLevel(shown.upper())
        handlers.append(stream)
    if path is not None:
        handlers.append(
            RollingFile(path, size_bytes=plan.size_bytes, every_us=plan.every_us, keep=plan.keep)
        )
    if plan.socket:
        handlers.append(LogSender(plan.socket, part))
    for handler in handlers:
        handler.setFormatter(formatter(plan.style, part))
        root.addHandler(handler)


def _set_level(logger: logging.Logger, level: str) -> None:
    """Set a level if it is another: to set one writes to every logger there is, and each fork would
    copy their pages for what its parent has set."""
    if logger.level != logging.getLevelName(level.upper()):
        logger.setLevel(level.upper())
