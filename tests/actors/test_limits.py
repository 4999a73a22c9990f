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
from callsheet.actors.limits import WorkLimit, limit_memory
def work():
    {work}
thread = threading.Thread(target=work)
thread.start()
thread.join()
print("alive")
"""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
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
