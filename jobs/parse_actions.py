"""Actions and successors out of the data of a job file. Called by `parse.py` and the settings."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from . import registry
from .actions import (
    Action,
    CommandAction,
    EmailAction,
    ExtensionAction,
    NotifyAction,
    ScheduleAction,
    Trigger,
    WebhookAction,
)
from .deadlines import KINDS
from .errors import UserError
from .extension_data import read_data
from .parse_conditions import read_job_id, read_state, unique
from .parse_schedules import read_type
from .reading import At, Fields, filled, flag, free, many, shown, text, words
from .states import State
from .streaks import COUNTED, MOST_IN_A_ROW
from .templates import is_template
from .times import SECOND_US, parse_duration

METHODS = ("POST", "PUT", "PATCH", "GET", "DELETE")
SCOPES = ("job", "instance")
LONGEST_US = 3600 * SECOND_US
# A body is nested no deeper than a person can read.
DEEPEST_BODY = 16

_HTTP = re.compile(
    r"https?://(\[[0-9A-Fa-f:.]+\]|[^\s/?#\[\]:]+)(:(?P<port>\d{1,5}))?([/?#]\S*)?\Z"
)
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
# Set by the request itself; a job file must not contradict it.
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect"})

Common = dict[str, Any]


def read_action(value: Any, at: At) -> Action:
    """Read an action."""
    fields = Fields(value, at)
    kind = read_type(fields, ACTION_TYPES, ", ".join(_READERS), "action")
    common: Common | None = fields.take("if", _if, None)
    read = _READERS.get(kind)
    if read is None:
        return _extension(fields, kind, common or {})
    return read(fields, common or {})


def read_successor(value: Any, at: At) -> Action:
    """Read a successor: a job ID or `{job_id, args}`, to be scheduled after a success."""
    if isinstance(value, str):
        return ScheduleAction(job_id=read_job_id(value, at), states=(State.SUCCESS,))
    return _schedule(Fields(value, at), {"states": (State.SUCCESS,)})


# --- when ---------------------------------------------------------------------------------------


def _if(value: Any, at: At) -> Common:
    """Read for what an action waits: states, a recovery, or deadlines."""
    fields = Fields(value, at)
    states = fields.take("states", _states, None)
    consecutive = fields.take("consecutive", _consecutive, 1)
    per = fields.take("per", _one_of(SCOPES), "job")
    recovery = fields.take("recovery", flag, False)
    deadlines = fields.take("deadline", _deadlines, ())
    ways = ("states", "recovery", "deadline")
    given = [name for name in ways if fields.data.get(name) not in (None, False)]
    if len(given) > 1:
        at.fail(f"{given[0]} and {given[1]}: expected one of them; write an action for each")
    if consecutive != 1 and (len(given) != 1 or "states" not in given):
        at.key("consecutive").fail("needs states: expected those to be counted")
    if consecutive != 1 and states is not None and not COUNTED.issuperset(states):
        at.key("states").fail("expected success, failure or error where runs in a row are counted")
    if "per" in fields.data and consecutive == 1 and not recovery:
        at.key("per").fail("needs consecutive or recovery: expected it beside one of them")
    fields.finish()
    trigger = Trigger(consecutive=consecutive, per=per, recovery=recovery, deadlines=deadlines)
    return {"states": states, "trigger": UNSET if trigger == Trigger() else trigger}


def _states(value: Any, at: At) -> tuple[State, ...]:
    return unique(many(read_state)(value, at))


def _consecutive(value: Any, _at: At) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_IN_A_ROW:
        raise UserError(f"{shown(value)}: expected a whole number from 1 to {MOST_IN_A_ROW}")
    return value


def _deadlines(value: Any, at: At) -> tuple[Any, ...]:
    found = many(_one_of(KINDS))(value, at)
    if not found:
        raise UserError(f"is empty: expected some of {', '.join(KINDS)}")
    return tuple(dict.fromkeys(found))


def _one_of(known: tuple[str, ...]) -> Callable[[Any, At], Any]:
    def read(value: Any, _at: At) -> str:
        if not isinstance(value, str) or value not in known:
            raise UserError(f"{shown(value)}: expected one of {', '.join(known)}")
        # The constant itself: what equals a default is left out only if it is that object.
        return known[known.index(value)]

    return read


# --- what ---------------------------------------------------------------------------------------


def _schedule(fields: Fields, common: Common) -> Action:
    job_id = fields.take("job_id", read_job_id)
    args = fields.take("args", words, {})
    fields.finish()
    return ScheduleAction(job_id=job_id, args=args, **common)


def _email(fields: Fields, common: Common) -> Action:
    to = fields.take("to", _addresses)
    cc = fields.take("cc", many(_address), ())
    sender = fields.take("from", _address, None)
    subject = fields.take("subject", text, None)
    body = fields.take("body", text, None)
    fields.finish()
    return EmailAction(to=to, cc=cc, sender=sender, subject=subject, body=body, **common)


def _webhook(fields: Fields, common: Common) -> Action:
    url = fields.take("url", _url)
    method = fields.take("method", _method, "POST")
    headers = fields.take("headers", _headers, {})
    body = fields.take("body", free(DEEPEST_BODY, filled), None)
    secret = fields.take("secret", filled, None)
    fields.finish()
    return WebhookAction(
        url=url, method=method, headers=headers, body=body, secret=secret, **common
    )


def _command(fields: Fields, common: Common) -> Action:
    argv = fields.take("argv", _argv, ())
    command = fields.take("command", _shell, None)
    timeout_us = fields.take("timeout", _timeout, None)
    if ("argv" in fields.data) == ("command" in fields.data):
        fields.at.fail("expected exactly one of argv, command")
    fields.finish()
    return CommandAction(argv=argv, command=command, timeout_us=timeout_us, **common)


def _notify(fields: Fields, common: Common) -> Action:
    service = fields.take("service", filled)
    title = fields.take("title", text, None)
    body = fields.take("body", text, None)
    fields.finish()
    return NotifyAction(service=service, title=title, body=body, **common)


def _extension(fields: Fields, name: str, common: Common) -> Action:
    timeout_us = fields.take("timeout", _timeout, None)
    data = read_data(fields, registry.kind_of("action", name))
    return ExtensionAction(name=name, data=data, timeout_us=timeout_us, **common)


_READERS: dict[str, Callable[[Fields, Common], Action]] = {
    "schedule": _schedule,
    "email": _email,
    "webhook": _webhook,
    "command": _command,
    "notify": _notify,
}
ACTION_TYPES = {name: name for name in _READERS} | {"ScheduleAction": "schedule"}


# --- their parts --------------------------------------------------------------------------------


def _addresses(value: Any, at: At) -> tuple[str, ...]:
    found = many(_address)(value, at)
    if not found:
        raise UserError("is empty: expected at least one address")
    return found


def _address(value: Any, at: At) -> str:
    found = filled(value, at)
    plain = found.isprintable() and ("@" in found or " " not in found)
    if not is_template(found) and not plain:
        raise UserError(f"{shown(found)}: expected an address like ops@example.com")
    return found


def _url(value: Any, at: At) -> str:
    found = filled(value, at)
    if is_template(found):
        return found
    if "@" in found.partition("://")[2].partition("/")[0]:
        # Not shown: it may be a secret.
        raise UserError("holds a user name or password: expected none; use a header or a secret")
    match = _HTTP.match(found)
    if match is None or int(match["port"] or 0) > 65_535:
        raise UserError(f"{shown(found)}: expected an address like https://example.com/hook")
    return found


def _method(value: Any, at: At) -> str:
    return str(_one_of(METHODS)(value.upper() if isinstance(value, str) else value, at))


def _headers(value: Any, at: At) -> dict[str, str]:
    found = words(value, at)
    for name, said in found.items():
        if not _HEADER.match(name) or name.lower() in _OWN_HEADERS:
            at.fail(f"{shown(name)}: expected the name of a header that may be set", key=name)
        elif any(ord(char) < 32 and char != "\t" for char in said):
            at.fail(f"{name}: expected a text of one line", key=name)
    return found


def _argv(value: Any, at: At) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise UserError(f"{shown(value)}: expected a list of texts")
    return many(text)(value, at)


def _shell(value: Any, at: At) -> str:
    found = filled(value, at)
    if is_template(found):
        raise UserError(
            "is a template: expected none, since texts would become code; "
            "use the environment ($CALLSHEET_RUN_ID …), or argv"
        )
    return found


def _timeout(value: Any, _at: At) -> int:
    found = parse_duration(value)
    if not 0 < found <= LONGEST_US:
        raise UserError(f"{shown(value)}: expected more than 0, at most an hour")
    return found
