"""One simulated world from a seed: a whole server, its agents and people, faults, and a quiet end.

`simulate(seed)` runs it and returns what it was like; it raises `Failed` with the story when
anything happens that must not happen.
"""

from __future__ import annotations

import contextlib
import gc
import random
import traceback
from collections.abc import Mapping
from typing import Any

import msgspec
from invariants import Watch
from promises import Promises
from simulated_faults import Director, a_wire
from simulated_host import Evidence, SimulatedHost, Violation
from simulated_jobs import POOLS, Folder
from simulated_nodes import AgentNode, CoreNode, LedgerNode, RunnerNode
from simulated_people import Follower, People
from world import BEATS, GOOD, SECOND, START_US, Killed, World

from callsheet.actors import binder
from callsheet.actors.bind_one import bind_one
from callsheet.actors.ledger import Ledger
from callsheet.actors.responder import Responder
from callsheet.actors.scheduler import Scheduler
from callsheet.actors.waiter import Waiter
from callsheet.actors.window import Window
from callsheet.jobs.calendars import Calendar
from callsheet.jobs.condition_rules import ConditionRules
from callsheet.jobs.keeping import OUTPUT
from callsheet.jobs.misfire import Misfire
from callsheet.jobs.parse import definition_hash
from callsheet.jobs.run import NewRun
from callsheet.messages.backfills import StartBackfill
from callsheet.messages.binding import BindOne, FolderProblem, LoadedJob
from callsheet.messages.post import BINDER, FEED, LEDGER, RESPONDER, SCHEDULER, WAITER
from callsheet.messages.wishes import Done, Operate, RerunRun, ScheduleRun
from callsheet.store.memory import MemoryDisk, MemoryReader, MemoryWriter

RULES = ConditionRules(pools=POOLS)
# So long it may take to come to rest; what is still moving after the first is let go on.
PATIENCE_US, QUIET_MOST_US = 300 * SECOND, 600 * SECOND
# Moments about which the clocks of some zone are changed, UTC.
MOMENTS_US = tuple(
    at_s * SECOND for at_s in (1_806_195_600, 1_803_884_400, 1_806_764_400, 1_825_030_800)
)


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """How large a world is: jobs, agents, seconds of trouble, faults and wishes within them."""

    jobs: int
    agents: int
    trouble_s: int
    faults: int
    wishes: int


class Outcome(msgspec.Struct, kw_only=True):
    """What a world was like."""

    seed: int
    history: str
    steps: int
    runs: int
    processes: int
    events: int
    kills: int
    faults: dict[str, int]
    moves: dict[str, int]


