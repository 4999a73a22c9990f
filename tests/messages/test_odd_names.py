"""Run ids and attempts become names of files on both sides: odd ones are not even read."""

from __future__ import annotations

import msgspec
import pytest

from callsheet.jobs.programs import BoundProcess
from callsheet.jobs.run import run_number
from callsheet.messages.agents import (
    AgentHello,
    Claim,
    ForgetProcess,
    OutputChunk,
    OutputTaken,
    ProcessEnded,
    ProcessLost,
    ProcessStarted,
    SignalProcess,
    StartProcess,
    StopProcess,
)
from callsheet.messages.codec import KEYED_AGENT_READER, TO_AGENT_READER, BadFrame, pack

ODD_RUN_IDS = [
    "", "r", "1", "r01", "r-1", "R1", "r1.1", "r1\n", "r1\0", "../r1", "r1/../../x", "/etc/passwd",
    "..", "r1/", "r\u0661", "r" + "9" * 20, "r1" + "0" * 5_000,
]  # fmt: skip
ODD_ATTEMPTS = [0, -1, 10**9, 2**63]
PROGRAM = BoundProcess(argv=("true",))
COMMANDS = [
    StartProcess(epoch=1, run_id="r1", attempt=1, program=PROGRAM, not_after_us=1),
    StopProcess(epoch=1, run_id="r1", attempt=1),
    SignalProcess(epoch=1, run_id="r1", attempt=1, signal=1, command_id="c"),
    ForgetProcess(epoch=1, run_id="r1", attempt=1),
    OutputTaken(epoch=1, run_id="r1", attempt=1, name="output", upto=1),
]
FACTS = [
    ProcessStarted(run_id="r1", attempt=1, pid=1, at_us=1),
    ProcessEnded(run_id="r1", attempt=1, status=0, at_us=1, started_us=1),
    ProcessLost(run_id="r1", attempt=1, at_us=1, sentence="s"),
    OutputChunk(run_id="r1", attempt=1, name="output", offset=0, data=b"x"),
]
READERS = [
    *[(TO_AGENT_READER, message) for message in COMMANDS],
    *[(KEYED_AGENT_READER, message) for message in FACTS],
]
SAID = [type(message).__name__ for _, message in READERS]


@pytest.mark.parametrize(("reader", "message"), READERS, ids=SAID)
def test_a_message_with_an_odd_run_id_or_attempt_is_refused_with_its_frame(reader, message):
    [frame] = pack([message])
    assert reader.unpack(frame) == [message]
    odd = [{"run_id": run_id} for run_id in ODD_RUN_IDS]
    for fields in odd + [{"attempt": attempt} for attempt in ODD_ATTEMPTS]:
        [frame] = pack([msgspec.structs.replace(message, **fields)])
        with pytest.raises(BadFrame):
            reader.unpack(frame)


def test_an_inventory_with_an_odd_claim_is_refused():
    claim = Claim(run_id="../r1", attempt=1, state="done")
    hello = AgentHello(agent_id="a", group_id="g", incarnation="i", boot_id="b", claims=[claim])
    [frame] = pack([hello])
    with pytest.raises(BadFrame):
        KEYED_AGENT_READER.unpack(frame)


def test_a_run_id_that_is_read_is_one_that_has_a_number():
    for run_id in ("r0", "r1", "r17", f"r{10**18 - 1}"):
        [frame] = pack([msgspec.structs.replace(COMMANDS[1], run_id=run_id)])
        assert TO_AGENT_READER.unpack(frame)
        assert run_number(run_id) is not None
    assert [run_id for run_id in ODD_RUN_IDS if run_number(run_id) is not None] == []


@pytest.mark.parametrize(
    ("command", "field", "value"),
    [
        ("AgentWelcome", "epoch", 2**63),
        ("AgentWelcome", "epoch", -1),
        ("SignalProcess", "signal", 0),
        ("SignalProcess", "signal", 65),
        ("OutputTaken", "upto", -1),
        ("OutputTaken", "upto", 2**60),
    ],
)
def test_an_agent_hears_no_number_that_nothing_can_have(command, field, value):
    said = {"epoch": 1, "server_id": "s", "run_id": "r1", "attempt": 1, "command_id": "c"}
    said |= {"kind": command, "signal": 15, "name": "output", "upto": 5}
    assert TO_AGENT_READER.unpack(msgspec.msgpack.encode([said]))
    with pytest.raises(BadFrame, match=field):
        TO_AGENT_READER.unpack(msgspec.msgpack.encode([said | {field: value}]))
