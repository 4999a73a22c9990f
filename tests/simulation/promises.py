"""What has been promised to people about their wishes: judged by the events, and by what was asked.

`Watch` shows every event here as it becomes durable. Nothing of callsheet decides here: which run a
pause covers, whose turn it is in a backfill, what a rerun repeats are worked out once more.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from simulated_host import Violation
from simulated_people import People, name_of

from callsheet.jobs.binding import schedule_args
from callsheet.jobs.run import Run
from callsheet.jobs.schedules import fires
from callsheet.jobs.states import FINISHED, State
from callsheet.jobs.times import parse_time
from callsheet.messages.backfills import Backfill, StartBackfill
from callsheet.messages.operations import Operation, Target, operation_id
from callsheet.messages.transitions import (
    AnyEvent,
    BackfillNoted,
    PauseNoted,
    RunMoved,
    RunNoted,
    RunWithdrawn,
)
from callsheet.messages.wishes import Done, Operate, RerunRun
from callsheet.store.memory import MemoryDisk
from callsheet.store.rows import args_text, decode_job

Planned = tuple[str, str, int]
PUT_OFF = re.compile(r"rescheduled from (\S+) to (\S+?)(?::\s|$)")
UNTIL = re.compile(r" paused until (\S+)")
# What is put on record of a deed, by what it is called; a deed that finds its run as it should be
# may leave none of those in `SILENT`.
TRACES = {
    "start": ("scheduled run started by override", "waiting run started by override"),
    "skip": ("skipped",),
    "hold": ("held",),
    "release": ("released",),
    "stop": ("stopping", "stop asked", "kill asked", "killing"),
    "signal": ("sending ",),
    "mark": ("marked as ",),
    "reschedule": ("rescheduled from ",),
    "rerun": ("rerun as ",),
}
SILENT = {"hold", "stop"}
VERBS = {
    "StartNow": "start", "SkipRun": "skip", "HoldRun": "hold", "ReleaseRun": "release",
    "StopRun": "stop", "SignalRun": "signal", "MarkRun": "mark", "RescheduleRun": "reschedule",
    "RerunRun": "rerun",
}  # fmt: skip


class Group:
    """A backfill by its events: what has not begun, in the order of its times, what has and is not
    over, and how many were made and withdrawn."""

    def __init__(self) -> None:
        self.pending: dict[str, int] = {}
        self.under_way: set[str] = set()
        self.made: dict[tuple[str, int], str] = {}
        self.definition = ""
        self.withdrawn = 0


class Promises:
    """See the module. `asked`: the people's wishes by command id."""

    def __init__(self, disk: MemoryDisk, asked: dict[str, Any]) -> None:
        self.disk, self._asked = disk, asked
        # Of what schedules planned: the run that was made of it; what was put to another time.
        self._made: dict[Planned, str] = {}
        self._plans: dict[str, Planned] = {}
        self.put_off: set[Planned] = set()
        self._put_to: dict[str, int] = {}
        self._ever: set[Planned] = set()
        # Each run as it was when it was made, also of those that were withdrawn.
        self._runs: dict[str, Run] = {}
        self._pauses: dict[tuple[str, str], tuple[int, int | None]] = {}
        self._released_seq: dict[str, int] = {}
        self._overridden: set[str] = set()
        self._groups: dict[int, Group] = {}
        self._group_of: dict[str, int] = {}
        self._traces: Counter[tuple[str, str, str]] = Counter()
        self.created: Counter[str] = Counter()
        self._chains: Counter[str] = Counter()

    # --- as events come -------------------------------------------------------------------------

    def see(self, event: AnyEvent, run: Run | None) -> None:
        """Take an event in; `run` is the record of its run as the batch has left it."""
        match event:
            case RunMoved():
                assert run is not None
                self._trace(event.cause, event.run_id, event.message)
                if event.before is None:
                    self._create(event, run)
                else:
                    self._moved(event, run)
            case RunNoted():
                self._trace(event.cause, event.run_id, event.message)
                self._noted(event)
            case RunWithdrawn():
                self._withdrawn(event)
            case PauseNoted():
                self._pause(event)
            case BackfillNoted():
                self._backfill(event)

    def folded(self, run: Run) -> None:
        """A batch has touched a run: its time is what was last asked for."""
        put_to_us = self._put_to.get(run.run_id)
        if put_to_us is not None and run.schedule_us != put_to_us:
            raise Violation(f"{run.run_id} was put to {put_to_us}, and is at {run.schedule_us}")

    def _trace(self, who: str, run_id: str, message: str) -> None:
        if not who.startswith("ann "):
            return
        for verb, beginnings in TRACES.items():
            if message.startswith(beginnings):
                self._traces[who, verb, run_id] += 1

    def _create(self, event: RunMoved, run: Run) -> None:
        self.created[event.cause] += 1
        self._runs[run.run_id] = run
        first = run.moved_from
        at_us = run.schedule_us if first is None else first.schedule_us
        planned = (run.job_id, args_text(run.args), at_us)
        self._ever.add(planned)
        if (run.fingerprint if first is None else first.fingerprint) is not None:
            if planned in self._made:
                raise Violation(f"I4: {event.run_id} and {self._made[planned]} are for {planned}")
            self._made[planned] = event.run_id
            self._plans[event.run_id] = planned
        if run.backfill is not None:
            group = self._groups.setdefault(run.backfill, Group())
            twin = group.made.setdefault((planned[1], at_us), event.run_id)
            if twin != event.run_id:
                raise Violation(f"backfill b{run.backfill} made {twin} and {event.run_id} for one")
            group.definition = run.definition or ""
            self._group_of[event.run_id] = run.backfill
            if event.after is State.SCHEDULED:
                group.pending[event.run_id] = at_us
        if run.rerun_of is not None:
            self._rerun(event, run)

    def _rerun(self, event: RunMoved, run: Run) -> None:
        """A rerun is of the same job, with the args of its source but for what was to change."""
        what = f"{run.run_id}, rerun of {run.rerun_of}"
        source = self._runs.get(run.rerun_of or "")
        if source is None:
            raise Violation(f"{what}: there was no such run")
        wish = self._wish(event.cause)
        definitions: set[str | None] = set()
        if isinstance(wish, RerunRun):
            changes = wish.changes
            definitions |= {wish.definition} - {None}
        elif isinstance(wish, Operate):
            changes = wish.deed.args
            now = self.disk.tables.runs.get(source.number, source)
            # As it was when it was made, or as its job has been described anew since.
            definitions |= {source.definition, now.definition} if wish.deed.stored else set()
        else:
            raise Violation(f"{what}: {event.cause} asked for {wish!r}")
        wanted = (source.job_id, source.args | changes)
        if (run.job_id, run.args) != wanted:
            raise Violation(f"{what} is of {(run.job_id, run.args)}, expected {wanted}")
        if definitions and run.definition not in definitions:
            raise Violation(f"{what} is by {run.definition}, not by {definitions}")
        root = source.rerun_root or source.run_id
        if int(root[1:]) not in self.disk.tables.runs:
            # Withdrawn between the wish and the rerun.
            return
        self._chains[root] += 1
        place = (run.rerun_root, run.rerun_number)
        if place != (root, self._chains[root]):
            raise Violation(f"{what} is {place}, expected {(root, self._chains[root])}")

    def _wish(self, who: str) -> Any:
        wish = self._asked.get(who.removeprefix("ann "))
        return None if wish is None else wish.instruction

    def _moved(self, event: RunMoved, run: Run) -> None:
        run_id = event.run_id
        if event.message.startswith("rescheduled from "):
            self._put(event)
        elif event.before is State.SCHEDULED:
            self._due(event, run)
        number = self._group_of.get(run_id)
        if number is not None:
            group = self._groups[number]
            if group.pending.pop(run_id, None) is not None:
                group.under_way.add(run_id)
            if event.after in FINISHED:
                group.under_way.discard(run_id)

    def _due(self, event: RunMoved, run: Run) -> None:
        """A run that a schedule made is due: it is skipped if that time is paused, else goes on."""
        run_id = event.run_id
        paused = event.message.startswith("skipped: ") and " is paused by " in event.message
        if run_id not in self._plans or self._plans[run_id] in self.put_off:
            if paused:
                raise Violation(f"{run_id} was skipped by a pause, and is no schedule's")
            return
        released = self._released_seq.get(run_id, -1) == event.seq - 1
        if (event.cause or released or run_id in self._overridden) and not paused:
            return
        at_us = self._plans[run_id][2]
        covers = [key for key in self._pauses if self._covers(key, run, at_us)]
        if paused != bool(covers):
            said = f"{event.before} to {event.after} at seq {event.seq}: {event.message}"
            raise Violation(f"{run_id} is paused by {covers}: it went from {said}")

    def _covers(self, key: tuple[str, str], run: Run, at_us: int) -> bool:
        since_us, until_us = self._pauses[key]
        if not since_us <= at_us < (at_us + 1 if until_us is None else until_us):
            return False
        kind, name = key
        if kind == "folder":
            return run.job_id.startswith(f"{name}/")
        return kind == "all" or (kind == "job" and run.job_id == name) or (
            kind == "label" and name in run.labels
        )  # fmt: skip

    def _noted(self, event: RunNoted) -> None:
        run_id, line = event.run_id, event.message
        if line.startswith("rescheduled from "):
            self._put(event)
        elif line == "released":
            self._released_seq[run_id] = event.seq
        elif line.endswith("started by override"):
            self._overridden.add(run_id)
        number = self._group_of.get(run_id)
        if number is None:
            return
        group = self._groups[number]
        if line == f"its turn in backfill b{number}":
            self._turn(number, group, run_id)
        elif run_id in group.pending and (line == "released" or run_id in self._overridden):
            del group.pending[run_id]
            group.under_way.add(run_id)

    def _put(self, event: RunMoved | RunNoted) -> None:
        """A run is put to another time: the one that was asked for, from the one it had."""
        found = PUT_OFF.match(event.message)
        if found is None:
            raise Violation(f"{event.run_id}: {event.message}")
        wish, to_us = self._wish(event.cause), parse_time(found[2])
        wanted = wish.deed if isinstance(wish, Operate) else wish
        wanted_us = event.at_us if wanted.schedule_us is None else wanted.schedule_us
        if to_us != wanted_us:
            raise Violation(f"{event.run_id} is put to {to_us}, not to {wanted_us}")
        plan = self._plans.get(event.run_id)
        if plan is not None:
            self.put_off.add(plan)
        self._put_to[event.run_id] = to_us

    def _withdrawn(self, event: RunWithdrawn) -> None:
        run_id = event.run_id
        plan = self._plans.pop(run_id, None)
        if plan is not None:
            if plan in self.put_off:
                raise Violation(f"{run_id} was put to another time, and is withdrawn")
            del self._made[plan]
        number = self._group_of.pop(run_id, None)
        if number is not None:
            if event.reason.partition(":")[0] != f"backfill b{number} was stopped":
                raise Violation(f"{run_id} of backfill b{number} is withdrawn: {event.reason}")
            group = self._groups[number]
            if group.pending.pop(run_id, None) is None:
                raise Violation(f"{run_id} of backfill b{number} had begun, and is withdrawn")
            group.withdrawn += 1

    def _pause(self, event: PauseNoted) -> None:
        key = (event.pause_kind, event.name)
        if " resumed" in event.message:
            if self._pauses.pop(key, None) is None:
                raise Violation(f"{key} was not paused: {event.message}")
            return
        found = UNTIL.search(event.message)
        since_us, until_us = self._pauses.get(key, (event.at_us, None))
        if until_us is not None and until_us <= event.at_us:
            since_us = event.at_us
        self._pauses[key] = since_us, None if found is None else parse_time(found[1].rstrip(":"))

    # --- backfills ------------------------------------------------------------------------------

    def _turn(self, number: int, group: Group, run_id: str) -> None:
        """A run's turn: it is the next one, and there is room for it."""
        backfill = self.disk.tables.backfills[number]
        at_us = group.pending.get(run_id)
        what = f"{run_id} of backfill b{number} begins"
        if at_us is None:
            raise Violation(f"{what}, and was not waiting for that")
        times_us = group.pending.values()
        first_us = max(times_us) if backfill.newest_first else min(times_us)
        if at_us != first_us:
            raise Violation(f"{what} for {at_us}, and {first_us} comes first")
        if len(group.under_way) >= backfill.parallel:
            raise Violation(f"{what} beside {sorted(group.under_way)} of {backfill.parallel}")
        del group.pending[run_id]
        group.under_way.add(run_id)

    def _backfill(self, event: BackfillNoted) -> None:
        """A backfill is made, stopped or over."""
        backfill = self.disk.tables.backfills[event.number]
        group = self._groups.setdefault(event.number, Group())
        said = event.message.partition(": ")[2]
        if said == "done" and self._is_open(group):
            raise Violation(f"backfill b{event.number} is done: {vars(group)}")
        if " runs of " in said:
            self._made_up_for(backfill, group)

    def _made_up_for(self, backfill: Backfill, group: Group) -> None:
        """Its runs are the times that its job names in that span, each one that has no run."""
        asked = self._wish(backfill.by)
        if not isinstance(asked, StartBackfill):
            raise Violation(f"backfill b{backfill.number}: {backfill.by} asked for {asked!r}")
        job = decode_job(self.disk.tables.definitions[group.definition].body)
        named: set[tuple[str, int]] = set()
        for schedule in job.schedules:
            for fire in fires(schedule, asked.from_us, asked.to_us) if schedule.enabled else ():
                args = schedule_args(job, fire)
                if asked.args.items() <= args.items():
                    named.add((args_text(args), fire.at_us))
        made = set(group.made)
        if not made <= named:
            raise Violation(f"backfill b{backfill.number} made up {sorted(made - named)}")
        lacking = {one for one in named - made if (job.job_id, *one) not in self._ever}
        if lacking or (asked.again and made != named):
            raise Violation(f"backfill b{backfill.number} lacks {sorted(lacking or named - made)}")

    # --- in the end -----------------------------------------------------------------------------

    def open_ends(self) -> list[str]:
        """Return what is not over, though nobody but the server is to act on it."""
        tables = self.disk.tables
        found = [
            f"operation {one.operation_id} of {one.by}: {one.parts_done} of {one.parts} parts"
            for one in tables.operations.operations.values()
            if one.ended_us is None
        ]
        for number, backfill in tables.backfills.items():
            group = self._groups[number]
            room = len(group.under_way) < backfill.parallel or backfill.stopped_us is not None
            if backfill.ended_us is None and ((group.pending and room) or not self._is_open(group)):
                found.append(f"backfill b{number}: {len(group.pending)} have not begun")
        return found

    def _is_open(self, group: Group) -> bool:
        return bool(group.pending or group.under_way)

    def finish(self, people: People) -> None:
        """Look at every wish and its answer, now that the world is at rest."""
        tables = self.disk.tables
        if set(tables.pauses) != set(self._pauses):
            raise Violation(f"pauses {set(tables.pauses)}, by the events {set(self._pauses)}")
        for number, backfill in tables.backfills.items():
            group = self._groups[number]
            counts = (backfill.total, backfill.withdrawn)
            if counts != (len(group.made), group.withdrawn):
                raise Violation(f"backfill b{number}: {counts}: {vars(group)}")
            if (backfill.ended_us is None) != self._is_open(group):
                raise Violation(f"backfill b{number}: ended {backfill.ended_us}: {vars(group)}")
        for command_id, wish in self._asked.items():
            who, instruction = name_of(command_id), wish.instruction
            answer = people.answers[command_id]
            done = isinstance(answer, Done)
            if isinstance(instruction, Operate):
                operation = tables.operations.operations.get(operation_id(command_id))
                if (operation is not None) != done:
                    raise Violation(f"wish {command_id}: {answer}, {operation}")
                if operation is not None:
                    self._operated(who, instruction, operation)
            elif (verb := VERBS.get(type(instruction).__name__)) is not None:
                self._once(who, verb, instruction.run_id, done=done)

    def _operated(self, who: str, wish: Operate, operation: Operation) -> None:
        """Each of its runs has been done to once, or left alone, as is told."""
        parts = self.disk.tables.operations.parts[operation.operation_id]
        targets = [target for number in sorted(parts) for target in parts[number].targets]
        if [target.run_id for target in targets] != [target.run_id for target in wish.targets]:
            raise Violation(f"operation of {who}: {targets}, wished for {wish.targets}")
        outcomes = Counter(target.outcome or "stopped" for target in targets)
        counts = Counter(operation.counts)
        if counts != outcomes or ("stopped" in outcomes and not operation.stopped_by):
            raise Violation(f"operation of {who}: {counts} are told, {outcomes} are on record")
        verb = "stop" if wish.deed.verb == "kill" else wish.deed.verb
        for target in targets:
            self._once(who, verb, target.run_id, done=target.outcome == "done")
            if verb == "rerun":
                self._new_run(who, target)
        if verb == "rerun" and self.created[who] != outcomes["done"]:
            raise Violation(f"operation of {who}: {self.created[who]} runs for {outcomes}")

    def _new_run(self, who: str, target: Target) -> None:
        if target.outcome == "done":
            run = self.disk.tables.runs.get(int(target.new_run[1:]))
            if run is None or run.rerun_of != target.run_id:
                raise Violation(f"operation of {who}: {target} is told, {run} is there")

    def _once(self, who: str, verb: str, run_id: str, *, done: bool) -> None:
        count = self._traces[who, verb, run_id]
        silent = verb in SILENT or int(run_id[1:]) not in self.disk.tables.runs
        least, most = (not silent, 1) if done else (0, 0)
        if not least <= count <= most:
            raise Violation(f"{who} wished to {verb} {run_id}: {done=}, and it left {count} traces")
