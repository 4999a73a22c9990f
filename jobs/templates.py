"""Templates: Jinja2 in a sandbox, strict about names.

A name that is not there raises at once, even under `default` (as in Apsis). The sandbox keeps code
in; size and time it bounds only in part (operators, ranges, formats), which is why templates of job
files are rendered in the binder, a process with limits of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .calendars import Calendar
from .errors import UserError
from .template_values import names

T = TypeVar("T")

# A rendered text, and any text an operator makes, is at most so long.
MAX_CHARS = 1_000_000
MAX_EXPONENT = 1_000
MARKS = ("{{", "{%", "{#")


class TemplateError(UserError):
    """A template is wrong, or something it names is not there."""


class _Raises(jinja2.Undefined):
    """A name that is not there raises as soon as it is looked up."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fail_with_undefined_error()

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        if self._undefined_obj is jinja2.utils.missing:
            return f"name '{self._undefined_name}' is not defined"
        kind = type(self._undefined_obj).__name__
        return f"'{kind}' has no attribute '{self._undefined_name}'"


class _Sandbox(ImmutableSandboxedEnvironment):
    """Bounds what operators can make, at run time and when constants are folded."""

    intercepted_binops = frozenset({"**", "*", "%", "+", "<<"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Compute a binary operator, unless its result would be too large."""
        match operator:
            case "**":
                if not _small(left, 10**6) or not _small(right, MAX_EXPONENT):
                    raise TemplateError(f"operator **: expected numbers up to {MAX_EXPONENT}")
            case "*":
                if _sized(left) * _count(right) > MAX_CHARS:
                    raise TemplateError(f"operator *: expected at most {MAX_CHARS} characters")
                if _sized(right) * _count(left) > MAX_CHARS:
                    raise TemplateError(f"operator *: expected at most {MAX_CHARS} characters")
            case "%":
                if isinstance(left, str):
                    raise TemplateError("operator % on text: expected format() or the filter")
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, int) and result.bit_length() > 4096:
            raise TemplateError("a number became too large: expected fewer than 1,234 digits")
        return result


def is_template(text: str) -> bool:
    """Whether a text holds anything to be rendered."""
    return any(mark in text for mark in MARKS)


def expand(
    text: str, args: Mapping[str, str], extra: Mapping[str, Any], builtins: Mapping[str, Any]
) -> str:
    """Render a template. Names are looked up in `args`, then `extra`, then `builtins`.

    Raises:
        TemplateError: its syntax is wrong, a name is missing, or rendering failed; the sentence is
            Jinja2's or the exception's.
    """
    if not is_template(text):
        return text
    return _guarded(lambda: _compiled(text).render({**builtins, **extra, **args}))


def builtins(calendars: Mapping[str, Calendar]) -> dict[str, Any]:
    """Return the names every template of a job may use."""
    return names(calendars)


def check_syntax(text: str) -> None:
    """Raise TemplateError when a text is not a template that can be compiled."""
    if is_template(text):
        _guarded(lambda: _compiled(text))


# --- inside -------------------------------------------------------------------------------------


def _environment() -> _Sandbox:
    environment = _Sandbox(undefined=_Raises, autoescape=False)
    for name in ("lipsum", "cycler"):
        environment.globals.pop(name, None)
    for name in ("center", "indent", "format", "pprint", "wordwrap"):
        environment.filters.pop(name, None)
    return environment


_ENVIRONMENT = _environment()


@lru_cache(maxsize=20_000)
def _compiled(text: str) -> jinja2.Template:
    return _ENVIRONMENT.from_string(text)


def _guarded(act: Callable[[], T]) -> T:
    try:
        result = act()
    except TemplateError:
        raise
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"template: line {error.lineno}: {error.message}") from None
    except (jinja2.TemplateError, UserError) as error:
        raise TemplateError(str(error)) from None
    except (RecursionError, MemoryError):
        raise TemplateError("template: too deep or too large") from None
    except Exception as error:  # noqa: BLE001 - whatever a template computes is the user's
        raise TemplateError(f"{type(error).__name__}: {error}") from None
    if isinstance(result, str) and len(result) > MAX_CHARS:
        raise TemplateError(f"template: expected at most {MAX_CHARS} characters of text")
    return result


def _small(value: Any, most: int) -> bool:
    return isinstance(value, int | float) and abs(value) <= most


def _sized(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple) else 0


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0
