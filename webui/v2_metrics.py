"""`/healthz` for who keeps the server running, and `/metrics` for Prometheus.

Figures of other roles are those of their last heartbeat, seconds old; the web's own, those of the
store and of the operating system are of this moment.
"""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..jobs.findings import SEVERITIES, Finding
from ..jobs.states import State
from ..messages.figures import Histogram
from ..store.interface import Reader, RunQuery, StoreError
from .declared import Sends
from .processes import facts_of
from .query import BadQuery, parse_filter
from .routing import Problem, Reply, Request, Route
from .shapes_v1 import Empty
from .v1_jobs import LIVE
from .v2_server import SILENT_S

# Series about single jobs: those that match a query, and no more than these.
MOST_JOBS = 200
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Labels and value of each sample.
Values = Sequence[tuple[dict[str, str], float]]

# What roles count and hold: their name for it, ours, whether its values have a label, and what
# that is for.
_COUNTS = {
    "commits": ("commits", "", "Batches that the ledger made durable."),
    "events": ("events", "", "Events that the ledger made durable."),
    "runs_ended": ("runs_ended", "state", "Runs that ended, by state."),
    "turns": ("role_turns", "", "Turns of a role."),
    "messages": ("role_messages", "", "Messages that a role was given."),
    "frames": ("role_frames", "what", "Frames of a role's sockets, by what became of them."),
}
_GAUGES = {
    "mailbox": ("role_mailbox", "", "Messages of its own process that wait for a role."),
    "batch_letters": ("role_batch", "", "Frames that a role found waiting, at its last turn."),
    "unsent": ("role_unsent", "", "Frames that a role could not send yet."),
    "stalled": ("ledger_stalled", "", "Whether the store cannot be written: the ledger waits."),
    "active_runs": ("ledger_active_runs", "", "Runs in the ledger's memory."),
    "misfits": ("ledger_misfits", "", "Instructions that did not fit the state of their run."),
    "unfit": ("ledger_unfit", "", "Messages of roles that held what cannot be kept."),
    "waiting_runs": ("waiting_runs", "", "Runs whose conditions are watched."),
    "docket_runs": ("docket_runs", "", "Scheduled runs whose time is awaited."),
    "folder_problems": ("job_folder_problems", "", "Mistakes that keep the folder from force."),
    "open_actions": ("open_actions", "", "Actions in the responder's hands."),
    "actions_tried_again": ("actions_tried_again", "", "Of these, those that failed before."),
    "agents": ("agents", "state", "Agents, by state."),
    "attempts": ("agent_attempts", "", "Attempts in the hands of agents."),
}
_HISTOGRAMS = {
    "commit_seconds": ("commit_seconds", "How long the ledger took to make a batch durable."),
    "turn_seconds": ("role_turn_seconds", "How long a role's turns took."),
    "due_delay_seconds": ("run_due_delay_seconds", "From a run's time to when it was taken up."),
    "start_delay_seconds": ("run_start_delay_seconds", "From a run's start to its process."),
    "run_seconds": ("run_seconds", "How long runs ran, by their last attempt."),
}


class MetricsQuery(msgspec.Struct):
    """Which jobs to tell of."""

    jobs: Annotated[
        list[str],
        Meta(description=f"Queries: also the jobs that match one, {MOST_JOBS} at most."),
    ] = []


async def alive(_request: Request) -> Empty:
    """The web answers; no more is said."""
    return {}


async def ready(request: Request) -> Annotated[Reply, Sends(shape=Empty, statuses=(200, 503))]:
    """Whether runs are scheduled and started and the store can be read and written: 200, else 503;
    no more is said."""
    services = request.services
    status = services.hub.status
    ages = (
        ("ledger", status.ledger_age_s),
        ("scheduler", status.scheduler_age_s),
        ("runner", status.runner_age_s),
    )
    whole = status.ready and all(age is not None and age < SILENT_S[name] for name, age in ages)
    if whole and services.figures.stalled:
        whole = False
    if whole:
        try:
            await services.read(lambda reader: reader.head())
        except (Problem, StoreError):
            whole = False
    return Reply(b"{}", status=200 if whole else 503)


