"""Figures for Prometheus, as its own parser reads them, and the answers to who asks for life."""

import os

import pytest
from live_server import until
from prometheus_client.parser import text_string_to_metric_families
from web_stand import WebStand, a_job

from callsheet.jobs.states import State
from callsheet.messages.figures import Figures, RoleStanding, histogram, told
from callsheet.webui.v2_metrics import MOST_JOBS

JOBS = (
    a_job("nightly/a", metadata={"labels": ["nightly"]}),
    a_job('odd "job"\\ x', metadata={"labels": []}),
)


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    stand = WebStand(tmp_path_factory.mktemp("metrics"), jobs=JOBS)
    yield stand
    stand.close()


def families(stand, path="/metrics"):
    status, headers, body = stand.request("GET", path)
    assert status == 200, body
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = list(text_string_to_metric_families(body.decode()))
    names = [family.name for family in found]
    assert len(names) == len(set(names)), "a family is told once"
    assert all(name.startswith("callsheet_") for name in names)
    assert all(family.documentation for family in found)
    return {family.name: family for family in found}


def values(family, label):
    return {sample.labels[label]: sample.value for sample in family.samples}


def test_what_the_server_is_made_of_and_how_it_does_is_told(stand):
    found = families(stand)
    (build,) = found["callsheet_build_info"].samples
    assert build.labels["version"] == "1.2.3"
    assert build.value == 1
    stored = values(found["callsheet_database_bytes"], "file")
    assert stored["database"] == os.path.getsize(stand.database)
    assert found["callsheet_disk_free_bytes"].samples[0].value > 0
    assert found["callsheet_jobs"].samples[0].value == len(JOBS)
    assert set(values(found["callsheet_runs"], "state")) >= {"scheduled", "waiting", "running"}


def test_figures_of_all_roles_are_told_with_the_roles_names(stand):
    ledger = Figures(counts={"runs_ended success": 3, "runs_ended lost": 1, "frames sent": 9})
    ledger.histograms["commit_seconds"] = histogram((0.1, 1.0))
    ledger.histograms["turn_seconds"] = histogram((0.1,))
    for value in (0.05, 0.5, 5.0):
        ledger.histograms["commit_seconds"].observe(value)
    waiter = Figures(gauges={"waiting_runs": 12, "mailbox": 4})
    standing = {
        "ledger/0": RoleStanding(pid=os.getpid(), ready=True, starts=3),
        "waiter/0": RoleStanding(pid=0, ready=False, starts=1),
    }
    said = {"ledger/0": ledger.said(), "waiter/0": waiter.said()}
    stand.server.figures.take(told(standing, said).said())
    stand.server.figures.take("garbage")
    found = families(stand)
    assert values(found["callsheet_role_up"], "role") == {"ledger": 1, "waiter": 0}
    assert values(found["callsheet_role_starts"], "role") == {"ledger": 3, "waiter": 1}
    assert values(found["callsheet_runs_ended"], "state") == {"success": 3, "lost": 1}
    assert values(found["callsheet_role_mailbox"], "role") == {"waiter": 4}
    assert found["callsheet_waiting_runs"].samples[0].value == 12
    assert values(found["callsheet_process_resident_memory_bytes"], "role")["ledger"] > 10**6
    samples = {
        (s.name, s.labels.get("le")): s.value for s in found["callsheet_commit_seconds"].samples
    }
    assert samples[("callsheet_commit_seconds_bucket", "0.1")] == 1
    assert samples[("callsheet_commit_seconds_bucket", "1.0")] == 2
    assert samples[("callsheet_commit_seconds_bucket", "+Inf")] == 3
    assert samples[("callsheet_commit_seconds_count", None)] == 3
    assert samples[("callsheet_commit_seconds_sum", None)] == pytest.approx(5.55)


