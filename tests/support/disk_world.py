"""A `SchedulerWorld` whose ledger writes a real database: what a server leaves behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ledger_driver import START_US, LedgerDriver
from scheduler_world import SECOND, SchedulerWorld
from world import GOOD

from callsheet.actors.binder import Folder
from callsheet.actors.ledger import Ledger
from callsheet.jobs.job import Job
from callsheet.jobs.parse import definition_hash
from callsheet.jobs.run import Run
from callsheet.jobs.run_filter import RunFilter
from callsheet.messages.binding import LoadedJob
from callsheet.store.sqlite import SqliteReader, SqliteWriter, create_database


class DiskDriver(LedgerDriver):
    """A ledger over a database in a file. Nothing is made safe from power loss: a test is short."""

    def __init__(self, path: Path, now_us: int = START_US) -> None:
        self.path = path
        create_database(path, now_us)
        super().__init__(now_us=now_us)

    def restart(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.writer = SqliteWriter(self.path)
        self.ledger = Ledger(self.writer.open(self.now_us))
        self.writer.reader.connection.execute("PRAGMA synchronous = OFF")


class DiskWorld(SchedulerWorld):
    """The whole server but for agents, over a database at `path`."""

    def __init__(self, path: Path, *jobs: Job, **fields: Any) -> None:
        self.path = path
        self._reader: SqliteReader | None = None
        driver = DiskDriver(path)
        super().__init__(*jobs, driver=driver, **{"wire": GOOD} | fields)
        # Days are to pass here, and nobody is to be caught out by a minute.
        self.ledger.beat_every_us = 60 * SECOND
        self.web.asks_every_us = 20 * SECOND

    @property
    def reader(self) -> Any:
        if self._reader is None:
            self._reader = SqliteReader(self.path, limit_s=600)
        return self._reader

    @property
    def runs(self) -> list[Run]:
        page = self.reader.find(RunFilter(), before=None, limit=10_000)
        return sorted(page.runs, key=lambda run: run.number)

    def _load(self, path: str, now_us: int) -> Folder:
        loaded = [
            LoadedJob(job_id=job.job_id, hash=definition_hash(job), job=job)
            for job in self.folder.values()
        ]
        return Folder(jobs=loaded, problems=[], calendars=self.calendars)

    def close(self) -> None:
        """Close the database: what is there is whole."""
        if self._reader is not None:
            self._reader.close()
        self.ledger.driver.writer.close()
