"""What a stage counts of its turns and sockets, and the ledger's of its runs and commits."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..jobs.run import Run
from ..jobs.states import FINISHED, State
from ..messages.figures import DELAY_S, LONG_S, SHORT_S, Figures, histogram
from ..messages.transitions import RunMoved
from ..store.interface import Changes
from ..wire.ports import Letter, Port


class StageFigures(Figures, kw_only=True):
    """Of one stage, since its process began."""

    def heard(self, letters: list[Letter]) -> None:
        """Count what a turn begins with."""
        self.count("turns")
        if letters:
            self.count("messages", sum(len(letter.messages) for letter in letters))
            self.gauges["batch_letters"] = len(letters)

    def took(self, seconds: float) -> None:
        """Count how long a turn took."""
        found = self.histograms.get("turn_seconds")
        if found is None:
            found = self.histograms["turn_seconds"] = histogram(SHORT_S)
        found.observe(seconds)

    def look(self, ports: Iterable[Port], told: int, core: object) -> None:
        """Take what is so now: of the sockets, of what threads of the process told, and of a core
        that can say how much it has in hand."""
        for what in ("received", "sent", "unreachable", "overflowed", "expired"):
            self.counts[f"frames {what}"] = sum(getattr(port.counts, what) for port in ports)
        self.gauges["mailbox"] = told
        self.gauges["unsent"] = sum(port.waiting() for port in ports)
        # (To ask a protocol copies more of the pages that forks share than all that is told.)
        figures: Callable[[], dict[str, float]] | None = getattr(core, "figures", None)
        if figures is not None:
            self.gauges.update(figures())


class LedgerFigures(StageFigures, kw_only=True):
    """Of the ledger: what became of runs, and how long it took to write that down."""

    def committed(self, changes: Changes, seconds: float) -> None:
        """Count a batch that is durable."""
        self.count("commits")
        self.count("events", len(changes.events))
        self._observe("commit_seconds", SHORT_S, seconds)
        for event in changes.events:
            if isinstance(event, RunMoved):
                self._moved(event, changes.runs.get(event.run_id))

    def _moved(self, event: RunMoved, run: Run | None) -> None:
        before, after = event.before, event.after
        at_us = event.at_us if event.entered_us is None else event.entered_us
        if after in FINISHED:
            if before not in FINISHED:
                self.count(f"runs_ended {after.value}")
                began_us = None if run is None else run.times.get(State.RUNNING.value)
                if began_us is not None:
                    self._observe("run_seconds", LONG_S, (at_us - began_us) / 1e6)
            return
        if run is None:
            return
        if before is State.SCHEDULED and after in (State.WAITING, State.STARTING):
            self._observe("due_delay_seconds", DELAY_S, (at_us - run.schedule_us) / 1e6)
        if after is State.RUNNING and before is State.STARTING:
            starting_us = run.times.get(State.STARTING.value)
            if starting_us is not None:
                self._observe("start_delay_seconds", DELAY_S, (at_us - starting_us) / 1e6)

    def _observe(self, name: str, bounds: tuple[float, ...], seconds: float) -> None:
        found = self.histograms.get(name)
        if found is None:
            found = self.histograms[name] = histogram(bounds)
        # What another clock saw may lie before what ours did.
        found.observe(max(0.0, seconds))
