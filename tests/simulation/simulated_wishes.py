"""What people wish for: one wish after another, by chance, mostly such as fit their world."""

from __future__ import annotations

import random
from typing import Any

from simulated_jobs import Folder
from world import SECOND, World

from callsheet.jobs.run import Run
from callsheet.jobs.states import ACTIVE, FINISHED, MARKABLE, State
from callsheet.messages.backfills import StartBackfill, StopBackfill
from callsheet.messages.operations import After, Deed, Target, operation_id, root_of
from callsheet.messages.post import LEDGER, SCHEDULER
from callsheet.messages.wishes import (
    HoldRun,
    MarkRun,
    Operate,
    PauseRuns,
    ReleaseRun,
    ReloadJobs,
    RerunRun,
    RescheduleRun,
    ResumeRuns,
    ScheduleRun,
    SignalRun,
    SkipRun,
    StartNow,
    StopOperation,
    StopRun,
)
from callsheet.store.memory import MemoryReader

WORDS = (
    "start", "skip", "hold", "release", "stop", "kill", "mark", "rerun", "usr1", "reschedule",
)  # fmt: skip
USR1 = 10
OPEN = (State.SCHEDULED, State.WAITING)
# For which runs a wish makes sense.
FITTING = {
    "start": OPEN, "skip": OPEN, "hold": OPEN, "release": OPEN, "reschedule": OPEN,
    "mark": FINISHED, "rerun": FINISHED,
}  # fmt: skip
# Runs that people look at: the newest.
LOOKED_AT = 200

Wish = tuple[Any, str]


