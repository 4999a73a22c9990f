"""The commit a job folder is checked out at, in every form that git writes it down."""

import os
import shutil
import subprocess

import pytest

from callsheet.conf.git_head import head_commit

ONE, TWO = "1" * 40, "2" * 64


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_folder_in_no_checkout_is_at_no_commit(tmp_path):
    assert head_commit(str(tmp_path / "nowhere")) is None


FORMS = {
    "a branch": ({"HEAD": "ref: refs/heads/main\n", "refs/heads/main": ONE + "\n"}, ONE),
    "no branch": ({"HEAD": ONE + "\n"}, ONE),
    "a long hash": ({"HEAD": "ref: refs/heads/x/y\n", "refs/heads/x/y": TWO}, TWO),
    "a packed ref": (
        {
            "HEAD": "ref: refs/heads/main\n",
            "packed-refs": f"# pack-refs with: peeled\n{TWO} refs/heads/mainly\n"
            f"^{TWO}\n{ONE} refs/heads/main\n",
        },
        ONE,
    ),
    "a loose ref beside packed ones": (
        {
            "HEAD": "ref: refs/heads/main\n",
            "refs/heads/main": ONE,
            "packed-refs": f"{TWO} refs/heads/main\n",
        },
        ONE,
    ),
    "a ref to a ref": (
        {"HEAD": "ref: refs/a\n", "refs/a": "ref: refs/b\n", "refs/b": ONE},
        ONE,
    ),
    "a branch without commits": ({"HEAD": "ref: refs/heads/main\n"}, None),
    "no HEAD": ({"config": ""}, None),
    "nonsense": ({"HEAD": "what?\n"}, None),
    "a circle": ({"HEAD": "ref: refs/a", "refs/a": "ref: refs/a"}, None),
    "a way out": ({"HEAD": "ref: refs/../../../secret\n"}, None),
    "another way out": ({"HEAD": "ref: /etc/passwd\n"}, None),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_commit_is_found_in_every_form(tmp_path, form):
    files, commit = FORMS[form]
    (tmp_path / "jobs" / "deep").mkdir(parents=True)
    (tmp_path / "secret").write_text(ONE)
    write(tmp_path / ".git", files)
    assert head_commit(str(tmp_path / "jobs" / "deep")) == commit


def test_links_to_a_checkout_are_followed(tmp_path):
    write(tmp_path / "releases" / "7" / ".git", {"HEAD": ONE})
    (tmp_path / "current").symlink_to("releases/7")
    assert head_commit(str(tmp_path / "current")) == ONE


def test_a_git_folder_that_may_not_be_read_is_no_mistake(tmp_path):
    (tmp_path / ".git").symlink_to(".git")
    assert head_commit(str(tmp_path)) is None


def test_git_itself_agrees_also_in_a_worktree(tmp_path):
    if shutil.which("git") is None:
        assert "CI" not in os.environ, "git is missing"
        pytest.skip("git is missing")

    def git(*args, at="main"):
        command = ["git", "-c", "user.name=n", "-c", "user.email=e@x", *args]
        done = subprocess.run(
            command, cwd=tmp_path / at, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    (tmp_path / "main" / "jobs").mkdir(parents=True)
    git("init", "--quiet")
    assert head_commit(str(tmp_path / "main")) is None
    git("commit", "--quiet", "--allow-empty", "-m", "one")
    assert head_commit(str(tmp_path / "main" / "jobs")) == git("rev-parse", "HEAD")
    git("worktree", "add", "--quiet", "-b", "other", "../tree")
    git("commit", "--quiet", "--allow-empty", "-m", "two", at="tree")
    assert head_commit(str(tmp_path / "tree")) == git("rev-parse", "HEAD", at="tree")
    git("pack-refs", "--all")
    assert head_commit(str(tmp_path / "tree")) == git("rev-parse", "HEAD", at="tree")
    assert head_commit(str(tmp_path / "main")) == git("rev-parse", "HEAD")
    git("checkout", "--quiet", "--detach")
    assert head_commit(str(tmp_path / "main")) == git("rev-parse", "HEAD")
