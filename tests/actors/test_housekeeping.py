"""The timetable of regular work: strictly forward, whatever the clock or a trigger does."""

from __future__ import annotations

from callsheet.actors.housekeeping import STEP_US, Chore, Timetable

SECOND = 1_000_000
START_US = 1_800_000_000 * SECOND + 123


def test_a_chore_comes_soon_and_then_at_its_interval() -> None:
    table = Timetable((Chore(name="checks", every_s=60, soon_s=5),), START_US)
    assert table.take(START_US) == []
    assert table.wakes_at() == START_US + 5 * SECOND
    times = []
    for _ in range(4):
        at_us = table.wakes_at()
        assert table.take(at_us) == ["checks"]
        assert table.take(at_us) == []
        times.append((at_us - START_US) // SECOND)
    assert times == [5, 65, 125, 185]


def test_rounds_missed_are_not_made_up_for() -> None:
    table = Timetable((Chore(name="checks", every_s=60),), START_US)
    table.take(START_US)
    assert table.take(START_US + 3_600 * SECOND + SECOND) == ["checks"]
    assert table.wakes_at() == START_US + 3_660 * SECOND


def test_a_clock_set_back_does_not_silence_the_work() -> None:
    table = Timetable((Chore(name="checks", every_s=60),), START_US)
    table.take(START_US)
    back_us = START_US - 86_400 * SECOND
    assert table.take(back_us) == ["checks"]
    assert table.take(back_us) == []


def test_a_trigger_that_stands_still_is_moved_on() -> None:
    table = Timetable((Chore(name="checks", every_s=60),), START_US)

    class Stuck:
        def get_next_fire_time(self, previous, now):
            return now.replace(year=2001)

    table._triggers["checks"] = Stuck()
    table.take(START_US)
    assert table.wakes_at() == START_US + STEP_US


def test_an_empty_table_never_wakes() -> None:
    assert Timetable((), START_US).wakes_at() is None
