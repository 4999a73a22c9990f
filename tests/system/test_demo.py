"""The demonstration as a whole: a real server of its folder, its jobs run and do what they say."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest
from live_server import Server, until

from callsheet.cli.demo import lay_out

pytestmark = pytest.mark.slow

# Jobs that need no more than to be started: job, args, how it ends, words of its output.
STARTED = [
    ("demo/greet", {"greeting": "Hello", "name": "Mina"}, "success", "Hello, Mina!"),
    ("demo/fails", {}, "failure", "price list not found"),
    ("demo/nothing", {"seconds": "0"}, "failure", ""),
    ("demo/much-output", {}, "success", "line 20000 of 20000"),
    ("demo/streams-apart", {}, "success", "item 2: took longer than usual"),
    ("demo/artifact", {}, "success", "made sales.csv"),
    ("shop/parcels", {"size": "small", "parcels": "1"}, "success", "The corner shop: small parcel"),
    ("shop/discount", {"percent": "50"}, "success", '"all": 11.83}'),
    ("shop/parcels", {"size": "small", "parcels": "13"}, "error", "parcels"),
    ("shop/parcels", {"size": "huge"}, "error", "expected one of 'small', 'medium'"),
    ("shop/express", {"customer": "mina"}, "error", "customer"),
    ("night/month-end", {"date": "2026-12-23"}, "success", "the next workday is 2026-12-24"),
    ("night/close-berlin", {"date": "2026-11-26"}, "success", "books of Berlin for 2026-11-26"),
    ("data/backfill", {"since": "1999-12-31"}, "error", "2000-01-01"),
    ("data/flaky", {"time": "2020-01-01T00:02:00Z"}, "failure", "does not answer"),
    ("monitoring/ask", {}, "success", ""),
]


@pytest.fixture
def demo(a_server: Callable[..., Server]) -> Server:
    """A server of the demonstration's folder."""
    server = a_server({}, name="demo")
    shutil.rmtree(server.folder / "jobs")
    server.config.unlink()
    lay_out(server.folder, f"127.0.0.1:{server.port}")
    return server.start()


def output(server: Server, run_id: str) -> str:
    return server.get(f"/api/v1/runs/{run_id}/output/output").body.decode()


def runs_of(server: Server, job_id: str, **args: str) -> list[dict[str, Any]]:
    runs = server.get(f"/api/v1/runs?job_id={job_id}").json["runs"].values()
    return [run for run in runs if args.items() <= run["args"].items()]


def test_the_jobs_of_the_demonstration_do_what_they_say(demo: Server) -> None:
    run_ids = [demo.schedule(job_id, **args) for job_id, args, _, _ in STARTED]
    for run_id, (job_id, args, state, words) in zip(run_ids, STARTED, strict=True):
        assert (job_id, args, demo.finished(run_id)["state"]) == (job_id, args, state)
        if words:
            assert words in output(demo, run_id)
    # The failure becomes an incident, whose command writes it down.
    until(
        lambda: runs_of(demo, "monitoring/incident", what="a data job went wrong"),
        "an incident",
    )
    incidents = demo.folder / "incidents.log"
    until(lambda: incidents.exists() and incidents.read_text(), "the incident to be written down")
    # The webhook comes back to this server, as another run.
    said = f"monitoring/ask was answered in run {run_ids[-1]}"
    until(lambda: runs_of(demo, "monitoring/all-clear", what=said), "the webhook's run")


def test_a_day_of_data_goes_through_the_whole_chain(demo: Server) -> None:
    minute = "2026-11-26T09:00:00+00:00"
    demo.schedule("data/minutes", time=minute)
    for source in ("clicks", "stock"):
        demo.schedule("data/extract", source=source, time=minute)
    [published] = until(lambda: runs_of(demo, "data/publish", minute=minute), "its publication")
    assert demo.finished(published["run_id"])["state"] == "success"


def test_the_demonstration_says_whether_it_could_begin_anew(demo: Server) -> None:
    where = ("--bind", f"127.0.0.1:{demo.port}", "--dir", str(demo.folder))
    asked = demo.callsheet("demo", *where, "--dry-run")
    assert (asked.returncode, asked.stderr) == (0, "")
    demo.config.write_text("job_dir: [\n")
    refused = demo.callsheet("demo", *where, "--dry-run")
    assert (refused.returncode, "callsheet.yaml:" in refused.stderr) == (1, True)
