"""The console as it is sent: its one document, and its files under addresses of their own edition.

An edition is all files of the console as they are sent at once. Its name, a hash of them, is part
of each file's address: a browser keeps what it has for good, and a page never runs modules of two
editions. A page of an edition that is gone finds no more modules and says so; it is loaded anew.

A browser learns of a module by reading the one that imports it: without a build step that would be
a round trip for each level. The document names the files of the frame and those of the view that
its path asks for, and the browser fetches them at once. Which view that is, the console itself says
(`js/views.js`). The style sheets come as one, and the modules in few files (`joining`): a browser
spends more on each request of a page than on what it brings.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .joining import beside, closure, join

INDEX = "index.html"
FRAME = "js/main.js"
VIEWS = "js/views.js"
STYLES = "css/all.css"
_BEFORE = '<script type="module"'
_OWN = '"/static/'
_NAME_DIGITS = 16
_STYLE = re.compile(r'<link rel="stylesheet" href="/static/([^"]+)">\n?')
# A line of the console's table of views: the first part of a path, and the module.
_VIEW = re.compile(r'^ *"(/[a-z]*/?)": \(\) => import\("\./([^"]+)"\)', re.MULTILINE)


@dataclass(frozen=True)
class Edition:
    """The console's files as they were at an instant; made by `edition_of`."""

    name: str
    # As they are sent.
    files: Mapping[str, bytes]
    # What each module needs, and the file that has it.
    needs: Mapping[str, list[str]]
    homes: Mapping[str, str]
    # Module by the first part of a path, as the console's table has it.
    views: Mapping[str, str]

    def modules_of(self, path: str) -> list[str]:
        """Return the modules that a page needs before it is drawn, the frame's first; none where
        there is no console."""
        return closure([FRAME, self.view_of(path)], self.needs)

    def files_of(self, path: str) -> list[str]:
        """Return the files that have those modules."""
        return list(dict.fromkeys(self.homes[name] for name in self.modules_of(path)))

    def view_of(self, path: str) -> str:
        """Return the module of the view at a path; empty: there is no such page."""
        first, *rest = [part for part in path.split("/") if part] or [""]
        one = self.views.get(f"/{first}/") if rest else None
        return one or self.views.get(f"/{first}", "")

    def type_of(self, name: str) -> str:
        """Return the content type of a file."""
        found = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return f"{found}; charset=utf-8" if found.startswith("text/") else found


def edition_of(static: Path) -> Edition:
    """Read all files below a folder; those of an empty or missing one are none."""
    files = {name: (static / name).read_bytes() for name, _, _ in _looks(static)}
    sheets = [name for name in _STYLE.findall(files.get(INDEX, b"").decode()) if name in files]
    files[STYLES] = b"\n".join(files[name] for name in sheets)
    table = files.get(VIEWS, b"").decode()
    views = {path: beside(VIEWS, module) for path, module in _VIEW.findall(table)}
    joined = join(files, FRAME)
    total = hashlib.sha256()
    for name, content in joined.files.items():
        total.update(f"{name} {len(content)}\n".encode())
        total.update(content)
    name = total.hexdigest()[:_NAME_DIGITS]
    return Edition(name, joined.files, joined.needs, joined.homes, views)


class Document:
    """`index.html` below a folder, as it is sent, with the edition that it names."""

    def __init__(self, static: Path) -> None:
        self._static = static
        self._looked: list[tuple[str, int, int]] | None = None
        self._edition = Edition("", {}, {}, {}, {})
        self._links: dict[str, str] = {}

    def read(self, path: str) -> bytes:
        """Return the document of a page, naming the files as they are now.

        Raises:
            FileNotFoundError: there is no console here.
        """
        edition = self._now()
        if INDEX not in edition.files:
            raise FileNotFoundError(self._static / INDEX)
        text = edition.files[INDEX].decode()
        view = edition.view_of(path)
        if view not in self._links:
            self._links[view] = f'<link rel="stylesheet" href="/static/{STYLES}">\n' + "".join(
                f'<link rel="modulepreload" href="/static/{name}">\n'
                for name in edition.files_of(path)
            )
        text = _STYLE.sub("", text).replace(_BEFORE, self._links[view] + _BEFORE, 1)
        return text.replace(_OWN, f"{_OWN}{edition.name}/").encode()

    def file(self, edition: str, name: str) -> tuple[bytes, str]:
        """Return a file of an edition, and its content type.

        Raises:
            FileNotFoundError: the edition is another one by now, or has no such file.
        """
        if not self._edition.name:
            self._now()
        if edition != self._edition.name or name not in self._edition.files:
            raise FileNotFoundError(name)
        return self._edition.files[name], self._edition.type_of(name)

    def _now(self) -> Edition:
        """Return the edition, read anew if any file has changed."""
        looked = _looks(self._static)
        if looked != self._looked:
            self._edition, self._looked, self._links = edition_of(self._static), looked, {}
        return self._edition


def _looks(static: Path) -> list[tuple[str, int, int]]:
    """Return the name, time of change and size of each file below a folder, in order."""
    found = []
    for path in static.rglob("*"):
        state = path.stat()
        if path.is_file():
            name = path.relative_to(static).as_posix()
            found.append((name, state.st_mtime_ns, state.st_size))
    return sorted(found)
