"""The sockets of the Apsis-compatible API: summary, a run's updates, an output's updates."""

from __future__ import annotations

import asyncio
from operator import methodcaller
from typing import Any
from urllib.parse import unquote

from ..jobs.jso import run_full_jso, run_summary_jso
from ..jobs.keeping import Gap, mark
from ..jobs.run import run_number
from ..jobs.states import State
from ..jobs.times import format_time_ms
from ..messages.agents import AgentInfo, AgentsAnswer
from ..messages.instructions import OutputRecord
from ..store.interface import Reader, RunQuery
from .following import OutputFollower
from .outbox import MAX_BYTES, MAX_FRAMES, Outbox
from .records import log_lines
from .routing import Problem, encode, parse_query
from .seam import Changed, Followed, OutputCame, Resync, RunTick, Shared, Status
from .services import Services, job_shape
from .sockets import SocketHandler
from .v1_jobs import connection_jso

# Runs of one page read, and so of one frame; frames stay far below what a client refuses.
PAGE_RUNS = 5_000
JOB_MESSAGES = 1_000


class V1Socket(SocketHandler):
    """What the three have in common: origin, outbox, one task, following."""

    outbox: Outbox

    def initialize(self, services: Services) -> None:
        """Take the services."""
        super().initialize(services)
        self.task: asyncio.Task[None] | None = None

    def open(self, *args: str, **kwargs: str) -> None:
        """Begin."""
        self.set_nodelay(value=True)
        self.admitted()
        self.outbox = Outbox(self, self.overflowed, self.services.waiting)
        parts = [unquote(part) for part in args]
        self.task = asyncio.get_running_loop().create_task(self._guarded(parts))

    async def _guarded(self, parts: list[str]) -> None:
        try:
            await self.serve(*parts, query=parse_query(self.request.query))
        except Problem:
            # There is no way to say it on these sockets but to end them.
            await self.outbox.close()

    async def serve(self, *parts: str, query: dict[str, list[str]]) -> None:
        """Serve the socket; what is in the path and the query."""
        raise NotImplementedError

    def on_close(self) -> None:
        """End everything."""
        self.gone()
        if self.task is not None:
            self.task.cancel()
        self.outbox.stop()
        self.leave()

    def leave(self) -> None:
        """Follow nothing any more."""

    def overflowed(self) -> None:
        """A client that is too slow has lost something: it has to connect again."""
        self.close(1013, "too slow")

    def on_message(self, message: str | bytes) -> None:
        """Clients have nothing to say here."""

    # --- as a follower ----------------------------------------------------------------------------

    def followed(self, message: Followed) -> None:
        """See `Follower`."""

    def changed(self, tick: Changed, body: Shared | None) -> None:
        """See `Follower`."""

    def resync(self, message: Resync) -> None:
        """These clients cannot read again on the same socket."""
        self.close(1012, "connect again")

    def agents(self, answer: AgentsAnswer) -> None:
        """See `Follower`."""

    def output(self, message: OutputCame) -> None:
        """See `Follower`."""

    def status(self, status: Status) -> None:
        """See `Follower`."""


