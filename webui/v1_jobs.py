"""Endpoints of Apsis besides runs: jobs, readiness, statistics, control, agents."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..jobs.run import Run
from ..jobs.states import State
from ..jobs.times import format_time_ms
from ..messages.agents import AgentInfo
from ..messages.wishes import ReloadJobs
from ..store.interface import Reader, RunQuery
from .gate import reaches
from .routing import Problem, Request, Route
from .runs_page import Cursor, cursor_number, in_pages, read_page
from .services import definition_of, find_job_id, job_shape
from .shapes_v1 import ConnectionV1, Empty, JobV1, Reloaded, RunsV1, VersionV1
from .v1_runs import runs_jso

log = logging.getLogger("callsheet.web")

# How long GET /running waits for the server.
RUNNING_S = 30.0
LIVE = (State.SCHEDULED, State.WAITING, State.STARTING, State.RUNNING, State.STOPPING)


async def alive(_request: Request) -> Empty:
    """HTTP is up."""
    return {}


async def running(request: Request) -> Empty:
    """The service is up; waits for it."""
    if not await request.services.hub.wait_ready(RUNNING_S):
        sentence = f"the server was not ready in {RUNNING_S:.0f} s"
        raise Problem(503, sentence, headers={"Retry-After": "5"})
    return {}


class JobsQueryV1(msgspec.Struct):
    """Which jobs."""

    label: Annotated[str | None, Meta(description="Those with this label.")] = None


class JobRunsQueryV1(msgspec.Struct):
    """Which of the runs."""

    cursor: Cursor = None


class ReloadQueryV1(msgspec.Struct):
    """How to reload."""

    dry_run: Annotated[bool, Meta(description="Only say what would change.")] = False
    plan: Annotated[str, Meta(description="The id of a plan: only if that still holds.")] = ""


class ShutDownQueryV1(msgspec.Struct):
    """How to stop."""

    restart: Annotated[bool, Meta(description="Given: and start again.")] = False


async def list_jobs(request: Request, query: JobsQueryV1) -> list[JobV1]:
    """All jobs of the folder, or those with a label."""
    label = query.label

    def read(reader: Reader) -> list[JobV1]:
        found = []
        hashes = reader.jobs()
        for job_id in sorted(hashes):
            job = reader.definition(hashes[job_id])
            fits = job is not None and (label is None or label in job.labels)
            if job is not None and fits and reaches(request.guest, job.labels):
                found.append(job_shape(reader, job, hashes))
        return found

    return await request.services.read(read)


async def get_job(request: Request) -> JobV1:
    """A job, by its id or words of it."""
    text = request.params["job_id"]

    def read(reader: Reader) -> JobV1:
        job_id = find_job_id(reader, text, missing=404)
        return job_shape(reader, definition_of(reader, job_id)[1], reader.jobs())

    return await request.services.read(read)


async def get_job_runs(request: Request, query: JobRunsQueryV1) -> RunsV1:
    """All runs of a job."""
    services = request.services
    text = request.params["job_id"]
    lookback = services.settings.lookback_us
    cursor = cursor_number(query.cursor)

    def read(reader: Reader) -> tuple[list[Run], str | None]:
        wanted = RunQuery(
            job_id=find_job_id(reader, text),
            since_us=None if lookback is None else services.started_us - lookback,
        )
        return read_page(reader, wanted, cursor)

    runs, following = await services.read(read)
    return in_pages(runs_jso(runs, services.now_us()), following)


async def get_stats(request: Request) -> dict[str, Any]:
    """Figures about the server; their set may change."""
    services = request.services
    query = RunQuery(states=LIVE)
    counts, owed = await services.read(
        lambda reader: (reader.count_by_state(query), reader.owed_actions())
    )
    size, resident = await services.pool.run(_memory_bytes)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    scheduled = counts.get(State.SCHEDULED, 0)
    active = sum(counts.values()) - scheduled
    status = services.hub.status
    return {
        "start_time": format_time_ms(services.started_us),
        "time": format_time_ms(services.now_us()),
        "tasks": {
            "num_waiting": counts.get(State.WAITING, 0),
            "num_running": counts.get(State.STARTING, 0) + counts.get(State.RUNNING, 0),
            "num_stopping": counts.get(State.STOPPING, 0),
            "num_action": owed,
        },
        "scheduled": {"num_entries": scheduled, "num_heap": scheduled},
        "run_store": {"num_expected_runs": scheduled, "num_active_runs": active},
        "async": {"num_tasks": len(asyncio.all_tasks())},
        "summary_publisher": {"num_subs": services.sockets},
        "rusage_maxrss": usage.ru_maxrss * 1024,
        "rusage_utime": usage.ru_utime,
        "rusage_stime": usage.ru_stime,
        "statm_size": size,
        "statm_resident": resident,
        "gc": [{"collections": one["collections"]} for one in gc.get_stats()],
        "epoch": status.epoch,
        "seq": status.seq,
    }


def _memory_bytes() -> tuple[int, int]:
    """Return the size and the resident part of this process's memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = file.read().split()
    return int(pages[0]) * resource.getpagesize(), int(pages[1]) * resource.getpagesize()


