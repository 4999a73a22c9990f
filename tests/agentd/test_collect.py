"""Whoever collects artifacts for a claim that goes meanwhile ends quietly, and leaves nothing."""

import json
import subprocess
import sys

from callsheet.agentd import collect


def collected(claim, cwd):
    wish = json.dumps({"cwd": str(cwd), "alone": False, "artifacts": [["*.txt", 100]]})
    command = [sys.executable, "-I", "-S", collect.__file__, str(claim), wish]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_of_a_claim_that_is_forgotten_nothing_is_made_anew(tmp_path):
    ended = collected(tmp_path / "r1.1", tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_kept_is_told_in_a_sentence(tmp_path):
    claim = tmp_path / "r1.1"
    claim.mkdir()
    (claim / collect.FOLDER).write_text("a file")
    (tmp_path / "a.txt").write_text("abc")
    ended = collected(claim, tmp_path)
    assert ended.returncode == 1
    assert "artifacts cannot be kept: Not a directory" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_is_there_is_in_the_manifest(tmp_path):
    claim = tmp_path / "r1.1"
    claim.mkdir()
    (tmp_path / "a.txt").write_text("abc")
    assert collected(claim, tmp_path).returncode == 0
    manifest = json.loads((claim / collect.FOLDER / collect.MANIFEST).read_text())
    assert [(path, size) for _, path, size in manifest["files"]] == [("a.txt", 3)]
