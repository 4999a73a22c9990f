"""The job folder: every job file in it read, every problem found, nothing raised.

Called by the binder at start and reload, and by `check`. What did not change since the last time is
taken from a cache, so a folder of 10,000 jobs is read at a glance; a job is what its file and the
defaults of the folders around it make of it, and both decide whether it has changed. A file that
cannot be read is a problem with its place, never a traceback, and never a reason not to look at the
next one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

import msgspec

from ..jobs.blackout_rules import Blackouts, with_blackouts
from ..jobs.errors import UserError
from ..jobs.folder_defaults import with_defaults
from ..jobs.job import Job
from ..jobs.parse import BadJob, definition_hash, job_from_data
from ..jobs.reading import KeyPath
from .folder_cache import Entry, FolderCache
from .folder_defaults import FolderDefaults, Layer
from .folder_files import SUFFIX, one_line, printable, read_file, reason, walk
from .two_processes import share_out
from .yaml_reader import Document, YamlError, read_yaml

__all__ = ["FileProblem", "FolderCache", "LoadedFolder", "load_folder", "problem_at"]

# Few enough that nobody waits long for the last, many enough that telling of them costs little.
FILES_A_PORTION = 50


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
    """What a folder holds: jobs and the hashes of their definitions by job ID, and problems.

    `unread` are the IDs of jobs that were not looked at, since defaults of theirs cannot be read;
    `almost` are paths of files that are called nearly as jobs are, and were not looked at either.
    """

    jobs: dict[str, Job]
    hashes: dict[str, str]
    problems: list[FileProblem]
    unread: frozenset[str] = frozenset()
    almost: tuple[str, ...] = ()


def load_folder(
    path: str | os.PathLike[str],
    cache: FolderCache | None = None,
    blackouts: Blackouts | None = None,
) -> LoadedFolder:
    """Read all job files in a folder and the folders in it.

    Args:
        path: the folder. Files called `*.yaml` are jobs, but for those that begin with a dot and
            `_defaults.yaml`, which has what the jobs of its folder and below have in common.
        cache: asked first, and told what was read; the caller loads and saves it.
        blackouts: those of the settings; None: they are not known, and no job has any.
    """
    root = os.fspath(path)
    loader = _Loader(root, cache)
    if cache is not None:
        cache.begin()
    loader.load()
    if blackouts is not None:
        loader.shade(blackouts)
    loader.problems.sort(key=lambda problem: (problem.path, problem.line, problem.column))
    return LoadedFolder(
        jobs=loader.jobs,
        hashes=loader.hashes,
        problems=loader.problems,
        unread=frozenset(loader.unread),
        almost=tuple(loader.almost),
    )


class _Portion(msgspec.Struct, frozen=True, array_like=True):
    """What was read of some files: entries by their paths, and what is wrong in others."""

    read: dict[str, Entry]
    problems: list[FileProblem]


class _Loader:
    """One load: what was found so far."""

    def __init__(self, root: str, cache: FolderCache | None) -> None:
        self._root = root
        self._cache = cache
        self.jobs: dict[str, Job] = {}
        self.hashes: dict[str, str] = {}
        self.problems: list[FileProblem] = []
        self.unread: set[str] = set()
        self.almost: list[str] = []
        # What was read of each file, now or before.
        self._known: dict[str, Entry] = {}

    def load(self) -> None:
        """Find the files, read defaults, read jobs."""
        found = walk(self._root)
        self.almost = found.almost
        for path, sentence in found.problems:
            is_job = path.endswith(SUFFIX)
            self._say(path, sentence, job_id=_job_id(path) if is_job else None)
        self._defaults = FolderDefaults(self._root, found.defaults)
        for layer in self._defaults.layers:
            for line, column, sentence in layer.problems:
                self._say(layer.path, sentence, line, column)
        unread = [path for path, about in found.jobs if self._is_to_be_read(path, about)]
        cuts = range(0, len(unread), FILES_A_PORTION)
        portions = share_out(
            len(cuts), lambda number: self._portion(unread, cuts[number]), _Portion
        )
        for portion in portions:
            self.problems += portion.problems
            for path, entry in portion.read.items():
                self._known[path] = entry
                if self._cache is not None:
                    self._cache.put(path, entry)
        for path, _ in found.jobs:
            if path in self._known:
                job_id, entry = _job_id(path), self._known[path]
                self.jobs[job_id] = entry.job
                self.hashes[job_id] = entry.hash

    def shade(self, blackouts: Blackouts) -> None:
        """Put into the schedules what the settings' blackouts make of them."""
        for job_id, job in list(self.jobs.items()):
            if not (blackouts or job.blackouts):
                continue
            try:
                shaded = with_blackouts(job, blackouts)
            except UserError as error:
                said = f"blackouts: {error}"
                self.problems.append(problem_at(self._root, job_id, said, ("blackouts",)))
                continue
            if shaded is not job:
                self.jobs[job_id], self.hashes[job_id] = shaded, definition_hash(shaded)

    def _is_to_be_read(self, path: str, about: os.stat_result) -> bool:
        """Whether a job is not known and can be: the defaults around it are."""
        if not all(layer.readable for layer in self._defaults.around(path)):
            self.unread.add(_job_id(path))
            return False
        if self._cache is not None:
            entry = self._cache.get(path, about, self._defaults.hash_around(path))
            if entry is not None:
                self._known[path] = entry
                return False
        return True

    def _portion(self, paths: list[str], begin: int) -> _Portion:
        """Read some job files; what is wrong in them goes to the problems of the portion."""
        read: dict[str, Entry] = {}
        before = len(self.problems)
        for path in paths[begin : begin + FILES_A_PORTION]:
            entry = self._file(path)
            if entry is not None:
                read[path] = entry
        found, self.problems = self.problems[before:], self.problems[:before]
        return _Portion(read, found)

    def _file(self, path: str) -> Entry | None:
        """Read one job file; None when something is wrong in it, which goes to the problems."""
        job_id = _job_id(path)
        try:
            return self._read(path, job_id, self._defaults.around(path))
        except OSError as error:
            self._say(path, f"cannot be read: {reason(error)}", job_id=job_id)
        except YamlError as error:
            self._say(path, error.sentence, error.line, error.column, job_id)
        except _BadFile as error:
            self._say_of_job(error, path, job_id)
        except UserError as error:
            self._say(path, str(error), job_id=job_id)
        return None

    def _read(self, path: str, job_id: str, layers: tuple[Layer, ...]) -> Entry:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise UserError("file name is not UTF-8: expected a job ID in UTF-8") from None
        raw, about = read_file(os.path.join(self._root, path))
        document = read_yaml(raw, path)
        data = document.value
        if layers:
            data = with_defaults(data, [layer.data for layer in layers]).data
        try:
            job = job_from_data(data, job_id)
        except BadJob as error:
            place = Places(path, document, layers)
            raise _BadFile(
                [(*place.of(where), sentence) for where, sentence in error.problems]
            ) from None
        stamp = (about.st_mtime_ns, about.st_size, about.st_ino)
        return Entry(*stamp, definition_hash(job), job, self._defaults.hash_around(path))

    def _say_of_job(self, error: _BadFile, path: str, job_id: str) -> None:
        """Say what is wrong with a job, but for what was said of its defaults already."""
        for where, line, column, sentence in error.problems:
            if where == path:
                self._say(path, sentence, line, column, job_id)
            elif not any(at.problems for at in self._defaults.around(path) if at.path == where):
                self._say(where, f"job {job_id}: {sentence}", line, column, job_id)

    def _say(
        self, path: str, sentence: str, line: int = 1, column: int = 1, job_id: str | None = None
    ) -> None:
        problem = FileProblem(
            path=printable(path),
            line=line,
            column=column,
            sentence=one_line(sentence),
            job_id=None if job_id is None else printable(job_id),
        )
        self.problems.append(problem)


