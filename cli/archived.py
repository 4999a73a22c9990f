"""Runs of an archive, looked at without a server: the calls of the client that looking needs.

Reads the file only. Answers have the shapes of the API, so that the same commands print them.
"""

from __future__ import annotations

import os
from typing import Any

from ..jobs.errors import UserError
from ..jobs.jso import run_full_jso
from ..jobs.keeping import ORDER, OUTPUT
from ..jobs.run import Run
from ..jobs.run_filter import RunFilter
from ..jobs.states import State
from ..jobs.times import format_time_ms
from ..store.archive import outputs_of
from ..store.outputs import OutputFiles, OutputGone, shown_length
from ..store.sqlite import SqliteReader
from ..store.streams import StreamViews, is_view
from ..webui.query import parse_filter
from ..webui.records import log_lines, output_record, run_record
from .offline import now_us

# No server waits for what is read here.
LIMIT_S = 600.0
NAMES = ("q", "job", "state", "since", "until", "arg", "label", "owner")


class Archived:
    """An archive, as a client sees a server."""

    def __init__(self, path: str) -> None:
        """Open it.

        Raises:
            StoreUnusable: it is missing, of an older version, or no archive.
        """
        self._path = path
        self._reader = SqliteReader(path, limit_s=LIMIT_S, archive=True)

    def find_runs(self, **terms: Any) -> dict[str, Any]:
        """Return the page of runs that a query means, as the API does."""
        wanted = _filter(terms)
        before = int(terms["cursor"]) if terms.get("cursor") else None
        page = self._reader.find(wanted, before=before, limit=int(terms.get("limit", 100)))
        counts = self._reader.count_found(wanted) if before is None else {}
        return {
            "runs": [run_record(run) for run in page.runs],
            "next_cursor": None if page.before is None else str(page.before),
            "counts": {state.value: counts.get(state, 0) for state in State},
            "now": format_time_ms(now_us()),
        }

    def find_runs_by_time(self, **terms: Any) -> dict[str, Any]:
        """Return a stretch of the runs that a query means in the order of time, as the API does."""
        runs = self._reader.find_by_time(
            _filter(terms),
            offset=int(terms.get("offset", 0)),
            limit=int(terms.get("limit", 100)),
            rising=terms.get("order") == "earliest",
        )
        return {"runs": [run_record(run) for run in runs], "now": format_time_ms(now_us())}

    def get_run(self, run_id: str) -> dict[str, Any]:
        """Return a run."""
        return run_full_jso(self._run(run_id))

    def get_run_log(self, run_id: str) -> list[dict[str, str]]:
        """Return the log of a run."""
        lines = log_lines(self._reader.log(self._run(run_id).run_id))
        return [{"timestamp": line["time"], "message": line["message"]} for line in lines]

    def get(self, path: str) -> dict[str, Any]:
        """Return what the API has at `/api/v2/runs/ID`, as far as outputs go."""
        run = self._run(path.rpartition("/")[2])
        records = [one for one in self._reader.outputs(run.run_id) if one.output_id != ORDER]
        return {"run": {"outputs": [output_record(record) for record in records]}}

    def get_output(self, run_id: str, output_id: str = "output") -> bytes:
        """Return an output of the run's last attempt that has one."""
        records = self._reader.outputs(self._run(run_id).run_id)
        found = [record for record in records if record.output_id == output_id]
        if not found:
            raise UserError(f"run {run_id}: no output {output_id} in {self._path}")
        record = found[-1]
        files = OutputFiles(os.path.abspath(outputs_of(self._path)))
        try:
            if is_view(record):
                of_attempt = {r.output_id: r for r in records if r.attempt == record.attempt}
                order = of_attempt.get(ORDER)
                if OUTPUT not in of_attempt or order is None:
                    raise UserError(f"run {run_id}: what {output_id} is a part of is not there")
                return StreamViews(files).whole(of_attempt[OUTPUT], order, output_id)
            return files.read(record, 0, shown_length(record))
        except OutputGone as error:
            raise UserError(str(error)) from None

    def _run(self, run_id: str) -> Run:
        found = self._reader.run(run_id)
        if found is None:
            raise UserError(f"unknown run {run_id}: it is not in {self._path}")
        return found


def _filter(terms: dict[str, Any]) -> RunFilter:
    """Return the filter of a call's terms.

    Raises:
        BadQuery: one is not understood.
    """
    given = {name: terms[name] for name in NAMES if terms.get(name)}
    params = {
        name: list(value) if isinstance(value, list | tuple) else [str(value)]
        for name, value in given.items()
    }
    return parse_filter(params, now_us())
