"""The files of outputs as the store writes them: live ones grow, finished ones stay for good.

Called by `outputs_store.py` on its threads. It never invents a byte: an append that leaves a hole
nobody has explained is answered with what is there. Of no output is more kept than is to be.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from ..jobs.keeping import WHOLE, Gap, both, gap_of, kept
from ..messages.instructions import OutputRecord
from ..store.below import open_below
from ..store.outputs import (
    FRAME_BYTES,
    ZSTD,
    folder_of,
    gap_path_of,
    live_path_of,
    path_of,
    seek_table,
    zstd_module,
)
from ..wire.holes import gap_in, new_holes, widen, write_gap
from .outputs_seam import AppendOutput, FinishOutput

log = logging.getLogger("callsheet.outputs")

COMPRESS_BYTES = 16 * 1024
# A chunk says how it is compressed; it holds no more than this.
CHUNK_BYTES = 256 * 1024
# The gap of a live output grows in steps of this part of what is kept.
STEPS = 16
LEVEL = 3
PROCESS_OUTPUT = "output"
COMBINED = OutputRecord(run_id="").name


class Missing(Exception):
    """The bytes of an output are not all there; `length` of them are."""

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length


class OutputFolder:
    """See the module. `root` is the output folder."""

    def __init__(self, root: str) -> None:
        self._root = root
        os.makedirs(root, mode=0o700, exist_ok=True)

    # --- live -----------------------------------------------------------------------------------

    def append(self, message: AppendOutput) -> int:
        """Add bytes to a live output; return its length then.

        Raises:
            OSError: they cannot be written.
        """
        names = (message.run_id, message.attempt, message.output_id)
        relative = live_path_of(*names)
        path = f"{self._root}/{relative}"
        gap_path = f"{self._root}/{gap_path_of(*names)}"
        fd = self._open(relative, message.run_id)
        try:
            length = os.fstat(fd).st_size
            if message.offset - message.gap > length:
                return length
            data = plain(message)
            if data and message.offset > length:
                write_gap(gap_path, both(gap_in(gap_path), Gap(length, message.offset)))
                length = message.offset
            fresh = data[length - message.offset :]
            if fresh:
                length += os.pwrite(fd, fresh, length)
        finally:
            os.close(fd)
        if length > message.keep_bytes:
            known = gap_in(gap_path)
            slack = message.keep_bytes // STEPS
            gap = gap_of(length, message.keep_bytes, known, slack=slack)
            if gap != known:
                widen(gap_path, gap, [(path, *hole) for hole in new_holes(known, gap)])
        return length

    def _open(self, path: str, run_id: str) -> int:
        flags = os.O_RDWR | os.O_CREAT
        try:
            return open_below(self._root, path, flags)
        except FileNotFoundError:
            os.makedirs(f"{self._root}/{folder_of(run_id)}", mode=0o700, exist_ok=True)
            return open_below(self._root, path, flags)

    # --- finished -------------------------------------------------------------------------------

    def finish(self, message: FinishOutput) -> tuple[str, OutputRecord]:
        """Put an output under its final name, not flushed yet; return where it is.

        Raises:
            Missing: not all of it is there; OSError: it cannot be written.
        """
        names = (message.run_id, message.attempt, message.output_id)
        relative = path_of(*names)
        final = f"{self._root}/{relative}"
        live, gap_path = final + ".part", f"{self._root}/{gap_path_of(*names)}"
        os.makedirs(f"{self._root}/{folder_of(message.run_id)}", mode=0o700, exist_ok=True)
        path, fd = self._source(message, relative + ".part")
        with open(fd, "rb") as source:
            gap = both(message.gap, gap_in(gap_path) if path == live else WHOLE)
            gap = gap_of(message.length, message.keep_bytes, gap)
            spans = (
                ((0, gap.start), (gap.end, message.length))
                if gap.length
                else ((0, message.length),)
            )
            if kept(message.length, gap) > COMPRESS_BYTES:
                digest = _compress(_pieces(source, spans), final + ".new")
                compression = ZSTD
            else:
                digest = _keep_plain(source, path, final + ".new", spans)
                compression = None
        os.rename(final + ".new", final)
        for path in (live, gap_path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        record = OutputRecord(
            run_id=message.run_id,
            output_id=message.output_id,
            attempt=message.attempt,
            length=message.length,
            compression=compression,
            path=relative,
            sha256=digest,
            truncated=gap.length > 0,
            gap_at=gap.start if gap.length else 0,
            gap_bytes=gap.length,
            name=message.name or COMBINED,
        )
        return final, record

    def _source(self, message: FinishOutput, live: str) -> tuple[str, int]:
        """Return the path of the file that holds the whole output, and the file, opened.

        Raises:
            Missing: there is none; OSError: it cannot be read now.
        """
        spool = message.spool_path
        if spool is not None:
            claim = _claim_in(spool, message)
            with contextlib.suppress(OSError, Missing):
                return spool, _opened(spool.removesuffix(claim), claim, message.length)
        path = f"{self._root}/{live}"
        try:
            return path, _opened(self._root, live, message.length)
        except FileNotFoundError:
            if message.length:
                raise Missing(0) from None
            return path, self._open(live, message.run_id)


def flush(paths: Iterable[str]) -> None:
    """Put files and the folders that name them on the disk.

    Raises:
        OSError: the disk has failed.
    """
    folders: dict[str, None] = {}
    for path in paths:
        _sync(path)
        run_folder = os.path.dirname(path)
        folders[run_folder] = folders[os.path.dirname(run_folder)] = None
    for folder in folders:
        _sync(folder)


def plain(message: AppendOutput) -> bytes:
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


def _claim_in(path: str, message: FinishOutput) -> str:
    """Return the end of a path that is that of this very output in an agent's spool; empty when it
    is another file's."""
    claim = f"runs/{message.run_id}.{message.attempt}"
    if message.output_id == PROCESS_OUTPUT:
        claim += "/out"
    else:
        claim += f"/artifacts/{message.output_id}"
    return claim if path.endswith(f"/{claim}") else ""


