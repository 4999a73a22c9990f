"""The scheduler's parts by themselves: window, docket, run numbers, requests."""

from __future__ import annotations

from itertools import islice

import pytest
from msgspec.structs import replace

from callsheet.actors.docket import FILL_AGAIN_US, ROWS_A_READ, SOON_AT_MOST, SPAN_US, Docket
from callsheet.actors.requests import REPEAT_US, OpenRequests
from callsheet.actors.run_numbers import BLOCK, RunNumbers
from callsheet.actors.window import PORTION, Window, portion
from callsheet.jobs.ahead import AHEAD_US
from callsheet.jobs.run import Run
from callsheet.jobs.schedules import Daily, Explicit, Interval, fires
from callsheet.jobs.states import State
from callsheet.messages.commands import IdsLeased
from callsheet.messages.hello import DueRow
from callsheet.messages.instructions import RunsDue, RunsSoon
from callsheet.messages.post import Post
from callsheet.store.memory import MemoryDisk, MemoryReader

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
NOW_US = 1_800_000_000 * SECOND
WINDOW = Window()

SCHEDULES = [
    Interval(interval_us=SECOND),
    Interval(interval_us=10 * 60 * SECOND, phase_us=7),
    Interval(interval_us=40 * DAY),
    Daily(tz="America/New_York", daytimes_s=(34_200.0,)),
    Daily(tz="Europe/Berlin", daytimes_s=(0.0, 3_600.0, 86_399.0), calendar="Mon"),
    Explicit(times_us=(NOW_US + HOUR, NOW_US + 90 * DAY)),
]


def walk(schedule, written_us: int, now_us: int, window: Window = WINDOW):
    """Write portions until nothing is to be done now; return fires and when to look again."""
    taken = []
    while True:
        some = portion(schedule, written_us, now_us, 0, window)
        if some.writes:
            assert some.upto_us > written_us
            assert len(some.fires) <= PORTION
            expected = list(fires(schedule, written_us, some.upto_us))
            assert some.fires == expected
            written_us = some.upto_us
            taken += some.fires
        if some.look_us is None or some.look_us > now_us:
            return taken, written_us, some.look_us


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_window_over_time_holds_each_fire_once_and_always_the_next(schedule) -> None:
    written_us, now_us = NOW_US, NOW_US
    found = []
    for _ in range(60):
        taken, written_us, look_us = walk(schedule, written_us, now_us)
        found += [fire.at_us for fire in taken]
        ahead = [at_us for at_us in found if at_us > now_us]
        assert len(ahead) <= WINDOW.ahead
        if look_us is None:
            break
        assert ahead
        day = [fire.at_us for fire in islice(fires(schedule, now_us + 1, now_us + DAY), len(ahead))]
        assert ahead[: len(day)] == day
        now_us = look_us
    assert found == [fire.at_us for fire in fires(schedule, NOW_US, found[-1] + 1)]


def test_a_long_absence_is_made_up_for_in_portions() -> None:
    schedule = Interval(interval_us=60 * SECOND)
    taken, _, _ = walk(schedule, NOW_US - 3 * DAY, NOW_US)
    assert len([fire for fire in taken if fire.at_us < NOW_US]) == 3 * 24 * 60


def test_a_schedule_that_has_ended_is_never_looked_at_again() -> None:
    some = portion(Explicit(times_us=(NOW_US - DAY,)), NOW_US, NOW_US, 0, WINDOW)
    assert (some.writes, some.look_us) == (False, None)


def test_numbers_are_given_once_and_only_from_the_block_asked_for() -> None:
    numbers = RunNumbers(100)
    [lease] = numbers.settle(0)
    assert lease.message.count == BLOCK
    numbers.leased(IdsLeased(first_id=1, count=BLOCK, request=7))
    assert numbers.take(1) is None
    answer = IdsLeased(first_id=5, count=BLOCK, request=lease.message.request)
    numbers.leased(answer)
    numbers.leased(answer)
    assert len(numbers) == BLOCK
    assert numbers.take(2) == ["r5", "r6"]
    assert numbers.take(BLOCK) is None
    [more] = numbers.settle(SECOND)
    assert more.message.count >= BLOCK


def test_a_request_is_repeated_until_it_is_answered_even_if_the_clock_goes_back() -> None:
    requests = OpenRequests()
    post = Post("ledger/0", "m")
    requests.send("k", post, NOW_US)
    assert requests.repeat(NOW_US + REPEAT_US - 1) == []
    assert requests.repeat(NOW_US + REPEAT_US) == [post]
    assert requests.repeat(NOW_US - DAY) == [post]
    assert requests.answered("k")
    assert not requests.answered("k")
    assert requests.wakes_at() is None


def a_docket(*times_us: int) -> tuple[Docket, MemoryDisk]:
    disk = MemoryDisk()
    for number, at_us in enumerate(times_us, 1):
        disk.tables.scheduled[number] = Run(
            run_id=f"r{number}", job_id="a", args={}, state=State.SCHEDULED, schedule_us=at_us
        )
    docket = Docket(MemoryReader(disk))
    docket.begin([])
    return docket, disk


def all_in_time(runs, now_us: int) -> dict[str, str]:
    return {}


def said(docket: Docket, now_us: int, kind: type = RunsDue) -> list[str]:
    messages = [post.message for post in docket.settle(now_us, all_in_time)]
    return [run_id for one in messages if isinstance(one, kind) for run_id in one.run_ids]


def due(docket: Docket, now_us: int) -> list[str]:
    return said(docket, now_us)


