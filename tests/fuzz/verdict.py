"""What a spell of fuzzing has seen, and what of it is a fault: told as one line and some sentences.

Used by all kinds. A fault is a traceback, an answer that says that the server failed, none at all
within `HANG_S`, a death, or memory that grows for ever.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from typing import Any

# Nothing that is asked may take longer, on a machine however busy.
HANG_S = 300.0
FOR_EVER = float("inf")
# Faults that are told whole.
SHOWN = 10
# How often is said how far a spell is.
TOLD_EVERY_S = 60.0
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
        self._began_s = self._told_s = time.monotonic()
        self.took_s = 0.0

    def played(self, count: int = 1) -> None:
        """Count cases; now and then stderr has how far it is."""
        self.cases += count
        now_s = time.monotonic()
        if now_s - self._told_s >= TOLD_EVERY_S:
            self._told_s = now_s
            rate = self.cases / (now_s - self._began_s)
            print(
                f"{self.kind}: {self.cases:,} cases so far, {rate:,.0f}/s, {self.faulty} faults",
                file=sys.stderr,
                flush=True,
            )

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

    def spell(self, start: int) -> dict[str, Any]:
        """Return what of it can be added up, as plain data."""
        return {
            "kind": self.kind,
            "seed": self.seed,
            "start": start,
            "cases": self.cases,
            "faults": self.faulty,
            "seconds": round(self.took_s, 1),
        }

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


def summed(tally: str) -> list[str]:
    """Return a line per kind of what the spells of a tally come to."""
    spells: dict[str, list[dict[str, Any]]] = {}
    for line in tally.splitlines():
        spell = json.loads(line)
        spells.setdefault(spell["kind"], []).append(spell)
    lines = []
    for kind, some in sorted(spells.items()):
        cases, faults, seconds = (
            sum(one[name] for one in some) for name in ("cases", "faults", "seconds")
        )
        rate = cases / seconds if seconds else 0.0
        lines.append(
            f"{kind:8} {cases:,} cases in {len(some)} spells and {seconds:,.0f} s ({rate:,.0f}/s): "
            f"{faults} faults"
        )
    return lines
