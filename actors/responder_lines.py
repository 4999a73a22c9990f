"""Who is carried out next: actions in a line per target, so that a slow one blocks only its own.

Pure; used by the responder's core.
"""

from __future__ import annotations

from collections import deque

from ..jobs.actions import (
    Action,
    CommandAction,
    EmailAction,
    ExtensionAction,
    NotifyAction,
    ScheduleAction,
    WebhookAction,
)
from ..messages.commands import OutboxItem

# Carried out at once, in all and for one target: a target that hangs takes two threads, no more.
AT_ONCE = 16
A_TARGET_AT_ONCE = 2

Target = tuple[str, str]


def target_of(item: OutboxItem) -> Target:
    """Return what an action depends on: whose slowness is only its own affair."""
    action: Action = item.action
    match action:
        case EmailAction():
            return "email", ""
        case WebhookAction():
            return "webhook", action.url
        case CommandAction():
            return "command", item.whose
        case NotifyAction():
            return "notify", action.service
        case ExtensionAction():
            return "extension", action.name
        case ScheduleAction():
            return "schedule", item.whose


class Lines:
    """Action ids in line, and how many of each target are being carried out."""

    def __init__(self) -> None:
        self._lines: dict[Target, deque[str]] = {}
        self._busy: dict[str, Target] = {}
        self._count: dict[Target, int] = {}

    def join(self, action_id: str, target: Target) -> None:
        """An action waits to be carried out."""
        self._lines.setdefault(target, deque()).append(action_id)

    def done(self, action_id: str) -> bool:
        """An action is no longer being carried out; return whether it was."""
        target = self._busy.pop(action_id, None)
        if target is None:
            return False
        self._count[target] -= 1
        if not self._count[target]:
            del self._count[target]
        return True

    def next(self) -> list[str]:
        """Return the ids whose turn it is, from now on being carried out; targets take turns."""
        found: list[str] = []
        for target in list(self._lines):
            if len(self._busy) >= AT_ONCE:
                break
            found += self._take(target)
        return found

    def _take(self, target: Target) -> list[str]:
        line = self._lines.pop(target)
        found: list[str] = []
        while line and len(self._busy) < AT_ONCE and self._count.get(target, 0) < A_TARGET_AT_ONCE:
            action_id = line.popleft()
            self._busy[action_id] = target
            self._count[target] = self._count.get(target, 0) + 1
            found.append(action_id)
        if line:
            # To the end of the round, so that no target is served twice before the others.
            self._lines[target] = line
        return found
