"""Lists in the order of time: any stretch, what is ahead, and how many runs there are when."""

import pytest
from web_stand import now_us

from callsheet.jobs.times import parse_time
from callsheet.webui.v2_by_time import MAX_BINS, bin_width_s

SECOND_US = 10**6
HOUR_US = 3600 * SECOND_US


def made(stand):
    """Runs from an hour before now to three after, made in another order than that of times."""
    now = now_us()
    runs = {hour: stand.a_run(schedule_us=now + hour * HOUR_US) for hour in (2, -1, 3, 1)}
    runs[2.5] = stand.a_run("match prefix", schedule_us=now + 5 * HOUR_US // 2)
    return runs


def in_all(body):
    """The runs per bin, whatever their states (the one before now may have begun)."""
    return [sum(some) for some in zip(*body["counts"].values(), strict=True)]


def test_a_stretch_is_in_the_order_of_time_and_says_what_is_ahead(stand):
    runs = made(stand)
    status, body = stand.ask("GET", "/api/v2/runs-by-time?limit=3")
    assert status == 200
    assert [run["run_id"] for run in body["runs"]] == [runs[3], runs[2.5], runs[2]]
    assert (body["total"], body["ahead"], sum(body["counts"].values())) == (5, 4, 5)
    _, body = stand.ask("GET", "/api/v2/runs-by-time?limit=3&offset=3&counts=0")
    assert [run["run_id"] for run in body["runs"]] == [runs[1], runs[-1]]
    assert (body["total"], body["counts"]) == (None, None)


def test_a_stretch_may_begin_so_many_before_now_or_go_the_other_way(stand):
    runs = made(stand)
    for query, offset, hours in (
        ("offset=now-1&counts=0", 3, [1, -1]),
        ("offset=now-2", 2, [2, 1, -1]),
        ("offset=now-9", 0, [3, 2.5, 2, 1, -1]),
        ("order=earliest", 0, [-1, 1, 2, 2.5, 3]),
        ("order=earliest&offset=4", 4, [3]),
    ):
        _, body = stand.ask("GET", f"/api/v2/runs-by-time?{query}")
        assert [run["run_id"] for run in body["runs"]] == [runs[hour] for hour in hours]
        assert body["offset"] == offset


def test_a_query_narrows_the_list_its_figures_and_its_bins(stand):
    runs = made(stand)
    stand.ask("POST", f"/api/v2/runs/{runs[2]}/hold")
    for query, hours in (("match", [2.5]), ("state:held,failure", [2]), ("!match", [3, 2, 1, -1])):
        _, body = stand.ask("GET", f"/api/v2/runs-by-time?q={query}")
        assert [run["run_id"] for run in body["runs"]] == [runs[hour] for hour in hours]
        assert (body["total"], body["ahead"]) == (len(hours), sum(hour > 0 for hour in hours))
        _, body = stand.ask("GET", f"/api/v2/runs-per-time?q={query}")
        assert sum(in_all(body)) == len(hours)


def test_bins_cover_what_was_found(stand):
    made(stand)
    status, body = stand.ask("GET", "/api/v2/runs-per-time?bins=10")
    assert status == 200
    assert body["step"] == 1_800
    counts = in_all(body)
    assert (sum(counts), counts[0], counts[-1]) == (5, 1, 1)
    span_us = parse_time(body["to"]) - parse_time(body["from"])
    assert span_us == len(counts) * 1_800 * SECOND_US
    _, body = stand.ask("GET", "/api/v2/runs-per-time?q=nothing")
    assert (body["from"], body["counts"]) == (None, {})


def test_runs_far_ahead_do_not_press_the_others_together(stand):
    now = now_us()
    for hours in (-6, -1, 5, 7, 700):
        stand.a_run(schedule_us=now + hours * HOUR_US)
    _, whole = stand.ask("GET", "/api/v2/runs-per-time?bins=50")
    assert (whole["later"], whole["step"]) == (0, 86_400)
    _, body = stand.ask("GET", "/api/v2/runs-per-time?bins=50&balanced=1")
    assert (body["later"], body["step"], sum(in_all(body))) == (2, 900, 3)
    assert now + 6 * HOUR_US < parse_time(body["to"]) <= now + 6 * HOUR_US + 900 * SECOND_US
    _, ended = stand.ask("GET", "/api/v2/runs-per-time?bins=50&balanced=1&until=2200-01-01")
    assert (ended["later"], sum(in_all(ended))) == (0, 5)


def test_of_a_new_list_at_least_an_hour_is_seen(stand):
    now = now_us()
    for minutes in (1, 50, 70):
        stand.a_run(schedule_us=now + minutes * 60 * SECOND_US)
    _, body = stand.ask("GET", "/api/v2/runs-per-time?balanced=1")
    assert (body["later"], sum(in_all(body))) == (1, 2)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("runs-by-time?offset=-1", "offset: '-1'"),
        ("runs-by-time?offset=now", "offset: 'now'"),
        ("runs-by-time?order=up", "order: expected one of latest, earliest"),
        ("runs-by-time?cursor=3", "unknown parameters: cursor"),
        ("runs-by-time?q=colour:red", "colour: not a term"),
        ("runs-per-time?bins=0", "bins: '0'"),
        ("runs-per-time?limit=3", "unknown parameters: limit"),
    ],
)
def test_what_is_not_understood_is_refused(stand, query, sentence):
    status, body = stand.ask("GET", f"/api/v2/{query}")
    assert status == 400
    assert sentence in body["error"]


@pytest.mark.parametrize("most", [1, 2, 3, 60, 120, MAX_BINS])
@pytest.mark.parametrize("span_s", [0, 1, 59, 3_600, 86_400, 400 * 86_400, 40_000 * 86_400])
def test_the_bins_of_a_span_are_no_more_than_asked_for(most, span_s):
    width_s = bin_width_s(span_s * SECOND_US, most)
    for begin_s in (0, 1, width_s - 1):
        first, last = begin_s // width_s, (begin_s + span_s) // width_s
        assert last - first + 1 <= max(2, most)


def test_spans_that_begin_or_end_beyond_all_dates_are_counted(stand):
    stand.a_run(schedule_us=-62_135_596_800_000_000 + 3_600_000_000)
    stand.a_run(schedule_us=253_402_300_799_000_000)
    for bins in (1, 2, 7, 255):
        status, found = stand.ask("GET", f"/api/v2/runs-per-time?bins={bins}")
        assert status == 200
        assert sum(map(sum, found["counts"].values())) == 2
