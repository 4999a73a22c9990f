"""The output store's writing side: no byte invented, none told as kept that is not."""

from __future__ import annotations

import hashlib
import os
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callsheet.actors import output_files
from callsheet.actors.outputs_seam import (
    AppendOutput,
    FinishOutput,
    OutputFinished,
    OutputStored,
)
from callsheet.actors.outputs_store import OutputsStore
from callsheet.jobs.keeping import Gap, mark
from callsheet.messages.instructions import OutputRecord
from callsheet.store.outputs import OutputFiles, shown_length, zstd_module

WAIT_S = 60.0


class Stand:
    """A store and what it says."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.said: queue.Queue[Any] = queue.Queue()
        self.failed: queue.Queue[BaseException] = queue.Queue()
        self.files = OutputFiles(str(root))
        self.store = OutputsStore(str(root), self._tell, self.failed.put)

    def _tell(self, answers: list[Any]) -> None:
        for answer in answers:
            self.said.put(answer)

    def do(self, message: Any) -> Any:
        self.store.take([message])
        return self.said.get(timeout=WAIT_S)

    def append(self, offset: int, data: bytes, **fields: Any) -> int:
        """Append; return how much of the output there is now."""
        fields = {"run_id": "r1", "attempt": 1, "output_id": "output"} | fields
        answer = self.do(AppendOutput(offset=offset, data=data, **fields))
        assert isinstance(answer, OutputStored)
        return answer.length

    def finish(self, length: int, **fields: Any) -> OutputFinished:
        fields = {"run_id": "r1", "attempt": 1, "output_id": "output"} | fields
        answer = self.do(FinishOutput(length=length, **fields))
        assert isinstance(answer, OutputFinished)
        return answer

    def kept(self, length: int, **fields: Any) -> OutputRecord:
        finished = self.finish(length, **fields)
        assert (finished.error, finished.record is not None) == ("", True)
        return finished.record

    def content(self, record: OutputRecord) -> bytes:
        return self.files.read(record, 0, record.length)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    stand = Stand(tmp_path / "outputs")
    yield stand
    stand.store.close()


def test_chunks_are_appended_and_a_repeated_one_changes_nothing(stand):
    assert stand.append(0, b"hello ") == 6
    assert stand.append(6, b"world") == 11
    assert stand.append(0, b"hello ") == 11
    assert stand.append(4, b"o world!") == 12
    assert stand.content(stand.kept(12)) == b"hello world!"


def test_a_chunk_that_would_leave_a_hole_is_answered_with_what_is_there(stand):
    assert stand.append(0, b"hello") == 5
    assert stand.append(9, b"x") == 5
    assert stand.append(5, b"") == 5


def test_a_compressed_chunk_is_stored_plain(stand):
    packed = zstd_module().compress(b"a" * 1_000)
    assert stand.append(0, packed, compression="zstd") == 1_000
    assert stand.content(stand.kept(1_000)) == b"a" * 1_000


def test_a_chunk_that_cannot_be_decompressed_adds_nothing(stand):
    assert stand.append(0, b"not zstd", compression="zstd") == 0


def test_a_chunk_that_explodes_is_cut(stand, monkeypatch):
    monkeypatch.setattr(output_files, "CHUNK_BYTES", 100)
    packed = zstd_module().compress(b"a" * 1_000)
    assert stand.append(0, packed, compression="zstd") == 100


def test_a_small_output_is_kept_plain_and_its_live_file_goes(stand):
    stand.append(0, b"hello")
    assert stand.files.live("r1", 1, "output").length == 5
    assert stand.kept(5) == OutputRecord(
        run_id="r1",
        length=5,
        path="01/r1/1.output",
        sha256=hashlib.sha256(b"hello").hexdigest(),
    )
    assert stand.files.live("r1", 1, "output") is None
    assert os.listdir(stand.root / "01" / "r1") == ["1.output"]


@pytest.mark.parametrize("size", [20_000, 600_000, 1_100_000])
def test_a_large_output_is_kept_compressed_and_readable_from_anywhere(stand, tmp_path, size):
    data = b"".join(b"%07d\n" % n for n in range(size // 8))
    (tmp_path / "runs" / "r1.1").mkdir(parents=True)
    spool = tmp_path / "runs" / "r1.1" / "out"
    spool.write_bytes(data)
    record = stand.kept(size, spool_path=str(spool))
    assert record.compression == "zstd"
    assert record.sha256 == hashlib.sha256(data).hexdigest()
    assert (stand.root / record.path).stat().st_size < size / 3
    assert stand.content(record) == data
    assert stand.files.read(record, size - 8, 99) == data[-8:]


def test_only_the_agents_file_of_this_very_attempt_is_taken(stand, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"hello")
    assert stand.finish(5, spool_path=str(secret)).record is None
    (tmp_path / "runs" / "r2.1").mkdir(parents=True)
    other = tmp_path / "runs" / "r2.1" / "out"
    other.write_bytes(b"hello")
    assert stand.finish(5, spool_path=str(other)).record is None


@pytest.mark.parametrize("linked", ["out", "r1.1", "runs"])
def test_no_link_in_a_spool_is_followed(stand, tmp_path, linked):
    """Neither to a file of the same name and length, nor does the link itself become an output."""
    elsewhere = tmp_path / "elsewhere" / "runs" / "r1.1"
    elsewhere.mkdir(parents=True)
    (elsewhere / "out").write_bytes(b"hello")
    place = tmp_path / "spool" / "runs" / "r1.1" / "out"
    there = elsewhere / "out"
    while place.name != linked:
        place, there = place.parent, there.parent
    place.parent.mkdir(parents=True)
    place.symlink_to(there)
    spool = f"{tmp_path}/spool/runs/r1.1/out"
    assert stand.finish(5, spool_path=spool).record is None
    stand.append(0, b"told!")
    assert stand.content(stand.kept(5, spool_path=spool)) == b"told!"


@pytest.mark.parametrize("folder", ["\0", ".", "/", "x" * 5_000])
def test_an_odd_path_of_a_spool_leads_nowhere(stand, folder):
    assert stand.finish(5, spool_path=f"{folder}/runs/r1.1/out").record is None


def test_a_link_in_the_place_of_a_live_output_is_not_written_through(stand, tmp_path):
    (tmp_path / "theirs").write_bytes(b"theirs")
    folder = stand.root / "01" / "r1"
    folder.mkdir(parents=True)
    (folder / "1.output.part").symlink_to(tmp_path / "theirs")
    append = AppendOutput(run_id="r1", attempt=1, output_id="output", offset=0, data=b"hello")
    stand.store.take([append])
    assert stand.append(0, b"hello", run_id="r257") == 5
    assert (tmp_path / "theirs").read_bytes() == b"theirs"


def test_what_a_stray_writes_after_the_end_is_not_part_of_the_output(stand, tmp_path):
    (tmp_path / "runs" / "r1.1").mkdir(parents=True)
    spool = tmp_path / "runs" / "r1.1" / "out"
    spool.write_bytes(b"hello and more")
    record = stand.kept(5, spool_path=str(spool))
    assert record.sha256 == hashlib.sha256(b"hello").hexdigest()
    assert stand.content(record) == b"hello"


def test_an_output_that_is_not_whole_is_answered_with_what_is_there(stand):
    assert stand.finish(5) == OutputFinished(run_id="r1", attempt=1, output_id="output")
    stand.append(0, b"he")
    assert stand.finish(5).length == 2
    stand.append(2, b"llo")
    assert stand.content(stand.kept(5)) == b"hello"


def test_an_output_may_be_finished_twice(stand, tmp_path):
    (tmp_path / "runs" / "r1.1").mkdir(parents=True)
    spool = tmp_path / "runs" / "r1.1" / "out"
    spool.write_bytes(b"hello")
    first = stand.kept(5, spool_path=str(spool))
    assert stand.kept(5, spool_path=str(spool)) == first
    assert stand.content(first) == b"hello"


def test_of_a_long_output_head_and_tail_are_kept_and_the_disk_has_no_more(stand):
    keep, piece = 2**20, 2**18
    data = b"".join(b"%07d\n" % n for n in range(24 * piece // 8))
    for offset in range(0, len(data), piece):
        stand.append(offset, data[offset : offset + piece], keep_bytes=keep)
        live = stand.files.live("r1", 1, "output")
        assert os.stat(live.path).st_blocks * 512 <= keep * 17 // 16 + 2 * piece
        assert live.length == offset + piece
    gap = live.gap()
    assert live.span(0, 2 * keep) == (0, data[: gap.start])
    assert live.span(gap.start, 10) == (gap.end, data[gap.end : gap.end + 10])
    record = stand.kept(len(data), keep_bytes=keep)
    assert (record.length, record.truncated) == (len(data), True)
    assert record.gap == Gap(keep // 4, len(data) - keep * 3 // 4)
    assert len(os.listdir(stand.root / "01" / "r1")) == 1
    head, tail = data[: record.gap.start], data[record.gap.end :]
    assert stand.files.span(record, 0, len(data)) == (0, head)
    assert stand.files.span(record, len(head) + 5, 2**30) == (record.gap.end, tail)
    shown = head + mark(record.gap) + tail
    assert (shown_length(record), stand.files.read(record, 0, 2**30)) == (len(shown), shown)
    assert record.sha256 == hashlib.sha256(head + tail).hexdigest()
    for start in (0, len(head) - 3, len(head) + 3, len(shown) - len(tail) - 3, len(shown) - 3):
        for limit in (1, 5, 100):
            assert stand.files.read(record, start, limit) == shown[start : start + limit]


def test_bytes_that_an_agent_has_not_kept_are_a_gap_and_no_zeros(stand):
    stand.append(0, b"head", keep_bytes=2**20)
    assert stand.append(1_000, b"tail", gap=900) == 4
    assert stand.append(1_000, b"tail", gap=996) == 1_004
    assert stand.append(1_000, b"tail", gap=996) == 1_004
    assert stand.files.live("r1", 1, "output").span(0, 99) == (0, b"head")
    record = stand.kept(1_004, gap=Gap(4, 1_000))
    assert (record.gap, record.length) == (Gap(4, 1_000), 1_004)
    assert (
        stand.files.read(record, 0, 99) == b"head\n[callsheet: 996 bytes were left out here]\ntail"
    )


def test_an_artifact_is_an_output_with_a_name_of_its_own(stand, tmp_path):
    spool = tmp_path / "runs" / "r1.1" / "artifacts" / "a.csv"
    spool.parent.mkdir(parents=True)
    spool.write_bytes(b"1,2")
    fields = {"output_id": "a.csv", "name": "reports/a.csv"}
    record = stand.kept(3, spool_path=str(spool), **fields)
    assert (record.output_id, record.name) == ("a.csv", "reports/a.csv")
    assert stand.content(record) == b"1,2"
    empty = stand.kept(0, output_id="empty", name="empty")
    assert (empty.length, stand.content(empty)) == (0, b"")


def test_the_attempts_of_a_run_have_outputs_of_their_own(stand):
    stand.append(0, b"one")
    stand.append(0, b"two", attempt=2)
    records = [stand.kept(3), stand.kept(3, attempt=2)]
    assert [stand.content(record) for record in records] == [b"one", b"two"]


def test_what_cannot_be_written_is_told_and_written_later(stand):
    stand.append(0, b"hello")
    blocker = stand.root / "01" / "r1" / "1.output.new"
    blocker.mkdir()
    finished = stand.finish(5)
    assert (finished.record, finished.error) == (None, "Is a directory")
    blocker.rmdir()
    assert stand.content(stand.kept(5)) == b"hello"


def test_what_is_not_on_the_disk_is_not_told_as_kept(stand, monkeypatch):
    def fails(path: str) -> None:
        raise OSError(5, "Input/output error")

    stand.append(0, b"hello")
    with monkeypatch.context() as patch:
        patch.setattr(output_files, "_sync", fails)
        finished = stand.finish(5)
    assert (finished.record, finished.error) == (None, "Input/output error")


def test_what_was_posted_is_done_before_the_store_closes(stand):
    messages = [
        AppendOutput(run_id=f"r{n}", attempt=1, output_id="output", offset=0, data=b"x")
        for n in range(1, 301)
    ]
    stand.store.take(messages)
    stand.store.close()
    assert stand.said.qsize() == 300


def test_an_error_of_ours_is_said_and_not_swallowed_by_a_thread(stand):
    stand.store.take([FinishOutput(run_id="../r1", attempt=1, output_id="output", length=1)])
    assert "expected a run id" in str(stand.failed.get(timeout=WAIT_S))