class _BadFile(UserError):
    """A job file with problems: (path, line, column, sentence)."""

    def __init__(self, problems: list[tuple[str, int, int, str]]) -> None:
        self.problems = problems
        super().__init__(f"{len(problems)} problems")


class Places:
    """Where the parts of a job stand: in its file, or in the defaults around it."""

    def __init__(self, path: str, document: Document, layers: tuple[Layer, ...]) -> None:
        self._files = [(path, document), *((layer.path, layer.document) for layer in layers)]
        self._merged = with_defaults(document.value, [layer.data for layer in layers])

    def of(self, key_path: KeyPath) -> tuple[str, int, int]:
        """Return path, line and column of a part of the job."""
        layer, where = self._merged.origin(self._written(key_path))
        path, document = self._files[layer]
        return (path, *document.position(where))

    def _written(self, key_path: KeyPath) -> KeyPath:
        """Return the key path of an action as it is written: successors are actions too."""
        data = self._merged.data
        if len(key_path) < 2 or key_path[0] != "action" or not isinstance(data, Mapping):
            return key_path
        actions = data.get("action")
        count = len(actions) if isinstance(actions, list) else int(actions is not None)
        index = key_path[1]
        if not isinstance(index, int) or index < count:
            return key_path
        one = not isinstance(data.get("successors"), list)
        return ("successors",) if one else ("successors", index - count, *key_path[2:])


def problem_at(
    folder: str | os.PathLike[str], job_id: str, sentence: str, key_path: KeyPath = ()
) -> FileProblem:
    """Return a problem of a job that was read, with the place of a part of it."""
    path = where = job_id + SUFFIX
    line, column = 1, 1
    if key_path:
        try:
            root = os.fspath(folder)
            raw, _ = read_file(os.path.join(root, path))
            layers = FolderDefaults(root).around(path)
            where, line, column = Places(path, read_yaml(raw, path), layers).of(key_path)
        except (OSError, UserError):
            where = path  # It has changed since: its first line will do.
    said = sentence if where == path else f"job {job_id}: {sentence}"
    sentence = one_line(said)
    return FileProblem(path=where, line=line, column=column, sentence=sentence, job_id=job_id)


def _job_id(path: str) -> str:
    return path[: -len(SUFFIX)]
