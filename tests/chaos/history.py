"""What is known of one spell of chaos: plain records, kept as JSON, one file each.

Whoever makes trouble writes them (`trouble.py`), whoever judges reads them (`checker.py`). Nothing
here or there is callsheet's own code: what callsheet says of itself is one record among others.
Instants are seconds since 1970 by the machine's clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass
class Target:
    """What was to run: `key` tells it from all others of its job. Who knows it by the schedule does
    not know its `run_id`. `needed`: it was due surely while the schedule held; others are allowed.
    """

    job: str
    key: str
    due_s: float
    needed: bool = True
    run_id: str | None = None


@dataclass
class Word:
    """A line that a job wrote: `start`, or `end` with the exit code that it was about to leave."""

    what: str
    run_id: str
    attempt: int
    at_s: float
    job: str = ""
    key: str = ""
    pid: int = 0
    code: int = 0


@dataclass
class Said:
    """An entry of a run's log, under its number: the state it came to, the kind of entry."""

    seq: int
    at_s: float
    state: str
    kind: str
    message: str = ""


@dataclass
class Outcome:
    """What became of a run: its state, how its process ended, how many attempts there were, and
    what the last of them printed."""

    state: str
    code: int | None
    signal: str | None
    attempts: int
    output: str


@dataclass
class Run:
    """What callsheet says of a run. `code` and `signal`: how its process ended, None: not told.
    `attempts`: number, state and exit code of each."""

    run_id: str
    job: str
    key: str
    due_s: float
    state: str
    version: int
    code: int | None = None
    signal: str | None = None
    reason: str = ""
    attempts: list[tuple[int, str, int | None]] = field(default_factory=list)
    log: list[Said] = field(default_factory=list)
    output: str = ""

    @property
    def outcome(self) -> Outcome:
        """What became of it, by which it is compared with another of the same job and key."""
        return Outcome(self.state, self.code, self.signal, len(self.attempts), self.output)


@dataclass
class Blow:
    """Trouble that was made: what kind, to whom, from when until when it was over again. `hit`:
    the runs whose outcome may now be unknown, as run and attempt."""

    kind: str
    victim: str
    at_s: float
    until_s: float
    hit: list[str] = field(default_factory=list)


@dataclass
class Reload:
    """A reload that was asked for: whether the folder was broken, whether it was taken, and which
    jobs there were before and after; when it was over, and why it was not taken."""

    at_s: float
    broken: bool
    taken: bool
    before: list[str]
    after: list[str]
    until_s: float = 0.0
    why: str = ""


@dataclass
class Heard:
    """Where a subscriber of the stream was: the epoch and number that came with a message."""

    epoch: int
    seq: int


@dataclass
class Live:
    """A process that was there at the end, by the run that its environment names."""

    pid: int
    run_id: str


@dataclass
class Plan:
    """What was meant to happen. `most`: how many runs of a job may run at once. `retries`: how many
    attempts a run of a job has at most. `stopped`: runs that somebody asked to stop. `blows`: at
    least so many of each kind. `starting`: at least so many blows while a run was starting.
    `full`: at least so many runs began as the last of their job that may at once. `own`: jobs that
    the server itself does, of which there is no evidence. `equal`: at least so many runs ended just
    as they do without trouble. `stores`: files that are to be sound in the end.
    `late_s`: how late a run may begin where no trouble was; None: lateness is not judged."""

    cut_s: float
    most: dict[str, int] = field(default_factory=dict)
    retries: dict[str, int] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    blows: dict[str, int] = field(default_factory=dict)
    starting: int = 0
    full: int = 0
    own: list[str] = field(default_factory=list)
    equal: int = 0
    stores: list[str] = field(default_factory=list)
    runs: int = 0
    late_s: float | None = None
    recovery_s: float = 5.0


@dataclass
class History:
    """All of it. `replica`: what a subscriber has of each run, as (version, state). `calm`: what
    became of each run that was asked for where there was no trouble, by job and key. `archived`:
    job and key of each run that is in an archive. `stores`: what is wrong with each file."""

    plan: Plan
    targets: list[Target] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    blows: list[Blow] = field(default_factory=list)
    reloads: list[Reload] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    live: list[Live] = field(default_factory=list)
    replica: dict[str, tuple[int, str]] = field(default_factory=dict)
    calm: dict[str, Outcome] = field(default_factory=dict)
    archived: dict[str, str] = field(default_factory=dict)
    stores: dict[str, str] = field(default_factory=dict)


def write(history: History, path: Path) -> None:
    """Write it as one JSON text."""
    path.write_text(json.dumps(asdict(history), indent=1))


def read(path: Path) -> History:
    """Read what `write` wrote."""
    data = json.loads(path.read_text())
    runs = [
        Run(**(one | {
            "attempts": [tuple(attempt) for attempt in one["attempts"]],
            "log": _all(Said, one["log"]),
        }))
        for one in data["runs"]
    ]  # fmt: skip
    return History(
        Plan(**data["plan"]),
        _all(Target, data["targets"]),
        _all(Word, data["words"]),
        runs,
        _all(Blow, data["blows"]),
        _all(Reload, data["reloads"]),
        _all(Heard, data["heard"]),
        _all(Live, data["live"]),
        {run_id: (version, state) for run_id, (version, state) in data["replica"].items()},
        {name: Outcome(**one) for name, one in data["calm"].items()},
        data["archived"],
        data["stores"],
    )


def _all(kind: type[T], data: Iterable[dict[str, Any]]) -> list[T]:
    return [kind(**one) for one in data]


def read_words(path: Path) -> list[Word]:
    """Read the evidence of jobs: `start RUN ATTEMPT AT JOB KEY PID`, `end RUN ATTEMPT AT CODE`.

    Raises:
        ValueError: a line is torn: each is one write to the end of a file.
    """
    found = []
    for line in path.read_text().splitlines():
        match line.split(" "):
            case ["start", run_id, attempt, at_s, job, key, pid]:
                found.append(
                    Word("start", run_id, int(attempt), float(at_s), job, key, pid=int(pid))
                )
            case ["end", run_id, attempt, at_s, code]:
                found.append(Word("end", run_id, int(attempt), float(at_s), code=int(code)))
            case _:
                raise ValueError(f"{path}: {line!r}: expected a start or an end")
    return found
