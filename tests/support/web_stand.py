"""A web server with everything around it in one process: a real ledger core over SQLite, and
stand-ins for scheduler and runner that answer as the real ones do, at once and in order.

The stage is a thread with a queue; what is lost or late is lost or late on purpose, by the test.
"""

from __future__ import annotations

import json
import queue
import socket
import threading
import time
from concurrent.futures import Future
from typing import Any

from callsheet.actors.ledger import Ledger
from callsheet.actors.ledger_needs import Found, find
from callsheet.actors.reruns import made_after
from callsheet.actors.scheduler_backfills import add_of
from callsheet.jobs.calendar_days import CalendarDays, calendars_by_name
from callsheet.jobs.job import Job
from callsheet.jobs.programs import BoundNoOp, BoundProcess, NoOp
from callsheet.jobs.run import NewRun
from callsheet.jobs.states import State
from callsheet.messages.agents import AgentInfo, AgentsAnswer, AskAgents, OutputGrew, ProcessInfo
from callsheet.messages.backfills import StartBackfill
from callsheet.messages.codec import WEB_FEED_READER, encode, pack
from callsheet.messages.commands import IdsLeased, SignalAttempt, StartRun, StopAttempt
from callsheet.messages.instructions import (
    ApplyJobs,
    AttemptEnded,
    AttemptStarted,
    LeaseIds,
    StoredDefinition,
)
from callsheet.messages.post import FEED, LEDGER, RUNNER, SCHEDULER, WEB
from callsheet.messages.standing import AskStanding, FolderStanding
from callsheet.messages.transitions import Beat
from callsheet.messages.wishes import (
    AddRuns,
    Done,
    LedgerWish,
    Refused,
    ReloadJobs,
    RerunRun,
    RerunRuns,
    ScheduleRun,
    SchedulerWish,
)
from callsheet.store.backfill_listing import listing_of
from callsheet.store.sqlite import SqliteReader, SqliteWriter, create_database
from callsheet.webui.app import WebServer
from callsheet.webui.services import WebSettings

WAIT_S = 60.0


def now_us() -> int:
    return time.time_ns() // 1000


def a_job(job_id: str = "a", **fields: Any) -> Job:
    return Job(**({"job_id": job_id, "program": NoOp(), "metadata": {"labels": []}} | fields))