class Failed(AssertionError):
    """Something happened that must not happen; `story` is what came before."""

    def __init__(self, seed: int, what: str, story: list[str]) -> None:
        self.seed, self.what, self.story = seed, what, story
        super().__init__(
            f"seed {seed}: {what}\nagain: python tests/simulation/run.py --seed {seed} --story"
        )


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a world is built of; the tests of the tests put broken parts in."""

    ledger: Any = Ledger
    writer: Any = MemoryWriter
    runner: Any = RunnerNode
    host: Any = SimulatedHost
    # The kinds of faults there are, and at least eight of them; none: by chance.
    kinds: tuple[str, ...] = ()


class Simulation:
    """See the module."""

    def __init__(
        self, seed: int, parts: Parts, *, story: bool = False, history: bool = False
    ) -> None:
        self.kinds = parts.kinds
        rnd = self.rnd = random.Random(f"{seed} world")
        self.size = a_size(rnd)
        slack_us = rnd.choice((1_000, 300_000))
        world = self.world = World(seed, GOOD, slack_us=slack_us, keep_history=history)
        world.story = [] if story else None
        world.offset_us = START_US if rnd.random() < 0.7 else rnd.choice(MOMENTS_US) - 30 * SECOND
        self.disk = MemoryDisk(since_us=world.now_us)
        self.reader = MemoryReader(self.disk)
        self.evidence = Evidence()
        two_groups = self.size.agents > 1 and rnd.random() < 0.4
        groups = ("default", "other") if two_groups else ("default",)
        self.folder = Folder(seed, world.now_us, self.size.jobs, groups)
        self.ledger = LedgerNode(world, self.disk, parts.ledger, parts.writer)
        self.people = People(world, self.reader, self.folder)
        self.promises = Promises(self.disk, self.people.asked)
        self.watch = Watch(world, self.disk, self.evidence, self.promises)
        self.evidence.on_begin = self.watch.began
        self.follower = Follower(world, self.reader)
        self.agents = [
            AgentNode(world, self._host(parts, number), groups[number % len(groups)])
            for number in range(self.size.agents)
        ]
        self.runner = parts.runner(world, self.agents)
        self.director = Director(world, self.ledger, self.runner, self.agents, self.people)
        self._build(world)
        world.after_step = self.watch.look

    def run(self) -> Outcome:
        """Let it happen."""
        size, world = self.size, self.world
        world.run_for(3 * SECOND)
        world.wire = a_wire(self.rnd)
        span_us, faults = size.trouble_s * SECOND, size.faults
        if self.kinds:
            self.director.plan(span_us, max(8, faults), size.wishes, self.kinds)
        else:
            self.director.plan(span_us, faults, size.wishes)
        world.run_for(size.trouble_s * SECOND)
        self.director.heal(GOOD)
        self._come_to_rest()
        self.watch.finish()
        self._compare()
        return Outcome(
            seed=world.seed,
            history=world.history(),
            steps=world.steps,
            runs=len(self.disk.tables.runs),
            processes=len(self.evidence.began),
            events=len(self.disk.tables.events),
            kills=sum(world.kills.values()),
            faults=self.director.counts,
            moves={f"{a} {b}": count for (a, b), count in self.watch.moves.items()},
        )

    # --- building -------------------------------------------------------------------------------

    def _host(self, parts: Parts, number: int) -> SimulatedHost:
        take_whole = self.rnd.random() < 0.5
        name = f"host{number}"
        host: SimulatedHost = parts.host(self.world, name, self.evidence, take_whole=take_whole)
        host.skew_us = self.rnd.choice((0, 0, self.rnd.randrange(-5, 6) * SECOND))
        return host

    def _build(self, world: World) -> None:
        rnd = self.rnd
        max_time_us = rnd.choice((None, None, 40 * SECOND))
        window = Window(
            span_us=rnd.choice((30, 120, 3_600)) * SECOND,
            lead_us=rnd.choice((5, 60)) * SECOND,
            ahead=rnd.choice((2, 4, 12)),
            misfire=Misfire(
                after_us=rnd.choice((3, 60)) * SECOND,
                catch_up=rnd.choice(("all", "all", "last", "none")),
                max_age_us=rnd.choice((60, 300)) * SECOND,
            ),
        )
        world.add(self.ledger)
        world.add(self.people)
        world.add(self.follower, follows=(FEED,))
        self.watch.misfire = window.misfire

        def waiter(life: int, now_us: int) -> Waiter:
            incarnation = f"waiter {life}"
            return Waiter(
                self.reader, max_time_us=max_time_us, pools=POOLS, incarnation=incarnation
            )

        def scheduler(life: int, now_us: int) -> Scheduler:
            return Scheduler(
                self.reader,
                "jobs",
                window=window,
                rules=RULES,
                incarnation=f"scheduler {life}",
                began_us=now_us,
            )

        self._core(WAITER, waiter, FEED)
        self._core(BINDER, self._binder)
        self.scheduler = self._core(SCHEDULER, scheduler, BEATS)
        self._core(
            RESPONDER, lambda life, now_us: Responder(incarnation=f"responder {life}"), BEATS
        )
        world.add(self.runner, follows=(BEATS,))
        for agent in self.agents:
            world.add(agent)

    def _core(self, address: str, make: Any, *feeds: str) -> CoreNode:
        node = CoreNode(self.world, address, make)
        self.world.add(node, follows=feeds)
        return node

    def _binder(self, life: int, now_us: int) -> binder.Binder:
        return binder.Binder(
            self._load, self._bind, contextlib.nullcontext, incarnation=f"binder {life}"
        )

    def _load(self, path: str, now_us: int) -> binder.Folder:
        if self.folder.problem:
            problem = FolderProblem(path="job.yaml", line=1, column=1, sentence="is wrong")
            return binder.Folder(jobs=[], problems=[problem])
        jobs = self.folder.jobs.values()
        loaded = [LoadedJob(job_id=job.job_id, hash=definition_hash(job), job=job) for job in jobs]
        return binder.Folder(jobs=loaded, problems=[])

    def _bind(self, item: BindOne, calendars: Mapping[str, Calendar]) -> NewRun:
        if self.director.binder_bombs and not self.director.over:
            self.director.binder_bombs -= 1
            raise Killed
        return bind_one(item, calendars, rules=RULES)

    # --- the end --------------------------------------------------------------------------------

    def _come_to_rest(self) -> None:
        """Let time pass until all that was begun in the time of trouble is over."""
        world = self.world
        before_us = world.now_us
        end_us = world.true_us + QUIET_MOST_US
        patient_us = world.true_us + PATIENCE_US
        while open_ends := self._open_ends(before_us, patient=world.true_us > patient_us):
            if world.true_us >= end_us:
                raise Violation(f"not at rest {QUIET_MOST_US // SECOND} s later: {open_ends[:5]}")
            world.run_for(SECOND)

    def _open_ends(self, before_us: int, *, patient: bool) -> list[str]:
        world = self.world
        addresses = (LEDGER, WAITER, BINDER, SCHEDULER, RESPONDER, self.runner.address)
        down = [address for address in addresses if not world.up(address)]
        down += [agent.address for agent in self.agents if not world.up(agent.address)]
        if down:
            return [f"{address} is down" for address in down]
        found = self.watch.stuck(before_us, patient=patient)
        if found:
            return found
        found = [f"{command_id} is not answered" for command_id in self.people.open]
        found += [f"action {action_id} is owed" for action_id in self.disk.tables.outbox]
        found += self.promises.open_ends()
        scheduler = self.scheduler.core
        # A clock set to a whole second has something due at each instant that is looked at here.
        lately_us = world.now_us - SECOND // 2
        if not scheduler.ready or not (scheduler.idle(lately_us) or self.folder.problem):
            found.append("the scheduler is not ready")
        if self.follower.feed.seq != len(self.disk.tables.events):
            found.append("the follower is behind")
        return found + self._left_behind(before_us)

    def _left_behind(self, before_us: int) -> list[str]:
        """Claims and attempts of runs that are over."""
        found = []
        tables = self.disk.tables
        for agent in self.agents:
            for key in agent.host.spool:
                run = tables.runs[int(key.run_id[1:])]
                if run.finished and run.schedule_us <= before_us:
                    found.append(f"claim {key} on {agent.address} of a run that is {run.state}")
        return found

    def _compare(self) -> None:
        """What others believe is what the ledger says."""
        runs = {run.run_id: run for run in self.disk.tables.runs.values()}
        if self.follower.runs != runs:
            theirs = self.follower.runs
            differ = [i for i in runs | theirs if runs.get(i) != theirs.get(i)]
            raise Violation(f"a follower's replica differs from the ledger in {differ[:5]}")
        self._compare_wishes()
        self._compare_outputs()
        self._compare_signals()

    def _compare_wishes(self) -> None:
        """Each wish was carried out as often as it was asked for: once."""
        for command_id, wish in self.people.asked.items():
            count = self.promises.created[wish.principal]
            answer, wanted = self.people.answers[command_id], 0
            if isinstance(answer, Done):
                match wish.instruction:
                    case ScheduleRun():
                        wanted = wish.instruction.count
                    case RerunRun():
                        wanted = 1
                    case StartBackfill():
                        wanted = answer.result["count"]
            if count != wanted and not isinstance(wish.instruction, Operate):
                raise Violation(f"wish {command_id}: {count} runs, {answer!r}")
        self.promises.finish(self.people)

    def _compare_outputs(self) -> None:
        """What a process wrote is kept, to the byte, and is in the index, once its end is on
        record."""
        for process in self.evidence.began:
            run = self.disk.tables.runs[int(process.key.run_id[1:])]
            if process.alive or not run.finished:
                continue
            whole = process.output()[: process.written(self.world.true_us)]
            kept = self.runner.outputs.kept.get(tuple(process.key), b"")
            if process.forgotten and whole.startswith(kept):
                continue
            if kept != whole:
                what = f"{len(kept)} bytes are kept, {len(whole)} were written"
                raise Violation(f"output of {process.key}: {what}")
            index = self.disk.tables.outputs.get(int(process.key.run_id[1:]), {})
            known = index.get((process.key.attempt, OUTPUT))
            if whole and (known is None or known.length != len(whole)):
                raise Violation(f"output of {process.key}: in the index it is {known!r}")

    def _compare_signals(self) -> None:
        for process in self.evidence.began:
            wished = self.people.wishes.signals.get(process.key.run_id, 0)
            got = process.signals[10]
            if got > wished:
                raise Violation(f"{process.key}: got a signal {got} times, {wished} were wished")


def a_size(rnd: random.Random) -> Size:
    """Return a size: mostly small, for many bugs show in small worlds."""
    dice = rnd.random()
    if dice < 0.9:
        return Size(
            jobs=rnd.randrange(1, 5),
            agents=rnd.choice((1, 1, 2)),
            trouble_s=25,
            faults=rnd.randrange(8),
            wishes=rnd.randrange(2, 12),
        )
    if dice < 0.985:
        return Size(
            jobs=rnd.randrange(4, 9),
            agents=rnd.choice((1, 2, 3)),
            trouble_s=60,
            faults=rnd.randrange(5, 30),
            wishes=rnd.randrange(10, 40),
        )
    return Size(jobs=12, agents=3, trouble_s=100, faults=rnd.randrange(40, 90), wishes=100)


def simulate(
    seed: int, parts: Parts | None = None, *, story: bool = False, history: bool = False
) -> Outcome:
    """Run the world of a seed; `history`: its outcome has the hash of all that was said in it.

    Raises:
        Failed: something happened that must not happen.
    """
    gc.disable()
    simulation = None
    try:
        simulation = Simulation(seed, parts or Parts(), story=story, history=history)
        return simulation.run()
    except Exception as error:
        what = str(error) if isinstance(error, Violation) else traceback.format_exc()
        lines = (simulation.world.story or []) if simulation is not None else []
        raise Failed(seed, what, lines) from None
    finally:
        gc.enable()
