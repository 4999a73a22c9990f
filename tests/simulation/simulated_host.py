"""A made-up host for the agent's core: spool, keepers and processes, on the world's time.

Implements `agentd.host.Host`. The spool outlives everything, keepers and processes outlive agentd,
and each of them can die alone; a reboot ends them all. What processes really did is noted by the
processes themselves in `Evidence`, which nothing under test reads or writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from world import SECOND, World

from callsheet.agentd.host import (
    Ended,
    Exit,
    Extent,
    Fact,
    Found,
    Gone,
    Key,
    Now,
    Refused,
    Results,
    Spec,
    Started,
)
from callsheet.jobs.errors import CallsheetError

TERM, KILL = 15, 9
LOST = "lost: its keeper died, so how it ended is not known"
REBOOTED = "lost: the host was rebooted"


class Violation(CallsheetError):
    """Something happened that must not happen."""


class Process:
    """A process as it is. `status` None while it lives, and for one whose end nobody could see;
    `forgotten`: the disk has nothing of it, its output included."""

    def __init__(self, key: Key, spec: Spec, host: str, began_us: int) -> None:
        _, lasts_ms, code, on_stop, size, sudden = spec.argv
        self.key = key
        self.job_id = spec.job_id
        self.host = host
        self.began_us = began_us
        self.ended_us: int | None = None
        self.lasts_us = int(lasts_ms) * 1_000
        self.code = int(code)
        self.on_stop = on_stop
        self.size = int(size)
        self.sudden = sudden == "sudden"
        self.status: int | None = None
        self.unseen = ""
        self.forgotten = False
        self.signals: Counter[int] = Counter()

    @property
    def alive(self) -> bool:
        return self.ended_us is None

    def written(self, now_us: int) -> int:
        """How much it has written by now: steadily, or all at its end."""
        end_us = self.ended_us if self.ended_us is not None else now_us
        if self.sudden:
            return 0 if self.alive else self.size
        return min(self.size, self.size * (end_us - self.began_us) // max(self.lasts_us, 1))

    def output(self) -> bytes:
        """All it would ever write."""
        line = f"{self.key} says hello\n".encode()
        return (line * (self.size // len(line) + 1))[: self.size]


class Evidence:
    """What processes did, by their own account."""

    def __init__(self) -> None:
        self.processes: dict[Key, Process] = {}
        self.failed: set[Key] = set()
        self.began: list[Process] = []
        self.on_begin: Callable[[Process], None] = lambda _: None

    def begin(self, process: Process) -> None:
        if process.key in self.processes:
            raise Violation(f"attempt {process.key}: a second process was started for it")
        self.on_begin(process)
        self.processes[process.key] = process
        self.began.append(process)


class Claim:
    """One claim of the spool."""

    def __init__(self, spec: Spec, boot: int) -> None:
        self.spec = spec
        self.boot = boot
        self.started: tuple[int, str, int, int] | None = None
        self.exit: Exit | None = None
        self.acts: list[str] = []


class Keeper:
    """A parent of processes. `asked`: what agentd, as far as it lives, has asked of it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.alive = True
        self.live: dict[Key, Process] = {}
        self.waiting: list[Key] = []
        self.asked: dict[Key, None] = {}
        self.dies_starting = False