def _opened(root: str, path: str, length: int) -> int:
    """Open a file below a folder.

    Raises:
        Missing: it has fewer bytes than so many; OSError: it cannot be opened.
    """
    fd = open_below(root, path)
    size = os.fstat(fd).st_size
    if size < length:
        os.close(fd)
        raise Missing(size)
    return fd


def _pieces(source: BinaryIO, spans: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    """Yield the bytes of spans of a file, in pieces of a frame each but for the last of a span.

    Raises:
        Missing: the file is shorter than was said.
    """
    for start, end in spans:
        source.seek(start)
        left = end - start
        while left:
            piece = source.read(min(FRAME_BYTES, left))
            if not piece:
                raise Missing(end - left)
            left -= len(piece)
            yield piece


def _keep_plain(
    source: BinaryIO, path: str, target: str, spans: tuple[tuple[int, int], ...]
) -> str:
    """Keep a small output as it is: under another name, or as a copy where that cannot be."""
    data = b"".join(_pieces(source, spans))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target)
    try:
        if os.fstat(source.fileno()).st_size != len(data):
            raise OSError("not the same bytes")
        os.link(path, target)
        if not os.path.samestat(os.lstat(target), os.fstat(source.fileno())):
            raise OSError("not the file that was read")
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    return hashlib.sha256(data).hexdigest()


def _compress(pieces: Iterable[bytes], target: str) -> str:
    """Write pieces as frames with their table; return the SHA-256 of what they hold."""
    compress = zstd_module().compress
    digest = hashlib.sha256()
    sizes = []
    with open(target, "wb") as writing:
        for piece in pieces:
            digest.update(piece)
            packed = compress(piece, LEVEL)
            writing.write(packed)
            sizes.append((len(packed), len(piece)))
        writing.write(seek_table(sizes))
    return digest.hexdigest()


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
