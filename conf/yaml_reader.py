"""YAML text to plain values, under limits, with the meaning of YAML 1.2.

Used for job files and settings. Events are turned into values in one pass, so nothing is composed
before it is known to be small: a file can neither exhaust memory nor the stack. Dates, times and
`10:30` stay strings. Aliases and merge keys (`<<`) are understood, as Apsis understands them, and
what they bring in counts against the limits as if it were written out. Refused: an alias inside its
own anchor, tags, keys that are not strings or come twice, a second document. It opens no file.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, NamedTuple

import yaml
from yaml._yaml import CParser

from ..jobs.errors import UserError
from ..jobs.reading import KeyPath, shown

MOST_BYTES = 1 << 20
# Deeper than any job has reason to be, far from the stack's end.
DEEPEST = 40
MOST_NODES = 50_000
# Python refuses to convert integers of more than 4300 digits; nobody means such a number.
LONGEST_NUMBER = 300

# The first characters of plain scalars that may be something else than a string.
_NOT_STRING = frozenset("-+.0123456789tTfFnN~")
_WORDS: dict[str, Any] = {
    "": None,
    **dict.fromkeys(("~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INT = re.compile(r"[-+]?[0-9]+(?:_[0-9]+)*\Z")
_BASED = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")


class YamlError(UserError):
    """A text is not YAML, or not YAML that is accepted here. Lines and columns count from 1."""

    def __init__(self, path: str, line: int, column: int, sentence: str) -> None:
        self.path, self.line, self.column, self.sentence = path, line, column, sentence
        super().__init__(f"{path}:{line}:{column}: {sentence}")


class Document:
    """The value of a YAML text. `position(key path)` says where in the text a part of it stands."""

    def __init__(self, value: Any, text: str, path: str) -> None:
        self.value = value
        self._text = text
        self._path = path

    @cached_property
    def positions(self) -> dict[KeyPath, tuple[int, int]]:
        """Line and column of every key and item; read anew, since few files have problems."""
        found: dict[KeyPath, tuple[int, int]] = {}
        _Builder(self._text, self._path, found).document()
        return found

    def position(self, key_path: KeyPath) -> tuple[int, int]:
        """Return line and column of the nearest known part on a key path."""
        while key_path and key_path not in self.positions:
            key_path = key_path[:-1]
        return self.positions.get(key_path, (1, 1))


def read_yaml(text: str | bytes, path: str) -> Document:
    """Return the document of a YAML text; that of an empty text is null.

    Args:
        text: the text, or its bytes in UTF-8.
        path: what errors call the file.

    Raises:
        YamlError: it is not YAML, or breaks a rule or limit of this module.
    """
    if isinstance(text, str):
        try:
            text = text.encode()
        except UnicodeEncodeError:
            raise YamlError(path, 1, 1, "is not valid Unicode: expected text") from None
    text = _decoded(text, path)
    return Document(_Builder(text, path, None).document(), text, path)


def _decoded(raw: bytes, path: str) -> str:
    if len(raw) > MOST_BYTES:
        sentence = f"is too large: {len(raw)} bytes: expected at most {MOST_BYTES}"
        raise YamlError(path, 1, 1, sentence)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        sentence = f"byte 0x{raw[error.start]:02x} is not UTF-8: expected a text file in UTF-8"
        raise YamlError(path, line, column, sentence) from None


class _Anchored(NamedTuple):
    """A value with an anchor: how many values it holds, itself included, and how deep it goes."""

    value: Any
    nodes: int
    depth: int


class _Builder:
    """One pass over the events of a text. `positions` None: they are not wanted."""

    def __init__(
        self, text: str, path: str, positions: dict[KeyPath, tuple[int, int]] | None
    ) -> None:
        self._text, self._path, self._positions = text, path, positions
        self._nodes = 0
        # How deep the value that is being read goes, as far as is known.
        self._reached = 0
        self._anchors: dict[str, _Anchored] = {}
        self._open: set[str] = set()

    def document(self) -> Any:
        """Return the value of the only document."""
        try:
            parser = CParser(self._text)
            self._next = parser.get_event
            self._next()  # the start of the stream
            if isinstance(self._next(), yaml.StreamEndEvent):
                return None
            value = self._value(self._next(), (), 0)
            self._next()  # the end of the document
            after = self._next()
            if not isinstance(after, yaml.StreamEndEvent):
                raise self._wrong(after, "a second document: expected one in a file")
        except yaml.MarkedYAMLError as error:
            raise self._not_yaml(error) from None
        except yaml.reader.ReaderError as error:
            raise self._unreadable(error) from None
        return value

    def _value(self, event: Any, path: KeyPath, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise self._too_many(event)
        if self._positions is not None and path not in self._positions:
            self._positions[path] = _place(event)
        if type(event) is yaml.AliasEvent:
            return self._alias(event, depth)
        if event.tag is not None:
            raise self._wrong(event, f"tag {shown(event.tag)}: expected none")
        if event.anchor is not None:
            return self._anchored(event, path, depth)
        if type(event) is yaml.ScalarEvent:
            return self._plain(event) if event.implicit[0] else event.value
        return self._content(event, path, depth)

    def _content(self, event: Any, path: KeyPath, depth: int) -> Any:
        if type(event) is yaml.ScalarEvent:
            return self._plain(event) if event.implicit[0] else event.value
        if depth >= DEEPEST:
            raise self._too_deep(event)
        if depth >= self._reached:
            self._reached = depth + 1
        if type(event) is yaml.MappingStartEvent:
            return self._mapping(path, depth + 1)
        return self._sequence(path, depth + 1)

    def _sequence(self, path: KeyPath, depth: int) -> list[Any]:
        found: list[Any] = []
        while type(event := self._next()) is not yaml.SequenceEndEvent:
            found.append(self._value(event, self._on(path, len(found)), depth))
        return found

    def _mapping(self, path: KeyPath, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[dict[str, Any]] | None = None
        while type(event := self._next()) is not yaml.MappingEndEvent:
            if type(event) is not yaml.ScalarEvent:
                raise self._wrong(event, "a key is not a string: expected one")
            # Most keys are plain words: no call for them, since they are half of what there is.
            if event.anchor is None and event.tag is None:
                self._nodes += 1
                key = self._plain(event) if event.implicit[0] else event.value
            else:
                key = self._value(event, (*path, ""), depth)
            if not isinstance(key, str):
                said = f"key {shown(key)} is not a string: expected one; write it in quotes"
                raise self._wrong(event, said)
            inner = path
            if self._positions is not None:
                inner = (*path, key)
                self._positions.setdefault(inner, _place(event))
            value = self._value(self._next(), inner, depth)
            if key == "<<" and event.implicit[0]:
                if merged is not None:
                    raise self._wrong(event, "merge key << comes twice: expected a list of aliases")
                merged = self._merged(event, value)
                continue
            if key in found:
                said = (
                    f'found duplicate key "{key}" with value {shown(value)} (original value: '
                    f"{shown(found[key])}): expected each key once"
                )
                raise self._wrong(event, said)
            found[key] = value
        for more in merged or ():
            found = found | {key: value for key, value in more.items() if key not in found}
        return found

    # --- anchors --------------------------------------------------------------------------------

    def _anchored(self, event: Any, path: KeyPath, depth: int) -> Any:
        """Read a value that has an anchor, and remember it under that name."""
        before, reached = self._nodes, self._reached
        self._reached = depth
        self._anchors.pop(event.anchor, None)
        self._open.add(event.anchor)
        value = self._content(event, path, depth)
        self._open.discard(event.anchor)
        size = self._nodes - before + 1
        self._anchors[event.anchor] = _Anchored(value, size, self._reached - depth)
        self._reached = max(reached, self._reached)
        return value

    def _alias(self, event: Any, depth: int) -> Any:
        """Return what an alias stands for, counted as if it were written here."""
        name = event.anchor
        if name in self._open:
            raise self._wrong(event, f"alias *{name}: stands inside its own anchor &{name}")
        if name not in self._anchors:
            raise self._wrong(event, f"alias *{name}: expected an anchor &{name} before it")
        known = self._anchors[name]
        self._nodes += known.nodes - 1
        if self._nodes > MOST_NODES:
            raise self._too_many(event)
        if depth + known.depth > DEEPEST:
            raise self._too_deep(event)
        self._reached = max(self._reached, depth + known.depth)
        return known.value

    def _merged(self, event: Any, value: Any) -> list[dict[str, Any]]:
        """Return the mappings a merge key brings in, the most important first."""
        parts = value if isinstance(value, list) else [value]
        for part in parts:
            if not isinstance(part, dict):
                said = f"merge key <<: {shown(part)}: expected a mapping, or a list of mappings"
                raise self._wrong(event, said)
        return parts

    def _on(self, path: KeyPath, key: str | int) -> KeyPath:
        return path if self._positions is None else (*path, key)

    def _plain(self, event: Any) -> Any:
        text: str = event.value
        if text and text[0] not in _NOT_STRING:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INT.match(text) or _BASED.match(text) or _FLOAT.match(text):
            if len(text) > LONGEST_NUMBER:
                raise self._wrong(event, "is too long a number: expected a string in quotes")
            if _INT.match(text):
                return int(text)
            return int(text, 0) if _BASED.match(text) else float(text)
        return text

    # --- errors ---------------------------------------------------------------------------------

    def _too_many(self, event: Any) -> YamlError:
        return self._wrong(event, f"holds more than {MOST_NODES} values: expected fewer")

    def _too_deep(self, event: Any) -> YamlError:
        return self._wrong(event, f"is nested deeper than {DEEPEST}: expected less")

    def _wrong(self, event: Any, sentence: str) -> YamlError:
        return YamlError(self._path, *_place(event), sentence)

    def _not_yaml(self, error: yaml.MarkedYAMLError) -> YamlError:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        context = f" {error.context}" if error.context else ""
        return YamlError(self._path, line, column, f"not YAML: {error.problem}{context}")

    def _unreadable(self, error: yaml.reader.ReaderError) -> YamlError:
        before = self._text.encode()[: error.position].decode(errors="replace")
        line = before.count("\n") + 1
        column = len(before) - (before.rfind("\n") + 1) + 1
        return YamlError(self._path, line, column, f"not YAML: {error.reason}")


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1
