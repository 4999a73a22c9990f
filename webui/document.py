"""The console's one document, with the names of all modules that it will need.

A browser learns of a module by reading the one that imports it: without a build step that would be
a round trip for each level. The document names them all, and the browser fetches them at once.
"""

from __future__ import annotations

from pathlib import Path

from .vendor import imports_of

FIRST = "js/main.js"
_BEFORE = '<script type="module"'


def modules_of(static: Path, first: str = FIRST) -> list[str]:
    """Return the modules that `first` needs, itself in front, as paths below `static`; none when it
    is not there."""
    found = [first] if (static / first).is_file() else []
    for name in found:
        folder = (static / name).parent
        for specifier in imports_of((static / name).read_text(encoding="utf-8")):
            path = (folder / specifier).resolve()
            if path.is_relative_to(static.resolve()) and path.is_file():
                needed = path.relative_to(static.resolve()).as_posix()
                if needed not in found:
                    found.append(needed)
    return found


class Document:
    """`index.html` below a folder, as it is sent."""

    def __init__(self, static: Path) -> None:
        self._static = static
        self._links: str | None = None

    def read(self) -> bytes:
        """Return the document.

        Raises:
            FileNotFoundError: there is no console here.
        """
        text = (self._static / "index.html").read_text(encoding="utf-8")
        if self._links is None:
            names = modules_of(self._static)
            self._links = "".join(
                f'<link rel="modulepreload" href="/static/{name}">\n' for name in names
            )
        return text.replace(_BEFORE, self._links + _BEFORE, 1).encode()
