"""What an endpoint takes and gives, said by its signature: requests are read by it, and the API's
description is made of it (`openapi.py`).

    class PauseBody(msgspec.Struct, forbid_unknown_fields=True):
        kind: Literal["all", "folder", "label", "job"]
        reason: Annotated[str, Meta(description="Shown to everybody.")] = ""

    async def pause(request: Request, body: PauseBody) -> Pauses:
        '''Skip what schedules make.'''

- `query: T`, a struct: the parameters of the query string. A field is a text, a whole number (its
  bounds by `Meta`), a boolean, a choice (`Literal`), a list of texts (it may be repeated), or
  `dict[str, str]`: all parameters of other names.
- `body: T`, a struct: the JSON of the body. Without it a body is not looked at.
- What it returns is JSON of the type it says (a `TypedDict`, mostly; mypy holds it to that), or a
  `Reply` of a kind that `Annotated[Reply, Sends(…)]` says.
- The docstring's first paragraph is the operation's description.

With `forbid_unknown_fields` other names are refused: callsheet's own API does so, since a name that
is mistyped would look like success. The API of Apsis passes them over, as Apsis does.
"""

from __future__ import annotations

import enum
import functools
import inspect
import re
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NamedTuple,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from .routing import Problem, Reply, Request, parse_flag, parse_number

if TYPE_CHECKING:
    from .routing import Endpoint, Route

# A whole number in a query string without bounds of its own.
MOST = 2**53
_WHERE = re.compile(r"(?P<said>.*?)(?: - at `\$\.?(?P<at>.*)`)?", re.DOTALL)
_NAMES = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}


class Sends(NamedTuple):
    """What a `Reply` is: its content types; `shape`: the type of its JSON, None for bytes; the
    statuses of success."""

    kinds: tuple[str, ...] = ("application/json",)
    shape: Any = None
    statuses: tuple[int, ...] = (200,)


class Declared(NamedTuple):
    """What a signature says. `answer` None: it says nothing."""

    query: Any
    body: Any
    answer: Any
    about: str


class Param(NamedTuple):
    """One parameter of a query string. `kind` is `text`, `number`, `flag`, `texts` or `rest`."""

    name: str
    kind: str
    type: Any
    meta: msgspec.Meta
    field: msgspec.structs.FieldInfo


@functools.cache
def declared_of(endpoint: Endpoint) -> Declared:
    """Return what an endpoint's signature says."""
    hints = get_type_hints(endpoint, include_extras=True)
    found = hints.get("return", Any)
    return Declared(
        query=hints.get("query"),
        body=hints.get("body"),
        answer=None if found is Any else found,
        about=inspect.getdoc(endpoint) or "",
    )


async def answer(route: Route, request: Request) -> Any:
    """Return what the endpoint of a route answers, its query and its body read by its types.

    Raises:
        Problem: 400, one of them is not of its type; 415, the body does not say that it is JSON.
    """
    declared = declared_of(route.endpoint)
    if request.method not in ("GET", "HEAD"):
        _ = request.key  # A bad one is refused, also where nothing comes of it.
    given: dict[str, Any] = {}
    if declared.query is not None:
        given["query"] = read_query(declared.query, request.query)
    if declared.body is not None:
        if route.path.startswith("/api/v2/"):
            request.check_json()
        given["body"] = read_body(declared.body, request.body)
    request.services.under_way += 1
    try:
        return await route.endpoint(request, **given)
    finally:
        request.services.under_way -= 1


# --- query strings --------------------------------------------------------------------------------


@functools.cache
def params_of(type_: Any) -> tuple[Param, ...]:
    """Return the parameters that a query's struct names.

    Raises:
        AssertionError: a field is of a type that no query string holds.
    """
    return tuple(_param(field) for field in msgspec.structs.fields(type_))


def read_query(type_: Any, given: Mapping[str, list[str]]) -> Any:
    """Return the parameters of a query string as the struct says.

    Raises:
        Problem: 400, one of them is not of its type, is not known, or is missing.
    """
    params = params_of(type_)
    known = {param.name for param in params}
    strange = given.keys() - known
    if strange and type_.__struct_config__.forbid_unknown_fields:
        names = ", ".join(sorted(strange))[:200]
        raise Problem(400, f"unknown parameters: {names}: expected {_listed(known)}")
    found: dict[str, Any] = {}
    for param in params:
        if param.kind == "rest":
            found[param.name] = {name: given[name][-1] for name in given.keys() - known}
            continue
        values = given.get(param.name)
        if values:
            found[param.name] = _value(param, values)
    try:
        return msgspec.convert(found, type_)
    except msgspec.ValidationError as error:
        raise Problem(400, sentence_of(error, type_)) from None


def _value(param: Param, values: list[str]) -> Any:
    match param.kind:
        case "texts":
            return values
        case "flag":
            return parse_flag(param.name, values[-1], bare=True)
        case "number":
            lowest = -MOST if param.meta.ge is None else int(param.meta.ge)
            highest = MOST if param.meta.le is None else int(param.meta.le)
            return parse_number(param.name, values[-1], lowest, highest)
        case _:
            return values[-1]


