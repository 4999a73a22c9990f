"""A random job folder, and what people do to it. All from one seeded random number generator."""

from __future__ import annotations

import random

from msgspec.structs import replace
from world import SECOND

from callsheet.jobs.actions import ScheduleAction
from callsheet.jobs.conditions import (
    AnyOf,
    Condition,
    Const,
    Dependency,
    MaxRunning,
    Moment,
    Not,
    NotAfter,
    NotBefore,
    Pool,
    SkipDuplicate,
)
from callsheet.jobs.job import Job
from callsheet.jobs.programs import NoOp, Process, Program, StopSpec, TimeoutSpec
from callsheet.jobs.schedule_types import (
    Cron,
    Daily,
    DailyInterval,
    DayPoint,
    Explicit,
    Interval,
    Options,
    Schedule,
    StopAfter,
)
from callsheet.jobs.states import FINISHED, State
from callsheet.jobs.times import format_time, us_to_local, zone

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe")
X = ("x",)
# The pools of the settings.
POOLS = {"desks": 3}


class Folder:
    """The jobs in the folder by id. `problem`: the next load finds a mistake."""

    def __init__(self, seed: int, now_us: int, count: int, groups: tuple[str, ...]) -> None:
        self._random = random.Random(f"{seed} jobs")
        self._now_us = now_us
        self._groups = groups
        self._ids = [f"{'night/' * (number % 3 == 1)}job{number}" for number in range(count)]
        self._params = {job_id: self._random.choice(((), (), X)) for job_id in self._ids}
        self.problem = False
        self.jobs = {job_id: self._job(job_id) for job_id in self._ids}
        self._shelf = dict(self.jobs)

    @property
    def ids(self) -> list[str]:
        """All job ids that are or were in the folder."""
        return self._ids

    def params(self, job_id: str) -> tuple[str, ...]:
        return self._params[job_id]

    def edit(self) -> None:
        """Change something: a job, its schedules, whether it is there; or make a mistake."""
        dice = self._random.random()
        self.problem = dice < 0.15
        if self.problem:
            return
        job_id = self._random.choice(self._ids)
        if job_id not in self.jobs:
            self.jobs[job_id] = self._shelf[job_id]
        elif dice < 0.3:
            self._shelf[job_id] = self.jobs.pop(job_id)
        elif dice < 0.4:
            # Described anew: its runs stay.
            metadata = {"labels": [self._random.choice("abc")]}
            self.jobs[job_id] = replace(self.jobs[job_id], metadata=metadata)
        elif dice < 0.6:
            self.jobs[job_id] = replace(self.jobs[job_id], program=self._program())
        else:
            self.jobs[job_id] = replace(self.jobs[job_id], schedules=self._schedules(job_id))

    # --- inside ---------------------------------------------------------------------------------

    def _job(self, job_id: str) -> Job:
        return Job(
            job_id=job_id,
            params=self._params[job_id],
            schedules=self._schedules(job_id),
            program=self._program(),
            conditions=self._conditions(job_id),
            actions=self._actions(job_id),
            priority=self._random.choice((0, 0, 0, 5)),
            waiting_max_us=self._random.choice((None, None, None, 20 * SECOND)),
        )

    def _program(self) -> Program:
        dice = self._random.random()
        if dice < 0.25:
            return NoOp(success=self._random.choice((True, True, False, None)))
        if dice < 0.4:
            text = self._random.choice(("2", "7", "{{ 1 + 3 }}"))
            return NoOp(duration=text, success=self._random.choice((True, False)))
        choice = self._random.choice
        argv = (
            choice(("work",) * 12 + ("absent",)),
            str(int(10 ** self._random.uniform(0.5, 4.3))),
            choice(("0", "0", "0", "1", "3", "{{ 2 * 3 }}")),
            choice(("dies", "dies", "tidies", "ignores")),
            choice(("0", "0", "40", "3000")),
            choice(("steady", "sudden")),
        )
        timeout = TimeoutSpec(duration=choice(("1", "5"))) if self._random.random() < 0.2 else None
        grace = choice(("1", "4", None)) if argv[3] != "ignores" else choice(("1", "3"))
        return Process(
            argv=argv,
            group_id=choice(self._groups),
            stop=StopSpec(grace_period=grace),
            timeout=timeout,
        )

    def _schedules(self, job_id: str) -> tuple[Schedule, ...]:
        count = self._random.choice((0, 1, 1, 1, 2))
        schedules = [self._schedule(job_id) for _ in range(count)]
        return tuple(self._with_options(schedule, job_id) for schedule in schedules)

    def _with_options(self, schedule: Schedule, job_id: str) -> Schedule:
        """Sometimes say more of a schedule than its times."""
        rnd = self._random
        if rnd.random() < 0.75:
            return schedule
        options = Options(
            jitter_us=rnd.choice((0, 3 * SECOND)),
            jitter_key=job_id,
            misfire_after_us=rnd.choice((None, 2 * SECOND)),
            catch_up=rnd.choice((None, "all", "last", "none")),
            max_age_us=rnd.choice((None, 20 * SECOND)),
        )
        return replace(schedule, options=options)

    def _schedule(self, job_id: str) -> Schedule:
        rnd = self._random
        args = {"x": rnd.choice("12")} if self._params[job_id] else {}
        stop = StopAfter(duration_us=rnd.randrange(1, 9) * SECOND) if rnd.random() < 0.15 else None
        enabled = rnd.random() < 0.95
        tz = rnd.choice(ZONES)
        dice = rnd.random()
        if dice < 0.6:
            step_us = rnd.choice((4, 10, 15, 30)) * SECOND
            phase_us = rnd.randrange(0, step_us, SECOND)
            return Interval(
                interval_us=step_us, phase_us=phase_us, args=args, stop=stop, enabled=enabled
            )
        soon_us = self._now_us + rnd.randrange(1, 90) * SECOND
        wall = us_to_local(soon_us, zone(tz))
        daytime_s = float(wall.hour * 3600 + wall.minute * 60 + wall.second)
        if dice < 0.7:
            return Daily(tz=tz, daytimes_s=(daytime_s,), args=args, stop=stop, enabled=enabled)
        if dice < 0.8:
            times_us = tuple(sorted(soon_us + rnd.randrange(60) * SECOND for _ in range(3)))
            return Explicit(times_us=times_us, args=args, stop=stop, enabled=enabled)
        if dice < 0.9:
            return Cron(expression=rnd.choice(("* * * * *", "*/2 * * * *", "30 * * * *")), tz=tz,
                        args=args, stop=stop, enabled=enabled)  # fmt: skip
        return DailyInterval(
            tz=tz,
            start=DayPoint(daytime_s=daytime_s),
            stop_point=DayPoint(daytime_s=min(daytime_s + 300, 86_399.0)),
            interval_us=20 * SECOND,
            args=args,
            stop=stop,
            enabled=enabled,
        )

    def _conditions(self, job_id: str) -> tuple[Condition, ...]:
        rnd = self._random
        conds: list[Condition] = []
        if rnd.random() < 0.3:
            conds.append(MaxRunning(count=rnd.choice(("1", "1", "2", "{{ 1 }}"))))
        if rnd.random() < 0.15:
            conds.append(SkipDuplicate())
        if rnd.random() < 0.15:
            conds.append(Pool(name="desks", weight=rnd.choice("112")))
        if rnd.random() < 0.25:
            dependency = self._dependency(job_id)
            dice = rnd.random()
            if dice < 0.1:
                conds.append(Not(condition=dependency))
            elif dice < 0.3:
                conds.append(AnyOf(conditions=(dependency, self._not_before())))
            else:
                conds.append(dependency)
        if rnd.random() < 0.1:
            conds.append(Const(value=rnd.random() < 0.8))
        if rnd.random() < 0.1:
            conds.append(self._not_before())
        if rnd.random() < 0.1:
            states = (State.SKIPPED, State.ERROR)
            conds.append(NotAfter(moment=self._moment(), else_state=rnd.choice(states)))
        rnd.shuffle(conds)
        return tuple(conds)

    def _dependency(self, job_id: str) -> Condition:
        """A dependency on an earlier job."""
        rnd = self._random
        number = self._ids.index(job_id)
        if not number:
            return Const(value=True)
        other = rnd.choice(self._ids[:number])
        args = {"x": rnd.choice("12")} if self._params[other] else {}
        states = rnd.choice(((State.SUCCESS,), tuple(sorted(FINISHED - {State.LOST}))))
        exist = rnd.choice((None, None, True))
        return Dependency(job_id=other, args=args, states=states, exist=exist)

    def _not_before(self) -> NotBefore:
        return NotBefore(moment=self._moment())

    def _moment(self) -> Moment:
        at_us = self._now_us + self._random.randrange(60) * SECOND
        return Moment(time=format_time(at_us))

    def _actions(self, job_id: str) -> tuple[ScheduleAction, ...]:
        """Follow-up runs, of later jobs only: a chain ends."""
        rnd = self._random
        later = self._ids[self._ids.index(job_id) + 1 :]
        actions = []
        for _ in range(rnd.choice((0, 0, 0, 1, 2)) if later else 0):
            other = rnd.choice(later)
            args = {"x": rnd.choice("12")} if self._params[other] else {}
            states = rnd.choice(((State.SUCCESS,), (State.FAILURE, State.ERROR), None))
            actions.append(ScheduleAction(job_id=other, args=args, states=states))
        return tuple(actions)
