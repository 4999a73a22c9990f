"""Results of runs as rows, and the terms of queries about them. Called by the SQLite store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from ..jobs.result_terms import ResultTerm, number_of, text_of
from ..jobs.run import Run

Row = tuple[str, int, str, float | None]

_COMPARED = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}


def rows_of(run: Run) -> Iterable[Row]:
    """Return the rows of a run's results."""
    return [
        (key, run.number, text_of(value), number_of(value)) for key, value in run.results.items()
    ]


def write_results(
    connection: sqlite3.Connection, rows: list[Row], without: list[tuple[int]]
) -> None:
    """Write results inside the transaction that is open, and remove those of runs that are tried
    again and have none now."""
    if without:
        connection.executemany("DELETE FROM results WHERE n = ?", without)
    if rows:
        connection.executemany(
            "INSERT INTO results (key, n, text, number) VALUES (?, ?, ?, ?) ON CONFLICT (key, n)"
            " DO UPDATE SET text = excluded.text, number = excluded.number",
            rows,
        )


def has_result(term: ResultTerm) -> tuple[str, list[Any]]:
    """Return the SQL that a run of `runs` has such a result, and its values."""
    where, values = condition(term)
    return f"EXISTS (SELECT 1 FROM results AS its WHERE its.n = runs.n AND {where})", values


def condition(term: ResultTerm) -> tuple[str, list[Any]]:
    """Return the SQL that a row of `results` is such a result, and its values."""
    key, sign, values = term
    if not sign:
        return "key = ?", [key]
    if sign == "=":
        marks = ", ".join("?" * len(values))
        return f"key = ? AND text IN ({marks})", [key, *map(text_of, values)]
    bound = number_of(values[0])
    if bound is not None:
        return f"key = ? AND number {_COMPARED[sign]} ?", [key, bound]
    return f"key = ? AND text {_COMPARED[sign]} ?", [key, text_of(values[0])]
