"""The limit of process starts: a small C program that forks, executes and reaps.

Compiled when it is asked for, into a folder that goes away. Without a C compiler the limit cannot
be taken, and a ratio to it would mean nothing: that is said, not guessed at.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from figures import BenchError, benchmark

MODES = ("fork", "vfork", "spawn")


@contextlib.contextmanager
def compiled() -> Iterator[tuple[Callable[..., float], str]]:
    """Give (measure, path of a static `true`) for as long as the context lasts.

    `measure(mode, in_flight, seconds, program)` returns starts per second.

    Raises:
        BenchError: there is no C compiler.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        message = "process starts: no gcc or cc was found: install one (Debian: gcc libc6-dev)"
        raise BenchError(message)
    with tempfile.TemporaryDirectory(prefix="callsheet-limits-") as folder:
        spawn, true = f"{folder}/spawn", f"{folder}/true"
        subprocess.run([compiler, "-O2", "-o", spawn, HERE / "spawn.c"], check=True)
        subprocess.run([compiler, "-O2", "-static", "-o", true, HERE / "true.c"], check=True)

        def measure(mode: str, in_flight: int, seconds: float, program: str) -> float:
            command = [spawn, mode, str(in_flight), str(seconds), program]
            return float(subprocess.run(command, check=True, capture_output=True).stdout)

        yield measure, true


def main() -> None:
    """Print starts per second by way of starting, processes in flight, and program."""
    with compiled() as (measure, true):
        for name, program in (("bin_true", "/bin/true"), ("static_true", true)):
            for mode in MODES:
                for in_flight in (1, 2, 8):
                    rate = measure(mode, in_flight, 1.0, program)
                    print(f"limit_{mode}_{name}_{in_flight} {rate:.0f} starts/s", flush=True)


if __name__ == "__main__":
    benchmark(main)
