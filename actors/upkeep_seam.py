"""Between the ledger's core and the worker beside it: posts to `UPKEEP`, and what comes back.

Plain values, so that a test can play the worker. Nothing here crosses to another process.
"""

from __future__ import annotations

import msgspec

# Address, in the ledger's own process, of who copies, counts and backs up.
UPKEEP = "upkeep"


class CopyRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Copy the next runs for the archive at `path` (None: only choose them); see
    `store.archive.Chunk`."""

    run_id: str
    path: str | None
    before_us: int
    limit: int
    after: int = 0
    without: tuple[int, ...] = ()
    counting: bool = False
    jobs: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    keep: int = 0


class DropRuns(msgspec.Struct, frozen=True, kw_only=True):
    """These runs are not in the database any more: remove their output files."""

    run_ids: list[str]


class CountPages(msgspec.Struct, frozen=True, kw_only=True):
    """Say how many pages of the database are unused."""

    run_id: str


class TakeStats(msgspec.Struct, frozen=True, kw_only=True):
    """Print figures of the server as one line, and append it to the file at `path` if given."""

    run_id: str
    path: str | None
    at_us: int


class TakeBackup(msgspec.Struct, frozen=True, kw_only=True):
    """Write a copy of the database to `path`."""

    run_id: str
    path: str


Step = CopyRuns | CountPages | TakeStats | TakeBackup


class StepDone(msgspec.Struct, frozen=True, kw_only=True):
    """The step of a run is done, or failed by `error`. `took_s` is what it took.

    `copied`: version and events of each run in the archive; `rows` by table; `remaining`: how many
    more there were, if that was asked. `pages`: those unused. `output`: what is printed; `meta`
    goes into the run's.
    """

    run_id: str
    error: str = ""
    took_s: float = 0.0
    copied: dict[str, tuple[int, int]] = {}
    rows: dict[str, int] = {}
    remaining: int = 0
    pages: int = 0
    output: str = ""
    meta: dict[str, float | int | str] = {}