class Wishes:
    """See the module. `signals` counts the signals wished for by run."""

    def __init__(self, world: World, reader: MemoryReader, folder: Folder) -> None:
        self.world, self.reader, self.folder = world, reader, folder
        self.rnd = random.Random(f"{world.seed} people")
        self.signals: dict[str, int] = {}
        self._operations: list[str] = []

    def make(self, command_id: str) -> Wish | None:
        """Return what somebody wishes and of whom, None: nothing comes to mind."""
        dice = self.rnd.random()
        if dice < 0.3:
            return self._schedule(), SCHEDULER
        if dice < 0.4:
            self.folder.edit()
            return ReloadJobs(dry_run=self.rnd.random() < 0.1), SCHEDULER
        if dice < 0.74:
            return self._about_a_run()
        if dice < 0.84:
            return self._about_many(command_id)
        if dice < 0.92:
            return self._backfill()
        return self._pause()

    # --- runs -----------------------------------------------------------------------------------

    def _schedule(self) -> ScheduleRun:
        rnd = self.rnd
        job_id = rnd.choice(self.folder.ids)
        args = {"x": rnd.choice("123")} if self.folder.params(job_id) else {}
        if rnd.random() < 0.05:
            args["y"] = "?"
        schedule_us = None
        if rnd.random() < 0.4:
            schedule_us = self.world.now_us + rnd.randrange(-5, 40) * SECOND
        stop_after_us = rnd.choice((None, None, None, 3 * SECOND))
        count = rnd.choice((1, 1, 1, 2, 5))
        if rnd.random() < 0.1:
            job = {"program": {"type": "no-op"}}
            return ScheduleRun(job=job, count=count, schedule_us=schedule_us)
        return ScheduleRun(
            job_id=job_id,
            args=args,
            count=count,
            schedule_us=schedule_us,
            stop_after_us=stop_after_us,
        )

    def _about_a_run(self) -> Wish | None:
        rnd = self.rnd
        word = rnd.choice(WORDS)
        run = self._a_run(word)
        if run is None:
            return None
        run_id = run.run_id
        match word:
            case "start":
                return StartNow(run_id=run_id), LEDGER
            case "skip":
                return SkipRun(run_id=run_id, reason=rnd.choice(("", "no need"))), LEDGER
            case "hold":
                return HoldRun(run_id=run_id), LEDGER
            case "release":
                return ReleaseRun(run_id=run_id), LEDGER
            case "stop" | "kill":
                return StopRun(run_id=run_id, kill=word == "kill"), LEDGER
            case "mark":
                return MarkRun(run_id=run_id, state=rnd.choice(sorted(MARKABLE))), LEDGER
            case "usr1":
                self._signals(run_id)
                return SignalRun(run_id=run_id, signal=USR1), LEDGER
            case "reschedule":
                stop_us = run.stop_us and run.stop_us + 40 * SECOND
                return RescheduleRun(run_id=run_id, schedule_us=self._time(), stop_us=stop_us), (
                    LEDGER
                )
        return self._rerun(run), SCHEDULER

    def _rerun(self, run: Run) -> RerunRun:
        """Run again: as it was, as its job now is, or with another arg (or one there is not)."""
        rnd = self.rnd
        changes = {}
        if rnd.random() < 0.3:
            changes = {"x" if run.args or rnd.random() < 0.2 else "y": rnd.choice("123")}
        return RerunRun(
            run_id=run.run_id,
            job_id=run.job_id,
            args=run.args,
            definition=run.definition if rnd.random() < 0.3 else None,
            root=root_of(run),
            changes=changes,
            source_results=run.source_results,
        )

    def _time(self) -> int | None:
        """Now, soon, or a time that is over."""
        if self.rnd.random() < 0.3:
            return None
        return self.world.now_us + self.rnd.randrange(-2, 40) * SECOND

    def _signals(self, run_id: str) -> None:
        self.signals[run_id] = self.signals.get(run_id, 0) + 1

    def _fit(self, word: str) -> list[Run]:
        """Return runs for which a wish makes sense."""
        wanted = FITTING.get(word, ACTIVE - {State.WAITING})
        soon_us = self.world.now_us + 60 * SECOND
        return [
            run
            for run in self._runs()
            if run.state in wanted
            and (word != "release" or run.held)
            and (word != "start" or run.schedule_us < soon_us)
        ]

    def _runs(self) -> list[Run]:
        return list(self.reader._tables.runs.values())[-LOOKED_AT:]

    def _a_run(self, word: str) -> Run | None:
        """Pick a run, mostly one for which the wish makes sense."""
        fit = self._fit(word)
        if fit and self.rnd.random() < 0.9:
            return self.rnd.choice(fit)
        runs = self._runs()
        return self.rnd.choice(runs) if runs and self.rnd.random() < 0.3 else None

    # --- many runs ------------------------------------------------------------------------------

    def _about_many(self, command_id: str) -> Wish | None:
        """Do one deed to many runs, or stop having it done."""
        rnd = self.rnd
        if self._operations and rnd.random() < 0.15:
            return StopOperation(operation_id=rnd.choice(self._operations)), LEDGER
        word = rnd.choice(WORDS)
        fit = self._fit(word)
        if not fit:
            return None
        some = rnd.sample(fit, min(len(fit), rnd.choice((1, 2, 5, 12))))
        if rnd.random() < 0.3:
            some.append(rnd.choice(self._runs()))
        runs = {run.run_id: run for run in some}
        targets = [Target(run_id=run.run_id, seen=run.state) for run in runs.values()]
        deed = self._deed(word)
        if deed.verb == "rerun" and not deed.args and rnd.random() < 0.5:
            targets = self._chained(sorted(runs.values(), key=lambda run: run.number))
        if deed.verb == "signal":
            for target in targets:
                self._signals(target.run_id)
        self._operations.append(operation_id(command_id))
        return Operate(deed=deed, targets=targets), LEDGER

    def _deed(self, word: str) -> Deed:
        rnd = self.rnd
        match word:
            case "usr1":
                return Deed(verb="signal", signal=USR1)
            case "mark":
                return Deed(verb="mark", state=rnd.choice(sorted(MARKABLE)))
            case "reschedule":
                return Deed(verb="reschedule", schedule_us=self._time())
            case "rerun":
                args = {"x": rnd.choice("123")} if rnd.random() < 0.3 else {}
                return Deed(verb="rerun", args=args, stored=rnd.random() < 0.3)
        return Deed(verb=word)  # type: ignore[arg-type]

    def _chained(self, runs: list[Run]) -> list[Target]:
        """Each waits for a new run of the one before, where that is of another instance."""
        newest = self._runs()[-1].number
        targets: list[Target] = []
        before: Run | None = None
        for run in runs:
            after: tuple[After, ...] = ()
            if before is not None and (before.job_id, before.args) != (run.job_id, run.args):
                states = self.rnd.choice(((State.SUCCESS,), tuple(sorted(FINISHED - {State.LOST}))))
                after = (
                    After(job_id=before.job_id, args=before.args, number=newest, states=states),
                )
            targets.append(Target(run_id=run.run_id, seen=run.state, after=after))
            before = run
        return targets

    # --- times that are over, times that are left out -------------------------------------------

    def _backfill(self) -> Wish | None:
        rnd = self.rnd
        known = sorted(self.reader._tables.backfills)
        if known and rnd.random() < 0.3:
            return StopBackfill(number=rnd.choice(known)), LEDGER
        job_id = rnd.choice(self.folder.ids)
        args = {"x": rnd.choice("12")} if self.folder.params(job_id) and rnd.random() < 0.3 else {}
        to_us = self.world.now_us - rnd.randrange(-1, 20) * SECOND
        return (
            StartBackfill(
                job_id=job_id,
                from_us=to_us - rnd.randrange(5, 90) * SECOND,
                to_us=to_us,
                parallel=rnd.choice((1, 1, 2, 3)),
                newest_first=rnd.random() < 0.3,
                again=rnd.random() < 0.5,
                args=args,
            ),
            SCHEDULER,
        )

    def _pause(self) -> Wish:
        rnd = self.rnd
        known = sorted(self.reader._tables.pauses)
        if known and rnd.random() < 0.6:
            kind, name = rnd.choice(known)
            return ResumeRuns(pause_kind=kind, name=name), LEDGER
        kind, names = rnd.choice(
            (
                ("all", [""]),
                ("folder", ["night"]),
                ("label", list("abc")),
                ("job", self.folder.ids),
                ("job", self.folder.ids),
            )
        )
        until_us = self.world.now_us + rnd.randrange(-1, 30) * SECOND
        return (
            PauseRuns(
                pause_kind=kind,
                name=rnd.choice(names),
                until_us=until_us if rnd.random() < 0.6 else None,
            ),
            LEDGER,
        )
