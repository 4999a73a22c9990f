"""What a role counts of itself, and how it says so with its heartbeat.

A role's stage owns one `Figures` and observes; `said()` is what goes over its line, and `Told` what
the supervisor hands on to the web, which shows all of it (`webui/metrics.py`). Nothing decides
anything by it, so that a figure that is lost is only missing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

import msgspec

# Seconds: of commits and turns, of delays, of whole runs.
SHORT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DELAY_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)
LONG_S = (0.1, 1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 24 * 3600.0)


class Histogram(msgspec.Struct, kw_only=True):
    """How many observations were at most each of `bounds`, ascending, the last for all above them;
    and their sum."""

    bounds: tuple[float, ...]
    counts: list[int]
    sum: float = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


def histogram(bounds: tuple[float, ...]) -> Histogram:
    """Return one that has seen nothing."""
    return Histogram(bounds=bounds, counts=[0] * (len(bounds) + 1))


class Figures(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Counts only grow while a process lives; gauges are as of now. A name may have a value of its
    label after a blank: `runs_ended success`."""

    counts: dict[str, float] = {}
    gauges: dict[str, float] = {}
    histograms: dict[str, Histogram] = {}

    def count(self, name: str, by: float = 1) -> None:
        """Add to a count."""
        self.counts[name] = self.counts.get(name, 0) + by

    def said(self) -> str:
        """Return it as one line of text."""
        return _encode(self).decode()


class RoleStanding(msgspec.Struct, frozen=True, kw_only=True):
    """A process as its supervisor sees it; `pid` 0: there is none."""

    pid: int = 0
    ready: bool = False
    starts: int = 0


class Told(msgspec.Struct, kw_only=True):
    """What the supervisor hands on: of each role its standing, and what it said last."""

    standing: dict[str, RoleStanding]
    figures: dict[str, msgspec.Raw]

    def said(self) -> str:
        """Return it as one line of text."""
        return _encode(self).decode()


_encode = msgspec.json.Encoder().encode
_told = msgspec.json.Decoder(Told)
_figures = msgspec.json.Decoder(Figures)


def read_told(text: str) -> Told | None:
    """Return what was handed on, None for what cannot be read."""
    try:
        return _told.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


def told(standing: Mapping[str, RoleStanding], figures: Mapping[str, str]) -> Told:
    """Return what is known of all roles; `figures` as each said them."""
    raw = {role: msgspec.Raw(text.encode()) for role, text in figures.items() if _is_json(text)}
    return Told(standing=dict(standing), figures=raw)


def read_figures(raw: msgspec.Raw | bytes | str) -> Figures | None:
    """Return the figures of a role, None for what cannot be read."""
    try:
        return _figures.decode(raw)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None


def _is_json(text: str) -> bool:
    return read_figures(text) is not None
