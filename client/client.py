"""The client: a method per thing the API does, with the names of Apsis's client.

Synchronous; the two methods that follow a socket are asynchronous generators (`sockets`). Every
error of the server is an `APIError`.
"""

from __future__ import annotations

from .caller import Caller
from .paths import quote

# As type checkers read it; `typing` itself would cost half of this module's import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import Any

    Jso = dict[str, Any]

# A reload reads the whole job folder.
RELOAD_TIMEOUT_S = 180.0
# Names of run args that GET /runs would take for its own.
RESERVED = {"job_id", "run_id", "state", "since", "summary"}


class Client(Caller):
    """A client of one server; for one thread at a time."""

    # --- the server -------------------------------------------------------------------------------

    def alive(self) -> bool:
        """Return True when HTTP is up."""
        self.get("/api/v1/alive")
        return True

    def running(self, timeout_s: float | None = None) -> None:
        """Wait until the service is up, as long as the server is willing to wait."""
        self.get("/api/v1/running", timeout_s=timeout_s)

    def wait_running(self, timeout: float) -> None:
        """Wait until the service is up; only a refused connection is tried again.

        Raises:
            TimeoutError: it was not up in time.
        """
        import time

        from .http import NoServer

        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{self.url}: not running after {timeout} s")
            try:
                self.running(timeout_s=left)
            except NoServer:
                time.sleep(min(0.05, max(left, 0)))
            else:
                return

    def stats(self) -> Jso:
        """Return figures about the server."""
        found: Jso = self.get("/api/v1/stats")
        return found

    def health(self) -> Jso:
        """Return how the server does."""
        found: Jso = self.get("/api/v2/health")
        return found

    def version(self) -> str:
        """Return the server's version."""
        found: str = self.get("/api/control/version")["version"]
        return found

    def reload_jobs(self, *, dry_run: bool = False, plan: str | None = None) -> Jso:
        """Have the job folder read again; return added, changed and removed ids. With the id of a
        `plan`: only if it still holds."""
        query = {"dry_run": str(bool(dry_run))} | ({} if plan is None else {"plan": plan})
        found: Jso = self.post("/api/control/reload_jobs", query=query, timeout_s=RELOAD_TIMEOUT_S)
        return found

    def shut_down(self, *, restart: bool = False) -> None:
        """Stop the server in order; `restart`: and start it again."""
        self.post("/api/control/shut_down", query={"restart": ""} if restart else None)

    # --- jobs -------------------------------------------------------------------------------------

    def get_jobs(self, *, label: str | None = None) -> list[Jso]:
        """Return all jobs, or those with a label."""
        query = {} if label is None else {"label": label}
        found: list[Jso] = self.get("/api/v1/jobs", query=query)
        return found

    def get_job(self, job_id: str) -> Jso:
        """Return a job, by its id or words of it."""
        found: Jso = self.get(f"/api/v1/jobs/{quote(job_id, safe='/')}")
        return found

    def get_job_runs(self, job_id: str) -> Jso:
        """Return all runs of a job, by id."""
        found: Jso = self.get(f"/api/v1/jobs/{quote(job_id, safe='/')}/runs")["runs"]
        return found

    # --- runs -------------------------------------------------------------------------------------

    def get_runs(
        self,
        *,
        job_id: str | None = None,
        state: str | None = None,
        args: Mapping[str, str] | None = None,
        run_id: str | None = None,
        since: str | None = None,
        summary: bool = False,
    ) -> Jso:
        """Return runs by id; one of `job_id` and `run_id` is required."""
        query = {"summary": "True"} if summary else {}
        terms = {"job_id": job_id, "run_id": run_id, "state": state, "since": since}
        query.update({name: value for name, value in terms.items() if value is not None})
        for name, value in (args or {}).items():
            escaped = name in RESERVED or name.startswith("_")
            query[f"_{name}" if escaped else name] = value
        found: Jso = self.get("/api/v1/runs", query=query)["runs"]
        return found

    def get_run(self, run_id: str) -> Jso:
        """Return a run."""
        found: Jso = self.get(_run(run_id))["runs"][run_id]
        return found

    def get_run_log(self, run_id: str) -> list[Jso]:
        """Return the log of a run."""
        found: list[Jso] = self.get(_run(run_id, "log"))["run_log"]
        return found

    def get_run_dependencies(self, run_id: str) -> list[Jso]:
        """Return the dependencies of a run, and the runs of each."""
        found: list[Jso] = self.get(_run(run_id, "dependencies"))[run_id]
        return found

    def get_outputs(self, run_id: str) -> list[Jso]:
        """Return the outputs of a run."""
        found: list[Jso] = self.get(_run(run_id, "outputs"))
        return found

    def get_output(self, run_id: str, output_id: str = "output") -> bytes:
        """Return the data of an output."""
        return self._ask("GET", _run(run_id, "output", output_id)).body

    def find_runs(self, **query: str | list[str]) -> Jso:
        """Return a page of runs of callsheet's own API: q, state, job, label, since, cursor, …"""
        found: Jso = self.get("/api/v2/runs", query=query)
        return found

    # --- operations -------------------------------------------------------------------------------

    def schedule(
        self,
        job_id: str,
        args: Mapping[str, Any],
        time: Any = "now",
        *,
        count: int | None = None,
        stop_time: Any = None,
    ) -> Any:
        """Schedule a run of a job; return it, or with `count` the list of runs."""
        return self._schedule(time, {"job_id": job_id, "args": dict(args)}, count, stop_time)

    def schedule_adhoc(
        self, time: Any, job: Jso, *, count: int | None = None, stop_time: Any = None
    ) -> Any:
        """Schedule a run of a job given here; return it, or with `count` the list of runs."""
        return self._schedule(time, {"job": job}, count, stop_time)

    def schedule_program(
        self, time: Any, args: list[str], *, count: int | None = None, stop_time: Any = None
    ) -> Any:
        """Schedule a run of a program with its arguments."""
        return self.schedule_adhoc(
            time, {"program": [str(one) for one in args]}, count=count, stop_time=stop_time
        )

    def schedule_shell_program(
        self, time: Any, command: str, *, count: int | None = None, stop_time: Any = None
    ) -> Any:
        """Schedule a run of a shell command."""
        job = {"program": str(command)}
        return self.schedule_adhoc(time, job, count=count, stop_time=stop_time)

    def _schedule(self, time: Any, body: Jso, count: int | None, stop_time: Any) -> Any:
        body["times"] = {"schedule": str(time)}
        if stop_time is not None:
            body["times"]["stop"] = str(stop_time)
        query = {} if count is None else {"count": str(count)}
        runs = list(self.post("/api/v1/runs", query=query, body=body)["runs"].values())
        return runs[0] if count is None else runs

    def start(self, run_id: str) -> None:
        """Start a scheduled or waiting run now."""
        self.post(_run(run_id, "start"))

    def skip(self, run_id: str) -> None:
        """Skip a scheduled or waiting run."""
        self.post(_run(run_id, "skip"))

    def rerun(self, run_id: str) -> Jso:
        """Run again what a run ran; return the new run."""
        runs = self.post(_run(run_id, "rerun"))["runs"]
        found: Jso = next(iter(runs.values()))
        return found

    def stop_run(self, run_id: str) -> Jso:
        """Stop a running run; return it."""
        found: Jso = self.put(_run(run_id, "stop"))["runs"][run_id]
        return found

    def signal(self, run_id: str, signal: Any) -> None:
        """Send a signal, by name or number, to the process of a run."""
        self.put(_run(run_id, "signal", str(getattr(signal, "name", signal))))

    def mark(self, run_id: str, state: str) -> None:
        """Force a finished run into another finished state."""
        self.post(_run(run_id, "mark", str(getattr(state, "name", state))))

    def hold(self, run_id: str, reason: str = "") -> Jso:
        """Hold a scheduled or waiting run until it is released."""
        return self.operate(run_id, "hold", reason=reason)

    def release(self, run_id: str) -> Jso:
        """Release a held run."""
        return self.operate(run_id, "release")

    def pause(
        self, kind: str, name: str = "", *, reason: str = "", until: str | None = None
    ) -> Jso:
        """Skip what schedules make of a `job`, `folder`, `label` or `all`; return all pauses."""
        body = {"kind": kind, "name": name, "reason": reason, "until": until}
        found: Jso = self.post("/api/v2/pause", body=body)
        return found

    def resume(self, kind: str, name: str = "") -> Jso:
        """End a pause; return those that remain."""
        found: Jso = self.post("/api/v2/resume", body={"kind": kind, "name": name})
        return found

    def backfill(self, job_id: str, begin: str, end: str = "now", **options: Any) -> Jso:
        """Begin a backfill of a job's times in [begin, end), and return it.

        `options`: `args`, `parallel`, `order` (oldest or newest), `again`.
        """
        body = {"job_id": job_id, "from": begin, "to": end, **options}
        found: Jso = self.post("/api/v2/backfills", body=body)["backfill"]
        return found

    def backfill_runs(self, job_id: str, begin: str, end: str = "now", **options: Any) -> Jso:
        """Return the `runs` that such a backfill would have, and how many are `left_out`."""
        body = {"job_id": job_id, "from": begin, "to": end, "dry_run": True, **options}
        found: Jso = self.post("/api/v2/backfills", body=body)
        return found

    def backfills(self) -> list[Jso]:
        """Return the backfills, newest first."""
        found: list[Jso] = self.get("/api/v2/backfills")["backfills"]
        return found

    def get_backfill(self, backfill_id: str) -> Jso:
        """Return a backfill, with how many of its runs are in which state."""
        found: Jso = self.get(f"/api/v2/backfills/{quote(backfill_id)}")["backfill"]
        return found

    def stop_backfill(self, backfill_id: str, reason: str = "") -> Jso:
        """Withdraw the runs of a backfill that have not begun; return it."""
        path = f"/api/v2/backfills/{quote(backfill_id)}/stop"
        found: Jso = self.post(path, body={"reason": reason})["backfill"]
        return found

    def get_checks(self, *, limit: int | None = None) -> Jso:
        """Return what the sanity checker has found: `findings`, those `closed` last, `rounds`."""
        query = {} if limit is None else {"limit": str(limit)}
        found: Jso = self.get("/api/v2/checks", query=query)
        return found

    def check_now(self) -> Jso:
        """Have a round of checks made; return since when one counts that begins, as `asked`."""
        found: Jso = self.post("/api/v2/checks")
        return found

    def kill(self, run_id: str) -> Jso:
        """Kill the process of a run at once."""
        return self.operate(run_id, "kill")

    def operate(self, run_id: str, verb: str, **body: Any) -> Jso:
        """Carry out any operation of callsheet's own API on a run."""
        found: Jso = self.post(f"/api/v2/runs/{quote(run_id)}/{quote(verb)}", body=body)
        return found

    # --- sockets ----------------------------------------------------------------------------------

    def get_run_updates(self, run_id: str, *, init: bool = False) -> AsyncIterator[Jso]:
        """Follow a run; an asynchronous generator of its updates."""
        from .sockets import run_updates

        return run_updates(self._connection, run_id, init=init)

    def get_output_data_updates(
        self, run_id: str, output_id: str = "output", *, start: int | None = None
    ) -> AsyncIterator[bytes]:
        """Follow an output; an asynchronous generator of its bytes, until the run is finished."""
        from .sockets import output_updates

        return output_updates(self._connection, run_id, output_id, start=start)

    def follow(
        self, topic: str, terms: Mapping[str, Any] | None = None, *, resume: str | None = None
    ) -> AsyncIterator[Jso]:
        """Follow a topic of the event stream; an asynchronous generator without end, which
        connects again and resumes by itself: see `stream.follow_topic`."""
        from .stream import follow_topic

        return follow_topic(self._connection, topic, terms, resume=resume)


def _run(run_id: str, *parts: str) -> str:
    return "/".join(["/api/v1/runs", *(quote(part) for part in (run_id, *parts))])
