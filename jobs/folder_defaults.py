"""Defaults of a folder: what the jobs below it have in common, and how a job takes it.

A file `_defaults.yaml` is read by `read_defaults`; `with_defaults` gives a job's data those of the
folders around it, inner ones first, before the job is read. It works on data, not on jobs, since
only data tell what a file does not say. Every part taken keeps its origin, so that what is wrong
with it is told of the file it stands in. Called by the job folder; pure.

| key | how jobs take it |
|---|---|
| `metadata` | entries a job lacks; labels are added to its own |
| `program` | per kind of program (`any`: every kind): keys it lacks; `env` by variable |
| `schedule` | keys an entry lacks and its type takes; `args` by name |
| `action` | added after the job's own |
| any other key of a job | as a whole, by jobs that lack it |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from .errors import UserError
from .job_keys import PARTS, job_keys, keys_of, kind_of, name_of, problems_within
from .parse import read_metadata
from .parse_actions import read_action
from .parse_launch import is_long_env
from .parse_programs import LEGACY, legacy_kind
from .reading import At, Fields, KeyPath, Reader, Told, many, shown

# What is a job's own affair.
_OWN = ("job_id", "params", "condition", "successors", "ad_hoc")
_WHOLE = tuple(
    key
    for key in job_keys().taken
    if key not in (*_OWN, "metadata", "program", "schedule", "action")
)
ANY = "any"
_BY_ENTRY = ("env", "vars", "args")


class Origin(NamedTuple):
    """Where a part of a job's data stands: in which layer (0: the job's own file), and where."""

    layer: int
    path: KeyPath


class Merged(NamedTuple):
    """A job's data with defaults, and the origins of what does not stand in its own file."""

    data: Any
    origins: dict[KeyPath, Origin]

    def origin(self, path: KeyPath) -> Origin:
        """Return where the nearest part on a key path stands."""
        for length in range(len(path), 0, -1):
            known = self.origins.get(path[:length])
            if known is not None:
                return Origin(known.layer, known.path + path[length:])
        return Origin(0, path)


# --- reading ------------------------------------------------------------------------------------


def read_defaults(data: Any) -> list[tuple[KeyPath, str]]:
    """Return what is wrong with the data of a defaults file: (key path, sentence) pairs."""
    problems: list[tuple[KeyPath, str]] = []
    at = At((), problems)
    try:
        if not isinstance(data, Mapping):
            raise UserError(f"defaults are {shown(data)}: expected a mapping")
        fields = Fields(data, at)
        fields.take("metadata", read_metadata, {})
        fields.take("program", _programs, {})
        fields.take("schedule", _schedule, {})
        fields.take("action", many(read_action), ())
        for key in _WHOLE:
            fields.take(key, _as_read_by(None, {}, key), None)
        for key in _OWN:
            if key in data:
                at.fail(f"{key} is a job's own affair: expected it in job files", key=key)
                fields.take(key, _anything, None)
        fields.finish()
    except Told:
        pass
    except UserError as error:
        problems.append(((), str(error)))
    return problems


def _programs(value: Any, at: At) -> None:
    fields = Fields(value, at)
    for kind in (ANY, *_program_kinds()):
        fields.take(kind, partial(_program, kind=kind), None)
    fields.finish()


def _program_kinds() -> tuple[str, ...]:
    kinds = dict.fromkeys(PARTS["program"].kinds.values())
    return tuple(kind for kind in kinds if kind != LEGACY)


def _program(value: Any, at: At, *, kind: str) -> None:
    """Read the keys for a kind of program."""
    kinds = _program_kinds() if kind == ANY else (kind,)
    _keyed(value, at, "program", kinds)


def _schedule(value: Any, at: At) -> None:
    """Read keys for schedules."""
    _keyed(value, at, "schedule", tuple(dict.fromkeys(PARTS["schedule"].kinds.values())))


def _keyed(value: Any, at: At, part: str, kinds: tuple[str, ...]) -> None:
    """Read keys each of which some of the kinds take; the first that does says what it may be."""
    takers: dict[str, str] = {}
    for kind in kinds:
        name = name_of(part, kind)
        for key in keys_of(part, kind).taken:
            takers.setdefault(key, name)
    del takers["type"]
    fields = Fields(value, at, known=tuple(takers))
    for key in fields.data:
        if key in takers:
            fields.take(key, _as_read_by(part, {"type": takers[key]}, key), None)
    fields.finish()


def _as_read_by(part: str | None, data: Mapping[str, Any], key: str) -> Reader[None]:
    """Return a reader of one entry of a part: what the part's reader says of it."""

    def read(value: Any, at: At) -> None:
        found = problems_within(part, {**data, key: value})
        wrong = [(path, sentence) for path, sentence in found if path[0] == key]
        for path, sentence in wrong:
            where = ".".join(map(str, at.path[:-1]))
            at.problems.append((at.path + path[1:], f"{where}.{sentence}" if where else sentence))
        if wrong:
            raise Told

    return read


def _anything(value: Any, _at: At) -> Any:
    return value


# --- merging ------------------------------------------------------------------------------------


