"""stdout and stderr told apart: two files, one order, whoever dies meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from agent_stand import AgentStand, a_shell, until

from callsheet.agentd import splitting
from callsheet.agentd.host import Key
from callsheet.agentd.launch import STARTED
from callsheet.agentd.splitting import Splits
from callsheet.jobs.order import Order, in_order
from callsheet.jobs.programs import Artifact, OutputSpec
from callsheet.messages.agents import OutputChunk, OutputTaken

SPLIT = OutputSpec(streams="split")


@pytest.fixture
def stand(tmp_path):
    stand = AgentStand(tmp_path)
    yield stand
    stand.close()


class Taken:
    """What a server has of a run's outputs, by name."""

    def __init__(self, stand: AgentStand) -> None:
        self.stand = stand
        self.outputs: dict[str, bytes] = {}

    def to_the_end(self, run_id: str):
        """Take chunks until the end comes; return it."""
        while True:
            message = self.stand.wait(object, lambda m: getattr(m, "run_id", "") == run_id)
            if isinstance(message, OutputChunk):
                self.take(message)
            elif hasattr(message, "output_bytes"):
                return message

    def take(self, chunk: OutputChunk) -> None:
        there = self.outputs.get(chunk.name, b"")
        if chunk.offset - chunk.gap <= len(there):
            there = there.ljust(chunk.offset, b"\0")
            there += chunk.data[len(there) - chunk.offset :]
        self.outputs[chunk.name] = there
        self.stand.send(
            OutputTaken(epoch=1, run_id=chunk.run_id, attempt=1, name=chunk.name, upto=len(there))
        )

    def parts(self) -> tuple[bytes, bytes]:
        """What came from stdout, and from stderr."""
        found = [b"", b""]
        output = self.outputs.get("output", b"")
        order = Order(self.outputs.get("order", b""))
        assert order.size == len(output)
        for piece in order.pieces(0, order.size):
            assert piece.place == len(found[piece.stream])
            found[piece.stream] += output[piece.start : piece.end]
        return found[0], found[1]


def test_lines_are_in_the_order_in_which_they_were_written(stand, tmp_path):
    stand.start()
    taken = Taken(stand)
    command = "for n in 1 2 3 4 5 6 7 8 9; do echo out $n; echo err $n >&2; sleep 0.02; done"
    stand.run("r1", a_shell(command, output=SPLIT))
    ended = taken.to_the_end("r1")
    lines = [f"{stream} {n}\n" for n in range(1, 10) for stream in ("out", "err")]
    assert taken.outputs["output"].decode() == "".join(lines)
    assert ended.stream_bytes == {"stdout": 54, "stderr": 54}
    assert taken.parts() == tuple("".join(lines[i::2]).encode() for i in (0, 1))


def test_what_is_written_while_agentd_is_away_is_whole_and_in_order_within_its_stream(
    stand, tmp_path
):
    stand.start()
    hold = f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done"
    command = f"echo a; echo b >&2; {hold}; echo c >&2; echo d; touch {tmp_path}/said; sleep 1"
    stand.run("r1", a_shell(command, output=SPLIT))
    stand.wait(OutputChunk)
    stand.kill()
    (tmp_path / "go").touch()
    until((tmp_path / "said").exists, "what the program says meanwhile")
    stand.start()
    taken = Taken(stand)
    taken.to_the_end("r1")
    assert taken.parts() == (b"a\nd\n", b"b\nc\n")
    assert taken.outputs["output"].startswith(b"a\nb\n")


def test_a_flood_on_both_streams_is_whole_and_no_more_of_it_kept_than_is_to_be(stand):
    stand.start()
    taken = Taken(stand)
    command = (
        "head -c 3000000 /dev/zero | tr '\\0' o & head -c 3000000 /dev/zero | tr '\\0' e >&2; wait"
    )
    stand.run("r1", a_shell(command, output=SPLIT), keep_bytes=2**20)
    ended = taken.to_the_end("r1")
    out, err = taken.parts()
    assert (len(out), len(err)) == (3_000_000, 3_000_000)
    assert set(out) <= set(b"o\0")
    assert set(err) <= set(b"e\0")
    folder = Path(stand.spool / "runs" / "r1.1")
    blocks = sum((folder / name).stat().st_blocks for name in ("out", "err"))
    assert blocks * 512 < 3_000_000
    start, end = ended.gaps["output"]
    assert end - start > 4_000_000


def test_artifacts_are_collected_when_the_process_is_over(stand, tmp_path):
    work = tmp_path / "work"
    (work / "logs" / "deep").mkdir(parents=True)
    (work / "outside").symlink_to("/etc")
    (work / "link.txt").symlink_to("/etc/hostname")
    command = (
        "echo 1 > a.csv; : > empty; echo x > logs/x.log; echo y > logs/deep/y.log; mkfifo pipe; "
        "echo z > 'we ird.log'; head -c 5000 /dev/zero > big; echo .h > .hidden; exit 3"
    )
    paths = ("a.csv", "empty", "**/*.log", "outside/hostname", "*.txt", "pipe", "none-*")
    artifacts = tuple(Artifact(path=path) for path in paths)
    spec = OutputSpec(artifacts=(*artifacts, Artifact(path="big", max_bytes=4_999)))
    stand.start()
    stand.run("r1", a_shell(command, cwd=str(work), output=spec))
    ended = Taken(stand).to_the_end("r1")
    assert ended.status == 3
    assert ended.artifacts == {
        "a.csv": "a.csv",
        "empty": "empty",
        "we_ird.log": "we ird.log",
        "logs.x.log": "logs/x.log",
        "logs.deep.y.log": "logs/deep/y.log",
    }
    assert ended.output_bytes == {
        "a.csv": 2, "empty": 0, "we_ird.log": 2, "logs.x.log": 2, "logs.deep.y.log": 2,
    }  # fmt: skip
    assert {note.partition(":")[0] for note in ended.remarks} == {
        "outside/hostname", "link.txt", "pipe", "none-*", "big",
    }  # fmt: skip
    path = Path(ended.spool_paths["logs.deep.y.log"])
    assert path.read_text() == "y\n"
    stand.forget("r1")
    until(lambda: not path.exists(), "the copies to go")


