"""Reading nested data into values: where one is, what is wrong there, and the next thing.

Owned here: how problems are collected with their key paths. `parse.py` and its like call it; it
knows no key of a job and never stops at the first problem.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

from .errors import UserError
from .near import near

T = TypeVar("T")
KeyPath = tuple[str | int, ...]
Reader = Callable[[Any, "At"], T]

REQUIRED: Any = object()
# A text in a sentence is cut to this, so that one mistake does not fill the screen.
SHOWN_CHARACTERS = 60


class Told(UserError):
    """What is wrong was recorded already; nothing was read."""

    def __init__(self) -> None:
        super().__init__("problems were recorded")


class At:
    """A place in nested data: its key path, and the list its problems go to. `read`, if given,
    gets every mapping that is read there or below."""

    __slots__ = ("path", "problems", "read")

    def __init__(
        self,
        path: KeyPath,
        problems: list[tuple[KeyPath, str]],
        read: list[Fields] | None = None,
    ) -> None:
        self.path = path
        self.problems = problems
        self.read = read

    def key(self, key: str | int) -> At:
        """Return the place of an entry."""
        return At((*self.path, key), self.problems, self.read)

    def fail(self, sentence: str, *, key: str | int | None = None) -> None:
        """Record a problem; `key` moves its position, not its words, to an entry."""
        said = f"{dotted(self.path)}: {sentence}" if self.path else sentence
        self.problems.append((self.path if key is None else (*self.path, key), said))


class Fields:
    """The entries of a mapping, taken one by one; what nobody took is unexpected."""

    def __init__(self, data: Any, at: At, *, known: tuple[str, ...] = ()) -> None:
        if not isinstance(data, Mapping):
            raise UserError(f"{shown(data)}: expected a mapping")
        self.data: Mapping[str, Any] = data
        self.at = at
        self._taken: set[str] = set(known)
        # The defaults of what was asked for and is not there, where anybody gathers them.
        self.defaults: dict[str, Any] = {}
        self._before = len(at.problems)
        if at.read is not None:
            at.read.append(self)

    @overload
    def take(self, key: str, read: Reader[T], default: None, *, null: bool = ...) -> T | None: ...

    @overload
    def take(self, key: str, read: Reader[T], default: Any = ..., *, null: bool = ...) -> T: ...

    def take(
        self, key: str, read: Reader[Any], default: Any = REQUIRED, *, null: bool = False
    ) -> Any:
        """Return the entry as `read` understands it; after a problem the value means nothing.

        Null stands for the default, unless `null` says that it is a value.
        """
        self._taken.add(key)
        value = self.data.get(key, REQUIRED)
        if value is REQUIRED or (value is None and default is not REQUIRED and not null):
            if default is REQUIRED:
                self.at.fail(f"missing key: {key}")
            elif self.at.read is not None:
                self.defaults[key] = default
            return default
        around = self.at
        at = At((*around.path, key), around.problems, around.read)
        try:
            return read(value, at)
        except Told:
            pass
        except UserError as error:
            at.fail(str(error))
        return None

    @property
    def taken(self) -> frozenset[str]:
        """The keys that were asked for so far."""
        return frozenset(self._taken)

    def finish(self) -> None:
        """Refuse what nobody took.

        Raises:
            Told: the mapping has a problem, recorded by now.
        """
        if not self.data.keys() <= self._taken:
            for key in (key for key in self.data if key not in self._taken):
                self.at.fail(f"unexpected keys: {key}{self._hint(key)}", key=key)
        if len(self.at.problems) > self._before:
            raise Told

    def unknown(self) -> dict[str, str]:
        """Return the keys that nobody took, each with the known one it is much like, or empty."""
        known = sorted(self._taken)
        return {
            str(key): "".join(near(str(key), known, cutoff=0.75))
            for key in self.data
            if key not in self._taken
        }

    def _hint(self, key: Any) -> str:
        meant = near(str(key), sorted(self._taken))
        if meant:
            return f": did you mean {meant[0]}?"
        return f": expected some of {', '.join(sorted(self._taken))}"


# --- readers of simple values -------------------------------------------------------------------


def text(value: Any, _at: At) -> str:
    """Read a string without NUL that UTF-8 can hold."""
    if not isinstance(value, str):
        hint = f": expected a string; write {str(value)!r}" if is_plain(value) else ""
        raise UserError(f"{shown(value)}{hint or ': expected a string'}")
    if "\0" in value:
        raise UserError(f"{shown(value)}: holds a NUL character: expected none")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UserError(f"{shown(value)}: is not valid Unicode") from None
    return value


def filled(value: Any, at: At) -> str:
    """Read a string that is not empty."""
    found = text(value, at)
    if not found:
        raise UserError("is empty: expected a string")
    return found


def word(value: Any, at: At) -> str:
    """Read a plain value (string, number, bool) as its text."""
    if not isinstance(value, str) and is_plain(value):
        return str(value)
    return text(value, at)


def flag(value: Any, _at: At) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise UserError(f"{shown(value)}: expected true or false")
    return value


def whole(value: Any, _at: At) -> int:
    """Read a whole number that a calendar can bear."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{shown(value)}: expected a whole number")
    if abs(value) > 3650:
        raise UserError(f"{value}: expected a number of days from -3650 to 3650")
    return value


def words(value: Any, at: At) -> dict[str, str]:
    """Read a mapping of names to plain values, as texts, sorted by name."""
    fields = Fields(value, at)
    names: list[str] = []
    for name in fields.data:
        try:
            names.append(filled(name, at))
        except UserError as error:
            at.fail(str(error), key=name)
    found = {name: fields.take(name, word) for name in sorted(names)}
    if len(names) == len(fields.data):
        fields.finish()
    else:
        raise Told
    return found


def free(deepest: int, key: Reader[str] = text) -> Reader[Any]:
    """Return a reader of any value that JSON can hold, within so many keys of the job; `key` reads
    the keys of its objects."""

    def read_free(value: Any, at: At) -> Any:
        if len(at.path) > deepest:
            raise UserError(f"is nested deeper than {deepest}: expected less")
        if isinstance(value, Mapping):
            return {key(name, at): read_free(item, at.key(name)) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [read_free(item, at.key(index)) for index, item in enumerate(value)]
        if isinstance(value, str):
            return text(value, at)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and -(2**63) <= value < 2**63:
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
        raise UserError(f"{shown(value)}: expected a value that JSON can hold")

    return read_free


def many(read: Reader[T]) -> Reader[tuple[T, ...]]:
    """Return a reader of one item or a list of items."""

    def read_many(value: Any, at: At) -> tuple[T, ...]:
        if not isinstance(value, list | tuple):
            return (read(value, at),)
        before = len(at.problems)
        found: list[T] = []
        for index, item in enumerate(value):
            place = at.key(index)
            try:
                found.append(read(item, place))
            except Told:
                pass
            except UserError as error:
                place.fail(str(error))
        if len(at.problems) > before:
            raise Told
        return tuple(found)

    return read_many


def is_plain(value: Any) -> bool:
    """Whether a value is a number or a bool."""
    return isinstance(value, bool | int | float)


def shown(value: Any) -> str:
    """Return a value for a sentence, shortened."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "null"
    found = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return found if len(found) <= SHOWN_CHARACTERS else found[:SHOWN_CHARACTERS] + "…"


def dotted(path: KeyPath) -> str:
    """Return a key path in words: `schedule[1].tz`."""
    found = ""
    for key in path:
        found += f"[{key}]" if isinstance(key, int) else f".{key}" if found else str(key)
    return found
