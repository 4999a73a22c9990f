"""Actions as values: what follows when a run enters a state, or misses a deadline.

An action waits for one kind of thing: states entered, a recovery, or a deadline missed. What its
texts may name is said in `action_texts.py`; which runs in a row count, in `streaks.py`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from .states import State

DeadlineKind = Literal["start_by", "finish_by", "max_duration"]
Scope = Literal["job", "instance"]


class Trigger(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an action waits for besides entering states.

    `consecutive`: the run is the Nth in a row that ended in one of the action's states, counted
    `per` job or per instance. `recovery`: the first success after failures or errors.
    `deadlines`: a deadline of one of these kinds was missed, whatever the run's state.
    """

    consecutive: int = 1
    per: Scope = "job"
    recovery: bool = False
    deadlines: tuple[DeadlineKind, ...] = ()


class Acting(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What all actions have. `states` None: on every transition, unless the trigger says otherwise.

    `trigger` is not written where it says nothing, so that definitions keep their hashes.
    """

    states: tuple[State, ...] | None = None
    trigger: Trigger | UnsetType = UNSET


class ScheduleAction(Acting, frozen=True, kw_only=True, tag="schedule"):
    """Schedule a run of `job_id` for now. `args` are templates over the run's args."""

    job_id: str
    args: dict[str, str] = {}


class EmailAction(Acting, frozen=True, kw_only=True, omit_defaults=True, tag="email"):
    """Send a mail; all texts are templates. `sender` None: the settings' own.

    `subject` and `body` None: they say what happened to which run.
    """

    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    sender: str | None = None
    subject: str | None = None
    body: str | None = None


class WebhookAction(Acting, frozen=True, kw_only=True, omit_defaults=True, tag="webhook"):
    """Send an HTTP request. `url`, header values and the texts in `body` are templates.

    `body` None: the event as a document. A text is sent as it is, anything else as JSON. `secret`
    names the key in the settings by which the request is signed.
    """

    url: str
    method: str = "POST"
    headers: dict[str, str] = {}
    body: Any = None
    secret: str | None = None


class CommandAction(Acting, frozen=True, kw_only=True, omit_defaults=True, tag="command"):
    """Run a program on the server's host, as the server's user. `argv` are templates; a shell
    `command` is not: the run's facts are in its environment, so that no text becomes code.
    `timeout_us` None: a minute."""

    argv: tuple[str, ...] = ()
    command: str | None = None
    timeout_us: int | None = None


class NotifyAction(Acting, frozen=True, kw_only=True, omit_defaults=True, tag="notify"):
    """Tell the notification service that the settings know as `service`."""

    service: str
    title: str | None = None
    body: str | None = None


class ExtensionAction(Acting, frozen=True, kw_only=True, omit_defaults=True, tag="extension"):
    """Do what a type of the settings' extensions does with its data, whose texts are templates.
    `timeout_us` None: a minute."""

    name: str
    data: dict[str, Any]
    timeout_us: int | None = None


Action = (
    ScheduleAction | EmailAction | WebhookAction | CommandAction | NotifyAction | ExtensionAction
)


def trigger_of(action: Action) -> Trigger:
    """Return what an action waits for besides its states."""
    return Trigger() if isinstance(action.trigger, UnsetType) else action.trigger
