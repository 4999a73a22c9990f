"""Endpoints of `/api/v2` about what hangs on what: the graph of jobs, and the chain of one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypedDict

import msgspec
from msgspec import Meta

from ..jobs.actions import ScheduleAction
from ..jobs.bound_conditions import BoundDependency, dependencies
from ..jobs.conditions import Dependency, leaves
from ..jobs.job import Job
from ..jobs.run import Run, args_key, run_number
from ..jobs.run_filter import RunFilter
from ..jobs.states import State
from ..store.interface import Reader, RunQuery
from .query import BadQuery, parse_filter
from .records import instant, run_record
from .routing import Problem, Request, Route
from .services import known
from .shapes import Instant, RunRecord

# Jobs of one graph; the page says so when there are more.
MOST_NODES = 300
# How far a graph goes from the job it is about: what it needs, and what needs it.
UP, DOWN = 1, 2
MOST_STEPS = 20
DUE_ROWS = 20_000
FOREVER_US = 2**60
# Runs of the jobs that may need a run, and runs named in a chain.
MOST_LOOKED_AT = 2_000
MOST_CHAIN = 100
UNFINISHED = (
    State.SCHEDULED, State.WAITING, State.STARTING, State.RUNNING, State.STOPPING,
)  # fmt: skip


class Edge(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """`after` hangs on `before`: it waits for it (`needs`), or is made by it (`starts`)."""

    before: str
    after: str
    kind: str


class GraphQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which jobs: those of a query and their neighbours, or those around one job."""

    q: Annotated[list[str], Meta(description="A query; see the guide of queries.")] = []
    focus: Annotated[str | None, Meta(description="The id of a job.")] = None
    up: Annotated[int, Meta(ge=0, le=MOST_STEPS, description="Steps to what it needs.")] = UP
    down: Annotated[int, Meta(ge=0, le=MOST_STEPS, description="Steps to what needs it.")] = DOWN


class GraphNode(TypedDict):
    """A job, its last run, and when it runs next."""

    job_id: str
    labels: tuple[str, ...]
    last: RunRecord | None
    next: Instant | None


class GraphEdge(TypedDict):
    """`after` hangs on `before`: it waits for it (`needs`), or is made by it (`starts`)."""

    before: str
    after: str
    kind: str


class Graph(TypedDict):
    """Jobs and what hangs on what."""

    nodes: list[GraphNode]
    edges: list[GraphEdge]
    complete: bool


class Need(TypedDict):
    """An instance that a run needs, the run of it that counts, and how many it has."""

    job_id: str
    args: dict[str, str]
    run: RunRecord | None
    runs: int


class Chain(TypedDict):
    """What a run needs, the runs that need it, and the jobs of which it makes runs."""

    needs: list[Need]
    needed_by: list[RunRecord]
    starts: list[str]


async def get_graph(request: Request, query: GraphQuery) -> Graph:
    """Jobs and what they need of each other.

    Those of a query (`q`) and their neighbours, or those around one job (`focus`, `up`, `down`).
    """
    focus = query.focus
    try:
        wanted = parse_filter({"q": query.q}, request.services.now_us())
    except BadQuery as error:
        raise Problem(400, str(error)) from None

    def read(reader: Reader) -> Graph:
        jobs = _jobs(reader)
        edges = edges_of(jobs)
        if focus is not None:
            if focus not in jobs:
                raise Problem(404, f"no job_id {focus[:200]}")
            chosen = _around({focus}, edges, query.up, query.down)
        else:
            named = {job_id for job_id, job in jobs.items() if _is_meant(wanted, job)}
            joined = {job_id for edge in edges for job_id in (edge.before, edge.after)}
            # A job that nothing hangs on and that hangs on nothing is no part of a graph.
            chosen = _around(named, edges, 1, 1) & joined
        shown = sorted(chosen)[:MOST_NODES]
        return {
            "nodes": _nodes(reader, shown, jobs),
            "edges": [
                {"before": edge.before, "after": edge.after, "kind": edge.kind}
                for edge in edges
                if edge.before in shown and edge.after in shown
            ],
            "complete": len(shown) == len(chosen),
        }

    return await request.services.read(read)


