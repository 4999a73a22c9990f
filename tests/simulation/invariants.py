"""What must hold at every instant, and what must hold in the end.

`Watch.look` is called after each step of the world and reads only what has become durable since;
`Watch.finish` looks at everything once more when the world has come to rest. Numbers in brackets
are those of the invariants: dense seq (I1), state = fold of events (I2), legal moves (I3), one run
per job, args and time (I4), horizons (I5), reasons (I6), truth (I7).
"""

from __future__ import annotations

from collections import Counter
from itertools import chain, pairwise
from typing import Any

import msgspec
from promises import Promises
from simulated_host import Evidence, Process, Violation
from simulated_jobs import POOLS
from world import SECOND, World

from callsheet.agentd.host import Key
from callsheet.jobs.ahead import AHEAD_US
from callsheet.jobs.binding import schedule_args
from callsheet.jobs.bound_conditions import (
    BoundConst,
    BoundDependency,
    BoundMaxRunning,
    BoundPool,
    BoundSkipDuplicate,
    pools_of,
)
from callsheet.jobs.judging import judge
from callsheet.jobs.misfire import Misfire, left_out, misfire_of
from callsheet.jobs.programs import BoundNoOp
from callsheet.jobs.run import Run
from callsheet.jobs.schedules import Schedule, fire_times, fires
from callsheet.jobs.states import ACTIVE, EDGES, FINISHED, MARKABLE, SETTLES, State
from callsheet.messages.hello import ScheduleRow
from callsheet.messages.post import WAITER
from callsheet.messages.transitions import (
    ActionNoted,
    BackfillNoted,
    JobsChanged,
    PauseNoted,
    RunMoved,
    RunNoted,
    RunWithdrawn,
    SkipsRecorded,
)
from callsheet.store.memory import MemoryDisk
from callsheet.store.rows import args_text, decode_job

GUARDS = (BoundMaxRunning, BoundSkipDuplicate, BoundPool)
OCCUPYING = (State.STARTING, State.RUNNING)
# For conditions and actions.
COUNTS_AS = {State.LOST: {State.LOST, State.ERROR}}
# A run that moved within this time is under way, and not stuck.
JUST_US = 60 * SECOND
Instance = tuple[str, str]
Planned = tuple[str, str, int]


class Seen:
    """What the events so far say of one run."""

    __slots__ = ("attempts", "ended", "held", "moved_us", "overridden", "state", "version")

    def __init__(self) -> None:
        self.state: State | None = None
        self.version = 0
        self.moved_us = 0
        self.attempts = 0
        self.ended = 0
        self.held = False
        self.overridden = False


