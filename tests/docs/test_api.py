"""The guide of the API: its examples are asked of a server, and it leaves no route out."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from web_stand import WebStand, a_job

from callsheet.webui.app import TABLE
from callsheet.webui.openapi import ERRORS, document, path_of

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
DOCUMENT = document(TABLE.routes, "1.2.3")
JOBS = (
    a_job("reports/daily", params=("date",)),
    a_job("cleanup", metadata={"labels": ["nightly"]}),
)


def examples():
    """Return (method, target, body, status, keys) of every example, in order."""
    blocks = re.findall(r"^```http\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    found = []
    for example in "\n".join(blocks).split("\n\n"):
        request, _, answer = example.strip().partition("\n→ ")
        line, _, body = request.partition("\n")
        status, _, keys = answer.partition(" ")
        found.append((*line.split(), body, int(status), keys.split(", ")))
    return found


def answer_schema(method, target, status):
    """Return the schema of the answer of a request, as the description has it."""
    route, _ = TABLE.find(method, target.partition("?")[0])
    said = DOCUMENT["paths"][path_of(route.path)][method.lower()]
    schema = said["responses"][str(status)]["content"]["application/json"]["schema"]
    return {**schema, "components": DOCUMENT["components"]}


def test_every_example_is_answered_as_the_guide_says(tmp_path):
    stand = WebStand(tmp_path, jobs=JOBS)
    try:
        for method, target, body, status, keys in examples():
            sent = json.loads(body) if body else None
            got, answer = stand.ask(method, target, sent)
            assert got == status, (method, target, answer)
            assert set(keys) <= set(answer), (method, target)
            schema = answer_schema(method, target, status)
            jsonschema.Draft202012Validator(schema).validate(answer)
    finally:
        stand.close()
    assert len(examples()) > 15


@pytest.mark.parametrize(
    "route",
    [
        one
        for one in TABLE.routes
        if not one.path.startswith(("/api/v1", "/api/control", "/api/proc"))
    ],
    ids=lambda one: one.path,
)
def test_the_guide_names_every_route(route):
    """By itself, or as a verb of a row that ends in VERB."""
    path = re.sub(r"\\?\{\w+\\?\*?\\?\}", "[A-Z.]+", re.escape(route.path))
    rows = PAGE.splitlines()
    if any(re.search(rf"`{path}[`?]", row) for row in rows):
        return
    above, _, verb = path.rpartition("/")
    assert any(re.search(rf"`{above}/VERB`", row) and f"`{verb}`" in row for row in rows)


def test_the_guide_names_every_status_of_an_error():
    table = PAGE.partition("| status | when |")[2].partition("\n\n")[0]
    named = {int(status) for status in re.findall(r"\b[45]\d\d\b", table)}
    assert named >= ERRORS.keys()