def soon(docket: Docket, now_us: int) -> list[str]:
    return said(docket, now_us, RunsSoon)


def a_filled_docket(*times_us: int) -> Docket:
    docket, _ = a_docket(*times_us)
    while docket.wakes_at() == 0:
        due(docket, NOW_US)
    return docket


def test_the_docket_says_once_what_will_be_due_in_a_moment() -> None:
    docket = a_filled_docket(NOW_US + SECOND, NOW_US + SECOND + AHEAD_US)
    assert docket.wakes_at() == NOW_US + SECOND - AHEAD_US
    assert soon(docket, NOW_US + SECOND - AHEAD_US - 1) == []
    assert soon(docket, NOW_US + SECOND - AHEAD_US) == ["r1"]
    assert soon(docket, NOW_US + SECOND - AHEAD_US) == []
    assert docket.wakes_at() == NOW_US + SECOND
    assert due(docket, NOW_US + SECOND) == ["r1"]


def test_what_has_gone_ahead_is_not_said_to_be_due() -> None:
    docket = a_filled_docket(NOW_US + SECOND)
    assert soon(docket, NOW_US + SECOND - 1) == ["r1"]
    docket.drop(["r1"])
    assert due(docket, NOW_US + SECOND) == []


def test_what_is_due_already_is_not_said_to_be_so_soon() -> None:
    docket = a_filled_docket(NOW_US + SECOND)
    assert soon(docket, NOW_US + SECOND) == []


def test_of_what_comes_near_out_of_turn_each_is_due_at_its_time() -> None:
    docket = a_filled_docket(NOW_US + SECOND)
    assert soon(docket, NOW_US + SECOND - AHEAD_US) == ["r1"]
    docket.add([DueRow("r2", NOW_US + SECOND - 5, "a")])
    assert soon(docket, NOW_US + SECOND - AHEAD_US) == ["r2"]
    assert due(docket, NOW_US + SECOND - 5) == ["r2"]
    assert due(docket, NOW_US + SECOND) == ["r1"]


def test_of_a_burst_a_part_is_told_ahead_and_all_of_it_in_time() -> None:
    docket = a_filled_docket(*[NOW_US + SECOND] * (SOON_AT_MOST + 50))
    assert len(soon(docket, NOW_US + SECOND - AHEAD_US)) == SOON_AT_MOST
    assert len(due(docket, NOW_US + SECOND)) == SOON_AT_MOST + 50


def test_the_docket_says_what_is_due_until_it_is_taken() -> None:
    docket, disk = a_docket(NOW_US + 5 * SECOND, NOW_US + 6 * SECOND)
    assert due(docket, NOW_US) == []
    assert due(docket, NOW_US + 5 * SECOND) == ["r1"]
    assert due(docket, NOW_US + 5 * SECOND + 1) == []
    assert due(docket, NOW_US + 6 * SECOND) == ["r1", "r2"]
    disk.tables.scheduled.clear()
    docket.taken(["r1", "r2"])
    assert due(docket, NOW_US + 60 * SECOND) == []


def test_what_lies_beyond_is_read_in_time() -> None:
    far_us = NOW_US + 3 * SPAN_US
    docket, _ = a_docket(far_us)
    now_us = NOW_US
    while now_us < far_us:
        assert due(docket, now_us) == []
        assert docket.wakes_at() - now_us <= SPAN_US
        now_us = max(docket.wakes_at(), now_us + 1)
    assert due(docket, far_us) == ["r1"]
    assert FILL_AGAIN_US < SPAN_US


def test_more_rows_than_one_read_holds_are_all_found() -> None:
    docket, _ = a_docket(*[NOW_US + SECOND] * (2 * ROWS_A_READ + 10))
    for _ in range(5):
        due(docket, NOW_US)
    assert len(due(docket, NOW_US + SECOND)) == 2 * ROWS_A_READ + 10


def test_a_run_nobody_told_of_is_found_by_the_sweep() -> None:
    docket, disk = a_docket()
    due(docket, NOW_US)
    disk.tables.scheduled[9] = Run(
        run_id="r9", job_id="a", args={}, state=State.SCHEDULED, schedule_us=NOW_US
    )
    assert due(docket, NOW_US + 10 * SECOND) == ["r9"]


def test_a_run_that_was_put_to_an_earlier_time_is_found_whatever_was_lost() -> None:
    docket, disk = a_docket(NOW_US + 1800 * SECOND)
    due(docket, NOW_US)
    disk.tables.scheduled[1] = replace(disk.tables.scheduled[1], schedule_us=NOW_US + SECOND)
    assert due(docket, NOW_US + 10 * SECOND) == ["r1"]
    docket.taken(["r1"])
    disk.tables.scheduled.clear()
    assert due(docket, NOW_US + 1800 * SECOND) == []


def test_a_run_that_is_put_to_another_time_is_due_at_the_last_that_was_told() -> None:
    docket, _ = a_docket(NOW_US + 60 * SECOND)
    due(docket, NOW_US)
    docket.add([DueRow("r1", NOW_US + SECOND, "a")])
    assert due(docket, NOW_US + SECOND) == ["r1"]


def test_a_run_that_was_withdrawn_is_not_said_to_be_due() -> None:
    docket, disk = a_docket(NOW_US + SECOND)
    due(docket, NOW_US)
    disk.tables.scheduled.clear()
    docket.drop(["r1"])
    docket.add([DueRow("r2", NOW_US + SECOND, "a")])
    assert due(docket, NOW_US + SECOND) == ["r2"]
