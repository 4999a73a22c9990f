"""Outputs over HTTP and sockets: finished ones as stored, live ones as they grow."""

import asyncio

import pytest
from backports import zstd
from web_stand import WAIT_S

from callsheet.client import Client
from callsheet.messages.instructions import OutputRecord
from callsheet.store.outputs import live_path_of, path_of, seek_table

DATA = b"a line of output\n" * 50_000
FRAME = 256 * 1024


def store_packed(stand, run_id, data):
    """Put an output on the disk as the runner does, compressed in frames."""
    frames = [data[i : i + FRAME] for i in range(0, len(data), FRAME)]
    packed = [zstd.compress(frame) for frame in frames]
    path = path_of(run_id, 1, "output")
    file = stand.outputs / path
    file.parent.mkdir(parents=True, exist_ok=True)
    table = seek_table([(len(p), len(f)) for p, f in zip(packed, frames, strict=True)])
    file.write_bytes(b"".join(packed) + table)
    return OutputRecord(run_id=run_id, length=len(data), compression="zstd", path=path)


class LiveFile:
    """A live output's file, to which a test appends and says so."""

    def __init__(self, stand, run_id):
        self.stand, self.run_id, self.length = stand, run_id, 0
        self.file = stand.outputs / live_path_of(run_id, 1, "output")
        self.file.parent.mkdir(parents=True)

    def append(self, data):
        with self.file.open("ab") as file:
            file.write(data)
        self.length += len(data)
        self.stand.grew(self.run_id, self.length)

    def finish(self):
        data = self.file.read_bytes()
        final = self.file.with_suffix("")
        self.file.rename(final)
        path = path_of(self.run_id, 1, "output")
        record = OutputRecord(run_id=self.run_id, length=len(data), path=path)
        self.stand.end_run(self.run_id, outputs=[record])


def test_a_packed_output_is_unpacked_unless_asked_for_as_it_is(stand):
    run_id = stand.a_running_run()
    stand.end_run(run_id, outputs=[store_packed(stand, run_id, DATA)])
    path = f"/api/v1/runs/{run_id}/output/output"
    for accepted in ({}, {"Accept-Encoding": "gzip, br"}, {"Accept-Encoding": "zstd;q=0"}):
        _, headers, body = stand.request("GET", path, headers=accepted)
        assert (headers["content-encoding"], body == DATA) == ("identity", True)
    _, headers, body = stand.request("GET", path, headers={"Accept-Encoding": "gzip, zstd"})
    assert headers["content-encoding"] == "zstd"
    assert zstd.decompress(body) == DATA
    assert len(body) < len(DATA) / 10
    _, span = stand.ask("GET", f"/api/v2/runs/{run_id}/output/output?start={FRAME - 4}&limit=8")
    assert span["data"].encode() == DATA[FRAME - 4 : FRAME + 4]


def test_an_output_whose_file_is_gone_is_not_found(stand):
    run_id = stand.a_running_run()
    record = OutputRecord(run_id=run_id, length=5, path=path_of(run_id, 1, "output"))
    stand.end_run(run_id, outputs=[record])
    status, body = stand.ask("GET", f"/api/v1/runs/{run_id}/output/output")
    assert status == 404
    assert str(stand.outputs) not in body["error"]


@pytest.mark.parametrize("name", ["..%2f..%2fcallsheet.db", "%2e%2e", "a%00b", ".hidden", "%c3%a9"])
def test_an_odd_output_id_leads_nowhere(stand, name):
    run_id = stand.a_running_run()
    status, _ = stand.ask("GET", f"/api/v1/runs/{run_id}/output/{name}")
    assert status == 404


def test_what_a_running_run_has_printed_so_far_is_given(stand):
    run_id = stand.a_running_run()
    LiveFile(stand, run_id).append(b"so far")
    path = f"/api/v1/runs/{run_id}/output/output"
    status, headers, body = stand.request("GET", path)
    assert (status, headers["content-length"], body) == (200, "6", b"so far")


def test_a_page_that_a_job_printed_is_never_a_page_of_ours(stand):
    run_id = stand.a_running_run()
    record = OutputRecord(
        run_id=run_id, length=8, data=b"<script>", content_type="text/html; charset=utf-8"
    )
    stand.end_run(run_id, outputs=[record])
    _, headers, _ = stand.request("GET", f"/api/v1/runs/{run_id}/output/output")
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == "attachment"


def test_a_live_output_is_streamed_to_its_end(stand, open_socket):
    run_id = stand.a_running_run()
    live = LiveFile(stand, run_id)
    socket = open_socket("/api/v2/stream")
    socket.send(op="subscribe", id="o", topic="output", run_id=run_id, start=0)
    live.append("grü".encode()[:-1])
    assert socket.about("o")["data"] == "gr"
    live.append("grü".encode()[-1:] + b"n")
    message = socket.about("o")
    assert (message["start"], message["data"], message["next"], message["ended"]) == (
        2, "ün", 5, False,
    )  # fmt: skip
    live.finish()
    message = socket.about("o")
    assert (message["start"], message["data"], message["ended"]) == (5, "", True)


def test_growth_nobody_told_of_is_found(stand, open_socket):
    run_id = stand.a_running_run()
    live = LiveFile(stand, run_id)
    socket = open_socket("/api/v2/stream")
    socket.send(op="subscribe", id="o", topic="output", run_id=run_id, start=0)
    stand.lost.add("outputs")
    live.append(b"quiet")
    assert socket.about("o")["data"] == "quiet"


def test_the_client_follows_a_live_output(stand):
    run_id = stand.a_running_run()
    live = LiveFile(stand, run_id)
    live.append(b"one ")

    async def follow():
        got = b""
        with Client("127.0.0.1", stand.port) as client:
            async for part in client.get_output_data_updates(run_id, start=0):
                got += part
                if got == b"one ":
                    live.append(b"two")
                elif got == b"one two":
                    live.finish()
        return got

    assert asyncio.run(asyncio.wait_for(follow(), WAIT_S)) == b"one two"
