"""The data of extension types: read field by field as their classes say.

Data stay data: what a job file says is kept as it is written, and travels as that; the class is
asked whether it fits, and makes a record of it where one is needed. Called by the readers of the
parts of a job, and by binding. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from . import registry
from .data_texts import texts_in
from .errors import UserError
from .reading import At, Fields, Told, free, shown
from .registry import Kind
from .templates import is_template

Data = dict[str, Any]

# Data are nested no deeper than a person can read.
DEEPEST = 16
read_free = free(DEEPEST)


def read_data(fields: Fields, kind: Kind, *, templates: bool = True, shared: str = "") -> Data:
    """Take the keys of a type's own, and refuse all that is left in the mapping.

    Args:
        templates: texts may be templates; what holds one is judged when it is rendered.
        shared: a key that both the type and the part may take.

    Raises:
        Told: something is wrong, recorded by now.
        UnfitType: a field of the class has the name of a key that the part takes itself.
    """
    data: Data = {}
    taken = fields.taken - {shared}
    for field in fields_of(kind):
        name = field.encode_name
        if name in taken:
            raise registry.UnfitType(
                f"field {name}: is a key of every {kind.part}: expected another name"
            )
        required = field.required
        read = _reader(field.type, templates=templates)
        found = fields.take(name, read) if required else fields.take(name, read, None)
        if found is not None:
            data[name] = found
    fields.finish()
    if not templates or not any(map(is_template, texts_in(data))):
        try:
            registry.record_of(kind, data)
        except UserError as error:
            fields.at.fail(str(error))
            raise Told from None
    return data


def fields_of(kind: Kind) -> tuple[msgspec.structs.FieldInfo, ...]:
    """Return the fields of a type's class."""
    return msgspec.structs.fields(kind.made)


@lru_cache(maxsize=1_000)
def shape_of(kind: Kind, key: str) -> Mapping[str, Any]:
    """Return the JSON Schema of a key of a type's own; empty where anything may stand."""
    for field in fields_of(kind):
        if field.encode_name == key:
            shape = msgspec.json.schema(field.type)
            if "$defs" in shape:
                return {}
            if kind.part == "schedule":
                return shape
            return {"anyOf": [shape, {"type": "string", "pattern": r"\{[{%#]"}]}
    return {}


def _reader(wanted: Any, *, templates: bool) -> Callable[[Any, At], Any]:
    """Return a reader of data that fit a type of Python's."""

    def read(value: Any, at: At) -> Any:
        found = read_free(value, at)
        if templates and any(map(is_template, texts_in(found))):
            return found
        try:
            msgspec.convert(found, wanted)
        except msgspec.ValidationError as error:
            raise UserError(f"{shown(value)}: {registry.plain_words(error)}") from None
        return found

    return read
