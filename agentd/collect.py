"""Collects the artifacts of one process that is over: copies of them into its claim.

Started by agentd as `python -I -S collect.py CLAIM WISH`, so that no large file holds up agentd; it
uses the standard library alone. Every folder and file is opened by its name in the one before it
and without following links, so nothing outside the working folder is ever read. It may be killed
at any instant: another one begins anew.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import json
import os
import re
import signal
import stat
import sys
from collections.abc import Iterator
from typing import Any

FOLDER, MANIFEST = "artifacts", ".manifest"
FILES_AT_MOST = 150
ENTRIES_AT_MOST = 100_000
DEPTH_AT_MOST = 30
TIME_S = 600
PIECE_BYTES = 2**20
ID_LENGTH = 80
_MAGIC = re.compile(r"[*?\[]")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
# Ids that mean something else, and endings that files of the server have.
TAKEN = ("output", "stdout", "stderr", "order")
ENDINGS = (".part", ".gap", ".new")


class Collector:
    """`claim` is the claim's folder, `alone`: files that have other names elsewhere are left out,
    for whoever made them may have given them these names without being allowed to read them."""

    def __init__(self, claim: str, *, alone: bool) -> None:
        self._folder = f"{claim}/{FOLDER}"
        self._alone = alone
        self._entries = 0
        self.files: dict[str, tuple[str, int]] = {}  # path -> (id, size)
        self.notes: list[str] = []

    def run(self, cwd: str, artifacts: list[list[Any]]) -> None:
        """Copy what fits the patterns, each with the most bytes a file may have."""
        # Of a claim that is forgotten meanwhile nothing is made anew.
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._folder, 0o700)
        try:
            root = os.open(cwd, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            self.notes.append(f"{cwd}: {error.strerror}: no artifacts were collected")
            return
        for pattern, max_bytes in artifacts:
            before = len(self.files) + len(self.notes)
            for path, fd in find(root, pattern.split("/"), self):
                try:
                    self._take(path, fd, max_bytes)
                finally:
                    os.close(fd)
            if len(self.files) + len(self.notes) == before and not self._has(pattern):
                self.notes.append(f"{pattern}: there is no such file")

    def _has(self, pattern: str) -> bool:
        return any(fnmatch.fnmatchcase(path, pattern) for path in self.files)

    def count(self) -> bool:
        """Count an entry that is looked at; False when there have been too many."""
        self._entries += 1
        return self._entries <= ENTRIES_AT_MOST

    def cannot(self, path: str, error: OSError) -> None:
        """Something could not be opened; that there is none, or a link, is told by the pattern."""
        if error.errno == errno.ELOOP:
            self.notes.append(f"{path}: is a link: expected a file")
        elif error.errno not in (errno.ENOENT, errno.ENOTDIR):
            self.notes.append(f"{path}: {error.strerror}")

    def _take(self, path: str, fd: int, max_bytes: int) -> None:
        if path in self.files:
            return
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            self.notes.append(f"{path}: is not a file")
        elif self._alone and found.st_nlink > 1:
            self.notes.append(f"{path}: has other names: expected a file with this one alone")
        elif found.st_size > max_bytes:
            self.notes.append(f"{path}: has {found.st_size} bytes: expected at most {max_bytes}")
        elif len(self.files) >= FILES_AT_MOST:
            self.notes.append(f"{path}: expected at most {FILES_AT_MOST} files")
        else:
            name = self._id(path)
            try:
                self.files[path] = (name, self._copy(fd, name, max_bytes))
            except OSError as error:
                self.notes.append(f"{path}: cannot be copied: {error.strerror}")

    def _copy(self, fd: int, name: str, max_bytes: int) -> int:
        """Copy a file, no more of it than may be; return how long the copy is."""
        part = f"{self._folder}/.{os.getpid()}"
        size = 0
        try:
            with open(part, "wb") as target:
                while size < max_bytes and (
                    data := os.read(fd, min(PIECE_BYTES, max_bytes - size))
                ):
                    target.write(data)
                    size += len(data)
            os.rename(part, f"{self._folder}/{name}")
        except OSError:
            if os.path.exists(part):
                os.unlink(part)
            raise
        return size

    def _id(self, path: str) -> str:
        """Return a name for a file that nothing else has, and that is safe everywhere."""
        name = _UNSAFE.sub("_", path.replace("/", "."))[-ID_LENGTH:].lstrip(".-") or "file"
        if name.endswith(ENDINGS):
            name += "_"
        taken = {*TAKEN, *(known for known, _ in self.files.values())}
        unique, n = name, 1
        while unique in taken:
            n += 1
            unique = f"{n}.{name}"
        return unique


def find(
    folder: int, parts: list[str], collector: Collector, above: str = "", depth: int = 0
) -> Iterator[tuple[str, int]]:
    """Yield the path of everything below a folder that fits a pattern, opened."""
    part, rest = parts[0], parts[1:]
    if depth > DEPTH_AT_MOST:
        return
    if part == "**":
        yield from find(folder, rest or ["*"], collector, above, depth + 1)
    names = [part]
    if part == "**" or _MAGIC.search(part):
        fits = "*" if part == "**" else part
        names = sorted(
            name
            for name in os.listdir(folder)
            if fnmatch.fnmatchcase(name, fits) and (fits[0] == "." or name[0] != ".")
        )
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    for name in names:
        path = f"{above}{name}"
        if not collector.count():
            return
        deeper = bool(rest) or part == "**"
        try:
            fd = os.open(name, flags | (os.O_DIRECTORY if deeper else 0), dir_fd=folder)
        except OSError as error:
            if not (deeper and error.errno in (errno.ENOTDIR, errno.ELOOP)):
                collector.cannot(path, error)
            continue
        if not deeper:
            if len(names) == 1 or stat.S_ISREG(os.fstat(fd).st_mode):
                yield path, fd
            else:
                os.close(fd)
            continue
        try:
            yield from find(fd, parts if part == "**" else rest, collector, f"{path}/", depth + 1)
        finally:
            os.close(fd)


def main() -> None:
    """See the module."""
    signal.alarm(TIME_S)
    claim, text = sys.argv[1:3]
    wish = json.loads(text)
    collector = Collector(claim, alone=wish["alone"])
    try:
        collector.run(wish["cwd"], wish["artifacts"])
        _tell(claim, collector)
    except OSError as error:
        # Where there is no claim any more nobody waits for them.
        if os.path.isdir(claim):
            sys.exit(f"{claim}: its artifacts cannot be kept: {error.strerror}")


def _tell(claim: str, collector: Collector) -> None:
    """Say in the manifest what is there: it comes whole or not at all."""
    files = [[name, path, size] for path, (name, size) in collector.files.items()]
    part = f"{claim}/{FOLDER}/.{os.getpid()}"
    with open(part, "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump({"files": files, "notes": collector.notes[:FILES_AT_MOST]}, file)
    os.rename(part, f"{claim}/{FOLDER}/{MANIFEST}")


if __name__ == "__main__":
    main()
