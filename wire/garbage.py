"""Counts what peers send that cannot be read, and decides when one is no longer listened to.

Owned by each port. It says at most one line a second however much comes, never logs the bytes
themselves, and holds a bounded number of peers.
"""

from __future__ import annotations

from typing import Any

# So many unreadable frames, and the peer's frames are dropped unread for a while.
BAD_FRAMES_AT_MOST = 20
DEAF_S = 60.0
# Peers remembered; beyond it the oldest are forgotten (a flood of invented names).
PEERS_AT_MOST = 1_000
LOG_EVERY_S = 1.0


class Garbage:
    """What was unreadable on one port. Times are monotonic seconds."""

    def __init__(self, port: str) -> None:
        self.count = 0
        self.unheard = 0
        self._port = port
        self._bad: dict[bytes, int] = {}
        self._deaf_until_s: dict[bytes, float] = {}
        self._log_from_s = float("-inf")
        self._unlogged = 0

    @property
    def deaf(self) -> bool:
        """Whether any peer is ignored at present."""
        return bool(self._deaf_until_s)

    def heard(self, peer: bytes, now_s: float) -> bool:
        """Return whether frames of this peer are read at present."""
        until_s = self._deaf_until_s.get(peer)
        if until_s is None:
            return True
        if now_s < until_s:
            self.unheard += 1
            return False
        del self._deaf_until_s[peer]
        return True

    def report(self, peer: bytes, reason: object, now_s: float) -> str | None:
        """Count one unreadable frame; return the line to log, None when one was logged just now."""
        self.count += 1
        self._unlogged += 1
        bad = self._bad.pop(peer, 0) + 1
        deaf = bad >= BAD_FRAMES_AT_MOST
        if deaf:
            _remember(self._deaf_until_s, peer, now_s + DEAF_S)
        else:
            _remember(self._bad, peer, bad)
        if now_s < self._log_from_s:
            return None
        self._log_from_s = now_s + LOG_EVERY_S
        several = f" ({self._unlogged} since the last such line)" if self._unlogged > 1 else ""
        self._unlogged = 0
        then = f"; its frames are ignored for {DEAF_S:.0f} s" if deaf else ""
        name = peer[:40].decode("ascii", "backslashreplace")
        return f"port {self._port}: peer {name!r}: dropped: {str(reason)[:200]}{several}{then}"


def _remember(entries: dict[bytes, Any], peer: bytes, value: Any) -> None:
    if len(entries) >= PEERS_AT_MOST:
        del entries[next(iter(entries))]
    entries[peer] = value
