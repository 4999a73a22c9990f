"""Which runs a list shows first: what is not over, what was due last, what comes next.

The same list as the console's, which begins around now: in the order of schedule time, of what is
to come only the next few. Made of stretches of `/api/v2/runs-by-time`, each found by the index of
times, so that it costs the same however much is planned ahead. Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .shown import OVER, SYMBOLS

# Of what is to come, as many as the console shows above its line at now.
AHEAD = 5
# The server's largest page.
PAGE = 1_000
UNDER_WAY = ",".join(s for s in SYMBOLS if s not in (*OVER, "new", "scheduled"))

Runs = list[dict[str, Any]]


def runs_around_now(
    server: Any, terms: Mapping[str, str | list[str]], limit: int
) -> tuple[Runs, str]:
    """Return runs that a query means, the latest schedule time first, and the server's time.

    At most `limit`: the next `AHEAD` that are to come (a fifth of few), before them those that
    were due last. Where one side has too few the other has their places. What is under way and for
    another time takes places of what was due first, up to half of them.

    Raises:
        APIError: among others 503, when the order of time takes the server too long.
    """
    due, now = _due(server, terms, limit)
    few = min(AHEAD, limit // 5)
    ahead = _stretch(server, _and(terms, since=now), max(few, limit - len(due)), order="earliest")
    # What was due within the millisecond of `now` is in both.
    known = {run["run_id"] for run in due}
    ahead = [run for run in ahead if run["run_id"] not in known]
    shown = [*reversed(ahead), *due[: limit - len(ahead)]]
    if len(shown) == limit:
        shown = _with_what_is_under_way(server, terms, shown)
    return shown, now


def _due(server: Any, terms: Mapping[str, str | list[str]], limit: int) -> tuple[Runs, str]:
    """Return the runs that were due last, latest first, and the server's time."""
    answer = server.find_runs_by_time(
        **_and(terms, until="now"), limit=str(min(limit, PAGE)), counts="0"
    )
    found: Runs = answer["runs"]
    now: str = answer["now"]
    if len(found) < PAGE or limit <= PAGE:
        return found, now
    # Further pages are of a list that nothing is added to on top: until the time of the first.
    before = sum(run["schedule_time"] < now for run in found)
    rest = _stretch(server, _and(terms, until=now), limit - len(found), offset=before)
    return found + rest, now


def _stretch(
    server: Any,
    terms: Mapping[str, str | list[str]],
    count: int,
    *,
    offset: int = 0,
    order: str = "latest",
) -> Runs:
    """Return `count` runs of a list from a place on, fewer where it ends."""
    found: Runs = []
    while len(found) < count:
        wanted = min(count - len(found), PAGE)
        place = {"offset": str(offset + len(found)), "limit": str(wanted), "order": order}
        page = server.find_runs_by_time(**terms, **place, counts="0")["runs"]
        found += page
        if len(page) < wanted:
            break
    return found


def _with_what_is_under_way(server: Any, terms: Mapping[str, str | list[str]], shown: Runs) -> Runs:
    """Return a full list with what is under way and not yet in it."""
    most = len(shown) // 2
    wanted = str(min(most + len(shown), PAGE))
    found = server.find_runs(**_and(terms, state=UNDER_WAY), limit=wanted, counts="0")
    here = {run["run_id"] for run in shown}
    missing = [run for run in found["runs"] if run["run_id"] not in here][:most]
    if not missing:
        return shown
    # What was due first gives way, then what is to come last.
    least = [run for run in reversed(shown) if run["state"] in OVER]
    least += [run for run in shown if run["state"] == "scheduled"]
    missing = missing[: len(least)]
    gone = {run["run_id"] for run in least[: len(missing)]}
    both = [run for run in shown if run["run_id"] not in gone] + missing
    return sorted(both, key=_time_and_number, reverse=True)


def _time_and_number(run: dict[str, Any]) -> tuple[str, int]:
    """Return what the list is in the order of."""
    return run["schedule_time"], int(run["run_id"][1:])


def _and(terms: Mapping[str, str | list[str]], **more: str) -> dict[str, str | list[str]]:
    """Return terms of which each further one must hold too."""
    both: dict[str, str | list[str]] = dict(terms)
    for name, value in more.items():
        given = terms.get(name, [])
        both[name] = [*([given] if isinstance(given, str) else given), value]
    return both
