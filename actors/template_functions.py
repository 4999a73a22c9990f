"""Functions and filters of templates that an administrator allows, by name in the settings.

Called when the binder's process begins, and by `check`; nobody else imports what a name says. The
names come from settings alone, never from a job.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from ..conf.template_settings import TemplateSettings
from ..jobs.errors import UserError
from ..jobs.templates import use
from .extensions import imported


def load_templates(settings: TemplateSettings) -> None:
    """Give the templates of this process what the settings name.

    Raises:
        UserError: something named cannot be imported, or cannot be called.
    """
    if settings.path is not None and str(settings.path) not in sys.path:
        sys.path.insert(0, str(settings.path))
    use(_found("functions", settings.functions), _found("filters", settings.filters))


def _found(what: str, names: Mapping[str, str]) -> dict[str, Callable[..., Any]]:
    return {name: _imported(f"templates.{what}.{name}", told) for name, told in names.items()}


def _imported(setting: str, told: str) -> Callable[..., Any]:
    """Return what a `module:function` leads to."""
    try:
        found = imported(told)
    except UserError as error:
        raise UserError(f"{setting}: {error}") from None
    if not callable(found):
        raise UserError(f"{setting}: {told} is a {type(found).__name__}: expected a function")
    return found  # type: ignore[no-any-return]
