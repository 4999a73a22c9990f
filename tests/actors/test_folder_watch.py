"""The watch of the job folder on real files: whatever happens to it, somebody is told."""

from __future__ import annotations

import os
import shutil
import threading

import pytest

from callsheet.actors import folder_watch
from callsheet.actors.folder_watch import FolderWatch

WAIT_S = 60.0
JOB = "program: {type: no-op}\n"

pytestmark = pytest.mark.slow


class Told:
    """Counts what the watch says, and waits for more of it."""

    def __init__(self) -> None:
        self.count = 0
        self.changed = threading.Condition()

    def __call__(self) -> None:
        with self.changed:
            self.count += 1
            self.changed.notify_all()

    def more_than(self, count: int) -> int:
        with self.changed:
            assert self.changed.wait_for(lambda: self.count > count, WAIT_S), "nobody was told"
            return self.count


@pytest.fixture
def watch(tmp_path):
    """Watch a folder; return what is told, once the watch stands."""
    watches = []

    def begin(folder):
        told = Told()
        watches.append(FolderWatch(str(folder), told))
        watches[-1].start()
        told.more_than(0)  # the first look, when the watch is set up
        return told

    yield begin
    for one in watches:
        one.stop()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "a.yaml").write_text(JOB)
    return folder


def test_an_edited_a_new_and_a_removed_file_are_told(watch, folder):
    told = watch(folder)
    for act in (
        lambda: (folder / "a.yaml").write_text(JOB + "# more\n"),
        lambda: (folder / "b.yaml").write_text(JOB),
        (folder / "b.yaml").unlink,
    ):
        before = told.count
        act()
        told.more_than(before)


def test_a_file_in_a_folder_made_since_is_told(watch, folder):
    told = watch(folder)
    before = told.count
    (folder / "deep").mkdir()
    (folder / "deep" / "a.yaml").write_text(JOB)
    before = told.more_than(before)
    (folder / "deep" / "b.yaml").write_text(JOB)
    told.more_than(before)


def test_a_folder_replaced_as_a_checkout_does_it_is_told(watch, folder, tmp_path):
    told = watch(folder)
    before = told.count
    made = tmp_path / "made"
    shutil.copytree(folder, made)
    os.rename(folder, tmp_path / "old")
    os.rename(made, folder)
    before = told.more_than(before)
    told.more_than(before)  # the watch stands on the new one
    before = told.count
    (folder / "new.yaml").write_text(JOB)
    told.more_than(before)


def test_a_link_pointed_elsewhere_is_told_and_followed(watch, folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    link = tmp_path / "current"
    link.symlink_to(folder)
    told = watch(link)
    before = told.count
    (tmp_path / "next").symlink_to(other)
    os.replace(tmp_path / "next", link)
    before = told.more_than(before)
    told.more_than(before)
    before = told.count
    (other / "new.yaml").write_text(JOB)
    told.more_than(before)


def test_a_folder_that_was_removed_and_comes_again_is_told(watch, folder):
    told = watch(folder)
    before = told.count
    shutil.rmtree(folder)
    before = told.more_than(before)
    folder.mkdir()
    before = told.more_than(before)
    (folder / "a.yaml").write_text(JOB)
    told.more_than(before)


def test_a_folder_that_is_not_there_yet_is_told_when_it_comes(watch, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_watch, "SELDOM_S", 0.1)
    told = watch(tmp_path / "later")
    before = told.count
    (tmp_path / "later").mkdir()
    told.more_than(before)


def test_a_watch_that_was_stopped_tells_nothing(folder):
    told = Told()
    watch = FolderWatch(str(folder), told)
    watch.start()
    told.more_than(0)
    watch.stop()
    assert not watch._thread.is_alive()
