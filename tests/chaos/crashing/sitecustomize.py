"""Kills the process at a named place. Loaded by every Python that has this folder on PYTHONPATH.

`CALLSHEET_CRASH` names a file. Who passes the place that is written in it removes the file, so that
one dies and not all, and ends as by `kill -9`.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from crash_points import ARMED, PLACES, Place

sys.path.pop(0)


def passes(name: str, place: Place, owner: Any) -> None:
    """Die here if that is what is written."""
    if place.role:
        address = owner.script.address if hasattr(owner, "script") else owner.peer
        if address.partition("/")[0] != place.role:
            return
    try:
        with open(os.environ[ARMED]) as file:
            if file.read() != name:
                return
        os.unlink(os.environ[ARMED])
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def dying(method: Callable[..., Any], places: dict[str, Place]) -> Callable[..., Any]:
    """Return a method that passes places before and after it does what it did."""

    @functools.wraps(method)
    def passing(self: Any, *args: Any, **kwargs: Any) -> Any:
        for name, place in places.items():
            if place.when == "before":
                passes(name, place, self)
        found = method(self, *args, **kwargs)
        for name, place in places.items():
            if place.when == "after":
                passes(name, place, self)
        return found

    return passing


def put_places_in(module: ModuleType) -> None:
    """Let the methods of a module that are places be such."""
    methods = {place.method for place in PLACES.values() if place.module == module.__name__}
    for path in methods:
        of, _, name = path.partition(".")
        owner = getattr(module, of)
        places = {
            n: p for n, p in PLACES.items() if (p.module, p.method) == (module.__name__, path)
        }
        setattr(owner, name, dying(owner.__dict__[name], places))


def then_put_places(load: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    """Return what loads a module and then gives it its places."""

    def execute(module: ModuleType) -> None:
        load(module)
        put_places_in(module)

    return execute


class Finder(importlib.abc.MetaPathFinder):
    """Finds modules as ever, and lets those that have places get them once they are loaded."""

    def find_spec(
        self, name: str, path: Any, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in {place.module for place in PLACES.values()}:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader.exec_module = then_put_places(spec.loader.exec_module)
                return spec
        return None


if ARMED in os.environ:
    sys.meta_path.insert(0, Finder())
