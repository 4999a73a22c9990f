"""What a spell of fuzzing has seen, and what of it is a fault: told as one line and some sentences.

Used by all kinds. A fault is a traceback, an answer that says that the server failed, none at all
within `HANG_S`, a death, or memory that grows for ever.
"""

from __future__ import annotations

import re
import time
from collections import Counter

# Nothing that is asked may take longer, on a machine however busy.
HANG_S = 300.0
FOR_EVER = float("inf")
# Faults that are told whole.
SHOWN = 10
# What no answer and no sentence to people may show.
TRACES = re.compile(rb'Traceback \(most recent|File "|sqlite3?\.|SELECT |\.py\b|msgspec')


class Verdict:
    """See the module. `seen` counts what became of cases, by kind of answer or refusal."""

    def __init__(self, kind: str, seed: int) -> None:
        self.kind, self.seed = kind, seed
        self.cases = 0
        self.seen: Counter[str] = Counter()
        self.faults: list[str] = []
        self.faulty = 0
        self.slowest_s = 0.0
        self._began_s = time.monotonic()
        self.took_s = 0.0

    def fault(self, what: str, number: int | None = None) -> None:
        """Note a fault, of a case if it is known which."""
        self.faulty += 1
        if len(self.faults) < SHOWN:
            case = "" if number is None else f"case {number}: "
            self.faults.append(f"{case}{what}")

    def waited(self, seconds: float, number: int | None = None) -> None:
        """Note how long something took."""
        self.slowest_s = max(self.slowest_s, seconds)
        if seconds > HANG_S:
            self.fault(f"took {seconds:.0f} s", number)

    def add(self, other: Verdict) -> None:
        """Take in what another process has seen."""
        self.cases += other.cases
        self.seen += other.seen
        self.faulty += other.faulty
        self.faults = [*self.faults, *other.faults][:SHOWN]
        self.slowest_s = max(self.slowest_s, other.slowest_s)

    def end(self) -> None:
        """The spell is over."""
        self.took_s = time.monotonic() - self._began_s

    @property
    def holds(self) -> bool:
        """Whether there was no fault, and anything to be seen."""
        return not self.faulty and self.cases > 0

    def text(self) -> str:
        """Return what was seen, and the faults a line each."""
        seen = ", ".join(f"{count:,} {what}" for what, count in self.seen.most_common())
        rate = self.cases / self.took_s if self.took_s else 0.0
        said = "holds" if self.holds else f"{self.faulty} FAULTS"
        head = (
            f"{self.kind:8} {said}: {self.cases:,} cases in {self.took_s:,.0f} s ({rate:,.0f}/s), "
            f"slowest {self.slowest_s:.2f} s: {seen}"
        )
        again = f"again: python tests/fuzz/fuzz.py --only {self.kind} --seed {self.seed} --case N"
        return "\n".join([head, *(f"    {one}" for one in self.faults)]) + (
            "" if self.holds else f"\n    {again}"
        )
