"""What every store must do. Each test runs against each of them."""

import itertools
import random

import pytest
from msgspec.structs import replace
from store_records import (
    HOUR_US,
    T0_US,
    a_definition,
    a_move,
    a_planned_run,
    a_run,
    a_schedule,
    changes_of,
)

from callsheet.jobs.actions import ScheduleAction
from callsheet.jobs.calendar_days import pack_days
from callsheet.jobs.findings import CheckRound, Finding
from callsheet.jobs.run import MovedFrom, args_key
from callsheet.jobs.states import State
from callsheet.jobs.streaks import End
from callsheet.messages.access import ApiToken, Role, Session, User
from callsheet.messages.audit import BEGINNING, AuditEntry, chained
from callsheet.messages.backfills import Backfill, OpenBackfill
from callsheet.messages.commands import OutboxItem
from callsheet.messages.hello import DueRow
from callsheet.messages.instructions import OutputRecord
from callsheet.messages.pauses import Pause
from callsheet.messages.registry import AgentRecord, AgentToken
from callsheet.messages.transitions import (
    ActionNoted,
    JobsChanged,
    RunNoted,
    RunWithdrawn,
    SkipsRecorded,
)
from callsheet.messages.wishes import Done, Refused
from callsheet.store.findings import CLOSED_KEPT, ROUNDS_KEPT
from callsheet.store.interface import Changes, RunQuery, StoreBroken, StoreError, StoreUnusable
from callsheet.store.rows import LAST_ANSWERS

SINCE_US = 1_700_000_000 * 1_000_000


# --- opening ------------------------------------------------------------------------------------


def test_new_store_opens_empty_with_the_first_epoch(store):
    opening = store.new_writer().open(0)
    assert (opening.epoch, opening.seq, opening.next_run_number) == (1, 0, 1)
    assert (opening.jobs_version, opening.since_us) == (0, SINCE_US)
    assert opening.server_id
    assert not opening.active
    assert not opening.schedules
    assert not opening.jobs
    assert not opening.ad_hoc_jobs
    assert not opening.outbox


def test_each_opening_raises_the_epoch(store):
    epochs = []
    for _ in range(3):
        writer = store.new_writer()
        epochs.append(writer.open(0).epoch)
        assert store.new_reader().head() == (epochs[-1], 0)
        writer.close()
    assert epochs == [1, 2, 3]


def test_second_writer_is_refused_while_the_first_lives(store, writer):
    second = store.new_writer()
    with pytest.raises(StoreUnusable, match="in use"):
        second.open(0)
    second.close()
    writer.commit(changes_of(a_run()))
    assert store.new_reader().run("r1") == a_run()
    assert store.new_reader().head()[0] == 1


def test_server_id_stays(store):
    ids = set()
    for _ in range(2):
        writer = store.new_writer()
        ids.add(writer.open(0).server_id)
        writer.close()
    assert len(ids) == 1


def test_opening_finds_all_that_is_not_over(store, writer):
    definition, _ = a_definition()
    waiting, running = a_run(2, state=State.WAITING), a_run(3, state=State.RUNNING, attempt=1)
    item = OutboxItem(action_id="r4.1.0", run=a_run(4), action=ScheduleAction(job_id="b"), at_us=1)
    moved = replace(a_schedule(), written_upto_us=T0_US + HOUR_US)
    writer.commit(
        Changes(
            events=[a_move(1), a_move(2, "r2")],
            runs={run.run_id: run for run in (a_run(1), waiting, running)}
            | {"r4": a_run(4, state=State.SUCCESS)},
            definitions=[definition],
            jobs={"a": "d", "b": "e"},
            ad_hoc_jobs={"adhoc": "d"},
            jobs_version=7,
            schedules=[a_schedule(), a_schedule(fingerprint="closed", valid_to_us=T0_US), moved],
            outbox={"r4.1.0": item},
            next_run_number=100,
        )
    )
    writer.close()
    opening = store.new_writer().open(0)
    assert (opening.seq, opening.next_run_number, opening.jobs_version) == (2, 100, 7)
    assert opening.active == [waiting, running]
    reader = store.new_reader()
    assert reader.active() == [waiting, running]
    assert reader.active((State.WAITING,)) == [waiting]
    assert reader.active((State.RUNNING, State.STARTING)) == [running]
    assert reader.active((State.STOPPING,)) == []
    assert opening.schedules == [moved]
    assert opening.jobs == {"a": "d", "b": "e"}
    assert opening.ad_hoc_jobs == {"adhoc": "d"}
    assert opening.outbox == [item]


def test_closed_writer_writes_nothing(writer, reader):
    writer.close()
    with pytest.raises(StoreError):
        writer.commit(changes_of(a_run()))
    assert reader.run("r1") is None


# --- runs ---------------------------------------------------------------------------------------


def test_run_comes_back_as_it_was_put(writer, reader):
    run = a_planned_run(
        5,
        args={"date": "2026-01-01", "text": 'quote " back \\ line \n ø'},
        labels=("x", "y z"),
        meta={"elapsed": 0.5, "list": [1, None, "ø"]},
        version=17,
        actions=(ScheduleAction(job_id="b", states=(State.SUCCESS,)),),
    )
    writer.commit(changes_of(run))
    assert reader.run("r5") == run
    assert reader.runs(["r5", "r6", "nonsense", "r5"]) == [run]


@pytest.mark.parametrize("run_id", ["r2", "nonsense", "", "r", "r-1", "r01", f"r{2**70}"])
def test_unknown_run_is_none(writer, reader, run_id):
    writer.commit(changes_of(a_run()))
    assert reader.run(run_id) is None
    assert reader.log(run_id) == []
    assert reader.outputs(run_id) == []


