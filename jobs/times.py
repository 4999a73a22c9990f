"""Instants, durations and zones as text, and back. Instants are microseconds UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def format_time(at_us: int) -> str:
    """Return `2024-01-02T03:04:05+00:00`, with a fraction only when it is not zero."""
    return (EPOCH + timedelta(microseconds=at_us)).isoformat()


def format_time_ms(at_us: int) -> str:
    """Return `2026-11-23T23:38:05.840+00:00`, always with milliseconds."""
    return (EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="milliseconds")
