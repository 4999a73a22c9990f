"""The texts of actions: what their templates may name, and what is said where they say nothing.

Called by the responder, which has what is more than names filled in by a process under limits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from .actions import (
    Action,
    CommandAction,
    EmailAction,
    ExtensionAction,
    NotifyAction,
    ScheduleAction,
    WebhookAction,
)
from .data_texts import with_texts
from .run import Run
from .states import api_state
from .templates import TemplateError, is_template
from .times import format_time
from .words import instance_words

Fill = Callable[[str], str]

SUBJECT = "callsheet {{ run_id }}: {{ instance }}: {{ outcome }}"
BODY = """\
run         {{ run_id }}
job         {{ job_id }}
instance    {{ instance }}
state       {{ state }}
reason      {{ reason }}
deadline    {{ deadline }}
scheduled   {{ schedule_time }}
at          {{ event_time }}
attempt     {{ attempt }}
"""

_NAME = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


def facts(run: Run, action_id: str, at_us: int, deadline: str = "") -> dict[str, str]:
    """Return what may be said of the event an action follows, all of it text.

    Args:
        run: the run as it then was.
        at_us: when it happened.
        deadline: the kind of deadline missed, empty when the run entered a state.
    """
    state = api_state(run.state)
    return {
        "run_id": run.run_id,
        "job_id": run.job_id,
        "instance": instance_words(run.job_id, run.args),
        "state": state,
        "outcome": f"missed {deadline}" if deadline else state,
        "reason": run.message or "",
        "deadline": deadline,
        "schedule_time": format_time(run.schedule_us),
        "event_time": format_time(at_us),
        "attempt": str(run.attempt),
        "labels": ", ".join(run.labels),
        "action_id": action_id,
    }


def document(run: Run, action_id: str, at_us: int, deadline: str = "") -> dict[str, Any]:
    """Return the event as a webhook sends it unless it has a body of its own."""
    found: dict[str, Any] = {
        "id": action_id,
        "event": "deadline" if deadline else "state",
        "time": format_time(at_us),
        "run": {
            "run_id": run.run_id,
            "job_id": run.job_id,
            "args": run.args,
            "state": api_state(run.state),
            "reason": run.message,
            "attempt": run.attempt,
            "labels": list(run.labels),
            "schedule_time": format_time(run.schedule_us),
            "times": {name: format_time(at_us) for name, at_us in run.times.items()},
        },
    }
    if deadline:
        found["deadline"] = deadline
    return found


def environment(run: Run, action_id: str, at_us: int, deadline: str = "") -> dict[str, str]:
    """Return the variables by which a command knows what happened."""
    names = facts(run, action_id, at_us, deadline)
    found = {f"CALLSHEET_{name.upper()}": text for name, text in names.items()}
    found["CALLSHEET_ARGS"] = json.dumps(run.args, sort_keys=True)
    # A variable cannot hold it.
    return {name: text.replace("\0", "") for name, text in found.items()}


def texts_of(action: Action) -> Iterator[str]:
    """Yield every template of an action."""
    found: list[str] = []

    def collect(text: str) -> str:
        found.append(text)
        return text

    filled(action, collect)
    yield from found


def filled(action: Action, fill: Fill) -> Action:
    """Return an action with each of its templates put through `fill`, defaults put in."""
    match action:
        case ScheduleAction():
            return replace(action, args=_values(action.args, fill))
        case EmailAction():
            return replace(
                action,
                to=tuple(map(fill, action.to)),
                cc=tuple(map(fill, action.cc)),
                sender=None if action.sender is None else fill(action.sender),
                subject=fill(SUBJECT if action.subject is None else action.subject),
                body=fill(BODY if action.body is None else action.body),
            )
        case WebhookAction():
            return replace(
                action,
                url=fill(action.url),
                headers=_values(action.headers, fill),
                body=with_texts(action.body, fill),
            )
        case CommandAction():
            return replace(action, argv=tuple(map(fill, action.argv)))
        case NotifyAction():
            return replace(
                action,
                title=fill(SUBJECT if action.title is None else action.title),
                body=fill(BODY if action.body is None else action.body),
            )
        case ExtensionAction():
            return replace(action, data=with_texts(action.data, fill))


def fill_plain(text: str, names: Mapping[str, str]) -> str | None:
    """Fill a template that holds nothing but names; return None for any other.

    Raises:
        TemplateError: a name is not there.
    """
    if is_template(_NAME.sub("", text)):
        return None

    def value(match: re.Match[str]) -> str:
        if match[1] not in names:
            raise TemplateError(f"name '{match[1]}' is not defined")
        return names[match[1]]

    filled_in = _NAME.sub(value, text)
    # As templates do: one newline at the end goes, if there was anything to fill in.
    return filled_in.removesuffix("\n") if filled_in != text and text.endswith("\n") else filled_in


def _values(texts: Mapping[str, str], fill: Fill) -> dict[str, str]:
    return {name: fill(text) for name, text in texts.items()}
