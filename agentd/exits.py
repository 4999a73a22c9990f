"""Exits of processes on the disk: durable before anybody is told of them.

Owned by the spool. They are put into the journal `exits`, many by one flush. Where that cannot be
(the disk is full, or has failed), each is made durable in its own record, whose room on the disk
was taken with the claim. A file whose flush failed is never flushed again: that may succeed and
mean nothing.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
from collections.abc import Iterable

from ..jobs.errors import CallsheetError
from ..messages.agents import LAST_US
from .host import Exit, Key
from .keeper_record import EXIT, write

log = logging.getLogger("callsheet.agentd")

# The journal begins anew above this size, when nothing in it is needed any more.
JOURNAL_BYTES = 4 * 2**20
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_NUMBERS = re.compile(r"(?: -?[0-9]{1,18})*")
LAST_SIGNAL = 64
FULL = (errno.ENOSPC, errno.EDQUOT)
USAGE = (
    "utime", "stime", "maxrss", "minflt", "majflt", "nswap", "inblock", "oublock", "nvcsw",
    "nivcsw",
)  # fmt: skip


class BadRecord(CallsheetError):
    """A record cannot be read for what it is."""

    def __init__(self, key: object, what: str) -> None:
        super().__init__(f"claim {key}: {what}")


class Exits:
    """See the module. `runs` is the folder of the claims."""

    def __init__(self, path: str, runs: str) -> None:
        self._path = path
        self._runs = runs
        self._file = self._open()
        self._size = os.fstat(self._file).st_size
        self._texts: dict[str, str] | None = None

    def close(self) -> None:
        """Close the journal."""
        os.close(self._file)

    def make_durable(self, exits: Iterable[tuple[Key, str]]) -> None:
        """Put exits on the disk.

        Raises:
            OSError: they cannot be put there now; none of them may be told.
        """
        exits = list(exits)
        if not exits:
            return
        self._texts = None
        data = "".join(f"{key} {text}\n" for key, text in exits)
        try:
            self._append(data.encode("utf-8", "surrogateescape"))
        except OSError as error:
            if error.errno not in FULL:
                log.error("%s: %s: another journal is begun", self._path, error.strerror)
                self._begin_another()
            for key, text in exits:
                self._make_record_durable(key, text)

    def text_of(self, key: Key) -> str:
        """Return the exit of an attempt in the journals, empty when it is in none."""
        if self._texts is None:
            self._texts = {}
            for path in (f"{self._path}.failed", self._path):
                with (
                    contextlib.suppress(FileNotFoundError),
                    open(path, encoding="utf-8", errors="replace") as file,
                ):
                    # A torn last line is left out.
                    lines = [line.rstrip("\n") for line in file if line.endswith("\n")]
                    self._texts.update((line.partition(" ")[::2]) for line in lines)
        return self._texts.get(str(key), "")

    def tidy(self) -> None:
        """Begin the journal anew; only while no claim has an end that is not forgotten."""
        if self._size > JOURNAL_BYTES:
            os.ftruncate(self._file, 0)
            self._size, self._texts = 0, None
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._path}.failed")

    # --- inside ---------------------------------------------------------------------------------

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._path, flags, 0o600)

    def _append(self, data: bytes) -> None:
        try:
            if os.write(self._file, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            # What is there of it would spoil the next line.
            os.ftruncate(self._file, self._size)
            raise
        os.fdatasync(self._file)
        self._size += len(data)

    def _begin_another(self) -> None:
        """Put the journal aside: what it had before is on the disk, and is read still."""
        os.rename(self._path, f"{self._path}.failed")
        os.close(self._file)
        self._file, self._size = self._open(), 0

    def _make_record_durable(self, key: Key, text: str) -> None:
        path = f"{self._runs}/{key}/record"
        # It is there already, but for a keeper that could not write it.
        write(path, EXIT, text)
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)


def number_of(word: str) -> int:
    """Return a number as keepers write it; no other would fit into a message.

    Raises:
        ValueError: it is none.
    """
    if _NUMBER.fullmatch(word) is None:
        raise ValueError(word)
    return int(word)


def instant_of(word: str) -> int:
    """Return an instant (µs) as keepers write it.

    Raises:
        ValueError: it is none that could be told.
    """
    at_us = number_of(word)
    if not 0 <= at_us < LAST_US:
        raise ValueError(word)
    return at_us


def parse_exit(key: object, text: str) -> Exit:
    """Read an exit text as a keeper writes it.

    Raises:
        BadRecord: it is not one.
    """
    words = text.split(" ")
    try:
        if words[0] == "E":
            return Exit(at_us=instant_of(words[1]), error=" ".join(words[2:]))
        if words[0] != "X" or len(words) != 6 + len(USAGE) or not _NUMBERS.fullmatch(text, 1):
            raise ValueError(text)
        numbers = list(map(int, words[1:]))
    except (ValueError, IndexError):
        raise BadRecord(key, f"exit {text[:100]!r} cannot be read") from None
    at_us, status, dumped, pid, elapsed_us = numbers[:5]
    if not (-LAST_SIGNAL <= status <= 255 and 0 <= at_us < LAST_US and 0 <= pid < 2**31):
        raise BadRecord(key, f"exit {text[:100]!r} cannot be")
    rusage: dict[str, float] = {}
    utime_us, stime_us, maxrss, minflt, majflt, nswap, *rest = numbers[5:]
    values = (utime_us / 1e6, stime_us / 1e6, maxrss, minflt, majflt, nswap, *rest)
    rusage = dict(zip(USAGE, values, strict=True))
    return Exit(at_us, status, "", pid, elapsed_us, bool(dumped), rusage)
