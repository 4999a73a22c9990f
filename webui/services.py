"""What endpoints and sockets work with: settings, hub, readers, look-ups many of them do."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from ..jobs.job import Job
from ..jobs.jso import job_jso
from ..jobs.names import AmbiguousJob, NoSuchJob, match_job_id
from ..jobs.run import Run, run_number
from ..messages.access import Access, AskLeave, NoteRefusal
from ..messages.published import Answer, Asked, AskEvents
from ..messages.wishes import Done, ToLedgerWish, ToSchedulerWish
from ..store.interface import Reader
from ..wire.trial import Trial
from .figures import Board
from .hub import Hub
from .looks import Look
from .outbox import Waiting
from .pool import ReaderPool
from .previews import Previews
from .publishing import answer_events, answer_runs
from .routing import Problem, Request
from .server_log import ServerLog
from .shapes_v1 import JobV1
from .throttle import Throttle

if TYPE_CHECKING:
    from .guests import Guest
    from .outputs import Outputs
    from .sockets import SocketHandler

# Wishes that are ours have command ids that begin so.
OWN_COMMANDS = ("operation/", "preview/")
# Refusals of the web server's own that are put on record in a minute; a guesser makes many.
NOTES_A_MINUTE = 60
# How often it is asked whether the guests of open sockets would still be let in.
SHOW_OUT_S = 0.5
# Log-ins waiting for their hash; one takes about 0.2 s and 32 MiB.
HASHES_WAITING = 20
# The code with which a socket is closed then: policy violation.
NOT_LET_IN = 1008

T = TypeVar("T")


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the web role is told.

    `bind` are `host:port`, port 0 for any, maybe after `https://`; `certificate` and `key` name the
    PEM files for TLS. `shut_down_pid` gets SIGTERM for a shut-down and SIGHUP for a restart;
    `trial`: a command by which to try whether it could begin anew. `lookback_us` bounds lists and
    the summary socket by schedule time.
    `allowed_hosts` are further names in `Host` that are ours. `static_root` None: the console that
    comes with the package. `pools` are the sizes of the settings' pools. `server_key`: the file
    with the public key that agents of other hosts expect, empty while they cannot come in;
    `agents_listen`: where they do. `log_socket`: where lines of the server's log come in, empty:
    nowhere.
    `loopback`: `open` when who comes by an address of this machine needs no log-in, else `login`;
    `session_us`: how long one holds. `socket_mode`: of the files of Unix sockets. `ad_hoc`: whether
    a job may come with a request.
    """

    bind: tuple[str, ...] = ("127.0.0.1:5000",)
    certificate: str | None = None
    key: str | None = None
    loopback: str = "open"
    socket_mode: int = 0o600
    session_us: int = 12 * 3600 * 1_000_000
    ad_hoc: bool = True
    database: str
    outputs_root: str
    outputs_url: str | None = None
    outputs_options: dict[str, Any] = {}
    static_root: str | None = None
    shut_down_pid: int | None = None
    trial: tuple[str, ...] = ()
    lookback_us: int | None = None
    allowed_hosts: tuple[str, ...] = ()
    version: str = ""
    job_folder: str = ""
    pools: dict[str, int] = {}
    server_key: str = ""
    agents_listen: str = ""
    log_socket: str = ""

    @property
    def static(self) -> Path:
        """The folder of the console."""
        return Path(self.static_root) if self.static_root else Path(__file__).parent / "static"


