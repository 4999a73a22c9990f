"""The output store's writing side: appends to live outputs, and keeps finished ones for good.

Posted to by the runner's core through its stage; works on threads of its own, so that no disk holds
up the runner. What is told as finished is on the disk under its final name (`store/outputs.py`). It
never invents a byte: an append that leaves a hole is answered with what is there.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import queue
import shutil
import threading
from collections.abc import Callable, Iterable
from typing import Any

from ..messages.instructions import OutputRecord
from ..store.outputs import (
    FRAME_BYTES,
    ZSTD,
    folder_of,
    live_path_of,
    path_of,
    seek_table,
    zstd_module,
)
from .outputs_seam import AppendOutput, FinishOutput, OutputFinished, OutputStored

log = logging.getLogger("callsheet.outputs")

COMPRESS_BYTES = 16 * 1024
# Larger outputs are finished by a thread of their own, so that small ones do not wait for them.
LARGE_BYTES = 1024 * 1024
# A chunk says how it is compressed; it holds no more than this.
CHUNK_BYTES = 256 * 1024
# Finished together, with their flushes one after the other.
GROUP = 200
LEVEL = 3


class Missing(Exception):
    """The bytes of an output are not all there; `length` of them are."""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length


class OutputsStore:
    """See the module. `tell` takes what there is to say, on threads of ours; `fail` the error that
    has ended one of them, after which nothing more may be expected."""

    def __init__(
        self,
        root: str,
        tell: Callable[[list[Any]], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._root = root
        self._tell = tell
        self._fail = fail
        self._small: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._large: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, args=(line,), name=name, daemon=True)
            for line, name in ((self._small, "outputs"), (self._large, "large outputs"))
        ]
        os.makedirs(root, mode=0o700, exist_ok=True)
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
                    answers.append(self._append(message))
                else:
                    path, finished = self._finish(message)
                    written[path] = finished
            except Missing as missing:
                answers.append(_finished(message, length=missing.length))
            except OSError as error:
                log.warning("output of %s: cannot be written: %s", message.run_id, error)
                if isinstance(message, FinishOutput):
                    answers.append(_finished(message, error=str(error.strerror)))
        try:
            self._flush(written)
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

    def _append(self, message: AppendOutput) -> OutputStored:
        path = f"{self._root}/{live_path_of(message.run_id, message.attempt, message.output_id)}"
        fd = self._open(path, message.run_id)
        try:
            length = os.fstat(fd).st_size
            if message.offset <= length:
                data = _plain(message)
                fresh = data[length - message.offset :]
                if fresh:
                    length += os.pwrite(fd, fresh, length)
        finally:
            os.close(fd)
        return OutputStored(
            run_id=message.run_id,
            attempt=message.attempt,
            output_id=message.output_id,
            length=length,
        )

    def _open(self, path: str, run_id: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:
            os.makedirs(f"{self._root}/{folder_of(run_id)}", mode=0o700, exist_ok=True)
            return os.open(path, flags, 0o600)

    # --- finishing ------------------------------------------------------------------------------

    def _finish(self, message: FinishOutput) -> tuple[str, OutputFinished]:
        """Put an output under its final name, not flushed yet.

        Raises:
            Missing: not all of it is there; OSError: it cannot be written.
        """
        relative = path_of(message.run_id, message.attempt, message.output_id)
        final = f"{self._root}/{relative}"
        live = final + ".part"
        source = self._source(message, live)
        os.makedirs(f"{self._root}/{folder_of(message.run_id)}", mode=0o700, exist_ok=True)
        if message.length > COMPRESS_BYTES:
            digest = _compress(source, final + ".new", message.length)
            compression = ZSTD
        else:
            with open(source, "rb") as file:
                digest = hashlib.sha256(file.read(message.length)).hexdigest()
            compression = None
            _share(source, final + ".new", message.length)
        os.rename(final + ".new", final)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(live)
        record = OutputRecord(
            run_id=message.run_id,
            output_id=message.output_id,
            attempt=message.attempt,
            length=message.length,
            compression=compression,
            path=relative,
            sha256=digest,
        )
        return final, _finished(message, record=record)

    def _source(self, message: FinishOutput, live: str) -> str:
        """Return the file that holds the whole output.

        Raises:
            Missing: there is none.
        """
        key = f"{message.run_id}.{message.attempt}"
        spool = message.spool_path
        if spool is not None and spool.endswith(f"/runs/{key}/out") and _has(spool, message.length):
            return spool
        if _has(live, message.length):
            return live
        try:
            raise Missing(os.stat(live).st_size)
        except FileNotFoundError:
            raise Missing(0) from None

    def _flush(self, written: dict[str, OutputFinished]) -> None:
        """Put files and the folders that name them on the disk."""
        if not written:
            return
        folders: dict[str, None] = {}
        for path in written:
            _sync(path)
            run_folder = os.path.dirname(path)
            folders[run_folder] = folders[os.path.dirname(run_folder)] = None
        for folder in folders:
            _sync(folder)


def _has(path: str, length: int) -> bool:
    """Whether a file can be read and has at least so many bytes."""
    try:
        return os.access(path, os.R_OK) and os.stat(path).st_size >= length
    except OSError:
        return False


def _plain(message: AppendOutput) -> bytes:
    """Return a chunk's bytes; what cannot be decompressed has none.

    A chunk larger than it may be is cut: the rest of it comes again, by its offset.
    """
    if message.compression is None:
        return message.data
    zstd = zstd_module()
    try:
        return bytes(zstd.ZstdDecompressor().decompress(message.data, max_length=CHUNK_BYTES))
    except zstd.ZstdError as error:
        log.warning("output of %s: a chunk cannot be decompressed: %s", message.run_id, error)
        return b""


def _share(source: str, target: str, length: int) -> None:
    """Give a small file another name, or copy it where that cannot be."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        os.truncate(target, length)


def _compress(source: str, target: str, length: int) -> str:
    """Write `length` bytes of a file as frames with their table; return the bytes' SHA-256."""
    compress = zstd_module().compress
    digest = hashlib.sha256()
    sizes = []
    with open(source, "rb") as reading, open(target, "wb") as writing:
        left = length
        while left:
            piece = reading.read(min(FRAME_BYTES, left))
            if not piece:
                raise Missing(length - left)
            digest.update(piece)
            packed = compress(piece, LEVEL)
            writing.write(packed)
            sizes.append((len(packed), len(piece)))
            left -= len(piece)
        writing.write(seek_table(sizes))
    return digest.hexdigest()


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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
