"""Records of the feed that are read whole only when they are needed."""

import msgspec
import pytest

from callsheet.jobs.programs import BoundProcess
from callsheet.jobs.run import KnownRun, Run
from callsheet.jobs.states import State
from callsheet.messages.codec import (
    FEED_READER,
    WAITER_FEED_READER,
    WEB_FEED_READER,
    BadFrame,
    pack,
)
from callsheet.messages.told import ToldRun
from callsheet.messages.transitions import Beat, FeedFrame, RunMoved

RUN = Run(
    run_id="r7",
    job_id="bake",
    args={"oven": "2"},
    state=State.WAITING,
    schedule_us=5,
    version=3,
    held=True,
    message="waiting until it is warm",
    not_before_us=9,
    times={"scheduled": 1, "waiting": 2},
    program=BoundProcess(argv=("/bin/true",)),
    meta={"program": {"rusage": {"utime": 0.5}}},
    priority=4,
    waiting_max_us=8,
)
EVENT = RunMoved(seq=3, at_us=2, run_id="r7", before=State.SCHEDULED, after=State.WAITING)
FRAME = FeedFrame(epoch=1, after_seq=2, events=[EVENT], runs=[RUN])


def test_the_web_server_has_the_record_whole_when_it_asks():
    (data,) = pack([FRAME, Beat(epoch=1, seq=3)])
    frame, beat = WEB_FEED_READER.unpack(data)
    (told,) = frame.runs
    assert (told.run_id, told.state) == ("r7", State.WAITING)
    assert told.whole() == RUN
    assert told.encoded() == msgspec.msgpack.encode(RUN)
    assert (frame.epoch, frame.after_seq, frame.events) == (1, 2, [EVENT])
    assert beat == Beat(epoch=1, seq=3)


def test_a_record_made_here_is_as_one_that_came():
    told = ToldRun.of(RUN)
    assert ToldRun(told.encoded()).whole() == told.whole() == RUN


def test_the_waiter_reads_the_fields_that_matter_to_it():
    (data,) = pack([FRAME])
    (frame,) = WAITER_FEED_READER.unpack(data)
    (run,) = frame.runs
    assert type(run) is KnownRun
    for name in KnownRun.__struct_fields__:
        assert getattr(run, name) == getattr(RUN, name), name


def test_fields_of_a_waiting_run_are_those_of_a_run_and_default_alike():
    least = {"run_id": "r1", "job_id": "j", "args": {}, "state": "waiting", "schedule_us": 0}
    run = msgspec.convert(least, Run)
    assert msgspec.convert(least, KnownRun) == msgspec.convert(
        {name: getattr(run, name) for name in KnownRun.__struct_fields__}, KnownRun
    )


@pytest.mark.parametrize("reader", [FEED_READER, WAITER_FEED_READER, WEB_FEED_READER])
@pytest.mark.parametrize("record", [7, {}, {"run_id": "r1", "state": "asleep"}, {"run_id": "x"}])
def test_what_is_no_record_is_a_bad_frame(reader, record):
    frame = {"kind": "FeedFrame", "epoch": 1, "after_seq": 2, "events": [], "runs": [record]}
    with pytest.raises(BadFrame):
        reader.unpack(msgspec.msgpack.encode([frame]))
