"""Operations on many runs: each run done to once, whatever dies, and what became of it told."""

from __future__ import annotations

from collections import Counter

import pytest
from ledger_driver import SECOND, LedgerDriver
from msgspec.structs import replace
from people import OPERATOR, VIEWER

from callsheet.actors.ledger_operations import KEPT
from callsheet.jobs.run import NewRun
from callsheet.jobs.states import State
from callsheet.messages.access import Access, Role
from callsheet.messages.audit import Chain
from callsheet.messages.operations import RUNS_A_PART, After, Deed, Target, operation_id, parts_of
from callsheet.messages.wishes import (
    AddRuns,
    DeclineWish,
    HoldRun,
    LedgerWish,
    MarkRun,
    Operate,
    Refused,
    SchedulerWish,
    SkipRun,
    StopOperation,
)

HOUR = 3600 * SECOND


@pytest.fixture
def ledger():
    return LedgerDriver()


def some_runs(ledger, count, **fields):
    """Have runs made for an hour from now; return their ids."""
    fields = {"schedule_us": ledger.now_us + HOUR} | fields
    return [ledger.a_run(**fields).run_id for _ in range(count)]


def operate(ledger, run_ids, verb="skip", command_id="op", access=OPERATOR, seen=None, **fields):
    """Begin an operation; return its id, or the refusal."""
    targets = [Target(run_id=one, seen=seen or ledger.run(one).state) for one in run_ids]
    wish = Operate(deed=Deed(verb=verb, **fields), targets=targets, query="label:x")
    answer = ledger.wish(wish, command_id, access)
    return answer if isinstance(answer, Refused) else answer.result["operation_id"]


def turns(ledger, count=1):
    """Let the ledger have turns of its own; return what it said."""
    said = []
    for _ in range(count):
        said += ledger.tell()
    return said


def finish(ledger, own_id):
    """Let an operation come to its end; return it."""
    while (one := ledger.writer.reader.operation(own_id)).ended_us is None:
        assert ledger.ledger.wakes_at() == 0
        ledger.later(1)
    return one


def rows(ledger, own_id):
    parts = ledger.writer.reader.operation_parts(own_id, 0, 1000)
    return [target for part in parts for target in part.targets]


def test_each_run_is_done_to_and_what_became_of_it_is_told(ledger):
    first, second, third, fourth = some_runs(ledger, 4)
    ledger.wish(HoldRun(run_id=second))
    own_id = operate(
        ledger, [first, second, third, fourth, "r999"], "release", seen=State.SCHEDULED
    )
    operation = finish(ledger, own_id)
    assert operation.counts == {"done": 1, "refused": 3, "changed": 1}
    told = {row.run_id: (row.outcome, row.sentence) for row in rows(ledger, own_id)}
    assert told[second] == ("done", "")
    assert told[first] == ("refused", f"can't release {first}: it is not held")
    assert told["r999"] == ("changed", "r999 was scheduled, and is gone")
    assert not ledger.run(second).held


def test_what_has_changed_since_it_was_looked_at_is_left_alone(ledger):
    first, second = some_runs(ledger, 2)
    own_id = operate(ledger, [first, second], "hold", reason="wait")
    # Before its turn somebody else is quicker.
    ledger.wish(SkipRun(run_id=first))
    assert finish(ledger, own_id).counts == {"done": 1, "changed": 1}
    assert rows(ledger, own_id)[0].sentence == f"{first} was scheduled, and is skipped"
    assert [ledger.run(one).held for one in (first, second)] == [False, True]


def test_the_log_of_each_run_says_who_and_why(ledger):
    [run_id] = some_runs(ledger, 1)
    finish(ledger, operate(ledger, [run_id], "skip", reason="holiday"))
    event = ledger.writer.reader.log(run_id)[-1]
    assert (event.message, event.cause) == ("skipped: holiday", "ann")


def test_an_operation_has_one_entry_in_the_record_of_who_did_what(ledger):
    run_ids = some_runs(ledger, 30)
    before = ledger.writer.reader.audit_head()[0]
    finish(ledger, operate(ledger, run_ids, reason="holiday"))
    entries = [row.entry for row in ledger.writer.reader.audit(before, 100)]
    assert [(one.act, one.target, one.outcome) for one in entries] == [
        ("skip_runs", "label:x", "done")
    ]
    details = entries[0].details
    assert (details["count"], details["query"], details["reason"]) == (30, "label:x", "holiday")
    Chain().follow(ledger.writer.reader.audit(0, 1000))


