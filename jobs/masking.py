"""No secret in what is written for people: logs, errors, what commands print.

Owned here: which texts are secrets, as far as this process has seen any, and what a secret looks
like where it was never seen. Whoever reads a secret calls `remember`; whoever writes for people
calls `mask`. Nothing is ever unmasked, and nothing here is sent anywhere.
"""

from __future__ import annotations

import base64
import html
import json
import re
import string

MASK = "***"
# A text shorter than this is found in harmless words all the time.
SECRET_CHARACTERS = 4
# So much of a line of base64 is nobody else's.
BASE64_CHARACTERS = 16
# A process reads few secrets, the same ones again and again; no more forms than these are kept.
MOST_REMEMBERED = 4_000

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

# Of a URL's characters, those that stand for themselves, as one or the other encodes it.
_ALWAYS_PLAIN = frozenset(f"{string.ascii_letters}{string.digits}_.-~")
_PLAIN_IN_URLS = tuple(_ALWAYS_PLAIN | set(more) for more in ("", "/", "!'()*", "/!'()*"))
_PERCENT = re.compile("%[0-9A-F]{2}")
# What a shell puts a backslash before, in double quotes.
_IN_QUOTES = re.compile(r'[\\"$`]')
# So long are the lines of `base64`, and those of OpenSSL.
_BASE64_LINES = (76, 64)

_forms: dict[str, None] = {}
_pattern: re.Pattern[str] | None = None


def forms_of(secret: str) -> list[str]:
    """Return what a secret looks like where it was printed, encoded or quoted, the longest first;
    nothing for one that is too short."""
    if len(secret) < SECRET_CHARACTERS:
        return []
    data = secret.encode("utf-8", "surrogateescape")
    forms = {secret, data.hex(), data.hex().upper(), html.escape(secret)}
    # As JSON, Python and a shell quote it.
    forms |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    forms |= {repr(secret)[1:-1], _IN_QUOTES.sub(r"\\\g<0>", secret)}
    forms |= {secret.replace("'", other) for other in ("'\\''", "'\"'\"'")}
    for plain in _PLAIN_IN_URLS:
        in_url = _in_url(data, plain)
        forms |= {in_url, _PERCENT.sub(lambda m: m[0].lower(), in_url), in_url.replace("%20", "+")}
    for before in range(3):
        # After other bytes it lies at another place of base64's groups of three; the characters
        # at its ends are shared with what is beside it.
        whole = base64.b64encode(b"-" * before + data).decode().rstrip("=")
        inner = whole[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        forms |= {inner, inner.replace("+", "-").replace("/", "_")}
    # Each line by itself, for something may stand between them.
    forms |= {line.strip() for line in secret.splitlines()}
    encoded = base64.b64encode(data).decode()
    for width in _BASE64_LINES:
        lines = (encoded[at : at + width] for at in range(0, len(encoded), width))
        forms |= {line for line in lines if len(line) >= BASE64_CHARACTERS}
    return sorted((f for f in forms if len(f) >= SECRET_CHARACTERS), key=len, reverse=True)


def remember(secret: str) -> None:
    """Mask this text from now on, and what it looks like encoded; short ones are not."""
    global _pattern  # noqa: PLW0603 - what this process knows to be secret is one thing
    if len(_forms) >= MOST_REMEMBERED or secret in _forms:
        return
    _forms.update(dict.fromkeys(forms_of(secret)))
    if _forms:
        ordered = sorted(_forms, key=len, reverse=True)
        _pattern = re.compile("|".join(map(re.escape, ordered)))


def _in_url(data: bytes, plain: frozenset[str]) -> str:
    return "".join(chr(byte) if chr(byte) in plain else f"%{byte:02X}" for byte in data)


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