async def reload_jobs(request: Request, query: ReloadQueryV1) -> Reloaded:
    """Read the job folder again; all or nothing."""
    wish = ReloadJobs(dry_run=query.dry_run, plan=query.plan)
    if not wish.dry_run:
        await request.services.leave(request, "reload_jobs")
    done = await request.services.wish(request, wish)
    return reload_jso(done.result, dry_run=wish.dry_run)


def reload_jso(result: Any, *, dry_run: bool) -> Reloaded:
    """Return the outcome of a reload."""
    found = result if isinstance(result, dict) else {}
    return {
        "removed": sorted(found.get("removed", [])),
        "added": sorted(found.get("added", [])),
        "changed": sorted(found.get("changed", [])),
        "dry_run": bool(found.get("dry_run", dry_run)),
    }


async def shut_down(request: Request, query: ShutDownQueryV1) -> Empty:
    """Stop the whole server in order; `restart`: and start it again."""
    restart = query.restart
    if restart:
        await request.services.try_restart()
    try:
        await request.services.leave(request, "restart" if restart else "shut_down")
    except Problem as problem:
        if problem.status != 503:
            raise
        # The role was looked at here; a server whose disk is full has to be stoppable.
        log.warning("web: nobody records that the server is stopped: %s", problem)
    request.services.shut_down(restart=restart)
    return {}


async def version(request: Request) -> VersionV1:
    """The version of the server."""
    return {"version": request.services.settings.version}


async def connections(request: Request) -> dict[str, ConnectionV1]:
    """The agents, by connection id."""
    answer = await request.services.hub.agents()
    return {agent.agent_id: connection_jso(agent) for agent in answer.agents}


async def groups(request: Request) -> dict[str, list[ConnectionV1]]:
    """The agents, by group."""
    answer = await request.services.hub.agents()
    found: dict[str, list[ConnectionV1]] = {}
    for agent in answer.agents:
        found.setdefault(agent.group_id, []).append(connection_jso(agent))
    return found


# An agent that takes no runs is *idling* to Apsis; one that never comes back is *done*.
SHUTDOWN_STATES = {"draining": "idling", "revoked": "done"}


def connection_jso(agent: AgentInfo) -> ConnectionV1:
    """Return an agent as Apsis shows its connection."""
    return {
        "shutdown_state": SHUTDOWN_STATES.get(agent.state, "active"),
        "info": {
            "conn": {
                "conn_id": agent.agent_id,
                "group_id": agent.group_id,
                "restricted_exe": None,
            },
            "socket": {"address": agent.hostname, "port": 0},
            "proc": {
                "pid": agent.pid,
                "ppid": None,
                "uid": agent.uid,
                "euid": agent.uid,
                "username": agent.username,
                "gid": agent.gid,
                "egid": agent.gid,
                "groupname": None,
                "hostname": agent.hostname,
            },
            "stats": {
                "connected": agent.connected,
                "first_connect_time": format_time_ms(agent.first_seen_us),
                "last_connect_time": format_time_ms(agent.connected_us or agent.first_seen_us),
                "last_disconnect_time": (
                    None if agent.connected else format_time_ms(agent.last_seen_us)
                ),
                "num_connections": agent.connections,
                "num_received": agent.received,
                "num_sent": agent.sent,
            },
        },
    }


ROUTES = [
    Route("GET", "/api/v1/alive", alive),
    Route("GET", "/api/v1/running", running),
    Route("GET", "/api/v1/stats", get_stats),
    Route("GET", "/api/v1/jobs", list_jobs),
    Route("GET", "/api/v1/jobs/{job_id*}/runs", get_job_runs),
    Route("GET", "/api/v1/jobs/{job_id*}", get_job),
    Route("POST", "/api/control/reload_jobs", reload_jobs),
    Route("POST", "/api/control/shut_down", shut_down),
    Route("GET", "/api/control/version", version),
    Route("GET", "/api/procstar/connections", connections),
    Route("GET", "/api/procstar/groups", groups),
]
