"""The output store's writing side: appends to live outputs, and keeps finished ones for good.

Posted to by the runner's core through its stage; works on threads of its own, so that no disk holds
up the runner. What is told as finished is on the disk under its final name (`output_files.py`).
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Any

from ..messages.instructions import OutputRecord
from .output_files import Missing, OutputFolder, flush
from .outputs_seam import AppendOutput, FinishOutput, OutputFinished, OutputStored

log = logging.getLogger("callsheet.outputs")

# Larger outputs are finished by a thread of their own, so that small ones do not wait for them.
LARGE_BYTES = 1024 * 1024
# Finished together, with their flushes one after the other.
GROUP = 200


class OutputsStore:
    """See the module. `tell` takes what there is to say, on threads of ours; `fail` the error that
    has ended one of them, after which nothing more may be expected."""

    def __init__(
        self,
        root: str,
        tell: Callable[[list[Any]], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._folder = OutputFolder(root)
        self._tell = tell
        self._fail = fail
        self._small: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._large: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, args=(line,), name=name, daemon=True)
            for line, name in ((self._small, "outputs"), (self._large, "large outputs"))
        ]
        for thread in self._threads:
            thread.start()

    def take(self, messages: Iterable[Any]) -> None:
        """Take posts of the core; returns at once."""
        for message in messages:
            large = isinstance(message, FinishOutput) and message.length > LARGE_BYTES
            (self._large if large else self._small).put(message)

    def close(self) -> None:
        """Work off what was posted, and end the threads."""
        for line in (self._small, self._large):
            line.put(None)
        for thread in self._threads:
            thread.join(10)

    # --- the threads ----------------------------------------------------------------------------

    def _work(self, line: queue.SimpleQueue[Any]) -> None:
        try:
            self._work_off(line)
        except BaseException as error:  # noqa: BLE001 - the stage ends the role with it
            self._fail(error)

    def _work_off(self, line: queue.SimpleQueue[Any]) -> None:
        over = False
        while not over:
            batch = [line.get()]
            with contextlib.suppress(queue.Empty):
                while len(batch) < GROUP:
                    batch.append(line.get_nowait())
            over = None in batch
            self._do([message for message in batch if message is not None])

    def _do(self, batch: list[Any]) -> None:
        """Do a batch: write everything, flush everything, then tell."""
        answers: list[Any] = []
        written: dict[str, OutputFinished] = {}
        for message in batch:
            try:
                if isinstance(message, AppendOutput):
                    answers.append(_stored(message, self._folder.append(message)))
                else:
                    path, record = self._folder.finish(message)
                    written[path] = _finished(message, record=record)
            except Missing as missing:
                answers.append(_finished(message, length=missing.length))
            except OSError as error:
                log.warning("output of %s: cannot be written: %s", message.run_id, error)
                if isinstance(message, FinishOutput):
                    answers.append(_finished(message, error=str(error.strerror)))
        try:
            flush(written)
            answers.extend(written.values())
        except OSError as error:
            # What a failed flush has written is not known: all of it is to be written again.
            log.error("outputs: cannot be flushed: %s", error)
            for finished in written.values():
                answers.append(
                    OutputFinished(
                        run_id=finished.run_id,
                        attempt=finished.attempt,
                        output_id=finished.output_id,
                        error=str(error.strerror),
                    )
                )
        if answers:
            self._tell(answers)


def _stored(message: AppendOutput, length: int) -> OutputStored:
    return OutputStored(
        run_id=message.run_id,
        attempt=message.attempt,
        output_id=message.output_id,
        length=length,
    )


def _finished(
    message: FinishOutput,
    *,
    record: OutputRecord | None = None,
    length: int = 0,
    error: str = "",
) -> OutputFinished:
    return OutputFinished(
        run_id=message.run_id,
        attempt=message.attempt,
        output_id=message.output_id,
        record=record,
        length=length,
        error=error,
    )
