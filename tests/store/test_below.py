"""Nothing outside a folder is reached by a path below it, whatever lies there."""

from __future__ import annotations

import errno
import os

import pytest

from callsheet.store.below import open_below
from callsheet.store.places import DiskPlace


@pytest.fixture
def root(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    folder = tmp_path / "root"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_bytes(b"ours")
    return folder


def content(root, path):
    with open(open_below(str(root), path), "rb") as file:
        return file.read()


def why_not(root, path, flags=os.O_RDONLY):
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError) as caught:
        open_below(str(root), path, flags)
    assert len(os.listdir("/proc/self/fd")) == before, "a descriptor was left open"
    return errno.errorcode[caught.value.errno]


def test_a_file_is_opened_by_its_path_also_where_the_folder_itself_is_a_link(root, tmp_path):
    assert content(root, "a/b/file") == b"ours"
    (tmp_path / "link").symlink_to(root)
    assert content(tmp_path / "link", "a/b/file") == b"ours"


@pytest.mark.parametrize(
    "path",
    ["../secret", "a/../../secret", "a/./b/file", "a//b/file", "", ".", "..", "a/b/", "a/b/file\0"],
)
def test_what_is_no_path_below_leads_nowhere(root, path):
    assert why_not(root, path) == "EINVAL"


def test_an_absolute_path_leads_nowhere(root, tmp_path):
    assert why_not(root, str(tmp_path / "secret")) == "EINVAL"


def test_a_folder_with_a_nul_leads_nowhere(root):
    assert why_not(f"{root}\0", "a/b/file") == "EINVAL"


def test_a_name_or_a_path_that_is_too_long_is_an_error_like_any_other(root):
    assert why_not(root, "x" * 256) == "ENAMETOOLONG"
    assert why_not(root, "x/" * 5_000 + "x") == "ENOENT"


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR | os.O_CREAT])
def test_no_link_is_followed_neither_as_file_nor_as_folder(root, tmp_path, flags):
    (root / "a" / "link").symlink_to(tmp_path / "secret")
    (root / "out").symlink_to(tmp_path)
    (root / "gone").symlink_to(tmp_path / "made")
    assert why_not(root, "a/link", flags) == "ELOOP"
    assert why_not(root, "out/secret", flags) == "ENOTDIR"
    assert why_not(root, "gone", flags) == "ELOOP"
    assert not (tmp_path / "made").exists()


def test_only_regular_files_are_opened_and_nobody_waits_for_a_pipe(root):
    os.mkfifo(root / "pipe")
    assert why_not(root, "pipe") == "EPERM"
    assert why_not(root, "a/b") == "EPERM"


def test_a_place_of_the_disk_is_read_without_following_links(root, tmp_path):
    (root / "01").symlink_to(tmp_path)
    place = DiskPlace(str(root))
    for ask in (lambda: place.read("01/secret", 0, 9), lambda: place.size("01/secret")):
        with pytest.raises(NotADirectoryError):
            ask()
