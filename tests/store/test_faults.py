"""What keeps a user from writing a database is named: the file or folder, whose it is, its mode."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from callsheet.store.faults import blocked

NOBODY = 65_534


@pytest.fixture
def database():
    """Return the path of a file in a folder that any user may reach."""
    folder = Path(tempfile.mkdtemp())
    (folder / "site").mkdir()
    path = folder / "site" / "a.db"
    for name in (path, Path(f"{path}-shm")):
        name.write_bytes(b"")
    folder.chmod(0o755)
    if os.geteuid() == 0:
        for name in (path.parent, path, Path(f"{path}-shm")):
            os.chown(name, NOBODY, NOBODY)
    yield path
    shutil.rmtree(folder)


def as_a_user(path):
    """Return what is said to a user who is not root."""
    if os.geteuid() != 0:
        return blocked(str(path))
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        os.write(write, blocked(str(path)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        said = answer.read().decode()
    assert os.waitpid(pid, 0)[1] == 0
    return said


def test_nothing_keeps_the_owner(database):
    assert as_a_user(database) == ""


@pytest.mark.parametrize("suffix", ["", "-shm"])
def test_a_file_without_the_right_is_named_with_its_mode(database, suffix):
    name = Path(f"{database}{suffix}")
    name.chmod(0o400)
    said = as_a_user(database)
    assert said.startswith(f"{name}: it is of user {name.stat().st_uid} and has the mode 0400: ")


def test_a_folder_without_the_right_is_named(database):
    database.parent.chmod(0o500)
    assert as_a_user(database).startswith(f"{database.parent}: expected a folder into which user")
    database.parent.chmod(0o700)
