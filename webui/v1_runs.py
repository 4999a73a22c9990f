"""Endpoints of `/api/v1/runs`, in the shapes and with the statuses of Apsis."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from typing import Annotated, cast

import msgspec
from msgspec import Meta

from ..jobs.bound_conditions import dependencies
from ..jobs.jso import run_full_jso, run_summary_jso
from ..jobs.run import Run, run_number
from ..jobs.states import State, api_state
from ..jobs.times import format_time_ms
from ..messages.operations import root_of
from ..messages.wishes import (
    MarkRun,
    RerunRun,
    SignalRun,
    SkipRun,
    StartNow,
    StopRun,
)
from ..store.interface import Reader, RunQuery
from .query import BadQuery, parse_instant
from .records import log_lines
from .routing import Problem, Request, Route, encode
from .runs_page import LIST_LIMIT, Cursor, cursor_number, in_pages, read_page, schedule_span
from .scheduling import RunWanted, schedule_wish
from .services import find_job_id, known
from .shapes import LogLine
from .shapes_v1 import (
    DependencyV1,
    Empty,
    OutputV1,
    RerunV1,
    RunLogV1,
    RunsV1,
    StateV1,
)

MAX_COUNT = 10_000


class RunsQueryV1(msgspec.Struct):
    """Which runs; one of `run_id` and `job_id` is required. All other parameters are run args; a
    leading `_` is taken off, so that an arg called `state` is given as `_state`."""

    run_id: Annotated[list[str] | None, Meta(description="Run ids.")] = None
    job_id: Annotated[str | None, Meta(description="The id of a job, or words of it.")] = None
    state: Annotated[str | None, Meta(description="One state.")] = None
    since: Annotated[str | None, Meta(description="A time: changed from then on.")] = None
    summary: Annotated[bool, Meta(description="In short.")] = False
    cursor: Cursor = None
    schedule_since: Annotated[
        list[str] | None, Meta(description="A time: due from then on. Once.")
    ] = None
    schedule_until: Annotated[
        list[str] | None, Meta(description="A time: due before it. Once.")
    ] = None
    args: Annotated[
        dict[str, str], Meta(description="Any other name: an arg the run has with this value.")
    ] = {}


class CountQuery(msgspec.Struct):
    """How many."""

    count: Annotated[int, Meta(ge=1, le=MAX_COUNT, description="So many runs alike.")] = 1


def runs_jso(runs: Iterable[Run], now_us: int, *, summary: bool = False) -> RunsV1:
    """Return a set of runs: `{"when": …, "runs": {id: …}}`.

    Each is JSON already: ten thousand of them as data would take a hundred megabytes for a moment.
    """
    shape = run_summary_jso if summary else run_full_jso
    found = {run.run_id: msgspec.Raw(encode(shape(run))) for run in runs}
    return cast("RunsV1", {"when": format_time_ms(now_us), "runs": found})


def states_named(name: str) -> tuple[State, ...]:
    """Return the states that one name of the API means; `error` includes `lost`.

    Raises:
        Problem: 400, it is none.
    """
    if name == "new":
        return ()
    found = tuple(state for state in State if api_state(state) == name)
    if not found:
        raise Problem(400, f"not a state: {name!r}")
    return found


def one_state(name: str) -> State:
    """Return the state of a name.

    Raises:
        Problem: 400, it is none.
    """
    try:
        return State(name)
    except ValueError:
        raise Problem(400, f"not a state: {name[:100]!r}") from None


def parse_signal(text: str) -> int:
    """Return the number of `TERM`, `SIGTERM` or `15`.

    Raises:
        Problem: 400, it is none.
    """
    try:
        if text.isascii() and text.isdigit():
            return signal.Signals(int(text)).value
        return signal.Signals[text if text.startswith("SIG") else f"SIG{text}"].value
    except (ValueError, KeyError):
        raise Problem(400, f"invalid signal: {text[:100]}") from None


async def get_run(request: Request) -> RunsV1:
    """A run."""
    run = await request.services.run(request.params["run_id"])
    return runs_jso([run], request.services.now_us())


async def get_log(request: Request) -> RunLogV1:
    """The log of a run."""
    run_id = request.params["run_id"]

    def read(reader: Reader) -> list[LogLine]:
        run = known(_find(reader, run_id), run_id)
        return log_lines(reader.log(run.run_id))

    lines = await request.services.read(read)
    return {
        "run_log": [
            {"run_id": run_id, "timestamp": line["time"], "message": line["message"]}
            for line in lines
        ]
    }


async def get_outputs(request: Request) -> list[OutputV1]:
    """The outputs of a run; of an unknown one, none."""
    outputs = await request.services.outputs.of(request.params["run_id"])
    return [{"output_id": output.output_id, "output_len": output.length} for output in outputs]


async def get_state(request: Request) -> StateV1:
    """The state of a run."""
    run = await request.services.run(request.params["run_id"])
    return {"state": api_state(run.state)}


async def get_dependencies(request: Request) -> dict[str, list[DependencyV1]]:
    """For each dependency of a run: the runs of that instance."""
    run_id = request.params["run_id"]

    def read(reader: Reader) -> list[DependencyV1]:
        run = known(_find(reader, run_id), run_id)
        found: list[DependencyV1] = []
        for cond in dependencies(run.conds):
            query = RunQuery(job_id=cond.job_id, args=cond.args, limit=LIST_LIMIT)
            ids = [one.run_id for one in reader.query(query) if one.args == cond.args]
            found.append({"job_id": cond.job_id, "args": cond.args, "run_ids": ids})
        return found

    return {run_id: await request.services.read(read)}


async def list_runs(request: Request, query: RunsQueryV1) -> RunsV1:
    """Runs by id, job, state, change, schedule time and args; one of id and job is required."""
    services = request.services
    state, since = query.state or None, query.since or None
    run_ids, job = query.run_id, query.job_id
    cursor = None if run_ids else cursor_number(query.cursor)
    begin_us, end_us = schedule_span(query.schedule_since, query.schedule_until)
    if not run_ids and job is None:
        raise Problem(400, "either run_id or job_id filter is required")
    args = {name.removeprefix("_"): value for name, value in query.args.items()}
    try:
        since_us = None if since is None else parse_instant(since, services.now_us())
    except BadQuery as error:
        raise Problem(400, str(error)) from None
    states = None if state is None else states_named(state)
    lookback = services.settings.lookback_us
    if lookback is not None:
        begin_us = max(begin_us or 0, services.started_us - lookback)

    def read(reader: Reader) -> tuple[list[Run], str | None]:
        wanted = RunQuery(
            job_id=None if job is None else find_job_id(reader, job),
            run_ids=tuple(run_ids) if run_ids else None,
            states=states,
            args=args,
            since_us=begin_us,
            until_us=end_us,
            changed_since_us=since_us,
        )
        return read_page(reader, wanted, cursor)

    runs, following = await services.read(read)
    return in_pages(runs_jso(runs, services.now_us(), summary=query.summary), following)


async def post_runs(request: Request, query: CountQuery, body: RunWanted) -> RunsV1:
    """Schedule runs of a job, or of a job given in the request."""
    services = request.services
    wish = await schedule_wish(request, body, query.count)
    done = await services.wish(request, wish)
    return runs_jso(done.each(), services.now_us())


async def skip(request: Request) -> Empty:
    """Skip a scheduled or waiting run."""
    await request.services.wish(request, SkipRun(run_id=_id(request)))
    return {}


async def start(request: Request) -> Empty:
    """Start a scheduled or waiting run now."""
    await request.services.wish(request, StartNow(run_id=_id(request)))
    return {}


async def rerun(request: Request) -> RerunV1:
    """Run again, now, what an earlier run ran."""
    services = request.services
    done = await services.wish(request, await rerun_wish(request))
    answer = runs_jso(done.each(), services.now_us())
    return {**answer, "show_run_id": next(iter(answer["runs"]), None)}


async def rerun_wish(
    request: Request,
    *,
    as_it_was: bool = False,
    changes: dict[str, str] | None = None,
    reason: str = "",
) -> RerunRun:
    """Return the wish for a new run like an earlier one.

    `as_it_was`: by the definition that run was bound to, not by the one in force. `changes`: args
    that are to be others.

    Raises:
        Problem: 404, there is no such run; 400, it was bound to none.
    """
    run = await request.services.run(_id(request))
    if as_it_was and run.definition is None:
        raise Problem(400, f"run {run.run_id} was bound to no definition: expected `current`")
    return RerunRun(
        run_id=run.run_id,
        job_id=run.job_id,
        args=run.args,
        stop_us=run.stop_us,
        definition=run.definition if as_it_was else None,
        source_results=run.source_results,
        root=root_of(run),
        changes=changes or {},
        reason=reason,
    )


async def stop(request: Request) -> RunsV1:
    """Stop a running run."""
    done = await request.services.wish(request, StopRun(run_id=_id(request)))
    return runs_jso(done.each(), request.services.now_us())


async def send_signal(request: Request) -> Empty:
    """Send a signal to the process of a run."""
    number = parse_signal(request.params["signal"])
    await request.services.wish(request, SignalRun(run_id=_id(request), signal=number))
    return {}


async def mark(request: Request) -> Empty:
    """Force a finished run into another finished state."""
    state = one_state(request.params["state"])
    await request.services.wish(request, MarkRun(run_id=_id(request), state=state))
    return {}


def _id(request: Request) -> str:
    """Return the run id of the path.

    Raises:
        Problem: 404, no run can have it.
    """
    run_id = request.params["run_id"]
    if run_number(run_id) is None:
        known(None, run_id)
    return run_id


def _find(reader: Reader, run_id: str) -> Run | None:
    return None if run_number(run_id) is None else reader.run(run_id)


RUN = "/api/v1/runs/{run_id}"
ROUTES = [
    Route("GET", "/api/v1/runs", list_runs),
    Route("POST", "/api/v1/runs", post_runs),
    Route("GET", RUN, get_run),
    Route("GET", f"{RUN}/log", get_log),
    Route("GET", f"{RUN}/outputs", get_outputs),
    Route("GET", f"{RUN}/state", get_state),
    Route("GET", f"{RUN}/dependencies", get_dependencies),
    Route("POST", f"{RUN}/skip", skip),
    Route("POST", f"{RUN}/start", start),
    Route("POST", f"{RUN}/rerun", rerun),
    Route("PUT POST", f"{RUN}/stop", stop),
    Route("PUT POST", f"{RUN}/signal/{{signal}}", send_signal),
    Route("PUT POST", f"{RUN}/mark/{{state}}", mark),
]
