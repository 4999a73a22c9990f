"""The limit of a cold start: a YAML parser over the same files, and nothing else.

libyaml tells the events of each file to a loop that throws them away: on one core, as the binder
reads them, and half of the files on each of two.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml
from yaml._yaml import CParser

FILES = 10_000
JOB = """\
params: [date]
schedule: {type: daily, tz: Europe/Berlin, daytime: '09:15:00', calendar: Mon-Fri}
program: {type: process, argv: [/bin/echo, '{{ date }}', plain]}
condition: {type: max_running, count: 1}
metadata:
  description: Job number 1.
  labels: [group-1]
"""


def parse_all(files: Sequence[str]) -> None:
    """Read and parse files."""
    for path in files:
        next_event = CParser(Path(path).read_bytes()).get_event
        while not isinstance(next_event(), yaml.StreamEndEvent):
            pass


def seconds(files: Sequence[str], cores: int) -> float:
    """Return how long it takes with so many processes."""
    begun_s = time.perf_counter()
    children = []
    for n in range(cores):
        pid = os.fork()
        if pid == 0:
            parse_all(files[n::cores])
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    return time.perf_counter() - begun_s


def main() -> None:
    """Print both for a folder of small jobs."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from machine import durable_folder

    with durable_folder() as folder:
        files = [f"{folder}/{n}.yaml" for n in range(FILES)]
        for path in files:
            Path(path).write_text(JOB, encoding="utf-8")
        for cores in (1, 2):
            print(f"limit_yaml_{cores} {seconds(files, cores):.2f} s", flush=True)


if __name__ == "__main__":
    main()
