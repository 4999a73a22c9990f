"""The API described for machines: an OpenAPI 3.1 document, made of the table of routes, of what
each endpoint's signature says (`declared.py`) and of the table of rights. Pure.

Nothing of it is written by hand but what stands here: what the parts of a path are, the groups, the
statuses of errors, and the sockets, of which OpenAPI knows only the request that opens them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, NotRequired, TypedDict, get_args

import msgspec

from ..jobs.run import RUN_ID
from ..messages.access import Role
from .declared import Declared, Param, Sends, declared_of, is_reply, params_of
from .rights import need_of
from .routing import FALSE, KEY_CHARS, TRUE, Route

REF = "#/components/schemas/{name}"
APSIS = "Apsis contract"
# What stands in braces in a path: what it is, and a pattern if it has one. A new name goes here.
PARTS: dict[str, tuple[str, str]] = {
    "run_id": ("The id of a run, as r12.", RUN_ID.replace(r"\Z", "$")),
    "job_id": ("The id of a job; it may hold slashes, percent-encoded or not.", ""),
    "output_id": (
        "`output`, the id of an artifact, or `stdout` and `stderr` where they are told apart.",
        "",
    ),
    "verb": ("What to do with the run.", ""),
    "signal": ("A signal: TERM, SIGTERM or 15.", ""),
    "state": ("A finished state: success, failure, error or skipped.", ""),
    "backfill_id": ("The id of a backfill, as b3.", ""),
    "operation_id": ("The id of an operation on many runs.", ""),
    "agent_id": ("The id of an agent.", ""),
    "claim": ("A process: its run and attempt, as r12.1.", ""),
    "token_id": ("The id of a token.", ""),
    "name": ("The name of a user.", ""),
}
# The group of a path of callsheet's own, by what comes after /api/v2; else that is its name.
_MEMBERS = {
    "runs": "runs-by-time runs-per-time day timeline history why",
    "jobs": "calendars forecast graph plan definitions schema reload",
    "pauses": "pause resume",
    "access": "me login logout tokens users audit-log",
    "server": "health checks stream",
}
GROUPS = {name: group for group, names in _MEMBERS.items() for name in names.split()}
ERRORS = {
    400: "Something in the request is wrong, or what it names is in the wrong state for it.",
    401: "A log-in or a token is needed, or does not hold.",
    403: "The role is not enough; or another site's page asks, or a `Host` that is not ours.",
    404: "No such run, job, output, or whatever the path names.",
    413: "The body has more than 1 MiB.",
    415: "The body does not say that it is JSON, or is encoded.",
    416: "The output has no such range of bytes.",
    429: "Too many tries; `Retry-After` says when the next one is taken.",
    503: "The store, or who decides, did not answer in time; `Retry-After` says when to try again.",
}
# Statuses whose answers say when to try again.
AGAIN = (429, 503)
SAFE = ("GET",)


class ApiError(TypedDict):
    """Every error. Under `request_id` the server's log knows it.

    `job_errors`: of a reload, job id and mistake, in order. `command_id`: of a 503, the key with
    which to ask again. `count`: of an operation on many runs, how many there are instead.
    """

    error: str
    request_id: str
    job_errors: NotRequired[list[list[str]]]
    command_id: NotRequired[str]
    count: NotRequired[int]


class Opening(NamedTuple):
    """A WebSocket: its path, what it does, and the names of its parameters with what they mean."""

    path: str
    about: str
    query: dict[str, str]


SOCKETS = (
    Opening(
        "/api/v1/summary",
        "A WebSocket: jobs, runs and agents as they change, arrays of messages.",
        {"init": "Given: all jobs, agents and runs come first."},
    ),
    Opening(
        "/api/v1/runs/{run_id}/updates",
        "A WebSocket: a run, its log and its outputs as they change.",
        {"init": "Given: the first message holds all there is."},
    ),
    Opening(
        "/api/v1/runs/{run_id}/output/{output_id}/updates",
        "A WebSocket: an output as it grows, binary frames with headers of their own.",
        {"start": "From which byte on; without it, only what is new."},
    ),
    Opening(
        "/api/v2/stream",
        "A WebSocket: callsheet's own stream of events by topics; see the guide of the API.",
        {},
    ),
)


def problems(routes: Iterable[Route]) -> list[str]:
    """Return what routes leave unsaid, a sentence each that tells what to write where."""
    found = []
    for route in routes:
        where = f"{route.methods} {route.path}"
        declared = declared_of(route.endpoint)
        code = f"{route.endpoint.__module__}.{route.endpoint.__qualname__}"
        if declared.answer is None:
            found.append(
                f"{where}: what it answers is not said: have {code} return a TypedDict (see "
                "webui/shapes.py) or `Annotated[Reply, Sends(…)]` instead of Any"
            )
        if not declared.about:
            found.append(f"{where}: what it does is not said: give {code} a docstring")
        for name in sorted(set(names_in(route.path)) - PARTS.keys()):
            found.append(f"{where}: what {{{name}}} is is not said: add it to PARTS of {__name__}")
        for status in route.also:
            if status not in ERRORS:
                found.append(f"{where}: what {status} means is not said: add it to ERRORS")
    return found


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """Return the description of these routes and of the sockets."""
    said = [(route, declared_of(route.endpoint)) for route in routes]
    types = [type_ for _, declared in said for type_ in _types(declared)] + [ApiError]
    shapes, components = msgspec.json.schema_components(types, ref_template=REF)
    # In the order of `types`, so that each finds its own again.
    schema_of = iter(shapes)
    paths: dict[str, dict[str, Any]] = {}
    for route, declared in said:
        shaped = [next(schema_of) for _ in _types(declared)]
        for method in route.methods.split():
            one = _operation(route, method, declared, shaped)
            paths.setdefault(path_of(route.path), {})[method.lower()] = one
    for socket in SOCKETS:
        paths.setdefault(path_of(socket.path), {})["get"] = _opening(socket)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "callsheet",
            "version": version or "0",
            "description": (
                "Two APIs over the same data: `/api/v2` is callsheet's own; what is under "
                f"*{APSIS}* goes on working for clients and scripts of Apsis. What changes "
                "something is safe to repeat with an `Idempotency-Key` of one's own."
            ),
        },
        "tags": [{"name": name} for name in _tags(paths)],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token."},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "callsheet",
                    "description": "A log-in; changes by it show `X-XSRF-Token` as well.",
                },
            },
        },
    }


def path_of(path: str) -> str:
    """Return a route's path as OpenAPI writes it."""
    return path.replace("*}", "}")


