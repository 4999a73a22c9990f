"""Where sockets may be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from callsheet.wire.place import PATH_BYTES, Place, UnsafeDirectory, run_directory


def test_the_run_directory_is_private(tmp_path: Path) -> None:
    directory = run_directory(tmp_path / "state" / "run")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_an_open_directory_of_ours_is_closed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    assert stat.S_IMODE(run_directory(tmp_path / "run").stat().st_mode) == 0o700


def test_a_path_too_long_for_a_socket_gets_a_short_one_each_time_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "r"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    wanted = tmp_path / ("x" * PATH_BYTES) / "run"
    directory = run_directory(wanted)
    assert len(os.fsencode(directory / "scheduler")) <= PATH_BYTES
    assert run_directory(wanted) == directory
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_link_to_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "other")
    with pytest.raises(UnsafeDirectory, match="not a directory"):
        run_directory(tmp_path / "run")


def test_inside_one_process_only_agents_come_from_outside(tmp_path: Path) -> None:
    place = Place(tmp_path, inside=True)
    assert place.bind("ledger") == ["inproc://callsheet-ledger"]
    assert place.bind("agents") == ["inproc://callsheet-agents", f"ipc://{tmp_path}/agents"]
    assert Place(tmp_path).bind("agents") == [f"ipc://{tmp_path}/agents"]