def test_asked_for_again_it_is_not_done_again(ledger):
    run_ids = some_runs(ledger, 3)
    own_id = operate(ledger, run_ids, "hold")
    finish(ledger, own_id)
    seq = ledger.ledger.book.seq
    assert operate(ledger, run_ids, "hold") == own_id
    turns(ledger, 3)
    assert ledger.ledger.book.seq == seq
    assert ledger.ledger.wakes_at() is None


def test_others_have_their_turn_between_two_parts(ledger):
    run_ids = some_runs(ledger, 2 * RUNS_A_PART + 1)
    own_id = operate(ledger, run_ids)
    done = []
    while ledger.writer.reader.operation(own_id).ended_us is None:
        turns(ledger)
        done.append(ledger.writer.reader.operation(own_id).counts["done"])
    assert done == [RUNS_A_PART, 2 * RUNS_A_PART, 2 * RUNS_A_PART + 1]


def test_a_new_ledger_goes_on_where_the_last_one_died(ledger):
    run_ids = some_runs(ledger, 3 * RUNS_A_PART)
    own_id = operate(ledger, run_ids, "hold")
    turns(ledger)
    for _ in range(3):
        ledger.restart()
        turns(ledger)
    operation = ledger.writer.reader.operation(own_id)
    assert (operation.counts, operation.ended_us is not None) == ({"done": len(run_ids)}, True)
    held = [
        getattr(event, "message", "")
        for run_id in run_ids
        for event in ledger.writer.reader.log(run_id)
    ]
    assert Counter(held)["held"] == len(run_ids)


def test_several_operations_take_turns(ledger):
    first = some_runs(ledger, RUNS_A_PART + 1)
    second = some_runs(ledger, RUNS_A_PART + 1)
    ids = [operate(ledger, first, "hold", "op1"), operate(ledger, second, "skip", "op2")]
    turns(ledger, 3)
    assert [ledger.writer.reader.operation(one).counts["done"] for one in ids] == [101, 101]


def test_stopped_it_leaves_alone_what_it_has_not_come_to(ledger):
    run_ids = some_runs(ledger, 2 * RUNS_A_PART)
    own_id = operate(ledger, run_ids)
    turns(ledger)
    before = ledger.writer.reader.operation(own_id).counts["done"]
    ledger.wish(StopOperation(operation_id=own_id))
    turns(ledger, 3)
    operation = ledger.writer.reader.operation(own_id)
    left = len(run_ids) - before
    assert operation.counts == {"done": before, "stopped": left}
    assert operation.stopped_by == "ann"
    states = Counter(ledger.run(run_id).state for run_id in run_ids)
    assert states == {State.SKIPPED: before, State.SCHEDULED: left} or left == 0
    answer = ledger.wish(StopOperation(operation_id=own_id))
    assert (answer.reason, "not under way" in answer.sentence) == ("wrong_state", True)


@pytest.mark.parametrize("count", [0, 10_001])
def test_it_is_about_some_runs_but_not_too_many(ledger, count):
    targets = [Target(run_id=f"r{n}", seen=State.RUNNING) for n in range(count)]
    answer = ledger.wish(Operate(deed=Deed(verb="stop"), targets=targets))
    assert answer.reason == "bad_request"


def test_a_viewer_may_not(ledger):
    run_ids = some_runs(ledger, 1)
    assert operate(ledger, run_ids, access=VIEWER).reason == "forbidden"


def test_who_reaches_certain_labels_does_it_to_these_alone(ledger):
    [ours] = some_runs(ledger, 1, labels=("ours",))
    [theirs] = some_runs(ledger, 1, labels=("theirs",))
    reach = Access(role=Role.OPERATOR, labels=("ours",))
    own_id = operate(ledger, [ours, theirs], access=reach)
    assert finish(ledger, own_id).counts == {"done": 1, "refused": 1}
    assert rows(ledger, own_id)[1].sentence == f"unknown run {theirs}"
    assert ledger.run(theirs).state is State.SCHEDULED


