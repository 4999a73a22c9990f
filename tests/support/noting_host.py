"""A host for the agent's core on which nothing happens by itself; notes what it is asked."""

from __future__ import annotations

from typing import Any

from callsheet.agentd.host import Extent, Found, Key, Now, Results, Spec
from callsheet.jobs.programs import BoundProcess
from callsheet.messages.agents import StartProcess

NOW = Now(1_800_000_000_000_000, 1_000_000)
PROGRAM = BoundProcess(argv=("sleep", "600"), grace_us=None)
SPEC = Spec(program=PROGRAM, argv=PROGRAM.argv, env={})


class NotingHost:
    """A host on which nothing happens by itself; notes what it is asked."""

    def __init__(self, *found: Found) -> None:
        self.found = list(found)
        self.signals: list[int] = []
        self.starts: list[Key] = []

    def claims(self) -> list[Found]:
        return self.found

    def start(self, key: Key, spec: Spec, now: Now) -> None:
        self.starts.append(key)

    def start_again(self, key: Key, spec: Spec) -> None:
        self.starts.append(key)

    def note(self, key: Key, line: str) -> None:
        pass

    def signal(self, key: Key, number: int, *, whole: bool) -> None:
        self.signals.append(number)

    def forget(self, key: Key) -> None:
        pass

    def extents(self, key: Key, spec: Spec, *, final: bool = False) -> tuple[Extent, ...]:
        return ()

    def read_output(self, key: Key, name: str, offset: int, limit: int) -> bytes | None:
        return b""

    def output_path(self, key: Key, name: str) -> str | None:
        return None

    def collect(self, key: Key, spec: Spec) -> bool:
        return False

    def remember_away(self, away_us: int) -> None:
        pass

    def usages(self, pids: list[int]) -> dict[int, tuple[int, int]]:
        return {}

    def results_of(self, key: Key, spec: Spec) -> Results:
        return Results({})

    def remember_epoch(self, epoch: int) -> None:
        pass

    def compress(self, data: bytes) -> tuple[bytes, str | None]:
        return data, None


def a_start(**fields: Any) -> StartProcess:
    defaults = {"epoch": 1, "run_id": "r1", "attempt": 1, "program": PROGRAM}
    return StartProcess(**defaults | {"not_after_us": NOW.wall_us} | fields)
