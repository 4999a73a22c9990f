"""The planner: keeps the window ahead of every open schedule written, in small batches.

Schedules whose horizon is nearest go first. A turn generates a bounded number of fires and looks
at a bounded number of schedules, and only a few batches are under way at a time, so that neither
ten thousand jobs nor a week of missed runs hold up what is due now. It writes nothing itself: the
ledger moves a horizon in the transaction that writes its runs (rule I5), and its answer moves ours.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from ..jobs.binding import schedule_args
from ..jobs.calendar_days import CalendarDays, calendars_by_name
from ..jobs.errors import UserError
from ..jobs.run import NewRun, Run
from ..jobs.schedules import Fire
from ..messages.binding import BindOne
from ..messages.codec import encode
from ..messages.commands import RunsExpected
from ..messages.hello import DueRow, ScheduleRow
from ..messages.instructions import Expectation, ExpectRuns
from ..messages.post import LEDGER, Post
from .binding_desk import BindingDesk, bind_item
from .definitions import Definitions
from .job_set import schedules_of
from .late_runs import why_left_out
from .plans import BATCH_BYTES, Batch, Key, Plan, fitting, put_off_words
from .requests import OpenRequests, earliest
from .run_numbers import RunNumbers
from .window import Portion, Window, portion, with_witness

# Bounds of one turn, and of what is under way.
FIRES_A_TURN = 1_000
LOOKS_A_TURN = 500
RUNS_A_BATCH = 500
BATCHES_OPEN = 4
RUNS_BINDING = 1_000
# A schedule that cannot be computed is tried again after this time: the code of an extension's type
# may only have been too slow.
AGAIN_US = 60_000_000


class Planner:
    """Plans by (job id, fingerprint). `add_due` takes rows that have become durable."""

    def __init__(
        self,
        definitions: Definitions,
        numbers: RunNumbers,
        desk: BindingDesk,
        add_due: Callable[[list[DueRow]], None],
        window: Window,
        first_batch: int,
    ) -> None:
        self._definitions = definitions
        self._numbers = numbers
        self._desk = desk
        self._add_due = add_due
        self.window = window
        self._batch = first_batch
        self._since_us = 0
        self.jobs_version = -1
        self.plans: dict[Key, Plan] = {}
        self.calendars: dict[str, CalendarDays] = {}
        # Schedules that cannot be computed, with why: a calendar or a zone is gone.
        self.stuck: dict[Key, str] = {}
        self.misplaced: set[str] = set()
        # Whether a schedule in force has a rule of its own for missed runs.
        self._ruled = False
        self.out_of_step = False
        self.reread = False
        self._later: list[tuple[int, int, Plan]] = []
        self._ready: list[tuple[int, int, Plan]] = []
        self._count = 0
        self._binding = 0
        self._collected: list[tuple[Plan, Expectation]] = []
        self._batches: dict[int, Batch] = {}
        self._requests = OpenRequests()

    # --- what is in force -----------------------------------------------------------------------

    def begin(self, rows: list[ScheduleRow], jobs_version: int, since_us: int) -> None:
        """Begin anew with the open schedules of a welcome."""
        self.plans = {}
        self.stuck = {}
        self.misplaced = set()
        self._ruled = False
        self._later, self._ready, self._collected = [], [], []
        self._batches = {}
        self._requests.clear()
        self.jobs_version, self._since_us = jobs_version, since_us
        self.out_of_step = False
        for row in rows:
            self.put(row)

    def put(self, row: ScheduleRow) -> None:
        """A schedule is open."""
        plan = self.plans[row.job_id, row.fingerprint] = Plan(row)
        self.stuck.pop(plan.key, None)
        self._ruled |= isinstance(row.spec, dict) and "options" in row.spec
        # All before `written` is written, so that its next fire is at `written` or later.
        self._look_at(plan, plan.written_us - self.window.reach_us)

    def keep(self, key: Key, definition: str) -> None:
        """A schedule goes on under another definition; what is being bound by the old one is not
        written any more."""
        plan = self.plans.get(key)
        if plan is not None:
            self.put(
                ScheduleRow(
                    job_id=plan.job_id,
                    fingerprint=plan.fingerprint,
                    definition=definition,
                    valid_from_us=plan.written_us,
                    written_upto_us=plan.written_us,
                )
            )

    def use_calendars(self, found: list[CalendarDays]) -> None:
        """These calendars are in force from now on."""
        self.calendars = {days.name: days for days in found}
        self._desk.calendars = found
        self.window = msgspec.structs.replace(self.window, calendars=calendars_by_name(found))
        for plan in self.plans.values():
            # Its fingerprint may not be that of its schedule any more.
            plan.schedule = None

    def left_out(self, runs: Callable[[], list[Run]], now_us: int) -> dict[str, str]:
        """Return which of some late runs are not to start any more, and why, by their ids.

        `runs` reads them, which is spared where everything that was missed is made up for.
        """
        if self.window.misfire.lenient and not self._ruled:
            return {}
        found = {}
        for run in runs():
            plan = self.plans.get((run.job_id, run.fingerprint or ""))
            if plan is None or not run.expected or run.held or not self._has_schedule(plan):
                continue
            job = self._definitions.body(plan.definition)
            assert job is not None, f"job {plan.job_id}: its definition is gone"
            reason = why_left_out(run, job, self.plans, self.window, now_us)
            if reason:
                found[run.run_id] = reason
        return found

    def remove(self, key: Key) -> None:
        """A schedule is closed."""
        self.plans.pop(key, None)
        self.stuck.pop(key, None)

    # --- turns ----------------------------------------------------------------------------------

    def settle(self, now_us: int, *, paused: bool) -> list[Post]:
        """Write on where the window asks for it; `paused`: only repeat what is under way."""
        if not paused:
            self._look(now_us)
        posts = self._requests.repeat(now_us)
        return posts + self._flush(now_us)

    def expected(self, message: RunsExpected, now_us: int) -> None:
        """A batch is durable: move horizons, and enter its runs into the docket."""
        self._requests.answered(message.batch)
        batch = self._batches.pop(message.batch, None)
        if batch is None:
            return
        behind = {(job_id, fingerprint): at_us for job_id, fingerprint, at_us in message.behind}
        duplicates = set(message.duplicates)
        due: list[DueRow] = []
        for plan, expectation in zip(batch.plans, batch.expectations, strict=True):
            plan.busy = False
            stored_us = behind.get(plan.key)
            if stored_us is None:
                plan.written_us = expectation.upto_us
                due += [
                    DueRow(run.run_id, run.schedule_us, run.job_id)
                    for run in expectation.runs
                    if run.run_id not in duplicates and run.error is None and run.skipped is None
                ]
            else:
                self._correct(plan, expectation, stored_us, now_us)
                stale = stored_us < 0 or stored_us == expectation.from_us
                # Made for our set of jobs, and yet not taken: it is not the one in force.
                self.out_of_step |= stale and batch.version == self.jobs_version
            if self.plans.get(plan.key) is plan and plan.look_us is not None:
                self._look_at(plan, plan.look_us)
        self._add_due(due)

    def wakes_at(self, *, paused: bool) -> int | None:
        """Return when a schedule is to be looked at or a batch repeated."""
        look_us = None
        if not paused and self._room():
            look_us = 0 if self._ready else self._later[0][0] if self._later else None
        return earliest(look_us, self._requests.wakes_at())

    def is_written(self, job_id: str, now_us: int) -> bool:
        """Whether all schedules of a job are written as of now, or cannot be computed."""
        return not any(
            plan.busy or (plan.look_us is not None and plan.look_us <= now_us)
            for key, plan in self.plans.items()
            if key[0] == job_id and key not in self.stuck
        )

    def idle(self, now_us: int) -> bool:
        """Whether every window is written as of now, and nothing is under way."""
        busy = self._batches or self._ready or self._collected or self._binding
        return not busy and not (self._later and self._later[0][0] <= now_us)

    # --- inside ---------------------------------------------------------------------------------

    def _look_at(self, plan: Plan, look_us: int) -> None:
        plan.look_us = look_us
        self._count += 1
        heapq.heappush(self._later, (look_us, self._count, plan))

    def _room(self) -> bool:
        """Whether more may be begun: batches under way, bindings, and numbers to give."""
        few = len(self._batches) < BATCHES_OPEN and self._binding < RUNS_BINDING
        return few and len(self._numbers) > 0

    def _look(self, now_us: int) -> None:
        while self._later and self._later[0][0] <= now_us:
            _, count, plan = heapq.heappop(self._later)
            heapq.heappush(self._ready, (plan.written_us, count, plan))
        made = looks = 0
        while self._ready and made < FIRES_A_TURN and looks < LOOKS_A_TURN and self._room():
            plan = heapq.heappop(self._ready)[2]
            if plan.busy or self.plans.get(plan.key) is not plan:
                continue
            looks += 1
            made += self._begin(plan, now_us)

    def _begin(self, plan: Plan, now_us: int) -> int:
        """Have the next portion of a schedule bound; return how many fires it has."""
        if not self._has_schedule(plan):
            return 0
        assert plan.schedule is not None, f"schedule of {plan.job_id}: not found"
        try:
            some = portion(plan.schedule, plan.written_us, now_us, self._since_us, self.window)
            if some.skip is not None and self._has_deadline(plan):
                some = with_witness(some, plan.schedule, self._since_us, self.window)
        except UserError as error:
            self.stuck[plan.key] = str(error)
            self._look_at(plan, now_us + AGAIN_US)
            return 0
        self.stuck.pop(plan.key, None)
        plan.look_us = some.look_us
        if not some.writes:
            if some.look_us is not None:
                self._look_at(plan, some.look_us)
            return 0
        run_ids = self._numbers.take(len(some.fires))
        if run_ids is None:
            self._look_at(plan, now_us)
            return 0
        plan.busy = True
        self._bind(plan, some, run_ids)
        left_out = sum(span.count for span in some.blackouts)
        return len(some.fires) + left_out + (some.skip.count if some.skip is not None else 0)

    def _has_schedule(self, plan: Plan) -> bool:
        """Find the schedule that a fingerprint means in the definition in force."""
        if plan.schedule is not None:
            return True
        job = self._definitions.body(plan.definition)
        schedules = {} if job is None else schedules_of(job, self.window.calendars)
        found = schedules.get(plan.fingerprint)
        if found is None:
            # What a fingerprint is made of has changed (a calendar): the job is applied anew.
            self.misplaced.add(plan.job_id)
            return False
        plan.schedule = found
        return True

    def _has_deadline(self, plan: Plan) -> bool:
        job = self._definitions.body(plan.definition)
        return job is not None and job.deadline is not None

    def _bind(self, plan: Plan, some: Portion, run_ids: list[str]) -> None:
        job = self._definitions.body(plan.definition)
        assert job is not None, f"job {plan.job_id}: its definition is gone"
        params_of = self._definitions.params_of(job)

        def item(run_id: str, fire: Fire) -> BindOne:
            return bind_item(
                job,
                plan.definition,
                params_of,
                run_id=run_id,
                args=schedule_args(job, fire),
                schedule_us=fire.at_us,
                stop_us=fire.stop_us,
                fingerprint=plan.fingerprint,
                note=put_off_words(fire),
                not_before_us=fire.until_us,
            )

        def bound(runs: list[NewRun]) -> None:
            self._binding -= len(some.fires)
            if some.skipped is not None:
                runs = [replace(run, skipped=some.skipped, error=None) for run in runs]
            if self.plans.get(plan.key) is plan:
                self._collect(plan, some, runs)

        self._binding += len(some.fires)
        items = [item(run_id, fire) for run_id, fire in zip(run_ids, some.fires, strict=True)]
        self._desk.bind(items, bound)

    def _collect(self, plan: Plan, some: Portion, runs: list[NewRun]) -> None:
        expectation = Expectation(
            job_id=plan.job_id,
            fingerprint=plan.fingerprint,
            from_us=plan.written_us,
            upto_us=some.upto_us,
            runs=runs,
            skips=[*([some.skip] if some.skip is not None else []), *some.blackouts],
        )
        self._collected.append((plan, expectation))

    def _flush(self, now_us: int) -> list[Post]:
        """Send what has been bound, in batches of a bounded number of runs and bytes."""
        posts: list[Post] = []
        batch = Batch(self.jobs_version, [], [])
        runs = size = 0
        for plan, expectation in self._collected:
            if self.plans.get(plan.key) is not plan:
                continue
            some = fitting(plan, expectation)
            bytes_ = len(encode(some.runs[0])) * len(some.runs) if some.runs else 0
            full = runs + len(some.runs) > RUNS_A_BATCH or size + bytes_ > BATCH_BYTES
            if batch.plans and full:
                posts.append(self._send(batch, now_us))
                batch = Batch(self.jobs_version, [], [])
                runs = size = 0
            batch.expectations.append(some)
            batch.plans.append(plan)
            runs += len(some.runs)
            size += bytes_
        self._collected = []
        if batch.plans:
            posts.append(self._send(batch, now_us))
        return posts

    def _send(self, batch: Batch, now_us: int) -> Post:
        self._batch += 1
        self._batches[self._batch] = batch
        message = ExpectRuns(
            batch=self._batch, jobs_version=batch.version, expectations=batch.expectations
        )
        return self._requests.send(self._batch, Post(LEDGER, message), now_us)

    def _correct(self, plan: Plan, expectation: Expectation, stored_us: int, now_us: int) -> None:
        """The ledger's horizon is elsewhere: it is the one that holds."""
        if stored_us < 0:
            return
        # A repeat, or another scheduler's work: its runs are stored, perhaps not in the docket.
        self.reread = self.reread or stored_us != expectation.from_us
        plan.written_us = stored_us
        plan.look_us = now_us