def test_who_reaches_certain_labels_stops_no_operation_of_others(ledger):
    own_id = operate(ledger, some_runs(ledger, 2))
    reach = Access(role=Role.OPERATOR, labels=("ours",))
    answer = ledger.wish(StopOperation(operation_id=own_id), access=reach, who="bob")
    assert answer.reason == "not_found"


def test_the_oldest_operations_make_room(ledger):
    [run_id] = some_runs(ledger, 1)
    ids = [
        operate(ledger, [run_id], "release", f"op{n}", seen=State.SCHEDULED)
        for n in range(KEPT + 2)
        if ledger.later(1) is not None
    ]
    finish(ledger, ids[-1])
    reader = ledger.writer.reader
    assert [reader.operation(one) is None for one in (ids[0], ids[1], ids[2])] == [
        True,
        True,
        False,
    ]
    assert reader.operation_parts(ids[0], 0, 10) == []
    ledger.restart()
    finish(ledger, operate(ledger, [run_id], "release", "last", seen=State.SCHEDULED))
    assert reader.operation(ids[2]) is None


# --- reruns ---------------------------------------------------------------------------------------


def failed(ledger, count):
    return some_runs(ledger, count, error="no", schedule_us=ledger.now_us)


def asked(said):
    return [one for one in said if isinstance(one, SchedulerWish)]


def bring(ledger, wish, runs, **fields):
    """Answer what the scheduler was asked, as it does."""
    message = LedgerWish(
        command_id=wish.command_id,
        principal=wish.principal,
        instruction=AddRuns(runs=runs, **fields),
        access=wish.access,
    )
    return ledger.tell(message)


def reruns_of(ledger, wish):
    return [
        NewRun(
            run_id=f"r{ledger.ledger.book.next_number + place}",
            job_id=one.job_id,
            args=one.args,
            schedule_us=ledger.now_us,
            rerun_of=one.run_id,
            rerun_root=one.root,
        )
        for place, one in enumerate(wish.instruction.reruns)
    ]


def lease(ledger, count):
    ledger.ledger.book.next_number += count


def test_reruns_are_asked_of_the_scheduler_and_put_on_record_once(ledger):
    first, second, third = failed(ledger, 3)
    own_id = operate(ledger, [first, second, third], "rerun")
    ledger.wish(MarkRun(run_id=third, state=State.SUCCESS))
    [wish] = asked([post.message for post in ledger.posts])
    assert [one.run_id for one in wish.instruction.reruns] == [first, second]
    runs = reruns_of(ledger, wish)[:1]
    lease(ledger, 5)
    bring(ledger, wish, runs, declined={second: "unknown job a"})
    operation = ledger.writer.reader.operation(own_id)
    assert operation.counts == {"done": 1, "refused": 1, "changed": 1}
    told = {row.run_id: (row.outcome, row.new_run, row.sentence) for row in rows(ledger, own_id)}
    assert told[first] == ("done", runs[0].run_id, "")
    assert told[second] == ("refused", "", "unknown job a")
    assert told[third][2] == f"{third} was error, and is success"
    # The same once more, as after a lost answer, adds nothing.
    seq = ledger.ledger.book.seq
    bring(ledger, wish, runs, declined={second: "unknown job a"})
    assert ledger.ledger.book.seq == seq


def test_reruns_are_asked_for_until_they_are_there(ledger):
    own_id = operate(ledger, failed(ledger, 1), "rerun")
    assert len(asked(turns(ledger, 3))) == 1
    assert len(asked(ledger.later(6))) == 1
    ledger.restart()
    [wish] = asked(turns(ledger))
    assert wish.command_id == f"operation/{own_id}/0"
    runs = reruns_of(ledger, wish)
    lease(ledger, 5)
    bring(ledger, wish, runs)
    assert ledger.writer.reader.operation(own_id).counts == {"done": 1}
    assert asked(ledger.later(6)) == []


def test_a_refused_part_is_told_of_all_its_runs(ledger):
    own_id = operate(ledger, failed(ledger, 2), "rerun")
    [wish] = asked(turns(ledger, 2))
    decline = DeclineWish(reason="bad_request", sentence="too large")
    ledger.tell(
        LedgerWish(
            command_id=wish.command_id, principal="ann", instruction=decline, access=wish.access
        )
    )
    assert ledger.writer.reader.operation(own_id).counts == {"refused": 2}


