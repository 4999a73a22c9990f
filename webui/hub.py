"""The loop's side of the bridge: who waits for which answer, and which sockets follow what.

Owned by the loop's thread. Endpoints call `wish` and `agents`; sockets `follow`. Whatever the core
says arrives at `take`, once per batch. It never touches a ZeroMQ socket or the core itself.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from ..jobs.run import Run
from ..jobs.run_filter import RunFilter
from ..messages.access import Access
from ..messages.agents import AgentsAnswer
from ..messages.codec import encode
from ..messages.published import Answer, Asked, Busy
from ..messages.wishes import Done, Refused, ReloadJobs, ToLedgerWish, ToSchedulerWish
from .figures import STALLED
from .routing import Problem
from .seam import (
    Answered,
    AskWho,
    AskWish,
    Changed,
    Follow,
    Followed,
    FromCore,
    OutputCame,
    ProgramAnswer,
    ProgramAsks,
    Resync,
    RunsRead,
    Shared,
    Status,
    ToCore,
    Unfollow,
    Watched,
    WhoCame,
)

log = logging.getLogger("callsheet.web")

# How long a request waits for the answer to its wish; a reload reads the whole job folder.
WISH_S = 10.0
RELOAD_S = 150.0
AGENTS_S = 3.0
# The core gives up first; this is only for a stage that is gone.
SLACK_S = 5.0

STATUS_OF = {"bad_request": 400, "wrong_state": 400, "not_found": 404, "forbidden": 403}


# What JSON may hold and no message can, by the error that tells of it.
_UNSAYABLE: dict[type[Exception], str] = {
    OverflowError: "a number in it is beyond 64 bits: expected a smaller one",
    UnicodeEncodeError: "a text in it is not Unicode: expected no halves of signs",
    RecursionError: "it is nested too deeply: expected less",
}


class Follower(Protocol):
    """A subscription of a socket."""

    def followed(self, message: Followed) -> None:
        """It stands; called before anything else comes."""

    def changed(self, tick: Changed, body: Shared | None) -> None:
        """A tick; `body` is the frame's tail of a followed query."""

    def resync(self, message: Resync) -> None:
        """Events were lost."""

    def agents(self, answer: AgentsAnswer) -> None:
        """The agents as of now."""

    def output(self, message: OutputCame) -> None:
        """An output of the followed run grew."""

    def status(self, status: Status) -> None:
        """Once a second."""


