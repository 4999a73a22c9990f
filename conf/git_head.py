"""Which git commit a folder is checked out at, read from git's own files.

Called by the binder with the job folder. No git is run: a few small files say it. Whatever cannot
be read, or is in a form not known here, is no commit and no mistake.
"""

from __future__ import annotations

import re
from pathlib import Path

# Files of git are small but for the list of packed refs.
MOST_BYTES = 64 * 2**20
REFS_DEEPEST = 5
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")


def head_commit(folder: str) -> str | None:
    """Return the commit that is checked out where a folder is, None when it is in no checkout.

    It says nothing of changes that were not committed.
    """
    try:
        git = _git_folder(Path(folder).resolve())
        return None if git is None else _commit(git, _common(git), "HEAD", REFS_DEEPEST)
    except (OSError, ValueError, RuntimeError):
        return None


def _git_folder(folder: Path) -> Path | None:
    """Return the folder with git's files of the checkout that a folder is in."""
    for above in (folder, *folder.parents):
        git = above / ".git"
        if git.is_dir():
            return git
        if git.is_file():
            # A worktree or a submodule: the file says where the folder is.
            said = _read(git)
            return (above / said.removeprefix("gitdir:").strip()).resolve()
    return None


def _common(git: Path) -> Path:
    """Return the folder that all worktrees of a repository share."""
    file = git / "commondir"
    return (git / _read(file)).resolve() if file.is_file() else git


def _commit(git: Path, common: Path, name: str, depth: int) -> str | None:
    """Return the commit a ref leads to."""
    said = ""
    for folder in (git, common):
        if (folder / name).is_file():
            said = _read(folder / name)
            break
    if _COMMIT.match(said):
        return said
    if said.startswith("ref:") and depth:
        return _commit(git, common, _checked(said.removeprefix("ref:").strip()), depth - 1)
    packed = common / "packed-refs"
    if not said and packed.is_file():
        for line in _read(packed).splitlines():
            commit, _, ref = line.partition(" ")
            if ref == name and _COMMIT.match(commit):
                return commit
    return None


def _checked(name: str) -> str:
    """Return the name of a ref that stays within git's folder."""
    if not name.startswith("refs/") or ".." in name.split("/"):
        raise ValueError(name)
    return name


def _read(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as opened:
        return opened.read(MOST_BYTES).strip()
