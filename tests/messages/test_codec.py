"""The codec: what goes in comes out, what is not a message never does."""

from __future__ import annotations

import random

import msgpack
import msgspec
import pytest

from callsheet.jobs.run import NewRun, Run
from callsheet.jobs.states import State
from callsheet.messages import codec
from callsheet.messages.commands import Recorded
from callsheet.messages.hello import Hello
from callsheet.messages.instructions import ClearRun, FewerThan, RunsDue, RunsSoon
from callsheet.messages.transitions import Beat, FeedFrame, RunMoved
from callsheet.messages.wishes import AddRuns, LedgerWish

READERS = (
    codec.LEDGER_READER,
    codec.FROM_LEDGER_READER,
    codec.SCHEDULER_READER,
    codec.FROM_SCHEDULER_READER,
    codec.RUNNER_READER,
    codec.FROM_RUNNER_READER,
    codec.FEED_READER,
    codec.OUTPUTS_READER,
)

MESSAGES = [
    Hello(role="web/0", incarnation="i"),
    RunsDue(run_ids=["r1", "r2"]),
    RunsSoon(run_ids=["r1", "r2"]),
    ClearRun(
        run_id="r1",
        guards=[FewerThan(job_id="a", args={"x": "1"}, states=(State.RUNNING,), n=1)],
    ),
    LedgerWish(
        command_id="c",
        principal="ann",
        instruction=AddRuns(runs=[NewRun(run_id="r1", job_id="a", args={"x": "ä"}, schedule_us=1)]),
    ),
]


def test_messages_come_out_as_they_went_in():
    (frame,) = codec.pack(MESSAGES)
    assert codec.LEDGER_READER.unpack(frame) == MESSAGES


def test_no_messages_are_no_frames():
    assert codec.pack([]) == []


@pytest.mark.parametrize("count", [1, 15, 16, 17, 10_000, 10_001])
def test_any_count_of_messages_keeps_its_order(count):
    beats = [Beat(epoch=1, seq=seq) for seq in range(count)]
    frames = codec.pack(beats)
    assert [m.seq for frame in frames for m in codec.FEED_READER.unpack(frame)] == list(
        range(count)
    )


def test_frames_stay_near_their_target_size():
    frames = codec.pack(RunsDue(run_ids=["r" * 1000]) for _ in range(1000))
    assert max(map(len, frames)) <= codec.TARGET_FRAME_BYTES + 8
    assert len(frames) > 10


def test_a_count_above_sixteen_bits_gets_a_long_header():
    assert codec._frame([b"\x01"] * 70_000)[:5] == b"\xdd\x00\x01\x11\x70"


def test_another_direction_is_refused():
    (frame,) = codec.pack([Recorded(run_id="r1", attempt=1, state=State.ERROR, ended=True)])
    with pytest.raises(codec.BadFrame, match="expected a list of known messages"):
        codec.LEDGER_READER.unpack(frame)


def test_too_large_a_frame_is_refused_before_it_is_read():
    with pytest.raises(codec.BadFrame, match="at most 4194304"):
        codec.FEED_READER.unpack(bytes(codec.MAX_FRAME_BYTES + 1))


def test_too_many_messages_are_refused():
    body = msgspec.msgpack.encode(Beat(epoch=1, seq=1))
    frame = b"\xdd" + (codec.MAX_MESSAGES + 1).to_bytes(4, "big") + body * (codec.MAX_MESSAGES + 1)
    with pytest.raises(codec.BadFrame, match="messages"):
        codec.FEED_READER.unpack(frame)


def test_garbage_only_ever_raises_bad_frame():
    rng = random.Random(7)
    (good,) = codec.pack(MESSAGES)
    for _ in range(2_000):
        garbage = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            garbage[rng.randrange(len(garbage))] = rng.randrange(256)
        blob = bytes(garbage[: rng.randrange(1, len(garbage) + 1)])
        for reader in READERS:
            try:
                reader.unpack(blob)
            except codec.BadFrame:
                continue


@pytest.mark.parametrize("blob", [b"", b"\xc1", b"\x91" * 100_000, b"\x81" * 100_000, b"\xff" * 99])
def test_bombs_and_nothing_are_refused(blob):
    for reader in READERS:
        with pytest.raises(codec.BadFrame):
            reader.unpack(blob)


def test_both_message_pack_libraries_read_the_same_bytes():
    run = Run(run_id="r1", job_id="a", args={"x": "1"}, state=State.SUCCESS, schedule_us=5)
    moved = RunMoved(seq=2, at_us=9, run_id="r1", after=State.SUCCESS, message="success")
    (frame,) = codec.pack([FeedFrame(epoch=1, after_seq=1, events=[moved], runs=[run])])
    assert msgpack.unpackb(frame) == msgspec.msgpack.decode(frame)
    unpacker = msgpack.Unpacker()
    unpacker.feed(frame + frame)
    assert len(list(unpacker)) == 2


def test_encode_is_one_record():
    beat = Beat(epoch=1, seq=2)
    assert msgspec.msgpack.decode(codec.encode(beat), type=Beat) == beat