async def get_chain(request: Request) -> Chain:
    """What a run waits or waited for, and the runs that wait for it or will."""
    run_id = request.params["run_id"]

    def read(reader: Reader) -> Chain:
        run = known(reader.run(run_id) if run_number(run_id) is not None else None, run_id)
        edges = edges_of(_jobs(reader))
        return {
            "needs": [_need(reader, cond) for cond in dependencies(run.conds)],
            "needed_by": [run_record(one) for one in _dependents(reader, run, edges)],
            "starts": sorted(
                {edge.after for edge in edges if edge.before == run.job_id}
                & {action.job_id for action in run.actions if isinstance(action, ScheduleAction)}
            ),
        }

    return await request.services.read(read)


def edges_of(jobs: Mapping[str, Job]) -> list[Edge]:
    """Return what hangs on what among jobs; a job that only a template names is left out."""
    found = set()
    for job in jobs.values():
        for cond in leaves(job.conditions):
            if isinstance(cond, Dependency) and cond.enabled is not False and cond.job_id in jobs:
                found.add(Edge(before=cond.job_id, after=job.job_id, kind="needs"))
        for action in job.actions:
            if isinstance(action, ScheduleAction) and action.job_id in jobs:
                found.add(Edge(before=job.job_id, after=action.job_id, kind="starts"))
    return sorted(edge for edge in found if edge.before != edge.after)


# --- inside ---------------------------------------------------------------------------------------


def _jobs(reader: Reader) -> dict[str, Job]:
    hashes = reader.jobs()
    found = {job_id: reader.definition(hash_) for job_id, hash_ in hashes.items()}
    return {job_id: job for job_id, job in found.items() if job is not None}


def _is_meant(wanted: RunFilter, job: Job) -> bool:
    """Whether a query means a job; terms about runs are left aside."""
    return (
        wanted.matches_job(job.job_id)
        and wanted.matches_labels(job.labels)
        and wanted.matches_owner(job.owner)
    )


def _around(jobs: set[str], edges: list[Edge], up: int, down: int) -> set[str]:
    """Return jobs with those up to so many steps before and after them."""
    before, after = set(jobs), set(jobs)
    for _ in range(up):
        before |= {edge.before for edge in edges if edge.after in before}
    for _ in range(down):
        after |= {edge.after for edge in edges if edge.before in after}
    return before | after


def _nodes(reader: Reader, job_ids: list[str], jobs: Mapping[str, Job]) -> list[GraphNode]:
    last = reader.last_runs(job_ids, 1)
    upcoming: dict[str, int] = {}
    for row in reader.due(FOREVER_US, DUE_ROWS):
        upcoming.setdefault(row.job_id, row.schedule_us)
    return [
        {
            "job_id": job_id,
            "labels": jobs[job_id].labels,
            "last": run_record(last[job_id][0]) if last.get(job_id) else None,
            "next": instant(upcoming.get(job_id)),
        }
        for job_id in job_ids
    ]


def _need(reader: Reader, cond: BoundDependency) -> Need:
    """Return an instance and the run of it that counts: the newest in a state that is asked for,
    else the newest that has begun to wait, else the next; None where there is none."""
    runs = reader.query(RunQuery(job_id=cond.job_id, args=cond.args, limit=MOST_CHAIN))
    same = [run for run in runs if args_key(run.args) == args_key(cond.args)]
    begun = [run for run in same if run.state is not State.SCHEDULED]
    fitting = [run for run in begun if run.state in cond.states]
    # The newest come first.
    run = next(iter([*fitting, *begun, *reversed(same)]), None)
    return {
        "job_id": cond.job_id,
        "args": cond.args,
        "run": None if run is None else run_record(run),
        "runs": len(same),
    }


def _dependents(reader: Reader, run: Run, edges: list[Edge]) -> list[Run]:
    """Return runs that are not over and need the run's instance, by their time."""
    jobs = tuple(e.after for e in edges if e.before == run.job_id and e.kind == "needs")
    if not jobs:
        return []
    key = args_key(run.args)
    query = RunQuery(job_ids=jobs, states=UNFINISHED, limit=MOST_LOOKED_AT)
    found = [
        one
        for one in reader.query(query)
        if any(c.job_id == run.job_id and args_key(c.args) == key for c in dependencies(one.conds))
    ]
    return sorted(found, key=lambda one: one.schedule_us)[:MOST_CHAIN]


ROUTES = [
    Route("GET", "/api/v2/graph", get_graph, also=(404,)),
    Route("GET", "/api/v2/runs/{run_id}/chain", get_chain),
]
