"""What all processes of the server say of themselves, as the web last heard of it.

The supervisor hands it on with the web's heartbeat, from a thread of its own; who shows it reads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..messages.figures import Figures, RoleStanding, Told, read_figures, read_told

# What it comes to when the ledger waits for its disk.
STALLED = "the store cannot be written: expected room on its disk; runs wait until it can"


class Process(NamedTuple):
    """A role's process; `figures` None: it has said none."""

    standing: RoleStanding
    figures: Figures | None


class Board:
    """See the module. `ask` says it anew where nobody hands it on (`--inline`)."""

    ask: Callable[[], Told] | None = None

    def __init__(self) -> None:
        self._told: Told | None = None

    def take(self, text: str) -> None:
        """Keep what was handed on; what cannot be read leaves what there is."""
        self._told = read_told(text) or self._told

    @property
    def stalled(self) -> bool:
        """Whether the ledger says that it cannot write the store, so that nothing moves."""
        ledger = self.processes().get("ledger")
        figures = None if ledger is None else ledger.figures
        return figures is not None and bool(figures.gauges.get("stalled"))

    def processes(self) -> dict[str, Process]:
        """Return each role's process by its plain name (`ledger`), empty while nothing is known."""
        told = self._told if self.ask is None else self.ask()
        if told is None:
            return {}
        return {
            role.partition("/")[0]: Process(
                standing,
                read_figures(told.figures[role]) if role in told.figures else None,
            )
            for role, standing in sorted(told.standing.items())
        }
