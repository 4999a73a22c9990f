"""How a query for runs is answered: which index leads, and how many numbers are looked at.

Every way gives run numbers, newest first, and stops at the page's end, so that a page costs the
same at ten million runs as at a thousand. Called by the SQLite reader only, inside its transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from ..jobs.run import run_number
from ..jobs.states import State
from .interface import RunQuery
from .rows import (
    BLOCK_BITS,
    PAGE_RUNS,
    STATE_CODES,
    STATES,
    args_needles,
    args_text,
    has_args,
    label_text,
)

TOP = 2**62
# With more jobs than this the newest runs are looked through first: many jobs are seldom all idle.
MANY_JOBS = 64
NEWEST_RUNS = 20_000

Range = tuple[int, int]


def add_functions(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that these queries use."""
    connection.create_function("has_args", 2, has_args, deterministic=True)


def find_numbers(connection: sqlite3.Connection, query: RunQuery) -> list[int]:
    """Return the run numbers of the page a query asks for, newest first."""
    job_ids = wanted_jobs(query)
    if _is_empty(query, job_ids):
        return []
    limit = max(0, min(query.limit, PAGE_RUNS))
    top = TOP if query.before_number is None else query.before_number
    ranges = cut(time_ranges(connection, query), top)
    if not ranges or not limit:
        return []
    walk = _Walk(connection, query, limit)
    whole = (ranges[-1][0], ranges[0][1])
    if query.run_ids is not None:
        return walk.by_ids(query.run_ids, whole)
    if job_ids is not None and query.args:
        return walk.by_args(job_ids, whole)
    if job_ids is not None:
        if len(job_ids) > MANY_JOBS:
            found = walk.newest(job_ids, whole)
            if len(found) == limit:
                return found
        keys = [(job_id, code) for job_id in job_ids for code in _codes(query)]
        return walk.by_keys("runs_job", "job_id = ? AND state = ?", keys, whole)
    if query.states is not None and len(set(query.states)) < len(STATE_CODES):
        return walk.by_keys("runs_state", "state = ?", [(c,) for c in _codes(query)], whole)
    return walk.by_ranges(ranges)


