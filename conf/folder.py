"""The job folder: every job file in it read, every problem found, nothing raised.

Called by the binder at start and reload, and by `check`. What did not change since the last time is
taken from a cache, so a folder of 10,000 jobs is read at a glance. A file that cannot be read is a
problem with its place, never a traceback, and never a reason not to look at the next one.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Literal

import msgspec

from .. import __version__
from ..jobs.errors import UserError
from ..jobs.job import Job
from ..jobs.parse import BadJob, definition_hash, job_from_data
from .yaml_reader import MOST_BYTES, YamlError, read_yaml

SUFFIX = ".yaml"
# To be raised when the meaning of job files changes without a new version of the package.
CACHE_FORMAT = f"{__version__}/1"
# A file changed so recently may change again without its time showing it: it is not cached.
UNSETTLED_NS = 2_000_000_000


class FileProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake and its place. `path` is relative to the folder; line and column from 1. A
    `severity` of `warning`: the folder may be used all the same."""

    path: str
    line: int
    column: int
    sentence: str
    job_id: str | None = None
    severity: Literal["error", "warning"] = "error"

    @property
    def text(self) -> str:
        """The problem as one line: `path:line:column: sentence`."""
        warning = "warning: " if self.severity == "warning" else ""
        return f"{self.path}:{self.line}:{self.column}: {warning}{self.sentence}"


