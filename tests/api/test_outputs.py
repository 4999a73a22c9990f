"""Outputs over HTTP and sockets: finished ones as stored, live ones as they grow."""

import asyncio
import io
import random
import socket
import tracemalloc
import zipfile

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


def test_a_part_of_an_output_is_given_by_its_range(stand):
    run_id = stand.a_running_run()
    record = store_packed(stand, run_id, DATA)
    stand.end_run(run_id, outputs=[record])
    path = f"/api/v2/runs/{run_id}/output/output/raw"
    total = len(DATA)

    def part(asked, **headers):
        status, found, body = stand.request("GET", path, headers={"Range": asked, **headers})
        return status, found.get("content-range"), body

    assert part("bytes=5-9") == (206, f"bytes 5-9/{total}", DATA[5:10])
    assert part(f"bytes={total - 3}-") == (206, f"bytes {total - 3}-{total - 1}/{total}", DATA[-3:])
    assert part("bytes=-4") == (206, f"bytes {total - 4}-{total - 1}/{total}", DATA[-4:])
    assert part(f"bytes={FRAME - 2}-{FRAME + 1}")[2] == DATA[FRAME - 2 : FRAME + 2]
    assert part(f"bytes={total}-")[:2] == (416, f"bytes */{total}")
    for ignored in ("lines=1-2", "bytes=0-1,5-6", "bytes=9-5", "bytes=-", "bytes=x-"):
        assert part(ignored)[0] == 200
    etag = stand.request("GET", path)[1].get("etag", "none")
    assert part("bytes=0-0", **{"If-Range": '"other"'})[0] == 200
    assert etag == "none" or part("bytes=0-0", **{"If-Range": etag})[0] == 206
    v1 = stand.request("GET", path.replace("v2", "v1")[:-4], headers={"Range": "bytes=0-1"})
    assert (v1[0], v1[2]) == (200, DATA)


def a_cut_output(stand, run_id):
    """An output of 1,004 bytes, 996 of which are not kept."""
    return OutputRecord(
        run_id=run_id, length=1_004, data=b"headtail", truncated=True, gap_at=4, gap_bytes=996
    )


def test_what_is_left_out_is_said_wherever_an_output_is_read(stand, open_socket):
    run_id = stand.a_running_run()
    stand.end_run(run_id, outputs=[a_cut_output(stand, run_id)])
    path = f"/api/v2/runs/{run_id}/output/output"
    _, headers, body = stand.request("GET", f"{path}/raw", headers={"Accept-Encoding": "zstd"})
    assert body == b"head\n[callsheet: 996 bytes were left out here]\ntail"
    assert headers["x-left-out"] == "bytes 4-999"
    _, span = stand.ask("GET", f"{path}?start=2")
    assert (span["start"], span["data"], span["length"], span["ended"]) == (2, "ad", 1_004, False)
    _, span = stand.ask("GET", f"{path}?start=4")
    assert (span["start"], span["data"], span["left_out"], span["ended"]) == (
        1_000,
        "tail",
        996,
        True,
    )
    _, page = stand.ask("GET", f"/api/v2/runs/{run_id}")
    assert page["run"]["outputs"][0]["left_out"] == [4, 1_000]
    socket = open_socket("/api/v2/stream")
    socket.send(op="subscribe", id="o", topic="output", run_id=run_id, start=0)
    assert socket.about("o")["data"] == "head"
    message = socket.about("o")
    assert (message["start"], message["data"], message["left_out"]) == (1_000, "tail", 996)
    with Client("127.0.0.1", stand.port) as client:

        async def follow():
            return b"".join([p async for p in client.get_output_data_updates(run_id, start=0)])

        assert asyncio.run(asyncio.wait_for(follow(), WAIT_S)) == body


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


@pytest.mark.parametrize("run_id", ["r1%00", "r1" + "0" * 5_000, "..%2fr1", "r%d9%a1", "r01"])
def test_an_odd_run_id_leads_nowhere(stand, run_id):
    stand.a_running_run()
    for path in (f"/api/v1/runs/{run_id}", f"/api/v2/runs/{run_id}/output/output"):
        status, _ = stand.ask("GET", path)
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


# --- all of them as a zip -------------------------------------------------------------------------

ODD_NAMES = [
    "../../etc/passwd",
    "/abs/../a.csv",
    "A.csv",
    "a.csv",
    "c:\\windows\\nul.txt",
    "reports/März 🌍.pdf",
    "reports",
    "bell\x07\u202efdp.exe ",
    "...",
    "x" * 300 + ".parquet",
]


