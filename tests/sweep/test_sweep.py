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

SAMPLE = 48
# Zones whose clocks do what others' do not: leap by half an hour or a day, at midnight, in Ramadan.
ODD_ZONES = (
    "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns", "America/Sao_Paulo",
    "Africa/Casablanca", "Asia/Gaza", "Antarctica/Troll", "Europe/Dublin", "Asia/Pyongyang",
)  # fmt: skip


@functools.cache
def some_windows() -> list[sweep.Window]:
    dice = random.Random(20_240_310)
    all_zones = {*ODD_ZONES, *dice.sample(sorted(cases.available_timezones()), 40)}
    found = [
        sweep.Window(zone, minute, by)
        for zone in sorted(all_zones)
        for minute, by in cases.changes(zone)
    ]
    dice.shuffle(found)
    # The odd zones come first, and the day that Samoa left out is always among them.
    found.sort(key=lambda one: (one.by != DAY, one.zone not in ODD_ZONES))
    return found[: SAMPLE // 2] + found[-SAMPLE // 2 :]


DAY = 24 * 60


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
