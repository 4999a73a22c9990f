"""Params: what a job's args may be, and what they are when nobody gives them.

A param without a spec takes any text. Args are strings always; a spec says which strings. Read by
`parse.py`, asked by binding, checks and the API. Pure; a pattern of a job file is matched only
where processor time is bounded (see `needs_limits`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from .errors import UserError
from .reading import At, Fields, Told, filled, many, shown, text, word
from .times import parse_date, parse_daytime, parse_time

LONGEST_PATTERN = 500
MOST_CHOICES = 1_000

_INT = re.compile(r"[+-]?[0-9]{1,300}\Z")
_FLOAT = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")
_BOOLS = {"true": True, "True": True, "false": False, "False": False}


def _int(value: str) -> int:
    if not _INT.match(value):
        raise UserError("is no int")
    return int(value)


def _float(value: str) -> float:
    if not _FLOAT.match(value) or not math.isfinite(float(value)):
        raise UserError("is no float")
    return float(value)


def _bool(value: str) -> bool:
    if value not in _BOOLS:
        raise UserError("is no bool")
    return _BOOLS[value]


# What each type's args are called in sentences, and what gives their value: it raises UserError for
# a text that is none. The values of those in ORDERED can be compared, so they may have bounds.
TYPES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "string": ("a text", str),
    "int": ("a whole number", _int),
    "float": ("a number", _float),
    "bool": ("true or false", _bool),
    "date": ("a date like 2024-01-06", parse_date),
    "time": ("a time like 2024-01-02T03:04:05Z", parse_time),
    "daytime": ("a daytime like 09:30:00", parse_daytime),
    "choice": ("one of the choices", str),
    "regex": ("a text that matches the pattern", str),
}
# Keys that say of which type a param is, when nothing else does, and that this type needs.
_IMPLIED = {"choices": "choice", "pattern": "regex"}
ORDERED = ("int", "float", "date", "time", "daytime")


class ParamSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a param takes. `default` None: an arg must be given. `choices` empty: any.

    `pattern` must match the whole arg. `min` and `max` are the least and the greatest, as args.
    """

    type: str = "string"
    default: str | None = None
    description: str = ""
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    min: str | None = None
    max: str | None = None


# The names of a job's params, sorted, and the specs of those that have one.
Params = tuple[tuple[str, ...], dict[str, ParamSpec]]


# --- asking -------------------------------------------------------------------------------------


def why_not(spec: ParamSpec, arg: str) -> str | None:
    """Return why a param does not take an arg, None when it does.

    The sentence has the arg, what is wrong with it, and what was expected.
    """
    return _plainly_not(spec, arg) or _unmatched(spec, arg)


def with_defaults(
    params: Iterable[str], specs: Mapping[str, ParamSpec], args: Mapping[str, str]
) -> dict[str, str]:
    """Return args with the defaults of params that have none, sorted by name."""
    found = dict(args)
    for name in params:
        spec = specs.get(name)
        if name not in found and spec is not None and spec.default is not None:
            found[name] = spec.default
    return dict(sorted(found.items()))


def needs_limits(specs: Mapping[str, ParamSpec]) -> bool:
    """Whether args are to be checked where processor time is bounded: a pattern may be endless."""
    return any(spec.pattern is not None for spec in specs.values())


def _plainly_not(spec: ParamSpec, arg: str) -> str | None:
    """Return why not, patterns left aside."""
    words, value_of = TYPES[spec.type]
    try:
        value = value_of(arg)
    except UserError:
        return f"{shown(arg)}: expected {words}"
    if spec.choices and arg not in spec.choices:
        return f"{shown(arg)}: expected one of {_listed(spec.choices)}"
    if spec.min is not None and value < value_of(spec.min):
        return f"{shown(arg)}: is less than {spec.min}: expected {_range(spec)}"
    if spec.max is not None and value > value_of(spec.max):
        return f"{shown(arg)}: is more than {spec.max}: expected {_range(spec)}"
    return None


def _unmatched(spec: ParamSpec, arg: str) -> str | None:
    if spec.pattern is None or re.fullmatch(spec.pattern, arg):
        return None
    return f"{shown(arg)}: expected a text that matches {spec.pattern}"


def _range(spec: ParamSpec) -> str:
    if spec.min is None:
        return f"at most {spec.max}"
    return f"at least {spec.min}" if spec.max is None else f"{spec.min} to {spec.max}"


def _listed(choices: tuple[str, ...]) -> str:
    more = f" and {len(choices) - 10} more" if len(choices) > 10 else ""
    return ", ".join(map(shown, choices[:10])) + more


# --- reading ------------------------------------------------------------------------------------