def test_artifacts_not_collected_yet_are_by_the_next_agentd(stand, tmp_path):
    stand.start()
    spec = OutputSpec(artifacts=(Artifact(path="a"),))
    hold = f"while [ ! -e {tmp_path}/go ]; do sleep 0.02; done; touch {tmp_path}/over"
    stand.run("r1", a_shell(f"echo 1 > a; {hold}", cwd=str(tmp_path), output=spec))
    stand.started("r1")
    stand.kill()
    (tmp_path / "go").touch()
    until((tmp_path / "over").exists, "its end")
    stand.start()
    assert Taken(stand).to_the_end("r1").artifacts == {"a": "a"}


def test_bursts_of_a_batch_have_a_line_each_and_the_last_what_is_left():
    assert in_order([0, 1, 0], (b"a\nb\n", b"x\n")) == [(0, 2), (1, 2), (0, 2)]
    assert in_order([1, 0, 1], (b"a\nb\n", b"x\ny\nz\n")) == [(1, 2), (0, 4), (1, 4)]
    assert in_order([], (b"a", b"b")) == [(0, 1), (1, 1)]
    assert in_order([0, 1, 0, 1], (b"ab", b"xy")) == [(0, 2), (1, 2)]
    assert in_order([1], (b"a", b"b")) == [(1, 1), (0, 1)]


class Writer:
    """A program that writes lines to both of its streams, whose files are watched."""

    def __init__(self, folder: Path) -> None:
        (folder / "r1.1").mkdir()
        self.files = [folder / "r1.1" / name for name in ("out", "err")]
        self.said: list[str] = []

    def say(self, stream: int, text: str) -> None:
        with self.files[stream].open("a") as file:
            file.write(text)
        self.said.append(text)


def all_of(splits: Splits, key: Key) -> str:
    return splits.read(key, 0, 10_000).decode()


def test_lines_that_come_while_agentd_looks_at_their_files_are_in_order(tmp_path, monkeypatch):
    writer, splits, key = Writer(tmp_path), Splits(str(tmp_path)), Key("r1", 1)
    splits.open(key, has_head=False)
    sizes = splitting._sizes
    to_come = [(n % 2, f"{n}\n") for n in range(4, 12)]

    def held(split):
        """As long as anything is to come four lines come before the sizes are told."""
        for stream, text in [to_come.pop(0) for _ in range(min(4, len(to_come)))]:
            writer.say(stream, text)
        return sizes(split)

    monkeypatch.setattr(splitting, "_sizes", held)
    for n in range(4):
        writer.say(n % 2, f"{n}\n")
    splits.hear()
    assert not to_come
    assert all_of(splits, key) == "".join(writer.said)
    to_come += [(n % 2, f"{n}\n") for n in range(12, 20)]
    splits.order(key, has_head=False, final=False)
    assert all_of(splits, key) == "".join(writer.said)


@pytest.mark.parametrize("first", [0, 1])
def test_what_launchers_say_is_no_line_of_the_programs(tmp_path, first):
    writer, splits, key = Writer(tmp_path), Splits(str(tmp_path)), Key("r1", 1)
    splits.open(key, has_head=True)
    writer.say(1, f"a launcher's word\n{STARTED}\n")
    for n in range(first, first + 6):
        writer.say(n % 2, f"{n}\n")
    splits.hear()
    assert all_of(splits, key) == "".join(writer.said[1:])
    assert splits.head(key) == len(writer.said[0])


def test_an_order_finds_both_ways():
    order = Order()
    data = order.append(0, 4, 1) + order.append(1, 3, 2) + order.append(0, 2, 3)
    assert (order.size, order.parts, len(order)) == (9, (6, 3), 3)
    again = Order(data + b"torn")
    for offset in range(10):
        places = order.places(offset)
        assert sum(places) == offset
        assert again.places(offset) == places
    assert [order.offset_of(0, n) for n in range(7)] == [0, 1, 2, 3, 7, 8, 9]
    assert [order.offset_of(1, n) for n in range(4)] == [4, 5, 6, 9]
    assert [tuple(piece) for piece in order.pieces(2, 8)] == [
        (0, 2, 4, 2),
        (1, 4, 7, 0),
        (0, 7, 8, 4),
    ]
    assert order.pieces(9, 20) == []


@pytest.mark.parametrize("name", [splitting.OUT, "err", splitting.ORDER])
def test_a_pipe_in_the_place_of_a_file_of_ours_is_not_waited_for(tmp_path, name):
    (tmp_path / "r1.1").mkdir()
    os.mkfifo(tmp_path / "r1.1" / name)
    splits = Splits(str(tmp_path))
    if name == splitting.ORDER:
        assert splits.open(Key("r1", 1), has_head=False).order.size == 0
    else:
        with pytest.raises(OSError, match="No such device"):
            splits.open(Key("r1", 1), has_head=False)
    os.close(splits.fd)
