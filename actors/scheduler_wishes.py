"""Wishes for runs: bound here, put on record by the ledger, answered to whoever asked.

A wish is known by its command id. It goes on to the ledger under the same id, which carries it out
once; repeats while it is under way add only a reader of its answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import msgspec

from ..jobs.binding import propagate_args
from ..jobs.calendars import Calendar
from ..jobs.errors import CallsheetError, UserError
from ..jobs.job import Job
from ..jobs.parse import definition_hash, job_from_data
from ..jobs.run import NewRun
from ..messages.backfills import AddBackfill, StartBackfill
from ..messages.codec import encode
from ..messages.hello import ScheduleRow
from ..messages.post import LEDGER, WEB, Post
from ..messages.wishes import (
    AddRuns,
    DeclineWish,
    Done,
    LedgerWish,
    Refused,
    RerunRun,
    RerunRuns,
    ScheduleRun,
    SchedulerWish,
)
from ..store.backfill_listing import listing_of
from ..store.interface import Reader
from .binding_desk import BindingDesk, bind_item
from .definitions import Definitions
from .requests import OpenRequests
from .reruns import item_of, made_after, unmade, without_job
from .run_numbers import RunNumbers
from .scheduler_backfills import add_of, items_of

# One wish makes at most so many runs, and they fit one message.
RUNS_A_WISH = 10_000
WISH_BYTES = 3 * 2**20
# Answers kept for wishes that are repeated just after they were answered, and the runs in all of
# them: a larger answer is got again from the ledger, which keeps the ids alone.
ANSWERS = 1_000
ANSWERED_RUNS = 100
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class _Refusal(CallsheetError):
    """A wish cannot be carried out; `reason` is one of the kinds of `Refused`."""

    def __init__(self, reason: str, sentence: str) -> None:
        self.reason = reason
        super().__init__(sentence)


class _Wish(msgspec.Struct):
    """A wish under way, and who is to hear of it. `begun`: it has its run numbers. `schedules` are
    those of the ad hoc job it brings."""

    wish: SchedulerWish
    askers: dict[str, None]
    begun: bool = False
    schedules: list[ScheduleRow] = []


class WishDesk:
    """Takes wishes from web and responder; `answer` is called by whatever settles one.

    `schedules_of` gives the rows that open the schedules of a job by its hash from an instant on;
    `opened` takes them once they are durable. `written`: whether all schedules of a job are written
    as of a time; `calendars` gives those in force.
    """

    def __init__(
        self,
        definitions: Definitions,
        numbers: RunNumbers,
        desk: BindingDesk,
        schedules_of: Callable[[Job, str, int], list[ScheduleRow]],
        opened: Callable[[ScheduleRow], None],
        reader: Reader,
        written: Callable[[str, int], bool],
        calendars: Callable[[], Mapping[str, Calendar]],
    ) -> None:
        self._definitions = definitions
        self._schedules_of = schedules_of
        self._opened = opened
        self._reader = reader
        self._written = written
        self._calendars = calendars
        self._numbers = numbers
        self._desk = desk
        self._open: dict[str, _Wish] = {}
        self._answers: dict[str, Done | Refused] = {}
        self._answered_runs = 0
        self._bound: list[LedgerWish] = []
        self._posts: list[Post] = []
        self._requests = OpenRequests()

    def take(self, sender: str, wish: SchedulerWish) -> bool:
        """Take a wish; return whether it is new. A known one gets its answer, or waits for it."""
        known = self._answers.get(wish.command_id)
        if known is not None:
            # The ledger, which asks for parts of operations, has them on record.
            self._posts += [Post(sender, known)] if sender != LEDGER else []
            return False
        if wish.access is None and sender == WEB:
            sentence = "the wish does not say whose it is"
            refused = Refused(command_id=wish.command_id, reason="forbidden", sentence=sentence)
            self._posts.append(Post(sender, refused))
            return False
        under_way = self._open.get(wish.command_id)
        if under_way is not None:
            under_way.askers[sender] = None
            return False
        self._open[wish.command_id] = _Wish(wish, {sender: None})
        return True

    def answer(self, command_id: str, message: Done | Refused) -> None:
        """A wish is settled: tell all who asked."""
        self._requests.answered(command_id)
        wish = self._open.pop(command_id, None)
        if wish is None:
            return
        # The ledger itself asks for the parts of an operation, and has put them on record.
        self._posts.extend(Post(asker, message) for asker in wish.askers if asker != LEDGER)
        if isinstance(message, Done):
            for row in wish.schedules:
                self._opened(row)
        if isinstance(message, Refused) and message.reason == "busy":
            return
        if isinstance(message, Done) and message.result and message.result.get("jobs"):
            return  # Large, and without effect: it can as well be made anew.
        self._keep(command_id, message)

    def settle(self, now_us: int, *, ready: bool) -> list[Post]:
        """Begin what can begin (`ready`: the jobs in force are known), send on what is bound."""
        if ready:
            for wish in list(self._open.values()):
                if not wish.begun:
                    self._begin(wish, now_us)
        for ledger_wish in self._bound:
            post = Post(LEDGER, ledger_wish)
            self._posts.append(self._requests.send(ledger_wish.command_id, post, now_us))
        self._bound = []
        posts, self._posts = self._posts, []
        return posts + self._requests.repeat(now_us)

    def wakes_at(self) -> int | None:
        """Return when a wish is to be repeated to the ledger."""
        return self._requests.wakes_at()

    # --- inside ---------------------------------------------------------------------------------

    def _keep(self, command_id: str, message: Done | Refused) -> None:
        """Keep an answer, as long as there is room; the oldest make it."""
        self._answers[command_id] = message
        self._answered_runs += _run_count(message)
        while len(self._answers) > ANSWERS or self._answered_runs > ANSWERED_RUNS:
            oldest = self._answers.pop(next(iter(self._answers)))
            self._answered_runs -= _run_count(oldest)

    def _begin(self, wish: _Wish, now_us: int) -> None:
        instruction = wish.wish.instruction
        try:
            match instruction:
                case ScheduleRun():
                    self._schedule(wish, instruction, now_us)
                case RerunRun():
                    self._rerun(wish, instruction, now_us)
                case StartBackfill():
                    self._backfill(wish, instruction, now_us)
                case RerunRuns():
                    self._rerun_all(wish, instruction, now_us)
                case _:
                    wish.begun = True  # A reload: settled by `answer`.
        except _Refusal as error:
            wish.begun = True
            self._decline(wish.wish, error)

    def _schedule(self, wish: _Wish, instruction: ScheduleRun, now_us: int) -> None:
        count = instruction.count
        if not 1 <= count <= RUNS_A_WISH:
            sentence = f"count {count}: expected 1 to {RUNS_A_WISH} runs"
            raise _Refusal("bad_request", sentence)
        add = AddRuns(runs=[])
        if instruction.job is not None:
            hash_, job = _ad_hoc(wish.wish.command_id, instruction.job)
            wish.schedules = self._schedules_of(job, hash_, now_us)
            add = AddRuns(
                runs=[],
                ad_hoc_id=job.job_id,
                ad_hoc_hash=hash_,
                ad_hoc_job=encode(job),
                ad_hoc_schedules=wish.schedules,
            )
        else:
            hash_, job = self._job(instruction.job_id)
        run_ids = self._numbers.take(count)
        if run_ids is None:
            return
        wish.begun = True
        at_us = instruction.schedule_us if instruction.schedule_us is not None else now_us
        stop_us = instruction.stop_us
        if stop_us is None and instruction.stop_after_us is not None:
            stop_us = at_us + instruction.stop_after_us
        args = dict(instruction.args)
        note = None
        if instruction.source_run is not None:
            note = f"scheduled by action of {instruction.source_run}"
            args = propagate_args(job.params, args, instruction.source_args)
        params_of = self._definitions.params_of(job)
        item = bind_item(
            job,
            hash_,
            params_of,
            run_id=run_ids[0],
            args=dict(sorted(args.items())),
            schedule_us=at_us,
            stop_us=stop_us,
            note=note,
            source_results=instruction.source_results,
        )

        def bound(runs: list[NewRun], alike: list[str]) -> None:
            self._send(wish.wish, msgspec.structs.replace(add, runs=runs, alike=alike))

        self._desk.bind_alike(item, run_ids, bound)

    def _rerun(self, wish: _Wish, instruction: RerunRun, now_us: int) -> None:
        """Have one run repeated; what cannot be is refused, but when its job is gone in error."""
        found = self._to_rerun(instruction)
        if found is None and instruction.changes:
            raise _Refusal("not_found", f"unknown job {instruction.job_id}")
        run_ids = self._numbers.take(1)
        if run_ids is None:
            return
        wish.begun = True
        if found is None:
            self._send(wish.wish, AddRuns(runs=[without_job(instruction, run_ids[0], now_us)]))
            return
        item = item_of(instruction, *found, run_ids[0], self._definitions, now_us)

        def bound(runs: list[NewRun]) -> None:
            [run] = runs
            if instruction.changes and run.error is not None:
                self._decline(wish.wish, _Refusal("bad_request", _said(run.error)))
            else:
                self._send(wish.wish, AddRuns(runs=[made_after(run, instruction)]))

        self._desk.bind([item], bound)

    def _rerun_all(self, wish: _Wish, instruction: RerunRuns, now_us: int) -> None:
        """Have several runs repeated, in their order; what cannot be is declined by itself."""
        reruns, declined = instruction.reruns, dict(instruction.declined)
        jobs: dict[str, tuple[str, Job]] = {}
        for rerun in reruns:
            try:
                found = self._to_rerun(rerun)
            except _Refusal as error:
                declined[rerun.run_id] = str(error)
                continue
            if found is None:
                declined[rerun.run_id] = f"unknown job {rerun.job_id}"
            else:
                jobs[rerun.run_id] = found
        declined = unmade(reruns, declined)
        wanted = [rerun for rerun in reruns if rerun.run_id not in declined]
        run_ids = self._numbers.take(len(wanted))
        if run_ids is None:
            return
        wish.begun = True
        items = [
            item_of(rerun, *jobs[rerun.run_id], run_id, self._definitions, now_us)
            for rerun, run_id in zip(wanted, run_ids, strict=True)
        ]

        def bound(runs: list[NewRun]) -> None:
            made = []
            for rerun, run in zip(wanted, runs, strict=True):
                if rerun.changes and run.error is not None:
                    declined[rerun.run_id] = _said(run.error)
                else:
                    made.append(made_after(run, rerun))
            self._send(wish.wish, AddRuns(runs=made, declined=declined))

        self._desk.bind(items, bound)

    def _backfill(self, wish: _Wish, instruction: StartBackfill, now_us: int) -> None:
        hash_, job = self._job(instruction.job_id)
        if not instruction.from_us < instruction.to_us <= now_us:
            raise _Refusal("bad_request", "expected a span of time that is over")
        if not self._written(job.job_id, now_us):
            return
        known = self._reader.last_backfill()
        try:
            listing = listing_of(job, instruction, self._reader, self._calendars())
        except UserError as error:
            raise _Refusal("bad_request", str(error)) from None
        if not listing.runs:
            said = f"job {job.job_id}: there is nothing to be made up for in this time"
            if listing.left_out:
                said += f": all {listing.left_out} runs are there (to run them again, say so)"
            raise _Refusal("bad_request", said)
        run_ids = self._numbers.take(len(listing.runs))
        if run_ids is None:
            return
        wish.begun = True

        def bound(runs: list[NewRun]) -> None:
            add = add_of(job, instruction, listing, runs, known)
            if len(add.packed) > WISH_BYTES:
                sentence = f"{len(runs)} runs: too large for one backfill: expected fewer"
                self._decline(wish.wish, _Refusal("bad_request", sentence))
                return
            self._bound.append(_brought(wish.wish, add))

        params_of = self._definitions.params_of(job)
        self._desk.bind(items_of(job, hash_, params_of, listing, run_ids), bound)

    def _to_rerun(self, instruction: RerunRun) -> tuple[str, Job] | None:
        """Return the job of a rerun: the one in force, or as it was if that is asked for."""
        hash_ = instruction.definition
        if hash_ is None:
            return self._definitions.find(instruction.job_id)
        job = self._definitions.body(hash_)
        if job is None or job.job_id != instruction.job_id:
            raise _Refusal("not_found", f"unknown definition {hash_} of job {instruction.job_id}")
        return hash_, job

    def _job(self, job_id: str | None) -> tuple[str, Job]:
        if not job_id:
            raise _Refusal("bad_request", "missing job_id or job")
        found = self._definitions.find(job_id)
        if found is None:
            raise _Refusal("not_found", f"unknown job {job_id}")
        return found

    def _send(self, wish: SchedulerWish, add: AddRuns) -> None:
        count = len(add.runs) + len(add.alike)
        if count and len(encode(add.runs[0])) * count > WISH_BYTES:
            sentence = f"{count} runs: too large for one wish: expected fewer"
            self._decline(wish, _Refusal("bad_request", sentence))
            return
        self._bound.append(_brought(wish, add))

    def _decline(self, wish: SchedulerWish, refusal: _Refusal) -> None:
        """Have a wish refused by the ledger, which knows whether it was carried out before."""
        decline = DeclineWish(reason=refusal.reason, sentence=str(refusal))
        self._bound.append(_brought(wish, decline))


def _brought(wish: SchedulerWish, instruction: AddRuns | AddBackfill | DeclineWish) -> LedgerWish:
    """Return what the ledger is asked for a wish: it judges who may."""
    return LedgerWish(
        command_id=wish.command_id,
        principal=wish.principal,
        instruction=instruction,
        access=wish.access,
    )


def _said(error: str) -> str:
    """Return a binding error without the name of its kind."""
    return error.removeprefix("BindingError: ")


def _run_count(answer: Done | Refused) -> int:
    return len(answer.records) if isinstance(answer, Done) else 0


def ad_hoc_id(command_id: str) -> str:
    """Return the id of the ad hoc job a wish brings: the same each time the wish is repeated."""
    digest = hashlib.sha256(command_id.encode("utf-8", "replace")).digest()
    return "adhoc-" + "".join(LETTERS[byte % len(LETTERS)] for byte in digest[:12])


def _ad_hoc(command_id: str, data: object) -> tuple[str, Job]:
    """Return hash and job of ad hoc job data.

    Raises:
        _Refusal: it is not a job.
    """
    try:
        job = job_from_data(data, ad_hoc_id(command_id))
    except CallsheetError as error:
        raise _Refusal("bad_request", str(error)) from None
    job = msgspec.structs.replace(job, ad_hoc=True)
    return definition_hash(job), job
