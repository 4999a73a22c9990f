"""No secret in what is written for people: logs, errors, what commands print.

Owned here: which texts are secrets, as far as this process has seen any, and what a secret looks
like where it was never seen. Whoever reads a secret calls `remember`; whoever writes for people
calls `mask`. Nothing is ever unmasked, and nothing here is sent anywhere.
"""

from __future__ import annotations

import base64
import re

MASK = "***"
# A text shorter than this is found in harmless words all the time.
SECRET_CHARACTERS = 4
# A process reads few secrets, the same ones again and again; more than these are not kept.
MOST_REMEMBERED = 2_000

# What secrets look like: tokens of ours, what is shown to a server, passwords in a URL, and the
# values of parameters that are called for what they are.
_SHAPES = (
    (re.compile(r"\bcst_[A-Za-z0-9_-]{16,}"), MASK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{6,}"), rf"\1 {MASK}"),
    (re.compile(r"(://)[^/@\s:]*:[^/@\s]+@"), rf"\1{MASK}@"),
    (
        re.compile(
            r"(?i)\b([\w-]*(?:passw(?:or)?d|secret|token|api[_-]?key|access[_-]?key|credential)s?)"
            r"=(?!\*\*\*)[^\s&;,'\"]+"
        ),
        rf"\1={MASK}",
    ),
)

# Of a URL's characters, those that stand for themselves.
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~")

_forms: dict[str, None] = {}
_pattern: re.Pattern[str] | None = None


def remember(secret: str) -> None:
    """Mask this text from now on, also as base64 and as part of a URL; short ones are not."""
    global _pattern  # noqa: PLW0603 - what this process knows to be secret is one thing
    if len(secret) < SECRET_CHARACTERS or len(_forms) >= MOST_REMEMBERED or secret in _forms:
        return
    data = secret.encode("utf-8", "surrogateescape")
    forms = [secret, _in_url(data)]
    for before in range(3):
        # After other bytes it lies at another place of base64's groups of three; the characters
        # at its ends are shared with what is beside it.
        whole = base64.b64encode(b"-" * before + data).decode().rstrip("=")
        inner = whole[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        forms += [inner, inner.replace("+", "-").replace("/", "_")]
    forms += [line for line in secret.splitlines() if line != secret]
    _forms.update((form, None) for form in forms if len(form) >= SECRET_CHARACTERS)
    ordered = sorted(_forms, key=len, reverse=True)
    _pattern = re.compile("|".join(map(re.escape, ordered)))


def _in_url(data: bytes) -> str:
    return "".join(chr(byte) if chr(byte) in _PLAIN else f"%{byte:02X}" for byte in data)


def mask(text: str) -> str:
    """Return a text in which every secret that is known, or looks like one, is `***`."""
    if _pattern is not None:
        text = _pattern.sub(MASK, text)
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text


def forget() -> None:
    """Know no secret any more: for tests."""
    global _pattern  # noqa: PLW0603 - as above
    _forms.clear()
    _pattern = None
