"""The outputs of claims on the disk: how long they are, what they hold, and no more than is kept.

Used by the local host. A process writes straight to the file `out` of its claim, so nobody's death
costs a byte; where that file grows beyond what is to be kept, its middle is given back to the disk
while it is written (a hole is punched). Which bytes are gone is in the claim before they go.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import os
import stat
from collections.abc import Callable

from ..jobs.keeping import WHOLE, Gap, gap_of
from ..jobs.order import ENTRY, Order
from ..wire.holes import gap_in, new_holes, write_gap
from .collect import FOLDER
from .given_secrets import GivenSecrets
from .host import ORDER, OUTPUT, Extent, Key, Spec
from .launch import ERR
from .masked import Masker, reading
from .punching import Puncher
from .splitting import OUT, Splits

log = logging.getLogger("callsheet.agentd")

GAP = "gap"
# Below this compression saves no more than it costs.
COMPRESS_BYTES = 1_024
# A gap grows in steps of this part of what is kept: so much more may be on the disk.
STEPS = 16


class ClaimOutputs:
    """See the module. `runs` is the spool's folder of claims; `take_whole`: the server is on this
    host and may take files itself, but for those with secrets in them."""

    def __init__(self, runs: str, secrets: GivenSecrets, *, take_whole: bool) -> None:
        self._runs = runs
        self._secrets = secrets
        self._take_whole = take_whole
        self._compress = _compressor()
        self._gaps: dict[Key, Gap] = {}
        self._puncher = Puncher()
        self._splits: Splits | None = None

    # --- stdout and stderr apart ----------------------------------------------------------------

    def begin(self, key: Key, spec: Spec) -> None:
        """A process is about to be started.

        Raises:
            OSError: the spool cannot hold its outputs.
        """
        if spec.split:
            self._splitting().open(key, has_head=_has_head(spec))

    @property
    def fd(self) -> int | None:
        """What is to be polled so that the order of streams is known; None while nothing is."""
        return self._splits.fd if self._splits is not None and self._splits.polls else None

    def hear(self) -> None:
        """Something is to be read from `fd`."""
        if self._splits is not None:
            self._splits.hear()

    def _splitting(self) -> Splits:
        if self._splits is None:
            self._splits = Splits(self._runs)
        return self._splits

    # --- what there is --------------------------------------------------------------------------

    def extents(self, key: Key, spec: Spec, *, final: bool) -> tuple[Extent, ...]:
        """See `Host`. Of what may be the beginning of a secret nothing is there while it grows."""
        masker = None
        if self._secrets.has(key):
            masker = self._secrets.masker(key)
            if masker is None:
                return ()
        try:
            if spec.split:
                return self._split_extents(key, spec, masker, final=final)
            path = f"{self._runs}/{key}/{OUT}"
            found = os.lstat(path)
            if not stat.S_ISREG(found.st_mode):
                return ()  # somebody has put another thing there, which is none of our files
            size = found.st_size
            gap = WHOLE
            if size > spec.keep_bytes:
                gap = self._trim(key, size, spec.keep_bytes, None)
            if masker is not None and not final:
                with reading(path) as pread:
                    size = max(gap.end, masker.clear(pread, size))
        except OSError:
            return ()
        return (Extent(OUTPUT, size, gap),)

    def _split_extents(
        self, key: Key, spec: Spec, masker: Masker | None, *, final: bool
    ) -> tuple[Extent, ...]:
        order = self._splitting().order(key, has_head=_has_head(spec), final=final)
        if not order.size:
            return ()
        gap = WHOLE
        if order.size > spec.keep_bytes:
            gap = self._trim(key, order.size, spec.keep_bytes, order)
        size = order.size
        if masker is not None and not final:
            size = max(gap.end, self._splitting().clear(key, masker))
        entries = Extent(ORDER, len(order) * ENTRY.size)
        return (Extent(OUTPUT, size, gap, order.parts), entries)

    def read(self, key: Key, name: str, offset: int, limit: int) -> bytes | None:
        """See `Host.read_output`."""
        try:
            masker = None
            if self._secrets.has(key) and name != ORDER:
                masker = self._secrets.masker(key)
                if masker is None:
                    return b""
            gap = self._gaps.get(key, WHOLE) if name == OUTPUT else WHOLE
            if name == OUTPUT and self._splits is not None and key in self._splits:
                return self._splits.read(key, offset, limit, masker, gap)
            with reading(self._path(key, name)) as pread:
                if masker is None:
                    return pread(limit, offset)
                return masker.read(pread, offset, limit, gap)
        except FileNotFoundError:
            return b""
        except OSError as error:
            if error.errno == errno.ELOOP:
                return b""  # a link has taken its place: it is as good as gone
            log.warning("claim %s: its output cannot be read now: %s", key, error.strerror)
            return None

    def path(self, key: Key, name: str) -> str | None:
        """See `Host.output_path`. Streams that are told apart are no one file."""
        if not self._take_whole or name == ORDER or self._secrets.has(key):
            return None
        if name == OUTPUT and self._splits is not None and key in self._splits:
            return None
        return self._path(key, name)

    def _path(self, key: Key, name: str) -> str:
        files = {OUTPUT: OUT, ORDER: ORDER}
        return f"{self._runs}/{key}/{files.get(name) or f'{FOLDER}/{name}'}"

    def compress(self, data: bytes) -> tuple[bytes, str | None]:
        """See `Host`. Nothing is gained on the way to a server of this host."""
        if self._compress is None or len(data) < COMPRESS_BYTES or self._take_whole:
            return data, None
        packed = self._compress(data)
        return (packed, "zstd") if len(packed) < len(data) else (data, None)

    def forget(self, key: Key) -> None:
        """The claim goes."""
        self._gaps.pop(key, None)
        if self._splits is not None:
            self._splits.close(key)

    # --- the gap --------------------------------------------------------------------------------

    def _trim(self, key: Key, size: int, keep_bytes: int, order: Order | None) -> Gap:
        """Give back what is not to be kept of an output; return what is gone."""
        folder = f"{self._runs}/{key}"
        known = self._gaps.get(key)
        if known is None:
            known = self._gaps[key] = gap_in(f"{folder}/{GAP}")
        gap = gap_of(size, keep_bytes, known, slack=keep_bytes // STEPS)
        if gap == known:
            return known
        holes = [(f"{folder}/{OUT}", *hole) for hole in new_holes(known, gap)]
        if order is not None:
            holes = [h for hole in new_holes(known, gap) for h in self._of_both(key, order, hole)]
        try:
            write_gap(f"{folder}/{GAP}", gap)
        except OSError as error:
            log.warning("claim %s: its output cannot be shortened: %s", key, error)
            return known
        for hole in holes:
            self._puncher.take(*hole)
        self._gaps[key] = gap
        return gap

    def _of_both(self, key: Key, order: Order, hole: tuple[int, int]) -> list[tuple[str, int, int]]:
        """Return which bytes of both files are those of the output."""
        head = self._splitting().head(key)
        (out, err), (out_end, err_end) = order.places(hole[0]), order.places(hole[1])
        folder = f"{self._runs}/{key}"
        return [
            (f"{folder}/{OUT}", out, out_end),
            (f"{folder}/{ERR}", err + head, err_end + head),
        ]


def _compressor() -> Callable[[bytes], bytes] | None:
    """Return a zstd compressor if this Python has one."""
    for name in ("compression.zstd", "backports.zstd"):
        with contextlib.suppress(ImportError):
            compress: Callable[[bytes, int], bytes] = importlib.import_module(name).compress
            return lambda data: compress(data, 1)
    return None


def _has_head(spec: Spec) -> bool:
    """Whether launchers write to stderr before the program does: those to another user."""
    return spec.program.sudo_user is not None
