"""The JSON Schema of job files, for editors and for whoever writes them by program.

Generated: the keys are those the readers take (`job_keys.py`), their values as `schema_shapes.py`
has them. What the reader takes the schema takes; the reader is stricter, since it knows zones,
signals and how parts fit together. Called by the API, the command line and the docs; pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from . import registry
from .extension_data import shape_of
from .job_keys import PARTS, job_keys, keys_of, keys_within, name_of
from .schema_shapes import JOB, PARAM, SHAPES, Shape, any_of, ref, some

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Short forms of conditions: the kind's name is the key of what is in it.
COMPOSED = {"all": some(ref("condition")), "any": some(ref("condition")), "not": ref("condition")}

# A file alone may lack these: the defaults of its folder often say them for all its jobs.
FROM_DEFAULTS = ("tz",)


def job_schema() -> Shape:
    """Return the schema of a job file, with the types of extensions that this process knows; not to
    be changed by the caller."""
    return _schema(registry.known())


@lru_cache(maxsize=1)
def _schema(known_types: tuple[registry.Kind, ...]) -> Shape:
    del known_types  # For the cache alone.
    keys = job_keys()
    known = {
        key: _entry(None, {}, key, JOB.get(key, {}), key in keys.required) for key in keys.taken
    }
    return {
        "$schema": DIALECT,
        "title": "A job of callsheet",
        "type": "object",
        "properties": known,
        "required": list(keys.required),
        "additionalProperties": False,
        "$defs": _definitions(),
    }


def schema_text() -> str:
    """Return the schema as JSON, as it is shipped."""
    return json.dumps(job_schema(), indent=1, ensure_ascii=False) + "\n"


def unknown_keys() -> list[str]:
    """Return the keys that readers take and that have no shape, as `part.kind.key`."""
    found = [key for key in job_keys().taken if key not in JOB]
    for part in PARTS:
        for kind in _kinds(part):
            taken = keys_of(part, kind).taken
            found += [f"{part}.{kind}.{key}" for key in taken if key not in {*SHAPES[part], "type"}]
    return found


# --- inside -------------------------------------------------------------------------------------


def _definitions() -> dict[str, Shape]:
    found: dict[str, Shape] = {"param": PARAM}
    for part in PARTS:
        found[part] = _by_kind(part)
        for kind in _kinds(part):
            found[f"{part} {kind}"] = _kind(part, kind)
    found["schedule entry"] = _typed_or(
        ref("schedule"),
        {
            "type": "object",
            "properties": {"start": ref("schedule"), "stop": _or_null(ref("stop"))},
            "required": ["start"],
            "additionalProperties": False,
        },
    )
    enabled = SHAPES["condition"]["enabled"]
    found["condition"] = _typed_or(
        found["condition"],
        {
            "type": "object",
            "properties": {**COMPOSED, "enabled": _or_null(enabled)},
            "minProperties": 1,
            "additionalProperties": False,
        },
    )
    argv = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    found["program"] = any_of({"type": "string", "minLength": 1}, argv, found["program"])
    return found


def _kinds(part: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(PARTS[part].kinds.values()))


def _by_kind(part: str) -> Shape:
    """Return the shape of a part: its `type` says which kind's shape holds."""
    names = [_named(part, kind) for kind in _kinds(part)]
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": any_of(*names)},
        "allOf": [
            {
                "if": {"properties": {"type": name}, "required": ["type"]},
                "then": ref(f"{part} {kind}"),
            }
            for kind, name in zip(_kinds(part), names, strict=True)
        ],
    }


def _named(part: str, kind: str) -> Shape:
    """Return the shape of the names of a kind: short ones, and those of Apsis's classes."""
    names = [name for name, found in PARTS[part].kinds.items() if found == kind]
    return any_of(
        {"enum": names},
        {"type": "string", "pattern": rf"^apsis\.(.*\.)?({'|'.join(names)})$"},
    )


def _kind(part: str, kind: str) -> Shape:
    keys = keys_of(part, kind)
    given = FROM_DEFAULTS if part == "schedule" else ()
    data = {"type": name_of(part, kind)}
    known: dict[str, Shape] = {"type": {}}
    for key in keys.taken:
        if key != "type":
            shape = _shape(part, kind, key)
            known[key] = _entry(part, data, key, shape, key in keys.required)
    found = {
        "type": "object",
        "properties": known,
        "required": ["type", *(key for key in keys.required if key not in ("type", *given))],
        "additionalProperties": False,
    }
    ways = [{"required": list(way)} for way in keys.ways]
    return {**found, **any_of(*ways)} if ways else found


def _shape(part: str, kind: str, key: str) -> Shape:
    """Return the shape of a key: that of the part, else that of an extension's type."""
    if kind in registry.names_of(part):
        own = shape_of(registry.kind_of(part, kind), key)
        return dict(own) if own else SHAPES[part].get(key, {})
    return SHAPES[part].get(key, {})


def _entry(
    part: str | None, data: Mapping[str, Any], key: str, shape: Shape, required: bool
) -> Shape:
    """Return the shape of an entry, with the keys of a mapping in it that only its reader knows."""
    asked = keys_within(part, data, key)
    shape = _completed(shape, asked)
    return shape if required else _or_null(shape)


def _completed(shape: Shape, asked: tuple[str, ...]) -> Shape:
    if "anyOf" in shape:
        return {**shape, "anyOf": [_completed(one, asked) for one in shape["anyOf"]]}
    if "properties" not in shape:
        return shape
    known = {key: _or_null(one) for key, one in shape["properties"].items()}
    return {**shape, "properties": {**{key: {} for key in asked}, **known}}


def _or_null(shape: Shape) -> Shape:
    """Return a shape that null has too: it stands for what is not there."""
    if not shape:
        return shape
    described = {"description": shape["description"]} if "description" in shape else {}
    bare = {key: value for key, value in shape.items() if key != "description"}
    if "anyOf" in bare:
        return {**described, "anyOf": [*bare["anyOf"], {"type": "null"}]}
    return {**described, **any_of(bare, {"type": "null"})}


def _typed_or(typed: Shape, other: Shape) -> Shape:
    """Return the shape of what has a `type`, or else another shape."""
    return {"if": {"type": "object", "required": ["type"]}, "then": typed, "else": other}
