"""The defaults files of a job folder: read, checked, and which of them a job is under.

Called by the job folder. What a job makes of them is `jobs/folder_defaults.py`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ..jobs.errors import UserError
from ..jobs.folder_defaults import read_defaults
from .folder_files import DEFAULTS_NAME, read_file, reason
from .yaml_reader import Document, YamlError, read_yaml

HASH_CHARACTERS = 32


class Layer:
    """One defaults file. `data` is empty where it cannot be used, `readable` whether it is YAML.

    `problems` are (line, column, sentence). `path` is relative to the job folder.
    """

    def __init__(self, root: str, path: str) -> None:
        self.path = path
        self.readable = False
        self.hash = ""
        self.data: Mapping[str, Any] = {}
        self.document = Document(None, "", path)
        self.problems: list[tuple[int, int, str]] = []
        try:
            raw, _ = read_file(os.path.join(root, path))
            self.hash = hashlib.sha256(raw).hexdigest()
            self.document = read_yaml(raw, path)
        except OSError as error:
            self.problems.append((1, 1, f"cannot be read: {reason(error)}"))
        except YamlError as error:
            self.problems.append((error.line, error.column, error.sentence))
        except UserError as error:
            self.problems.append((1, 1, str(error)))
        else:
            self._read()

    def _read(self) -> None:
        value = self.document.value
        if value is None:
            self.readable = True  # An empty file: it has no defaults yet.
            return
        for where, sentence in read_defaults(value):
            self.problems.append((*self.document.position(where), sentence))
        if isinstance(value, Mapping):
            self.readable = True
            self.data = value


class FolderDefaults:
    """The defaults files of one load of a folder, each read once."""

    def __init__(self, root: str, folders: Iterable[str] | None = None) -> None:
        """`folders`: those that have a file, as `walk` found them; None: look when asked."""
        self._root = root
        self._folders = None if folders is None else frozenset(folders)
        self._layers: dict[str, Layer | None] = {}
        self._around: dict[str, tuple[tuple[Layer, ...], str]] = {}
        for folder in sorted(self._folders or ()):
            self._layer(folder)

    @property
    def layers(self) -> list[Layer]:
        """All that were read."""
        return [layer for layer in self._layers.values() if layer is not None]

    def around(self, path: str) -> tuple[Layer, ...]:
        """Return the defaults a job file is under, the innermost first."""
        return self._of_folder(path.rpartition("/")[0])[0]

    def hash_around(self, path: str) -> str:
        """Return a name for the content of all of them, empty when there are none."""
        return self._of_folder(path.rpartition("/")[0])[1]

    def _of_folder(self, folder: str) -> tuple[tuple[Layer, ...], str]:
        known = self._around.get(folder)
        if known is None:
            outer = self._of_folder(folder.rpartition("/")[0])[0] if folder else ()
            layer = self._layer(folder)
            layers = outer if layer is None else (layer, *outer)
            text = " ".join(one.hash for one in layers)
            name = hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARACTERS] if layers else ""
            known = self._around[folder] = (layers, name)
        return known

    def _layer(self, folder: str) -> Layer | None:
        """Return the defaults of one folder, None when it has none."""
        if folder not in self._layers:
            path = f"{folder}/{DEFAULTS_NAME}" if folder else DEFAULTS_NAME
            there = (
                os.path.lexists(os.path.join(self._root, path))
                if self._folders is None
                else folder in self._folders
            )
            self._layers[folder] = Layer(self._root, path) if there else None
        return self._layers[folder]
