"""Which keys each kind of thing in a job file takes: the readers themselves are asked.

A reader is given a mapping that remembers what it was asked for. So the JSON Schema and the
defaults of folders know of a key as soon as a reader takes it, and cannot drift from what is read.
Called by `job_schema.py` and `folder_defaults.py`; pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from . import registry
from .errors import UserError
from .parse import read_job
from .parse_actions import ACTION_TYPES, read_action
from .parse_conditions import CONDITION_TYPES, read_condition
from .parse_programs import LEGACY, PROGRAM_TYPES, read_program
from .parse_schedules import SCHEDULE_TYPES, STOP_TYPES, read_schedule, read_stop
from .reading import At, KeyPath, Told

MISSING = "missing key: "


class Part(NamedTuple):
    """A part of a job that comes in kinds: its name, the kind of each `type` of our own, and the
    reader of all."""

    name: str
    types: Mapping[str, str]
    read: Callable[[Any, At], Any]

    @property
    def kinds(self) -> Mapping[str, str]:
        """The kind of each `type`, those of extensions included."""
        more = registry.names_of(self.name)
        return {**self.types, **more} if more else self.types


# A new part of job files gets its row here, and its keys their shapes in `schema_shapes.py`. New
# kinds and keys of these parts need no row: their readers are asked.
PARTS = {
    part.name: part
    for part in (
        Part("schedule", SCHEDULE_TYPES, read_schedule),
        Part("stop", STOP_TYPES, read_stop),
        Part("program", PROGRAM_TYPES, read_program),
        Part("condition", CONDITION_TYPES, read_condition),
        Part("action", ACTION_TYPES, read_action),
    )
}


# Kinds that take other keys by what else they hold: entries that make them show these.
VARIANTS: dict[tuple[str, str], tuple[dict[str, Any], ...]] = {
    ("program", LEGACY): ({}, {"argv": ["x"]}),
    ("program", "procstar-ecs"): ({"argv": ["x"]}, {"command": "x"}),
    ("program", "ssh"): ({"argv": ["x"]}, {"command": "x"}),
    ("schedule", "cron"): ({}, {"cron": "0 0 * * *"}),
    ("action", "command"): ({"argv": ["x"]}, {"command": "x"}),
    ("condition", "not_before"): ({"time": "2024-01-01T00:00:00Z"}, {"daytime": "09:00"}),
    ("condition", "not_after"): ({"time": "2024-01-01T00:00:00Z"}, {"daytime": "09:00"}),
}


class Keys(NamedTuple):
    """The keys a reader takes, in its order; those it misses when they are not there; and, where
    it takes one or another, each set of keys one of which has to be whole."""

    taken: tuple[str, ...]
    required: tuple[str, ...]
    ways: tuple[tuple[str, ...], ...] = ()


class _Asked(dict[str, Any]):
    """A mapping that remembers the keys it was asked for."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.keys_asked: dict[str, None] = {}

    def get(self, key: str, default: Any = None) -> Any:
        """Return an entry, and remember that it was asked for."""
        self.keys_asked[key] = None
        return super().get(key, default)


def kind_of(part: str, name: Any) -> str | None:
    """Return the kind that a `type` of a part means, None when it means none."""
    kinds = PARTS[part].kinds
    if not isinstance(name, str):
        return None
    if name not in kinds and name.startswith("apsis."):
        name = name.rpartition(".")[2]
    return kinds.get(name)


def keys_of(part: str, kind: str) -> Keys:
    """Return the keys of a kind of a part; of what is required only what every variant requires."""
    return _keys_of(part, kind, registry.known())


@lru_cache(maxsize=256)
def _keys_of(part: str, kind: str, known: tuple[registry.Kind, ...]) -> Keys:
    del known  # For the cache alone: with other types kinds have other keys.
    taken: dict[str, None] = {}
    ways = []
    for entries in VARIANTS.get((part, kind), ({},)):
        keys = _keys(PARTS[part].read, {"type": name_of(part, kind), **entries})
        taken.update(dict.fromkeys(keys.taken))
        ways.append((*entries, *keys.required))
    required = set(ways[0]).intersection(*ways)
    in_order = tuple(key for key in taken if key in required)
    return Keys(tuple(taken), in_order, tuple(ways) if len(ways) > 1 else ())


def name_of(part: str, kind: str) -> str:
    """Return the first `type` that means a kind."""
    return next(name for name, found in PARTS[part].kinds.items() if found == kind)


def keys_within(part: str | None, data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return the keys that are asked for of the mapping at a key; none where any may stand there.

    Args:
        part, data: as for `problems_within`.
        key: an entry whose value may be a mapping.
    """
    inner = _Asked()
    problems_within(part, {**data, key: inner})
    return tuple(inner.keys_asked)


@lru_cache(maxsize=1)
def job_keys() -> Keys:
    """Return the keys of a job."""
    return _keys(lambda data, at: read_job(data, at, "x"), {})


def problems_within(part: str | None, data: Mapping[str, Any]) -> list[tuple[KeyPath, str]]:
    """Return what is wrong inside the entries of a mapping that need not be whole.

    Args:
        part: of which part it is; None: of a job.
        data: the mapping, with its `type` where the part has kinds.
    """

    def read(value: Any, at: At) -> Any:
        return PARTS[part].read(value, at) if part is not None else read_job(value, at, "x")

    return [(path, sentence) for path, sentence in _problems(read, data) if path]


def _keys(read: Callable[[Any, At], Any], data: dict[str, Any]) -> Keys:
    asked = _Asked(data)
    missed = [
        sentence.rpartition(MISSING)[2]
        for path, sentence in _problems(read, asked)
        if path == () and MISSING in sentence
    ]
    return Keys(tuple(asked.keys_asked), tuple(missed))


def _problems(read: Callable[[Any, At], Any], data: Mapping[str, Any]) -> list[tuple[KeyPath, str]]:
    problems: list[tuple[KeyPath, str]] = []
    try:
        read(data, At((), problems))
    except Told:
        pass
    except UserError as error:
        problems.append(((), str(error)))
    return problems
