"""What is kept of a program: the keys `output` and `artifacts`.

Read, bound and written back here. Called by `parse_programs.py`, `binding.py`, `unparse.py` and the
settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import UNSET, UnsetType

from .errors import UserError
from .keeping import ARTIFACT_BYTES, KEEP_AT_LEAST, KEEP_AT_MOST
from .programs import STREAMS, Artifact, OutputSpec
from .reading import At, Fields, filled, many, shown

ARTIFACTS_AT_MOST = 50
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
SIZE = r"[0-9]{1,13} ?([KMGT](iB|B)?|B)?"
_SIZE = re.compile(rf"{SIZE}\Z")


def read_output(fields: Fields) -> dict[str, Any]:
    """Take the keys of a program that say what is kept of it.

    Returns:
        The field `output` of its record.
    """
    streams, keep_bytes = fields.take("output", _output, None) or ("combined", None)
    artifacts = fields.take("artifacts", many(_artifact), ()) or ()
    if len(artifacts) > ARTIFACTS_AT_MOST:
        raise UserError(f"artifacts: are {len(artifacts)}: expected at most {ARTIFACTS_AT_MOST}")
    if artifacts and fields.data.get("cwd") is None:
        raise UserError("artifacts: have paths below the working folder: expected cwd too")
    spec = OutputSpec(streams=streams, keep_bytes=keep_bytes, artifacts=artifacts)
    return {"output": UNSET if spec == OutputSpec() else spec}


def output_texts(spec: OutputSpec | UnsetType) -> Iterator[str]:
    """Yield the texts that binding renders."""
    if spec is not UNSET:
        yield from (artifact.path for artifact in spec.artifacts)


def bound_output(
    spec: OutputSpec | UnsetType, expand: Callable[[str], str]
) -> OutputSpec | UnsetType:
    """Return what a run is bound to.

    Raises:
        UserError: a path leads out of the working folder.
    """
    if spec is UNSET:
        return UNSET
    artifacts = tuple(
        Artifact(path=path_below(expand(artifact.path)), max_bytes=artifact.max_bytes)
        for artifact in spec.artifacts
    )
    return OutputSpec(streams=spec.streams, keep_bytes=spec.keep_bytes, artifacts=artifacts)


def output_data(spec: OutputSpec | UnsetType) -> dict[str, Any]:
    """Return the keys as written in a job, those at their defaults left out."""
    if spec is UNSET:
        return {}
    output: dict[str, Any] = {}
    if spec.streams != "combined":
        output["streams"] = spec.streams
    if spec.keep_bytes is not None:
        output["keep"] = spec.keep_bytes
    artifacts = [
        artifact.path
        if artifact.max_bytes == ARTIFACT_BYTES
        else {"path": artifact.path, "max_size": artifact.max_bytes}
        for artifact in spec.artifacts
    ]
    found: dict[str, Any] = {"output": output} if output else {}
    return found | ({"artifacts": artifacts} if artifacts else {})


def path_below(text: str) -> str:
    """Return a path that stays below the folder it is taken from.

    Raises:
        UserError: it may not.
    """
    parts = text.split("/")
    if text.startswith("/") or ".." in parts or "" in parts or "\0" in text:
        raise UserError(f"{shown(text)}: expected a path below the working folder, without '..'")
    return text


def read_keep(value: Any, at: At) -> int:
    """Read how much is kept of an output, in bytes."""
    found = read_size(value, at)
    if not KEEP_AT_LEAST <= found <= KEEP_AT_MOST:
        raise UserError(f"{shown(value)}: expected from {KEEP_AT_LEAST >> 10} KiB to 1 TiB")
    return found


def read_size(value: Any, _at: At) -> int:
    """Read a number of bytes, or a text like `64M` or `1 GiB`; units are powers of 1,024."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if not isinstance(value, str) or not _SIZE.match(value):
        raise UserError(f"{shown(value)}: expected bytes, or a size like 64M or 1 GiB")
    digits = value.rstrip("KMGTiB ")
    unit = value[len(digits) :].strip().removesuffix("B").removesuffix("i")
    return int(digits) * _UNITS[unit]


def _output(value: Any, at: At) -> tuple[str, int | None]:
    fields = Fields(value, at)
    streams = fields.take("streams", _streams, "combined")
    keep_bytes = fields.take("keep", read_keep, None)
    fields.finish()
    return streams, keep_bytes


def _streams(value: Any, _at: At) -> str:
    if not isinstance(value, str) or value not in STREAMS:
        raise UserError(f"{shown(value)}: expected one of {', '.join(STREAMS)}")
    return value


def _artifact(value: Any, at: At) -> Artifact:
    if isinstance(value, str):
        return Artifact(path=_pattern(value, at))
    fields = Fields(value, at)
    path = fields.take("path", _pattern)
    max_bytes = fields.take("max_size", _max_bytes, ARTIFACT_BYTES)
    fields.finish()
    return Artifact(path=path, max_bytes=max_bytes)


def _pattern(value: Any, at: At) -> str:
    found = filled(value, at)
    return found if "{{" in found or "{%" in found else path_below(found)


def _max_bytes(value: Any, at: At) -> int:
    found = read_size(value, at)
    if not 1 <= found <= KEEP_AT_MOST:
        raise UserError(f"{shown(value)}: expected more than 0, and at most 1 TiB")
    return found
