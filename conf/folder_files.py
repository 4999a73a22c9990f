"""The files of a job folder: which are jobs, which are defaults, and how one is read safely.

Called by the job folder. It follows links, ends at circles, and never waits for a pipe.
"""

from __future__ import annotations

import os
import stat

import msgspec

from ..jobs.errors import UserError
from .yaml_reader import MOST_BYTES

SUFFIX = ".yaml"
DEFAULTS_NAME = "_defaults.yaml"
# Some file systems say of every file that it holds nothing.
LEAST_READ_BYTES = 4096
# What the names of YAML files end in elsewhere, in whatever case.
ALMOST = (".yaml", ".yml")

Stamped = tuple[str, os.stat_result]


class Found(msgspec.Struct, kw_only=True):
    """Job files by relative path, sorted; defaults files by the folder they are in ("" is the
    root); files that are `almost` called as jobs are; what could not be looked at, with why."""

    jobs: list[Stamped] = []
    defaults: set[str] = set()
    almost: list[str] = []
    problems: list[tuple[str, str]] = []


def walk(root: str) -> Found:
    """Look for files in a folder and the folders in it."""
    found = Found()
    # Folders to look into, each with the identities of those above it: a link may lead back.
    todo: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while todo:
        relative, above = todo.pop()
        folder = os.path.join(root, relative) if relative else root
        try:
            about = os.stat(folder)
            identity = (about.st_dev, about.st_ino)
            if identity in above:
                continue
            with os.scandir(folder) as entries:
                for entry in entries:
                    if _is_folder(entry, relative, found):
                        path = f"{relative}/{entry.name}" if relative else entry.name
                        todo.append((path, above | {identity}))
        except OSError as error:
            said = f"folder cannot be read: {reason(error)}"
            found.problems.append((relative or root, said))
        except ValueError:
            found.problems.append((ascii(root), "is not the name of a folder"))
    found.jobs.sort(key=lambda item: item[0])
    return found


def _is_folder(entry: os.DirEntry[str], relative: str, found: Found) -> bool:
    """Put a file where it belongs; return whether it is a folder instead."""
    name = entry.name
    is_job = name.endswith(SUFFIX) and not name.startswith(".")
    try:
        if entry.is_dir():
            return True
        if name == DEFAULTS_NAME:
            found.defaults.add(relative)
        elif is_job:
            path = f"{relative}/{name}" if relative else name
            found.jobs.append((path, entry.stat()))
        elif name.lower().endswith(ALMOST) and not name.startswith("."):
            found.almost.append(f"{relative}/{name}" if relative else name)
    except OSError as error:
        if is_job:
            path = f"{relative}/{name}" if relative else name
            found.problems.append((path, f"cannot be read: {reason(error)}"))
    return False


def read_file(path: str) -> tuple[bytes, os.stat_result]:
    """Return what a file holds, up to a byte more than is accepted, and what is known of it.

    Raises:
        OSError: it cannot be read.
        UserError: it is none.
    """
    # Without O_NONBLOCK a pipe in the folder would hold the server up for ever.
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        about = os.fstat(number)
        if not stat.S_ISREG(about.st_mode):
            raise UserError("is not a file: expected a regular one")
        return _content(number, about.st_size), about
    finally:
        os.close(number)


def _content(number: int, size: int) -> bytes:
    """Return what an open file holds, as `read_file` does. Room is made for what it says it holds:
    making a mebibyte of it for each small file takes longer than reading it."""
    found = b""
    while left := MOST_BYTES + 1 - len(found):
        part = os.read(number, min(left, max(size + 1, LEAST_READ_BYTES)))
        if not part:
            break
        found = found + part if found else part
    return found


def reason(error: OSError) -> str:
    """Return why a file could not be read, in words."""
    return error.strerror or type(error).__name__


def printable(path: str) -> str:
    """Return a path that can be written out, whatever bytes it is made of."""
    return path.encode(errors="backslashreplace").decode()


def one_line(sentence: str) -> str:
    """Return a sentence in which what comes from a file neither ends the line nor moves a terminal:
    what cannot be seen in it is written as an escape."""
    if sentence.isprintable():
        return sentence
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in sentence
    )
