"""Where finished outputs lie: a folder of the disk, or any URL that fsspec knows.

Both are a `Place`, and a conformance suite holds them to the same. The disk is read with system
calls and never through fsspec, which is imported when a URL is used. Paths are relative, with `/`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from ..jobs.errors import UserError
from .below import open_below

PART = ".part-"


class Lying(NamedTuple):
    """A file of a place. `changed_s`: when it came there by the clock of the place, in seconds of
    the epoch; 0 where that is not known."""

    path: str
    size: int
    changed_s: float


class PlaceError(UserError):
    """A URL cannot be used as a place."""

    def __init__(self, url: str, what: str) -> None:
        super().__init__(f"outputs.url {url}: {what}")


class Place(Protocol):
    """Files by their paths. Everything raises `FileNotFoundError` for a path that is not there, and
    another `OSError` where the place cannot be asked."""

    def size(self, path: str) -> int:
        """Return how many bytes a file has."""

    def read(self, path: str, start: int, limit: int) -> bytes:
        """Return at most `limit` bytes of a file from `start`; fewer only at its end."""

    def put(self, source: str, path: str) -> None:
        """Make a file out of one of this disk's, in the place of one that is there; it is whole
        when this returns, and after an error it is to be put again."""

    def remove(self, path: str) -> None:
        """Remove a file; one that is not there is no error."""

    def files(self) -> Iterator[Lying]:
        """Yield every file there is."""


class DiskPlace:
    """A folder of the disk."""

    def __init__(self, root: str) -> None:
        self._root = root

    def size(self, path: str) -> int:
        """See `Place`."""
        fd = open_below(self._root, path)
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def read(self, path: str, start: int, limit: int) -> bytes:
        """See `Place`."""
        fd = open_below(self._root, path)
        try:
            return os.pread(fd, limit, start)
        finally:
            os.close(fd)

    def put(self, source: str, path: str) -> None:
        """See `Place`."""
        target = f"{self._root}/{path}"
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        part = f"{target}{PART}{os.getpid()}"
        with open(source, "rb") as reading, open(part, "wb") as writing:
            while piece := reading.read(2**20):
                writing.write(piece)
            writing.flush()
            os.fsync(writing.fileno())
        os.rename(part, target)

    def remove(self, path: str) -> None:
        """See `Place`. A folder that is empty then goes with it."""
        target = f"{self._root}/{path}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(target))

    def files(self) -> Iterator[Lying]:
        """See `Place`."""
        for folder, _, names in os.walk(self._root):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    found = os.stat(f"{folder}/{name}")
                    path = os.path.relpath(f"{folder}/{name}", self._root)
                    yield Lying(path, found.st_size, found.st_ctime)


class UrlPlace:
    """A folder at a URL of fsspec. `options` go to its file system (endpoint, profile and so on);
    what keeps secrets, its own environment and files do."""

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        """Find the file system of a URL.

        Raises:
            PlaceError: fsspec, or what it needs for this URL, is not installed, or the URL is none.
        """
        try:
            core = importlib.import_module("fsspec.core")
            self._fs, self._root = core.url_to_fs(url, **dict(options or {}))
        except ImportError as error:
            what = f"{error}: expected it to be installed (pip install 'callsheet[storage]')"
            raise PlaceError(url, what) from None
        except (ValueError, TypeError, OSError) as error:
            raise PlaceError(url, f"{error}: expected a URL like s3://bucket/folder") from None
        self._root = self._root.rstrip("/")
        self.url = url

    def size(self, path: str) -> int:
        """See `Place`."""
        with _as_os_error():
            return int(self._fs.size(self._at(path)))

    def read(self, path: str, start: int, limit: int) -> bytes:
        """See `Place`."""
        with _as_os_error():
            end = min(start + limit, self._fs.size(self._at(path)))
            if start >= end:
                return b""
            return bytes(self._fs.cat_file(self._at(path), start=start, end=end))

    def put(self, source: str, path: str) -> None:
        """See `Place`. Nobody reads it here while it is on the disk, so no rename is needed, which
        object stores do not have."""
        target = self._at(path)
        with _as_os_error():
            self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(source, target)
            self._fs.invalidate_cache()
            if self._fs.size(target) != os.stat(source).st_size:
                raise OSError(5, f"{target}: has another length than was written")

    def remove(self, path: str) -> None:
        """See `Place`."""
        with contextlib.suppress(FileNotFoundError), _as_os_error():
            self._fs.rm_file(self._at(path))

    def files(self) -> Iterator[Lying]:
        """See `Place`."""
        with _as_os_error():
            try:
                found = self._fs.find(self._root, detail=True)
            except FileNotFoundError:
                return
        for name, info in found.items():
            path = name.removeprefix(self._root).lstrip("/")
            yield Lying(path, int(info.get("size") or 0), _changed_s(info))

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    """Turn whatever a file system of fsspec raises into an `OSError`."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(5, f"{type(error).__name__}: {error}") from error


def _changed_s(info: Mapping[str, Any]) -> float:
    """Return when a file was written; file systems have their own names for that. 0: not said."""
    for name in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = info.get(name)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return 0.0
