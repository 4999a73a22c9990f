"""All that can be asked of a server: a method per thing the API does, with the names of Apsis's.

One table for both clients, see `endpoint`; nothing here sends anything. Every error of the server
is an `APIError`.
"""

from __future__ import annotations

from .endpoint import Ask, endpoint
from .following import Following
from .operations import OperationsSurface
from .paths import quote

# As type checkers read it; `typing` itself would cost half of this module's import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .http import Connection

    Jso = dict[str, Any]

# A reload reads the whole job folder.
RELOAD_TIMEOUT_S = 180.0
# Names of run args that GET /runs would take for its own.
RESERVED = {"job_id", "run_id", "state", "since", "summary"}


class Surface(OperationsSurface):
    """See the module. `_connection` says where the server is, and what is shown to it."""

    if TYPE_CHECKING:
        _connection: Connection

    # --- the server -------------------------------------------------------------------------------

    @endpoint
    def alive(self) -> Ask[bool]:
        """Return True when HTTP is up."""
        return Ask("GET", "/api/v1/alive", pick=lambda _: True)

    @endpoint
    def running(self, timeout_s: float | None = None) -> Ask[None]:
        """Wait until the service is up, as long as the server is willing to wait."""
        return Ask("GET", "/api/v1/running", timeout_s=timeout_s, pick=_nothing)

    @endpoint
    def stats(self) -> Ask[Jso]:
        """Return figures about the server."""
        return Ask("GET", "/api/v1/stats")

    @endpoint
    def health(self) -> Ask[Jso]:
        """Return how the server does."""
        return Ask("GET", "/api/v2/health")

    @endpoint
    def version(self) -> Ask[str]:
        """Return the server's version."""
        return Ask("GET", "/api/control/version", pick=lambda said: str(said["version"]))

    @endpoint
    def get_checks(self, *, limit: int | None = None) -> Ask[Jso]:
        """Return what the sanity checker has found: `findings`, those `closed` last, `rounds`."""
        return Ask("GET", "/api/v2/checks", query={} if limit is None else {"limit": str(limit)})

    @endpoint
    def check_now(self) -> Ask[Jso]:
        """Have a round of checks made; return since when one counts that begins, as `asked`."""
        return Ask("POST", "/api/v2/checks")

    @endpoint
    def agents(self) -> Ask[list[Jso]]:
        """Return all agents, with their processes."""
        return Ask("GET", "/api/v2/agents", pick=_part("agents"))

    @endpoint
    def reload_jobs(self, *, dry_run: bool = False, plan: str | None = None) -> Ask[Jso]:
        """Have the job folder read again; return added, changed and removed ids. With the id of a
        `plan`: only if it still holds."""
        query = {"dry_run": str(bool(dry_run))} | ({} if plan is None else {"plan": plan})
        path = "/api/control/reload_jobs"
        return Ask("POST", path, query=query, timeout_s=RELOAD_TIMEOUT_S)

    @endpoint
    def shut_down(self, *, restart: bool = False) -> Ask[None]:
        """Stop the server in order; `restart`: and start it again."""
        query = {"restart": ""} if restart else None
        return Ask("POST", "/api/control/shut_down", query=query, pick=_nothing)

    # --- jobs -------------------------------------------------------------------------------------

    @endpoint
    def get_jobs(self, *, label: str | None = None) -> Ask[list[Jso]]:
        """Return all jobs, or those with a label."""
        return Ask("GET", "/api/v1/jobs", query={} if label is None else {"label": label})

    @endpoint
    def get_job(self, job_id: str) -> Ask[Jso]:
        """Return a job, by its id or words of it."""
        return Ask("GET", f"/api/v1/jobs/{quote(job_id, safe='/')}")

    @endpoint
    def get_job_runs(self, job_id: str) -> Ask[Jso]:
        """Return all runs of a job, by id."""
        return Ask("GET", f"/api/v1/jobs/{quote(job_id, safe='/')}/runs", pick=_part("runs"))

    # --- runs -------------------------------------------------------------------------------------

    @endpoint
    def get_runs(
        self,
        *,
        job_id: str | None = None,
        state: str | None = None,
        args: Mapping[str, str] | None = None,
        run_id: str | None = None,
        since: str | None = None,
        summary: bool = False,
    ) -> Ask[Jso]:
        """Return runs by id; one of `job_id` and `run_id` is required."""
        query = {"summary": "True"} if summary else {}
        terms = {"job_id": job_id, "run_id": run_id, "state": state, "since": since}
        query.update({name: value for name, value in terms.items() if value is not None})
        for name, value in (args or {}).items():
            escaped = name in RESERVED or name.startswith("_")
            query[f"_{name}" if escaped else name] = value
        return Ask("GET", "/api/v1/runs", query=query, pick=_part("runs"))

    @endpoint
    def get_run(self, run_id: str) -> Ask[Jso]:
        """Return a run."""
        return Ask("GET", _run(run_id), pick=_part("runs", run_id))

    @endpoint
    def get_run_log(self, run_id: str) -> Ask[list[Jso]]:
        """Return the log of a run."""
        return Ask("GET", _run(run_id, "log"), pick=_part("run_log"))

    @endpoint
    def get_run_dependencies(self, run_id: str) -> Ask[list[Jso]]:
        """Return the dependencies of a run, and the runs of each."""
        return Ask("GET", _run(run_id, "dependencies"), pick=_part(run_id))

    @endpoint
    def get_outputs(self, run_id: str) -> Ask[list[Jso]]:
        """Return the outputs of a run."""
        return Ask("GET", _run(run_id, "outputs"))

    @endpoint
    def get_output(self, run_id: str, output_id: str = "output") -> Ask[bytes]:
        """Return the data of an output."""
        return Ask("GET", _run(run_id, "output", output_id), raw=True)

    @endpoint
    def get_outputs_zip(self, run_id: str) -> Ask[bytes]:
        """Return all outputs and artifacts of a run, of all its attempts, as a zip."""
        return Ask("GET", f"/api/v2/runs/{quote(run_id)}/outputs.zip", raw=True)

    @endpoint
    def find_runs(self, /, **query: str | list[str]) -> Ask[Jso]:
        """Return a page of runs of callsheet's own API: q, state, job, label, since, cursor, …"""
        return Ask("GET", "/api/v2/runs", query=query)

    @endpoint
    def find_runs_by_time(self, /, **query: str | list[str]) -> Ask[Jso]:
        """Return a stretch of runs in the order of their time: q, state, …, offset, limit, order"""
        return Ask("GET", "/api/v2/runs-by-time", query=query)

    # --- operations -------------------------------------------------------------------------------

    @endpoint
    def schedule(
        self,
        job_id: str,
        args: Mapping[str, Any],
        time: Any = "now",
        *,
        count: int | None = None,
        stop_time: Any = None,
    ) -> Ask[Any]:
        """Schedule a run of a job; return it, or with `count` the list of runs."""
        return _schedule(time, {"job_id": job_id, "args": dict(args)}, count, stop_time)

    @endpoint
    def schedule_adhoc(
        self, time: Any, job: Jso, *, count: int | None = None, stop_time: Any = None
    ) -> Ask[Any]:
        """Schedule a run of a job given here; return it, or with `count` the list of runs."""
        return _schedule(time, {"job": job}, count, stop_time)

    @endpoint
    def schedule_program(
        self, time: Any, args: list[str], *, count: int | None = None, stop_time: Any = None
    ) -> Ask[Any]:
        """Schedule a run of a program with its arguments."""
        job = {"program": [str(one) for one in args]}
        return _schedule(time, {"job": job}, count, stop_time)

    @endpoint
    def schedule_shell_program(
        self, time: Any, command: str, *, count: int | None = None, stop_time: Any = None
    ) -> Ask[Any]:
        """Schedule a run of a shell command."""
        return _schedule(time, {"job": {"program": str(command)}}, count, stop_time)

    @endpoint
    def start(self, run_id: str) -> Ask[None]:
        """Start a scheduled or waiting run now."""
        return Ask("POST", _run(run_id, "start"), pick=_nothing)

    @endpoint
    def skip(self, run_id: str) -> Ask[None]:
        """Skip a scheduled or waiting run."""
        return Ask("POST", _run(run_id, "skip"), pick=_nothing)

    @endpoint
    def rerun(self, run_id: str) -> Ask[Jso]:
        """Run again what a run ran; return the new run."""
        return Ask("POST", _run(run_id, "rerun"), pick=lambda said: _runs(said)[0])

    @endpoint
    def stop_run(self, run_id: str) -> Ask[Jso]:
        """Stop a running run; return it."""
        return Ask("PUT", _run(run_id, "stop"), pick=_part("runs", run_id))

    @endpoint
    def signal(self, run_id: str, signal: Any) -> Ask[None]:
        """Send a signal, by name or number, to the process of a run."""
        name = str(getattr(signal, "name", signal))
        return Ask("PUT", _run(run_id, "signal", name), pick=_nothing)

    @endpoint
    def mark(self, run_id: str, state: str) -> Ask[None]:
        """Force a finished run into another finished state."""
        name = str(getattr(state, "name", state))
        return Ask("POST", _run(run_id, "mark", name), pick=_nothing)

    @endpoint
    def hold(self, run_id: str, reason: str = "") -> Ask[Jso]:
        """Hold a scheduled or waiting run until it is released."""
        return _operate(run_id, "hold", {"reason": reason})

    @endpoint
    def release(self, run_id: str) -> Ask[Jso]:
        """Release a held run."""
        return _operate(run_id, "release", {})

    @endpoint
    def kill(self, run_id: str) -> Ask[Jso]:
        """Kill the process of a run at once."""
        return _operate(run_id, "kill", {})

    @endpoint
    def operate(self, /, run_id: str, verb: str, **body: Any) -> Ask[Jso]:
        """Carry out any operation of callsheet's own API on a run."""
        return _operate(run_id, verb, body)

    @endpoint
    def pauses(self) -> Ask[list[Jso]]:
        """Return the pauses in force."""
        return Ask("GET", "/api/v2/pauses", pick=_part("pauses"))

    @endpoint
    def pause(
        self, kind: str, name: str = "", *, reason: str = "", until: str | None = None
    ) -> Ask[Jso]:
        """Skip what schedules make of a `job`, `folder`, `label` or `all`; return all pauses."""
        body = {"kind": kind, "name": name, "reason": reason, "until": until}
        return Ask("POST", "/api/v2/pause", body=body)

    @endpoint
    def resume(self, kind: str, name: str = "") -> Ask[Jso]:
        """End a pause; return those that remain."""
        return Ask("POST", "/api/v2/resume", body={"kind": kind, "name": name})

    @endpoint
    def backfill(self, /, job_id: str, begin: str, end: str = "now", **options: Any) -> Ask[Jso]:
        """Begin a backfill of a job's times in [begin, end), and return it.

        `options`: `args`, `parallel`, `order` (oldest or newest), `again`.
        """
        body = {"job_id": job_id, "from": begin, "to": end, **options}
        return Ask("POST", "/api/v2/backfills", body=body, pick=_part("backfill"))

    @endpoint
    def backfill_runs(
        self, /, job_id: str, begin: str, end: str = "now", **options: Any
    ) -> Ask[Jso]:
        """Return the `runs` that such a backfill would have, and how many are `left_out`."""
        body = {"job_id": job_id, "from": begin, "to": end, "dry_run": True, **options}
        return Ask("POST", "/api/v2/backfills", body=body)

    @endpoint
    def backfills(self) -> Ask[list[Jso]]:
        """Return the backfills, newest first."""
        return Ask("GET", "/api/v2/backfills", pick=_part("backfills"))

    @endpoint
    def get_backfill(self, backfill_id: str) -> Ask[Jso]:
        """Return a backfill, with how many of its runs are in which state."""
        return Ask("GET", f"/api/v2/backfills/{quote(backfill_id)}", pick=_part("backfill"))

    @endpoint
    def stop_backfill(self, backfill_id: str, reason: str = "") -> Ask[Jso]:
        """Withdraw the runs of a backfill that have not begun; return it."""
        path = f"/api/v2/backfills/{quote(backfill_id)}/stop"
        return Ask("POST", path, body={"reason": reason}, pick=_part("backfill"))

    # --- what is followed -------------------------------------------------------------------------

    def get_run_updates(self, run_id: str, *, init: bool = False) -> Following[Jso]:
        """Follow a run: its updates, until the server ends it."""
        from .sockets import run_updates

        return Following(run_updates(self._connection, run_id, init=init))

    def get_output_data_updates(
        self, run_id: str, output_id: str = "output", *, start: int | None = None
    ) -> Following[bytes]:
        """Follow an output: its bytes, until the run is finished."""
        from .sockets import output_updates

        return Following(output_updates(self._connection, run_id, output_id, start=start))

    def follow(
        self, topic: str, terms: Mapping[str, Any] | None = None, *, resume: str | None = None
    ) -> Following[Jso]:
        """Follow a topic of the event stream, without end: it connects again and resumes by
        itself, see `stream.follow_topic`."""
        from .stream import follow_topic

        return Following(follow_topic(self._connection, topic, terms, resume=resume))


def _schedule(time: Any, body: Jso, count: int | None, stop_time: Any) -> Ask[Any]:
    body["times"] = {"schedule": str(time)}
    if stop_time is not None:
        body["times"]["stop"] = str(stop_time)
    query = {} if count is None else {"count": str(count)}

    def pick(said: Any) -> Any:
        return _runs(said)[0] if count is None else _runs(said)

    return Ask("POST", "/api/v1/runs", query=query, body=body, pick=pick)


def _operate(run_id: str, verb: str, body: Jso) -> Ask[Jso]:
    return Ask("POST", f"/api/v2/runs/{quote(run_id)}/{quote(verb)}", body=body)


def _run(run_id: str, *parts: str) -> str:
    return "/".join(["/api/v1/runs", *(quote(part) for part in (run_id, *parts))])


def _part(*names: str) -> Any:
    """Return what picks a part of an answer."""

    def pick(said: Any) -> Any:
        for name in names:
            said = said[name]
        return said

    return pick


def _runs(said: Any) -> list[Jso]:
    return [*said["runs"].values()]


def _nothing(_said: Any) -> None:
    """What is said is of no use."""