def names_in(path: str) -> list[str]:
    """Return the names that stand in braces in a path."""
    return re.findall(r"\{(\w+)\*?\}", path)


def group_of(path: str) -> str:
    """Return the group under which an operation is shown."""
    parts = path.strip("/").split("/")
    if parts[0] != "api" or len(parts) == 2:
        return "server"
    return GROUPS.get(parts[2], parts[2]) if parts[1] == "v2" else APSIS


def _types(declared: Declared) -> Iterator[Any]:
    """Yield the types of an operation that become schemas: of its body, and of its answer."""
    if declared.body is not None:
        yield declared.body
    sends = _sends(declared)
    if sends.shape is not None:
        yield sends.shape


def _sends(declared: Declared) -> Sends:
    if declared.answer is None:
        return Sends(shape=Any)
    if is_reply(declared.answer):
        found: Sends = next(one for one in get_args(declared.answer) if isinstance(one, Sends))
        return found
    return Sends(shape=declared.answer)


def _operation(
    route: Route, method: str, declared: Declared, shaped: list[dict[str, Any]]
) -> dict[str, Any]:
    shaped = list(shaped)
    first, _, rest = declared.about.partition("\n\n")
    need = need_of(method, route.path)
    one: dict[str, Any] = {
        "operationId": _id_of(method, route.path),
        "summary": " ".join(first.split()).partition(". ")[0].partition(";")[0].rstrip("."),
        "description": "\n\n".join([" ".join(first.split()), *_paragraphs(rest)]),
        "tags": [group_of(route.path)],
        **_rights(need.role, scoped=need.scoped),
        "parameters": [
            *_path_params(route.path),
            *([] if declared.query is None else map(_query_param, params_of(declared.query))),
            *([] if method in SAFE else [_IDEMPOTENCY]),
        ],
    }
    if declared.body is not None:
        required = any(field.required for field in msgspec.structs.fields(declared.body))
        content = {"application/json": {"schema": shaped.pop(0)}}
        one["requestBody"] = {"required": required, "content": content}
    sends = _sends(declared)
    schema = shaped.pop(0) if shaped else {"type": "string", "contentMediaType": sends.kinds[0]}
    kinds = {kind: {"schema": schema} for kind in sends.kinds}
    one["responses"] = {
        **_errors(_statuses(route, method, need.role)),
        # One that tells how the server does has a meaning of its own for a status of error.
        **{str(status): {"description": "Done.", "content": kinds} for status in sends.statuses},
    }
    return one


