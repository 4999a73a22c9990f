"""The runs that are not over, as the ledger keeps them in memory.

Owned by the ledger's book alone. A run that waits may do so for days and among many thousands: once
its batch is over it is kept encoded (see `parked_runs`), at a tenth of the memory, and decoded when
somebody looks at it. Its id and state are at hand at all times. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..jobs.run import Run, args_key, standing_sum
from ..jobs.states import State
from .parked_runs import ParkedRuns

Instance = tuple[str, str]
# What an instance without active runs has.
_NONE: dict[str, State] = {}


class ActiveRuns:
    """See the module. A mapping of run ids to runs, and the states of each instance's runs."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs: dict[str, Run | bytes] = {}
        self._parked = ParkedRuns()
        self._instances: dict[Instance, dict[str, State]] = {}
        for run in runs:
            self[run.run_id] = run
            self.park(run.run_id)

    def __len__(self) -> int:
        return len(self._runs)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._runs

    def __getitem__(self, run_id: str) -> Run:
        run = self._runs[run_id]
        return self._parked.read(run) if isinstance(run, bytes) else run

    def __setitem__(self, run_id: str, run: Run) -> None:
        self._let_go(run_id)
        self._runs[run_id] = run
        self._instances.setdefault(instance_of(run), {})[run_id] = run.state

    def __delitem__(self, run_id: str) -> None:
        instance = instance_of(self[run_id])
        self._let_go(run_id)
        del self._runs[run_id]
        members = self._instances[instance]
        del members[run_id]
        if not members:
            del self._instances[instance]

    @property
    def models(self) -> int:
        """How many records there are by which others are kept."""
        return len(self._parked)

    def get(self, run_id: str) -> Run | None:
        """Return a run, None when there is none."""
        return self[run_id] if run_id in self._runs else None

    def state_of(self, run_id: str) -> State | None:
        """Return the state of a run, None when there is none."""
        run = self._runs.get(run_id)
        if run is None:
            return None
        # Only those that wait are ever encoded.
        return State.WAITING if isinstance(run, bytes) else run.state

    def standing(self) -> tuple[int, int]:
        """Return how many runs there are, and the sum of what each is (`standing_sum`)."""
        total = 0
        for run_id, run in self._runs.items():
            state = State.WAITING if isinstance(run, bytes) else run.state
            total += standing_sum(run_id, state)
        return len(self._runs), total

    def states(self, job_id: str, key: str) -> dict[str, State]:
        """Return the states of an instance's runs by run id; to be looked at only."""
        return self._instances.get((job_id, key), _NONE)

    def started(self) -> Iterator[Run]:
        """Yield those that do not wait, in the order in which they became active."""
        for run in self._runs.values():
            if not isinstance(run, bytes) and run.state is not State.WAITING:
                yield run

    def park(self, run_id: str) -> None:
        """Keep a run encoded from now on if it waits; nothing when it does not, or is not here."""
        run = self._runs.get(run_id)
        if run is None or isinstance(run, bytes) or run.state is not State.WAITING:
            return
        kept = self._parked.keep(run)
        members = self._instances[instance_of(run)]
        self._runs[run_id], members[run_id] = kept, State.WAITING

    def _let_go(self, run_id: str) -> None:
        """What is kept encoded of a run is to be another or none."""
        kept = self._runs.get(run_id)
        if isinstance(kept, bytes):
            self._parked.drop(kept)


def instance_of(run: Run) -> Instance:
    """Return the instance a run is of: its job, and its args as a text."""
    return run.job_id, args_key(run.args)
