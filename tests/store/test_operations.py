"""Operations, runs put to other times and chains of reruns, in every store."""

from __future__ import annotations

from msgspec.structs import replace
from store_records import HOUR_US, T0_US, a_planned_run, a_run, changes_of

from callsheet.jobs.run import MovedFrom, args_key
from callsheet.jobs.states import State
from callsheet.messages.operations import Deed, Moved, Operation, Part, Target
from callsheet.messages.transitions import RunsArchived
from callsheet.store.interface import Changes


def an_operation(name, begun_us=1, **fields):
    return Operation(
        operation_id=name,
        command_id=name,
        by="ann",
        deed=Deed(verb="skip", reason="x"),
        total=2,
        parts=2,
        begun_us=begun_us,
        **fields,
    )


def a_part(name, number, **fields):
    target = Target(run_id=f"r{number}", seen=State.SCHEDULED, **fields)
    return Part(operation_id=name, number=number, targets=[target])


def test_operations_are_kept_and_found_by_readers_and_openings(store, writer, reader):
    first, second = an_operation("o1", 1), an_operation("o2", 2)
    writer.commit(Changes(operations={"o1": first, "o2": second}))
    later = replace(first, parts_done=2, ended_us=9, counts={"done": 2})
    writer.commit(Changes(operations={"o1": later}))
    assert reader.operation("o1") == later
    assert reader.operation("o3") is None
    assert reader.operations(10) == [second, later]
    assert reader.operations(1) == [second]
    writer.close()
    assert store.new_writer().open(0).operations == [second, later]


def test_parts_are_replaced_and_go_with_their_operation(writer, reader):
    parts = [a_part("o1", 0), a_part("o1", 1), a_part("o2", 0)]
    writer.commit(Changes(operations={"o1": an_operation("o1")}, operation_parts=parts))
    done = a_part("o1", 0, outcome="refused", sentence="no")
    writer.commit(Changes(operation_parts=[done]))
    assert reader.operation_parts("o1", 0, 10) == [done, parts[1]]
    assert reader.operation_parts("o1", 1, 10) == [parts[1]]
    assert reader.operation_parts("o1", 0, 1) == [done]
    writer.commit(Changes(operations={"o1": None}))
    assert reader.operation("o1") is None
    assert reader.operation_parts("o1", 0, 10) == []
    assert reader.operation_parts("o2", 0, 10) == [parts[2]]


def put(run, at_us, **fields):
    """Return a run put to another time."""
    moved_from = MovedFrom(run.schedule_us, run.fingerprint)
    fields = {"fingerprint": None, "expected": False, "moved_from": moved_from} | fields
    return replace(run, schedule_us=at_us, **fields)


def test_a_run_put_to_another_time_leaves_its_own_taken(writer, reader):
    run = a_planned_run(1, args={"x": "1"})
    writer.commit(changes_of(run))
    writer.commit(changes_of(put(run, T0_US + HOUR_US)))
    key = ("a", args_key(run.args), T0_US)
    assert writer.existing_expected([key, ("a", args_key(run.args), T0_US + HOUR_US)]) == {key}
    assert reader.moved(["a", "b"], T0_US, T0_US + 1) == [
        Moved(run_id="r1", job_id="a", args_key=args_key(run.args), schedule_us=T0_US)
    ]
    assert reader.moved(["a"], T0_US + 1, T0_US + HOUR_US) == []
    assert reader.moved([], 0, 2**60) == []
    assert writer.expected_after("a", run.fingerprint, 0) == []
    assert [row.schedule_us for row in reader.due(2**60, 10)] == [T0_US + HOUR_US]


def test_put_to_another_time_it_may_start_in_the_same_batch(writer, reader):
    run = a_planned_run(1)
    writer.commit(changes_of(run))
    writer.commit(changes_of(put(run, T0_US + HOUR_US, state=State.STARTING)))
    other = a_planned_run(2, schedule_us=T0_US + HOUR_US)
    writer.commit(changes_of(other))
    assert reader.instance_states("a", "{}") == {State.STARTING: 1, State.SCHEDULED: 1}
    assert reader.run("r1").schedule_us == T0_US + HOUR_US


def test_a_run_of_a_person_takes_no_time_with_it(writer, reader):
    run = a_run(1)
    writer.commit(changes_of(run))
    writer.commit(changes_of(put(run, T0_US + HOUR_US)))
    assert reader.moved(["a"], 0, 2**60) == []
    assert writer.existing_expected([("a", "{}", T0_US)]) == set()


def test_a_chain_is_found_by_its_first_run(writer, reader):
    first = a_run(1)
    again = a_run(10, rerun_of="r1", rerun_root="r1", rerun_number=1)
    third = a_run(11, rerun_of="r10", rerun_root="r1", rerun_number=2)
    writer.commit(changes_of(first, again, third, a_run(12, rerun_of="r2", rerun_root="r2")))
    writer.commit(changes_of(replace(third, state=State.SUCCESS)))
    assert reader.chain("r1") == ["r10", "r11"]
    assert reader.chain("r10") == []
    assert reader.chain("odd") == []


def test_archived_runs_are_in_no_chain_and_take_no_time(writer, reader):
    run = a_planned_run(1)
    moved = put(run, T0_US + HOUR_US, state=State.SUCCESS, rerun_of="r9", rerun_root="r9")
    writer.commit(changes_of(run))
    writer.commit(changes_of(moved))
    seq = reader.head()[1]
    event = RunsArchived(seq=seq + 1, at_us=1, path="x", numbers=[1], events=2, planned=1)
    writer.commit(Changes(events=[event], archived=[1]))
    assert reader.chain("r9") == []
    assert reader.moved(["a"], 0, 2**60) == []


def test_instances_are_counted_from_a_number_on(writer, reader):
    writer.commit(changes_of(a_run(1, state=State.SUCCESS), a_run(5, state=State.FAILURE)))
    assert reader.instance_states("a", "{}", 1) == {State.FAILURE: 1}
    assert reader.instance_states("a", "{}", 5) == {}
