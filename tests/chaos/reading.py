"""What is there to be read after chaos: what the server tells of a run, processes, an archive."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

import history as h


def record_of(run: dict[str, Any]) -> h.Run:
    """Return a run as the server tells of it."""
    status = run["meta"].get("program", {}).get("status") or {}
    attempts = [(one["attempt"], one["state"], code_of(one)) for one in run["attempts"]]
    log = [
        h.Said(one["seq"], seconds(one["time"]), one["state"], one["kind"], one["message"])
        for one in run["log"]
    ]
    args = run["args"]
    return h.Run(
        run["run_id"], run["job_id"], args.get("schedule_time") or args.get("key", ""),
        seconds(run["schedule_time"]), run["state"], run["version"], status.get("exit_code"),
        status.get("signal"), run["reason"] or "", attempts, log,
    )  # fmt: skip


def code_of(attempt: dict[str, Any]) -> int | None:
    """Return the exit code that is told of an attempt, None where none is."""
    found = re.match(r"exit code (\d+)", attempt["reason"] or "")
    return int(found[1]) if found else None


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def archived(path: Path) -> dict[str, str]:
    """Return job and key of each run of an archive, as its file says."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT n, job_id, args FROM runs").fetchall()
    return {f"r{n}": f"{job} {json.loads(args)['schedule_time']}" for n, job, args in rows}


def live(folder: Path) -> list[h.Live]:
    """Return the processes that this chaos has started and that are there."""
    mark = f"CHAOS={folder}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, NotADirectoryError):
            environ = (entry / "environ").read_bytes().split(b"\0")
            if mark in environ:
                [run] = [one for one in environ if one.startswith(b"CALLSHEET_RUN_ID=")]
                found.append(h.Live(int(entry.name), run.partition(b"=")[2].decode()))
    return found
