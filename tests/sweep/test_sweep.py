"""A sample of the sweep: `make sweep` compares everything."""

from __future__ import annotations

import functools
import random
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

import cases
import sweep

SAMPLE = 26
# Zones whose clocks do what others' do not: leap by half an hour or a day, at midnight, in Ramadan.
ODD_ZONES = (
    "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns", "America/Sao_Paulo",
    "Africa/Casablanca", "Asia/Gaza", "Antarctica/Troll", "Europe/Dublin", "Asia/Pyongyang",
)  # fmt: skip
DAY = 24 * 60


@functools.cache
def some_windows() -> list[sweep.Window]:
    """Return the day that Samoa left out, of each odd zone a change forward and one back, and
    changes of zones of all kinds."""
    dice = random.Random(20_240_310)
    found = []
    for zone in ODD_ZONES:
        changes = [sweep.Window(zone, minute, by) for minute, by in cases.changes(zone)]
        found += [one for one in changes if one.by == DAY]
        found.append(dice.choice([one for one in changes if 0 < one.by < DAY]))
        found.append(dice.choice([one for one in changes if one.by < 0]))
    for zone in dice.sample(sorted(cases.available_timezones() - set(ODD_ZONES)), SAMPLE):
        changes = cases.changes(zone)
        if changes:
            found.append(sweep.Window(zone, *dice.choice(changes)))
    return found[:SAMPLE]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(SAMPLE))
def test_schedules_fire_as_a_sweep_of_every_minute_finds(number: int) -> None:
    # Looked for here and not while tests are collected: each worker does that.
    window = some_windows()[number]
    outcome = sweep.check(window)
    assert outcome.differences == [], window
    assert outcome.fires > 500, window


def test_the_oracle_shares_no_time_arithmetic_with_what_it_judges() -> None:
    for name in ("oracle.py", "cases.py"):
        assert "callsheet." not in (Path(__file__).parent / name).read_text()