async def metrics(
    request: Request, query: MetricsQuery
) -> Annotated[Reply, Sends(kinds=(CONTENT_TYPE,))]:
    """Figures for Prometheus; with `jobs=QUERY`, which may be repeated, also of the jobs that match
    one of these, at most 200."""
    from prometheus_client import CollectorRegistry, generate_latest

    services = request.services
    try:
        wanted = [parse_filter({"q": [one]}, services.now_us()) for one in query.jobs]
    except BadQuery as error:
        raise Problem(400, str(error)) from None

    def read(reader: Reader) -> dict[str, Any]:
        counts = reader.count_by_state(RunQuery(states=LIVE))
        checked_us, findings = reader.findings()
        found: dict[str, Any] = {
            "runs": {state.value: counts.get(state, 0) for state in LIVE},
            "checked_us": checked_us,
            "findings": _by_severity(findings),
            "owed": reader.owed_actions(),
            "jobs_in_force": 0,
            "jobs": {},
        }
        hashes = reader.jobs()
        found["jobs_in_force"] = len(hashes)
        for job_id in sorted(hashes) if wanted else ():
            if len(found["jobs"]) == MOST_JOBS:
                break
            near = [jobs for jobs in wanted if jobs.matches_job(job_id)]
            job = reader.definition(hashes[job_id]) if near else None
            if job is not None and any(
                jobs.matches_labels(job.labels) and jobs.matches_owner(job.owner) for jobs in near
            ):
                found["jobs"][job_id] = _ends_of(reader, job_id)
        return found

    stored = await services.read(read)
    families = list(_families(request, stored))

    class _Collector:
        """The figures of this request."""

        def collect(self) -> list[Any]:
            """See prometheus_client."""
            return families

    registry = CollectorRegistry()
    registry.register(_Collector())
    return Reply(generate_latest(registry), content_type=CONTENT_TYPE)


def _by_severity(findings: list[Finding]) -> dict[str, int]:
    found = dict.fromkeys(SEVERITIES, 0)
    for finding in findings:
        found[finding.severity] += 1
    return {str(name): count for name, count in found.items()}


def _ends_of(reader: Reader, job_id: str) -> dict[str, float]:
    """Return when a job's newest successful and its newest failed run ended, as far as any has."""
    found = {}
    for name, states in (
        ("success", (State.SUCCESS,)),
        ("failure", (State.FAILURE, State.ERROR, State.LOST)),
    ):
        for run in reader.query(RunQuery(job_id=job_id, states=states, limit=1)):
            ended_us = max(run.times.get(state.value, 0) for state in states)
            if ended_us:
                found[name] = ended_us / 1e6
    return found


# --- families -------------------------------------------------------------------------------------


def _families(request: Request, stored: dict[str, Any]) -> Iterator[Any]:
    yield from _of_web(request)
    yield from _of_store(request, stored)
    yield from _of_roles(request)