class Watch:
    """See the module."""

    def __init__(
        self, world: World, disk: MemoryDisk, evidence: Evidence, promises: Promises
    ) -> None:
        self.world, self.disk, self.evidence = world, disk, evidence
        self.promises = promises
        self.seen: dict[str, Seen] = {}
        self.moves: dict[tuple[State | None, State], int] = {}
        self.actions: dict[str, str] = {}
        self.settled: dict[str, str] = {}
        self.withdrawn: set[Planned] = set()
        self.left_out: set[Planned] = set()
        self.misfire = Misfire()
        self.skips: dict[Instance, list[SkipsRecorded]] = {}
        self._spans: dict[tuple[str, str, int], list[SkipsRecorded]] = {}
        self._count = 0
        self._jobs_version = 0
        # Of the events still to be looked at, how many change a job.
        self._to_change: Counter[str] = Counter()
        self._latest_us = world.now_us
        # By instance, in which states a run of it ever was: the greatest number of one.
        self._ever: dict[Instance, dict[State, int]] = {}
        self._occupying: dict[Instance, set[str]] = {}
        self._in_pools: dict[str, int] = {}
        self._rows: dict[tuple[str, str, int], ScheduleRow] = {}
        # What each row's horizon has passed.
        self._passed: dict[tuple[str, str, int], list[tuple[Planned, int]]] = {}
        self._schedules: dict[str, Schedule] = {}
        self._jobs: dict[str, Any] = {}

    # --- after each step ------------------------------------------------------------------------

    def look(self) -> None:
        """Look at what has become durable."""
        tables, now_us = self.disk.tables, self.world.true_us + self.world.offset_us
        self._latest_us = max(self._latest_us, now_us)
        if self._count == len(tables.events):
            return
        touched: dict[str, None] = {}
        leaving: list[RunWithdrawn] = []
        events = tables.events[self._count :]
        self._to_change = Counter(chain.from_iterable(map(_changing, events)))
        for event in events:
            self._count += 1
            if event.seq != self._count:
                raise Violation(f"I1: event {self._count} has seq {event.seq}")
            match event:
                case RunMoved():
                    run = self._moved(event)
                    self.promises.see(event, run)
                    touched[event.run_id] = None
                case RunNoted():
                    self._noted(event)
                    self.promises.see(event, None)
                    touched[event.run_id] = None
                case PauseNoted() | BackfillNoted():
                    self.promises.see(event, None)
                case RunWithdrawn():
                    self._withdrawn(event)
                    self.promises.see(event, None)
                    leaving.append(event)
                    continue
                case JobsChanged():
                    self._jobs_version += 1
                    self._to_change.subtract(_changing(event))
                    _that(event.jobs_version == self._jobs_version, f"jobs version of {event}")
                case SkipsRecorded():
                    self._skipped_span(event, leaving)
                case ActionNoted():
                    _that(event.action_id in self.actions, f"nobody owes {event.action_id}")
                    _that(event.action_id not in self.settled, f"{event.action_id}: settled twice")
                    self.settled[event.action_id] = event.message
            if not isinstance(event, SkipsRecorded):
                leaving = []
        for run_id in touched:
            self._folded(run_id)
        self._horizons()

    def _moved(self, event: RunMoved) -> Run:
        run_id, before, after = event.run_id, event.before, event.after
        seen = self.seen.get(run_id)
        if seen is None:
            seen = self.seen[run_id] = Seen()
        if seen.state is not before:
            raise Violation(f"{_illegal(event)}: it was {seen.state}")
        run = self._run(run_id)
        marked = event.message.startswith("marked as")
        if before is None:
            legal = after in (State.SCHEDULED, State.ERROR)
            seen.held = run.backfill is not None
        elif before in FINISHED and marked:
            legal = after in MARKABLE
        else:
            legal = after in EDGES[before] or after in SETTLES.get(before, ())
        if not legal:
            raise Violation(_illegal(event))
        if after is State.STARTING:
            self._starting(event, seen, run)
            seen.attempts += 1
        if after in FINISHED and before not in FINISHED and before is not None:
            seen.ended += 1
            if seen.ended > 1:
                raise Violation(f"{_illegal(event)}: it ended before")
        if before in (*OCCUPYING, State.STOPPING, State.LOST) and after in FINISHED and not marked:
            self._truth(event, run, seen)
        self._index(run, before, after)
        seen.state, seen.version, seen.moved_us = after, event.seq, self.world.true_us
        self.moves[before, after] = self.moves.get((before, after), 0) + 1
        # To job files a lost run was in error already.
        is_new = (before, after) != (State.LOST, State.ERROR)
        for index, action in enumerate(run.actions):
            wanted = COUNTS_AS.get(after, {after})
            if action.states is None or (is_new and not wanted.isdisjoint(action.states)):
                self.actions[f"{run_id}.{event.seq}.{index}"] = action.job_id
        return run

    def _index(self, run: Run, before: State | None, after: State) -> None:
        instance = (run.job_id, args_text(run.args))
        ever = self._ever.setdefault(instance, {})
        for state in COUNTS_AS.get(after, {after}):
            ever[state] = max(ever.get(state, 0), run.number)
        members = self._occupying.setdefault(instance, set())
        was_in, is_in = before in OCCUPYING, after in OCCUPYING
        if is_in:
            members.add(run.run_id)
        else:
            members.discard(run.run_id)
        for cond in run.conds if was_in != is_in else ():
            if isinstance(cond, BoundPool):
                weight = cond.weight if is_in else -cond.weight
                self._in_pools[cond.name] = self._in_pools.get(cond.name, 0) + weight

    def _starting(self, event: RunMoved, seen: Seen, run: Run) -> None:
        """A run is to be started: its time has come, nobody holds it, and it need not wait."""
        what = f"{run.run_id} starts at seq {event.seq}"
        if seen.overridden:
            return
        _that(not seen.held, f"{what} though it is held")
        may_go_ahead = event.before is State.SCHEDULED and not isinstance(run.program, BoundNoOp)
        ahead_us = AHEAD_US if may_go_ahead else 0
        _that(run.schedule_us <= self._latest_us + ahead_us, f"{what} before its time")
        if event.before is State.SCHEDULED:
            _that(not run.conds, f"{what} without waiting for its conditions")
            return
        _that(event.cause == WAITER, f"{what}: by {event.cause}")
        for cond in run.conds:
            if isinstance(cond, BoundMaxRunning):
                others = self._occupying.get((cond.job_id, args_text(cond.args)), set())
                count = len(others - {run.run_id})
                _that(count < cond.count, f"{what} while {count} of at most {cond.count} run")
            elif isinstance(cond, BoundDependency):
                ever = self._ever.get((cond.job_id, args_text(cond.args)), {})
                newest = max(ever.get(state, 0) for state in cond.states)
                _that(newest > cond.after, f"{what}: {cond} never held")
            elif isinstance(cond, BoundPool):
                room = POOLS[cond.name] - self._in_pools.get(cond.name, 0)
                _that(cond.weight <= room, f"{what} with room for {room} in {cond}")
            elif isinstance(cond, BoundConst):
                _that(cond.value, f"{what}: it waits for ever")

    def _truth(self, event: RunMoved, run: Run, seen: Seen) -> None:
        """The end of an attempt is what its process says itself (I7)."""
        if run.program is None or isinstance(run.program, BoundNoOp):
            _that(event.after is not State.LOST, f"I7: {run.run_id}: a no-op is lost")
            return
        key = Key(run.run_id, seen.attempts)
        process = self.evidence.processes.get(key)
        what = f"I7: {key} is {event.after} ({event.message}) at seq {event.seq}"
        if event.after is State.ERROR:
            _that(process is None, f"{what}: it had a process")
            return
        if event.after is State.LOST:
            if event.before is State.STARTING and run.stop_asked:
                # Given up while its agent was away: whether it had a process nobody could know.
                return
            if process is not None:
                _that(bool(process.unseen), f"{what}: its process was kept all the time")
                _that(not process.alive, f"{what}: its process lives")
            return
        _that(process is not None, f"{what}: it never had a process")
        assert process is not None
        _that(not process.unseen, f"{what}: {process.unseen}")
        _that(process.status is not None, f"{what}: its process lives")
        said = event.message.partition(" (timeout")[0]
        _that(said == _words(process.status or 0, timed_out=said != event.message), what)

    def _noted(self, event: RunNoted) -> None:
        seen = self.seen[event.run_id]
        seen.version = event.seq
        line = event.message
        if line == "held" or line.startswith("held: "):
            seen.held = True
        elif line == "released" or line.startswith("its turn in backfill "):
            seen.held = False
        elif line.endswith("started by override"):
            seen.held = False
            seen.overridden = True

    def _withdrawn(self, event: RunWithdrawn) -> None:
        seen = self.seen.pop(event.run_id)
        _that(seen.state is State.SCHEDULED, f"{event.run_id}: withdrawn while {seen.state}")
        if event.fingerprint:
            self.withdrawn.add((event.job_id, args_text(event.args), event.schedule_us))

    def _folded(self, run_id: str) -> None:
        """The record is what the events say (I2)."""
        seen, run = self.seen.get(run_id), self.disk.tables.runs.get(int(run_id[1:]))
        if seen is None or run is None:
            _that(seen is None and run is None, f"I2: {run_id}: events say {seen}, record {run}")
            return
        record = (run.state, run.version, run.attempt)
        events = (seen.state, seen.version, seen.attempts)
        if record != events:
            raise Violation(f"I2: {run_id}: record {record}, events {events}")
        self.promises.folded(run)
        if run.held != seen.held and run.state in (State.SCHEDULED, State.WAITING):
            raise Violation(f"I2: {run_id}: held {run.held}, events {seen.held}")

    def _run(self, run_id: str) -> Run:
        run = self.disk.tables.runs.get(int(run_id[1:]))
        if run is None:
            # Made and withdrawn in one batch: what is owed for it is all that is left of it.
            owed = self.disk.tables.outbox.values()
            run = next((item.run for item in owed if item.run.run_id == run_id), None)
        if run is None:
            run = Run(run_id=run_id, job_id="", args={}, state=State.SCHEDULED, schedule_us=0)
        return run

    def _skipped_span(self, event: SkipsRecorded, leaving: list[RunWithdrawn]) -> None:
        """Take a skip: of runs that were there and are left out, or of fires that never were."""
        instance = (event.job_id, event.fingerprint)
        ours = [one for one in leaving if (one.job_id, one.fingerprint) == instance]
        times = [one.schedule_us for one in ours]
        span = (event.from_us, event.to_us, event.count)
        if ours and (min(times), max(times), len(ours)) == span:
            for one in ours:
                leaving.remove(one)
                self.left_out.add((one.job_id, args_text(one.args), one.schedule_us))
                self._left_out_rightly(one)
            return
        self.skips.setdefault(instance, []).append(event)
        rows = self._open_rows(event.job_id)
        valid_from_us = next(
            (row.valid_from_us for row in rows if row.fingerprint == event.fingerprint), 0
        )
        self._spans.setdefault((*instance, valid_from_us), []).append(event)

    def _left_out_rightly(self, event: RunWithdrawn) -> None:
        """No other schedule in force makes the same run and would have it made up for."""
        planned = (event.job_id, args_text(event.args), event.schedule_us)
        for row in self._open_rows(event.job_id):
            if row.fingerprint == event.fingerprint or row.valid_from_us > event.schedule_us:
                continue
            if self._fires(row, event.schedule_us, event.schedule_us + 1) != [
                (planned, planned[2])
            ]:
                continue
            schedule = self._schedules[row.fingerprint]
            rule = misfire_of(schedule, self.misfire)
            reason = left_out(schedule, event.schedule_us, self._latest_us, rule, {})
            _that(bool(reason), f"{event.run_id} was left out, and {row.fingerprint} wants it")

    def _open_rows(self, job_id: str) -> list[ScheduleRow]:
        """Return the schedules of a job that were in force when the event looked at came about: a
        commit may have what was recorded by them, and after it a change of the job."""
        rows = (self._rows if self._to_change[job_id] else self.disk.tables.schedules).values()
        return [row for row in rows if row.job_id == job_id and row.valid_to_us is None]

    # --- horizons -------------------------------------------------------------------------------

    def _horizons(self) -> None:
        """Every fire that a horizon has newly passed has a run or a recorded skip (I5)."""
        for key, row in self.disk.tables.schedules.items():
            known = self._rows.get(key)
            if known is row:
                continue
            self._rows[key] = row
            from_us = row.valid_from_us if known is None else known.written_upto_us
            _that(row.written_upto_us >= from_us, f"I5: horizon of {key} went back to {row}")
            newly = self._fires(row, from_us, row.written_upto_us)
            self._passed.setdefault(key, []).extend(newly)
            self._covered(row, newly)

    def _covered(self, row: ScheduleRow, passed: list[tuple[Planned, int]]) -> None:
        strict = row.valid_to_us is None
        for planned, at_us in passed:
            there = planned in self.disk.tables.planned or planned in self.left_out
            there = there or planned in self.promises.put_off or self._skipped(row, at_us)
            if not there and not strict:
                there = planned in self.withdrawn
            if not there:
                raise Violation(f"I5: {row}: no run and no skip for {planned}")

    def _fires(self, row: ScheduleRow, from_us: int, upto_us: int) -> list[tuple[Planned, int]]:
        if upto_us <= from_us:
            return []
        job = self._jobs.get(row.definition)
        if job is None:
            body = self.disk.tables.definitions[row.definition].body
            job = self._jobs[row.definition] = decode_job(body)
        schedule = self._schedules.get(row.fingerprint)
        if schedule is None:
            schedule = self._schedules[row.fingerprint] = msgspec.convert(row.spec, Schedule)
        if not job.params:
            return [((row.job_id, "{}", at), at) for at in fire_times(schedule, from_us, upto_us)]
        return [
            ((row.job_id, args_text(schedule_args(job, fire)), fire.at_us), fire.at_us)
            for fire in fires(schedule, from_us, upto_us)
        ]

    def _skipped(self, row: ScheduleRow, at_us: int) -> bool:
        skips = self.skips.get((row.job_id, row.fingerprint), ())
        return any(skip.from_us <= at_us <= skip.to_us for skip in skips)

    # --- processes ------------------------------------------------------------------------------

    def began(self, process: Process) -> None:
        """A process begins: the ledger must have said so, and nothing may run beside too many."""
        key = process.key
        seen = self.seen.get(key.run_id)
        what = f"process of {key}"
        _that(seen is not None and seen.attempts >= key.attempt, f"{what}: not asked for")
        assert seen is not None
        current = seen.attempts == key.attempt
        _that(current and seen.state is State.STARTING, f"{what} begins while it is {seen.state}")
        run = self._run(key.run_id)
        if seen.overridden:
            return
        latest_us = max(self._latest_us, self.world.now_us)
        _that(run.schedule_us <= latest_us, f"{what} begins before its time")
        for cond in run.conds:
            if isinstance(cond, BoundMaxRunning):
                alive = [
                    other.key.run_id
                    for other in self.evidence.began
                    if other.alive and other is not process and self._counts(other, cond)
                ]
                _that(len(alive) < cond.count, f"{what} beside {alive}")

    def _counts(self, other: Process, cond: BoundMaxRunning) -> bool:
        """Whether a living process counts: one that is stopping or lost does not."""
        run = self._run(other.key.run_id)
        if self.seen[run.run_id].overridden:
            return False
        instance = (run.job_id, args_text(run.args))
        return instance == (cond.job_id, args_text(cond.args)) and run.state in OCCUPYING

    # --- in the end -----------------------------------------------------------------------------

    def stuck(self, before_us: int, *, patient: bool) -> list[str]:
        """Return why the world is not at rest: runs of before `before_us` that ought to go on.

        `patient`: what is still moving, such as a long line for one place, is given its time.
        """
        tables = self.disk.tables
        runs = [*tables.active.values(), *tables.scheduled.values()]
        return [
            f"{run.run_id} of {run.job_id}: {run.state}: {run.message or ''}"
            for run in runs
            if run.schedule_us <= before_us
            and not self._may_stay(run)
            and not (patient and self._moves(run))
        ]

    def _moves(self, run: Run) -> bool:
        """Whether a run has just moved, or waits for a place that somebody has just taken."""
        if run.state is not State.WAITING:
            return self.world.true_us - self.seen[run.run_id].moved_us < JUST_US
        for cond in run.conds:
            if isinstance(cond, BoundMaxRunning):
                others = self._occupying.get((cond.job_id, args_text(cond.args)), set())
            elif isinstance(cond, BoundPool):
                active = self.disk.tables.active.values()
                pools = ((r.run_id, pool) for r in active for pool in pools_of(r.conds))
                others = {run_id for run_id, pool in pools if pool.name == cond.name}
            else:
                continue
            if any(self.world.true_us - self.seen[i].moved_us < JUST_US for i in others):
                return True
        return False

    def _may_stay(self, run: Run) -> bool:
        """Whether a run has a reason not to go on (I6): it is held, or waits for what is not so."""
        if run.held:
            return True
        if run.state is not State.WAITING:
            return False
        gates = [cond for cond in run.conds if not isinstance(cond, GUARDS)]
        return not all(judge(cond, self, self.world.now_us).met for cond in gates)

    def states_of(self, job_id: str, key: str, after: int = 0) -> dict[State, int]:
        """Count the runs of an instance by state: what conditions are judged by."""
        tables = self.disk.tables
        counts: dict[State, int] = {}
        numbers = (number for number in tables.by_job.get(job_id, ()) if number > after)
        for run in map(tables.runs.__getitem__, numbers):
            if args_text(run.args) == key:
                counts[run.state] = counts.get(run.state, 0) + 1
        return counts

    def finish(self) -> None:
        """Look at everything, now that the world is at rest."""
        tables = self.disk.tables
        _that(self._count == len(tables.events), "events that nobody looked at")
        _that(not tables.outbox, f"actions are owed still: {list(tables.outbox)}")
        _that(set(self.settled) == set(self.actions), "actions owed and settled differ")
        for run_id in self.seen:
            self._folded(run_id)
        numbers = {int(run_id[1:]) for run_id in self.seen}
        _that(numbers == set(tables.runs), "I2: runs and events differ")
        # Horizons also move without an event.
        self._horizons()
        self._equations()
        self._follow_ups()
        self._processes()

    def _equations(self) -> None:
        """Fires = runs + skips + withdrawn for every schedule that ever was in force (I5)."""
        for key, row in self.disk.tables.schedules.items():
            _that(self._rows[key] is row, f"I5: {row} is none that was looked at")
            upto_us = row.written_upto_us
            if row.valid_to_us is not None:
                upto_us = min(upto_us, row.valid_to_us)
            self._covered(row, [one for one in self._passed[key] if one[1] < upto_us])
        for spans in self._spans.values():
            by_time = sorted(spans, key=lambda span: span.from_us)
            for one, other in pairwise(by_time):
                _that(one.to_us < other.from_us, f"I5: skipped twice: {one}, {other}")

    def _follow_ups(self) -> None:
        """Each action made its run once (or is on record as failed)."""
        runs = self.disk.tables.runs.values()
        made: dict[tuple[str, str], int] = {}
        for run in runs:
            if run.cause is not None and run.cause.startswith("action:"):
                source = run.cause.removeprefix("action:")
                made[source, run.job_id] = made.get((source, run.job_id), 0) + 1
        owed: dict[tuple[str, str], int] = {}
        for action_id, message in self.settled.items():
            if not message.startswith("error"):
                key = (action_id.partition(".")[0], self.actions[action_id])
                owed[key] = owed.get(key, 0) + 1
        _that(made == owed, f"follow-up runs {made}, expected {owed}")

    def _processes(self) -> None:
        """Every process is over or belongs to a run that is under way."""
        for process in self.evidence.began:
            run = self.disk.tables.runs[int(process.key.run_id[1:])]
            if process.alive:
                _that(run.state in ACTIVE, f"{process.key}: alive, and its run is {run.state}")


def _illegal(event: RunMoved) -> str:
    move = f"from {event.before} to {event.after} at seq {event.seq}"
    return f"I3: {event.run_id} {move} ({event.message})"


def _words(status: int, *, timed_out: bool) -> str:
    """Return what the ledger says of an exit status."""
    if status == 0 and not timed_out:
        return "success"
    names = {9: "SIGKILL", 15: "SIGTERM"}
    return f"failure: killed by {names[-status]}" if status < 0 else f"failure: exit code {status}"


def _changing(event: object) -> list[str]:
    """Return the jobs that an event changes, none when it is about something else."""
    if not isinstance(event, JobsChanged):
        return []
    return [*event.added, *event.changed, *event.removed]


def _that(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Violation(otherwise)