def _statuses(route: Route, method: str, role: Role | None) -> list[int]:
    """Return the errors that an operation may answer with."""
    found = {400, 403, 503, *route.also}
    if role is not None:
        found.add(401)
    if names_in(route.path):
        found.add(404)
    # A body that is encoded is refused wherever it is sent.
    found.add(415)
    if method not in SAFE:
        found.add(413)
    return sorted(found)


def _errors(statuses: Iterable[int]) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": REF.format(name=ApiError.__name__)}}}
    found = {}
    for status in statuses:
        found[str(status)] = {"description": ERRORS[status], "content": error}
        if status in AGAIN:
            seconds = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}
            found[str(status)]["headers"] = {"Retry-After": seconds}
    return found


def _rights(role: Role | None, *, scoped: bool) -> dict[str, Any]:
    if role is None:
        return {"security": []}
    return {
        "security": [{"token": []}, {"session": []}],
        "x-role": role.value,
        "x-also-with-labels": scoped,
    }


def _opening(socket: Opening) -> dict[str, Any]:
    need = need_of("GET", socket.path)
    return {
        "operationId": _id_of("GET", socket.path),
        "summary": socket.about.partition(";")[0].rstrip("."),
        "description": socket.about,
        "tags": [group_of(socket.path)],
        **_rights(need.role, scoped=need.scoped),
        "x-websocket": True,
        "parameters": [
            *_path_params(socket.path),
            *(
                {
                    "name": name,
                    "in": "query",
                    "description": about,
                    "allowEmptyValue": True,
                    "schema": {"type": "string"},
                }
                for name, about in socket.query.items()
            ),
        ],
        "responses": {
            "101": {"description": "The socket is open."},
            **_errors([400, 401, 403, 404, 503]),
        },
    }


def _path_params(path: str) -> list[dict[str, Any]]:
    found = []
    for name in names_in(path):
        about, pattern = PARTS.get(name, ("", ""))
        schema = {"type": "string", "minLength": 1, **({"pattern": pattern} if pattern else {})}
        said = {"name": name, "in": "path", "required": True, "schema": schema}
        found.append(said | {"description": about})
    return found


def _query_param(param: Param) -> dict[str, Any]:
    said: dict[str, Any] = {"name": param.name, "in": "query"}
    if param.meta.description:
        said["description"] = param.meta.description
    if param.field.required:
        said["required"] = True
    if param.kind == "flag":
        schema: dict[str, Any] = {"type": "string", "enum": ["", *TRUE, *FALSE]}
        return said | {"allowEmptyValue": True, "schema": schema}
    schema = msgspec.json.schema(param.type)
    for name, value in (("minimum", param.meta.ge), ("maximum", param.meta.le)):
        if value is not None:
            schema[name] = value
    schema |= param.meta.extra_json_schema or {}
    default = param.field.default
    if default is not None and default is not msgspec.NODEFAULT:
        schema["default"] = default
    if param.kind in ("texts", "rest"):
        said |= {"style": "form", "explode": True}
    return said | {"schema": schema}


_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Within 24 hours the same key has no second effect and gets the same answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": KEY_CHARS},
}


def _id_of(method: str, path: str) -> str:
    """Return a name for an operation that no other has, as `get_v2_runs_run_id`."""
    parts = [part for part in re.split(r"\W+", path) if part and part != "api"]
    return "_".join([method.lower(), *parts])


def _paragraphs(text: str) -> list[str]:
    return [" ".join(one.split()) for one in text.split("\n\n") if one.strip()]


def _tags(paths: dict[str, dict[str, Any]]) -> list[str]:
    """Return the groups, callsheet's own first."""
    found = {tag for path in paths.values() for one in path.values() for tag in one["tags"]}
    return [*sorted(found - {APSIS}), *sorted(found & {APSIS})]