def test_newer_record_replaces_the_older(writer, reader):
    for state in (State.SCHEDULED, State.WAITING, State.STARTING, State.RUNNING, State.SUCCESS):
        writer.commit(changes_of(a_run(state=state, message=state.value)))
        assert reader.run("r1") == a_run(state=state, message=state.value)
        assert reader.count_by_state(RunQuery()) == {state: 1}
        assert reader.instance_states("a", "{}") == {state: 1}


def test_withdrawn_run_is_gone_and_its_events_stay(writer, reader):
    writer.commit(Changes(events=[a_move(1)], runs={"r1": a_planned_run()}))
    withdrawn = RunWithdrawn(
        seq=2,
        at_us=T0_US,
        run_id="r1",
        job_id="a",
        args={},
        schedule_us=T0_US,
        fingerprint="f",
        reason="changed",
    )
    writer.commit(Changes(events=[withdrawn], runs={"r1": None}))
    assert reader.run("r1") is None
    assert reader.count(RunQuery(job_id="a")) == 0
    assert reader.due(T0_US + 1, 10) == []
    assert writer.expected_after("a", "f", 0) == []
    assert reader.log("r1") == [a_move(1), withdrawn]


def test_withdrawing_an_unknown_run_does_nothing(writer, reader):
    writer.commit(Changes(runs={"r9": None}))
    assert reader.count(RunQuery()) == 0


def test_withdrawn_run_makes_room_for_its_like_in_the_same_batch(writer, reader):
    writer.commit(changes_of(a_planned_run(1)))
    writer.commit(Changes(runs={"r2": a_planned_run(2, fingerprint="g"), "r1": None}))
    assert reader.runs(["r1", "r2"]) == [a_planned_run(2, fingerprint="g")]


def test_a_reader_that_has_rested_reads_on(writer, reader):
    writer.commit(changes_of(a_run(1)))
    assert reader.runs(["r1"]) == [a_run(1)]
    reader.rest()
    with reader.snapshot():
        reader.rest()
        assert reader.runs(["r1"]) == [a_run(1)]
    writer.commit(changes_of(a_run(2)))
    assert reader.runs(["r2"]) == [a_run(2)]


def test_active_runs_are_those_between_scheduled_and_over(writer, reader):
    runs = [a_run(n, state=state) for n, state in enumerate(State, start=1)]
    writer.commit(changes_of(*reversed(runs)))
    assert [run.state for run in reader.active()] == [
        State.WAITING,
        State.STARTING,
        State.RUNNING,
        State.STOPPING,
    ]
    assert reader.active((State.WAITING, State.RUNNING), 1) == reader.active((State.WAITING,))
    number = reader.active()[0].number
    assert reader.active(after=number - 1) == reader.active()
    assert reader.active(limit=1, after=number) == reader.active()[1:2]
    assert dict(reader.standing()) == {run.run_id: run.state for run in reader.active()}


def test_calendars_in_force_are_replaced_as_a_whole(store, writer, reader):
    assert reader.calendars() == []
    one, two = (pack_days(name, 738_000, 738_100, 5, "x.cal") for name in ("b", "a"))
    writer.commit(Changes(calendars=[one, two]))
    assert reader.calendars() == [two, one]
    writer.commit(changes_of(a_run()))
    assert reader.calendars() == [two, one]
    writer.close()
    assert store.new_writer().open(0).calendars == [two, one]


def test_no_calendars_are_a_change_too(writer, reader):
    writer.commit(Changes(calendars=[pack_days("a", 738_000, 738_100, 5)]))
    writer.commit(Changes(calendars=[]))
    assert reader.calendars() == []


# --- expected runs ------------------------------------------------------------------------------


def test_schedule_cannot_make_one_run_twice(writer, reader):
    writer.commit(changes_of(a_planned_run(1, args={"x": "1"})))
    twin = a_planned_run(2, args={"x": "1"}, fingerprint="other")
    with pytest.raises(StoreBroken):
        writer.commit(changes_of(twin))
    assert reader.run("r2") is None


def test_one_batch_cannot_hold_one_planned_run_twice(writer, reader):
    with pytest.raises(StoreBroken):
        writer.commit(changes_of(a_planned_run(1), a_planned_run(2)))
    assert reader.count(RunQuery()) == 0


def test_person_makes_as_many_runs_of_one_time_as_wished(writer, reader):
    writer.commit(changes_of(a_planned_run(1), a_run(2), a_run(3)))
    assert reader.instance_states("a", "{}") == {State.SCHEDULED: 3}


def test_finished_planned_run_still_counts_as_made(writer):
    args = {"date": "2026-01-01"}
    writer.commit(changes_of(a_planned_run(1, args=args), a_run(2, job_id="b")))
    writer.commit(changes_of(a_planned_run(1, args=args, state=State.SUCCESS, expected=False)))
    key = ("a", args_key(args), T0_US)
    others = [("a", "{}", T0_US), ("b", "{}", T0_US), ("a", args_key(args), T0_US + 1)]
    assert writer.existing_expected([key, *others]) == {key}
    assert writer.existing_expected([]) == set()


def test_expected_after_gives_the_schedules_future(writer):
    later, latest = T0_US + HOUR_US, T0_US + 2 * HOUR_US
    wanted = [a_planned_run(8, schedule_us=later), a_planned_run(7, schedule_us=latest)]
    writer.commit(
        changes_of(
            *wanted,
            a_planned_run(1, schedule_us=later - 1),
            a_planned_run(2, schedule_us=later, args={"x": "1"}, fingerprint="g"),
            a_planned_run(3, schedule_us=later, job_id="b"),
            a_planned_run(
                4, schedule_us=later, args={"x": "2"}, state=State.SUCCESS, expected=False
            ),
            a_run(5, schedule_us=later),
        )
    )
    assert writer.expected_after("a", "f", later) == wanted


