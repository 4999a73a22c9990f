"""Imports the types that the settings name, and has this process know them.

Called once, before any job file is read and before the roles are forked, so that every process
knows the same types in the same version; by the command line before it reads job files. What it
imports comes from settings alone, never from data.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import os
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import Any

from ..conf.extension_settings import Extension
from ..jobs import registry
from ..jobs.calendar_days import CalendarDays, days_of
from ..jobs.calendars import FileCalendar, find_calendar
from ..jobs.errors import UserError
from ..jobs.extend import BASES
from ..jobs.job_keys import PARTS, keys_of
from ..jobs.registry import Kind, UnfitType
from .limits import Interrupting

GROUP = "callsheet.extensions"


def load_extensions(extensions: Iterable[Extension]) -> None:
    """Have this process know these types, and the days of the calendars among them.

    Raises:
        UserError: one of them cannot be had, or is none.
    """
    kinds = [_kind(one) for one in extensions]
    registry.use(kinds, _limits)
    calendars: list[CalendarDays] = []
    for one, kind in zip(extensions, kinds, strict=True):
        try:
            if kind.part == "calendar":
                calendars.append(_calendar(kind))
            else:
                keys_of(kind.part, kind.name)
        except (UserError, UnfitType) as error:
            raise UserError(f"{one.words}: {kind.target}: {error}") from None
    registry.use_calendars(calendars)


def imported(target: str) -> Any:
    """Import what `module:Class` leads to.

    Raises:
        UserError: it cannot be imported.
    """
    module, _, attributes = target.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except Exception as error:  # noqa: BLE001 - importing runs other people's code
        why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise UserError(f"{target} cannot be imported: {why}") from None
    return found


# --- inside -------------------------------------------------------------------------------------


def _kind(one: Extension) -> Kind:
    target = one.target or _entry_point(one)
    threads = threading.active_count()
    try:
        made = imported(target)
    except UserError as error:
        raise UserError(f"{one.words}: {error}") from None
    if threading.active_count() > threads:
        said = "starts a thread when it is imported: expected none, since processes are forked"
        raise UserError(f"{one.words}: {target} {said}")
    parts = [
        part
        for part, base in BASES.items()
        if isinstance(made, type) and issubclass(made, base) and made is not base
    ]
    if len(parts) != 1:
        bases = ", ".join(base.__name__ for base in BASES.values())
        raise UserError(f"{one.words}: {target}: expected a class derived from one of {bases}")
    [part] = parts
    if part in PARTS and one.name in PARTS[part].types:
        raise UserError(f"{one.words}: {one.name} is a {part} type already: expected another name")
    return Kind(part, one.name, target, made, _stamp(made))


def _entry_point(one: Extension) -> str:
    """Return the class that an installed package offers by a name."""
    found = {point.value for point in importlib.metadata.entry_points(group=GROUP, name=one.name)}
    if len(found) != 1:
        what = "no installed package offers" if not found else "several installed packages offer"
        raise UserError(f"{one.words}: {what} it: expected one entry point of group {GROUP}")
    return found.pop().replace(" ", "")


def _stamp(made: type) -> str:
    """Return what tells one version of a class's module from another."""
    try:
        found = os.stat(inspect.getfile(made))
    except (OSError, TypeError):
        return ""
    return f"{found.st_mtime_ns}/{found.st_size}"


def _calendar(kind: Kind) -> CalendarDays:
    """Return a calendar's days, after which its code is not needed any more."""
    try:
        find_calendar(kind.name)
    except UserError:
        pass  # As it should be: the name is free.
    else:
        raise UserError(f"{kind.name} is a calendar already: expected another name")
    record = registry.record_of(kind, {})
    start: Any = getattr(kind.made, "start", None)
    stop: Any = getattr(kind.made, "stop", None)
    if not _is_date(start) or not _is_date(stop) or not start < stop:
        raise UserError(f"from {start} to before {stop}: expected start and stop, two dates")
    days = registry.call(kind, lambda: sorted(set(record.days())))
    wrong = next((day for day in days if not _is_date(day) or not start <= day < stop), None)
    if wrong is not None:
        raise UserError(f"days gave {wrong!r}: expected dates from {start} to before {stop}")
    return days_of(FileCalendar(kind.name, start, stop, tuple(days)), kind.target)


def _is_date(value: Any) -> bool:
    return isinstance(value, date) and not isinstance(value, datetime)


class _OfThread(threading.local):
    """The guard of one thread of one process: guards do not survive a fork."""

    def __init__(self) -> None:
        self.pid = 0
        self.guard = Interrupting(grow_bytes=None)


_guards = _OfThread()


def _limits() -> AbstractContextManager[Any]:
    if _guards.pid != os.getpid():
        _guards.pid, _guards.guard = os.getpid(), Interrupting(grow_bytes=None)
    return _guards.guard