class Services:
    """See the module. Owned by the loop's thread."""

    outputs: Outputs

    def __init__(
        self,
        settings: WebSettings,
        hub: Hub,
        pool: ReaderPool,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.settings = settings
        self.hub = hub
        self.pool = pool
        self.now_us = now_us
        self.started_us = now_us()
        self.figures = Board()
        self.sockets = 0
        self.waiting = Waiting()
        self.open_sockets: set[SocketHandler] = set()
        # Set while somebody with a token or a log-in may have a socket open.
        self.visited = asyncio.Event()
        self.log = ServerLog(self.started_us // 1_000_000)
        self.looks: dict[str, Look] = {}
        self.requests = 0
        # Of which the answers are still being found.
        self.under_way = 0
        self.problems = 0
        self._noted = (0, 0)
        self.throttle = Throttle()
        self.previews = Previews()
        self.monotonic_s = time.monotonic
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="callsheet-hash")
        self._hashes = 0
        hub.read_runs = self._read_runs
        hub.answer_program = self._answer_program

    async def read(self, act: Callable[[Reader], T]) -> T:
        """Return what `act` reads of the store."""
        return await self.pool.read(act)

    async def run(self, run_id: str) -> Run:
        """Return a run.

        Raises:
            Problem: 404, there is none.
        """
        found = None if run_number(run_id) is None else await self.read(lambda r: r.run(run_id))
        return known(found, run_id)

    async def wish(
        self,
        request: Request,
        instruction: ToLedgerWish | ToSchedulerWish,
        *,
        command_id: str | None = None,
    ) -> Done:
        """Bring the wish of a request to those who decide; see `Hub.wish`. `command_id` None: that
        of the request."""
        guest = request.guest
        if guest is None:
            raise Problem(401, "nobody is known to ask: expected a log-in or a token")
        key = request.key
        command_id = command_id or self.command_id(request)
        if command_id is None:
            key = secrets.token_hex(16)
            command_id = command_of(request, guest, key)
        try:
            return await self.hub.wish(
                instruction, principal=guest.name, access=guest.access, command_id=command_id
            )
        except Problem as problem:
            if "command_id" in problem.extra and key is not None:
                # What is to be sent again is the key.
                problem.extra["command_id"] = key
            raise

    def command_id(self, request: Request) -> str | None:
        """Return by what the wish of a request is known when it is repeated, None: by nothing.

        Raises:
            Problem: 400, the key is none.
        """
        key = request.key
        if key is None:
            return None
        if key.startswith(OWN_COMMANDS):
            raise Problem(400, f"Idempotency-Key: {key[:20]}: expected one of your own making")
        return command_of(request, request.guest, key)

    async def hash(self, act: Callable[[], T]) -> T:
        """Return `act()`, which hashes a password: on a thread of its own, one after the other.

        Raises:
            Problem: 503, too many wait.
        """
        if self._hashes >= HASHES_WAITING:
            raise Problem(503, "too many log in at once: try again", headers={"Retry-After": "5"})
        self._hashes += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._hashing, act)
        finally:
            self._hashes -= 1

    def close(self) -> None:
        """End the thread; what is being hashed is not waited for."""
        self._hashing.shutdown(wait=False, cancel_futures=True)

    def note(self, who: str, access: Access, wish: NoteRefusal) -> None:
        """Have a refusal put on record; at most so many a minute, the rest is left out."""
        minute = self.now_us() // 60_000_000
        if minute != self._noted[0]:
            self._noted = (minute, 0)
        if self._noted[1] < NOTES_A_MINUTE:
            self._noted = (minute, self._noted[1] + 1)
            self.hub.tell_wish(wish, principal=who, access=access)

    async def leave(self, request: Request, act: str) -> None:
        """Ask the ledger whether the request may have what the ledger does not do itself.

        Raises:
            Problem: 403, it may not; 503, nobody answers.
        """
        guest = request.guest
        assert guest is not None, f"{act}: the table of rights lets nobody else here"
        await self.hub.wish(AskLeave(act=act), principal=guest.name, access=guest.access)

    async def show_out(self) -> None:
        """For ever: close the sockets of those who would not be let in as the same any more."""
        from .guests import still

        while True:
            # Nothing wakes the process while only this machine's own are here.
            await self.visited.wait()
            await asyncio.sleep(SHOW_OUT_S)
            here = {one.guest for one in self.open_sockets if one.guest is not None}
            guests = [guest for guest in here if guest.how != "local"]
            if not guests:
                self.visited.clear()
            for guest in guests:
                try:
                    stays = await still(self, guest)
                except Problem:
                    continue  # The store does not answer: asked again in a moment.
                if not stays:
                    for one in [one for one in self.open_sockets if one.guest == guest]:
                        one.close(NOT_LET_IN, "no longer let in")

    async def try_restart(self) -> None:
        """Return when the server could begin anew by the settings as they are now.

        Raises:
            Problem: 400, it could not, and why.
        """
        wrong = await asyncio.to_thread(Trial(self.settings.trial).wait)
        if wrong:
            raise Problem(400, f"the server goes on, for it could not begin anew: {wrong}")

    def shut_down(self, *, restart: bool) -> None:
        """Ask the supervisor for an orderly stop, or a restart.

        Raises:
            Problem: 503, there is no supervisor to ask.
        """
        pid = self.settings.shut_down_pid
        try:
            if pid is None:
                raise ProcessLookupError
            os.kill(pid, signal.SIGHUP if restart else signal.SIGTERM)
        except OSError:
            raise Problem(503, "there is no supervisor that could stop the server") from None

    async def _answer_program(self, asked: Asked) -> Answer:
        """Return what a program asked for (`wire/published.py`).

        Raises:
            Problem: the store does not answer.
        """
        if isinstance(asked, AskEvents):
            return await self.read(lambda reader: answer_events(reader, asked))
        return await self.read(lambda reader: answer_runs(reader, asked))

    async def _read_runs(self, run_ids: list[str]) -> list[Run]:
        return await self.read(lambda reader: reader.runs(run_ids))


def command_of(request: Request, guest: Guest | None, key: str) -> str:
    """Return the id of the command of a request with a key.

    A key stands for one request of one guest: nobody gets the answer that somebody else, or another
    request, was given.
    """
    asked = hashlib.sha256(f"{request.method} {request.path}".encode()).hexdigest()[:8]
    whose = f"{guest.name}/" if guest is not None and guest.access.credential else ""
    return f"{whose}{key}-{asked}"


def known(run: Run | None, run_id: str) -> Run:
    """Return the run.

    Raises:
        Problem: 404, there is none.
    """
    if run is None:
        raise Problem(404, f"unknown run {run_id[:100]}")
    return run


def find_job_id(reader: Reader, text: str, *, missing: int = 400) -> str:
    """Return the id of the job that `text` names, by itself or by words of it.

    Raises:
        Problem: `missing`, there is none; 400, there are several.
    """
    if reader.ad_hoc_job(text) is not None:
        return text
    try:
        return match_job_id(text, reader.jobs())
    except NoSuchJob as error:
        sentence = f"no job_id {text}" if missing == 404 else str(error)
        raise Problem(missing, sentence) from None
    except AmbiguousJob as error:
        raise Problem(400, str(error)) from None


def job_shape(reader: Reader, job: Job, hashes: dict[str, str]) -> JobV1:
    """Return a job's JSON; `hashes` are the jobs in force, which its dependencies name."""

    def find(job_id: str) -> Job | None:
        hash_ = hashes.get(job_id)
        return None if hash_ is None else reader.definition(hash_)

    return cast("JobV1", job_jso(job, find))


def definition_of(reader: Reader, job_id: str) -> tuple[str, Job]:
    """Return hash and definition of a job in force, or of an ad hoc one, by its exact id.

    Raises:
        Problem: 404, there is none.
    """
    hash_ = reader.jobs().get(job_id) or reader.ad_hoc_job(job_id)
    job = None if hash_ is None else reader.definition(hash_)
    if hash_ is None or job is None:
        raise Problem(404, f"no job_id {job_id}")
    return hash_, job