def with_defaults(data: Any, layers: Sequence[Mapping[str, Any]]) -> Merged:
    """Return a job's data with what it takes from the layers, the innermost first.

    What is wrong with either stays as it is, for the reader of jobs to tell.
    """
    if not isinstance(data, Mapping):
        return Merged(data, {})
    merging = _Merging(dict(data))
    for number, layer in enumerate(layers, 1):
        merging.take(number, layer)
    return Merged(merging.data, merging.origins)


class _Merging:
    """Gives a job's data the defaults of one layer after another."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.origins: dict[KeyPath, Origin] = {}

    def take(self, layer: int, defaults: Mapping[str, Any]) -> None:
        """Take what is lacking from a layer."""
        if isinstance(metadata := defaults.get("metadata"), Mapping):
            self._metadata(layer, metadata)
        if isinstance(programs := defaults.get("program"), Mapping):
            self._program(layer, programs)
        if isinstance(schedule := defaults.get("schedule"), Mapping):
            self._schedules(layer, schedule)
        if defaults.get("action") is not None:
            self._actions(layer, defaults["action"])
        for key in _WHOLE:
            if defaults.get(key) is not None and self.data.get(key) is None:
                self.data[key] = defaults[key]
                self.origins[key,] = Origin(layer, (key,))

    def _lacking(
        self, mine: Any, path: KeyPath, layer: int, theirs: Mapping[str, Any], at: KeyPath
    ) -> dict[str, Any]:
        """Return a mapping with the entries it lacks, those of some keys entry by entry."""
        found = dict(mine)
        for key, value in theirs.items():
            if key not in found:
                found[key] = value
                self.origins[*path, key] = Origin(layer, (*at, key))
            elif (
                key in _BY_ENTRY and isinstance(value, Mapping) and isinstance(found[key], Mapping)
            ):
                inner = (*path, key)
                merge = self._env if key == "env" else self._lacking
                found[key] = merge(found[key], inner, layer, value, (*at, key))
        return found

    def _env(
        self, mine: Any, path: KeyPath, layer: int, theirs: Mapping[str, Any], at: KeyPath
    ) -> dict[str, Any]:
        """Return variables with those they lack, either side of which may be `{mode, vars}`."""
        if is_long_env(mine) == is_long_env(theirs):
            return self._lacking(mine, path, layer, theirs, at)
        if is_long_env(theirs):
            return self._lacking({"vars": mine}, path, layer, theirs, at)
        variables = mine.get("vars") or {}
        return {**mine, "vars": self._lacking(variables, (*path, "vars"), layer, theirs, at)}

    def _metadata(self, layer: int, theirs: Mapping[str, Any]) -> None:
        mine = self.data.get("metadata")
        if mine is None:
            mine = {}
        if not isinstance(mine, Mapping):
            return
        found = self._lacking(mine, ("metadata",), layer, theirs, ("metadata",))
        if mine.get("labels") is not None and theirs.get("labels") is not None:
            labels = _listed(mine["labels"])
            more = [label for label in _listed(theirs["labels"]) if label not in labels]
            found["labels"] = labels + more
        self.data["metadata"] = found

    def _program(self, layer: int, theirs: Mapping[str, Any]) -> None:
        program = self.data.get("program")
        if isinstance(program, str):
            program = {"type": "procstar-shell", "command": program}
        elif isinstance(program, list):
            program = {"type": "procstar", "argv": program}
        if not isinstance(program, Mapping):
            return
        kind = given = kind_of("program", program.get("type"))
        if given is None:
            return
        if kind == LEGACY:
            kind = legacy_kind(program)
        taken = keys_of("program", given).taken
        for name in (kind, ANY):
            keys = theirs.get(name or "")
            if isinstance(keys, Mapping):
                fitting = {key: keys[key] for key in keys if key in taken and key != "type"}
                path = ("program", name or "")
                program = self._lacking(program, ("program",), layer, fitting, path)
        self.data["program"] = program

    def _schedules(self, layer: int, theirs: Mapping[str, Any]) -> None:
        mine = self.data.get("schedule")
        if isinstance(mine, list):
            self.data["schedule"] = [
                self._entry(entry, ("schedule", index), layer, theirs)
                for index, entry in enumerate(mine)
            ]
        elif mine is not None:
            self.data["schedule"] = self._entry(mine, ("schedule",), layer, theirs)

    def _entry(self, entry: Any, path: KeyPath, layer: int, theirs: Mapping[str, Any]) -> Any:
        if not isinstance(entry, Mapping):
            return entry
        if "type" not in entry:
            if "start" not in entry:
                return entry
            start = self._entry(entry["start"], (*path, "start"), layer, theirs)
            return {**entry, "start": start}
        kind = kind_of("schedule", entry["type"])
        if kind is None:
            return entry
        taken = keys_of("schedule", kind).taken
        fitting = {key: theirs[key] for key in theirs if key in taken and key != "type"}
        return self._lacking(entry, path, layer, fitting, ("schedule",))

    def _actions(self, layer: int, theirs: Any) -> None:
        mine = self.data.get("action")
        if mine is not None and not isinstance(mine, list):
            self.origins["action", 0] = Origin(0, ("action",))
        actions = _listed(mine)
        for index, action in enumerate(_listed(theirs)):
            where = ("action", index) if isinstance(theirs, list) else ("action",)
            self.origins["action", len(actions)] = Origin(layer, where)
            actions.append(action)
        self.data["action"] = actions


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
