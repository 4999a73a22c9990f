"""What lies in the place of a file of gaps is neither followed nor waited for."""

import os

import pytest

from callsheet.jobs.keeping import WHOLE, Gap
from callsheet.wire.holes import gap_in, punch, write_gap

GAP = Gap(3, 9)


def test_a_gap_is_read_as_it_was_written(tmp_path):
    path = f"{tmp_path}/gap"
    write_gap(path, GAP)
    assert gap_in(path) == GAP


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("elsewhere", path)])
def test_who_writes_a_gap_where_something_else_lies_is_told_and_never_waits(tmp_path, make):
    path = f"{tmp_path}/gap"
    make(path)
    with pytest.raises(OSError):
        write_gap(path, GAP)
    with pytest.raises(OSError):
        punch(path, *GAP)
    assert gap_in(path) == WHOLE
    assert not (tmp_path / "elsewhere").exists()
