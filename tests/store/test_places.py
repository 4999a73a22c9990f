"""Every place that outputs may lie at keeps the same promises: a folder, and URLs of fsspec."""

from __future__ import annotations

import hashlib
import uuid

import pytest

from callsheet.actors.output_files import OutputFolder
from callsheet.actors.outputs_seam import FinishOutput
from callsheet.actors.outputs_upkeep import OutputsUpkeep
from callsheet.conf.storage_settings import StorageSettings
from callsheet.store.outputs import OutputFiles, OutputGone
from callsheet.store.places import DiskPlace, PlaceError, UrlPlace

PLACES = {
    "disk": lambda folder: DiskPlace(str(folder)),
    "file": lambda folder: UrlPlace(f"file://{folder}"),
    "memory": lambda _: UrlPlace(f"memory://{uuid.uuid4().hex}/outputs"),
}


@pytest.fixture(params=PLACES)
def place(request, tmp_path):
    return PLACES[request.param](tmp_path / "place")


@pytest.fixture
def source(tmp_path):
    def make(data):
        path = tmp_path / "source"
        path.write_bytes(data)
        return str(path)

    return make


def test_what_is_put_is_read_from_anywhere(place, source):
    place.put(source(b"0123456789"), "01/r1/1.output")
    assert place.size("01/r1/1.output") == 10
    assert place.read("01/r1/1.output", 0, 99) == b"0123456789"
    assert place.read("01/r1/1.output", 3, 4) == b"3456"
    assert place.read("01/r1/1.output", 8, 4) == b"89"
    assert place.read("01/r1/1.output", 10, 4) == b""
    assert place.read("01/r1/1.output", 99, 4) == b""


def test_what_is_put_again_takes_the_place_of_what_was_there(place, source):
    for data in (b"a longer text", b"short", b""):
        place.put(source(data), "01/r1/1.output")
        assert place.size("01/r1/1.output") == len(data)
        assert place.read("01/r1/1.output", 0, 99) == data


def test_what_is_not_there_is_not_found_and_may_be_removed(place):
    with pytest.raises(FileNotFoundError):
        place.size("01/r1/1.output")
    with pytest.raises(FileNotFoundError):
        place.read("01/r1/1.output", 0, 1)
    place.remove("01/r1/1.output")
    assert list(place.files()) == []


def test_files_are_listed_with_their_sizes_until_they_are_removed(place, source):
    paths = {"01/r1/1.output": 3, "01/r1/1.a b.csv": 0, "ff/r255/2.output": 5}
    for path, size in paths.items():
        place.put(source(b"x" * size), path)
    found = list(place.files())
    assert {lying.path: lying.size for lying in found} == paths
    assert all(lying.changed_s > 1e9 for lying in found)
    place.remove("01/r1/1.output")
    assert sorted(lying.path for lying in place.files()) == ["01/r1/1.a b.csv", "ff/r255/2.output"]


def test_a_url_that_cannot_be_used_is_told_with_what_it_takes():
    with pytest.raises(PlaceError, match=r"outputs\.url nonsense://x"):
        UrlPlace("nonsense://x")


# --- outputs that go there ------------------------------------------------------------------------


def an_output(root, data):
    """Finish an output on the disk; return its record."""
    folder = OutputFolder(str(root))
    live = root / "01" / "r1" / "1.output.part"
    live.parent.mkdir(parents=True)
    live.write_bytes(data)
    finish = FinishOutput(run_id="r1", attempt=1, output_id="output", length=len(data))
    return folder.finish(finish)[1]


def an_upkeep(root, **settings):
    upkeep = OutputsUpkeep(str(root), StorageSettings(**settings), look_s=3_600, young_s=0)
    upkeep.close()  # its thread; the test plays it
    return upkeep


@pytest.mark.parametrize("size", [100, 700_000])
def test_a_finished_output_goes_to_its_url_and_is_read_there(tmp_path, size):
    root, url = tmp_path / "outputs", f"memory://{uuid.uuid4().hex}"
    data = b"".join(b"%07d\n" % n for n in range(size // 8 + 1))[:size]
    upkeep = an_upkeep(root, url=url)
    record = an_output(root, data)
    (root / "01" / "r1" / "2.output.part").write_bytes(b"grows")
    upkeep.far = UrlPlace(url)
    files = OutputFiles(str(root), UrlPlace(url))
    assert files.read(record, 0, size) == data
    assert upkeep.move_all() == 1
    assert [path.name for path in (root / "01" / "r1").iterdir()] == ["2.output.part"]
    files = OutputFiles(str(root), UrlPlace(url))
    assert files.read(record, 0, size) == data
    assert files.span(record, size - 5, 99) == (size - 5, data[-5:])
    assert hashlib.sha256(files.read(record, 0, size)).hexdigest() == record.sha256
    with pytest.raises(OutputGone):
        OutputFiles(str(root)).read(record, 0, 1)


def test_a_url_that_is_down_costs_nothing_and_is_tried_again(tmp_path):
    root = tmp_path / "outputs"

    class Down(DiskPlace):
        def put(self, source, path):
            raise OSError(111, "Connection refused")

    upkeep = an_upkeep(root, url="memory://x")
    record = an_output(root, b"hello")
    upkeep.far = Down(str(tmp_path / "far"))
    with pytest.raises(OSError, match="refused"):
        upkeep.move_all()
    assert OutputFiles(str(root)).read(record, 0, 9) == b"hello"
    upkeep.far = DiskPlace(str(tmp_path / "far"))
    assert upkeep.move_all() == 1


def test_outputs_that_are_too_old_are_removed_wherever_they_are(tmp_path):
    root = tmp_path / "outputs"
    upkeep = an_upkeep(root, url="memory://x", retention_us=1)
    record = an_output(root, b"hello")
    upkeep.far = DiskPlace(str(tmp_path / "far"))
    changed_s = next(iter(DiskPlace(str(root)).files())).changed_s
    assert upkeep.remove_old(changed_s - 1) == 0
    assert upkeep.remove_old(changed_s + 1) == 1
    with pytest.raises(OutputGone):
        OutputFiles(str(root)).read(record, 0, 9)
    an_output_far = tmp_path / "source"
    an_output_far.write_bytes(b"far")
    upkeep.far.put(str(an_output_far), "02/r2/1.output")
    assert upkeep.remove_old(changed_s + 3_600) == 1
    assert list(upkeep.far.files()) == []
