"""Work shared with a second process: whatever becomes of that one, all is done, in its order."""

import os
import signal
import time

import msgspec
import pytest

from callsheet.conf import two_processes
from callsheet.conf.check import check_folder
from callsheet.conf.folder import FolderCache, load_folder
from callsheet.conf.two_processes import share_out

PATIENCE_S = 120.0
LONG_AGO_NS = 1_600_000_000_000_000_000
NOW_US = 1_790_000_000_000_000
pytestmark = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="a single core: nothing is shared"
)


class Done(msgspec.Struct, array_like=True):
    """A portion, and who did it."""

    number: int
    pid: int
    text: str = ""


def children():
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return set(file.read().split())


def wait_for(path):
    until = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < until, f"{path}: nobody made it"
        time.sleep(0.01)


def test_what_both_have_done_comes_in_the_order_of_the_portions(tmp_path):
    first, before = os.getpid(), children()

    def do(number):
        if os.getpid() == first and number == 0:
            wait_for(tmp_path / "told")  # so that the other one gets something to do
        if os.getpid() != first and number == 35:
            (tmp_path / "told").touch()
        return Done(number, os.getpid(), "x" * 100_000)

    done = share_out(40, do, Done)
    assert [one.number for one in done] == list(range(40))
    assert done[0].pid == first
    assert first not in {one.pid for one in done[36:]}
    assert all(len(one.text) == 100_000 for one in done)
    assert children() == before


@pytest.mark.parametrize("end", ["is killed", "exits", "raises", "hangs", "tells half a portion"])
def test_a_second_process_that_comes_to_grief_costs_nothing(end, tmp_path, monkeypatch):
    first, before = os.getpid(), children()
    write = os.write

    def half(number, content):
        if os.getpid() == first:
            return write(number, content)
        write(number, content[: len(content) // 2])
        (tmp_path / "there").touch()
        os._exit(1)

    def do(number):
        if os.getpid() != first and number == 1:
            (tmp_path / "there").touch()
            match end:
                case "is killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "exits":
                    os._exit(3)
                case "raises":
                    raise MemoryError
                case "hangs":
                    signal.pause()
        if os.getpid() == first:
            wait_for(tmp_path / "there")
        return Done(number, os.getpid())

    if end == "tells half a portion":
        monkeypatch.setattr(two_processes.os, "write", half)
    done = share_out(3, do, Done)
    assert [one.number for one in done] == [0, 1, 2]
    assert {one.pid for one in done[:2]} == {first}
    assert children() == before


def test_what_a_portion_raises_here_is_raised_and_nothing_is_left():
    before, first = children(), os.getpid()

    def do(number):
        if os.getpid() != first:
            signal.pause()
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):
        share_out(3, do, Done)
    assert children() == before


def test_a_second_process_does_not_outlive_the_first(tmp_path):
    pid = os.fork()
    if pid == 0:
        first = os.getpid()

        def do(number):
            if os.getpid() != first:
                (tmp_path / "part").write_text(str(os.getpid()))
                (tmp_path / "part").rename(tmp_path / "second")
                signal.pause()
            wait_for(tmp_path / "second")
            os.kill(first, signal.SIGKILL)
            return Done(number, 0)

        try:
            share_out(3, do, Done)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    second = int((tmp_path / "second").read_text())
    until = time.monotonic() + PATIENCE_S
    while is_alive(second):
        assert time.monotonic() < until, "it lives on"
        time.sleep(0.01)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_without_another_process_everything_is_done_here(monkeypatch):
    def no_process():
        raise BlockingIOError

    monkeypatch.setattr(two_processes.os, "fork", no_process)
    done = share_out(5, lambda number: Done(number, os.getpid()), Done)
    assert done == [Done(number, os.getpid()) for number in range(5)]


def test_a_large_folder_is_read_and_checked_as_by_one_process(tmp_path, monkeypatch):
    for n in range(300):
        path = tmp_path / f"{n % 7}" / f"job-{n:03}.yaml"
        path.parent.mkdir(exist_ok=True)
        text = f"program: 'echo {{{{ {'no_such' if n % 50 == 3 else 'job_id'} }}}}'\n"
        text += "schedule: {type: interval, interval: 1h}\n"
        text += f"metadata: {{labels: [a{n}], x: [1, 2.5, null, true, {2**62}]}}\n"
        text += f"condition: {{type: dependency, job_id: {'zz' if n % 60 == 7 else '0/job-000'}}}\n"
        text += "odd: 1\n" if n % 40 == 9 else ""
        path.write_text(text if n % 70 != 11 else "[")
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    found = []
    for cores in ({0}, {0, 1}):
        monkeypatch.setattr(two_processes.os, "sched_getaffinity", lambda _, cores=cores: cores)
        cache = FolderCache(tmp_path / f"cache{len(cores)}")
        loaded = load_folder(tmp_path, cache)
        assert cache.save()
        cached = load_folder(tmp_path, cache)
        problems = check_folder(tmp_path, NOW_US)
        raw = (tmp_path / f"cache{len(cores)}").read_bytes()
        found.append((loaded, list(loaded.jobs), list(cached.jobs), raw, problems))
    assert found[0] == found[1]
    loaded, order, cached, _, problems = found[0]
    assert order == cached == sorted(order)
    assert len(order) > 250
    assert len(problems) > 15
