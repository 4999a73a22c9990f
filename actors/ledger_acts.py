"""What the ledger owes for a run's moves: its actions, as rows of the outbox.

A row is written in the transaction of the move, or missed deadline, that causes it, under an id
made of that event's seq, so that an action is owed exactly once whatever dies when.
"""

from __future__ import annotations

from msgspec.structs import replace

from ..jobs.actions import Action, trigger_of
from ..jobs.findings import Finding
from ..jobs.run import Run
from ..jobs.states import State
from ..jobs.streaks import COUNTED, Streak, after, fires, is_idle, seen, watches
from ..messages.commands import OutboxItem
from ..messages.instructions import ActionTried
from ..messages.transitions import ActionNoted, FindingNoted
from ..store.interface import Changes, Opening


class Acts:
    """The outbox by action id, and streaks by (job id, args key or empty)."""

    def __init__(self, opening: Opening) -> None:
        self.outbox: dict[str, OutboxItem] = {item.action_id: item for item in opening.outbox}
        self._streaks = dict(opening.streaks)

    def moved(self, run: Run, before: State | None, now_us: int, changes: Changes) -> None:
        """A run entered a state (its `version` is the event's seq): owe the actions of that."""
        if not run.actions:
            return
        streaks = self._count(run, changes)
        for index, action in enumerate(run.actions):
            if _waits_for(action, run, before, streaks):
                self._owe(index, action, run, now_us, changes)

    def missed(self, run: Run, kind: str, now_us: int, changes: Changes) -> None:
        """A run missed a deadline: owe the actions of that."""
        for index, action in enumerate(run.actions):
            if kind in trigger_of(action).deadlines:
                self._owe(index, action, run, now_us, changes, deadline=kind)

    def settled(self, action_id: str, changes: Changes) -> OutboxItem | None:
        """An action is over; return what it was, None when it is not owed."""
        item = self.outbox.pop(action_id, None)
        if item is not None:
            changes.outbox[action_id] = None
        return item

    def tried(self, message: ActionTried, changes: Changes) -> OutboxItem | None:
        """An action has failed and is tried again; return it, None when that is nothing new."""
        item = self.outbox.get(message.action_id)
        if item is None or item.attempts >= message.attempts:
            return None
        item = replace(
            item, attempts=message.attempts, next_us=message.next_us, error=message.error
        )
        self.outbox[message.action_id] = changes.outbox[message.action_id] = item
        return item

    def owing(self) -> set[int]:
        """Return the numbers of the runs that owe an action."""
        return {item.run.number for item in self.outbox.values() if item.run is not None}

    def alert(
        self, finding: Finding, seq: int, actions: tuple[Action, ...], now_us: int, changes: Changes
    ) -> None:
        """A finding has opened or closed with that event: owe the alerts of it."""
        for index, action in enumerate(actions):
            action_id = f"c{seq}.{index}"
            item = OutboxItem(action_id=action_id, action=action, at_us=now_us, finding=finding)
            self.outbox[action_id] = changes.outbox[action_id] = item

    # --- inside ---------------------------------------------------------------------------------

    def _owe(
        self,
        index: int,
        action: Action,
        run: Run,
        now_us: int,
        changes: Changes,
        *,
        deadline: str = "",
    ) -> None:
        action_id = f"{run.run_id}.{run.version}.{index}"
        item = OutboxItem(
            action_id=action_id, run=run, action=action, at_us=now_us, deadline=deadline
        )
        self.outbox[action_id] = changes.outbox[action_id] = item

    def _count(self, run: Run, changes: Changes) -> dict[str, Streak]:
        """Put a run's end into the streaks its actions watch; return those it was new to."""
        watching = [action for action in run.actions if watches(action)]
        if not watching or run.state not in COUNTED:
            return {}
        found: dict[str, Streak] = {}
        for per in {trigger_of(action).per for action in watching}:
            key = (run.job_id, "" if per == "job" else run.args_key)
            streak, is_new = after(self._streaks.get(key, ()), run.run_id, run.state)
            if is_idle(streak, watching):
                if self._streaks.pop(key, None) is not None:
                    changes.streaks[key] = None
            else:
                self._streaks[key] = changes.streaks[key] = streak
            if is_new:
                found[per] = streak
        return found


def noted(
    item: OutboxItem, line: str, outcome: str, cause: str, now_us: int
) -> ActionNoted | FindingNoted:
    """Return the event that tells what became of an action."""
    if item.finding is not None:
        return FindingNoted(
            seq=0, at_us=now_us, cause=cause, outcome="told", finding=item.finding, message=line
        )
    return ActionNoted(
        seq=0,
        at_us=now_us,
        cause=cause,
        run_id=item.of_run.run_id,
        action_id=item.action_id,
        message=line,
        outcome=outcome,
    )


def _waits_for(action: Action, run: Run, before: State | None, streaks: dict[str, Streak]) -> bool:
    trigger = trigger_of(action)
    if trigger.deadlines:
        return False
    if watches(action):
        return trigger.per in streaks and fires(action, streaks[trigger.per])
    if action.states is None:
        return True
    # To job files a lost run is in error: that its error is certain now is nothing new.
    is_new = before is None or seen(before) is not seen(run.state)
    return is_new and seen(run.state) in action.states
