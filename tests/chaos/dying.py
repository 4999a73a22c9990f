"""Puts places (`crash_points.py`) into modules, and dies there. The standard library alone."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable
from types import ModuleType
from typing import Any

from crash_points import PLACES, Place


def passes(name: str, place: Place, armed: str, owner: Any) -> None:
    """Die here, or stand still to be killed, if there is a file with the name of the place; the
    file then has the pid behind its name."""
    if place.role:
        address = owner.script.address if hasattr(owner, "script") else owner.peer
        if address.partition("/")[0] != place.role:
            return
    file, pid = f"{armed}/{name}", os.getpid()
    try:
        os.rename(file, f"{file}.{pid}")
    except OSError:
        return
    os.kill(pid, signal.SIGSTOP if place.stands else signal.SIGKILL)


def dying(call: Callable[..., Any], places: dict[str, Place], armed: str) -> Callable[..., Any]:
    """Return what passes places before and after it does what `call` did."""

    @functools.wraps(call)
    def passing(*args: Any, **kwargs: Any) -> Any:
        owner = args[0] if args else None
        for name, place in places.items():
            if place.when == "before":
                passes(name, place, armed, owner)
        found = call(*args, **kwargs)
        for name, place in places.items():
            if place.when == "after":
                passes(name, place, armed, owner)
        return found

    return passing


def put_places_in(module: ModuleType, known_as: str, armed: str) -> None:
    """Let the methods and functions of a module that are places be such."""
    paths = {place.method for place in PLACES.values() if place.module == known_as}
    for path in paths:
        of, _, name = path.rpartition(".")
        owner = getattr(module, of) if of else module
        places = {n: p for n, p in PLACES.items() if (p.module, p.method) == (known_as, path)}
        setattr(owner, name, dying(vars(owner)[name], places, armed))
