"""Which job somebody means by a part of its name. Called where people type job IDs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from .errors import UserError

MOST_LISTED = 8
_WORD = re.compile(r"[^\W_]+")


class NoSuchJob(UserError):
    """No job ID matches."""

    def __init__(self, target: str) -> None:
        self.target = target
        super().__init__(f"no job id match: {target}")


class AmbiguousJob(UserError):
    """Several job IDs match; `matches` holds them all, sorted."""

    def __init__(self, target: str, matches: tuple[str, ...]) -> None:
        self.target, self.matches = target, matches
        more = " …" if len(matches) > MOST_LISTED else ""
        super().__init__(f"ambiguous job id: {', '.join(matches[:MOST_LISTED])}{more}")


def match_job_id(target: str, ids: Iterable[str]) -> str:
    """Return the job ID that `target` names exactly, or the only one it may mean.

    It may mean a job when each of its words is the beginning of one of the job ID's words, in any
    order. Words are runs of letters and digits; case matters.

    Raises:
        NoSuchJob: it means none.
        AmbiguousJob: it means several.
    """
    known = ids if isinstance(ids, set | frozenset | dict) else list(ids)
    if target in known:
        return target
    sought = _words(target)
    found = sorted(
        job_id
        for job_id in known
        if sought and all(any(w.startswith(part) for w in _words(job_id)) for part in sought)
    )
    if not found:
        raise NoSuchJob(target)
    if len(found) > 1:
        raise AmbiguousJob(target, tuple(found))
    return found[0]


@lru_cache(maxsize=50_000)
def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text))