def test_due_runs_come_by_time_then_number_page_by_page(writer, reader):
    writer.commit(
        changes_of(
            a_run(1, schedule_us=T0_US + 5),
            a_run(3, schedule_us=T0_US),
            a_planned_run(2, schedule_us=T0_US),
            a_run(4, schedule_us=T0_US - 9, job_id="b"),
            a_run(5, schedule_us=T0_US, held=True),
            a_run(6, schedule_us=T0_US, state=State.WAITING),
            a_run(7, schedule_us=T0_US + 6),
        )
    )
    rows = [
        DueRow("r4", T0_US - 9, "b"),
        DueRow("r2", T0_US, "a"),
        DueRow("r3", T0_US, "a"),
        DueRow("r1", T0_US + 5, "a"),
    ]
    assert reader.due(T0_US + 6, 100) == rows
    assert reader.due(T0_US + 6, 2) == rows[:2]
    assert reader.due(T0_US + 6, 100, after=(T0_US, 2)) == rows[2:]


def test_released_and_rescheduled_runs_are_due_at_their_time(writer, reader):
    writer.commit(changes_of(a_run(held=True)))
    assert reader.due(T0_US + HOUR_US, 9) == []
    writer.commit(changes_of(a_run(schedule_us=T0_US + 7)))
    assert reader.due(T0_US + HOUR_US, 9) == [DueRow("r1", T0_US + 7, "a")]
    writer.commit(changes_of(a_run(schedule_us=T0_US + 7, state=State.WAITING)))
    assert reader.due(T0_US + HOUR_US, 9) == []
    writer.commit(changes_of(a_run(schedule_us=T0_US + 9)))
    assert reader.due(T0_US + HOUR_US, 9) == [DueRow("r1", T0_US + 9, "a")]


# --- events -------------------------------------------------------------------------------------


def interleaved(first, runs, count):
    """Events of several runs in turn, as a ledger's batch has them, and one of no run."""
    ids = itertools.cycle(runs)
    events = [a_move(first + i, f"r{next(ids)}", message=f"{first + i}") for i in range(count)]
    return [*events, JobsChanged(seq=first + count, at_us=T0_US, jobs_version=1, added=["a"])]


def test_events_come_back_in_order_however_batches_interleave(writer, reader):
    batches = [interleaved(1, (1, 2, 3), 7), interleaved(9, (2, 1), 5), interleaved(15, (4,), 1)]
    everything = [event for batch in batches for event in batch]
    for batch in batches:
        writer.commit(Changes(events=batch))
    for seq in range(-1, 18):
        assert reader.events_after(seq, 100) == [event for event in everything if event.seq > seq]
        assert reader.events_after(seq, 3) == [e for e in everything if e.seq > seq][:3]
        of_none = [e for e in everything if e.seq > seq and getattr(e, "run_id", None) is None]
        assert list(reader.events_of_no_run(seq)) == of_none
    assert reader.events_after(0, 0) == []
    for number in (1, 2, 3, 4):
        wanted = [e for e in everything if getattr(e, "run_id", None) == f"r{number}"]
        assert reader.log(f"r{number}") == wanted
    assert reader.head() == (1, 16)


def test_log_holds_every_kind_of_event_of_the_run(writer, reader):
    events = [
        a_move(1),
        RunNoted(seq=2, at_us=1, run_id="r1", message="line"),
        ActionNoted(seq=3, at_us=2, run_id="r1", action_id="r1.1.0", message="done"),
    ]
    writer.commit(Changes(events=events))
    assert reader.log("r1") == events


@pytest.mark.parametrize("seqs", [[2], [1, 3], [0, 1], [1, 1]])
def test_events_that_do_not_follow_the_head_are_refused(writer, reader, seqs):
    with pytest.raises(StoreBroken):
        writer.commit(Changes(events=[a_move(seq) for seq in seqs], runs={"r1": a_run()}))
    assert reader.head() == (1, 0)
    assert reader.run("r1") is None


def test_skips_are_found_by_their_schedule(writer, reader):
    span = {"at_us": 5, "from_us": 1, "to_us": 2, "count": 3, "reason": "too late"}
    mine = [SkipsRecorded(seq=n, job_id="a", fingerprint="f", **span) for n in (1, 3)]
    other = SkipsRecorded(seq=2, job_id="a", fingerprint="g", **span)
    writer.commit(Changes(events=[mine[0], other, mine[1]]))
    assert reader.skips("a", "f") == mine
    assert reader.skips("b", "f") == []
    assert reader.events_after(0, 9) == [mine[0], other, mine[1]]


# --- atomicity ----------------------------------------------------------------------------------


def everything_in(reader):
    """All that a reader can tell."""
    return (
        reader.head(),
        reader.query(RunQuery(limit=1000)),
        reader.events_after(0, 1000),
        reader.jobs(),
        reader.ad_hoc_job("adhoc"),
        reader.definition("d"),
        reader.schedules(),
        reader.outputs("r1"),
        reader.answer("c"),
        reader.findings(),
        reader.skips("a", "f"),
    )


