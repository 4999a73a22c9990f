"""When things are due: set anew, dropped, taken in order, whatever the clock does."""

from __future__ import annotations

import random

from callsheet.actors.due_times import DueTimes


def test_what_is_due_is_taken_in_order_once():
    due = DueTimes()
    for key, at_us in (("c", 30), ("a", 10), ("b", 20), ("d", 40)):
        due.set(key, at_us)
    assert due.earliest() == 10
    assert (due.take(30, 2), due.take(30, 9), due.earliest()) == (["a", "b"], ["c"], 40)


def test_what_is_set_anew_or_dropped_is_due_as_said_last():
    due = DueTimes()
    due.set("a", 10)
    due.set("b", 20)
    due.set("a", 50)
    due.drop("b")
    assert (due.earliest(), due.take(40, 9), "b" in due, "a" in due) == (50, [], False, True)
    due.set("a", 5)
    assert (due.take(40, 9), due.earliest()) == (["a"], None)


def test_a_clock_that_is_set_back_makes_everything_due():
    due = DueTimes()
    due.take(3_600_000_000, 9)
    due.set("a", 3_601_000_000)
    assert due.take(5_000_000, 9) == ["a"]


def test_it_agrees_with_a_plain_table_whatever_is_done():
    chance = random.Random(5)
    due, table, now_us = DueTimes(), {}, 0
    for _ in range(5_000):
        key = chance.randrange(50)
        match chance.randrange(3):
            case 0:
                at_us = now_us + chance.randrange(100)
                due.set(key, at_us)
                table[key] = at_us
            case 1:
                due.drop(key)
                table.pop(key, None)
            case _:
                now_us += chance.randrange(30)
                taken = due.take(now_us, 1_000)
                assert set(taken) == {k for k, at_us in table.items() if at_us <= now_us}
                times = [table.pop(k) for k in taken]
                assert times == sorted(times)
        assert due.earliest() == min(table.values(), default=None)
