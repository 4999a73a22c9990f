"""Records of runs that wait, each kept as what it has that another of its job has not.

Owned by the ledger's `ActiveRuns`. Thousands of runs of a job that wait differ in their number,
their version and their times, which is a tenth of a record. Decides nothing.
"""

from __future__ import annotations

import zlib

from ..jobs.run import Run
from ..store.rows import decode_run, encode

# Jobs of which the last record is remembered, so that the next one may be kept as its difference.
JOBS_SEEN = 64
# For zlib: as much of another record as this window holds can be referred to.
WINDOW_BITS, LEVEL, MEMORY_LEVEL = -12, 1, 1
NUMBER_BYTES = 4
# What an encoded record begins with, a map, is at least this; the number of a model is less.
RECORD_BEGIN = 0x80


class _Model:
    """A record by which others are kept."""

    __slots__ = ("job_id", "number", "record", "users")

    def __init__(self, job_id: str, number: int, record: bytes) -> None:
        self.job_id = job_id
        self.number = number
        self.record = record
        self.users = 0


class ParkedRuns:
    """Turns runs into what is kept of them, and back. What is kept is to be let go by `drop`."""

    def __init__(self) -> None:
        self._models: dict[int, _Model] = {}
        self._of_job: dict[str, _Model] = {}
        self._seen: dict[str, bytes] = {}
        self._next = 0

    def __len__(self) -> int:
        """Return how many models there are."""
        return len(self._models)

    @property
    def seen(self) -> int:
        """Of how many jobs the last record is remembered."""
        return len(self._seen)

    def keep(self, run: Run) -> bytes:
        """Return what is to be kept of a run: its record, or how it differs from a model."""
        record = encode(run)
        model = self._of_job.get(run.job_id)
        if model is None:
            seen = self._seen.get(run.job_id)
            if seen is None:
                # Most jobs have one run that waits, and a model of its own would be a waste.
                self._see(run.job_id, record)
                return record
            model = self._model(run.job_id, seen)
        packer = zlib.compressobj(
            LEVEL, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL, zdict=model.record
        )
        packed = packer.compress(record) + packer.flush()
        if len(packed) > len(record) // 2:
            self._retire(model)
            self._see(run.job_id, record)
            return record
        model.users += 1
        return model.number.to_bytes(NUMBER_BYTES, "big") + packed

    def read(self, kept: bytes) -> Run:
        """Return the run of what was kept."""
        if kept[0] >= RECORD_BEGIN:
            return decode_run(kept)
        model = self._models[_number(kept)]
        unpacker = zlib.decompressobj(WINDOW_BITS, model.record)
        return decode_run(unpacker.decompress(kept[NUMBER_BYTES:]))

    def drop(self, kept: bytes) -> None:
        """Let what was kept go."""
        if kept[0] >= RECORD_BEGIN:
            return
        model = self._models[_number(kept)]
        model.users -= 1
        self._tidy(model)

    # --- inside ---------------------------------------------------------------------------------

    def _see(self, job_id: str, record: bytes) -> None:
        """Remember the last record of a job; the job seen longest ago makes room."""
        self._seen.pop(job_id, None)
        self._seen[job_id] = record
        if len(self._seen) > JOBS_SEEN:
            del self._seen[next(iter(self._seen))]

    def _model(self, job_id: str, record: bytes) -> _Model:
        number = self._next
        self._next = (self._next + 1) % (RECORD_BEGIN << 8 * (NUMBER_BYTES - 1))
        model = self._models[number] = self._of_job[job_id] = _Model(job_id, number, record)
        return model

    def _retire(self, model: _Model) -> None:
        """Keep no more by a model: its job has changed."""
        self._of_job.pop(model.job_id, None)
        self._tidy(model)

    def _tidy(self, model: _Model) -> None:
        if model.users == 0:
            del self._models[model.number]
            if self._of_job.get(model.job_id) is model:
                del self._of_job[model.job_id]


def _number(kept: bytes) -> int:
    return int.from_bytes(kept[:NUMBER_BYTES], "big")