def test_failing_commit_changes_nothing_and_the_next_one_works(writer, reader):
    definition, _ = a_definition()
    writer.commit(Changes(events=[a_move(1)], runs={"r1": a_planned_run(1)}, jobs={"b": "x"}))
    before = everything_in(reader)
    changes = Changes(
        events=[
            a_move(2, "r2"),
            SkipsRecorded(
                seq=3,
                at_us=1,
                job_id="a",
                fingerprint="f",
                from_us=1,
                to_us=1,
                count=1,
                reason="late",
            ),
        ],
        runs={"r3": a_run(3), "r2": a_planned_run(2)},
        definitions=[definition],
        jobs={"a": "d", "b": None},
        ad_hoc_jobs={"adhoc": "d"},
        jobs_version=9,
        schedules=[a_schedule()],
        outputs=[OutputRecord(run_id="r1")],
        answers={"c": Done(command_id="c", seq=2)},
        findings={"k": Finding(key="k", check="c", severity="error", sentence="s")},
        check_round=CheckRound(began_us=1, at_us=1, checks=["c"]),
        next_run_number=50,
    )
    with pytest.raises(StoreError):
        writer.commit(changes)
    assert everything_in(reader) == before
    changes.runs["r2"] = a_planned_run(2, schedule_us=T0_US + 1)
    writer.commit(changes)
    assert reader.head() == (1, 3)
    assert reader.run("r3") == a_run(3)
    assert reader.jobs() == {"a": "d"}


def test_empty_changes_may_be_committed(writer, reader):
    writer.commit(Changes())
    assert reader.head() == (1, 0)


def test_snapshot_sees_one_state(writer, reader):
    writer.commit(Changes(events=[a_move(1)], runs={"r1": a_run(1)}))
    with reader.snapshot():
        assert reader.head() == (1, 1)
        writer.commit(Changes(events=[a_move(2, "r2")], runs={"r2": a_run(2)}))
        writer.commit(Changes(events=[a_move(3)], runs={"r1": a_run(1, state=State.SKIPPED)}))
        assert reader.head() == (1, 1)
        assert reader.query(RunQuery()) == [a_run(1)]
        assert reader.log("r2") == []
        assert reader.findings() == (None, [])
    assert reader.head() == (1, 3)
    assert reader.count(RunQuery()) == 2


def test_reader_sees_every_commit_at_once(store, writer):
    readers = [store.new_reader(), store.new_reader(), writer.reader]
    for number in range(1, 4):
        writer.commit(changes_of(a_run(number)))
        assert [reader.count(RunQuery()) for reader in readers] == [number] * 3


# --- queries ------------------------------------------------------------------------------------


def numbers(runs):
    return [run.number for run in runs]


def test_pages_come_newest_first_and_join_without_gap_or_repeat(writer, reader):
    writer.commit(changes_of(*(a_run(n, job_id="ab"[n % 2]) for n in range(1, 26))))
    for term in ({}, {"job_id": "a"}, {"states": (State.SCHEDULED,)}, {"since_us": 0}):
        found, before = [], None
        while page := reader.query(RunQuery(**term, limit=4, before_number=before)):
            assert len(page) <= 4
            found += numbers(page)
            before = found[-1]
        expected = [n for n in range(25, 0, -1) if "job_id" not in term or n % 2 == 0]
        assert found == expected


def test_number_of_a_run_orders_it_not_its_text(writer, reader):
    writer.commit(changes_of(a_run(9), a_run(10), a_run(100)))
    assert numbers(reader.query(RunQuery())) == [100, 10, 9]


@pytest.mark.parametrize("term", ["states", "job_ids", "run_ids"])
def test_empty_set_matches_nothing(writer, reader, term):
    writer.commit(changes_of(a_run()))
    query = RunQuery(**{term: ()})
    assert (reader.query(query), reader.count(query), reader.count_by_state(query)) == ([], 0, {})


def test_limit_of_nought_gives_an_empty_page(writer, reader):
    writer.commit(changes_of(a_run()))
    assert reader.query(RunQuery(limit=0)) == []


def test_args_match_exactly_and_only_as_a_subset(writer, reader):
    tricky = [
        {"k": "v", "other": "1"},
        {"xk": "v"},
        {"k": "vv"},
        {'a"k': "v"},
        {"x,": ":", "b": "1"},
        {"k": 'v","j":"w'},
        {"K": "v"},
        {"k": "%"},
        {"k": ""},
        {"k": "line\nø\x01"},
    ]
    runs = [a_run(n, args=args) for n, args in enumerate(tricky, start=1)]
    writer.commit(changes_of(*runs))
    for wanted in [*tricky, {"k": "v"}, {"other": "1", "k": "v"}, {"j": "w"}, {":": ","}]:
        expected = [run.number for run in reversed(runs) if wanted.items() <= run.args.items()]
        for job_id in (None, "a"):
            query = RunQuery(args=wanted, job_id=job_id)
            assert numbers(reader.query(query)) == expected
            assert reader.count(query) == len(expected)


def test_label_matches_whole_and_exactly(writer, reader):
    labels = [("x",), ("xy",), ("y", "x"), (), ('"x"',), ("x y",), ("X",), ("\x1fx\x1f",)]
    runs = [a_run(n, labels=one) for n, one in enumerate(labels, start=1)]
    writer.commit(changes_of(*runs))
    for label in ("x", "y", '"x"', "x y", "\x1fx\x1f", "z", "%", ""):
        expected = [run.number for run in reversed(runs) if label in run.labels]
        assert numbers(reader.query(RunQuery(label=label))) == expected


def test_last_change_is_the_runs_last_event(writer, reader):
    writer.commit(
        Changes(
            events=[a_move(1, "r1", at_us=10), a_move(2, "r2", at_us=20)],
            runs={"r1": a_run(1), "r2": a_run(2)},
        )
    )
    noted = RunNoted(seq=3, at_us=30, run_id="r1", message="held")
    writer.commit(Changes(events=[noted], runs={"r1": a_run(1, held=True)}))
    assert numbers(reader.query(RunQuery(changed_since_us=20))) == [2, 1]
    assert numbers(reader.query(RunQuery(changed_since_us=21))) == [1]
    assert numbers(reader.query(RunQuery(changed_since_us=31))) == []