class SummarySocket(V1Socket):
    """All jobs, agents and runs, then their changes, as arrays of messages."""

    PATH = "/api/v1/summary"

    def initialize(self, services: Services) -> None:
        """Take the services."""
        super().initialize(services)
        self._stands = asyncio.Event()
        # Live frames that wait for the first picture, as many as an outbox may hold.
        self._held: list[Shared] | None = []
        self._held_bytes = 0
        self._agents: dict[str, bytes] = {}

    async def serve(self, *parts: str, query: dict[str, list[str]]) -> None:
        """Follow, then read, then pass on."""
        self.services.hub.follow(self, "summary")
        self.services.hub.follow(self, "agents")
        await self._stands.wait()
        if "init" in query:
            await self._send_all()
        held, self._held = self._held or [], None
        for frame in held:
            self.outbox.push(frame)

    async def _send_all(self) -> None:
        jobs = await self.services.read(_all_jobs)
        for i in range(0, len(jobs), JOB_MESSAGES):
            await self._send(jobs[i : i + JOB_MESSAGES])
        try:
            answer = await self.services.hub.agents()
        except Problem:
            pass
        else:
            self._agents = {one.agent_id: _stable(one) for one in answer.agents}
            await self._send([_agent_message(one) for one in answer.agents])
        since_us = None
        if self.services.settings.lookback_us is not None:
            since_us = self.services.started_us - self.services.settings.lookback_us
        others = tuple(state for state in State if state is not State.SCHEDULED)
        for states in ((State.SCHEDULED,), others):
            before: int | None = None
            while True:
                query = RunQuery(
                    states=states, since_us=since_us, before_number=before, limit=PAGE_RUNS
                )
                runs = await self.services.read(methodcaller("query", query))
                await self._send(
                    [{"type": "run_summary", "run_summary": run_summary_jso(run)} for run in runs]
                )
                if len(runs) < PAGE_RUNS:
                    break
                before = runs[-1].number

    async def _send(self, messages: list[dict[str, Any]]) -> None:
        if messages:
            self.outbox.push(encode(messages))
            await self.outbox.room()

    def leave(self) -> None:
        """See `V1Socket`."""
        self.services.hub.unfollow(self, "summary")
        self.services.hub.unfollow(self, "agents")

    def followed(self, message: Followed) -> None:
        """See `Follower`."""
        self._stands.set()

    def changed(self, tick: Changed, body: Shared | None) -> None:
        """See `Follower`."""
        for frame in tick.summary:
            self._live(frame)
        for event in tick.jobs:
            names = [(name, "job_add") for name in event.added]
            names += [(name, "job") for name in event.changed]
            if names:
                task = asyncio.get_running_loop().create_task(self._tell_jobs(names))
                task.add_done_callback(_quiet)
            if event.removed:
                gone = [{"type": "job_delete", "job_id": name} for name in event.removed]
                self._live(encode(gone))

    async def _tell_jobs(self, names: list[tuple[str, str]]) -> None:
        def read(reader: Reader) -> list[dict[str, Any]]:
            hashes = reader.jobs()
            found = []
            for name, kind in names:
                job = reader.definition(hashes[name]) if name in hashes else None
                if job is not None:
                    found.append({"type": kind, "job": job_shape(reader, job, hashes)})
            return found

        messages = await self.services.read(read)
        for i in range(0, len(messages), JOB_MESSAGES):
            self._live(encode(messages[i : i + JOB_MESSAGES]))

    def agents(self, answer: AgentsAnswer) -> None:
        """See `Follower`."""
        messages: list[dict[str, Any]] = []
        now = {one.agent_id: _stable(one) for one in answer.agents}
        for one in answer.agents:
            if self._agents.get(one.agent_id) != now[one.agent_id]:
                messages.append(_agent_message(one))
        for agent_id in self._agents.keys() - now.keys():
            messages.append({"type": "agent_conn_delete", "conn_id": agent_id})
        self._agents = now
        if messages:
            self._live(encode(messages))

    def _live(self, frame: bytes | Shared) -> None:
        shared = frame if isinstance(frame, Shared) else Shared(frame)
        if self._held is None:
            self.outbox.push(shared)
        elif len(self._held) < MAX_FRAMES and self._held_bytes < MAX_BYTES:
            self._held.append(shared)
            self._held_bytes += len(shared.data)
        else:
            self.overflowed()


class RunSocket(V1Socket):
    """One run: whole at first if asked, then each change."""

    PATH = "/api/v1/runs/{run_id}/updates"

    def initialize(self, services: Services) -> None:
        """Take the services."""
        super().initialize(services)
        self._run_id = ""
        self._stands = asyncio.Event()
        self._stood = False
        self._ticks: asyncio.Queue[tuple[int, RunTick]] = asyncio.Queue(MAX_FRAMES)
        self._meta: dict[str, Any] | None = None
        self._lengths: dict[str, int] = {}

    async def serve(self, *parts: str, query: dict[str, list[str]]) -> None:
        """Follow, then read, then pass on, one change after the other."""
        run_id = parts[0]
        if run_number(run_id) is None:
            raise Problem(404, "unknown run")
        self._run_id = run_id
        self.services.hub.follow(self, "run", run_id)
        self.services.hub.follow(self, "output", run_id)
        await self._stands.wait()

        def read(reader: Reader) -> Any:
            _, seq = reader.head()
            return seq, reader.run(run_id), reader.log(run_id)

        seq, run, log = await self.services.read(read)
        if run is None:
            raise Problem(404, "unknown run")
        self._meta = run_full_jso(run)["meta"]
        if "init" in query:
            lines = [{"timestamp": x["time"], "message": x["message"]} for x in log_lines(log)]
            outputs = _outputs_jso(await self.services.outputs.of(run_id))
            self._lengths = {name: one["length"] for name, one in outputs.items()}
            first = {"run": run_summary_jso(run), "meta": self._meta, "run_log": lines}
            self.outbox.push(encode({**first, "outputs": outputs}))
        self._stood = True
        while True:
            tick_seq, tick = await self._ticks.get()
            if tick_seq > seq:
                await self._say(tick, seq)

    def leave(self) -> None:
        """See `V1Socket`."""
        self.services.hub.unfollow(self, "run", self._run_id)
        self.services.hub.unfollow(self, "output", self._run_id)

    def followed(self, message: Followed) -> None:
        """See `Follower`."""
        self._stands.set()

    def changed(self, tick: Changed, body: Shared | None) -> None:
        """See `Follower`."""
        for run in tick.runs:
            if run.run_id == self._run_id:
                if self._ticks.full():
                    self.overflowed()
                else:
                    self._ticks.put_nowait((tick.seq, run))

    async def _say(self, tick: RunTick, after_seq: int) -> None:
        """Say a change: log lines, then outputs of a finished run, then run and meta."""
        for seq, at_us, _kind, state, message, _cause in tick.lines:
            text = message or state
            if text and seq > after_seq:
                line = {"timestamp": format_time_ms(at_us), "message": text}
                self.outbox.push(encode({"run_log_append": line}))
        run = tick.run
        if run is None:
            await self.outbox.close()
            return
        value: dict[str, Any] = {"run": run_summary_jso(run)}
        meta = run_full_jso(run)["meta"]
        if meta != self._meta:
            value["meta"] = self._meta = meta
        if run.finished:
            outputs = await self.services.outputs.of(run.run_id)
            if outputs:
                self.outbox.push(encode({"outputs": _outputs_jso(outputs)}))
        self.outbox.push(encode(value))

    def output(self, message: OutputCame) -> None:
        """See `Follower`."""
        grew = message.grew
        if self._stood and self._lengths.get(grew.output_id) != grew.length:
            self._lengths[grew.output_id] = grew.length
            shape = {
                "name": "combined stdout & stderr",
                "length": grew.length,
                "content_type": "application/octet-stream",
            }
            self.outbox.push(encode({"outputs": {grew.output_id: shape}}))


