"""Templates: Jinja2 in a sandbox, strict about names.

A name that is not there raises at once, even under `default` (as in Apsis). The sandbox keeps code
in; what one step of a template makes is bounded here, time and memory as a whole are not, which is
why templates of job files are rendered in the binder, a process with limits of its own.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from functools import lru_cache, wraps
from typing import Any, TypeVar

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .calendars import Calendar
from .errors import UserError
from .template_bounds import (
    FILTERS,
    MAX_CHARS,
    check_call,
    check_filter,
    check_format,
    check_operator,
    check_result,
)
from .template_values import names

T = TypeVar("T")

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
    """Bounds what operators and methods can make, at run time and when constants are folded."""

    intercepted_binops = frozenset({"**", "*", "%", "+", "<<"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Compute a binary operator, unless its result would be too large."""
        check_operator(operator, left, right)
        result = super().call_binop(context, operator, left, right)
        check_result(result)
        return result

    def call(self, context: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call what a template names, unless its result would be too large."""
        check_call(function, args, kwargs)
        return super().call(context, function, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Bound the widths of `str.format`."""
        formatted = super().wrap_str_format(value)
        if formatted is None:
            return None
        pattern = value.__self__

        def bounded(*args: Any, **kwargs: Any) -> str:
            check_format(pattern, (*args, *kwargs.values()))
            return formatted(*args, **kwargs)

        return bounded


def is_template(text: str) -> bool:
    """Whether a text holds anything to be rendered."""
    # Most texts have no brace at all.
    return "{" in text and any(mark in text for mark in MARKS)


@lru_cache(maxsize=10_000)
def can_be_named(name: str) -> bool:
    """Whether a template can say the name of an arg: `True`, `not` and `a-b` are something else."""
    if not name.isidentifier() or name == "self":
        return False
    try:
        [output] = _ENVIRONMENT.parse(f"{{{{ {name} }}}}").body
    except jinja2.TemplateSyntaxError:
        return False
    return list(output.find_all(jinja2.nodes.Name)) != []


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
    return {**names(calendars), **_FUNCTIONS}


def use(functions: Mapping[str, Callable[..., Any]], filters: Mapping[str, Any]) -> None:
    """Give all templates of this process the functions and filters that its settings name.

    Called once, before anything is rendered; called again, it replaces what was given before.
    """
    _FUNCTIONS.clear()
    _FUNCTIONS.update(functions)
    _ENVIRONMENT.filters.clear()
    _ENVIRONMENT.filters.update({**_environment().filters, **filters})
    _compiled.cache_clear()


def check_syntax(text: str) -> None:
    """Raise TemplateError when a text is not a template that can be compiled."""
    if is_template(text):
        _guarded(lambda: _compiled(text))


# --- inside -------------------------------------------------------------------------------------


def _environment() -> _Sandbox:
    environment = _Sandbox(undefined=_Raises, autoescape=False)
    environment.globals.pop("lipsum")  # Nobody's job is random text.
    environment.filters["quote"] = _quote
    for name in (*FILTERS, "format"):
        environment.filters[name] = _bounded(name, environment.filters[name])
    return environment


def _quote(value: Any) -> str:
    """Return a text as one word of a shell command, whatever is in it.

    Raises:
        TemplateError: it holds a NUL, which no word can.
    """
    text = str(value)
    if "\0" in text:
        raise TemplateError("quote: a NUL character cannot be in a word of a command")
    return shlex.quote(text)


def _bounded(name: str, act: Any) -> Any:
    """Return a filter that is not called when its result would be too large."""
    takes_context = hasattr(act, "jinja_pass_arg")

    @wraps(act)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        value, rest = (args[1], args[2:]) if takes_context else (args[0], args[1:])
        check_filter(name, value, rest, kwargs)
        return act(*args, **kwargs)

    return bounded


# Names that settings cannot give: those of job files written for Apsis keep their meaning.
RESERVED = (
    frozenset(names({})) | {"run_id", "job_id", "results"} | frozenset(_environment().globals)
)
FILTER_NAMES = frozenset(_environment().filters)

_FUNCTIONS: dict[str, Callable[..., Any]] = {}
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
