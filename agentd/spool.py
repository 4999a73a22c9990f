"""The spool: a directory per claim, and `ensure`, the one rule of what a claim means.

Owned by the one agentd that holds its lock. A claim is the directory `runs/<run>.<attempt>` with
two files, `record` and `out`. `record` has fixed slots, each written by one call, so that it is
there whole or not at all: `started`, `pid` and `exit` by a keeper, `acts` and the spec by agentd. A
directory comes to its name by a rename, complete; where the name is taken, the rename fails.

Directories are used again rather than removed: on some file systems new inodes are slow for half a
minute after many were freed (docs/adr/0005). Exit records are told only after they are in the
journal `exits` and that is on the disk, many at a time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable

import msgspec

from ..jobs.errors import CallsheetError
from . import procs
from .collect import FOLDER
from .exits import BadRecord, Exits, instant_of, number_of, parse_exit
from .host import Found, Key, Spec
from .keeper_record import ACTS, BOOT, EXIT, PID, SPEC_OFFSET, STARTED, WRITING
from .kept_number import KeptNumber
from .launch import ERR, FAILED, STDIN
from .outputs import GAP
from .results import FILE as RESULT
from .reuse import may_be_reused
from .splitting import ORDER
from .spool_lock import take
from .users import COOKIE

log = logging.getLogger("callsheet.agentd")

MAGIC = b"callsheet run, format 1\n"
# Directories kept for later use; each takes two small blocks.
FREE_AT_MOST = 4_096
# Files of a claim that the next one must not find.
OF_ONE_RUN = frozenset({RESULT, FAILED, STDIN, ERR, ORDER, GAP})
# Of a spool; it is in the names of files.
ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
# What was done to a process: when (monotonic), and by which signal.
ACT = re.compile(r"(stop|kill|timeout) [0-9]{1,19} \S+|signal [0-9]{1,19} .*")
KEY = re.compile(r"(r(?:0|[1-9][0-9]{0,18}))\.([1-9][0-9]{0,8})")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Spec).decode


class Claimed(CallsheetError):
    """The claim exists already."""


class Record(msgspec.Struct, frozen=True):
    """The slots of a record as texts, empty where nothing was written, and the spec."""

    boot_id: str
    started: str
    pid: str
    exit: str
    acts: tuple[str, ...]
    spec: Spec


class Spool:
    """See the module. `path` is made if it is not there."""

    def __init__(self, path: str) -> None:
        """Take the spool.

        Raises:
            SpoolTaken: another agentd has it.
        """
        self.path = os.path.abspath(path)
        self.runs = f"{self.path}/runs"
        self.keepers = f"{self.path}/keepers"
        for folder in (self.path, self.runs, self.keepers):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        self._lock = take(self.path)
        self._id = self._identity()
        self.boot_id = procs.boot_id()
        self._boot = f"{self.boot_id}\n".encode()
        self.exits = Exits(f"{self.path}/exits", self.runs)
        self.epoch = KeptNumber(f"{self.path}/epoch")
        # How long no server has been there, in microseconds.
        self.away = KeptNumber(f"{self.path}/away")
        # A link, or a file, is no claim, whatever its name: neither is ever made here.
        with os.scandir(self.runs) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        self._free = [name for name in names if name.startswith(".free-")]
        self._made = max((int(n[6:]) for n in self._free if n[6:].isdecimal()), default=0)
        self.keys = [
            Key(m[1], int(m[2])) for name in names if (m := KEY.fullmatch(name)) is not None
        ]

    def close(self) -> None:
        """Give the spool back."""
        self.epoch.close()
        self.away.close()
        self.exits.close()
        os.close(self._lock)

    def _identity(self) -> str:
        """Return the id of this spool, made with it."""
        path = f"{self.path}/id"
        with contextlib.suppress(FileNotFoundError), open(path, encoding="latin-1") as file:
            text = file.read(100).strip()
            if ID.fullmatch(text):
                return text
            log.error(
                "%s: %r is no id of a spool: another is made, and processes that runs have left "
                "behind until now are not found any more", path, text,
            )  # fmt: skip
        made = secrets.token_hex(8)
        _put(path, made)
        return made

    # --- claims ---------------------------------------------------------------------------------

    def claim(self, key: Key, spec: Spec) -> int:
        """Claim `key` for `spec`; return the size of the encoded spec.

        Raises:
            Claimed: it is claimed; OSError: the spool cannot hold it.
        """
        name = self._free.pop() if self._free else self._make()
        body = _encode(spec)
        head = (MAGIC + self._boot).ljust(SPEC_OFFSET, b"\0") + b"%08d\n" % len(body)
        record = f"{self.runs}/{name}/record"
        try:
            fd = os.open(record, os.O_CREAT | WRITING, 0o600)
            try:
                if os.pwrite(fd, head + body, 0) != len(head) + len(body):
                    raise OSError(28, os.strerror(28))
            finally:
                os.close(fd)
            os.rename(f"{self.runs}/{name}", f"{self.runs}/{key}")
        except OSError as error:
            self._free.append(name)
            if error.errno in (17, 39):  # EEXIST, ENOTEMPTY
                raise Claimed(f"claim {key}: exists") from None
            raise
        return len(body)

    @property
    def has_free(self) -> bool:
        """Whether the next claim finds a directory to use again."""
        return bool(self._free)

    def _make(self) -> str:
        self._made += 1
        name = f".free-{self._made}"
        os.mkdir(f"{self.runs}/{name}", 0o700)
        return name

    def forget(self, key: Key) -> None:
        """Remove a claim; its directory is kept for another, with its record and its output."""
        folder = f"{self.runs}/{key}"
        names = _names_as_made(folder)
        if names is None:
            _remove(folder)
            return
        if not may_be_reused(f"{folder}/out"):
            os.unlink(f"{folder}/out")
        for name in names:
            if name in OF_ONE_RUN:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{folder}/{name}")
        if FOLDER in names:
            shutil.rmtree(f"{folder}/{FOLDER}")
        self._made += 1
        name = f".free-{self._made}"
        try:
            os.rename(folder, f"{self.runs}/{name}")
        except FileNotFoundError:
            return
        if len(self._free) < FREE_AT_MOST:
            self._free.append(name)
        else:
            _remove(f"{self.runs}/{name}")

    def remove_free(self) -> None:
        """Remove the directories that are kept for later use."""
        for name in self._free:
            with contextlib.suppress(OSError):
                _remove(f"{self.runs}/{name}")
        self._free = []

    def note(self, key: Key, lines: Iterable[str]) -> None:
        """Write the acts of a claim, all of them."""
        text = "".join(line + "\n" for line in lines).encode()[-ACTS[1] :]
        fd = os.open(f"{self.runs}/{key}/record", WRITING)
        try:
            os.pwrite(fd, text.ljust(ACTS[1], b"\0"), ACTS[0])
        finally:
            os.close(fd)

    def read(self, key: Key) -> Record:
        """Read a claim's record.

        Raises:
            BadRecord: it is not one.
        """
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with open(os.open(f"{self.runs}/{key}/record", flags), "rb") as file:
                data = file.read()
            if not data.startswith(MAGIC):
                raise BadRecord(key, "its record has no head")
            length = int(data[SPEC_OFFSET : SPEC_OFFSET + 8])
            spec = _decode(data[SPEC_OFFSET + 9 : SPEC_OFFSET + 9 + length])
            if not spec.argv or not spec.program.argv:
                raise BadRecord(key, "it has no arguments")
            acts = data[ACTS[0] : sum(ACTS)].rstrip(b"\0").decode("utf-8", "replace")
            return Record(
                _slot(data, BOOT),
                _slot(data, STARTED),
                _slot(data, PID),
                _slot(data, EXIT),
                tuple(line for line in acts.splitlines() if ACT.fullmatch(line)),
                spec,
            )
        except (OSError, ValueError, msgspec.DecodeError) as error:
            raise BadRecord(key, str(error)) from None

    def quarantine(self, key: Key) -> str:
        """Put a claim aside that cannot be read; return where it is now."""
        os.makedirs(f"{self.path}/quarantine", mode=0o700, exist_ok=True)
        for n in range(1, 1_000):
            aside = f"{self.path}/quarantine/{key}-{n}"
            if not os.path.exists(aside):
                with contextlib.suppress(FileNotFoundError):
                    os.rename(f"{self.runs}/{key}", aside)
                return aside
        return f"{self.runs}/{key}"

    def ensure(self, key: Key, lives_in: Callable[[str, Key], int | None], now_us: int) -> Found:
        """Say what a claim means now: the same rule for every start and every recovery.

        Args:
            lives_in: the pid that the keeper of an id has for the key, 0 when it has none, None
                when that keeper is dead. Asked of keepers that have just listed what they have.
            now_us: the wall clock.

        Raises:
            BadRecord: the record cannot be read.
        """
        record = self.read(key)
        if record.exit:
            return self._done(key, record, record.exit)
        if not record.started:
            found = Found(key=key, state="not_started", spec=record.spec, acts=record.acts)
            if record.boot_id in ("", self.boot_id):
                return found
            # That it had begun was perhaps not on the disk yet when the power went.
            sentence = "lost: the host was rebooted, so whether it began is not known"
            return msgspec.structs.replace(found, state="lost", sentence=sentence)
        keeper_id, boot_id, at_us, monotonic_us, ticks = _started(key, record.started)
        found = Found(
            key=key,
            state="lost",
            spec=record.spec,
            started_us=at_us,
            started_monotonic_us=monotonic_us,
            acts=record.acts,
        )
        if boot_id != self.boot_id:
            text = self.exits.text_of(key)
            if text:
                return self._done(key, record, text)
            return msgspec.structs.replace(found, sentence="lost: the host was rebooted")
        pid = lives_in(keeper_id, key)
        if pid:
            return msgspec.structs.replace(found, state="running", pid=pid)
        if pid is None:
            unkept = self._unkept(key, record.pid, ticks)
            if unkept:
                return msgspec.structs.replace(found, state="unkept", pid=unkept)
        text = self.read(key).exit or self.exits.text_of(key)
        if text:
            return self._done(key, record, text)
        sentence = "lost: its keeper died, so how it ended is not known"
        return msgspec.structs.replace(found, sentence=sentence)

    def _unkept(self, key: Key, text: str, ticks: int) -> int:
        """Return the pid of a process whose keeper is dead, 0 when it does not live."""
        if text:
            try:
                pid, high = (number_of(word) for word in text.split()[:2])
            except ValueError:
                raise BadRecord(key, f"pid {text[:100]!r} cannot be read") from None
            return pid if procs.is_same(pid, ticks, high) else 0
        found = self.carriers(key, ticks)
        return found[0] if found else 0

    def cookie(self, key: Key) -> str:
        """Return what names an attempt among all of this host, whatever servers it works for."""
        return f"{self.cookie_prefix}{key}"

    @property
    def cookie_prefix(self) -> str:
        """How the cookies of this spool begin."""
        return f"{self._id}."

    def carriers(self, key: Key, not_before_ticks: int = 0) -> list[int]:
        """Return the living processes of an attempt, strays included, oldest first."""
        return procs.carriers(f"{COOKIE}={self.cookie(key)}".encode(), not_before_ticks)

    def _done(self, key: Key, record: Record, text: str) -> Found:
        exit_ = parse_exit(key, text)
        at_us = monotonic_us = 0
        if record.started:
            _, _, at_us, monotonic_us, _ = _started(key, record.started)
        return Found(
            key=key,
            state="done",
            spec=record.spec,
            pid=exit_.pid,
            started_us=at_us,
            started_monotonic_us=monotonic_us,
            exit=exit_,
            acts=record.acts,
        )


def _started(key: Key, text: str) -> tuple[str, str, int, int, int]:
    try:
        keeper_id, boot_id, at_us, monotonic_us, ticks = text.split(" ")
        return keeper_id, boot_id, instant_of(at_us), number_of(monotonic_us), number_of(ticks)
    except ValueError:
        raise BadRecord(key, f"started {text[:100]!r} cannot be read") from None


def _slot(data: bytes, slot: tuple[int, int]) -> str:
    """Return a slot's text; one without its newline was never finished."""
    text, newline, _ = data[slot[0] : sum(slot)].partition(b"\n")
    return text.decode("utf-8", "replace") if newline and text.strip(b"\0") else ""


def _put(path: str, text: str) -> None:
    """Write a small file, whole or not at all."""
    part = f"{path}.part"
    with open(part, "w", encoding="ascii") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    os.rename(part, path)


def _names_as_made(folder: str) -> list[str] | None:
    """Return what is in a claim's directory, nothing when it is gone; None when it does not hold
    files of its own alone: a process may have put links, pipes or folders there, which must neither
    be followed nor used again."""
    names: list[str] = []
    try:
        if os.path.islink(folder):
            return None
        with os.scandir(folder) as entries:
            for entry in entries:
                is_dir = entry.name == FOLDER
                if not (entry.is_dir if is_dir else entry.is_file)(follow_symlinks=False):
                    return None
                names.append(entry.name)
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        return None
    return names


def _remove(folder: str) -> None:
    """Remove a directory with all that is in it, or what has come in its place."""
    if os.path.isdir(folder) and not os.path.islink(folder):
        shutil.rmtree(folder)
    else:
        os.unlink(folder)
