"""Operations on many runs, and reruns and other times of one: part of the client's surface."""

from __future__ import annotations

from .endpoint import Ask, endpoint
from .paths import quote

# As type checkers read it; `typing` itself would cost half of this module's import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Jso = dict[str, Any]

PATH = "/api/v2/operations"


class OperationsSurface:
    """Looks at operations, begins them, and says what became of each run."""

    @endpoint
    def preview_operation(self, /, **body: Any) -> Ask[Jso]:
        """Return what a deed (`verb`, `query` or `runs`, …) would come to, and its token."""
        return Ask("POST", f"{PATH}/preview", body=body)

    @endpoint
    def begin_operation(self, /, **body: Any) -> Ask[Jso]:
        """Carry out a `preview`, or a deed on as many runs as are expected (`expect`); return the
        operation, which goes on by itself."""
        return Ask("POST", PATH, body=body, pick=_operation)

    @endpoint
    def get_operations(self) -> Ask[list[Jso]]:
        """Return the operations that were begun last, newest first."""
        return Ask("GET", PATH, pick=lambda said: list(said["operations"]))

    @endpoint
    def get_operation(
        self, operation_id: str, *, cursor: str | None = None, outcome: str | None = None
    ) -> Ask[Jso]:
        """Return an `operation`, and a page of what became of its `runs`."""
        query = {"cursor": cursor, "outcome": outcome}
        given = {name: value for name, value in query.items() if value is not None}
        return Ask("GET", f"{PATH}/{quote(operation_id)}", query=given)

    @endpoint
    def stop_operation(self, operation_id: str) -> Ask[Jso]:
        """Have an operation leave alone what it has not come to; return it."""
        return Ask("POST", f"{PATH}/{quote(operation_id)}/stop", pick=_operation)

    @endpoint
    def get_reruns(self, run_id: str) -> Ask[Jso]:
        """Return the chain of reruns that a run is in: `root`, and `runs` from it on."""
        return Ask("GET", f"/api/v2/runs/{quote(run_id)}/reruns")

    @endpoint
    def reschedule(
        self, run_id: str, time: Any = "now", *, stop_time: Any = None, reason: str = ""
    ) -> Ask[Jso]:
        """Put a scheduled or waiting run to another time."""
        body = {"time": str(time), "reason": reason}
        if stop_time is not None:
            body["stop_time"] = str(stop_time)
        return Ask("POST", f"/api/v2/runs/{quote(run_id)}/reschedule", body=body)


def _operation(said: Any) -> Jso:
    found: Jso = said["operation"]
    return found