def random_runs(chance):
    """Runs over several blocks of numbers, so that time ranges fall apart."""
    runs = []
    for number in [*range(1, 120), *range(4000, 4200), *range(9000, 9050), *range(50_000, 50_100)]:
        state = chance.choice(list(State))
        schedule_us = T0_US + number * 1000 + chance.choice([0, 0, 0, -3_000_000, 40_000_000])
        runs.append(
            a_run(
                number,
                job_id=chance.choice("aaabcd"),
                args=chance.choice([{}, {"x": "1"}, {"x": "1", "y": "2"}, {"y": "2"}]),
                state=state,
                schedule_us=schedule_us,
                labels=chance.choice([(), ("x",), ("x", "y")]),
                times={state.value: schedule_us + chance.randrange(10_000)},
            )
        )
    return runs


def a_query(chance, runs):
    """Any terms together."""
    maybe = lambda value: value if chance.random() < 0.3 else None  # noqa: E731
    time_us = lambda: chance.choice(runs).schedule_us  # noqa: E731
    return RunQuery(
        job_id=maybe(chance.choice("abz")),
        job_ids=maybe(tuple(chance.sample(["a", "b", "c", "z", *map(str, range(80))], 70))),
        states=maybe(tuple(chance.sample(list(State), chance.randrange(1, 10)))),
        args=maybe(chance.choice([{"x": "1"}, {"y": "2"}])) or {},
        label=maybe("y"),
        since_us=maybe(time_us()),
        until_us=maybe(time_us()),
        changed_since_us=maybe(time_us()),
        run_ids=maybe(tuple(run.run_id for run in chance.sample(runs, 60))),
        before_number=maybe(chance.choice(runs).number),
        limit=chance.choice([1, 5, 100, 10_001]),
    )


