"""Endpoints of `/api/v2` about jobs and the server."""

from __future__ import annotations

import platform
import sqlite3
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..jobs.job import Job
from ..jobs.jso import schedule_jso
from ..jobs.parse import job_to_data
from ..jobs.run import Run
from ..jobs.states import State
from ..jobs.times import format_time_ms
from ..messages.hello import PROTOCOL_VERSION
from ..messages.pauses import Pause
from ..messages.standing import FolderStanding
from ..messages.wishes import ReloadJobs
from ..store.interface import Reader, RunQuery
from .figures import STALLED
from .gate import reaches
from .markdown import first_line, render
from .processes import process_rows
from .records import elapsed_s, instant, run_record
from .routing import Request, Route
from .services import definition_of, job_shape
from .shapes_server import Health, JobPage, JobRow, Jobs, ReloadedV2, RoleStatus, Standing
from .v1_jobs import reload_jso
from .v2_pauses import in_force, paused_words

# Last runs shown per job in the list, and on its page; next runs on its page.
LAST_RUNS = 30
RECENT_RUNS = 50
NEXT_RUNS = 10
# Scheduled runs looked at for the next ones.
DUE_ROWS = 20_000
FOREVER_US = 2**60
# A role not heard of for so long is shown as down.
SILENT_S = {"ledger": 5.0, "scheduler": 25.0, "runner": 25.0}


METRICS = "text/plain; version=0.0.4; charset=utf-8"


class ReloadBody(msgspec.Struct, forbid_unknown_fields=True):
    """How to reload."""

    dry_run: Annotated[bool, Meta(description="Only say what would change.")] = False
    plan: Annotated[str, Meta(description="The id of a plan: only if that still holds.")] = ""


async def list_jobs(request: Request) -> Jobs:
    """All jobs: what they are, when they run next, how the last runs went."""
    now_us = request.services.now_us()

    def read(reader: Reader) -> Jobs:
        hashes = reader.jobs()
        upcoming: dict[str, int] = {}
        for row in reader.due(FOREVER_US, DUE_ROWS):
            upcoming.setdefault(row.job_id, row.schedule_us)
        last = reader.last_runs(list(hashes), LAST_RUNS)
        epoch, seq = reader.head()
        pauses = in_force(reader, now_us)
        jobs = []
        for job_id in sorted(hashes):
            job = reader.definition(hashes[job_id])
            if job is not None and reaches(request.guest, job.labels):
                recent = last.get(job_id, [])
                jobs.append(_job_row(job, upcoming.get(job_id), recent, pauses))
        return {"jobs": jobs, "epoch": epoch, "seq": seq, "now": format_time_ms(now_us)}

    return await request.services.read(read)


async def get_job(request: Request) -> JobPage:
    """A job: definition, schedules in words, next and recent runs, description."""
    job_id, now_us = request.params["job_id"], request.services.now_us()

    def read(reader: Reader) -> JobPage:
        hash_, job = definition_of(reader, job_id)
        query = RunQuery(job_id=job_id, states=(State.SCHEDULED,), limit=1_000)
        scheduled = sorted(reader.query(query), key=lambda run: run.schedule_us)
        recent = reader.last_runs([job_id], RECENT_RUNS).get(job_id, [])
        epoch, seq = reader.head()
        shape = job_shape(reader, job, reader.jobs())
        text = job.metadata.get("description", "")
        return {
            "job": shape,
            "hash": hash_,
            "definition": hash_,
            "commit": reader.definition_commit(hash_),
            "params": job.params,
            "labels": job.labels,
            "ad_hoc": job.ad_hoc,
            "paused": paused_words(job, in_force(reader, now_us)),
            "schedules": _schedules(shape["schedule"]),
            "next": [run_record(run) for run in scheduled[:NEXT_RUNS]],
            "recent": [run_record(run) for run in recent],
            "file": job_to_data(job),
            "description_html": render(text) if isinstance(text, str) else "",
            "epoch": epoch,
            "seq": seq,
        }

    return await request.services.read(read)