def matching(connection: sqlite3.Connection, query: RunQuery) -> tuple[str, list[Any]] | None:
    """Return the FROM and WHERE of all runs a query matches, and its values; None: no run can."""
    job_ids = wanted_jobs(query)
    ranges = time_ranges(connection, query)
    if _is_empty(query, job_ids) or not ranges:
        return None
    terms, values = _residue(query)
    source = "runs"
    if query.run_ids is not None:
        terms.append("n IN (SELECT value FROM json_each(?))")
        values.append(_json_numbers(query.run_ids))
    if job_ids is not None:
        terms.append("job_id IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(job_ids))
        if query.args and query.run_ids is None:
            source = "runs INDEXED BY runs_instance"
    if query.states is not None:
        terms.append(_states_term(query))
    low, high = ranges[-1][0], ranges[0][1]
    if (low, high) != (0, TOP):
        terms.append("n >= ? AND n < ?")
        values += (low, high)
    return f"{source} WHERE {' AND '.join(terms) or '1'}", values


def wanted_jobs(query: RunQuery) -> list[str] | None:
    """Return the jobs a query is limited to, None when it is not."""
    if query.job_ids is None:
        return None if query.job_id is None else [query.job_id]
    if query.job_id is None:
        return sorted(set(query.job_ids))
    return [query.job_id] if query.job_id in query.job_ids else []


class _Walk:
    """One page's search: the terms that no index answers, and the limit."""

    def __init__(self, connection: sqlite3.Connection, query: RunQuery, limit: int) -> None:
        self._connection = connection
        self._query = query
        self._limit = limit
        self._terms, self._values = _residue(query)

    def by_ids(self, run_ids: Iterable[str], whole: Range) -> list[int]:
        """Look at these runs."""
        terms = ["n IN (SELECT value FROM json_each(?))"]
        values: list[Any] = [_json_numbers(run_ids)]
        job_ids = wanted_jobs(self._query)
        if job_ids is not None:
            # The plus keeps the index of jobs out of it.
            terms.append("+job_id IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(job_ids))
        if self._query.states is not None:
            terms.append(_states_term(self._query))
        return self._select("runs", terms, values, whole)

    def by_args(self, job_ids: list[str], whole: Range) -> list[int]:
        """Look through the args of all runs of the jobs, without reading the runs."""
        terms = ["job_id IN (SELECT value FROM json_each(?))"]
        if self._query.states is not None:
            terms.append(_states_term(self._query))
        return self._select("runs INDEXED BY runs_instance", terms, [json.dumps(job_ids)], whole)

    def newest(self, job_ids: list[str], whole: Range) -> list[int]:
        """Look at the newest runs only."""
        source = (
            "(SELECT * FROM runs WHERE n >= ? AND n < ?"
            f" ORDER BY n DESC LIMIT {NEWEST_RUNS}) AS runs"
        )
        terms = ["job_id IN (SELECT value FROM json_each(?))"]
        if self._query.states is not None:
            terms.append(_states_term(self._query))
        return self._select(source, terms, [*whole, json.dumps(job_ids)], whole)

    def by_keys(
        self, index: str, term: str, keys: list[tuple[Any, ...]], whole: Range
    ) -> list[int]:
        """Take the newest of each key of an index; the page is the newest of them all."""
        low, high = whole
        found: list[int] = []
        text = self._text(f"runs INDEXED BY {index}", [term])
        execute = self._connection.execute
        for key in keys:
            rows = execute(text, [*key, *self._values, low, high, self._limit])
            found += [row[0] for row in rows]
            if len(found) > self._limit:
                found.sort(reverse=True)
                del found[self._limit :]
                low = max(low, found[-1])
        return sorted(found, reverse=True)

    def by_ranges(self, ranges: list[Range]) -> list[int]:
        """Walk down the runs themselves."""
        found: list[int] = []
        terms = [] if self._query.states is None else [_states_term(self._query)]
        text = self._text("runs NOT INDEXED", terms)
        for low, high in ranges:
            values = [*self._values, low, high, self._limit - len(found)]
            found += [row[0] for row in self._connection.execute(text, values)]
            if len(found) >= self._limit:
                break
        return found

    def _select(self, source: str, terms: list[str], values: list[Any], whole: Range) -> list[int]:
        text = self._text(source, terms)
        bound = [*values, *self._values, *whole, self._limit]
        return [row[0] for row in self._connection.execute(text, bound)]

    def _text(self, source: str, terms: list[str]) -> str:
        where = " AND ".join([*terms, *self._terms, "n >= ? AND n < ?"])
        return f"SELECT n FROM {source} WHERE {where} ORDER BY n DESC LIMIT ?"


def _is_empty(query: RunQuery, job_ids: list[str] | None) -> bool:
    """Whether a term is an empty set."""
    return job_ids == [] or query.states == () or query.run_ids == ()


def _residue(query: RunQuery) -> tuple[list[str], list[Any]]:
    """Return the terms that no index answers: args, label, times."""
    terms: list[str] = []
    values: list[Any] = []
    if query.args:
        # The first terms are quick and pass a little too much; the last one is exact.
        for needle in args_needles(query.args):
            terms.append("instr(args, ?)")
            values.append(needle)
        terms.append("has_args(args, ?)")
        values.append(args_text(query.args))
    if query.label is not None:
        terms.append("instr(labels, ?)")
        values.append(label_text(query.label))
    for term, bound in (
        ("+schedule_us >= ?", query.since_us),
        ("+schedule_us < ?", query.until_us),
        ("changed_us >= ?", query.changed_since_us),
    ):
        if bound is not None:
            terms.append(term)
            values.append(bound)
    return terms, values


def time_ranges(connection: sqlite3.Connection, query: RunQuery) -> list[Range]:
    """Return the ranges of run numbers that may hold runs of the query's times, highest first."""
    if query.since_us is None and query.until_us is None and query.changed_since_us is None:
        return [(0, TOP)]
    blocks = connection.execute(
        "SELECT block FROM spans WHERE most_schedule_us >= ? AND least_schedule_us < ?"
        " AND most_changed_us >= ? ORDER BY block DESC",
        (
            -TOP if query.since_us is None else query.since_us,
            TOP if query.until_us is None else query.until_us,
            -TOP if query.changed_since_us is None else query.changed_since_us,
        ),
    )
    ranges: list[Range] = []
    for (block,) in blocks:
        low, high = block << BLOCK_BITS, (block + 1) << BLOCK_BITS
        if ranges and ranges[-1][0] == high:
            ranges[-1] = (low, ranges[-1][1])
        else:
            ranges.append((low, high))
    return ranges


def cut(ranges: list[Range], top: int) -> list[Range]:
    """Return the ranges below `top`."""
    return [(low, min(high, top)) for low, high in ranges if low < top]


def _codes(query: RunQuery) -> list[int]:
    return sorted({STATE_CODES[s] for s in query.states} if query.states is not None else STATES)


def _states_term(query: RunQuery) -> str:
    codes: list[State] = list(query.states or ())
    return f"state IN ({', '.join(str(STATE_CODES[state]) for state in codes)})"


def _json_numbers(run_ids: Iterable[str]) -> str:
    numbers = (run_number(run_id) for run_id in run_ids)
    return json.dumps([number for number in numbers if number is not None])
