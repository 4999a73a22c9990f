"""Checks of the server itself: memory against the store, clocks, disks.

Functions of a store reader, what the ledger and the host say, and the time; called by the checker's
core alone.
"""

from __future__ import annotations

from itertools import chain

from ..jobs.findings import Finding, Severity, found
from ..jobs.run import standing_sum
from ..jobs.states import ACTIVE, State
from ..jobs.times import SECOND_US, format_time
from ..messages.commands import Digest
from ..messages.transitions import RunMoved
from ..store.interface import Reader
from .surroundings import Disk, Surroundings

DRIFT = "drift"
UNREAD = "unread"
CLOCK = "clock"
DISK = "disk"

# Events between the ledger's answer and the store's state; beyond, another round compares.
EVENTS = 5_000
# A clock that is set by less is being kept right.
SET_US = 5 * SECOND_US
# That it was set is reported for so long.
REPORTED_FOR_US = 3_600 * SECOND_US
# Below, disks are too full.
LITTLE_BYTES, TOO_LITTLE_BYTES = 2**30, 2**27
# The write-ahead log is checkpointed long before it is so large, unless a reader holds on to it.
LOG_BYTES = 2**29


def drift(reader: Reader, digest: Digest) -> list[Finding] | None:
    """Compare the active runs of the ledger's memory with those of the store as of the same event.

    Returns:
        None when too much has happened since to tell.
    """
    seq = reader.head()[1]
    if seq < digest.seq:
        sentence = (
            f"the store ends at event {seq}, and the ledger says that {digest.seq} is durable"
        )
        return [found(DRIFT, "head", sentence, store=seq, ledger=digest.seq)]
    events = reader.events_after(digest.seq, EVENTS + 1)
    if len(events) > EVENTS:
        return None
    # The ledger goes on without a row that cannot be read, and the other finding tells of it.
    other: dict[str, State | None] = {
        row.name: None for row in digest.set_aside if row.table == "runs"
    }
    seen = set()
    for event in events:
        if isinstance(event, RunMoved) and event.run_id not in seen:
            # Before its first move since, it was in the state which that move says.
            seen.add(event.run_id)
            other[event.run_id] = event.before if event.before in ACTIVE else None
    standing = ((run_id, state) for run_id, state in reader.standing() if run_id not in other)
    count = total = 0
    for run_id, state in chain(standing, other.items()):
        if state is not None:
            count += 1
            total += standing_sum(run_id, state)
    if (count, total) == (digest.count, digest.sum):
        return []
    sentence = f"the ledger holds {digest.count} active runs in memory, the store has {count}"
    if count == digest.count:
        sentence += ", and they are not the same or not in the same states"
    return [found(DRIFT, "runs", sentence, ledger=digest.count, store=count)]


def unread(digest: Digest) -> list[Finding]:
    """Find the rows of the store that the ledger could not read."""
    return [
        found(
            UNREAD,
            f"{row.table} {row.name}",
            f"database: {row.sentence}",
            run_id=row.name if row.table == "runs" else None,
            table=row.table,
            row=row.name,
        )
        for row in digest.set_aside
    ]


class Clock:
    """Finds that the clock on the wall was set; remembers that for an hour."""

    def __init__(self) -> None:
        self._begun_us: int | None = None
        self._found: Finding | None = None

    def look(self, around: Surroundings, now_us: int) -> list[Finding]:
        """Look whether it was set since the last look."""
        before_us, self._begun_us = self._begun_us, around.begun_us
        by_us = 0 if before_us is None else around.begun_us - before_us
        if abs(by_us) > SET_US:
            way = "forward" if by_us > 0 else "back"
            by_s = abs(by_us) // SECOND_US
            sentence = f"the server's clock was set {way} by {by_s} s before {format_time(now_us)}"
            self._found = found(
                CLOCK, "server", sentence, severity="warning", by_us=by_us, at_us=now_us
            )
        one = self._found
        if one is not None and abs(now_us - one.evidence["at_us"]) >= REPORTED_FOR_US:
            self._found = one = None
        return [] if one is None else [one]


def disks(around: Surroundings) -> list[Finding]:
    """Find disks with little room, and a log that nobody can shorten."""
    findings = [_full(disk) for disk in around.disks if disk.free_bytes < LITTLE_BYTES]
    if around.log_bytes > LOG_BYTES:
        sentence = (
            f"the database's write-ahead log is larger than {LOG_BYTES // 2**20} MiB: a reader "
            "keeps it from being shortened"
        )
        findings.append(found(DISK, "log", sentence, severity="warning"))
    return findings


def _full(disk: Disk) -> Finding:
    is_grave = disk.free_bytes < TOO_LITTLE_BYTES
    limit = (TOO_LITTLE_BYTES if is_grave else LITTLE_BYTES) // 2**20
    sentence = f"the disk of {disk.path}: less than {limit} MiB are free"
    severity: Severity = "error" if is_grave else "warning"
    return found(DISK, disk.path, sentence, severity=severity, all_bytes=disk.all_bytes)
