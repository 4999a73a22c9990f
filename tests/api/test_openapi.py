"""Every route is described, by what its endpoint's signature says; the document is whole."""

import json
import re

import jsonschema
import msgspec
import pytest

from callsheet.webui import openapi
from callsheet.webui.app import TABLE, make_app
from callsheet.webui.declared import read_body, read_query
from callsheet.webui.openapi import SOCKETS, document, names_in, path_of, problems
from callsheet.webui.rights import RIGHTS
from callsheet.webui.routing import Problem, Route
from callsheet.webui.v2_pauses import NewPause
from callsheet.webui.v2_planning import ForecastQuery
from callsheet.webui.v2_runs import NewRunsBody, RunsQuery

DOCUMENT = document(TABLE.routes, "1.2.3")


def operations():
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_route_says_what_it_takes_and_gives():
    assert problems(TABLE.routes) == []


def test_a_route_that_says_nothing_is_told_what_to_write_where():
    async def silent(request): ...

    [answer, docstring, part, status] = problems([Route("GET", "/api/v2/x/{odd}", silent, (418,))])
    assert answer.startswith("GET /api/v2/x/{odd}: what it answers is not said: have ")
    assert "silent return a TypedDict (see webui/shapes.py)" in answer
    assert docstring.endswith("silent a docstring")
    assert part.endswith("add it to PARTS of callsheet.webui.openapi")
    assert status.endswith("add it to ERRORS")


def test_all_that_is_served_is_in_the_document_with_its_rights():
    said = {name: one for name, one in operations() if not one.get("x-websocket")}
    sockets = {name for name, one in operations() if one.get("x-websocket")}
    assert said.keys() == {
        f"{m} {path_of(r.path)}" for r in TABLE.routes for m in r.methods.split()
    }
    assert sockets == {f"GET {path_of(one.path)}" for one in SOCKETS}
    assert said.keys() | sockets == {f"{method} {path_of(path)}" for method, path in RIGHTS}
    for (method, path), need in RIGHTS.items():
        one = dict(operations())[f"{method} {path_of(path)}"]
        assert one.get("x-role") == need.role
        assert bool(one["security"]) is (need.role is not None)
        assert ("401" in one["responses"]) is (need.role is not None or path.endswith("/login"))


def test_every_socket_of_the_application_is_described():
    class Services:
        settings = type("Settings", (), {"static": __import__("pathlib").Path("static")})

    rules = make_app(Services, None).wildcard_router.rules
    served = {rule.matcher.regex.pattern for rule in rules if "Socket" in rule.target.__name__}
    said = {re.sub(r"\{\w+\}", "([^/]+)", one.path) + "$" for one in SOCKETS}
    assert served == said


def test_the_document_is_whole():
    text = json.dumps(DOCUMENT)
    assert DOCUMENT["openapi"] == "3.1.0"
    known = set(DOCUMENT["components"]["schemas"])
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', text)) <= known
    assert not [name for name in known if "." in name], "two types have one name"
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    ids = [one["operationId"] for _, one in operations()]
    assert len(ids) == len(set(ids))
    for name, one in operations():
        assert one["summary"], name
        assert len(one["summary"]) < 100, name
        assert {p["name"] for p in one["parameters"] if p["in"] == "path"} == set(
            names_in(name.partition(" ")[2])
        )
        assert all(p["description"] for p in one["parameters"] if p["in"] == "path"), name
    assert {tag["name"] for tag in DOCUMENT["tags"]} == {
        t for _, o in operations() for t in o["tags"]
    }


def test_no_part_of_a_path_and_no_group_is_described_that_is_not_there():
    names = {name for route in [*TABLE.routes, *SOCKETS] for name in names_in(route.path)}
    assert names == openapi.PARTS.keys()
    firsts = {
        r.path.split("/")[3] for r in [*TABLE.routes, *SOCKETS] if r.path.startswith("/api/v2/")
    }
    assert openapi.GROUPS.keys() <= firsts


def test_the_document_is_served(stand):
    assert stand.ask("GET", "/api/openapi.json") == (200, json.loads(json.dumps(DOCUMENT)))


class Times(msgspec.Struct, forbid_unknown_fields=True):
    at: str
    runs: list[int] = []


class Body(msgspec.Struct):
    times: Times | None = None


@pytest.mark.parametrize(
    ("type_", "body", "sentence"),
    [
        (NewPause, {"kind": "odd"}, "kind: expected one of all, folder, label, job"),
        (NewPause, {}, "kind: missing: expected one of all, folder, label, job"),
        (
            NewPause,
            {"kind": "all", "reason": 7},
            "reason: is a whole number: expected a text of at most 500 characters",
        ),
        (NewPause, {"kind": "all", "x": 1}, "x: not known: expected kind, name, reason, until"),
        (NewPause, [], "request body: is a list: expected an object"),
        (NewPause, {"kind": "all", "until": []}, "until: is a list: expected a text or null"),
        (NewRunsBody, {"count": "2"}, "count: is a text: expected a whole number from 1 to 10000"),
        (NewRunsBody, {"count": 0}, "count: expected a whole number from 1 to 10000"),
        (
            NewPause,
            {"kind": "all", "reason": "x" * 501},
            "reason: expected a text of at most 500 characters",
        ),
        (NewRunsBody, {"times": {"x": 1}}, "times.x: not known: expected schedule, stop"),
        (Body, {"times": {"runs": [1]}}, "times.at: missing: expected a text"),
        (Body, {"times": {"at": "x", "runs": [True]}}, None),
    ],
)
def test_what_is_wrong_with_a_body_is_said_in_our_words(type_, body, sentence):
    with pytest.raises(Problem) as refused:
        read_body(type_, json.dumps(body).encode())
    assert refused.value.status == 400
    assert sentence is None or refused.value.sentence == sentence
    assert "`" not in refused.value.sentence


@pytest.mark.parametrize("data", [b"{", b"\xff", b"[" * 5000, b"1e999", b"nul"])
def test_a_body_that_is_no_json_is_refused(data):
    with pytest.raises(Problem) as refused:
        read_body(NewPause, data)
    assert (refused.value.status, refused.value.sentence[:13]) == (400, "request body:")


def test_a_query_is_read_by_its_type():
    query = read_query(ForecastQuery, {"from": ["-1d"], "job": ["a", "b"], "limit": ["1", "7"]})
    assert (query.from_, query.to, query.job, query.limit) == ("-1d", None, ["a", "b"], 7)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"limit": ["x"]}, "limit: 'x': expected a whole number from 1 to 1000"),
        ({"limit": ["1001"]}, "limit: '1001': expected a whole number from 1 to 1000"),
        ({"limt": ["1"]}, "unknown parameters: limt: expected agent, arg, "),
    ],
)
def test_a_query_that_is_not_of_its_type_is_refused(given, sentence):
    with pytest.raises(Problem) as refused:
        read_query(RunsQuery, given)
    assert refused.value.status == 400
    assert refused.value.sentence.startswith(sentence)
