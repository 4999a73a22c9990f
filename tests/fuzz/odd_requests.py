"""Requests that nobody should send: every route, its query and body made of their types, and bytes
that are hardly requests.

What would end the server or its agent, or cost it so much that nothing else could be asked for, is
left out or rare: how many runs may be asked for at once has tests of its own.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple
from urllib.parse import quote

from odd_values import BY_NAME, TEXTS, Dice, maker_of, odd, wounded

from callsheet.webui.app import TABLE
from callsheet.webui.declared import declared_of

KIND = "rest"
METHODS = [
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "BREW",
    "get",
    "X" * 99,
]
ODD_PARTS = [
    "", ".", "..", "%2e%2e", "%00", "%ff", "a%2Fb", "gr%C3%BC", "%F0%9F%98%80", "a" * 3000,
    "{{7*7}}",
    "<script>", "%25s%25n", "~", "*", "%", "%zz", ";", "r1%0a", "r1%20", "-1", "%E2%80%AE",
    "match%20x",
]  # fmt: skip
PARTS: dict[str, list[str]] = {
    "run_id": [*BY_NAME["run_id"]],
    "job_id": ["noop", "grp/echo", "grp%2Fecho", "nothing", "no", "later", "grp"],
    "output_id": ["output", "order", "x"],
    "state": [*BY_NAME["state"]],
    "signal": ["TERM", "SIGKILL", "15", "0", "-9", "99", "SIGX"],
    "verb": ["skip", "start", "stop", "rerun", "kill", "mark", "signal", "reschedule", "x"],
    "agent_id": ["nobody", "x", "a%20b"],
    "token_id": ["0", "abcdef", "x"],
    "name": ["ada", "nobody", "x"],
    "operation_id": ["o1", "1", "x", "op1"],
    "backfill_id": ["b1", "1", "x", "bf1"],
    "claim": ["r1.1", "r2.1", "r1", "x"],
}
# Each takes the server long, or makes much for it to do: asked for seldom.
COSTLY = {
    "/api/v2/login", "/api/v2/users", "/api/v2/users/{name}/change", "/api/v2/backfills",
    "/api/v2/operations", "/api/v2/reload", "/api/control/reload_jobs", "/api/v2/checks",
    "/metrics",
    "/api/v2/pause", "/api/v2/tokens", "/api/v2/agents/tokens",
}  # fmt: skip
COSTLY_SHARE = 0.03
PART = re.compile(r"\{(\w+)\*?\}")
SPARED = {"/api/control/shut_down", "/api/v2/agents/{agent_id}/shutdown"}
HEADERS = [
    ("Content-Type", "text/html"), ("Content-Type", "application/json; charset=x"), ("Accept",
    "image/png"),
    ("Accept-Encoding", "br;q=x,*"), ("Range", "bytes=9-1"), ("Idempotency-Key", "k"), ("Cookie",
    "a=\u00e9; ="),
    ("Idempotency-Key", "x" * 300), ("Content-Encoding", "gzip"), ("Origin", "null"), ("Upgrade",
    "websocket"),
    ("If-None-Match", "*"), ("X-Forwarded-For", "::1"), ("Authorization", "Basic YTpi"), ("Range",
    "bytes=0-"),
    ("Authorization", "Bearer cst_wrong"), ("Host", "evil.example"), ("Host", "localhost:99999"),
    ("Expect", "x"),
    ("Origin", "http://localhost"), ("Sec-Fetch-Site", "cross-site"), ("Transfer-Encoding",
    "gzip"), ("Cookie", "cs=x"),
    ("Content-Length", "-1"), ("Connection", "Upgrade"), ("X" * 200, "y" * 2_000),
    ("If-Modified-Since", "yesterday"),
]  # fmt: skip
BODIES = [
    b"",
    b"{",
    b"[" * 2000,
    b"null",
    b'"\\ud800"',
    b"\xff\xfe",
    b"1e999",
    b"{}",
    b"[]",
    b'{"a":' * 99,
]
ROUTES = [route for route in TABLE.routes if route.path not in SPARED]
CHEAP = [route for route in ROUTES if route.path not in COSTLY]
DEAR = [route for route in ROUTES if route.path in COSTLY]
DEFINITIONS = [{"program": {"type": "no-op"}}, {"program": "true"}, {"program": {}}, {"x": 1}, None]


class Asked(NamedTuple):
    """A request as bytes; `alone`: it may end its connection, or leave it in the middle of it."""

    data: bytes
    method: str
    what: str
    alone: bool = False


def a_request(dice: Dice, tokens: list[str]) -> Asked:
    """Return one request; `tokens`: by which some of them come in."""
    method, target, body = _line(dice)
    headers = {"Host": "localhost"}
    if body is not None:
        headers["Content-Length"] = str(len(body))
        headers["Content-Type"] = "application/json"
    roll = dice.random()
    if roll < 0.3 and tokens:
        headers["Authorization"] = f"Bearer {dice.choice(tokens)}"
    alone = False
    if dice.random() < 0.2:
        name, value = dice.choice(HEADERS)
        headers[name] = value
        alone = name in ("Content-Length", "Transfer-Encoding", "Upgrade", "Connection", "Expect")
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    data = f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogatepass") + (
        body or b""
    )
    what = f"{method} {target[:200]} {body!r:.300}"
    if dice.random() < 0.05:
        return Asked(wounded(data, dice), method, f"wounded {what}", alone=True)
    return Asked(data, method, what, alone)


def _line(dice: Dice) -> tuple[str, str, bytes | None]:
    """Return method, target and body."""
    if dice.random() < 0.08:
        path = "/" + "/".join(dice.choice([*ODD_PARTS, "api", "v1", "v2"]) for _ in range(4))
        return dice.choice(METHODS), path, dice.choice((None, *BODIES))
    route = dice.choice(DEAR if dice.random() < COSTLY_SHARE else CHEAP)
    method = dice.choice(route.methods.split()) if dice.random() < 0.93 else dice.choice(METHODS)
    path = PART.sub(lambda part: _part(part[1], dice), route.path)
    declared = declared_of(route.endpoint)
    if declared.query is not None:
        path += _query(maker_of(declared.query)(dice), dice)
    elif dice.random() < 0.1:
        path += f"?{dice.choice(ODD_PARTS)}={dice.choice(ODD_PARTS)}"
    body = None
    if declared.body is not None:
        data = maker_of(declared.body)(dice)
        if isinstance(data, dict):
            _mean_something(data, dice)
        body = _json(data) if dice.random() < 0.95 else dice.choice(BODIES)
    elif dice.random() < 0.1:
        body = _json(odd(dice)) if dice.random() < 0.5 else dice.choice(BODIES)
    return method, path, body


def _part(name: str, dice: Dice) -> str:
    return dice.choice(ODD_PARTS if dice.random() < 0.15 else PARTS[name])


def _mean_something(data: dict[str, Any], dice: Dice) -> None:
    """Put into a body what its type does not say."""
    if isinstance(data.get("job"), dict) and dice.random() < 0.8:
        data["job"] = dice.choice(DEFINITIONS)
    if "verb" in data and dice.random() < 0.5:
        data["verb"] = dice.choice(PARTS["verb"])
    if "command_id" in data and dice.random() < 0.5:
        data["command_id"] = dice.choice(TEXTS)
    # Nothing makes runs by the thousand: there are a million of us.
    for name in ("count", "times"):
        if isinstance(data.get(name), int) and data[name] > 3:
            data[name] = 10**9


def _query(data: Any, dice: Dice) -> str:
    if not isinstance(data, dict):
        return f"?{dice.choice(ODD_PARTS)}"
    pairs = []
    for name, value in data.items():
        for one in value if isinstance(value, list) else [value]:
            text = one if isinstance(one, str) else _json(one).decode("utf-8", "surrogatepass")
            said = quote(
                text[:2_000].encode("utf-8", "surrogatepass"), safe=dice.choice(("", "/:", "{}<>"))
            )
            pairs.append(f"{quote(str(name)[:100].encode('utf-8', 'surrogatepass'))}={said}")
    if not pairs:
        return ""
    return "?" + dice.choice("&&&&&;").join(pairs)


def _json(data: Any) -> bytes:
    try:
        return json.dumps(data, default=repr).encode()
    except TypeError:
        # Keys that JSON has not.
        return repr(data).encode("ascii", "replace")
