"""J11, J12, T6: how long check, plan and forecast of 5,000 jobs take, from exec to the last byte.

All three work on a folder, without a server. The plan is of a folder in which every job has
changed, over a week; the forecast is of all jobs, over a day. Each is the median of three.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import BenchError, benchmark, emit
from p9_start import PER_FOLDER, job

JOBS = 5_000
TIMES = 3
PEOPLE = "from callsheet.cli.people import main; main()"
ADMINISTRATORS = "from callsheet.cli.administrators import main; main()"


def write(folder: Path, change: str = "") -> Path:
    """Write the jobs, each with a changed line at its end; return their folder."""
    for n in range(JOBS):
        path = folder / f"folder-{n // PER_FOLDER:03d}" / f"job-{n:05d}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(job(n) + change)
    return folder


def took_s(code: str, *args: str) -> float:
    """Return how long a command took, the median of some times."""
    found = []
    for _ in range(TIMES):
        begun = time.monotonic()
        command = [sys.executable, "-c", code, *args]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        found.append(time.monotonic() - begun)
        if done.returncode:
            raise BenchError(
                f"{' '.join(args)}: exit {done.returncode}: {(done.stdout + done.stderr)[-300:]}"
            )
    return statistics.median(found)


def main() -> None:
    """Measure all three."""
    with tempfile.TemporaryDirectory() as name:
        old = str(write(Path(name, "old")))
        new = str(write(Path(name, "new"), "priority: 1\n"))
        emit("J11_check", took_s(ADMINISTRATORS, "check", old), "s")
        emit("J12_plan", took_s(PEOPLE, "plan", "--jobs", new, "--against", old), "s")
        emit("T6_forecast", took_s(PEOPLE, "forecast", "--jobs", old), "s")


if __name__ == "__main__":
    benchmark(main)