def read_params(value: Any, at: At) -> Params:
    """Read params: one name, a list of names, or a mapping of names to specs or nothing."""
    if not isinstance(value, Mapping):
        return tuple(sorted(set(many(filled)(value, at)))), {}
    fields = Fields(value, at)
    for name in value:
        try:
            filled(name, at)
        except UserError as error:
            at.fail(str(error), key=name)
            raise Told from None
    specs = {name: fields.take(name, read_spec, None) for name in sorted(value)}
    fields.finish()
    return tuple(specs), {name: spec for name, spec in specs.items() if spec is not None}


def read_spec(value: Any, at: At) -> ParamSpec | None:
    """Read what a param takes: the name of a type, a list of choices, or a mapping."""
    if isinstance(value, list | tuple):
        return ParamSpec(type="choice", choices=_choices(value, at))
    if not isinstance(value, Mapping):
        kind = _type(value, at)
        if kind in ("choice", "regex"):
            needed = next(key for key, of in _IMPLIED.items() if of == kind)
            raise UserError(f"{kind}: expected a mapping with `type: {kind}` and `{needed}`")
        return None if kind == "string" else ParamSpec(type=kind)
    return _spec(Fields(value, at))


def _spec(fields: Fields) -> ParamSpec | None:
    at = fields.at
    implied = [of for key, of in _IMPLIED.items() if key in fields.data]
    kind: str | None = fields.take("type", _type, implied[0] if implied else "string")
    spec = ParamSpec(
        type=kind or "string",
        default=fields.take("default", _arg, None),
        description=fields.take("description", text, ""),
        choices=fields.take("choices", _choices, ()),
        pattern=fields.take("pattern", _pattern, None),
        min=fields.take("min", _arg, None),
        max=fields.take("max", _arg, None),
    )
    for needed, of in _IMPLIED.items():
        if kind == of and needed not in fields.data:
            at.fail(f"missing key: {needed}")
    for bound in ("min", "max"):
        if bound in fields.data and kind is not None and kind not in ORDERED:
            said = f"{kind} has no {bound}: expected one of the types {', '.join(ORDERED)}"
            at.key(bound).fail(said)
    fields.finish()
    _check_own(spec, at)
    return None if spec == ParamSpec() else spec


def _check_own(spec: ParamSpec, at: At) -> None:
    """Check that what a spec itself names is of its type and fits the rest of it."""
    bare = ParamSpec(type=spec.type)
    before = len(at.problems)
    for key, values in (("choices", spec.choices), ("min", [spec.min]), ("max", [spec.max])):
        for index, value in enumerate(values):
            if value is not None and (said := _plainly_not(bare, value)):
                (at.key(key).key(index) if key == "choices" else at.key(key)).fail(said)
    if len(at.problems) == before and None not in (spec.min, spec.max):
        value_of = TYPES[spec.type][1]
        if value_of(spec.min or "") > value_of(spec.max or ""):
            at.key("max").fail(f"{spec.max}: expected no less than min, {spec.min}")
    if len(at.problems) == before and spec.default is not None:
        said = _plainly_not(spec, spec.default)
        if said:
            at.key("default").fail(said)
    if len(at.problems) > before:
        raise Told


def check_given(specs: Mapping[str, ParamSpec], args: Mapping[str, str], at: At) -> None:
    """Record what is wrong with args that stand in a job file, at the place of the args.

    Patterns are not matched here, see `needs_limits`.
    """
    for name, arg in args.items():
        if name in specs and (said := _plainly_not(specs[name], arg)):
            at.key(name).fail(said)


def _type(value: Any, at: At) -> str:
    name = text(value, at)
    if name not in TYPES:
        raise UserError(f"bad type: {shown(name)}: expected one of {', '.join(TYPES)}")
    return name


def _arg(value: Any, at: At) -> str:
    return word(value, at)


def _choices(value: Any, at: At) -> tuple[str, ...]:
    found = many(word)(value, at)
    if not found:
        raise UserError("is empty: expected at least one choice")
    if len(found) > MOST_CHOICES:
        raise UserError(f"holds {len(found)} choices: expected at most {MOST_CHOICES}")
    return tuple(dict.fromkeys(found))


def _pattern(value: Any, at: At) -> str:
    pattern = filled(value, at)
    if len(pattern) > LONGEST_PATTERN:
        raise UserError(f"is longer than {LONGEST_PATTERN} characters: expected a short pattern")
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UserError(f"{shown(pattern)}: {error}: expected a regular expression") from None
    return pattern


# --- and back -----------------------------------------------------------------------------------


def params_data(params: Iterable[str], specs: Mapping[str, ParamSpec]) -> Any:
    """Return params as job files have them: a list of names, or a mapping when some have specs."""
    if not specs:
        return list(params)
    return {name: spec_data(specs[name]) if name in specs else None for name in params}


def spec_data(spec: ParamSpec) -> dict[str, Any]:
    """Return a spec as job files and the API have it: its type, and what else it says."""
    said: dict[str, Any] = msgspec.to_builtins(spec)
    if spec.choices:
        said["choices"] = list(spec.choices)
    return {"type": spec.type} | said