def test_reruns_that_come_after_the_operation_was_stopped_are_not_made(ledger):
    own_id = operate(ledger, failed(ledger, 1), "rerun")
    [wish] = asked(turns(ledger, 2))
    ledger.wish(StopOperation(operation_id=own_id))
    runs = reruns_of(ledger, wish)
    lease(ledger, 5)
    [answer] = bring(ledger, wish, runs)
    assert answer.reason == "wrong_state"
    assert ledger.writer.reader.run(runs[0].run_id) is None


def test_reruns_of_a_chain_are_numbered(ledger):
    [root] = failed(ledger, 1)
    last = root
    for number in (1, 2, 3):
        run = ledger.a_run(error="no", rerun_of=last, rerun_root=root)
        assert (run.rerun_root, run.rerun_number) == (root, number)
        assert ledger.run(root).reruns == number
        assert ledger.writer.reader.log(last)[-1].message in ("", f"rerun as {run.run_id}")
        last = run.run_id
    assert ledger.writer.reader.chain(root) == ["r2", "r3", "r4"]
    # A rerun of the first makes the chain longer, too.
    assert ledger.a_run(rerun_of=root).rerun_number == 4


def test_operations_have_ids_that_only_their_wish_gives():
    assert operation_id("a") == operation_id("a") != operation_id("b")


def test_what_is_downstream_of_a_run_that_is_not_run_again_is_not_either(ledger):
    first = failed(ledger, 1)[0]
    second = some_runs(ledger, 1, job_id="b", error="no", schedule_us=ledger.now_us)[0]
    third = some_runs(ledger, 1, job_id="c", error="no", schedule_us=ledger.now_us)[0]
    targets = [
        Target(run_id=first, seen=State.SUCCESS),
        Target(run_id=second, seen=State.ERROR, after=(After(job_id="a", args={}, number=9),)),
        Target(run_id=third, seen=State.ERROR),
    ]
    wish = Operate(deed=Deed(verb="rerun"), targets=targets)
    own_id = ledger.wish(wish, "op").result["operation_id"]
    [wish] = asked(turns(ledger))
    assert [one.run_id for one in wish.instruction.reruns] == [third]
    runs = reruns_of(ledger, wish)
    lease(ledger, 5)
    bring(ledger, wish, runs, declined=wish.instruction.declined)
    told = {row.run_id: (row.outcome, row.sentence) for row in rows(ledger, own_id)}
    assert told[first] == ("changed", f"{first} was success, and is error")
    assert told[second] == (
        "refused",
        f"it is downstream of {first}, which is not run again",
    )
    assert told[third] == ("done", "")


def test_reruns_by_who_reaches_certain_labels_are_told_as_refused(ledger):
    ours, theirs = (
        some_runs(ledger, 1, error="no", schedule_us=ledger.now_us, labels=(label,))[0]
        for label in ("ours", "theirs")
    )
    reach = Access(role=Role.OPERATOR, labels=("ours",))
    own_id = operate(ledger, [ours, theirs], "rerun", access=reach)
    [wish] = asked(turns(ledger))
    runs = [replace(run, labels=("ours",)) for run in reruns_of(ledger, wish)]
    lease(ledger, 5)
    bring(ledger, wish, runs, declined=wish.instruction.declined)
    told = {row.run_id: (row.outcome, row.sentence) for row in rows(ledger, own_id)}
    assert told == {ours: ("done", ""), theirs: ("refused", f"unknown run {theirs}")}


def test_runs_in_an_order_are_one_part_and_not_too_many(ledger):
    after = (After(job_id="a", args={}, number=9),)
    targets = [Target(run_id=f"r{n}", seen=State.ERROR, after=after) for n in range(501)]
    answer = ledger.wish(Operate(deed=Deed(verb="rerun"), targets=targets))
    assert answer.sentence == "501 runs in an order: expected at most 500"
    assert len(parts_of("o", targets[:500])) == 1
    assert len(parts_of("o", [replace(one, after=()) for one in targets])) == 6