class OutputSocket(V1Socket):
    """An output's bytes, each frame with headers of its own, until the run is finished."""

    PATH = "/api/v1/runs/{run_id}/output/{output_id}/updates"

    async def serve(self, *parts: str, query: dict[str, list[str]]) -> None:
        """Send spans, then close."""
        run_id, output_id = parts
        text = query.get("start", [None])[-1]
        if text is not None and not (text.isascii() and text.isdigit() and len(text) < 19):
            raise Problem(400, f"start: {text[:50]!r}: expected a whole number")
        if run_number(run_id) is None:
            raise Problem(404, "unknown run")
        await self.services.run(run_id)
        follower = OutputFollower(self.services, run_id)
        # The readers of this socket hold it to contiguous data: where some is not kept, a line
        # says so, and what comes after it is counted from there; so is what the next attempt of a
        # run prints, which follows what the one before has printed.
        shift, attempt, sent = 0, 0, int(text or 0)
        try:
            async for span in follower.spans(output_id, None if text is None else int(text)):
                if attempt and span.attempt != attempt:
                    shift = span.start - span.left_out - sent
                attempt = span.attempt
                line = mark(Gap(0, span.left_out))
                shift += span.left_out - len(line)
                data = line + span.data
                if data:
                    start = span.start - shift - len(line)
                    sent = start + len(data)
                    head = (
                        f"Content-Type: {span.content_type}\r\n"
                        f"Content-Range: bytes={start}-{sent - 1}"
                        f"/{max(span.length - shift, sent)}\r\n"
                        f"Content-Length: {len(data)}\r\n\r\n"
                    )
                    self.outbox.push(head.encode("latin-1", "replace") + data, binary=True)
                    await self.outbox.room()
        finally:
            follower.close()
        await self.outbox.close()


def _all_jobs(reader: Reader) -> list[dict[str, Any]]:
    found = []
    hashes = reader.jobs()
    for job_id in sorted(hashes):
        job = reader.definition(hashes[job_id])
        if job is not None:
            found.append({"type": "job", "job": job_shape(reader, job, hashes)})
    return found


def _agent_message(agent: AgentInfo) -> dict[str, Any]:
    return {"type": "agent_conn", "conn": connection_jso(agent)}


def _stable(agent: AgentInfo) -> bytes:
    """Return what of an agent is news when it changes."""
    return encode([agent.group_id, agent.connected, agent.connections, agent.live, agent.pid])


def _outputs_jso(outputs: list[OutputRecord]) -> dict[str, Any]:
    return {
        one.output_id: {
            "name": one.name,
            "length": one.length,
            "content_type": one.content_type,
        }
        for one in outputs
    }


def _quiet(task: asyncio.Task[None]) -> None:
    """Take the outcome of a task nobody waits for; a problem there is the store being busy."""
    if not task.cancelled():
        task.exception()