def _job_row(job: Job, next_us: int | None, last: list[Run], pauses: list[Pause]) -> JobRow:
    description, owner = job.metadata.get("description", ""), job.metadata.get("owner")
    return {
        "job_id": job.job_id,
        "params": job.params,
        "labels": job.labels,
        "description": first_line(description) if isinstance(description, str) else "",
        "owner": owner if isinstance(owner, str) else None,
        "schedules": _schedules([schedule_jso(schedule) for schedule in job.schedules]),
        "next": instant(next_us),
        "last": [
            {
                "run_id": run.run_id,
                "state": run.state.value,
                "start": instant(run.times.get("running") or run.times.get("starting")),
                "elapsed": elapsed_s(run),
            }
            for run in last
        ],
        "ad_hoc": job.ad_hoc,
        "paused": paused_words(job, pauses),
    }


def _schedules(schedules: list[dict[str, Any]]) -> list[str]:
    """Return a job's schedules in words."""
    return [one["str"] + ("" if one.get("enabled", True) else " (disabled)") for one in schedules]


async def health(request: Request) -> Health:
    """How the server does: its roles, its place in the log, its versions."""
    services = request.services
    status = services.hub.status
    ages = {
        "ledger": status.ledger_age_s,
        "scheduler": status.scheduler_age_s,
        "runner": status.runner_age_s,
    }
    roles: dict[str, RoleStatus] = {
        name: {
            "status": "up" if age is not None and age < SILENT_S[name] else "down",
            "heard_s": None if age is None else round(age, 1),
        }
        for name, age in ages.items()
    }
    roles["web"] = {"status": "up", "heard_s": 0.0}
    found, findings, in_force = await services.read(
        lambda reader: (reader.head(), reader.findings(), len(reader.jobs()))
    )
    stalled = services.figures.stalled
    up = all(role["status"] == "up" for role in roles.values())
    whole = status.ready and up and not stalled
    broken = status.standing is not None and status.standing.problem_count > 0
    return {
        "status": "ok" if whole and not broken else "degraded",
        "roles": roles,
        "problem": status.refused or (STALLED if stalled else None),
        "epoch": found[0],
        "seq": found[1],
        "feed_seq": status.seq,
        "findings": len(findings[1]),
        "checked_at": instant(findings[0]),
        "job_folder": services.settings.job_folder,
        "jobs_in_force": in_force,
        "jobs": standing_record(status.standing),
        "processes": process_rows(services.figures),
        "versions": {
            "callsheet": services.settings.version,
            "protocol": PROTOCOL_VERSION,
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
        },
        "started": format_time_ms(services.started_us),
        "now": format_time_ms(services.now_us()),
    }


def standing_record(standing: FolderStanding | None) -> Standing | None:
    """Return how the job folder stands against the jobs in force, None while it is not known."""
    if standing is None:
        return None
    return {
        "watch": standing.watch,
        "looked_at": instant(standing.looked_us),
        "problems": [
            f"{one.path}:{one.line}:{one.column}: {one.sentence}" for one in standing.problems
        ],
        "problem_count": standing.problem_count,
        "different": standing.different,
        "added": standing.added,
        "changed": standing.changed,
        "removed": standing.removed,
    }


async def reload_jobs(request: Request, body: ReloadBody) -> ReloadedV2:
    """Read the job folder again, all or nothing."""
    wish = ReloadJobs(dry_run=body.dry_run, plan=body.plan)
    if not wish.dry_run:
        await request.services.leave(request, "reload_jobs")
    done = await request.services.wish(request, wish)
    result = done.result if isinstance(done.result, dict) else {}
    return {**reload_jso(result, dry_run=wish.dry_run), "plan": result.get("plan", "")}


ROUTES = [
    Route("GET", "/api/v2/jobs", list_jobs),
    Route("GET", "/api/v2/jobs/{job_id*}", get_job),
    Route("GET", "/api/v2/health", health),
    Route("POST", "/api/v2/reload", reload_jobs),
]