def _of_web(request: Request) -> Iterator[Any]:
    from .. import __version__

    services = request.services
    status = services.hub.status
    build = {
        "version": services.settings.version or __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    yield _gauge("build_info", "What this server is made of.", [(build, 1)])
    began_s = services.started_us / 1e6
    yield _gauge("web_start_time_seconds", "When the web server began.", [({}, began_s)])
    for name, text, value in (
        ("seq", "The last event the web knows of.", status.seq),
        ("epoch", "The ledger's epoch.", status.epoch),
        ("ready", "Whether ledger, scheduler and runner have answered.", int(status.ready)),
        ("sockets", "Open WebSockets.", services.sockets),
    ):
        yield _gauge(name, text, [({}, value)])
    for name, text, value in (
        ("feed_frames", "Frames of the feed.", status.frames),
        ("feed_events", "Events of the feed.", status.events),
        ("feed_holes", "Holes found in the feed.", status.holes),
        ("feed_resyncs", "Losses that the ledger could not repeat.", status.resyncs),
        ("wish_timeouts", "Wishes without an answer in time.", status.timeouts),
        ("http_requests", "Requests to the API.", services.requests),
        ("http_problems", "Requests answered with an error.", services.problems),
    ):
        yield _counter(name, text, [({}, value)])


def _of_store(request: Request, stored: dict[str, Any]) -> Iterator[Any]:
    runs = [({"state": state}, count) for state, count in stored["runs"].items()]
    yield _gauge("runs", "Runs that are not over.", runs)
    yield _gauge("jobs", "Jobs in force.", [({}, stored["jobs_in_force"])])
    graves = [({"severity": name}, count) for name, count in stored["findings"].items()]
    yield _gauge("findings", "Open findings of the checker.", graves)
    if stored["checked_us"] is not None:
        at_s = stored["checked_us"] / 1e6
        yield _gauge("checked_timestamp_seconds", "When the checker last looked.", [({}, at_s)])
    yield _gauge("outbox_actions", "Actions that are owed.", [({}, stored["owed"])])
    database = Path(request.services.settings.database)
    sizes = [("database", _size(database)), ("wal", _size(Path(f"{database}-wal")))]
    text = "Bytes of the database and of its write-ahead log."
    yield _gauge("database_bytes", text, [({"file": name}, size) for name, size in sizes])
    try:
        disk = os.statvfs(database.parent)
    except OSError:
        disk = None
    if disk is not None:
        free_bytes = disk.f_bavail * disk.f_frsize
        yield _gauge("disk_free_bytes", "Free on the disk of the database.", [({}, free_bytes)])
        yield _gauge("disk_free_inodes", "Free inodes there.", [({}, disk.f_favail)])
    for name in ("success", "failure"):
        ends = [({"job_id": job}, at[name]) for job, at in stored["jobs"].items() if name in at]
        if ends:
            text = f"When the newest run of a job that ended in {name} ended."
            yield _gauge(f"job_last_{name}_timestamp_seconds", text, ends)


def _of_roles(request: Request) -> Iterator[Any]:
    processes = request.services.figures.processes()
    if not processes:
        return
    yield _gauge(
        "role_up",
        "Whether a role's process is there and works.",
        [({"role": role}, int(one.standing.ready)) for role, one in processes.items()],
    )
    yield _counter(
        "role_starts",
        "How often a role's process was started.",
        [({"role": role}, one.standing.starts) for role, one in processes.items()],
    )
    facts = {role: facts_of(one.standing.pid) for role, one in processes.items()}
    for index, (name, text) in enumerate(
        (
            ("process_resident_memory_bytes", "Memory of a role's process."),
            ("process_open_fds", "Open files of a role's process."),
            ("process_threads", "Threads of a role's process."),
        ),
        1,
    ):
        known = [({"role": role}, fact[index]) for role, fact in facts.items() if fact]
        yield _gauge(name, text, known)
    cpu = [({"role": role}, fact[0]) for role, fact in facts.items() if fact]
    yield _counter("process_cpu_seconds", "Processor time of a role's process.", cpu)
    found = {role: one.figures for role, one in processes.items() if one.figures is not None}
    for make, table, part in (
        (_counter, _COUNTS, {role: figures.counts for role, figures in found.items()}),
        (_gauge, _GAUGES, {role: figures.gauges for role, figures in found.items()}),
    ):
        for key, (name, label, text) in table.items():
            values = _labelled(part, key, label, with_role=name.startswith("role_"))
            if values:
                yield make(name, text, values)
    for key, (name, text) in _HISTOGRAMS.items():
        known_of = {
            role: figures.histograms[key]
            for role, figures in found.items()
            if key in figures.histograms
        }
        if known_of:
            yield _histogram(name, text, known_of, with_role=name.startswith("role_"))


def _labelled(
    figures: dict[str, dict[str, float]], key: str, label: str, *, with_role: bool
) -> list[tuple[dict[str, str], float]]:
    """Return all values of a figure with their labels."""
    found = []
    for role, values in figures.items():
        for name, value in values.items():
            plain, _, of_label = name.partition(" ")
            if plain == key:
                labels = {"role": role} if with_role else {}
                found.append((labels | ({label: of_label} if label else {}), value))
    return found


def _gauge(name: str, text: str, values: Values) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    return _family(GaugeMetricFamily, name, text, values)


def _counter(name: str, text: str, values: Values) -> Any:
    from prometheus_client.core import CounterMetricFamily

    return _family(CounterMetricFamily, name, text, values)


def _family(kind: Any, name: str, text: str, values: Values) -> Any:
    labels = list(values[0][0]) if values else []
    family = kind(f"callsheet_{name}", text, labels=labels)
    for found, value in values:
        family.add_metric([found[label] for label in labels], value)
    return family


def _histogram(name: str, text: str, found: dict[str, Histogram], *, with_role: bool) -> Any:
    from prometheus_client.core import HistogramMetricFamily

    labels = ["role"] if with_role else []
    family = HistogramMetricFamily(f"callsheet_{name}", text, labels=labels)
    for role, one in found.items():
        total, buckets = 0, []
        for bound, count in zip((*one.bounds, float("inf")), one.counts, strict=True):
            total += count
            buckets.append(("+Inf" if bound == float("inf") else repr(bound), float(total)))
        family.add_metric([role] if with_role else [], buckets, one.sum)
    return family


# --- what the operating system says ---------------------------------------------------------------


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


ROUTES = [
    Route("GET", "/healthz", alive),
    Route("GET", "/healthz/live", alive),
    Route("GET", "/healthz/ready", ready),
    Route("GET", "/metrics", metrics),
]