class LoadedFolder(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder holds: jobs and the hashes of their definitions by job ID, and problems."""

    jobs: dict[str, Job]
    hashes: dict[str, str]
    problems: list[FileProblem]


class _Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    mtime_ns: int
    size: int
    inode: int
    hash: str
    job: Job


class _CacheFile(msgspec.Struct, frozen=True, array_like=True):
    format: str
    entries: dict[str, _Entry]


_decode_format = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw]).decode
_decode_cache = msgspec.msgpack.Decoder(_CacheFile).decode


class FolderCache:
    """Jobs as they were read last, by relative path, time of change, size and inode.

    It belongs to one folder, and only ever spares work: lost or damaged, it is made anew.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self._file = os.fspath(file)
        self._entries: dict[str, _Entry] = {}
        self._fresh: dict[str, _Entry] = {}
        self._changed = False

    def load(self) -> None:
        """Read the file, if it is there and whole."""
        try:
            with open(self._file, "rb") as file:
                raw = file.read()
            if _decode_format(raw)[0] == CACHE_FORMAT:
                self._entries = _decode_cache(raw).entries
        except (OSError, ValueError):
            self._entries = {}

    def save(self) -> bool:
        """Write what the last load of the folder met; return whether the file is now current."""
        if not self._changed and self._fresh.keys() == self._entries.keys():
            return True
        raw = msgspec.msgpack.encode(_CacheFile(format=CACHE_FORMAT, entries=self._fresh))
        part = f"{self._file}.{os.getpid()}.part"
        try:
            with open(part, "wb") as file:
                file.write(raw)
            os.replace(part, self._file)
        except OSError:
            return False
        self._entries, self._changed = self._fresh, False
        return True

    def begin(self) -> None:
        """A load begins: only what it meets will be kept."""
        self._fresh = {}
        self._changed = False

    def get(self, path: str, found: os.stat_result) -> _Entry | None:
        """Return the entry of a file that has not changed."""
        entry = self._entries.get(path)
        if (
            entry is None
            or entry.mtime_ns != found.st_mtime_ns
            or entry.size != found.st_size
            or entry.inode != found.st_ino
        ):
            return None
        self._fresh[path] = entry
        return entry

    def put(self, path: str, found: os.stat_result, job: Job, name: str) -> None:
        """Keep a job that was read, unless its file is too young to be trusted."""
        if time.time_ns() - found.st_mtime_ns < UNSETTLED_NS:
            return
        self._changed = True
        self._fresh[path] = _Entry(found.st_mtime_ns, found.st_size, found.st_ino, name, job)


def load_folder(path: str | os.PathLike[str], cache: FolderCache | None = None) -> LoadedFolder:
    """Read all job files in a folder and the folders in it.

    Args:
        path: the folder. Files called `*.yaml` are jobs, but for those that begin with a dot.
        cache: asked first, and told what was read; the caller loads and saves it.
    """
    root = os.fspath(path)
    loader = _Loader(root, cache)
    if cache is not None:
        cache.begin()
    for relative, found in loader.files():
        loader.file(relative, found)
    loader.problems.sort(key=lambda problem: (problem.path, problem.line, problem.column))
    return LoadedFolder(jobs=loader.jobs, hashes=loader.hashes, problems=loader.problems)


class _Loader:
    """One load: what was found so far."""

    def __init__(self, root: str, cache: FolderCache | None) -> None:
        self._root = root
        self._cache = cache
        self.jobs: dict[str, Job] = {}
        self.hashes: dict[str, str] = {}
        self.problems: list[FileProblem] = []

    def files(self) -> list[tuple[str, os.stat_result]]:
        """Return the job files of the folder, sorted by relative path."""
        found: list[tuple[str, os.stat_result]] = []
        # Folders to look into, each with the identities of those above it: a link may lead back.
        todo: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
        while todo:
            relative, above = todo.pop()
            folder = os.path.join(self._root, relative) if relative else self._root
            try:
                about = os.stat(folder)
                identity = (about.st_dev, about.st_ino)
                if identity in above:
                    continue
                with os.scandir(folder) as entries:
                    for entry in entries:
                        self._entry(entry, relative, above | {identity}, found, todo)
            except OSError as error:
                self._say(relative or self._root, f"folder cannot be read: {_reason(error)}")
            except ValueError:
                self._say(ascii(self._root), "is not the name of a folder")
        found.sort(key=lambda item: item[0])
        return found

    def _entry(
        self,
        entry: os.DirEntry[str],
        relative: str,
        above: frozenset[tuple[int, int]],
        found: list[tuple[str, os.stat_result]],
        todo: list[tuple[str, frozenset[tuple[int, int]]]],
    ) -> None:
        name = entry.name
        path = f"{relative}/{name}" if relative else name
        is_job = name.endswith(SUFFIX) and not name.startswith(".")
        try:
            if entry.is_dir():
                todo.append((path, above))
            elif is_job:
                found.append((path, entry.stat()))
        except OSError as error:
            if is_job:
                self._say(path, f"cannot be read: {_reason(error)}", job_id=_job_id(path))

    def file(self, path: str, found: os.stat_result) -> None:
        """Read one job file; what is wrong in it goes to the problems."""
        job_id = _job_id(path)
        entry = self._cache.get(path, found) if self._cache is not None else None
        if entry is not None:
            self.jobs[job_id] = entry.job
            self.hashes[job_id] = entry.hash
            return
        try:
            path.encode()
        except UnicodeEncodeError:
            self._say(path, "file name is not UTF-8: expected a job ID in UTF-8", job_id=job_id)
            return
        try:
            job, found = self._read(path, job_id)
        except OSError as error:
            self._say(path, f"cannot be read: {_reason(error)}", job_id=job_id)
        except YamlError as error:
            self._say(path, error.sentence, error.line, error.column, job_id)
        except _BadFile as error:
            for line, column, sentence in error.problems:
                self._say(path, sentence, line, column, job_id)
        except UserError as error:
            self._say(path, str(error), job_id=job_id)
        else:
            name = definition_hash(job)
            self.jobs[job_id] = job
            self.hashes[job_id] = name
            if self._cache is not None:
                self._cache.put(path, found, job, name)

    def _read(self, path: str, job_id: str) -> tuple[Job, os.stat_result]:
        # Without O_NONBLOCK a pipe in the folder would hold the server up for ever.
        number = os.open(os.path.join(self._root, path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(number, "rb") as file:
            found = os.fstat(number)
            if not stat.S_ISREG(found.st_mode):
                raise UserError("is not a file: expected a regular one")
            raw = file.read(MOST_BYTES + 1)
        document = read_yaml(raw, path)
        try:
            return job_from_data(document.value, job_id), found
        except BadJob as error:
            raise _BadFile(
                [(*document.position(where), sentence) for where, sentence in error.problems]
            ) from None

    def _say(
        self, path: str, sentence: str, line: int = 1, column: int = 1, job_id: str | None = None
    ) -> None:
        problem = FileProblem(
            path=_printable(path),
            line=line,
            column=column,
            sentence=sentence,
            job_id=None if job_id is None else _printable(job_id),
        )
        self.problems.append(problem)


class _BadFile(UserError):
    """A job file with problems: (line, column, sentence)."""

    def __init__(self, problems: list[tuple[int, int, str]]) -> None:
        self.problems = problems
        super().__init__(f"{len(problems)} problems")


def problem_at(
    folder: str | os.PathLike[str], job_id: str, sentence: str, key_path: tuple[str | int, ...] = ()
) -> FileProblem:
    """Return a problem of a job that was read, with the place of a part of it."""
    path = job_id + SUFFIX
    line, column = 1, 1
    if key_path:
        try:
            document = read_yaml(Path(folder, path).read_bytes(), path)
            if key_path[0] == "action" and ("action",) not in document.positions:
                key_path = ("successors",)  # These are actions too, written in another way.
            line, column = document.position(key_path)
        except (OSError, UserError):
            pass  # It has changed since: its first line will do.
    return FileProblem(path=path, line=line, column=column, sentence=sentence, job_id=job_id)


def _job_id(path: str) -> str:
    return path[: -len(SUFFIX)]


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _printable(path: str) -> str:
    return path.encode(errors="backslashreplace").decode()
