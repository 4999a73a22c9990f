"""What the agent's core knows of its host: the port it commands, and the facts that come back.

`Host` is implemented by `local.py` (processes, spool, keepers) and by the simulation. The core
calls it and never waits: what became of a command comes back as a fact, given to
`AgentCore.happened`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import msgspec

from ..jobs.keeping import KEEP_BYTES, WHOLE, Gap, KeepBytes
from ..jobs.programs import BoundProcess

# What a process writes to stdout and stderr.
OUTPUT = "output"
# Which bytes of it came from where, when they are told apart (`jobs/keeping.py`).
ORDER = "order"


class Key(NamedTuple):
    """One attempt of a run: what a claim is for."""

    run_id: str
    attempt: int

    def __str__(self) -> str:
        return f"{self.run_id}.{self.attempt}"


class Now(NamedTuple):
    """The wall clock, and a clock that only grows and starts anew when the host does; both µs."""

    wall_us: int
    monotonic_us: int


class Spec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a claim holds: the program, how it is executed, and when it is to be stopped.

    `cgroup`: path of the group its processes are in, empty: none of their own. `remarks`: what
    people should know of how it is started. `become`: what goes before a command to run it as the
    program's user, empty for our own. `keep_bytes`: how much is kept of an output; `split`: stdout
    and stderr are told apart.
    """

    program: BoundProcess
    argv: tuple[str, ...]
    env: dict[str, str]
    stop_us: int | None = None
    job_id: str = ""
    cgroup: str = ""
    remarks: tuple[str, ...] = ()
    become: tuple[str, ...] = ()
    keep_bytes: KeepBytes = KEEP_BYTES
    split: bool = False


class Extent(NamedTuple):
    """How much of an output there is: `size` bytes are written, those of `gap` are not kept.
    `parts`: so many of them came from stdout and stderr, where that is told apart."""

    name: str
    size: int
    gap: Gap = WHOLE
    parts: tuple[int, int] | None = None


class Exit(NamedTuple):
    """How a process ended; `error`: it could not be executed; `remarks`: what people should know
    of it. Durable before it is told, but for `strays`: those who outlive it, pid and name."""

    at_us: int
    status: int = 0
    error: str = ""
    pid: int = 0
    elapsed_us: int = 0
    core_dumped: bool = False
    rusage: dict[str, Any] = {}
    remarks: tuple[str, ...] = ()
    strays: tuple[tuple[int, str], ...] = ()


class Started(NamedTuple):
    """A process runs; `monotonic_us` is when it started, by the clock of `Now`."""

    key: Key
    pid: int
    at_us: int
    monotonic_us: int


class Ended(NamedTuple):
    """A process is over. For one that was not told as `Started` the start is given here."""

    key: Key
    exit: Exit


class Refused(NamedTuple):
    """It was not started, and the claim is gone; `retry`: another time it may be possible."""

    key: Key
    sentence: str
    retry: bool


class Gone(NamedTuple):
    """What became of a process cannot be known."""

    key: Key
    at_us: int
    sentence: str


class Noted(NamedTuple):
    """Something about a process that people should know; it changes nothing."""

    key: Key
    sentence: str


class Collected(NamedTuple):
    """The artifacts of a process that is over lie in its claim. `names`: of each what people call
    it; `notes`: a sentence for each that was left out."""

    key: Key
    extents: tuple[Extent, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


class Results(NamedTuple):
    """What a process has given back, and what people should know of what it has not."""

    values: dict[str, str]
    notes: tuple[str, ...] = ()


Fact = Started | Ended | Refused | Gone | Noted | Collected


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A claim as the spool has it: state not_started, running, unkept, done or lost.

    `acts` are the lines `Host.note` wrote. A claim of state `done` has an exit, of `lost` a
    sentence.
    """

    key: Key
    state: str
    spec: Spec
    pid: int = 0
    started_us: int = 0
    started_monotonic_us: int = 0
    exit: Exit | None = None
    sentence: str = ""
    acts: tuple[str, ...] = ()


class Host(Protocol):
    """What an agent does on its host."""

    def claims(self) -> list[Found]:
        """Return every claim of the spool, settled by `ensure`; called once, at the start."""

    def start(self, key: Key, spec: Spec, now: Now) -> None:
        """Claim `key` and have a process started; a fact follows. Its claim must not exist."""

    def start_again(self, key: Key, spec: Spec) -> None:
        """Have the process of a claim started that is `not_started`; a fact follows."""

    def note(self, key: Key, line: str) -> None:
        """Write into the claim what is about to be done to the process."""

    def signal(self, key: Key, number: int, *, whole: bool) -> None:
        """Send a signal to the process; `whole`: to its group, and SIGKILL to its strays too."""

    def forget(self, key: Key) -> None:
        """Remove the claim."""

    def extents(self, key: Key, spec: Spec, *, final: bool = False) -> tuple[Extent, ...]:
        """Return how much the process has written so far, or in the end; of each output no more
        than is to be kept stays on the disk."""

    def read_output(self, key: Key, name: str, offset: int, limit: int) -> bytes | None:
        """Return at most `limit` bytes from `offset`; None when they cannot be read now."""

    def output_path(self, key: Key, name: str) -> str | None:
        """Return where the server itself may take the whole output from, None: nowhere."""

    def collect(self, key: Key, spec: Spec) -> bool:
        """Gather the artifacts of a process that is over; `Collected` follows. False when its
        program names none."""

    def results_of(self, key: Key, spec: Spec) -> Results:
        """Return what a process that is over has given back."""

    def remember_epoch(self, epoch: int) -> None:
        """Keep the highest epoch seen, so that it is known after a restart."""

    def remember_away(self, away_us: int) -> None:
        """Keep how long no server has been there, so that it is known after a restart."""

    def usages(self, pids: list[int]) -> dict[int, tuple[int, int]]:
        """Return what processes use with all of their session: bytes of memory, µs of processor
        time; those of which it is known."""

    def compress(self, data: bytes) -> tuple[bytes, str | None]:
        """Return `data` as it should travel, and the name of its compression."""
