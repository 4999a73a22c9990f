"""What sockets make of words they do not expect: passed over, or an end of its own.

Odd frames at random are those of tests/fuzz.
"""

from __future__ import annotations

import json
import logging

import pytest
from websockets.exceptions import ConnectionClosed

from callsheet.webui import stream

WAIT_S = 60.0


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["summary?init", "runs/r1/updates?init", "runs/r1/output/output/updates?start=0"]
)
def test_whatever_a_client_says_on_the_sockets_of_the_contract_is_passed_over(
    stand, open_socket, path
):
    run_id = stand.a_running_run()
    assert run_id == "r1"
    opened = open_socket(f"/api/v1/{path}").socket
    for junk in ("", "{", "x" * 1_000, b"\xff\x00", "[" * 1_000):
        opened.send(junk)
    assert opened.ping().wait(WAIT_S)


@pytest.mark.parametrize(
    "query", ["start=x", "start=-1", "start=1.5", "start=99999999999999999999", "start=%ff"]
)
def test_a_start_that_is_no_offset_closes_the_socket(stand, open_socket, query):
    stand.a_running_run()
    opened = open_socket(f"/api/v1/runs/r1/output/output/updates?{query}").socket
    with pytest.raises(ConnectionClosed) as closed:
        opened.recv(timeout=WAIT_S)
    assert closed.value.rcvd.code == 1000


def test_an_op_in_two_parts_is_one(stand, open_socket):
    socket = open_socket("/api/v2/stream")
    text = json.dumps({"op": "subscribe", "id": "a", "topic": "runs"})
    socket.socket.send(iter([text[:5], text[5:]]))
    assert socket.about("a")["runs"] == []


def test_a_fault_of_our_own_closes_the_socket_alone_and_is_in_the_log(
    open_socket, monkeypatch, caplog
):
    def broken(socket, op):
        raise LookupError("a mistake in a topic")

    monkeypatch.setitem(stream.TOPICS, "pauses", broken)
    other = open_socket("/api/v2/stream")
    opened = open_socket("/api/v2/stream")
    with caplog.at_level(logging.ERROR, "callsheet.web"):
        opened.send(op="subscribe", id="q", topic="pauses")
        with pytest.raises(ConnectionClosed):
            opened.about("q")
    [record] = [one for one in caplog.records if "socket" in one.getMessage()]
    assert record.getMessage() == "socket /api/v2/stream"
    assert "a mistake in a topic" in str(record.exc_info[1])
    other.send(op="subscribe", id="r", topic="runs")
    assert other.about("r")["runs"] == []