def test_when_a_job_last_succeeded_is_told_of_the_jobs_that_are_asked_for(stand):
    for job in JOBS:
        run_id = stand.a_running_run(job_id=job.job_id)
        stand.end_run(run_id)
    failed = stand.a_running_run(job_id=JOBS[1].job_id)
    stand.end_run(failed, State.FAILURE)
    assert "callsheet_job_last_success_timestamp_seconds" not in families(stand)
    found = families(stand, "/metrics?jobs=odd")
    ended = values(found["callsheet_job_last_success_timestamp_seconds"], "job_id")
    assert list(ended) == [JOBS[1].job_id], "a job's id is told as it is"
    assert ended[JOBS[1].job_id] > 1.7e9
    assert list(values(found["callsheet_job_last_failure_timestamp_seconds"], "job_id")) == list(
        ended
    )
    found = families(stand, "/metrics?jobs=label:nightly")
    ended = values(found["callsheet_job_last_success_timestamp_seconds"], "job_id")
    assert list(ended) == ["nightly/a"]
    found = families(stand, "/metrics?jobs=odd&jobs=label:nightly&jobs=nothing")
    ended = values(found["callsheet_job_last_success_timestamp_seconds"], "job_id")
    assert sorted(ended) == sorted(job.job_id for job in JOBS)


def test_a_query_that_cannot_be_read_is_refused(stand):
    assert stand.ask("GET", "/metrics?jobs=state:odd")[0] == 400


def test_however_many_jobs_match_no_more_are_told_than_the_limit(tmp_path):
    jobs = tuple(a_job(f"job {number}") for number in range(MOST_JOBS + 5))
    stand = WebStand(tmp_path, jobs=jobs)
    try:
        for job in jobs[: MOST_JOBS + 5]:
            stand.end_run(stand.a_running_run(job_id=job.job_id))
        found = families(stand, "/metrics?jobs=job")
        family = found["callsheet_job_last_success_timestamp_seconds"]
        assert len(family.samples) == MOST_JOBS
    finally:
        stand.close()


def test_a_store_that_cannot_be_written_is_no_readiness_and_says_so(stand, monkeypatch):
    monkeypatch.setattr("callsheet.webui.hub.WISH_S", 0.05)
    monkeypatch.setattr("callsheet.webui.hub.SLACK_S", 0.05)
    until(lambda: stand.ask("GET", "/healthz/ready") == (200, {}), "readiness")
    figures = Figures(gauges={"stalled": 1})
    standing = {"ledger/0": RoleStanding(pid=os.getpid(), ready=True, starts=1)}
    try:
        stand.server.figures.take(told(standing, {"ledger/0": figures.said()}).said())
        assert stand.ask("GET", "/healthz/ready") == (503, {})
        assert stand.ask("GET", "/healthz/live") == (200, {})
        status, health = stand.ask("GET", "/api/v2/health")
        assert (status, health["status"]) == (200, "degraded")
        assert health["problem"].startswith("the store cannot be written: expected room")
        stand.lost.update(("ledger/0", "scheduler/0"))
        body = {"job_id": JOBS[0].job_id}
        status, answer = stand.ask("POST", "/api/v1/runs", body)
        assert (status, answer["error"].split(":")[0]) == (503, "the store cannot be written")
    finally:
        stand.lost.clear()
        figures.gauges["stalled"] = 0
        stand.server.figures.take(told(standing, {"ledger/0": figures.said()}).said())
    assert stand.ask("GET", "/healthz/ready") == (200, {})


def test_life_is_told_apart_from_readiness(tmp_path):
    stand = WebStand(tmp_path, lost=("ledger/0",))
    try:
        assert stand.ask("GET", "/healthz/live") == (200, {})
        assert stand.ask("GET", "/healthz/ready") == (503, {})
        stand.lost.clear()
        until(lambda: stand.ask("GET", "/healthz/ready") == (200, {}), "readiness")
        assert stand.ask("GET", "/healthz") == (200, {})
    finally:
        stand.close()
