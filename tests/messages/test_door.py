"""What the ledger could not store, or not read again, is refused at its door, and named."""

import msgspec
import pytest

from callsheet.jobs.parse import job_from_data
from callsheet.messages.codec import BadFrame, encode
from callsheet.messages.door import Unfit
from callsheet.messages.instructions import ApplyJobs, RunsDue, StoredDefinition
from callsheet.messages.post import LEDGER
from callsheet.messages.verbs import READERS
from callsheet.messages.wishes import AddRuns, LedgerWish

SCHEDULER = READERS[LEDGER]["scheduler"]
DUE = {"kind": "RunsDue", "run_ids": ["r1"]}
NEW = {"run_id": "r7", "job_id": "a", "args": {}, "schedule_us": 5}
JOB = job_from_data({"program": {"type": "no-op"}}, "a")
OTHER = msgspec.structs.replace(JOB, job_id="b")


def an_added(**fields):
    """A wish for a run, as plain data."""
    adding = {"kind": "AddRuns", "runs": [NEW | fields]}
    return {"kind": "LedgerWish", "command_id": "c1", "principal": "p", "instruction": adding}


def heard(*messages):
    return SCHEDULER.unpack(msgspec.msgpack.encode(list(messages)))


def test_what_fits_is_heard_as_it_is():
    wish, due = heard(an_added(rerun_of="r3", rerun_root="r1"), DUE)
    assert isinstance(wish, LedgerWish)
    assert wish.instruction.runs[0].rerun_root == "r1"
    assert due == RunsDue(run_ids=["r1"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rerun_root", "."),
        ("rerun_root", "r9999999999999999999"),
        ("rerun_of", "r01"),
        ("run_id", "7"),
        ("schedule_us", 2**63),
        ("schedule_us", -(2**62)),
        ("stop_us", 2**64 - 1),
        ("not_before_us", 2**62),
        ("args", {"a": 1}),
    ],
)
def test_what_could_not_be_read_again_is_refused_alone_and_says_where(field, value):
    unfit, due = heard(an_added(**{field: value}), DUE)
    assert isinstance(unfit, Unfit)
    assert (unfit.kind, unfit.command_id) == ("LedgerWish", "c1")
    assert f"$.instruction.runs[0].{field}" in unfit.sentence.replace("[...]", f"[0].{field}")
    assert due == RunsDue(run_ids=["r1"])


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x80", encode(OTHER)])
def test_a_definition_that_is_no_job_is_refused(body):
    stored = StoredDefinition(hash="h", job_id="a", body=body)
    [unfit] = SCHEDULER.unpack(encode([ApplyJobs(based_on=0, at_us=1, definitions=[stored])]))
    assert unfit.sentence.startswith("ApplyJobs: definition h of a: ")
    adding = AddRuns(runs=[], ad_hoc_id="a", ad_hoc_hash="h", ad_hoc_job=body)
    wish = LedgerWish(command_id="c2", principal="p", instruction=adding)
    [unfit] = SCHEDULER.unpack(encode([wish]))
    assert unfit.command_id == "c2"
    assert "ad_hoc_job: " in unfit.sentence
    adding = msgspec.structs.replace(adding, ad_hoc_job=encode(JOB))
    wish = msgspec.structs.replace(wish, instruction=adding)
    assert SCHEDULER.unpack(encode([wish])) == [wish]


def test_runs_that_are_like_none_are_refused():
    wish = an_added()
    wish["instruction"] |= {"alike": ["r8", "r9"]}
    [heard_of] = heard(wish)
    assert [run.run_id for run in heard_of.instruction.each()] == ["r7", "r8", "r9"]
    wish["instruction"]["runs"] = []
    [unfit] = heard(wish)
    assert (unfit.command_id, "alike: " in unfit.sentence) == ("c1", True)
    wish["instruction"]["alike"] = ["8"]
    assert isinstance(heard(wish)[0], Unfit)


@pytest.mark.parametrize(
    "frame",
    [
        [DUE, {"kind": "ClearRun", "run_id": "."}],
        [DUE, {"kind": "Nothing"}],
        [DUE, {"run_ids": ["x"]}],
        [DUE, 7],
        [{"kind": "RunsDue", "run_ids": ["."]}] * 10_001,
    ],
)
def test_what_is_no_message_of_this_peer_spoils_its_frame(frame):
    with pytest.raises(BadFrame):
        heard(*frame)


@pytest.mark.parametrize("field", ["since_us", "closed_us"])
def test_a_finding_of_a_time_beyond_all_is_refused(field):
    finding = {"key": "k", "check": "disk", "severity": "error", "sentence": "s", field: 2**64 - 1}
    report = {"kind": "CheckReport", "at_us": 1, "checks": ["disk"], "findings": [finding]}
    [unfit] = READERS[LEDGER]["checker"].unpack(msgspec.msgpack.encode([report]))
    assert isinstance(unfit, Unfit)
    assert field in unfit.sentence
