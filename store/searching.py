"""How a `RunFilter` is answered from the rows: which index leads, and how far is looked.

Every way gives run numbers, newest first. What an index answers costs the same at ten million runs
as at a thousand; what none does is looked for from the newest run back, a window of numbers after
the other, until the page is full or the time is up: then the page says from where to go on. Called
by the SQLite reader only, inside its transaction.
"""

from __future__ import annotations

import functools
import json
import sqlite3
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ..jobs.run import run_number
from ..jobs.run_filter import RunFilter, Span, has_arg
from ..jobs.states import State
from .finding import MANY_JOBS, TOP, Range, cut, time_ranges
from .interface import RunQuery
from .results import condition, has_result
from .rows import STATE_CODES, args_text, label_text, owner_heading, owner_text

# Numbers of the first window; the next is twice as wide when that took less than half of QUICK_S.
FIRST_WINDOW = 1 << 16
QUICK_S = 0.2

_decode_args = msgspec.json.Decoder(dict[str, str]).decode
_decode_values = msgspec.json.Decoder(tuple[str, ...]).decode

_WITH_AGENTS = (
    "EXISTS (SELECT 1 FROM run_agents AS theirs WHERE theirs.n = runs.n"
    " AND theirs.agent_id IN (SELECT value FROM json_each(?)))"
)
_IN_BACKFILLS = (
    "EXISTS (SELECT 1 FROM backfill_runs AS ours WHERE ours.n = runs.n"
    " AND ours.backfill IN (SELECT value FROM json_each(?)))"
)

Terms = tuple[list[str], list[Any]]


