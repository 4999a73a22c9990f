"""Whatever is asked for, both stores find what the filter itself says, page after page."""

import random

import pytest
from store_records import HOUR_US, T0_US, a_run

from callsheet.jobs.run_filter import RunFilter
from callsheet.jobs.states import State
from callsheet.store import reader as reader_module
from callsheet.store.interface import Changes

JOBS = ("a", "a/b", "reports/daily sales", "reports/daily stock", "adhoc-7")
LABELS = ("x", "y", "with, comma", 'quote"d')
# One like a label, one within another, and what a store might put around them.
OWNERS = ("", "x", "ada", "ada l", 'a "b"', "\x1eada\x1d")
RESULTS = ("5", "40", "-1e1", "0x5", "2026-01-05", "café", "", "x" * 300, "x" * 256)
VALUES = ("1", "2", 'say "1"', "a\\b")


def some_run(number, draw):
    job_id = draw.choice(JOBS)
    return a_run(
        number,
        job_id=job_id,
        state=draw.choice(list(State)),
        held=draw.random() < 0.2,
        args={name: draw.choice(VALUES) for name in ("k", "l", 'k"') if draw.random() < 0.6},
        labels=tuple(label for label in LABELS if draw.random() < 0.3),
        owner=draw.choice(OWNERS),
        agent_id=draw.choice([None, "one", "two"]),
        ad_hoc=job_id.startswith("adhoc"),
        backfill=draw.choice([None, None, 1, 2]),
        results={key: draw.choice(RESULTS) for key in ("rows", "day") if draw.random() < 0.5},
        schedule_us=T0_US + draw.randrange(20) * HOUR_US,
    )


def some_filter(draw):
    """A filter of few terms, so that it finds something."""

    def maybe(make, otherwise, chance=0.15):
        return make() if draw.random() < chance else otherwise

    def arg():
        values = draw.sample(VALUES, draw.randrange(1, 3))
        return draw.choice(["k", "l", "m"]), draw.choice([None, tuple(values)])

    def result():
        sign = draw.choice(["", "=", "<", "<=", ">", ">="])
        values = tuple(draw.sample(RESULTS, 2 if sign == "=" else 1)) if sign else ()
        return draw.choice(["rows", "day", "none"]), sign, values

    def hour():
        return T0_US + draw.randrange(20) * HOUR_US

    def states():
        return frozenset(draw.sample(list(State), draw.randrange(1, 6)))

    return RunFilter(
        words=maybe(lambda: (draw.choice(["a", "re", "daily", "st"]),), ()),
        without_words=maybe(lambda: (("daily", "sal"),), ()),
        job=maybe(lambda: draw.choice(["a", "reports", "daily sto", "none"]), None),
        states=maybe(states, None, 0.3),
        states_or_held=maybe(lambda: (states(),), ()),
        held=maybe(lambda: draw.random() < 0.5, None),
        labels=maybe(lambda: (tuple(draw.sample(LABELS, 2)),), (), 0.3),
        without_labels=maybe(lambda: (draw.choice(LABELS),), ()),
        owners=maybe(lambda: frozenset(draw.sample(OWNERS[1:], 2)), None, 0.2),
        without_owners=maybe(lambda: frozenset({draw.choice(OWNERS[1:])}), frozenset()),
        args=maybe(lambda: (arg(),), (), 0.3),
        without_args=maybe(lambda: (arg(),), ()),
        agents=maybe(lambda: frozenset({draw.choice(["one", "none"])}), None),
        without_agents=maybe(lambda: frozenset({"two"}), frozenset()),
        run_ids=maybe(lambda: frozenset({"r3", "r40", "r999"}), None, 0.05),
        without_run_ids=maybe(lambda: frozenset({"r5", "r40"}), frozenset()),
        results=maybe(lambda: (result(),), (), 0.25),
        without_results=maybe(lambda: (result(),), ()),
        backfills=maybe(lambda: frozenset({draw.choice([1, 2]), 3}), None),
        without_backfills=maybe(lambda: frozenset({2}), frozenset()),
        ad_hoc=maybe(lambda: draw.random() < 0.5, None),
        since_us=maybe(hour, None),
        until_us=maybe(hour, None),
        without_spans=maybe(lambda: ((hour(), None), (None, T0_US)), ()),
    )


def pages(reader, wanted, limit):
    found, before = [], None
    while True:
        page = reader.find(wanted, before=before, limit=limit)
        assert len(page.runs) <= limit
        found += [run.run_id for run in page.runs]
        if page.before is None:
            return found
        before = page.before


