"""Requests, replies and the table of routes, without any Tornado: what endpoints are written in.

An endpoint is an async function that takes a `Request` and returns JSON-able data or a `Reply`, or
raises `Problem`. The table says which path and method leads to which; `find` is the only look-up.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote

import msgspec

from ..jobs.errors import CallsheetError
from .rights import need_of

if TYPE_CHECKING:
    from .guests import Caller, Guest
    from .services import Services

# What an Idempotency-Key may look like.
KEY_CHARS = 200
# Parameters of one query string.
MAX_PARAMS = 200

# How a boolean parameter is written, by Apsis's clients and others.
TRUE = ("True", "true", "T", "t")
FALSE = ("False", "false", "F", "f")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_PART = re.compile(r"\{(\w+)(\*?)\}")


class Problem(CallsheetError):
    """A request is answered with an error: a status and one sentence, maybe with more data."""

    def __init__(
        self,
        status: int,
        sentence: str,
        *,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.sentence = sentence
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})
        super().__init__(sentence)


class Reply:
    """An answer that is not just JSON with status 200."""

    def __init__(
        self,
        body: bytes,
        *,
        status: int = 200,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.body = body
        self.status = status
        self.content_type = content_type
        self.headers = dict(headers or {})


class Request:
    """A request as endpoints see it. `params` are the parts of the path, decoded."""

    def __init__(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        services: Services,
        caller: Caller | None = None,
        guest: Guest | None = None,
    ) -> None:
        path, _, query = target.partition("?")
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.services = services
        self._caller = caller
        self.guest = guest
        self.params: dict[str, str] = {}
        self.query = parse_query(query)

    @property
    def caller(self) -> Caller:
        """How it came in."""
        assert self._caller is not None, f"{self.path}: it did not come over the network"
        return self._caller

    def text(self, name: str) -> str | None:
        """Return the last value of a query parameter, None when it is not given."""
        values = self.query.get(name)
        return values[-1] if values else None

    def flag(self, name: str, *, bare: bool = False) -> bool:
        """Return a boolean parameter, False when absent; `bare`: its bare name means True.

        Raises:
            Problem: 400, it is neither true nor false.
        """
        value = self.text(name)
        return False if value is None else parse_flag(name, value, bare=bare)

    def number(self, name: str, default: int, lowest: int, highest: int) -> int:
        """Return a whole number parameter.

        Raises:
            Problem: 400, it is no number in the range.
        """
        value = self.text(name)
        return default if value is None else parse_number(name, value, lowest, highest)

    @property
    def key(self) -> str | None:
        """The key under which it may be repeated, None when it has none.

        Raises:
            Problem: 400, it is not what a key looks like.
        """
        key = self.headers.get("Idempotency-Key")
        if key is None or (key.isascii() and key.isprintable() and 0 < len(key) <= KEY_CHARS):
            return key
        raise Problem(400, f"Idempotency-Key: expected 1 to {KEY_CHARS} printable characters")

    def check_json(self) -> None:
        """Refuse a body that does not say that it is JSON, as no plain form of a page can.

        Raises:
            Problem: 415.
        """
        content = self.headers.get("Content-Type", "")
        if self.body and content.partition(";")[0].strip().lower() != "application/json":
            raise Problem(415, f"content type {content[:100]!r}: expected application/json")

    def json(self) -> Any:
        """Return the body as JSON, an empty body as an empty object.

        Raises:
            Problem: 400, it is not JSON.
        """
        if not self.body.strip():
            return {}
        try:
            return _decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(400, f"request body: {error}: expected JSON") from None

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object.

        Raises:
            Problem: 400, it is not one.
        """
        body = self.json()
        if not isinstance(body, dict):
            raise Problem(400, "request body: not an object: expected a JSON object")
        return body


# An endpoint takes a request and, where its signature names them, `query` and `body`: see
# `declared.py`.
Endpoint = Callable[..., Awaitable[Any]]


class Route(NamedTuple):
    """One endpoint. In `path`, `{name}` is one part, `{name*}` may hold slashes. `also`: statuses
    it may answer with that not all do, as 429; see `openapi.py`."""

    methods: str
    path: str
    endpoint: Endpoint
    also: tuple[int, ...] = ()


class Table:
    """The routes, looked up in order."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = list(routes)
        self._patterns = [(_pattern(route.path), route) for route in self.routes]
        for route in self.routes:
            for method in route.methods.split():
                need_of(method, route.path)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """Return the route of a request and the decoded parts of its path.

        Raises:
            Problem: 404, no route has the path; 405 with `Allow`, none of them has the method.
        """
        allowed: list[str] = []
        wanted = "GET" if method == "HEAD" else method
        for pattern, route in self._patterns:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            methods = route.methods.split()
            if wanted in methods:
                return route, {name: _unquote(part) for name, part in found.groupdict().items()}
            allowed += [name for name in methods if name not in allowed]
        if allowed:
            if "GET" in allowed:
                allowed.append("HEAD")
            allow = ", ".join(allowed)
            sentence = f"{method} is not possible here: expected {allow}"
            raise Problem(405, sentence, headers={"Allow": allow})
        raise Problem(404, f"no such path: {path[:200]}")


def encode(value: Any) -> bytes:
    """Return compact JSON."""
    return _encode(value)


def parse_query(query: str) -> dict[str, list[str]]:
    """Return the parameters of a query string; a bare name has an empty value.

    Raises:
        Problem: 400, there are too many or they are not UTF-8.
    """
    try:
        return parse_qs(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMS)
    except ValueError:
        sentence = f"query string: expected at most {MAX_PARAMS} parameters in UTF-8"
        raise Problem(400, sentence) from None


def parse_flag(name: str, value: str, *, bare: bool = False) -> bool:
    """Return the boolean that a parameter says; `bare`: an empty value is True.

    Raises:
        Problem: 400, it is neither true nor false.
    """
    if bare and value == "":
        return True
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise Problem(400, f"{name}: {value!r}: expected True or False")


def parse_number(name: str, value: str, lowest: int, highest: int) -> int:
    """Return the whole number that a parameter says.

    Raises:
        Problem: 400, it is no number in the range.
    """
    # int() alone would also take blanks, underscores and digits of other scripts.
    if re.fullmatch(r"[+-]?[0-9]{1,18}", value) and lowest <= int(value) <= highest:
        return int(value)
    sentence = f"{name}: {value[:100]!r}: expected a whole number from {lowest} to {highest}"
    raise Problem(400, sentence)


def _pattern(path: str) -> re.Pattern[str]:
    position, text = 0, ""
    for part in _PART.finditer(path):
        text += re.escape(path[position : part.start()])
        text += f"(?P<{part[1]}>{'.+' if part[2] else '[^/]+'})"
        position = part.end()
    return re.compile(text + re.escape(path[position:]), re.DOTALL)


def _unquote(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Problem(400, "path: not UTF-8: expected percent-encoded UTF-8") from None
