"""Where in a job's data a template stands that cannot be rendered. Called by `checks.py`; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .errors import UserError
from .job import Job
from .reading import KeyPath
from .templates import check_syntax, expand, is_template
from .unparse import condition_data, program_data


def wrong_template(
    job: Job, sentence: str, args: Mapping[str, str], names: Mapping[str, Any]
) -> KeyPath | None:
    """Return the key path of the template that fails with a sentence; None when none does.

    Args:
        args: those of the run that could not be bound.
        names: whatever else templates may name.
    """
    for path, text in templates(job):
        try:
            expand(text, args, {}, names)
        except UserError as error:
            if str(error) == sentence:
                return path
    return None


def wrong_syntax(job: Job) -> Iterator[tuple[KeyPath, str]]:
    """Yield key path and sentence of each template that cannot be compiled."""
    for path, text in templates(job):
        try:
            check_syntax(text)
        except UserError as error:
            yield path, str(error)


def templates(job: Job) -> Iterator[tuple[KeyPath, str]]:
    """Yield the templates of a job's program and conditions with their key paths."""
    yield from _within(program_data(job.program), ("program",))
    for index, condition in enumerate(job.conditions):
        yield from _within(condition_data(condition), ("condition", index))


def _within(data: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(data, str):
        if is_template(data):
            yield path, data
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield from _within(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _within(value, (*path, index))