def an_artifact(run_id, number, name, data=b"1"):
    return OutputRecord(
        run_id=run_id, output_id=f"file-{number}", name=name, data=data, length=len(data)
    )


def members_in(body):
    """What a zip holds, each member's checksum held against its bytes."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def test_all_outputs_of_a_run_are_one_zip_whatever_they_are_called(stand):
    run_id = stand.a_running_run()
    files = [an_artifact(run_id, n, name, b"%d" % n) for n, name in enumerate(ODD_NAMES)]
    stand.end_run(run_id, outputs=[store_packed(stand, run_id, DATA), *files])
    path = f"/api/v2/runs/{run_id}/outputs.zip"
    status, headers, body = stand.request("GET", path)
    assert (status, headers["content-type"]) == (200, "application/zip")
    assert headers["content-disposition"] == f"attachment; filename*=UTF-8''a.{run_id}.zip"
    assert len(body) < len(DATA) / 10
    members = members_in(body)
    assert members.pop("output.txt") == DATA
    assert members == {
        "artifacts/etc/passwd": b"0",
        "artifacts/abs/a.csv": b"1",
        "artifacts/A.csv": b"2",
        "artifacts/a (2).csv": b"3",
        "artifacts/c_/windows/_nul.txt": b"4",
        "artifacts/reports/März 🌍.pdf": b"5",
        "artifacts/reports (2)": b"6",
        "artifacts/bell__fdp.exe": b"7",
        "artifacts/unnamed": b"8",
        f"artifacts/{'x' * 52}.parquet": b"9",
    }
    assert stand.request("HEAD", path)[::2] == (200, b"")
    with Client("127.0.0.1", stand.port) as client:
        assert members_in(client.get_outputs_zip(run_id))["output.txt"] == DATA


def test_a_zip_tells_what_is_not_in_it(stand):
    run_id = stand.a_running_run()
    gone = OutputRecord(run_id=run_id, output_id="x", name="gone.bin", length=5, path="00/gone")
    stand.end_run(run_id, outputs=[a_cut_output(stand, run_id), gone])
    members = members_in(stand.request("GET", f"/api/v2/runs/{run_id}/outputs.zip")[2])
    raw = stand.request("GET", f"/api/v2/runs/{run_id}/output/output/raw")[2]
    told = (
        "output.txt: 996 bytes were left out\n"
        f"artifacts/gone.bin: output x of {run_id}: its file is gone\n"
    )
    assert members == {"output.txt": raw, "left-out.txt": told.encode()}


def test_a_zip_of_a_running_run_has_what_there_is_and_attempts_have_folders(stand):
    run_id = stand.a_running_run()
    path = f"/api/v2/runs/{run_id}/outputs.zip"
    assert members_in(stand.request("GET", path)[2]) == {"left-out.txt": b"There are no outputs.\n"}
    live = LiveFile(stand, run_id)
    live.append(b"so far\n")
    assert members_in(stand.request("GET", path)[2]) == {"output.txt": b"so far\n"}
    live.finish()
    other = stand.a_running_run()
    ended = [OutputRecord(run_id=other, attempt=n, data=b"%d" % n, length=1) for n in (1, 2)]
    stand.end_run(other, outputs=ended)
    path = f"/api/v2/runs/{other}/outputs.zip"
    both = {"attempt-1/output.txt": b"1", "attempt-2/output.txt": b"2"}
    assert members_in(stand.request("GET", path)[2]) == both
    assert members_in(stand.request("GET", f"{path}?attempt=2")[2]) == {"output.txt": b"2"}
    assert stand.ask("GET", f"{path}?attempt=3")[0] == 404
    assert stand.ask("GET", "/api/v2/runs/r99999/outputs.zip")[0] == 404


def test_a_zip_is_made_while_it_is_sent(stand):
    run_id = stand.a_running_run()
    noise = random.Random(6).randbytes(2**20) * 16
    path = path_of(run_id, 1, "output")
    (stand.outputs / path).parent.mkdir(parents=True, exist_ok=True)
    (stand.outputs / path).write_bytes(noise)
    stand.end_run(run_id, outputs=[OutputRecord(run_id=run_id, length=len(noise), path=path)])
    asked = f"GET /api/v2/runs/{run_id}/outputs.zip HTTP/1.1\r\nHost: localhost\r\n"
    tracemalloc.start()
    try:
        with socket.create_connection(("127.0.0.1", stand.port), WAIT_S) as reader:
            reader.sendall(f"{asked}Connection: close\r\n\r\n".encode())
            body = b"".join(iter(lambda: reader.recv(2**16)[:1], b""))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert body
    assert peak < 10 * 2**20
