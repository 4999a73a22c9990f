"""Retry policies of jobs: which ends of an attempt are followed by another, and when. Pure.

The ledger asks here when an attempt has ended. Nothing here knows a clock, and what looks like
chance is a hash: the same attempt is put off by the same time wherever it is asked.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from .states import State
from .times import SECOND_US

ATTEMPTS_AT_MOST = 100
FACTOR_AT_MOST = 100.0
# What a policy may name in `on`; what becomes of a lost attempt is said apart.
RETRIABLE = (State.FAILURE, State.ERROR)
DEFAULT_BACKOFF_US = 30 * SECOND_US
DEFAULT_MAX_BACKOFF_US = 600 * SECOND_US

OnLost = Literal["report", "rerun"]


class Retry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A retry policy. `attempts` counts all of them, the first included.

    The first back-off is `backoff_us`, each further one `factor` times the one before, none more
    than `max_backoff_us`; then up to the share `jitter` is added or taken away. Exit codes in
    `retry_codes` are followed by another attempt and those in `fail_codes` by none, whatever `on`
    says. `on_lost`: whether an attempt of which nobody knows what became is followed by another.
    """

    attempts: int
    backoff_us: int = DEFAULT_BACKOFF_US
    factor: float = 2.0
    max_backoff_us: int = DEFAULT_MAX_BACKOFF_US
    jitter: float = 0.1
    on: tuple[State, ...] = (State.FAILURE,)
    retry_codes: tuple[int, ...] = ()
    fail_codes: tuple[int, ...] = ()
    on_lost: OnLost = "report"


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an attempt of a run that has a retry policy ended. Instants are microseconds UTC.

    `started_us` is None when its program never ran.
    """

    number: int
    state: State
    ended_us: int
    started_us: int | None = None
    message: str = ""
    agent_id: str | None = None


def tries_again(retry: Retry, attempt: int, state: State, exit_code: int | None) -> bool:
    """Return whether another attempt follows.

    Args:
        attempt: the number of the attempt that ended, from 1.
        state: how it ended.
        exit_code: of its process, None when there is none.
    """
    if attempt >= retry.attempts or state is State.SUCCESS:
        return False
    if state is State.LOST:
        return retry.on_lost == "rerun"
    if exit_code is not None and exit_code in retry.fail_codes:
        return False
    if exit_code is not None and exit_code in retry.retry_codes:
        return True
    return state in retry.on


def backoff_us(retry: Retry, run_id: str, attempt: int) -> int:
    """Return how long after an attempt's end the next may start, in microseconds.

    Args:
        attempt: the number of the attempt that ended, from 1.
    """
    plain_us = min(retry.backoff_us * retry.factor ** (attempt - 1), retry.max_backoff_us)
    drawn = hashlib.blake2b(f"{run_id}.{attempt}".encode(), digest_size=4).digest()
    share = int.from_bytes(drawn, "big") / 2**31 - 1
    return round(plain_us * (1 + retry.jitter * share))


def retry_words(retry: Retry) -> str:
    """Return a policy in words."""
    said = [f"up to {retry.attempts} attempts"]
    if retry.on:
        said.append(f"after {' or '.join(state.value for state in retry.on)}")
    for verb, codes in (("retried", retry.retry_codes), ("final", retry.fail_codes)):
        if codes:
            said.append(f"exit codes {', '.join(map(str, codes))} are {verb}")
    first_s, most_s = retry.backoff_us / SECOND_US, retry.max_backoff_us / SECOND_US
    said.append(f"the next after {first_s:g} s")
    if retry.factor != 1:
        said.append(f"each time {retry.factor:g} times as long up to {most_s:g} s")
    if retry.on_lost == "rerun":
        said.append("a lost attempt is followed by another")
    return ", ".join(said)
