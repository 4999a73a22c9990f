"""The types that the settings added to this process, and every call into their code.

Filled once, at the start, by whoever reads settings; nothing here imports by name, and what data
name is only ever looked up. Whatever an extension raises comes out as a sentence. Pure but for that
table, which is empty where nobody filled it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec

from .calendar_days import CalendarDays
from .errors import CallsheetError, OutOfLimits, UserError

T = TypeVar("T")
Limits = Callable[[], AbstractContextManager[Any]]

# Where a sentence of msgspec says in what part of a value it stands.
_WHERE = re.compile(r" - at `\$(.*)`\Z")


class Kind(NamedTuple):
    """A type: of which part, the name by which job files have it, its class, and where the class
    is from (`package.module:Class`). `stamp` tells one version of its code from another."""

    part: str
    name: str
    target: str
    made: type[msgspec.Struct]
    stamp: str = ""

    @property
    def names(self) -> tuple[str, str]:
        """What `type` may say: the name, or the full name of the class."""
        return self.name, self.target.replace(":", ".")

    @property
    def words(self) -> str:
        """What it is called in sentences."""
        return f"{self.part} type {self.name}"


class UnfitType(CallsheetError):
    """A class cannot be a type: found as it is registered, so that no job is blamed for it."""


_kinds: dict[tuple[str, str], Kind] = {}
_names: dict[str, dict[str, str]] = {}
_limits: list[Limits] = [nullcontext]
_calendars: list[CalendarDays] = []


def use(kinds: Iterable[Kind], limits: Limits = nullcontext) -> None:
    """Have this process know these types and no others.

    Args:
        kinds: no two of a part with one name.
        limits: entered around each call into their code, which it may end with OutOfLimits.
    """
    _kinds.clear()
    _names.clear()
    _record.cache_clear()
    _limits[:] = [limits]
    _calendars.clear()
    for kind in kinds:
        _kinds[kind.part, kind.name] = kind
        for name in kind.names:
            _names.setdefault(kind.part, {}).setdefault(name, kind.name)


def known() -> tuple[Kind, ...]:
    """Return all types; equal when the same are known in the same versions."""
    return tuple(_kinds.values())


def use_calendars(found: Iterable[CalendarDays]) -> None:
    """Have this process know the days of the calendars among the types."""
    _calendars[:] = found


def calendars() -> tuple[CalendarDays, ...]:
    """Return the days of the calendars among the types."""
    return tuple(_calendars)


def names_of(part: str) -> Mapping[str, str]:
    """Return the types of a part: their names and full class names, each with the name."""
    return _names.get(part, {})


def kind_of(part: str, name: str) -> Kind:
    """Return the type of a name.

    Raises:
        UserError: this process knows none.
    """
    kind = _kinds.get((part, name))
    if kind is None:
        raise UserError(f"{part} type {name}: is unknown: expected it in the settings' extensions")
    return kind


def record_of(kind: Kind, data: Mapping[str, Any]) -> Any:
    """Return the record of a type that data describe. Numbers may be texts, as templates make them.

    Raises:
        UserError: they do not fit the type.
    """
    packed = msgspec.json.encode(data, order="deterministic")
    return call(kind, lambda: _record(kind, packed))


def call(kind: Kind, act: Callable[[], T]) -> T:
    """Call into the code of a type.

    Raises:
        UserError: it raised something, or took too long.
    """
    try:
        with _limits[0]():
            return act()
    except msgspec.ValidationError as error:
        raise UserError(f"{kind.words}: {plain_words(error)}") from None
    except OutOfLimits:
        raise UserError(f"{kind.words}: took longer than allowed: expected less work") from None
    except Exception as error:  # noqa: BLE001 - other people's code
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise UserError(f"{kind.words}: {said}") from None


def plain_words(error: msgspec.ValidationError) -> str:
    """Return what is wrong with a value, in words like our own."""
    said = str(error)
    where = _WHERE.search(said)
    if where is not None:
        place = where[1].lstrip(".")
        said = f"{place + ': ' if place else ''}{_WHERE.sub('', said)}"
    said = said.replace("`", "")
    return re.sub(r"(^|: )(Expected|Object|Invalid)", lambda m: m[0].lower(), said)


@lru_cache(maxsize=2_000)
def _record(kind: Kind, packed: bytes) -> Any:
    return msgspec.json.decode(packed, type=kind.made, strict=False)