class WebStand:
    """See the module. `lost` holds what is lost on the way: `feed`, or the address of a role;
    `lose_next` how many messages to an address are lost next."""

    def __init__(
        self,
        folder: Any,
        jobs: tuple[Job, ...] = (),
        lost: tuple[str, ...] = (),
        calendars: list[CalendarDays] | None = None,
        **settings: Any,
    ) -> None:
        self.database = folder / "callsheet.db"
        self.outputs = folder / "outputs"
        self.outputs.mkdir()
        create_database(self.database, now_us())
        self.jobs = {job.job_id: job for job in jobs}
        self.lost = set(lost)
        self.lose_next: dict[str, int] = {}
        self.signals: list[int] = []
        self.agents: list[AgentInfo] = []
        self.processes: dict[str, list[ProcessInfo]] = {}
        self.reload: dict[str, Any] = {"added": [], "changed": [], "removed": []}
        self.reload_errors: list[list[str]] = []
        self.standing = FolderStanding(looked_us=now_us())
        self.core: Any = None
        self._local: list[tuple[str, Any]] = []
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._asked: dict[str, str] = {}
        self._open_ledger()
        # For tests: the writer's connection is for the thread of the ledger alone.
        self.reader = SqliteReader(self.database)
        self.server = WebServer(
            WebSettings(
                **(
                    {
                        "bind": ("127.0.0.1:0",),
                        "database": str(self.database),
                        "outputs_root": str(self.outputs),
                        "version": "1.2.3",
                    }
                    | settings
                )
            )
        )
        self.port = int(self.server.addresses[0].rpartition(":")[2])
        self._stage = threading.Thread(target=self._play, daemon=True)
        self._web = threading.Thread(target=self.server.run, args=(self._start,), daemon=True)
        self._web.start()
        if jobs:
            self.apply(*jobs, calendars=calendars)

    # --- what tests do ----------------------------------------------------------------------------

    def apply(self, *jobs: Job, calendars: list[CalendarDays] | None = None) -> None:
        """Put these jobs in force besides those that are, and calendars if any are given."""
        definitions = [
            StoredDefinition(hash=f"h-{j.job_id}", job_id=j.job_id, body=encode(j)) for j in jobs
        ]
        self.jobs.update((job.job_id, job) for job in jobs)
        self.tell(
            lambda: ApplyJobs(
                based_on=self.ledger.book.jobs_version,
                at_us=now_us(),
                definitions=definitions,
                set_jobs={job.job_id: f"h-{job.job_id}" for job in jobs},
                added=[job.job_id for job in jobs],
                calendars=calendars,
            )
        )

    def a_run(self, job_id: str = "a", *, by: str = "stand", **fields: Any) -> str:
        """Make a run, for an hour from now unless said otherwise; return its id."""
        if "args" not in fields:
            fields["args"] = {}
        found: Future[str] = Future()

        def make() -> Any:
            run_id = self._lease(1)
            found.set_result(run_id)
            new = NewRun(
                **(
                    {
                        "run_id": run_id,
                        "job_id": job_id,
                        "schedule_us": now_us() + 3600 * 10**6,
                        "program": BoundNoOp(),
                    }
                    | fields
                )
            )
            return LedgerWish(
                command_id=f"stand-{run_id}", principal=by, instruction=AddRuns(runs=[new])
            )

        self.tell(make, sender="responder/0")
        return found.result(WAIT_S)

    def a_running_run(self, **fields: Any) -> str:
        """Make a run whose process has started and does not end by itself."""
        return self.a_run(**({"schedule_us": 0, "program": BoundProcess(argv=("x",))} | fields))

    def end_run(self, run_id: str, state: State = State.SUCCESS, **fields: Any) -> None:
        """Have the process of a run end."""
        self.tell(
            lambda: AttemptEnded(run_id=run_id, attempt=1, at_us=now_us(), state=state, **fields),
            sender=RUNNER,
        )

    def tell(self, make: Any, sender: str = SCHEDULER) -> None:
        """Give the ledger a message as another role does; returns when it is committed."""
        done: Future[None] = Future()
        self._queue.put(("tell", sender, make, done))
        done.result(WAIT_S)

    def grew(self, run_id: str, length: int) -> None:
        """Say on the runner's feed that an output grew."""
        self._queue.put(
            (
                "web",
                "outputs",
                OutputGrew(run_id=run_id, attempt=1, output_id="output", length=length),
            )
        )

    def restart_ledger(self) -> None:
        """Close the store, open it again: a new epoch."""
        done: Future[None] = Future()
        self._queue.put(("restart", done))
        done.result(WAIT_S)

    def request(
        self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request; return status, headers (lower case) and body."""
        from callsheet.client.http import Connection

        data = (
            None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        sent = {"Content-Type": "application/json"} if data is not None else {}
        connection = Connection("127.0.0.1", self.port, WAIT_S)
        try:
            found = connection.ask(method, target, body=data, headers=sent | (headers or {}))
        finally:
            connection.close()
        return found.status, found.headers, found.body

    def ask(self, method: str, target: str, body: Any = None, **kwargs: Any) -> tuple[int, Any]:
        """Send a request; return status and JSON."""
        status, _headers, data = self.request(method, target, body, **kwargs)
        return status, json.loads(data)

    def raw(self, data: bytes) -> bytes:
        """Send bytes, return all that comes until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), WAIT_S) as connection:
            connection.sendall(data)
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """Stop both threads."""
        self.server.stop()
        self._web.join(WAIT_S)
        assert not self._web.is_alive(), "the web server did not stop"
        self._queue.put(None)
        self._stage.join(WAIT_S)
        self.reader.close()
        self.writer.close()

    # --- the stage --------------------------------------------------------------------------------

    def _open_ledger(self) -> None:
        self.writer = SqliteWriter(self.database)
        self.ledger = Ledger(self.writer.open(now_us()))

    def _start(self, core: Any) -> Any:
        self.core = core
        self._stage.start()
        return lambda message: self._queue.put(("web", "local", message))

    def _play(self) -> None:
        self._post(self.core.begin(now_us()), WEB)
        beat_s = 0.0
        while True:
            wakes = self.core.wakes_at()
            wait_s = 0.05 if wakes is None else min(0.05, max(0.0, (wakes - now_us()) / 1e6))
            try:
                item = self._queue.get(timeout=wait_s)
            except queue.Empty:
                item = ()
            if item is None:
                return
            if item:
                self._handle(item)
            if time.monotonic() >= beat_s:
                beat_s = time.monotonic() + 0.2
                self._local.append(("feed", Beat(epoch=self.ledger.epoch, seq=self.ledger.seq)))
            while self._local:
                sender, message = self._local.pop(0)
                if sender not in self.lost:
                    self._post(self.core.receive(sender, message, now_us()), WEB)
            self._post(self.core.settle(now_us()), WEB)

    def _handle(self, item: Any) -> None:
        match item:
            case ("web", sender, message):
                self._local.append((sender, message))
            case ("tell", sender, make, done):
                try:
                    self._ledger(make(), sender)
                    done.set_result(None)
                except Exception as error:
                    done.set_exception(error)
            case ("restart", done):
                self.writer.close()
                self._open_ledger()
                done.set_result(None)

    def _post(self, posts: Any, sender: str) -> None:
        for to, message in posts:
            if to in self.lost:
                continue
            if self.lose_next.get(to, 0):
                self.lose_next[to] -= 1
                continue
            if to == FEED:
                # As it comes by the socket: records are read there, as far as the web needs them.
                for frame in pack([message]):
                    self._local += [("feed", heard) for heard in WEB_FEED_READER.unpack(frame)]
            elif to == WEB:
                self._local.append((sender, message))
            elif to == LEDGER:
                self._ledger(message, sender)
            elif to == SCHEDULER:
                self._scheduler(message)
            elif to == RUNNER:
                self._runner(message)

    def _ledger(self, message: Any, sender: str) -> None:
        self._turn([(sender, message)])
        while self.ledger.wakes_at() == 0:
            self._turn([])

    def _turn(self, batch: list[tuple[str, Any]]) -> None:
        ledger = self.ledger
        needs = ledger.needs(batch, now_us())
        ledger.admit(find(needs, self.writer, now_us(), ledger.epoch) if needs else Found())
        for sender, message in batch:
            ledger.receive(sender, message, now_us())
        posts = ledger.settle(now_us())
        changes = ledger.take_changes()
        if changes:
            self.writer.commit(changes)
        posts.sort(key=lambda post: post.to != FEED)
        self._post(posts, LEDGER)

    # --- the stand-ins ----------------------------------------------------------------------------

    def _lease(self, count: int) -> str:
        before = self.ledger.book.next_number
        self._ledger(LeaseIds(count=count), SCHEDULER)
        return f"r{before}"

    def _scheduler(self, message: Any) -> None:
        if isinstance(message, Done | Refused):
            if self._asked.pop(message.command_id, None):
                self._local.append((SCHEDULER, message))
            return
        if isinstance(message, AskStanding):
            self._local.append((SCHEDULER, self.standing))
            return
        if not isinstance(message, SchedulerWish):
            assert isinstance(message, IdsLeased) or message is not None
            return
        wish, command_id = message.instruction, message.command_id
        match wish:
            case ReloadJobs() if self.reload_errors:
                answer: Any = Refused(
                    command_id=command_id,
                    reason="bad_request",
                    sentence="errors loading jobs in jobs",
                    details=self.reload_errors,
                )
            case ReloadJobs():
                result = self.reload | {"dry_run": wish.dry_run}
                answer = Done(command_id=command_id, seq=self.ledger.seq, result=result)
            case StartBackfill():
                self._asked[command_id] = WEB
                self._wish(message, self._backfill(wish))
                return
            case RerunRuns():
                known = [one for one in wish.reruns if one.job_id in self.jobs]
                gone = {one.run_id for one in wish.reruns} - {one.run_id for one in known}
                add = AddRuns(
                    runs=[made_after(self._new(one), one) for one in known],
                    declined=wish.declined | dict.fromkeys(gone, "unknown job"),
                )
                self._wish(message, add)
                return
            case _:
                self._asked[command_id] = WEB
                runs = [self._new(wish) for _ in range(getattr(wish, "count", 1))]
                add = AddRuns(runs=runs)
                if runs[0].ad_hoc:
                    job = a_job(runs[0].job_id, ad_hoc=True)
                    add = AddRuns(
                        runs=runs,
                        ad_hoc_id=job.job_id,
                        ad_hoc_hash=f"hash of {job.job_id}",
                        ad_hoc_job=encode(job),
                    )
                self._wish(message, add)
                return
        self._local.append((SCHEDULER, answer))

    def _wish(self, message: SchedulerWish, add: Any) -> None:
        wished = LedgerWish(
            command_id=message.command_id,
            principal=message.principal,
            instruction=add,
            access=message.access,
        )
        self._ledger(wished, SCHEDULER)

    def _new(self, wish: ScheduleRun | RerunRun) -> NewRun:
        job_id = wish.job_id or "adhoc-ABCDEFGHIJKL"
        params = self.jobs[job_id].params if job_id in self.jobs else ()
        missing = [name for name in params if name not in wish.args]
        return NewRun(
            run_id=self._lease(1),
            job_id=job_id,
            labels=tuple(self.jobs[job_id].metadata["labels"]) if job_id in self.jobs else (),
            args=wish.args | getattr(wish, "changes", {}),
            rerun_of=getattr(wish, "run_id", None),
            rerun_root=getattr(wish, "root", None),
            schedule_us=getattr(wish, "schedule_us", None) or now_us(),
            stop_us=wish.stop_us,
            ad_hoc=not wish.job_id,
            program=BoundNoOp(),
            error=f"missing args ({', '.join(missing)}) for job {job_id}" if missing else None,
        )

    def _backfill(self, wish: StartBackfill) -> Any:
        reader = self.writer.reader
        job = self.jobs[wish.job_id]
        listing = listing_of(job, wish, reader, calendars_by_name(reader.calendars()))
        runs = [
            NewRun(
                run_id=self._lease(1),
                job_id=job.job_id,
                labels=tuple(job.metadata["labels"]),
                args=one.args,
                schedule_us=one.at_us,
                program=BoundProcess(argv=("x",)),
            )
            for one in listing.runs
        ]
        return add_of(job, wish, listing, runs, reader.last_backfill())

    def _runner(self, message: Any) -> None:
        match message:
            case AskAgents():
                one = [ProcessInfo(run_id="r1", attempt=1, state="running", pid=7)]
                processes = {
                    agent.agent_id: self.processes.get(agent.agent_id, one)
                    for agent in self.agents
                    if message.processes
                }
                self._local.append(
                    (
                        RUNNER,
                        AgentsAnswer(
                            request=message.request, agents=list(self.agents), processes=processes
                        ),
                    )
                )
            case StartRun(run=run):
                started = AttemptStarted(
                    run_id=run.run_id, attempt=run.attempt, at_us=now_us(), agent_id="one"
                )
                self._ledger(started, RUNNER)
                if isinstance(run.program, BoundNoOp):
                    ended = AttemptEnded(
                        run_id=run.run_id, attempt=run.attempt, at_us=now_us(), state=State.SUCCESS
                    )
                    self._ledger(ended, RUNNER)
            case StopAttempt():
                ended = AttemptEnded(
                    run_id=message.run_id,
                    attempt=message.attempt,
                    at_us=now_us(),
                    state=State.FAILURE,
                    message="killed by SIGTERM",
                )
                self._ledger(ended, RUNNER)
            case SignalAttempt():
                self.signals.append(message.signal)
