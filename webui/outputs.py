"""Reading outputs: finished ones by the store's index, live ones from the file that grows.

Files are read by the pool's threads, never on the loop. A span is at most what was asked for, so an
output of any size costs no memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ..jobs.keeping import ORDER, OUTPUT, STREAMS
from ..jobs.run import run_number
from ..messages.instructions import OutputRecord
from ..store.interface import Reader
from ..store.outputs import LiveOutput, OutputFiles, OutputGone
from ..store.places import UrlPlace
from ..store.streams import StreamViews, is_view
from .following import Span
from .routing import Problem

if TYPE_CHECKING:
    from ..jobs.run import Run
    from .services import Services

T = TypeVar("T")


class Outputs:
    """See the module."""

    def __init__(self, services: Services, root: str) -> None:
        self._services = services
        settings = services.settings
        far = (
            UrlPlace(settings.outputs_url, settings.outputs_options)
            if settings.outputs_url
            else None
        )
        self._files = OutputFiles(root, far)
        self._views = StreamViews(self._files)

    async def record(
        self, run_id: str, output_id: str, attempt: int | None = None
    ) -> tuple[Run, OutputRecord | None]:
        """Return a run and the record of an output, None while there is none.

        Args:
            attempt: of that attempt; None: the newest.

        Raises:
            Problem: 404, there is no such run, or no output of an attempt that is not the present.
        """

        def read(reader: Reader) -> tuple[Run | None, OutputRecord | None]:
            run = reader.run(run_id) if run_number(run_id) is not None else None
            if run is None:
                return None, None
            records = reader.outputs(run_id)
            if attempt is not None:
                ours = [
                    one for one in records if (one.attempt, one.output_id) == (attempt, output_id)
                ]
                return run, ours[0] if ours else None
            return run, newest(records, output_id, run)

        run, record = await self._services.read(read)
        if run is None:
            raise Problem(404, f"unknown run {run_id[:100]}")
        if record is None and attempt not in (None, run.attempt):
            raise Problem(404, f"no output {output_id[:100]} of attempt {attempt} for {run_id}")
        return run, record

    async def span(
        self,
        run_id: str,
        output_id: str,
        start: int | None,
        limit: int,
        attempt: int | None = None,
    ) -> Span:
        """Return up to `limit` bytes from `start` on, as much as there is now.

        Args:
            start: None: the end as it is now; negative: so many bytes before it.
            attempt: of that attempt; None: the newest.

        Raises:
            Problem: 404, there is no such run, or no output of an attempt that is not the present.
        """
        run, record = await self.record(run_id, output_id, attempt)
        attempt = attempt or run.attempt
        if record is not None:
            asked = place(start, record.length)
            begin, data = await self.piece(record, asked, limit)
            ended = run.finished and begin + len(data) >= record.length
            return Span(
                start=begin,
                data=data,
                length=record.length,
                ended=ended,
                attempt=attempt,
                content_type=record.content_type,
                left_out=begin - asked,
            )
        if output_id in STREAMS:
            return await self._live_stream(run, attempt, output_id, start, limit)
        live = await self._services.pool.run(lambda: self._files.live(run_id, attempt, output_id))
        if live is None:
            begin = place(start, 0)
            return Span(start=begin, data=b"", length=0, ended=run.finished, attempt=attempt)
        asked = place(start, live.length)
        begin, data = await self._services.pool.run(lambda: live.span(asked, limit))
        return Span(
            start=begin,
            data=data,
            length=max(live.length, begin + len(data)),
            ended=False,
            attempt=attempt,
            left_out=begin - asked,
        )

    async def _live_stream(
        self, run: Run, attempt: int, name: str, start: int | None, limit: int
    ) -> Span:
        found = await self._services.pool.run(
            lambda: self._views.live(run.run_id, attempt, name, start, limit)
        )
        length, begin, data = found or (0, place(start, 0), b"")
        return Span(
            start=begin,
            data=data,
            length=length,
            ended=found is None and run.finished,
            attempt=attempt,
            left_out=begin - start if start is not None and begin > start >= 0 else 0,
        )

    async def piece(self, record: OutputRecord, start: int, limit: int) -> tuple[int, bytes]:
        """Return bytes of a finished output from `start` on, and where they begin: later where some
        are not kept.

        Raises:
            Problem: 404, its file is gone.
        """
        if record.output_id not in STREAMS or not is_view(record):
            return await self._read(record, self._files.span, start, limit)
        _, output = await self.record(record.run_id, OUTPUT, record.attempt)
        _, order = await self.record(record.run_id, ORDER, record.attempt)
        if output is None or order is None:
            raise _gone(record)

        def read(one: OutputRecord, start: int, limit: int) -> tuple[int, bytes]:
            return self._views.finished(output, order, one.output_id, start, limit)

        return await self._read(record, read, start, limit)

    async def of(self, run_id: str) -> list[OutputRecord]:
        """Return the outputs of a run as they are now, growing ones included; none of no run."""
        if run_number(run_id) is None:
            return []
        run, records = await self._services.read(lambda r: (r.run(run_id), r.outputs(run_id)))
        if run is None:
            return []
        ids = dict.fromkeys(record.output_id for record in records)
        found = [
            record
            for one in ids
            if one != ORDER and (record := newest(records, one, run)) is not None
        ]
        if not run.finished and all(record.output_id != OUTPUT for record in found):
            live = await self.live(run, OUTPUT)
            if live is not None:
                found.append(OutputRecord(run_id=run_id, attempt=run.attempt, length=live.length))
        return found

    async def all_of(self, run_id: str) -> tuple[Run, list[OutputRecord]]:
        """Return a run and the outputs of all its attempts as they are now.

        Raises:
            Problem: 404, there is no such run.
        """
        run = records = None
        if run_number(run_id) is not None:
            run, records = await self._services.read(lambda r: (r.run(run_id), r.outputs(run_id)))
        if run is None or records is None:
            raise Problem(404, f"unknown run {run_id[:100]}")
        ours = [one for one in await self.of(run_id) if one.attempt == run.attempt]
        known = {(one.attempt, one.output_id) for one in records}
        return run, [*records, *(o for o in ours if (o.attempt, o.output_id) not in known)]

    async def live(self, run: Run, output_id: str) -> LiveOutput | None:
        """Return the growing file of a run's output, None when there is none."""
        return await self._services.pool.run(
            lambda: self._files.live(run.run_id, run.attempt, output_id)
        )

    async def read(self, record: OutputRecord, start: int, limit: int) -> bytes:
        """Return bytes of a finished output as it is shown, decompressed.

        Raises:
            Problem: 404, its file is gone.
        """
        return await self._read(record, self._files.read, start, limit)

    async def raw(self, record: OutputRecord, start: int, limit: int) -> bytes:
        """Return bytes of a finished output as they are stored.

        Raises:
            Problem: 404, its file is gone.
        """
        return await self._read(record, self._files.read_raw, start, limit)

    async def _read(
        self,
        record: OutputRecord,
        read: Callable[[OutputRecord, int, int], T],
        start: int,
        limit: int,
    ) -> T:
        try:
            return await self._services.pool.run(lambda: read(record, start, limit))
        except OutputGone:
            raise _gone(record) from None


def newest(records: list[OutputRecord], output_id: str, run: Run) -> OutputRecord | None:
    """Return the record of the run's current attempt, or of its last one once it is over."""
    found = [record for record in records if record.output_id == output_id]
    if not found:
        return None
    last = max(found, key=lambda record: record.attempt)
    return last if run.finished or last.attempt == run.attempt else None


def place(start: int | None, length: int) -> int:
    """Return the offset that a start means for an output of a length."""
    if start is None:
        return length
    return max(0, length + start) if start < 0 else start


def _gone(record: OutputRecord) -> Problem:
    return Problem(404, f"output {record.output_id} of {record.run_id}: its file is gone")
