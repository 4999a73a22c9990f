"""The worker beside the ledger: copies runs into archives, counts, backs up, removes output files.

Posted to by the ledger's core through its stage; works on a thread of its own with connections of
its own that only read the database. What it says goes to the core as `StepDone`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import resource
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ..jobs.errors import CallsheetError
from ..jobs.states import LIVE
from ..jobs.times import format_time_ms
from ..store.archive import Chunk, copy_chunk, drop_outputs
from ..store.backup import backup_database
from ..store.interface import RunQuery
from ..store.sqlite import SqliteReader
from .upkeep_seam import CopyRuns, CountPages, DropRuns, Step, StepDone, TakeBackup, TakeStats

log = logging.getLogger("callsheet.upkeep")

# Counting runs by state is a look at every entry of an index.
STATS_LIMIT_S = 60.0


class UpkeepWork:
    """See the module. `tell` takes what there is to say, on the thread."""

    def __init__(self, database: str, outputs: str, tell: Callable[[StepDone], None]) -> None:
        self._database = database
        self._outputs = outputs
        self._tell = tell
        self._line: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def take(self, messages: Iterable[Any]) -> None:
        """Take posts of the core; returns at once. The thread is there from the first on."""
        for message in messages:
            if isinstance(message, DropRuns | CopyRuns | CountPages | TakeStats | TakeBackup):
                self._line.put(message)
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="upkeep", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        """End the thread; a copy or a backup in hand is left unfinished, and harms nothing."""
        self._line.put(None)

    def _work(self) -> None:
        while (message := self._line.get()) is not None:
            if isinstance(message, DropRuns):
                drop_outputs(self._outputs, message.run_ids)
                continue
            begun_s = time.monotonic()
            try:
                done = self._do(message)
            except (CallsheetError, OSError) as error:
                done = StepDone(run_id=message.run_id, error=str(error))
            except Exception as error:
                # The run has to end, whatever it was; the log has all of it.
                log.exception("run %s: its step failed", message.run_id)
                done = StepDone(run_id=message.run_id, error=f"internal fault: {error!r}")
            self._tell(msgspec.structs.replace(done, took_s=time.monotonic() - begun_s))

    def _do(self, step: Step) -> StepDone:
        match step:
            case CopyRuns():
                return self._copy(step)
            case CountPages():
                return StepDone(run_id=step.run_id, pages=self._unused_pages())
            case TakeStats():
                return self._stats(step)
            case TakeBackup():
                made = backup_database(self._database, self._path(step.path))
                return StepDone(
                    run_id=step.run_id, meta={"seq": made.seq, "size_bytes": made.size_bytes}
                )

    def _copy(self, step: CopyRuns) -> StepDone:
        chunk = Chunk(
            before_us=step.before_us,
            limit=step.limit,
            after=step.after,
            without=step.without,
            counting=step.counting,
            jobs=step.jobs,
            labels=step.labels,
            keep=step.keep,
        )
        path = None if step.path is None else self._path(step.path)
        copied = copy_chunk(self._database, path, self._outputs, chunk)
        return StepDone(
            run_id=step.run_id, copied=copied.runs, rows=copied.rows, remaining=copied.remaining
        )

    def _unused_pages(self) -> int:
        with contextlib.closing(SqliteReader(self._database)) as reader:
            return reader.unused_pages()

    def _stats(self, step: TakeStats) -> StepDone:
        with contextlib.closing(SqliteReader(self._database, limit_s=STATS_LIMIT_S)) as reader:
            epoch, seq = reader.head()
            counts = reader.count_by_state(RunQuery(states=tuple(LIVE)))
            every = reader.count_by_state(RunQuery())
            owed = reader.owed_actions()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        scheduled = sum(n for state, n in counts.items() if state == "scheduled")
        stats = {
            "time": format_time_ms(step.at_us),
            "runs": {state.value: count for state, count in sorted(every.items())},
            "scheduled": {"num_entries": scheduled},
            "run_store": {
                "num_expected_runs": scheduled,
                "num_active_runs": sum(counts.values()) - scheduled,
                "num_runs": sum(every.values()),
            },
            "tasks": {"num_action": owed},
            "database_bytes": os.path.getsize(self._database),
            "rusage_maxrss": usage.ru_maxrss * 1024,
            "rusage_utime": usage.ru_utime,
            "rusage_stime": usage.ru_stime,
            "epoch": epoch,
            "seq": seq,
        }
        line = msgspec.json.encode(stats).decode()
        if step.path is not None:
            with open(self._path(step.path), "a", encoding="utf-8") as file:
                file.write(line + "\n")
        return StepDone(run_id=step.run_id, output=line)

    def _path(self, path: str) -> str:
        """Return a path of a job, which may be relative to the database's folder."""
        return os.path.join(os.path.dirname(os.path.abspath(self._database)), path)