def holds(run, query):
    """The meaning of a query, written once more."""
    return (
        (query.job_id is None or run.job_id == query.job_id)
        and (query.job_ids is None or run.job_id in query.job_ids)
        and (query.states is None or run.state in query.states)
        and query.args.items() <= run.args.items()
        and (query.label is None or query.label in run.labels)
        and (query.since_us is None or run.schedule_us >= query.since_us)
        and (query.until_us is None or run.schedule_us < query.until_us)
        and (query.changed_since_us is None or max(run.times.values()) >= query.changed_since_us)
        and (query.run_ids is None or run.run_id in query.run_ids)
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_any_query_gives_what_its_terms_say(writer, reader, seed):
    chance = random.Random(seed)
    runs = random_runs(chance)
    shuffled = chance.sample(runs, len(runs))
    for start in range(0, len(shuffled), 100):
        writer.commit(changes_of(*shuffled[start : start + 100]))
    for _ in range(150):
        query = a_query(chance, runs)
        matching = [run for run in reversed(runs) if holds(run, query)]
        top = query.before_number
        page = [run for run in matching if top is None or run.number < top][: query.limit]
        assert numbers(reader.query(query)) == numbers(page), query
        assert reader.query(query) == page
        assert reader.count(query) == len(matching), query
        counts = reader.count_by_state(query)
        assert sum(counts.values()) == len(matching)
        assert counts == {s: n for s in State if (n := sum(run.state is s for run in matching))}


def test_instance_is_the_job_with_exactly_these_args(writer, reader):
    writer.commit(
        changes_of(
            a_run(1, args={"x": "1"}, state=State.SUCCESS),
            a_run(2, args={"x": "1"}, state=State.SUCCESS),
            a_run(3, args={"x": "1"}, state=State.RUNNING),
            a_run(4, args={"x": "1", "y": "2"}, state=State.FAILURE),
            a_run(5, job_id="b", args={"x": "1"}),
        )
    )
    assert reader.instance_states("a", args_key({"x": "1"})) == {
        State.SUCCESS: 2,
        State.RUNNING: 1,
    }
    assert reader.instance_states("c", "{}") == {}


def test_last_runs_leave_out_what_is_only_scheduled(writer, reader):
    runs = [
        a_run(1, state=State.SUCCESS),
        a_run(2, state=State.FAILURE),
        a_run(3, state=State.RUNNING),
        a_run(4),
        a_run(5, job_id="b"),
        a_run(6, job_id="c", state=State.SKIPPED),
    ]
    writer.commit(changes_of(*runs))
    assert reader.last_runs(["a", "b", "c", "z"], 2) == {"a": [runs[2], runs[1]], "c": [runs[5]]}


def test_jobs_of_runs_are_told_once_each_be_they_in_force_or_not(writer, reader):
    assert reader.jobs_of_runs() == []
    ids = ["b", "a", "b", "adhoc-Xy", "gone/by", "a"]
    writer.commit(changes_of(*(a_run(n, job_id=one) for n, one in enumerate(ids, 1))))
    writer.commit(Changes(jobs={"a": "1", "never": "2"}))
    assert reader.jobs_of_runs() == ["a", "adhoc-Xy", "b", "gone/by"]


# --- jobs, schedules, the rest ------------------------------------------------------------------


def test_jobs_are_set_and_removed(writer, reader):
    writer.commit(Changes(jobs={"a": "1", "b": "2", "c": "3"}, ad_hoc_jobs={"x": "9"}))
    writer.commit(Changes(jobs={"a": "4", "b": None, "nobody": None}))
    assert reader.jobs() == {"a": "4", "c": "3"}
    assert reader.ad_hoc_job("x") == "9"
    assert reader.ad_hoc_job("a") is None


def test_pauses_are_set_replaced_and_ended(writer, reader):
    first = Pause(kind="all", at_us=1, by="ann")
    second = Pause(kind="job", name="a", at_us=2, by="bob", reason="x", until_us=9)
    writer.commit(Changes(pauses={first.key: first, second.key: second}))
    assert reader.pauses() == [first, second]
    later = replace(second, reason="y")
    writer.commit(Changes(pauses={first.key: None, later.key: later}))
    assert reader.pauses() == [later]


def test_backfills_are_kept_counted_and_opened_again(store, writer, reader):
    first = Backfill(number=1, job_id="a", from_us=1, to_us=2, at_us=3, by="ann", total=4)
    states = (State.SUCCESS, State.WAITING, State.SCHEDULED, State.SCHEDULED)
    runs = {
        f"r{n}": a_run(n, state=state, held=state is State.SCHEDULED, backfill=1)
        for n, state in enumerate(states, 1)
    }
    over = Backfill(number=2, job_id="a", from_us=1, to_us=2, at_us=3, by="ann", ended_us=4)
    other = a_run(5, held=True, backfill=2)
    writer.commit(Changes(backfills={1: first, 2: over}, runs={**runs, "r5": other}))
    assert reader.backfills(1) == [over]
    assert reader.backfills(9) == [over, first]
    assert (reader.backfill(1), reader.backfill(3), reader.last_backfill()) == (first, None, 2)
    assert reader.backfill_counts(1) == {"success": 1, "waiting": 1, "pending": 2}
    [opened] = reader.open_backfills()
    assert opened == OpenBackfill(backfill=first, pending=["r3", "r4"], begun=["r2"])
    writer.commit(Changes(runs={"r3": None, "r4": replace(runs["r4"], held=False)}))
    [opened] = reader.open_backfills()
    assert (opened.pending, opened.begun) == ([], ["r2", "r4"])
    # Whoever holds a run whose turn has come holds it, and no backfill does.
    writer.commit(Changes(runs={"r4": replace(runs["r4"], held=True, turned=True)}))
    assert reader.backfill_counts(1) == {"success": 1, "waiting": 1, "scheduled": 1}
    assert reader.open_backfills() == [opened]
    writer.close()
    opening = store.new_writer().open(SINCE_US)
    assert (opening.backfills, opening.last_backfill) == ([opened], 2)


def test_which_times_of_a_job_have_runs_is_told_by_args_and_time(writer, reader):
    runs = [
        a_run(1, args={"k": "1"}, schedule_us=10, state=State.SUCCESS),
        a_run(2, args={"k": "2"}, schedule_us=10, state=State.SKIPPED),
        a_run(3, args={"k": "1"}, schedule_us=20, state=State.FAILURE),
        a_run(4, job_id="b", schedule_us=10),
    ]
    writer.commit(changes_of(*runs))
    states = tuple(state for state in State if state is not State.SKIPPED)
    query = RunQuery(job_id="a", states=states, since_us=10, until_us=20)
    assert reader.instances_of(query) == {('{"k":"1"}', 10)}
    assert reader.instances_of(RunQuery(job_id="none")) == set()


def test_definition_is_kept_by_its_content(writer, reader):
    definition, job = a_definition("d", "a")
    assert reader.definition("d") is None
    writer.commit(Changes(definitions=[definition]))
    writer.commit(Changes(definitions=[definition]))
    assert reader.definition("d") == job
    assert reader.definition("d") == job


def test_definition_keeps_the_commit_at_which_it_came_first(writer, reader):
    definition, _ = a_definition("d", "a")
    assert reader.definition_commit("d") is None
    writer.commit(Changes(definitions=[replace(definition, commit="c1")]))
    writer.commit(Changes(definitions=[replace(definition, commit="c2")]))
    assert reader.definition_commit("d") == "c1"
    bare, _ = a_definition("e", "a")
    writer.commit(Changes(definitions=[bare]))
    assert reader.definition_commit("e") is None


def test_schedule_closed_and_opened_again_has_two_times_in_force(writer, reader):
    first = a_schedule(valid_from_us=T0_US)
    again = a_schedule(valid_from_us=T0_US + 10)
    writer.commit(Changes(schedules=[first, a_schedule("b")]))
    writer.commit(Changes(schedules=[replace(first, valid_to_us=T0_US + 5)]))
    assert reader.schedules() == [a_schedule("b")]
    writer.commit(Changes(schedules=[again]))
    assert reader.schedules() == [again, a_schedule("b")]
    closed = replace(first, valid_to_us=T0_US + 5)
    assert reader.schedule_history("a") == [closed, again]
    assert reader.schedule_history("c") == []


def test_jobs_in_force_come_in_turns(writer, reader):
    writer.commit(Changes(jobs={"b": "d", "a": "d", "c": "d"}))
    assert reader.jobs_after("", 2) == ["a", "b"]
    assert reader.jobs_after("b", 2) == ["c"]
    assert reader.jobs_after("c", 2) == []


def test_the_mark_of_a_job_is_another_when_its_schedules_are(writer, reader):
    def mark(job_id="a"):
        return reader.job_marks(["a", "b"], T0_US, T0_US + 1)[job_id].mark

    nothing = mark()
    writer.commit(Changes(schedules=[a_schedule()]))
    one = mark()
    writer.commit(Changes(schedules=[replace(a_schedule(), written_upto_us=T0_US + 5)]))
    assert mark() == one
    writer.commit(Changes(schedules=[replace(a_schedule(), valid_to_us=T0_US + 5)]))
    closed = mark()
    writer.commit(Changes(schedules=[a_schedule(valid_from_us=T0_US + 10, definition="e")]))
    assert len({nothing, one, closed, mark()}) == 4
    assert mark("b") == nothing


def test_a_job_is_marked_by_runs_of_its_schedules_in_a_time(writer, reader):
    planned = a_run(1, fingerprint="f", schedule_us=T0_US + 10)
    others = a_run(2, schedule_us=T0_US + 20)
    put = a_run(
        3, schedule_us=T0_US + 50, moved_from=MovedFrom(schedule_us=T0_US + 30, fingerprint="f")
    )
    writer.commit(Changes(runs={run.run_id: run for run in (planned, others, put)}))

    def marked(from_us, to_us):
        return reader.job_marks(["a"], T0_US + from_us, T0_US + to_us)["a"].has_runs

    assert [marked(at, at + 1) for at in (9, 10, 11, 20, 30, 50)] == [
        *(False, True, False, False, True, False)
    ]
    assert not reader.job_marks(["b"], T0_US, T0_US + 100)["b"].has_runs


def test_outputs_are_indexed_by_attempt_and_id(writer, reader):
    first = OutputRecord(run_id="r1", attempt=1, length=5, path="00/r1/1.output")
    second = OutputRecord(run_id="r1", attempt=2, data=b"text")
    named = OutputRecord(run_id="r1", attempt=1, output_id="stderr")
    writer.commit(Changes(outputs=[second, named, first, OutputRecord(run_id="r2")]))
    grown = replace(first, length=9, sha256="ab")
    writer.commit(Changes(outputs=[grown]))
    assert reader.outputs("r1") == [grown, named, second]


def test_outbox_keeps_what_is_owed_in_order(store, writer):
    def an_item(key, at_us=1):
        action = ScheduleAction(job_id="b")
        return OutboxItem(action_id=key, run=a_run(), action=action, at_us=at_us)

    writer.commit(Changes(outbox={key: an_item(key) for key in ("r2.1.0", "r1.9.0", "r1.10.0")}))
    writer.commit(Changes(outbox={"r1.9.0": None, "unknown": None, "r2.1.0": an_item("r2.1.0", 5)}))
    assert writer.reader.owed_actions() == 2
    writer.close()
    owed = store.new_writer().open(0).outbox
    assert owed == [an_item("r2.1.0", 5), an_item("r1.10.0")]


def test_outbox_of_a_run_is_found_with_its_attempts(writer, reader):
    def an_item(key, **fields):
        action = ScheduleAction(job_id="b")
        return OutboxItem(action_id=key, run=a_run(), action=action, at_us=1, **fields)

    first, other = an_item("r1.9.0"), an_item("r11.9.0")
    second = an_item("r1.10.0", deadline="start_by", attempts=2, next_us=7, error="no")
    writer.commit(Changes(outbox={one.action_id: one for one in (first, other, second)}))
    assert reader.outbox("r1") == [first, second]
    assert reader.outbox("r2") == []
    assert reader.outbox("nonsense") == []


def test_deadlines_are_there_until_they_are_taken_away(store, writer):
    late, early = ("r1", "finish_by"), ("r20", "start_by")
    writer.commit(Changes(deadlines={late: T0_US, early: 5, ("r3", "start_by"): 1}))
    writer.commit(Changes(deadlines={late: T0_US + 1, ("r3", "start_by"): None, ("r4", "x"): None}))
    writer.close()
    assert store.new_writer().open(0).deadlines == {late: T0_US + 1, early: 5}


def test_streaks_are_kept_by_job_and_instance(store, writer):
    job, instance = ("a", ""), ("a", '{"x":"1"}')
    one = (End("r1", State.FAILURE),)
    writer.commit(Changes(streaks={job: one, instance: one, ("b", ""): one}))
    two = (*one, End("r2", State.ERROR))
    writer.commit(Changes(streaks={job: two, ("b", ""): None, ("c", ""): None}))
    writer.close()
    assert store.new_writer().open(0).streaks == {job: two, instance: one}


def a_finding(key, **fields):
    said = {"check": "late", "severity": "warning", "sentence": "s", "evidence": {"n": [1]}}
    return Finding(key=key, **said | fields)


def a_round(at_us):
    return CheckRound(began_us=at_us - 1, at_us=at_us, checks=["late"], open=2)


def test_findings_are_opened_changed_closed_and_kept(store, writer, reader):
    assert reader.findings() == (None, [])
    b, a = a_finding("b"), a_finding("a")
    writer.commit(Changes(findings={"b": b, "a": a}, check_round=a_round(5)))
    assert reader.findings() == (5, [b, a])
    writer.commit(Changes(runs={"r1": a_run()}))
    graver = a_finding("b", severity="error")
    writer.commit(Changes(findings={"b": graver}))
    assert reader.findings() == (5, [graver, a])
    closed = a_finding("b", severity="error", closed_us=6)
    writer.commit(Changes(findings={"b": closed}, check_round=a_round(6)))
    assert reader.findings() == (6, [a])
    writer.commit(Changes(findings={"b": b}))
    assert reader.findings() == (6, [a, b])
    at_once = a_finding("c", closed_us=7)
    writer.commit(Changes(findings={"c": at_once}))
    assert reader.closed_findings(10) == [at_once, closed]
    assert reader.closed_findings(1) == [at_once]
    assert reader.check_rounds(9) == [a_round(6), a_round(5)]
    writer.close()
    assert store.new_writer().open(0).findings == [a, b]


def test_closed_findings_and_rounds_are_bounded(writer, reader):
    keys = [f"k{n}" for n in range(CLOSED_KEPT + 5)]
    writer.commit(Changes(findings={key: a_finding(key) for key in keys}))
    closed = {key: a_finding(key, closed_us=9 + n) for n, key in enumerate(keys)}
    writer.commit(Changes(findings=closed))
    kept = reader.closed_findings(2 * CLOSED_KEPT)
    assert [one.key for one in kept] == keys[:4:-1]
    for at_us in range(1, ROUNDS_KEPT + 4):
        writer.commit(Changes(check_round=a_round(at_us)))
    rounds = reader.check_rounds(2 * ROUNDS_KEPT)
    assert [one.at_us for one in rounds] == list(range(ROUNDS_KEPT + 3, 3, -1))


def answer_to_others(writer, count=LAST_ANSWERS):
    """Answer `count` wishes of others, just now."""
    done = Done(command_id="", seq=4)
    answers = {f"{count} others, {n}": done for n in range(count)}
    writer.commit(Changes(answers=answers, answers_at_us=T0_US + 99 * HOUR_US))


def test_answers_are_kept_for_24_hours(writer, reader):
    done = replace(Done.of("c1", 4, [a_run()]), result={"run_ids": ["r1"]})
    refused = Refused(command_id="c2", reason="wrong_state", sentence="no", details=[["a", "b"]])
    writer.commit(Changes(answers={"c1": done}, answers_at_us=T0_US))
    writer.commit(Changes(answers={"c2": refused}, answers_at_us=T0_US + HOUR_US))
    answer_to_others(writer)
    writer.maintain(T0_US + 24 * HOUR_US)
    assert (reader.answer("c1"), reader.answer("c2")) == (done, refused)
    writer.maintain(T0_US + 24 * HOUR_US + 1)
    assert (reader.answer("c1"), reader.answer("c2")) == (None, refused)
    assert reader.answer("c3") is None


def test_the_last_answers_are_kept_whatever_the_clock_says(writer, reader):
    done = Done(command_id="c1", seq=4)
    writer.commit(Changes(answers={"c1": done}, answers_at_us=T0_US))
    answer_to_others(writer, LAST_ANSWERS - 1)
    writer.maintain(T0_US + 1_000 * HOUR_US)
    assert reader.answer("c1") == done
    answer_to_others(writer, LAST_ANSWERS)
    writer.maintain(T0_US + 1_000 * HOUR_US)
    assert reader.answer("c1") is None


def test_agents_and_tokens_are_kept_and_found_by_readers_and_openings(store, writer, reader):
    first = AgentRecord(agent_id="b", public_key="k", group_id="g", token_id="t", since_us=5)
    other = AgentRecord(agent_id="a", draining=True)
    token = AgentToken(token_id="t", secret_hash="h", expires_us=9, made_by="ann", group_id="g")
    gone = AgentToken(token_id="u", secret_hash="i", expires_us=9)
    writer.commit(Changes(agents={"b": first}, agent_tokens={"t": token, "u": gone}))
    writer.commit(Changes(agents={"a": other}, agent_tokens={"u": None}))
    assert (reader.agents(), reader.agent_tokens()) == ([other, first], [token])
    revoked = replace(first, revoked_us=7)
    used = replace(token, agent_id="b", public_key="k")
    writer.commit(Changes(agents={"b": revoked}, agent_tokens={"t": used}))
    writer.close()
    opening = store.new_writer().open(0)
    assert (opening.agents, opening.agent_tokens) == ([other, revoked], [used])


def test_tokens_users_and_log_ins_are_kept_and_found(store, writer, reader):
    token = ApiToken(token_id="t", secret_hash="h", name="ci", role=Role.VIEWER, labels=("x",))
    user = User(name="ann", password="p", role=Role.ADMIN)
    session = Session(session_id="s", user="ann", since_us=1, expires_us=2, source="::1")
    other = Session(session_id="o", user="ann", since_us=1, expires_us=2)
    sessions = {"s": session, "o": other}
    writer.commit(Changes(api_tokens={"t": token}, users={"ann": user}, sessions=sessions))
    assert (reader.api_token("h"), reader.api_token("t")) == (token, None)
    assert (reader.user("ann"), reader.user("bob")) == (user, None)
    assert (reader.session("s"), reader.session("x")) == (session, None)
    revoked = replace(token, revoked_us=5)
    writer.commit(Changes(api_tokens={"t": revoked}, users={"ann": None}, sessions={"o": None}))
    assert (reader.api_tokens(), reader.users(), reader.sessions()) == ([revoked], [], [session])
    writer.close()
    opening = store.new_writer().open(0)
    assert (opening.api_tokens, opening.users) == ([revoked], [])
    assert (opening.sessions, opening.audit_head) == ([session], (0, BEGINNING))


def test_the_record_of_who_did_what_is_read_in_pages_and_goes_on(store, writer, reader):
    rows, before = [], BEGINNING
    for number in range(1, 8):
        entry = AuditEntry(number=number, at_us=number, who="ann", act="skip", outcome="done")
        rows.append(chained(before, entry))
        before = rows[-1].hash
    writer.commit(Changes(audit=rows[:4]))
    writer.commit(Changes(audit=rows[4:]))
    assert reader.audit(0, 3) == rows[:3]
    assert reader.audit(3, 100) == rows[3:]
    assert reader.audit(7, 100) == []
    assert reader.audit_head() == (7, before)
    writer.close()
    assert store.new_writer().open(0).audit_head == (7, before)


def test_the_answer_to_an_action_is_kept_until_the_action_is_settled(writer, reader):
    item = OutboxItem(
        action_id="r1.2.0", run=a_run(), action=ScheduleAction(job_id="b"), at_us=T0_US
    )
    done = replace(Done.of("act-r1.2.0", 4, [a_run()]), result={"run_ids": ["r1"]})
    changes = Changes(
        outbox={"r1.2.0": item}, answers={"act-r1.2.0": done, "c1": done}, answers_at_us=T0_US
    )
    writer.commit(changes)
    answer_to_others(writer)
    writer.maintain(T0_US + 100 * HOUR_US)
    assert (reader.answer("act-r1.2.0"), reader.answer("c1")) == (done, None)
    writer.commit(Changes(outbox={"r1.2.0": None}))
    writer.maintain(T0_US + 100 * HOUR_US)
    assert reader.answer("act-r1.2.0") is None


def test_head_numbers_stay_when_not_given(store, writer):
    writer.commit(Changes(next_run_number=10, jobs_version=3))
    writer.commit(changes_of(a_run()))
    writer.close()
    opening = store.new_writer().open(0)
    assert (opening.next_run_number, opening.jobs_version) == (10, 3)
