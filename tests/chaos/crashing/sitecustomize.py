"""Kills the process at a named place. Loaded by every Python that has this folder on PYTHONPATH.

`CALLSHEET_CRASH` names a folder. Who passes a place whose name a file there has takes that file for
itself, so that one dies and not all, and ends as by `kill -9`. Who dies again and again is started
again at once: that it is started later and later is not what is looked at here.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from crash_points import ARMED, PLACES
from dying import put_places_in

sys.path.pop(0)

SUPERVISOR = "callsheet.actors.supervisor"
STARTER = "callsheet.agentd.start_keeper"
SOON_S = (0.1,)


def put_all_in(module: ModuleType) -> None:
    """Give a module its places, and whatever else is other under chaos."""
    put_places_in(module, module.__name__, os.environ[ARMED])
    if module.__name__ == SUPERVISOR:
        vars(module).update(BACKOFF_S=SOON_S, STILLBORN_S=SOON_S)
    elif module.__name__ == STARTER:
        # What agentd executes: the same, and its keepers have places.
        module.__file__ = str(Path(__file__).with_name("start_keeper.py"))


def then_put_places(load: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    """Return what loads a module and then gives it its places."""

    def execute(module: ModuleType) -> None:
        load(module)
        put_all_in(module)

    return execute


class Finder(importlib.abc.MetaPathFinder):
    """Finds modules as ever, and lets those that have places get them once they are loaded."""

    def find_spec(
        self, name: str, path: Any, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in {SUPERVISOR, STARTER, *(place.module for place in PLACES.values())}:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader.exec_module = then_put_places(spec.loader.exec_module)
                return spec
        return None


if ARMED in os.environ:
    sys.meta_path.insert(0, Finder())
