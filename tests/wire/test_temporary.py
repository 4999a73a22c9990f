"""Folders among temporary files stay as long as the program whose they are."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cleaner import can_be_cleaned

from callsheet.wire.temporary import hold

CLEANER = shutil.which("systemd-tmpfiles")
HOLDS = "import sys; from callsheet.wire.temporary import hold; hold(sys.argv[1]); "


def held_by(folder: Path, then: str) -> subprocess.Popen[bytes]:
    """A process that holds the folder and says so, and does `then`."""
    command = [sys.executable, "-c", f"{HOLDS}print(flush=True); {then}", str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"\n"
    return process


def test_a_folder_is_held_until_the_last_who_holds_it_has_ended(tmp_path: Path) -> None:
    assert can_be_cleaned(tmp_path)
    with held_by(tmp_path, "input()") as first:
        with held_by(tmp_path, "input()") as second:
            first.communicate(b"\n")
            assert not can_be_cleaned(tmp_path)
            second.communicate(b"\n")
        assert can_be_cleaned(tmp_path)


def test_what_a_process_executes_does_not_hold_it(tmp_path: Path) -> None:
    with held_by(tmp_path, "import os; os.execvp('cat', ['cat'])") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"here\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"here\n"
        assert can_be_cleaned(tmp_path)
        process.communicate()


def test_a_folder_that_is_not_there_is_nobodys(tmp_path: Path) -> None:
    hold(tmp_path / "gone")


@pytest.mark.skipif(CLEANER is None, reason="systemd-tmpfiles is not installed")
def test_systemd_removes_what_is_old_and_not_held(tmp_path: Path) -> None:
    assert CLEANER is not None
    for name in ("held", "left"):
        (tmp_path / "temporary" / name).mkdir(parents=True)
        (tmp_path / "temporary" / name / "link").symlink_to("gone")
    rule = tmp_path / "rule.conf"
    rule.write_text(f"d {tmp_path}/temporary - - - 0\n")
    with held_by(tmp_path / "temporary" / "held", "input()") as process:
        subprocess.run([CLEANER, "--clean", str(rule)], check=True)
        process.communicate(b"\n")
    assert [path.name for path in (tmp_path / "temporary").iterdir()] == ["held"]
    assert (tmp_path / "temporary" / "held" / "link").is_symlink()
