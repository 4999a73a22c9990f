"""Asks a server what its own description allows, and what it just does not: a program of its own.

    python described_requests.py URL PLAN

`PLAN` is JSON: `known`, values for parts of paths and parameters; `left_out`, operations that are
not asked; `spared`, pairs of operation and check; how many `fitting` and `misfitting` requests each
operation gets. It prints as JSON how often each operation was `sent`, the statuses `answered`, and
what is `wrong`, a text each.

Nothing of callsheet's is imported, and hypothesis is told to throw no dice: it takes constants from
the modules that its process has loaded, and here these are always the same, so the examples are.
Objects of answers are taken as closed: what comes back and is not described is a breach, though
clients are to pass it over.
"""

from __future__ import annotations

import contextlib
import copy
import json
import sys
import time
from collections import Counter

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup

# Against hanging only: more than a reload may take.
WAIT_S = 240.0
CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
MOST_RUNS = 3


def main(url, plan):
    document = requests.get(f"{url}/api/openapi.json", timeout=WAIT_S).json()
    load_all_checks()
    checks = CHECKS.get_by_names(CHECKED)
    spared = {tuple(pair) for pair in plan["spared"]}
    session = requests.Session()
    sent, answered, wrong = Counter(), {}, []

    def ask(case):
        response = answer_of(case, url, session)
        label = case.operation.label
        sent[label] += 1
        answered.setdefault(label, set()).add(response.status_code)
        excluded = [one for one in checks if (label, one.__name__) in spared]
        try:
            case.validate_response(response, checks=checks, excluded_checks=excluded)
        except FailureGroup as group:
            asked = f"{case.as_curl_command()}\n{response.text[:500]}"
            wrong.extend(f"{label}: {failure}\n{asked}" for failure in group.exceptions)

    positive = operations(described(document, plan["known"], fitting=True))
    negative = operations(described(document, plan["known"], fitting=False))
    for fitting, misfitting in zip(positive, negative, strict=True):
        if fitting.label in plan["left_out"]:
            continue
        examples(fitting, GenerationMode.POSITIVE, plan["fitting"], ask)
        if fitting.path_parameters or fitting.query or fitting.body:
            # Some take nothing but texts: nothing does not fit them.
            with contextlib.suppress(Unsatisfiable):
                examples(misfitting, GenerationMode.NEGATIVE, plan["misfitting"], ask)
    print(
        json.dumps(
            {
                "operations": [one.label for one in positive],
                "sent": sent,
                "answered": {label: sorted(statuses) for label, statuses in answered.items()},
                "wrong": wrong,
            }
        )
    )


def answer_of(case, url, session):
    """Ask, and again as the description says while the server is too busy to answer in time."""
    deadline = time.monotonic() + WAIT_S
    while True:
        response = case.call(base_url=url, session=session, timeout=WAIT_S)
        if response.status_code != 503 or time.monotonic() > deadline:
            return response
        time.sleep(0.5)


def examples(operation, mode, count, ask):
    checked = settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    checked(given(operation.as_strategy(generation_mode=mode))(ask))()


def operations(document):
    schema = schemathesis.openapi.from_dict(document)
    return [one.ok() for one in schema.get_all_operations()]


def described(document, known, *, fitting):
    """Return the document, with values for what only this server knows, and closed answers.

    In query strings and bodies they are for requests that fit alone: others are as good there.
    """
    found = copy.deepcopy(document)
    for path in found["paths"].values():
        for method in [method for method, one in path.items() if one.get("x-websocket")]:
            del path[method]
    every = [one for path in found["paths"].values() for one in path.values()]
    schemas = found["components"]["schemas"]
    taken = reached(found, [one.get("requestBody") for one in every])
    for name in reached(found, [one["responses"] for one in every]) - taken:
        if "properties" in schemas[name]:
            schemas[name].setdefault("additionalProperties", False)
    # Who is let in is for tests/api/test_rights.py: here odd tokens would only hide the rest.
    del found["components"]["securitySchemes"]
    for operation in every:
        operation.pop("security", None)
        for param in operation["parameters"]:
            values = known.get(param["name"]) if fitting or param["in"] == "path" else None
            if values and param["schema"]["type"] == "array":
                param["schema"]["items"] = {"type": "string", "enum": values}
            elif values:
                param["schema"] = {"type": "string", "enum": values}
            if param["name"] == "count":
                param["schema"]["maximum"] = MOST_RUNS
    for name in ("RunWanted", "NewRunsBody") if fitting else ():
        said = schemas[name]["properties"]
        said["job_id"] = {"enum": [*known["job_id"], None]}
        said["job"] = {"enum": [{"program": {"type": "no-op"}}, {"program": {}}, None]}
    schemas["NewRunsBody"]["properties"]["count"]["maximum"] = MOST_RUNS
    return found


def reached(found, parts):
    """Return the names of the schemas that parts of a document lead to."""
    names, todo = set(), list(parts)
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            ref = part.get("$ref", "").rpartition("/")[2]
            if ref and ref not in names:
                names.add(ref)
                todo.append(found["components"]["schemas"][ref])
            todo += part.values()
        elif isinstance(part, list):
            todo += part
    return names


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
