"""Pauses over the API and the command line."""

import pytest
from web_stand import WebStand, a_job

JOBS = (a_job("shop/orders/load", metadata={"labels": ["nightly"]}), a_job("other"))


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    stand = WebStand(tmp_path_factory.mktemp("stand"), jobs=JOBS)
    yield stand
    stand.close()


def paused(stand, **body):
    return stand.ask("POST", "/api/v2/pause", body)


def test_a_pause_is_listed_shown_with_its_jobs_and_ended(stand):
    status, answer = paused(stand, kind="folder", name="shop/", reason="move", until="+2h")
    assert status == 200
    [one] = answer["pauses"]
    assert (one["what"], one["by"], one["reason"]) == ("folder shop", "local", "move")
    assert one["until"] > one["since"]
    jobs = {job["job_id"]: job for job in stand.ask("GET", "/api/v2/jobs")[1]["jobs"]}
    assert jobs["shop/orders/load"]["paused"] == "folder shop is paused by local: move"
    assert jobs["other"]["paused"] == ""
    page = stand.ask("GET", "/api/v2/jobs/shop/orders/load")[1]
    assert page["paused"] == "folder shop is paused by local: move"
    assert (
        stand.ask("POST", "/api/v2/resume", {"kind": "folder", "name": "shop"})[1]["pauses"] == []
    )
    assert stand.ask("GET", "/api/v2/pauses")[1]["pauses"] == []


def test_a_job_may_be_named_by_words_of_its_id(stand):
    [one] = paused(stand, kind="job", name="orders")[1]["pauses"]
    assert one["name"] == "shop/orders/load"
    assert stand.ask("POST", "/api/v2/resume", {"kind": "job", "name": "orders"})[0] == 200


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "kind: missing: expected one of all, folder, label, job"),
        ({"kind": "run", "name": "r1"}, 400, "kind: expected one of"),
        ({"kind": "job"}, 400, "name: expected that of job"),
        ({"kind": "all", "name": "x"}, 400, "name: expected none for all"),
        ({"kind": "job", "name": "nothing"}, 400, "no job id match"),
        ({"kind": "all", "until": "soon"}, 400, "until: not a time: 'soon'"),
        ({"kind": "all", "until": "-1h"}, 400, "expected a time to come"),
        ({"kind": "all", "reason": 3}, 400, "reason: is a whole number: expected a text"),
        ({"kind": "all", "reason": "x" * 501}, 400, "reason: expected a text"),
    ],
)
def test_a_pause_that_makes_no_sense_is_refused(stand, body, status, said):
    answered, answer = paused(stand, **body)
    assert (answered, said in answer["error"]) == (status, True)


def test_what_is_not_paused_cannot_be_resumed(stand):
    status, answer = stand.ask("POST", "/api/v2/resume", {"kind": "label", "name": "x"})
    assert (status, answer["error"].partition(":")[0]) == (404, "label x")
