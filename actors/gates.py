"""The gates of waiting runs: which are open, and who is to be woken when one may have opened.

Part of the waiter's core. Rule I11: an interest is registered before the store is read. A gate that
was passed is never looked at again, but for windows of time, which must be open at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..jobs.bound_conditions import BoundCondition, BoundDependency, dependencies, polled_of
from ..jobs.judging import Verdict, judge
from ..jobs.polled import BoundPolled
from ..jobs.run import args_key, run_number
from ..jobs.states import State
from ..messages.transitions import RunMoved, RunWithdrawn
from ..store.interface import Reader
from .probing import Polls
from .waiting import Interests, Wait


class Gates:
    """Judges gates by the store, the clock and the checks of `polls`."""

    def __init__(self, reader: Reader) -> None:
        self.polls = Polls()
        self._reader = reader
        self._interests = Interests()
        self._states: dict[tuple[str, str, int], Mapping[State, int]] = {}
        self._run_id = ""

    def new_turn(self) -> None:
        """What was read of the store is old now."""
        self._states = {}

    def present(self, wait: Wait, now_us: int) -> Verdict:
        """Return the verdict on the gate the run stands at; from now on it is woken by it."""
        cond = wait.gates[wait.gate]
        for needed in dependencies((cond,)):
            self._interests.add((needed.job_id, args_key(needed.args)), wait.run_id)
        for polled in polled_of(cond):
            self.polls.join(polled, wait.run_id, now_us)
        return self._judge(wait, cond, now_us)

    def closed_window(self, wait: Wait, now_us: int) -> Verdict | None:
        """Return the verdict on a window of the run that is not open now, None: all are."""
        for window in wait.windows:
            verdict = self._judge(wait, window, now_us)
            if not verdict.met:
                return verdict
        return None

    def leave(self, wait: Wait) -> None:
        """The run stands at its gate no more: it is not woken by it."""
        if wait.gate >= len(wait.gates):
            return
        cond = wait.gates[wait.gate]
        for needed in dependencies((cond,)):
            self._interests.discard((needed.job_id, args_key(needed.args)), wait.run_id)
        for polled in polled_of(cond):
            self.polls.part(polled, wait.run_id)

    def moved(
        self, event: RunMoved, job_id: str, args: dict[str, str], waits: Mapping[str, Wait]
    ) -> Iterable[str]:
        """Yield the runs to look at since a run of this instance moved."""
        after = State.ERROR if event.after is State.LOST else event.after
        for run_id in self._interests.of(job_id, args):
            wait = waits[run_id]
            cond = wait.gates[wait.gate]
            if not isinstance(cond, BoundDependency):
                yield run_id
            elif (run_number(event.run_id) or 0) <= cond.after:
                continue
            elif after in cond.states:
                # Also when it leaves that state before it is looked at: it has been there.
                self.leave(wait)
                wait.gate += 1
                yield run_id
            elif cond.exist and after not in cond.exist:
                yield run_id

    def withdrawn(self, event: RunWithdrawn) -> Iterable[str]:
        """Return the runs to look at since an expected run was taken back."""
        return self._interests.of(event.job_id, event.args)

    # --- facts, see `jobs.judging.Facts` --------------------------------------------------------

    def states_of(self, job_id: str, key: str, after: int = 0) -> Mapping[State, int]:
        """Return what the store says of an instance, read once a turn."""
        states = self._states.get((job_id, key, after))
        if states is None:
            states = self._reader.instance_states(job_id, key, after)
            self._states[job_id, key, after] = states
        return states

    def checked(self, cond: BoundPolled) -> Verdict | None:
        """Return what was found for the run that is judged."""
        return self.polls.checked(cond, self._run_id)

    def _judge(self, wait: Wait, cond: BoundCondition, now_us: int) -> Verdict:
        self._run_id = wait.run_id
        return judge(cond, self, now_us)