@pytest.mark.parametrize("quick_s", [reader_module.QUICK_S, -1.0], ids=["at once", "by windows"])
def test_a_search_finds_just_what_matches_in_order(store, writer, monkeypatch, quick_s):
    monkeypatch.setattr(reader_module, "QUICK_S", quick_s)
    monkeypatch.setattr("callsheet.store.reading._STEPS", 1)
    monkeypatch.setattr("callsheet.store.searching.FIRST_WINDOW", 16)
    draw = random.Random(7)
    runs = [some_run(number, draw) for number in range(1, 121)]
    changes = Changes(
        runs={run.run_id: run for run in runs},
        ad_hoc_jobs={"adhoc-7": "d"},
        jobs=dict.fromkeys(JOBS[:3], "d"),
    )
    writer.commit(changes)
    reader = store.new_reader()
    found_something = 0
    for _ in range(300):
        wanted = some_filter(draw)
        expected = [run for run in reversed(runs) if wanted.matches(run)]
        if wanted.job == "a":
            # A whole id of a job in force is that job and what is below it.
            expected = [run for run in expected if f"{run.job_id}/".startswith("a/")]
        found = pages(reader, wanted, draw.choice([1, 5, 200]))
        assert found == [run.run_id for run in expected], wanted
        counted = reader.count_found(wanted)
        assert sum(counted.values()) == len(expected), wanted
        found_something += bool(expected)
    assert found_something > 150


@pytest.mark.parametrize("quick_s", [reader_module.QUICK_S, -1.0], ids=["at once", "the other way"])
def test_any_stretch_of_a_list_by_time_is_found_and_counted_per_bin(
    store, writer, monkeypatch, quick_s
):
    monkeypatch.setattr(reader_module, "QUICK_S", quick_s)
    if quick_s < 0:
        monkeypatch.setattr("callsheet.store.reading._STEPS", 1)
    draw = random.Random(11)
    runs = [some_run(number, draw) for number in range(1, 121)]
    writer.commit(
        Changes(
            runs={run.run_id: run for run in runs},
            ad_hoc_jobs={"adhoc-7": "d"},
            jobs=dict.fromkeys(JOBS[1:3], "d"),
        )
    )
    reader = store.new_reader()
    runs.sort(key=lambda run: (run.schedule_us, run.number), reverse=True)
    found_something = 0
    for _ in range(60):
        wanted = some_filter(draw)
        expected = [run.run_id for run in runs if wanted.matches(run)]
        offset, limit = draw.choice([0, 1, 7, 500]), draw.choice([1, 5, 200])
        for rising in (False, True):
            found = reader.find_by_time(wanted, offset=offset, limit=limit, rising=rising)
            whole = expected[::-1] if rising else expected
            assert [run.run_id for run in found] == whole[offset : offset + limit], wanted
        times = [run.schedule_us for run in runs if wanted.matches(run)]
        assert reader.extent(wanted) == ((min(times), max(times)) if times else None), wanted
        per_bin = reader.count_per_bin(wanted, T0_US - HOUR_US, 7 * HOUR_US)
        per_hour = {}
        for run in filter(wanted.matches, runs):
            at = (run.schedule_us - T0_US + HOUR_US) // (7 * HOUR_US), run.state
            per_hour[at] = per_hour.get(at, 0) + 1
        assert per_bin == per_hour, wanted
        found_something += bool(expected)
    assert found_something > 30


def test_ids_an_agent_and_a_backfill_must_all_hold(store, writer):
    runs = [a_run(n, agent_id=agent, backfill=of) for n, agent, of in ((1, "x", 1), (2, "y", 1))]
    writer.commit(Changes(runs={run.run_id: run for run in runs}))
    reader = store.new_reader()
    both = RunFilter(run_ids=frozenset({"r1", "r2"}), agents=frozenset({"y"}))
    assert pages(reader, both, 5) == ["r2"]
    assert pages(reader, RunFilter(backfills=frozenset({1, 9}), agents=frozenset({"x"})), 5) == [
        "r1"
    ]
    assert pages(reader, RunFilter(backfills=frozenset({9})), 5) == []


def test_an_agent_is_that_of_the_present_attempt(store, writer):
    def agents():
        reader = store.new_reader()
        names = ("one", "two")
        wanted = [RunFilter(agents=frozenset({name})) for name in names]
        return [pages(reader, one, 5) for one in wanted]

    first = a_run(1, state=State.RUNNING, attempt=1, agent_id="one")
    writer.commit(Changes(runs={"r1": first}))
    assert agents() == [["r1"], []]
    writer.commit(Changes(runs={"r1": a_run(1, state=State.RUNNING, attempt=2, agent_id="two")}))
    assert agents() == [[], ["r1"]]
