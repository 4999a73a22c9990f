"""Retry policies: how they are written, which ends they retry, and how long after."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from callsheet.jobs.binding import new_run
from callsheet.jobs.job import Job
from callsheet.jobs.jso import job_jso
from callsheet.jobs.parse import BadJob, definition_hash, job_from_data, job_to_data
from callsheet.jobs.retry import Retry, backoff_us, retry_words, tries_again
from callsheet.jobs.states import State

S = State
SECOND = 1_000_000
FULL = Retry(
    attempts=5,
    backoff_us=10 * SECOND,
    factor=1.5,
    max_backoff_us=60 * SECOND,
    jitter=0.5,
    on=(S.FAILURE, S.ERROR),
    retry_codes=(75,),
    fail_codes=(1, 2),
    on_lost="rerun",
)


def a_job(retry: Any) -> Job:
    return job_from_data({"program": {"type": "no-op"}, "retry": retry}, "a")


FORMS = [
    (3, Retry(attempts=3)),
    ({"attempts": 3}, Retry(attempts=3)),
    ({"attempts": 2, "on": "error"}, Retry(attempts=2, on=(S.ERROR,))),
    ({"attempts": 2, "on": []}, Retry(attempts=2, on=())),
    (
        {"attempts": 2, "backoff": "1h"},
        Retry(attempts=2, backoff_us=3600 * SECOND, max_backoff_us=3600 * SECOND),
    ),
    (
        {"attempts": 2, "max_backoff": 5},
        Retry(attempts=2, backoff_us=5 * SECOND, max_backoff_us=5 * SECOND),
    ),
    (
        {
            "attempts": 5,
            "backoff": "10s",
            "factor": 1.5,
            "max_backoff": "1m",
            "jitter": 0.5,
            "on": ["failure", "error"],
            "exit_codes": {"retry": 75, "fail": [1, 2]},
            "on_lost": "rerun",
        },
        FULL,
    ),
]


@pytest.mark.parametrize(("data", "retry"), FORMS)
def test_policies_are_read_and_written_without_loss(data, retry):
    job = a_job(data)
    assert job.retry == retry
    assert job_from_data(job_to_data(job), "a") == job
    assert job_jso(job)["retry"]["str"] == retry_words(retry)


MISTAKES = [
    (True, "expected a whole number of attempts"),
    (0, "expected 1 to 100 attempts"),
    ({}, "missing key: attempts"),
    ({"attempts": 101}, "expected 1 to 100 attempts"),
    ({"attempts": 2, "backoff": "-1s"}, "expected a duration of 0 or more"),
    ({"attempts": 2, "backoff": 10, "max_backoff": 5}, "expected no less than backoff, 10 s"),
    ({"attempts": 2, "factor": 0.5}, "expected a number from 1 to 100"),
    ({"attempts": 2, "jitter": float("nan")}, "expected a number from 0 to 1"),
    ({"attempts": 2, "jitter": True}, "expected a number from 0 to 1"),
    ({"attempts": 2, "on": "success"}, "expected failure or error"),
    ({"attempts": 2, "exit_codes": {"retry": 0}}, "expected an exit code from 1 to 255"),
    ({"attempts": 2, "exit_codes": {"retry": 3, "fail": [3]}}, "3 is in both lists"),
    ({"attempts": 2, "exit_codes": 3}, "expected a mapping"),
    ({"attempts": 2, "on_lost": "retry"}, "expected report or rerun"),
    ({"atempts": 2}, "did you mean attempts?"),
]


@pytest.mark.parametrize(("data", "sentence"), MISTAKES)
def test_mistakes_are_refused_in_words(data, sentence):
    with pytest.raises(BadJob, match="retry") as refused:
        a_job(data)
    assert sentence in str(refused.value)


def test_a_job_without_the_key_is_packed_and_named_as_ever():
    job = job_from_data({"program": {"type": "no-op"}}, "a")
    assert "retry" not in msgspec.to_builtins(job)
    assert definition_hash(job) != definition_hash(a_job(2))


def test_a_run_carries_the_policy_of_its_job_even_when_it_cannot_be_bound():
    made = new_run(a_job(3), "d", "r1", {"x": "1"}, 0, lambda _: None, {})
    assert made.error
    assert made.retry == Retry(attempts=3)


ENDS = [
    (1, S.FAILURE, None, True),
    (4, S.FAILURE, None, True),
    (5, S.FAILURE, None, False),
    (1, S.SUCCESS, 0, False),
    (1, S.ERROR, None, True),
    (1, S.FAILURE, 1, False),
    (1, S.FAILURE, 75, True),
    (1, S.LOST, None, True),
    (5, S.LOST, None, False),
]


@pytest.mark.parametrize(("attempt", "state", "exit_code", "again"), ENDS)
def test_which_ends_are_followed_by_another_attempt(attempt, state, exit_code, again):
    assert tries_again(FULL, attempt, state, exit_code) is again


def test_back_offs_grow_by_the_factor_up_to_the_longest():
    retry = Retry(attempts=9, jitter=0.0)
    waits = [backoff_us(retry, "r1", attempt) // SECOND for attempt in range(1, 8)]
    assert waits == [30, 60, 120, 240, 480, 600, 600]


def test_the_steepest_policy_has_a_back_off_after_its_last_attempt():
    retry = Retry(attempts=100, factor=100.0, jitter=0.0)
    assert backoff_us(retry, "r1", 99) == retry.max_backoff_us


def test_jitter_spreads_runs_within_its_share_and_is_the_same_each_time():
    retry = Retry(attempts=3, jitter=0.1)
    waits = [backoff_us(retry, f"r{n}", 1) / SECOND for n in range(1000)]
    assert waits == [backoff_us(retry, f"r{n}", 1) / SECOND for n in range(1000)]
    assert 27 <= min(waits) < 27.1
    assert 32.9 < max(waits) <= 33
    assert backoff_us(retry, "r1", 1) * 2 != backoff_us(retry, "r1", 2)


def test_a_policy_is_said_in_words():
    assert retry_words(FULL) == (
        "up to 5 attempts, after failure or error, exit codes 75 are retried, "
        "exit codes 1, 2 are final, the next after 10 s, each time 1.5 times as long up to 60 s, "
        "a lost attempt is followed by another"
    )
