"""A thousand requests that the API's own description allows, or just does not, at a real server:
none finds a fault, and every answer is one that the description tells of.

The examples are the same in every run. Objects of answers are taken as closed here: what comes back
and is not described is a breach, though clients are to pass it over.
"""

from __future__ import annotations

import contextlib
import copy
from collections import Counter

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from live_server import Server, until
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup

from callsheet.client import Client
from callsheet.webui.app import TABLE
from callsheet.webui.openapi import document

pytestmark = pytest.mark.slow

EXAMPLES = 1_000
# For each operation, of requests that fit and of those that do not.
FITTING, MISFITTING = 12, 6
WAIT_S = 60.0
CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
# What is not asked for here, and why.
LEFT_OUT = {
    "POST /api/control/shut_down": "it ends the server",
    "POST /api/v2/agents/{agent_id}/shutdown": "it ends the agent that all the others ask for",
}
# Checks that do not hold for an operation, and why.
SPARED = {
    # As in Apsis, a run that is not there has no outputs.
    ("GET /api/v1/runs/{run_id}/outputs", "negative_data_rejection"),
}

JOBS = {
    "noop": "metadata: {labels: [x]}\nprogram: {type: no-op}\n",
    "grp/echo": "params: [word]\nprogram: {type: procstar-shell, command: 'echo {{ word }}'}\n",
    "sleeps": "program: {type: procstar, argv: [sleep, '600']}\n",
    "later": "schedule: {type: interval, interval: 6h}\nprogram: {type: no-op}\n",
    "waits": "condition: {type: dependency, job_id: sleeps}\nprogram: {type: no-op}\n",
}
SETTINGS = "procstar: {agent: {enable: true}}\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"), JOBS, SETTINGS).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def known(server):
    """Values for parts of paths: what is there, and what is not."""
    with Client("127.0.0.1", server.port) as client:
        runs = [client.schedule(job, {})["run_id"] for job in ("noop", "sleeps", "waits")]
        runs.append(client.schedule("grp/echo", {"word": "hi"})["run_id"])
        for run_id in (runs[0], runs[-1]):
            until(lambda one=run_id: _is_over(client, one), f"the end of {run_id}")
        agent = next(iter(until(lambda: client.get("/api/procstar/connections"), "an agent")))
    return {
        "run_id": [*runs, "r999999"],
        "run": [*runs, "r999999"],
        "job_id": [*JOBS, "nothing"],
        "job": [*JOBS, "nothing"],
        "focus": [*JOBS, "nothing"],
        "from": ["now", "-1d", "2026-01-01", "odd"],
        "to": ["now", "+1d", "2026-01-02", "odd"],
        "since": ["2026-01-01T00:00:00Z", "odd"],
        "at": ["now", "odd"],
        "output_id": ["output", "stdout", "nothing"],
        "agent_id": [agent, "nothing"],
        "claim": [f"{runs[1]}.1", "r999999.1", "odd"],
        "verb": [
            *("start", "skip", "hold", "release", "stop", "kill", "signal", "mark", "rerun"),
            "odd",
        ],
        "backfill_id": ["b1", "odd"],
        "token_id": ["nothing", "odd"],
        "name": ["nobody", "odd"],
        "signal": ["USR1", "SIGCONT", "18", "odd"],
        "state": ["success", "failure", "error", "skipped", "odd"],
    }


def _is_over(client, run_id):
    return client.get_run(run_id)["state"] in ("success", "failure", "error")


def described(known, *, fitting):
    """Return the document, with values for what only this server knows, and closed answers.

    In query strings they are for requests that fit alone: others are as good there.
    """
    found = copy.deepcopy(document(TABLE.routes, "0"))
    schemas = found["components"]["schemas"]
    taken = _reached(found, [o.get("requestBody") for o in _operations(found)])
    given_back = _reached(found, [o["responses"] for o in _operations(found)])
    for name in given_back - taken:
        if "properties" in schemas[name]:
            schemas[name].setdefault("additionalProperties", False)
    # Who is let in is for tests/api/test_rights.py: here odd tokens would only hide the rest.
    del found["components"]["securitySchemes"]
    for operation in _operations(found):
        operation.pop("security", None)
        for param in operation["parameters"]:
            values = known.get(param["name"]) if fitting or param["in"] == "path" else None
            if values and param["schema"]["type"] == "array":
                param["schema"]["items"] = {"type": "string", "enum": values}
            elif values:
                param["schema"] = {"type": "string", "enum": values}
            if param["name"] == "count":
                param["schema"]["maximum"] = 3
    for name in ("RunWanted", "NewRunsBody") if fitting else ():
        said = schemas[name]["properties"]
        said["job_id"] = {"enum": [*JOBS, None]}
        said["job"] = {"enum": [{"program": {"type": "no-op"}}, {"program": {}}, None]}
    schemas["NewRunsBody"]["properties"]["count"]["maximum"] = 3
    return found


def _operations(found):
    return [one for path in found["paths"].values() for one in path.values()]


def _reached(found, parts):
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


def operations(known, *, fitting):
    found = described(known, fitting=fitting)
    for path in found["paths"].values():
        for method in [method for method, one in path.items() if one.get("x-websocket")]:
            del path[method]
    schema = schemathesis.openapi.from_dict(found)
    return [one.ok() for one in schema.get_all_operations()]


def test_no_request_finds_a_fault_and_every_answer_is_described(server, known):
    load_all_checks()
    checks = CHECKS.get_by_names(CHECKED)
    base = f"http://127.0.0.1:{server.port}"
    session = requests.Session()
    sent, answered, wrong = Counter(), {}, []

    def ask(case):
        response = case.call(base_url=base, session=session, timeout=WAIT_S)
        label = case.operation.label
        sent[label] += 1
        answered.setdefault(label, set()).add(response.status_code)
        spared = [one for one in checks if (label, one.__name__) in SPARED]
        try:
            case.validate_response(response, checks=checks, excluded_checks=spared)
        except FailureGroup as group:
            asked = f"{case.as_curl_command()}\n{response.text[:500]}"
            wrong.extend(f"{label}: {failure}\n{asked}" for failure in group.exceptions)

    labels = []
    pairs = zip(operations(known, fitting=True), operations(known, fitting=False), strict=True)
    for fitting, misfitting in pairs:
        labels.append(fitting.label)
        if fitting.label in LEFT_OUT:
            continue
        modes = [(fitting, GenerationMode.POSITIVE, FITTING)]
        if fitting.path_parameters or fitting.query or fitting.body:
            modes.append((misfitting, GenerationMode.NEGATIVE, MISFITTING))
        for operation, mode, count in modes:
            checked = settings(
                max_examples=count,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            # Some take nothing but texts: nothing does not fit them.
            with contextlib.suppress(Unsatisfiable):
                checked(given(operation.as_strategy(generation_mode=mode))(ask))()
    assert LEFT_OUT.keys() <= set(labels)
    assert not wrong, "\n\n".join(wrong)
    assert sum(sent.values()) >= EXAMPLES, sent
    assert "Traceback" not in server.log()
