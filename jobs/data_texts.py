"""Texts in the data of extension types and of actions: found, filled in, shown in words. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

WORDS_CHARACTERS = 120


def texts_in(value: Any) -> Iterator[str]:
    """Yield every text in data, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)


def with_texts(value: Any, fill: Callable[[str], str]) -> Any:
    """Return data with each text in them, but for keys, put through `fill`."""
    if isinstance(value, str):
        return fill(value)
    if isinstance(value, Mapping):
        return {key: with_texts(item, fill) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_texts(item, fill) for item in value]
    return value


def data_words(name: str, data: Mapping[str, Any]) -> str:
    """Return a type with its data in words."""
    said = ", ".join(f"{key}={_plain(value)}" for key, value in data.items())
    if len(said) > WORDS_CHARACTERS:
        said = said[:WORDS_CHARACTERS] + "…"
    return f"{name}({said})"


def data_hash(name: str, data: Mapping[str, Any]) -> int:
    """Return a hash of a type with its data; equal ones have equal hashes."""
    return hash((name, json.dumps(data, sort_keys=True)))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
