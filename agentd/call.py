"""`callsheet-python`: call a function of a module, in a process of its own.

Run by path with the interpreter that a job asks for, so it uses the standard library alone, of any
Python from 3.8 on, and imports nothing of ours. What the function returns is printed as JSON unless
it is None; what it raises is a traceback and exit status 1. A function that cannot be had, or that
cannot take its arguments, is told to agentd, and is no failure of the program's.

    call.py FAILED [--path FOLDER]… MODULE:FUNCTION ARGUMENTS

ARGUMENTS are a list or a mapping in JSON. FAILED is the file for what goes wrong, empty for the
descriptor 3.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys

# As type checkers read it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class NotCalled(Exception):
    """The function was not called; the text says why."""


def _find(name: str) -> Callable[..., Any]:
    """Return the function of a name.

    Raises:
        NotCalled: there is none.
    """
    module_name, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        # What the module itself fails to import is told too.
        raise NotCalled(f"cannot be imported: {error}") from None
    except Exception as error:  # noqa: BLE001 - whatever the module does, it is told
        said = f"{type(error).__name__}: {error}"
        raise NotCalled(f"importing {module_name} fails: {said}") from None
    for part in path.split("."):
        if not hasattr(found, part):
            raise NotCalled(f"{module_name} has no {path}")
        found = getattr(found, part)
    if not callable(found):
        raise NotCalled(f"{path} is no function but of type {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _taken(function: Callable[..., Any], given: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments by position and by name.

    Raises:
        NotCalled: the function does not take them.
    """
    positional, named = ([], given) if isinstance(given, dict) else (list(given), {})
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Functions not written in Python need not tell.
        return positional, named
    try:
        signature.bind(*positional, **named)
    except TypeError as error:
        raise NotCalled(f"does not take these arguments: {error}") from None
    return positional, named


def _call(name: str, text: str) -> None:
    function = _find(name)
    positional, named = _taken(function, json.loads(text))
    found = function(*positional, **named)
    if inspect.iscoroutine(found):
        import asyncio

        found = asyncio.run(found)
    if found is not None:
        sys.stdout.flush()
        sys.stdout.write(json.dumps(found, default=str, ensure_ascii=False) + "\n")


def main(arguments: list[str]) -> int:
    """Call the function; return the exit status."""
    failed, rest = arguments[0], arguments[1:]
    if not failed:
        # Ours alone: processes that the function starts have no part in it.
        os.set_inheritable(3, False)
    # This file's own folder is no place for the job's modules.
    paths = [os.getcwd()]
    while rest[0] == "--path":
        paths.insert(len(paths) - 1, os.path.abspath(rest[1]))
        rest = rest[2:]
    sys.path[0:1] = paths
    name, text = rest
    sys.argv = [name]
    try:
        _call(name, text)
    except NotCalled as error:
        sentence = f"callsheet: {name}: {' '.join(str(error).split())}\n"
        with open(failed or 3, "w", encoding="utf-8", errors="replace") as file:
            file.write(sentence)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