class SimulatedHost:
    """See the module. `take_whole`: the server may take files of the spool itself."""

    def __init__(self, world: World, name: str, evidence: Evidence, *, take_whole: bool) -> None:
        self.world = world
        self.name = name
        self.evidence = evidence
        self.take_whole = take_whole
        self.refuses = 0.0
        self.skew_us = 0
        # Durable.
        self.spool: dict[Key, Claim] = {}
        self.journal: dict[Key, Exit] = {}
        self.epoch = 0
        # Until the next reboot.
        self.boot = 0
        self.boot_us = world.true_us
        self.keepers: list[Keeper] = []
        self._made = 0
        # Of the agentd that lives.
        self.life = 0
        self._facts: list[Fact] = []
        self._ends: list[Key] = []
        self._unsent: list[tuple[str, Key, int]] = []
        self._doomed: list[Key] = []

    @property
    def address(self) -> str:
        return f"agent/{self.name}"

    @property
    def boot_id(self) -> str:
        """What agentd says of the boot of its host."""
        return str(self.boot)

    def now(self) -> Now:
        return Now(self.world.now_us + self.skew_us, self.world.true_us - self.boot_us)

    # --- what the world does to it --------------------------------------------------------------

    def attach(self) -> None:
        """A new agentd: it finds the keepers that live, which first do what the last one asked."""
        self.life += 1
        self._facts, self._ends, self._unsent, self._doomed = [], [], [], []
        for keeper in self.keepers:
            while keeper.alive and keeper.waiting:
                self._spawn(keeper, keeper.waiting[0])
        self.keepers = [keeper for keeper in self.keepers if keeper.alive]
        while len(self.keepers) < 2:
            self._new_keeper()
        for keeper in self.keepers:
            keeper.asked = dict.fromkeys(keeper.live)

    def kill_keeper(self, keeper: Keeper) -> None:
        """A keeper dies; its processes go on and nobody will know how they end."""
        if not keeper.alive:
            return
        self.world.tell(self.address, f"keeper {keeper.number} killed with {len(keeper.live)}")
        keeper.alive = False
        for process in keeper.live.values():
            process.unseen = "its keeper died"
        for key in keeper.waiting:
            self.world.tell(self.address, f"{key}: was with it, not started")
        keeper.waiting = []
        delay_us = self.world.random.randrange(2_000)
        self.world.after(delay_us, partial(self._keeper_gone, keeper, self.life))

    def reboot(self) -> None:
        """The host is started anew: whatever ran on it is gone. When its power was cut, so may be
        what was written last: all but exits that were made durable, and what they belong to."""
        cut = self.world.random.random() < 0.5
        self.world.tell(self.address, f"host rebooted{', its power was cut' if cut else ''}")
        for key in list(self.spool) if cut else ():
            self._forget_some(key)
        for process in self.evidence.processes.values():
            if process.host == self.name and process.alive:
                process.ended_us = self.world.true_us
                process.unseen = "the host was rebooted"
        for keeper in self.keepers:
            keeper.alive = False
            keeper.waiting = []
        self.keepers = []
        self.boot += 1
        self.boot_us = self.world.true_us
        self.life += 1
        self.world.kill(self.address, self.world.random.randrange(SECOND, 20 * SECOND))

    def _forget_some(self, key: Key) -> None:
        """Of a claim all, or what was written after some instant, is not on the disk."""
        if key in self.journal:
            return
        written = self.world.random.choice(["nothing", "claim", "started", "all"])
        claim, process = self.spool[key], self.evidence.processes.get(key)
        if process is not None and written != "all":
            process.unseen = "the power was cut"
            process.forgotten = written == "nothing"
        if written == "nothing":
            del self.spool[key]
        elif written != "all":
            claim.exit = None
            claim.acts = []
        if written == "claim":
            claim.started = None

    # --- Host -----------------------------------------------------------------------------------

    def claims(self) -> list[Found]:
        found = [self._ensure(key) for key in self.spool]
        self.journal.update({claim.key: claim.exit for claim in found if claim.exit})
        return found

    def start(self, key: Key, spec: Spec, now: Now) -> None:
        if key in self.spool:
            self._tell(self._ensure(key))
        elif self.world.random.random() < self.refuses:
            self._facts.append(Refused(key, "the spool cannot take the run", retry=True))
            self.world.nudge(self.address)
        else:
            self.spool[key] = Claim(spec, self.boot)
            self.start_again(key, spec)

    def start_again(self, key: Key, spec: Spec) -> None:
        self._unsent.append(("start", key, 0))

    def note(self, key: Key, line: str) -> None:
        self.spool[key].acts.append(line)

    def signal(self, key: Key, number: int, *, whole: bool) -> None:
        self._unsent.append(("signal", key, number))

    def forget(self, key: Key) -> None:
        self._doomed.append(key)

    def extents(self, key: Key, spec: Spec, *, final: bool = False) -> tuple[Extent, ...]:
        process = self.evidence.processes.get(key)
        if process is None or key not in self.spool:
            return ()
        return (Extent("output", process.written(self.world.true_us)),)

    def read_output(self, key: Key, name: str, offset: int, limit: int) -> bytes:
        if key not in self.spool:
            return b""
        size = sum(extent.size for extent in self.extents(key, self.spool[key].spec))
        upto = min(offset + limit, size)
        return self.evidence.processes[key].output()[offset:upto] if offset < upto else b""

    def output_path(self, key: Key, name: str) -> str | None:
        return f"{self.name}/runs/{key}/out" if self.take_whole else None

    def remember_away(self, away_us: int) -> None:
        pass

    def usages(self, pids: list[int]) -> dict[int, tuple[int, int]]:
        return {}

    def collect(self, key: Key, spec: Spec) -> bool:
        return False

    def results_of(self, key: Key, spec: Spec) -> Results:
        return Results({})

    def remember_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def compress(self, data: bytes) -> tuple[bytes, str | None]:
        return data, None

    # --- agentd's loop --------------------------------------------------------------------------

    def flush(self) -> None:
        """Send to the keepers what the core has asked for in this turn."""
        unsent, self._unsent = self._unsent, []
        for verb, key, number in unsent:
            if verb == "signal":
                self._signal(key, number)
                continue
            keeper = min(self.keepers, key=lambda one: (len(one.asked), one.number))
            keeper.asked[key] = None
            if keeper.alive:
                keeper.waiting.append(key)
                delay_us = self.world.random.randrange(100, 3_000)
                self.world.after(delay_us, partial(self._spawn, keeper, key))

    def facts(self) -> list[Fact]:
        """What has happened, exits after they are in the journal."""
        facts, self._facts = self._facts, []
        ends, self._ends = self._ends, []
        for key in ends:
            exit_ = self.spool[key].exit
            assert exit_ is not None, f"{key}: told as ended"
            self.journal[key] = exit_
            facts = [f for f in facts if f.key != key or not isinstance(f, Started)]
            facts.append(Ended(key, exit_))
        return facts

    def clean(self) -> None:
        """Remove what is forgotten, in an idle moment."""
        for key in self._doomed:
            self.spool.pop(key, None)
        self._doomed = []

    # --- keepers --------------------------------------------------------------------------------

    def _new_keeper(self) -> None:
        self._made += 1
        self.keepers.append(Keeper(self._made))

    def _spawn(self, keeper: Keeper, key: Key) -> None:
        """A keeper starts a process: on record first."""
        if not keeper.alive or key not in keeper.waiting:
            return
        keeper.waiting.remove(key)
        if key in keeper.live or key not in self.spool:
            return
        claim = self.spool[key]
        world, now = self.world, self.now()
        claim.started = (keeper.number, str(self.boot), now.wall_us, now.monotonic_us)
        if keeper.dies_starting:
            # Whether the process was started before it died is a matter of chance.
            keeper.dies_starting = False
            if world.random.random() < 0.5:
                self.kill_keeper(keeper)
                return
        if claim.spec.argv[0] == "absent":
            self.evidence.failed.add(key)
            claim.exit = Exit(at_us=now.wall_us, error="absent: No such file or directory")
            self._hear_end(keeper, key)
            return
        process = Process(key, claim.spec, self.name, world.true_us)
        self.evidence.begin(process)
        world.tell(self.address, f"{key}: process begins")
        keeper.live[key] = process
        if self._heard(keeper):
            number = len(self.evidence.processes)
            self._facts.append(Started(key, number, now.wall_us, now.monotonic_us))
            world.nudge(self.address)
        world.after(process.lasts_us, partial(self._end, process, process.code))

    def _end(self, process: Process, status: int) -> None:
        """A process ends; its keeper, if it lives, writes how."""
        if not process.alive:
            return
        process.ended_us, process.status = self.world.true_us, status
        key = process.key
        self.world.tell(self.address, f"{key}: process ends with {status}")
        for keeper in self.keepers:
            if keeper.alive and key in keeper.live:
                del keeper.live[key]
                elapsed_us = process.ended_us - process.began_us
                self.spool[key].exit = Exit(
                    self.now().wall_us, status, pid=1, elapsed_us=elapsed_us
                )
                self._hear_end(keeper, key)
                return
        if self.world.up(self.address) and key in self.spool:
            self._facts.append(Gone(key, self.now().wall_us, LOST))
            self.world.nudge(self.address)

    def _hear_end(self, keeper: Keeper, key: Key) -> None:
        if self._heard(keeper):
            keeper.asked.pop(key, None)
            self._ends.append(key)
            self.world.nudge(self.address)

    def _heard(self, keeper: Keeper) -> bool:
        return self.world.up(self.address) and keeper in self.keepers

    def _signal(self, key: Key, number: int) -> None:
        process = self.evidence.processes.get(key)
        if process is None or not process.alive:
            return
        if any(key in keeper.live and not keeper.alive for keeper in self.keepers):
            self.world.tell(self.address, f"{key}: signal {number} is lost with its keeper")
            return
        process.signals[number] += 1
        self.world.tell(self.address, f"{key}: gets signal {number}")
        if number == KILL or (number == TERM and process.on_stop == "dies"):
            self._end(process, -number)
        elif number == TERM and process.on_stop == "tidies":
            self.world.after(2 * SECOND, partial(self._end, process, process.code))

    def _keeper_gone(self, keeper: Keeper, life: int) -> None:
        """Agentd finds a keeper dead: another takes its place, what it had is settled."""
        if life != self.life or not self.world.up(self.address):
            return
        self.keepers = [one for one in self.keepers if one is not keeper]
        self._new_keeper()
        for key in list(keeper.asked):
            if key in self.spool:
                self._tell(self._ensure(key))

    def _ensure(self, key: Key) -> Found:
        claim = self.spool[key]
        fields: dict[str, Any] = {"key": key, "spec": claim.spec, "acts": tuple(claim.acts)}
        if claim.started is not None:
            fields["started_us"], fields["started_monotonic_us"] = claim.started[2:]
        if claim.exit is not None:
            return Found(state="done", exit=claim.exit, **fields)
        if claim.started is None and claim.boot == self.boot:
            return Found(state="not_started", **fields)
        if claim.started is None:
            return Found(state="lost", sentence=REBOOTED, **fields)
        number, boot, _, _ = claim.started
        if boot != str(self.boot):
            return Found(state="lost", sentence=REBOOTED, **fields)
        if any(keeper.alive and keeper.number == number for keeper in self.keepers):
            return Found(state="running", pid=1, **fields)
        process = self.evidence.processes.get(key)
        if process is not None and process.alive:
            return Found(state="unkept", pid=1, **fields)
        return Found(state="lost", sentence=LOST, **fields)

    def _tell(self, found: Found) -> None:
        match found.state:
            case "done":
                self._ends.append(found.key)
            case "running" | "unkept":
                started_us, monotonic_us = found.started_us, found.started_monotonic_us
                self._facts.append(Started(found.key, 1, started_us, monotonic_us))
            case "not_started":
                self.start_again(found.key, found.spec)
                self.flush()
            case _:
                self._facts.append(Gone(found.key, self.now().wall_us, found.sentence))
        self.world.nudge(self.address)