def _param(field: msgspec.structs.FieldInfo) -> Param:
    type_, meta = bare_type(field.type)
    if get_origin(type_) is list:
        kind = "texts"
    elif get_origin(type_) is dict:
        kind = "rest"
    elif type_ is bool:
        kind = "flag"
    elif type_ is int:
        kind = "number"
    else:
        assert type_ is str or get_origin(type_) is Literal, f"{field.name}: {type_}"
        kind = "text"
    return Param(field.encode_name, kind, type_, meta, field)


def bare_type(type_: Any) -> tuple[Any, msgspec.Meta]:
    """Return a type without `None` and annotations, and its `Meta`."""
    meta = msgspec.Meta()
    while True:
        if get_origin(type_) is Annotated:
            type_, *said = get_args(type_)
            meta = next((one for one in said if isinstance(one, msgspec.Meta)), meta)
        elif get_origin(type_) in (Union, UnionType):
            rest = [one for one in get_args(type_) if one is not NoneType]
            if len(rest) != 1:
                return type_, meta
            type_ = rest[0]
        else:
            return type_, meta


# --- bodies ---------------------------------------------------------------------------------------


def read_body(type_: Any, data: bytes) -> Any:
    """Return a body as its type says; an empty one is an empty object.

    Raises:
        Problem: 400, it is no JSON, or not of the type.
    """
    try:
        return _decoder(type_).decode(data if data.strip() else b"{}")
    except msgspec.ValidationError as error:
        raise Problem(400, sentence_of(error, type_)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, f"request body: {error}: expected JSON") from None


@functools.cache
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def sentence_of(error: msgspec.ValidationError, type_: Any) -> str:
    """Return in our words what is wrong with a value of a type: where, and what was expected."""
    found = _WHERE.fullmatch(str(error))
    assert found is not None, "the pattern fits every text"
    at, said = found["at"] or "", found["said"]
    inner, meta = _at(type_, at)
    missing = re.fullmatch(r"Object missing required field `(.*)`", said)
    if missing is not None:
        return f"{_joined(at, missing[1])}: missing: expected {_meant(inner, missing[1])}"
    strange = re.fullmatch(r"Object contains unknown field `(.*)`", said, re.DOTALL)
    if strange is not None:
        names = _listed(field.encode_name for field in msgspec.structs.fields(inner))
        return f"{_joined(at, strange[1][:100])}: not known: expected {names or 'nothing'}"
    where = at or "request body"
    choices = _choices(inner)
    if choices:
        return f"{where}: expected one of {choices}"
    wrong = re.fullmatch(r"Expected `([^`]*)`(.*?)(?:, got `([^`]*)`)?", said)
    if wrong is None:
        return f"{where}: {said[:1].lower()}{said[1:]}"
    got = f": is {_words(wrong[3])}" if wrong[3] else ""
    return f"{where}{got}: expected {_words(wrong[1])}{_limits(meta)}"


def _limits(meta: msgspec.Meta) -> str:
    if meta.ge is not None and meta.le is not None:
        return f" from {meta.ge} to {meta.le}"
    if meta.max_length is not None:
        return f" of at most {meta.max_length} characters"
    return " that is not empty" if meta.min_length else ""


def _at(type_: Any, path: str) -> tuple[Any, msgspec.Meta]:
    """Return type and limits at a path such as `times.stop` or `runs[0]`, None where they are not
    to be told."""
    for part in re.findall(r"[^.\[\]]+", path):
        type_ = bare_type(type_)[0]
        if get_origin(type_) in (list, tuple):
            type_ = get_args(type_)[0]
        elif isinstance(type_, type) and issubclass(type_, msgspec.Struct):
            named = {field.encode_name: field.type for field in msgspec.structs.fields(type_)}
            type_ = named.get(part)
        else:
            return None, msgspec.Meta()
    return bare_type(type_)


def _meant(type_: Any, name: str) -> str:
    """Return what is expected of a field, as its description says or its type."""
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        for field in msgspec.structs.fields(type_):
            if field.encode_name == name:
                inner, meta = bare_type(field.type)
                choices = _choices(inner)
                plain = _NAMES.get(getattr(inner, "__name__", ""), "it")
                return f"one of {choices}" if choices else (meta.description or plain).rstrip(".")
    return "it"


def _choices(type_: Any) -> str:
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return ", ".join(str(one.value) for one in type_)
    return ", ".join(map(str, get_args(type_))) if get_origin(type_) is Literal else ""


def _joined(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _words(types: str) -> str:
    return " or ".join(_NAMES.get(one.strip(), one.strip()) for one in types.split("|"))


def is_reply(type_: Any) -> bool:
    """Return whether a return type is a reply that says what it sends."""
    return get_origin(type_) is Annotated and issubclass(get_args(type_)[0], Reply)