def add_search_functions(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that these queries use."""
    connection.create_function("has_arg", 3, _has_arg, deterministic=True)


class Search:
    """One filter's search. `job_ids`: the jobs whose runs can match, None: of all."""

    def __init__(self, connection: sqlite3.Connection, wanted: RunFilter) -> None:
        self._connection = connection
        self._wanted = wanted
        self.job_ids = _job_ids(connection, wanted)
        self._terms, self._values = _residue(wanted)
        query = RunQuery(since_us=wanted.since_us, until_us=wanted.until_us)
        self._ranges = time_ranges(connection, query)
        self._codes = sorted(
            code for state, code in STATE_CODES.items() if _may_be(wanted.states, state)
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing can match."""
        return (
            self.job_ids == [] or not self._codes or not self._ranges
            or self._wanted.run_ids == frozenset() or self._wanted.agents == frozenset()
            or self._wanted.backfills == frozenset()
        )  # fmt: skip

    def page(self, before: int | None, limit: int) -> tuple[list[int], int | None]:
        """Return the numbers of the first `limit` runs below `before`, and from where to go on
        (None: there are no more)."""
        found = [] if self.is_empty else self._in(cut(self._ranges, _top(before)), limit + 1)
        return found[:limit], found[limit - 1] if len(found) > limit else None

    def windows(
        self, before: int | None, limit: int, until_s: float
    ) -> tuple[list[int], int | None]:
        """Return the same, looking window by window; when the time (monotonic) is up, what was
        found so far."""
        head = self._connection.execute("SELECT coalesce(max(n), 0) + 1 FROM runs").fetchone()[0]
        high = min(_top(before), head)
        lowest = self._ranges[-1][0]
        width = FIRST_WINDOW
        found: list[int] = []
        while high > lowest:
            begun_s = time.monotonic()
            low = max(lowest, high - width)
            some = [(max(a, low), b) for a, b in cut(self._ranges, high) if b > low]
            found += self._in(some, limit + 1 - len(found)) if some else []
            if len(found) > limit:
                return found[:limit], found[limit - 1]
            high = low
            now_s = time.monotonic()
            if now_s >= until_s:
                break
            if now_s - begun_s < QUICK_S / 2:
                width *= 2
        return found, high if high > lowest else None

    def count_by_state(self) -> list[tuple[int, int]]:
        """Return (state code, how many runs) of all that match."""
        if self.is_empty:
            return []
        source, terms, values = self.matching()
        text = f"SELECT state, count(*) FROM {source} WHERE {' AND '.join(terms) or '1'}"
        return self._connection.execute(f"{text} GROUP BY state", values).fetchall()

    def matching(self) -> tuple[str, list[str], list[Any]]:
        """Return all that match as a FROM, the terms of a WHERE and their values."""
        wanted = self._wanted
        jobs, values = self._all_jobs()
        terms = [*jobs, *self._states_term()]
        source = "runs"
        if wanted.agents is not None:
            source = "run_agents CROSS JOIN runs USING (n)"
            terms.append("agent_id IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(sorted(wanted.agents)))
        elif wanted.backfills is not None:
            source = "backfill_runs CROSS JOIN runs USING (n)"
            terms.append("backfill IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(sorted(wanted.backfills)))
        elif wanted.results:
            source = "results CROSS JOIN runs USING (n)"
            where, bound = condition(wanted.results[0])
            terms.append(where)
            values += bound
        if wanted.run_ids is not None:
            terms.append("runs.n IN (SELECT value FROM json_each(?))")
            values.append(_numbers(wanted.run_ids))
        terms += self._terms
        values += self._values
        whole = (self._ranges[-1][0], self._ranges[0][1])
        if whole != (0, TOP):
            terms.append("runs.n >= ? AND runs.n < ?")
            values += whole
        return source, terms, values

    # --- inside ---------------------------------------------------------------------------------

    def _in(self, ranges: list[Range], limit: int) -> list[int]:
        """Return the newest runs in these ranges of numbers, at most `limit`."""
        if not ranges:
            return []
        keys: list[tuple[Any, ...]]
        whole = (ranges[-1][0], ranges[0][1])
        wanted = self._wanted
        few_jobs = self.job_ids is not None and len(self.job_ids) <= MANY_JOBS
        if wanted.run_ids is not None:
            jobs, values = self._all_jobs("+")
            terms = ["n IN (SELECT value FROM json_each(?))", *jobs]
            values.insert(0, _numbers(wanted.run_ids))
            if wanted.agents is not None:
                terms.append(_WITH_AGENTS)
                values.append(json.dumps(sorted(wanted.agents)))
            return self._select("runs", terms, values, whole, limit)
        if wanted.agents is not None:
            jobs, values = self._all_jobs("+")
            source = "run_agents INDEXED BY run_agents_agent CROSS JOIN runs USING (n)"
            terms = ["agent_id = ?", *jobs, *self._states_term("+")]
            agents: list[tuple[Any, ...]] = [(agent_id,) for agent_id in sorted(wanted.agents)]
            return self._by_keys(source, terms, agents, values, whole, limit)
        if wanted.backfills is not None:
            jobs, values = self._all_jobs("+")
            source = "backfill_runs INDEXED BY backfill_runs_backfill CROSS JOIN runs USING (n)"
            terms = ["backfill = ?", *jobs, *self._states_term("+")]
            keys = [(number,) for number in sorted(wanted.backfills)]
            return self._by_keys(source, terms, keys, values, whole, limit)
        if wanted.results and not few_jobs:
            # The rows of a key are in the order of run numbers.
            jobs, values = self._all_jobs("+")
            where, bound = condition(wanted.results[0])
            terms = [where, *jobs, *self._states_term("+")]
            source = "results CROSS JOIN runs USING (n)"
            return self._by_keys(source, terms, [tuple(bound)], values, whole, limit)
        if few_jobs:
            assert self.job_ids is not None
            keys = [(job_id, code) for job_id in self.job_ids for code in self._codes]
            terms = ["job_id = ?", "state = ?"]
            return self._by_keys("runs INDEXED BY runs_job", terms, keys, [], whole, limit)
        if len(self._codes) < len(STATE_CODES):
            jobs, values = self._all_jobs("+")
            keys = [(code,) for code in self._codes]
            terms = ["state = ?", *jobs]
            return self._by_keys("runs INDEXED BY runs_state", terms, keys, values, whole, limit)
        return self._by_ranges(ranges, limit)

    def _by_keys(
        self,
        source: str,
        terms: list[str],
        keys: list[tuple[Any, ...]],
        values: list[Any],
        whole: Range,
        limit: int,
    ) -> list[int]:
        """Take the newest of each key of an index; the page is the newest of them all."""
        low, high = whole
        found: list[int] = []
        text = self._text(source, terms)
        for key in keys:
            bound = [*key, *values, *self._values, low, high, limit]
            found += [row[0] for row in self._connection.execute(text, bound)]
            if len(found) > limit:
                found.sort(reverse=True)
                del found[limit:]
                low = max(low, found[-1])
        return sorted(found, reverse=True)[:limit]

    def _by_ranges(self, ranges: list[Range], limit: int) -> list[int]:
        """Walk down the runs themselves."""
        found: list[int] = []
        jobs, values = self._all_jobs()
        for low_high in ranges:
            some = limit - len(found)
            found += self._select("runs NOT INDEXED", jobs, values, low_high, some)
            if len(found) >= limit:
                break
        return found

    def _select(
        self, source: str, terms: list[str], values: list[Any], whole: Range, limit: int
    ) -> list[int]:
        bound = [*values, *self._values, *whole, limit]
        text = self._text(source, [*terms, *self._states_term()])
        return [row[0] for row in self._connection.execute(text, bound)]

    def _text(self, source: str, terms: list[str]) -> str:
        where = " AND ".join([*terms, *self._terms, "n >= ? AND n < ?"])
        return f"SELECT n FROM {source} WHERE {where} ORDER BY n DESC LIMIT ?"

    def _all_jobs(self, plus: str = "") -> Terms:
        """Return the term that a run is of one of the jobs; a plus keeps indexes out of it."""
        if self.job_ids is None:
            return [], []
        return [f"{plus}job_id IN (SELECT value FROM json_each(?))"], [json.dumps(self.job_ids)]

    def _states_term(self, plus: str = "") -> list[str]:
        if len(self._codes) == len(STATE_CODES):
            return []
        return [f"{plus}state IN ({', '.join(map(str, self._codes))})"]


def _job_ids(connection: sqlite3.Connection, wanted: RunFilter) -> list[str] | None:
    """Return the jobs that the terms about jobs, and labels and owners of runs, leave."""
    found: set[str] | None = None
    owners = [] if wanted.owners is None else [[owner_heading(one) for one in wanted.owners]]
    for group in (*wanted.labels, *owners):
        rows = connection.execute(
            "SELECT job_id FROM run_jobs WHERE label IN (SELECT value FROM json_each(?))",
            (json.dumps(group),),
        )
        having = {row[0] for row in rows}
        found = having if found is None else found & having
    if not wanted.about_jobs:
        return None if found is None else sorted(found)
    job = wanted.job
    if (
        job is not None
        and connection.execute("SELECT 1 FROM jobs WHERE job_id = ?", (job,)).fetchone()
    ):
        # A whole id means that job and what lies below it, not others that share its words.
        rows = connection.execute(
            "SELECT job_id FROM run_jobs WHERE label = ''"
            " AND (job_id = ? OR job_id > ? AND job_id < ?)",
            (job, f"{job}/", f"{job}0"),
        )
    else:
        rows = connection.execute("SELECT job_id FROM run_jobs WHERE label = ''")
    named = [row[0] for row in rows if wanted.matches_job(row[0])]
    return [job_id for job_id in named if found is None or job_id in found]


def _residue(wanted: RunFilter) -> Terms:
    """Return the terms that no index answers."""
    terms: list[str] = []
    values: list[Any] = []

    def add(term: str, *bound: Any) -> None:
        terms.append(term)
        values.extend(bound)

    for states in wanted.states_or_held:
        codes = ", ".join(str(STATE_CODES[state]) for state in sorted(states))
        add(f"(held OR +state IN ({codes}))")
    if wanted.held is not None:
        add("held = ?", wanted.held)
    for group in wanted.labels:
        any_of = " OR ".join(["instr(labels, ?)"] * len(group)) or "0"
        add(f"({any_of})", *map(label_text, group))
    for label in wanted.without_labels:
        add("NOT instr(labels, ?)", label_text(label))
    if wanted.owners is not None:
        any_of = " OR ".join(["instr(labels, ?)"] * len(wanted.owners)) or "0"
        add(f"({any_of})", *map(owner_text, sorted(wanted.owners)))
    for owner in sorted(wanted.without_owners):
        add("NOT instr(labels, ?)", owner_text(owner))
    for name, given in wanted.args:
        # The first is quick and lets a little too much pass; the second is exact.
        needles = _needles(name, given)
        any_of = " OR ".join(["instr(args, ?)"] * len(needles))
        add(f"({any_of}) AND has_arg(args, ?, ?)", *needles, name, _json(given))
    for name, given in wanted.without_args:
        needle = _needles(name, None)[0]
        add("NOT (instr(args, ?) AND has_arg(args, ?, ?))", needle, name, _json(given))
    if wanted.without_agents:
        add(f"NOT {_WITH_AGENTS}", json.dumps(sorted(wanted.without_agents)))
    for term in wanted.results:
        text, bound = has_result(term)
        add(text, *bound)
    for term in wanted.without_results:
        text, bound = has_result(term)
        add(f"NOT {text}", *bound)
    if wanted.backfills is not None:
        add(_IN_BACKFILLS, json.dumps(sorted(wanted.backfills)))
    if wanted.without_backfills:
        add(f"NOT {_IN_BACKFILLS}", json.dumps(sorted(wanted.without_backfills)))
    if wanted.without_run_ids:
        add("+n NOT IN (SELECT value FROM json_each(?))", _numbers(wanted.without_run_ids))
    if wanted.ad_hoc is not None:
        word = "IN" if wanted.ad_hoc else "NOT IN"
        add(f"+job_id {word} (SELECT job_id FROM ad_hoc_jobs)")
    _add_times(wanted, add)
    return terms, values


def _add_times(wanted: RunFilter, add: Callable[..., None]) -> None:
    if wanted.since_us is not None:
        add("+schedule_us >= ?", wanted.since_us)
    if wanted.until_us is not None:
        add("+schedule_us < ?", wanted.until_us)
    for span in wanted.without_spans:
        inside, bound = _inside(span)
        add(f"NOT ({inside})", *bound)


def _inside(span: Span) -> tuple[str, list[int]]:
    terms = ["+schedule_us >= ?", "+schedule_us < ?"]
    given = [(term, bound) for term, bound in zip(terms, span, strict=True) if bound is not None]
    return " AND ".join(term for term, _ in given), [bound for _, bound in given]


def _needles(name: str, values: Iterable[str] | None) -> list[str]:
    """Return texts of which one occurs in the args text of every run with such an arg."""
    if values is None:
        return [args_text({name: ""})[1:-3]]
    return [args_text({name: value})[1:-1] for value in values]


@functools.lru_cache(maxsize=256)
def _values_of(text: str) -> tuple[str, ...]:
    return _decode_values(text)


def _has_arg(args: str, name: str, values: str | None) -> bool:
    """Whether the args (their text) have the arg, with one of the values (JSON) if given."""
    return has_arg(_decode_args(args), name, None if values is None else _values_of(values))


def _json(values: tuple[str, ...] | None) -> str | None:
    return None if values is None else json.dumps(values)


def _numbers(run_ids: Iterable[str]) -> str:
    return json.dumps([run_number(run_id) for run_id in run_ids])


def _may_be(states: frozenset[State] | None, state: State) -> bool:
    return states is None or state in states


def _top(before: int | None) -> int:
    return TOP if before is None else before
