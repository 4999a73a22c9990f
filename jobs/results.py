"""Results: what a program gives back by `key=value` lines, and what its job says of them. Pure.

The agent reads the lines, the ledger holds them against the job, templates of runs that follow name
them. A result is a text, as an arg is; a spec says which texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .errors import UserError
from .params import ParamSpec, read_spec, spec_data, why_not
from .reading import At, Fields, Told, filled, many, shown

# Of the file of one attempt, and the keys in it.
RESULT_BYTES = 64 * 2**10
RESULTS_AT_MOST = 1_000
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}\Z")
NAME_WORDS = "a letter or _, and up to 99 letters, digits, _, . or -"
# Lines that are no results, of which so many are told.
BAD_LINES_TOLD = 5

Specs = dict[str, ParamSpec]


class GivenResults:
    """The results of the run that a run follows, as templates name them: `results.rows`."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        """Return a result; what was not given is told."""
        if name in self._values:
            return self._values[name]
        known = ", ".join(sorted(self._values)[:10]) or "none was given"
        raise UserError(f"results.{name}: is not given: expected one of: {known}")

    def __contains__(self, name: str) -> bool:
        """Whether a result was given."""
        return name in self._values

    def get(self, name: str, default: str = "") -> str:
        """Return a result, `default` when it was not given."""
        return self._values.get(name, default)


# --- what a program has written -----------------------------------------------------------------


def parse_results(data: bytes) -> tuple[dict[str, str], list[str]]:
    """Return what the lines of a result file give, and remarks on what they do not.

    Empty lines are left out; of two lines with a key the later one holds.
    """
    if len(data) > RESULT_BYTES:
        said = f"results: has {len(data)} bytes: expected at most {RESULT_BYTES}: none are taken"
        return {}, [said]
    found: dict[str, str] = {}
    bad: list[str] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        why = _take(line, found)
        if why:
            bad.append(f"results: line {number}: {why}")
    more = len(bad) - BAD_LINES_TOLD
    if more > 0:
        bad[BAD_LINES_TOLD:] = [f"results: {more} more lines are none"]
    return found, bad


def _take(line: bytes, found: dict[str, str]) -> str:
    """Take one line in; return what is wrong with it."""
    try:
        text = line.removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        return "is no UTF-8: expected key=value"
    name, sign, value = text.partition("=")
    if not sign or "\0" in text:
        return f"{shown(text)}: expected key=value"
    if not NAME.match(name):
        return f"{shown(name)}: is no key: expected {NAME_WORDS}"
    if name not in found and len(found) >= RESULTS_AT_MOST:
        return f"{shown(name)}: is one too many: expected at most {RESULTS_AT_MOST} keys"
    found[name] = value
    return ""


def are_results(results: Mapping[str, str]) -> bool:
    """Whether what an agent says are results is within the limits of a file of them."""
    return (
        len(results) <= RESULTS_AT_MOST
        and all(map(NAME.match, results))
        and sum(len(name) + len(value) for name, value in results.items()) <= RESULT_BYTES
    )


# --- what a job says of them --------------------------------------------------------------------


def judged(specs: Specs, results: Mapping[str, str] | None) -> tuple[dict[str, str], str]:
    """Return results with the defaults of those that were not given, and what is wrong with them,
    empty for nothing.

    Args:
        results: None: the agent knows of none, since it is of an older version.
    """
    found = dict(results or {})
    for name, spec in specs.items():
        if spec.default is not None:
            found.setdefault(name, spec.default)
    missing = sorted(specs.keys() - found.keys())
    wrong = [f"missing {', '.join(missing)}"] if missing else []
    if missing and results is None:
        wrong = [f"missing {', '.join(missing)}: its agent is of a version that gives no results"]
    wrong += [
        f"{name}: {said}"
        for name, spec in sorted(specs.items())
        if name in found and (said := why_not(spec, found[name]))
    ]
    return found, f"results: {'; '.join(wrong)}" if wrong else ""


def read_results(value: Any, at: At) -> Specs:
    """Read what a job says of its results: names, or a mapping of names to specs or nothing."""
    if not isinstance(value, Mapping):
        value = dict.fromkeys(many(filled)(value, at))
    fields = Fields(value, at)
    for name in value:
        if not isinstance(name, str) or not NAME.match(name):
            at.fail(f"{shown(name)}: is no key of a result: expected {NAME_WORDS}")
            raise Told
    specs = {name: fields.take(name, _read_spec, None) for name in sorted(value)}
    fields.finish()
    return {name: spec or ParamSpec() for name, spec in specs.items()}


def _read_spec(value: Any, at: At) -> ParamSpec | None:
    spec = read_spec(value, at)
    if spec is not None and spec.pattern is not None:
        # It would be matched where nothing bounds how long that takes.
        raise UserError("a result has no pattern: expected another type")
    return spec


def results_data(specs: Specs) -> Any:
    """Return what a job says of its results as job files have it."""
    if all(spec == ParamSpec() for spec in specs.values()):
        return list(specs)
    return {name: None if spec == ParamSpec() else spec_data(spec) for name, spec in specs.items()}
