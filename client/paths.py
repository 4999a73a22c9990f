"""Texts as parts of a URL."""

from __future__ import annotations

_KEPT = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"


def quote(text: str, safe: str = "") -> str:
    """Return a text as part of a URL; `urllib.parse` costs too much to import."""
    kept = {*_KEPT, *safe.encode()}
    return "".join(
        chr(byte) if byte in kept else f"%{byte:02X}" for byte in str(text).encode("utf-8")
    )
