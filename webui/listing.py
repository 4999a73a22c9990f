"""Pages of runs by a `RunFilter`, as the API gives them."""

from __future__ import annotations

from msgspec.structs import replace

from ..jobs.run_filter import RunFilter
from ..jobs.states import State
from ..store.interface import Reader, StoreError

MAX_PAGE = 1_000


def count_states(reader: Reader, wanted: RunFilter) -> dict[str, int] | None:
    """Return how many runs of the query, its states left aside, are in each state; None when
    counting takes too long."""
    try:
        counts = reader.count_found(replace(wanted, states=None, states_or_held=()))
    except StoreError:
        return None
    return {state.value: counts.get(state, 0) for state in State}
