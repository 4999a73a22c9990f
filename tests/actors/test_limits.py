"""The binder's limits end a process that takes too much, and nobody else."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def run(work: str) -> subprocess.CompletedProcess[str]:
    """Run Python code beside a stage's usual thread and return what became of it."""
    code = f"""
import threading
from callsheet.actors.limits import Interrupting, Together, WorkLimit, limit_memory
from callsheet.jobs.errors import OutOfLimits
def work():
    {work}
thread = threading.Thread(target=work)
thread.start()
thread.join()
print("alive")
"""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False
    )


def test_work_without_end_is_ended() -> None:
    done = run("with WorkLimit(0.2): [None for _ in iter(int, 1)]")
    assert done.returncode == -signal.SIGPROF
    assert done.stdout == ""


def test_work_in_time_goes_on_and_what_follows_is_not_limited() -> None:
    done = run("with WorkLimit(0.2): pass\n    sum(i * i for i in range(6_000_000))")
    assert (done.returncode, done.stdout) == (0, "alive\n")


def test_memory_beyond_the_limit_is_not_had() -> None:
    done = run("limit_memory(500 * 2**20); x = bytearray(2**30)")
    assert "MemoryError" in done.stderr


def test_work_without_end_is_interrupted_and_the_process_goes_on() -> None:
    done = run("""
    limits = Interrupting(0.2)
    for _ in range(2):
        try:
            with limits: [None for _ in iter(int, 1)]
        except OutOfLimits:
            print("interrupted")
    with limits: print("next")""")
    assert (done.stdout, done.stderr) == ("interrupted\ninterrupted\nnext\nalive\n", "")


def test_work_that_swallows_the_interruption_is_interrupted_again() -> None:
    done = run("""
    limits = Interrupting(0.1)
    def stubborn():
        times = 0
        while times < 3:
            try:
                [None for _ in iter(int, 1)]
            except BaseException:
                times += 1
        [None for _ in iter(int, 1)]
    try:
        with limits: stubborn()
    except OutOfLimits:
        print("interrupted")""")
    assert (done.stdout, done.stderr) == ("interrupted\nalive\n", "")


def test_what_is_raised_on_the_way_out_is_raised_once() -> None:
    # An end of the work that never ran: as if the exception had come at its first step.
    done = run("""
    import time
    class Cut(Interrupting):
        def __exit__(self, *error): raise OutOfLimits
    def piece():
        try:
            with Cut(0.1): [None for _ in iter(int, 1)]
        except OutOfLimits:
            print("interrupted")
    piece()
    until_s = time.thread_time() + 0.5
    while time.thread_time() < until_s: pass""")
    assert (done.stdout, done.stderr) == ("interrupted\nalive\n", "")


def test_nothing_is_raised_into_what_comes_after_the_work() -> None:
    done = run("""
    import time
    limits = Interrupting(0.1)
    for _ in range(10):
        try:
            with limits:
                while time.thread_time() - limits._until_s + 0.1 < 0.2: pass
        except OutOfLimits:
            pass
        try:
            sum(range(200_000))
        except OutOfLimits:
            print("too late")""")
    assert (done.stdout, done.stderr) == ("alive\n", "")


def test_waiting_is_not_counted_as_work() -> None:
    done = run("with Interrupting(0.1): threading.Event().wait(0.5); print('waited')")
    assert (done.stdout, done.stderr) == ("waited\nalive\n", "")


def test_work_may_make_the_process_grow_only_so_far() -> None:
    done = run("""
    limits = Interrupting(5, grow_bytes=50 * 2**20)
    try:
        with limits: bytearray(100 * 2**20)
    except MemoryError:
        print("refused")
    bytearray(100 * 2**20)""")
    assert (done.stdout, done.stderr) == ("refused\nalive\n", "")


def test_work_that_cannot_be_interrupted_ends_the_process() -> None:
    done = run("with Together(Interrupting(0.1), 0.5): str([[0] * 10**5] * 10**5)")
    assert done.returncode == -signal.SIGPROF
    assert done.stdout == ""
