"""The binder's core: loads job folders and renders templates for the scheduler.

Stateless but for answers it has just given, which it repeats. It may be killed at any item by its
stage's limits; the scheduler then asks the next binder. Each answer leaves in the turn of its
request, in the order asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from ..jobs.actions import Action
from ..jobs.calendar_days import CalendarDays, calendars_by_name
from ..jobs.calendars import Calendar
from ..jobs.errors import OutOfLimits
from ..jobs.run import NewRun
from ..messages.binding import (
    Bind,
    BinderReady,
    BindOne,
    BoundRuns,
    FolderLoaded,
    FolderProblem,
    LoadedJob,
    LoadFolder,
)
from ..messages.codec import encode
from ..messages.post import BINDER, SCHEDULER, Post
from .bind_one import failed_run, too_much
from .requests import OpenRequests

JOBS_A_PART = 500
PART_BYTES = 2**20
PROBLEMS_A_PART = 1_000
ANSWERS_KEPT = 20
READY = ("ready",)


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder as read: its jobs by id with their hashes, or the mistakes found in it, and the git
    commit it is checked out at."""

    jobs: list[LoadedJob]
    problems: list[FolderProblem]
    commit: str | None = None
    calendars: list[CalendarDays] = []


class FolderReading(Protocol):
    """Reads and checks a folder: all its jobs with their bodies, and every mistake."""

    def __call__(self, path: str, now_us: int) -> Folder:
        """Return the folder at `path` as of now."""


class Limits(Protocol):
    """What guards one piece of work: it ends with OutOfLimits, or its process does, when it takes
    too much."""

    def __enter__(self) -> Any:
        """The work begins."""

    def __exit__(self, *error: object) -> Any:
        """It is over."""


class Binder:
    """`load` reads a folder, `bind` renders one run by the calendars in force; `limits` is entered
    around each `bind`. `actions` are those of every run, also of one whose binding took too much.
    """

    def __init__(
        self,
        load: FolderReading,
        bind: Callable[[BindOne, Mapping[str, Calendar]], NewRun],
        limits: Callable[[], Limits],
        *,
        incarnation: str,
        actions: tuple[Action, ...] = (),
        address: str = BINDER,
    ) -> None:
        self.address = address
        self._actions = actions
        self._load = load
        self._bind = bind
        self._limits = limits
        self._incarnation = incarnation
        self._greetings = OpenRequests()
        self._bound: dict[int, BoundRuns] = {}
        self._asked: dict[int, LoadFolder] = {}
        self._loaded: tuple[int, list[FolderLoaded]] | None = None
        self._again = False

    def begin(self, now_us: int) -> list[Post]:
        """Say that a new binder is there, until the scheduler says anything."""
        ready = BinderReady(incarnation=self._incarnation)
        return [self._greetings.send(READY, Post(SCHEDULER, ready), now_us)]

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        """Bind at once; a folder is loaded when the batch is over, once however often asked for."""
        self._greetings.answered(READY)
        match message:
            case Bind():
                return [Post(SCHEDULER, self._bind_all(message))]
            case LoadFolder():
                self._ask(message)
        return []

    def settle(self, now_us: int) -> list[Post]:
        """Load the folder asked for, or send again what was loaded for that request."""
        posts = self._greetings.repeat(now_us)
        final = next((ask for ask in self._asked.values() if ask.last), None)
        if self._again and final is not None and len(self._asked) == final.part + 1:
            if self._loaded is None or self._loaded[0] != final.request:
                known = {
                    job_id: hash_
                    for ask in self._asked.values()
                    for job_id, hash_ in ask.known.items()
                }
                self._loaded = (final.request, self._folder(final, known))
            posts += [Post(SCHEDULER, part) for part in self._loaded[1]]
        self._again = False
        return posts

    def wakes_at(self) -> int | None:
        """Return when the greeting is to be repeated."""
        return self._greetings.wakes_at()

    # --- inside ---------------------------------------------------------------------------------

    def _ask(self, message: LoadFolder) -> None:
        """Gather the parts of a request; another request replaces it.

        Whichever comes last: the numbers of a scheduler that was started after the clock had been
        set back are lower than those of the one before.
        """
        if any(ask.request != message.request for ask in self._asked.values()):
            self._asked = {}
        self._asked[message.part] = message
        self._again = True

    def _bind_all(self, message: Bind) -> BoundRuns:
        answer = self._bound.get(message.request)
        if answer is None:
            calendars = calendars_by_name(message.calendars)
            runs = [self._one(item, calendars) for item in message.items]
            answer = BoundRuns(request=message.request, runs=runs)
            self._bound[message.request] = answer
            if len(self._bound) > ANSWERS_KEPT:
                del self._bound[next(iter(self._bound))]
        return answer

    def _one(self, item: BindOne, calendars: Mapping[str, Calendar]) -> NewRun:
        try:
            with self._limits():
                return self._bind(item, calendars)
        except (MemoryError, RecursionError, OutOfLimits):
            return failed_run(item, too_much(item.job.job_id), self._actions)

    def _folder(self, ask: LoadFolder, known: dict[str, str]) -> list[FolderLoaded]:
        """Load the folder and cut it into parts; of jobs the scheduler has only the hash goes."""
        folder = self._load(ask.path, ask.now_us)
        cut = _Cut(ask.request)
        for loaded in folder.jobs:
            unsent = known.get(loaded.job_id) != loaded.hash
            cut.job(loaded if unsent else msgspec.structs.replace(loaded, job=None))
        for problem in folder.problems:
            cut.problem(problem)
        return cut.parts(folder.commit, folder.calendars)


class _Cut:
    """Cuts what was loaded into parts of bounded length and size."""

    def __init__(self, request: int) -> None:
        self._request = request
        self._parts: list[tuple[list[LoadedJob], list[FolderProblem]]] = [([], [])]
        self._bytes = 0

    def job(self, loaded: LoadedJob) -> None:
        bytes_ = len(encode(loaded.job)) if loaded.job is not None else 0
        jobs = self._parts[-1][0]
        if jobs and (len(jobs) >= JOBS_A_PART or self._bytes + bytes_ > PART_BYTES):
            self._parts.append(([loaded], []))
            self._bytes = bytes_
        else:
            jobs.append(loaded)
            self._bytes += bytes_

    def problem(self, problem: FolderProblem) -> None:
        if len(self._parts[-1][1]) >= PROBLEMS_A_PART:
            self._parts.append(([], []))
        self._parts[-1][1].append(problem)

    def parts(self, commit: str | None, calendars: list[CalendarDays]) -> list[FolderLoaded]:
        last = len(self._parts) - 1
        return [
            FolderLoaded(
                request=self._request,
                part=number,
                last=number == last,
                jobs=jobs,
                problems=problems,
                commit=commit,
                calendars=calendars if number == last else [],
            )
            for number, (jobs, problems) in enumerate(self._parts)
        ]
