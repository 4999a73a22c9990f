"""How a process begins: the keys `env`, `stdin`, `ulimits`, `nice` and `limits` of a program.

Read, bound and written back here. Called by `parse_programs.py`, `binding.py` and `unparse.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from .errors import UserError
from .parse_limits import limits_data, read_limits
from .programs import ENV_MODES, ULIMITS, Launch
from .reading import At, Fields, Told, filled, shown, text, word, words
from .templates import is_template

UNLIMITED = "unlimited"
NICE_FIRST, NICE_LAST = -20, 19
_LIMIT_AT_MOST = 2**63 - 1
_ENV_NAME = re.compile(r"[^=\0]+\Z")
_ENV_KEYS = {"mode", "vars"}
# It may name a file, and is never rendered: whoever chooses args must not choose secrets.
SECRET_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"  # noqa: S105 - what names look like


def read_launch(fields: Fields) -> dict[str, Any]:
    """Take the keys of a program that say how its process begins.

    Returns:
        The fields `env` and `launch` of its record.
    """
    mode, variables, secrets = fields.take("env", _env, None) or ("inherit", {}, {})
    stdin, path = fields.take("stdin", _stdin, None) or (None, None)
    launch = Launch(
        env_mode=mode,
        stdin=stdin,
        stdin_file=path,
        ulimits=fields.take("ulimits", _ulimits, {}),
        nice=fields.take("nice", _nice, None),
        limits=fields.take("limits", read_limits, None),
        secrets=secrets,
    )
    return {"env": variables, "launch": UNSET if launch == Launch() else launch}


def launch_texts(launch: Launch | UnsetType) -> Iterator[str]:
    """Yield the texts that binding renders."""
    if launch is not UNSET:
        yield from (launch.stdin or "", launch.stdin_file or "")


def _lines(text: str, expand: Callable[[str], str]) -> str:
    """Fill in what a process reads. Templates lose a newline at their end: the last line keeps it,
    as it does in a text without a template."""
    found = expand(text)
    return f"{found}\n" if is_template(text) and text.endswith("\n") else found


def bound_launch(launch: Launch | UnsetType, expand: Callable[[str], str]) -> Launch | UnsetType:
    """Return what a run is bound to."""
    if launch is UNSET:
        return UNSET
    return Launch(
        env_mode=launch.env_mode,
        stdin=None if launch.stdin is None else _lines(launch.stdin, expand),
        stdin_file=None if launch.stdin_file is None else expand(launch.stdin_file),
        ulimits=launch.ulimits,
        nice=launch.nice,
        limits=launch.limits,
        secrets=launch.secrets,
    )


def launch_data(env: Mapping[str, str], launch: Launch | UnsetType) -> dict[str, Any]:
    """Return the keys as written in a job, those at their defaults left out."""
    found: dict[str, Any] = {}
    if launch is UNSET:
        launch = Launch()
    variables = {**env, **{name: {"secret": of} for name, of in launch.secrets.items()}}
    if launch.env_mode != "inherit" or is_long_env(variables):
        found["env"] = {"mode": launch.env_mode, "vars": variables}
    elif variables:
        found["env"] = variables
    if launch.stdin is not None:
        found["stdin"] = launch.stdin
    if launch.stdin_file is not None:
        found["stdin"] = {"file": launch.stdin_file}
    if launch.ulimits:
        found["ulimits"] = {
            name: UNLIMITED if limit is None else limit for name, limit in launch.ulimits.items()
        }
    if launch.nice is not None:
        found["nice"] = launch.nice
    if launch.limits is not None:
        found["limits"] = limits_data(launch.limits)
    return found


# --- values -------------------------------------------------------------------------------------


def _env(value: Any, at: At) -> tuple[str, dict[str, str], dict[str, str]]:
    """Read variables, or `{mode, vars}`; return the mode, and the variables that are given as
    texts and as secrets."""
    if not is_long_env(value):
        return "inherit", *_variables(value, at)
    fields = Fields(value, at)
    mode = fields.take("mode", _mode, "inherit")
    variables, secrets = fields.take("vars", _variables, None) or ({}, {})
    fields.finish()
    return mode, variables, secrets


def is_long_env(value: Any) -> bool:
    """Whether an `env` is `{mode, vars}`, and not variables that happen to have these names."""
    if not isinstance(value, Mapping) or not value or not value.keys() <= _ENV_KEYS:
        return False
    return isinstance(value.get("vars"), Mapping) or value.get("mode") in ENV_MODES


def _mode(value: Any, at: At) -> str:
    found = text(value, at)
    if found not in ENV_MODES:
        raise UserError(f"{shown(value)}: expected one of {', '.join(ENV_MODES)}")
    return found


def _variables(value: Any, at: At) -> tuple[dict[str, str], dict[str, str]]:
    given: Mapping[Any, Any] = value if isinstance(value, Mapping) else {}
    fields = Fields({name: of for name, of in given.items() if isinstance(of, Mapping)}, at)
    # Without them what is left is a mapping of texts.
    plain = {n: of for n, of in given.items() if n not in fields.data} if fields.data else value
    found = words(plain, at)
    secrets = {filled(name, at): fields.take(name, _secret) for name in fields.data}
    fields.finish()
    for name in (*found, *secrets):
        if not _ENV_NAME.match(name):
            at.fail(f"{shown(name)}: expected a name without '='", key=name)
            raise Told
    return found, secrets


def _secret(value: Any, at: At) -> str:
    fields = Fields(value, at)
    name = fields.take("secret", _secret_name)
    fields.finish()
    return name


def _secret_name(value: Any, at: At) -> str:
    name = word(value, at)
    if not re.fullmatch(SECRET_NAME, name):
        raise UserError(f"{shown(name)}: expected up to 100 letters, digits and . _ -, no template")
    return name


def _stdin(value: Any, at: At) -> tuple[str | None, str | None]:
    if isinstance(value, str):
        return text(value, at), None
    if not isinstance(value, Mapping):
        raise UserError(f"{shown(value)}: expected a text, or {{file: path}}")
    fields = Fields(value, at)
    path = fields.take("file", filled)
    fields.finish()
    return None, path


def _ulimits(value: Any, at: At) -> dict[str, int | None]:
    fields = Fields(value, at)
    limits = {name: fields.take(name, _limit, None) for name in ULIMITS}
    fields.finish()
    return {name: limits[name] for name in ULIMITS if fields.data.get(name) is not None}


def _limit(value: Any, _at: At) -> int | None:
    if value == UNLIMITED:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{shown(value)}: expected a whole number, or {UNLIMITED}")
    if not 0 <= value <= _LIMIT_AT_MOST:
        raise UserError(f"{value}: expected 0 or more, or {UNLIMITED}")
    return value


def _nice(value: Any, _at: At) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{shown(value)}: expected a whole number")
    if not NICE_FIRST <= value <= NICE_LAST:
        raise UserError(f"{value}: expected {NICE_FIRST} to {NICE_LAST}")
    return value