class Hub:
    """See the module."""

    def __init__(self, tell: Callable[[ToCore], None]) -> None:
        self._tell = tell
        self._wishes: dict[str, asyncio.Future[Done | Refused | None]] = {}
        self._questions: dict[str, asyncio.Future[AgentsAnswer | None]] = {}
        self._followers: dict[tuple[str, str], dict[Follower, None]] = {}
        self._entering: dict[int, tuple[tuple[str, str], Follower]] = {}
        self._beats: dict[Follower, None] = {}
        self._token = 0
        self._question = 0
        self._ready = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.read_runs: Callable[[list[str]], Awaitable[list[Run]]] | None = None
        self.answer_program: Callable[[Asked], Awaitable[Answer]] | None = None
        self.jobs_changed: Callable[[], None] = lambda: None
        self.pauses_changed: Callable[[], None] = lambda: None
        self.is_stalled: Callable[[], bool] = lambda: False
        self.status = Status()

    # --- wishes -----------------------------------------------------------------------------------

    async def wish(
        self,
        instruction: ToLedgerWish | ToSchedulerWish,
        *,
        principal: str,
        access: Access,
        command_id: str | None = None,
    ) -> Done:
        """Bring a wish to those who decide; return their answer once it is durable.

        Raises:
            Problem: they refused it (400, 403, 404, 503), or did not answer in time (503).
        """
        command_id = command_id or secrets.token_hex(16)
        wait_s = RELOAD_S if isinstance(instruction, ReloadJobs) else WISH_S
        answer = await self._await_answer(command_id, instruction, (principal, access), wait_s)
        if isinstance(answer, Done):
            return answer
        if answer is None:
            why = STALLED if self.is_stalled() else "the scheduler did not answer in time"
            sentence = f"{why}: asking again with the same key is safe"
            raise Problem(
                503, sentence, extra={"command_id": command_id}, headers={"Retry-After": "5"}
            )
        status = STATUS_OF.get(answer.reason, 503)
        headers = {"Retry-After": "5"} if status == 503 else {}
        extra = {} if answer.details is None else {"job_errors": answer.details}
        raise Problem(status, answer.sentence, extra=extra, headers=headers)

    async def _await_answer(
        self,
        command_id: str,
        instruction: ToLedgerWish | ToSchedulerWish,
        who: tuple[str, Access],
        wait_s: float,
    ) -> Done | Refused | None:
        _check_can_be_said(instruction)
        future = self._wishes.get(command_id)
        if future is None:
            future = self._wishes[command_id] = asyncio.get_running_loop().create_future()
        self._tell(
            AskWish(
                command_id=command_id,
                principal=who[0],
                access=who[1],
                instruction=instruction,
                wait_us=round(wait_s * 1e6),
            )
        )
        try:
            return await asyncio.wait_for(asyncio.shield(future), wait_s + SLACK_S)
        except TimeoutError:
            self._wishes.pop(command_id, None)
            return None

    def tell_wish(self, instruction: ToLedgerWish, *, principal: str, access: Access) -> None:
        """Bring a wish to the ledger whose answer nobody waits for."""
        self._tell(
            AskWish(
                command_id=secrets.token_hex(16),
                principal=principal,
                access=access,
                instruction=instruction,
                wait_us=round(WISH_S * 1e6),
            )
        )

    async def agents(self, *, processes: bool = False) -> AgentsAnswer:
        """Ask the runner for the agents.

        Raises:
            Problem: 503, it did not answer in time.
        """
        self._question += 1
        request = f"q{self._question}"
        future: asyncio.Future[AgentsAnswer | None] = asyncio.get_running_loop().create_future()
        self._questions[request] = future
        self._tell(AskWho(request=request, processes=processes, wait_us=round(AGENTS_S * 1e6)))
        try:
            answer = await asyncio.wait_for(future, AGENTS_S + SLACK_S)
        except TimeoutError:
            answer = None
        finally:
            self._questions.pop(request, None)
        if answer is None:
            raise Problem(503, "the runner did not answer in time", headers={"Retry-After": "5"})
        return answer

    async def wait_ready(self, wait_s: float) -> bool:
        """Wait until ledger, scheduler and runner are there; False when they are not in time."""
        try:
            await asyncio.wait_for(self._ready.wait(), wait_s)
        except TimeoutError:
            return False
        return True

    # --- followers --------------------------------------------------------------------------------

    def follow(
        self,
        follower: Follower,
        topic: str,
        key: str = "",
        *,
        wanted: RunFilter | None = None,
        resume: tuple[int, int] | None = None,
    ) -> None:
        """Follow a topic; `follower.followed` is called when it stands."""
        self._token += 1
        self._entering[self._token] = ((topic, key), follower)
        self._tell(Follow(token=self._token, topic=topic, key=key, filter=wanted, resume=resume))

    def unfollow(self, follower: Follower, topic: str, key: str = "") -> None:
        """Follow it no more."""
        place = (topic, key)
        for token, entering in list(self._entering.items()):
            if entering == (place, follower):
                del self._entering[token]
        followers = self._followers.get(place, {})
        followers.pop(follower, None)
        if not followers and not any(one[0] == place for one in self._entering.values()):
            self._followers.pop(place, None)
            self._tell(Unfollow(topic=topic, key=key))

    @property
    def followed_topics(self) -> list[tuple[str, str]]:
        """What is followed, or is about to be: (topic, key) each."""
        return [*self._followers, *(place for place, _ in self._entering.values())]

    def add_beat(self, follower: Follower) -> None:
        """Call `follower.status` once a second."""
        self._beats[follower] = None
        self._tell(Watched(by=len(self._beats)))

    def drop_beat(self, follower: Follower) -> None:
        """Call it no more."""
        if follower in self._beats:
            del self._beats[follower]
            self._tell(Watched(by=len(self._beats)))

    # --- what the core says -----------------------------------------------------------------------

    def take(self, batch: list[FromCore]) -> None:
        """Take one batch; on the loop's thread."""
        for message in batch:
            try:
                self._take(message)
            except Exception:
                # One socket's trouble must not keep the rest from its answers.
                log.exception("web: %s could not be handed over", type(message).__name__)

    def _take(self, message: FromCore) -> None:
        match message:
            case Answered():
                future = self._wishes.pop(message.command_id, None)
                if future is not None and not future.done():
                    future.set_result(message.answer)
            case WhoCame():
                self._who_came(message)
            case Followed():
                self._followed(message)
            case Changed():
                self._changed(message)
            case OutputCame():
                for follower in list(self._followers.get(("output", message.grew.run_id), ())):
                    follower.output(message)
            case ProgramAsks():
                self._run(self._answer(message))
            case Resync():
                self.jobs_changed()
                for follower in {one: None for some in self._followers.values() for one in some}:
                    follower.resync(message)
            case Status():
                self.status = message
                if message.ready:
                    self._ready.set()
                if message.beat:
                    for follower in list(self._beats):
                        follower.status(message)

    def _who_came(self, message: WhoCame) -> None:
        future = self._questions.pop(message.request, None)
        if future is not None and not future.done():
            future.set_result(message.answer)
        elif message.request == "poll" and message.answer is not None:
            for follower in list(self._followers.get(("agents", ""), ())):
                follower.agents(message.answer)

    def _followed(self, message: Followed) -> None:
        entering = self._entering.pop(message.token, None)
        if entering is not None:
            place, follower = entering
            self._followers.setdefault(place, {})[follower] = None
            follower.followed(message)

    def _changed(self, tick: Changed) -> None:
        if tick.jobs:
            self.jobs_changed()
        if tick.pauses:
            self.pauses_changed()
        if tick.unread:
            self._run(self._read_runs(tick.unread))
        for key, body in tick.bodies.items():
            self._give(("runs", key), tick, body)
        if tick.summary or tick.jobs:
            self._give(("summary", ""), tick, None)
        if tick.jobs:
            self._give(("jobs", ""), tick, None)
        for run in tick.runs:
            self._give(("run", run.run_id), tick, None)

    def _give(self, place: tuple[str, str], tick: Changed, body: Shared | None) -> None:
        for follower in list(self._followers.get(place, ())):
            follower.changed(tick, body)

    def _run(self, act: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(act)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: ProgramAsks) -> None:
        """Read what a program asks for, and tell the core, which sends it."""
        assert self.answer_program is not None
        try:
            answer = await self.answer_program(message.asked)
        except Problem:
            answer = Busy(id=message.asked.id)
        self._tell(ProgramAnswer(to=message.peer, answer=answer))

    async def _read_runs(self, run_ids: list[str]) -> None:
        """Read the records that a replay came without, and tell the core."""
        assert self.read_runs is not None
        found: dict[str, Run | None] = dict.fromkeys(run_ids)
        try:
            found.update((run.run_id, run) for run in await self.read_runs(run_ids))
        except Problem as problem:
            log.warning("web: %d runs of a replay were not read: %s", len(run_ids), problem)
        self._tell(RunsRead(runs=found))


def _check_can_be_said(instruction: ToLedgerWish | ToSchedulerWish) -> None:
    """Refuse what no message can carry: the stage would fail at it, and with it everybody's server.

    Raises:
        Problem: 400.
    """
    try:
        encode(instruction)
    except (OverflowError, UnicodeEncodeError, RecursionError) as error:
        raise Problem(400, f"the request cannot be passed on: {_UNSAYABLE[type(error)]}") from None
