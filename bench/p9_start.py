"""P9 and P10: how long a server with 10,000 jobs takes from exec until it says that it runs.

P10 is the first start, on an empty database with no cache. P9 is a start after that, once the first
server has written what lies ahead and stopped in order; the median of three. P10_limit is the YAML
parser alone over the same files, half of them on each of two cores; P10_limit_1 on one.

`BENCH_JOBS` is how many jobs there are.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

from figures import benchmark, emit
from limits.bare_yaml import seconds
from machine import durable_folder
from server import Server

JOBS = int(os.environ.get("BENCH_JOBS", "10000"))
PER_FOLDER = 100
WARM_STARTS = 3
SETTLE_S = 2.0
SETTLED_WITHIN_S = 120.0
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Tokyo")


def job(n: int) -> str:
    """Return the text of the n-th job: a mix of schedules, zones, templates and conditions."""
    zone = ZONES[n % len(ZONES)]
    clock = f"{n % 24:02d}:{n % 60:02d}:00"
    schedule = (
        f"{{type: daily, tz: {zone}, daytime: '{clock}', calendar: Mon-Fri}}",
        f"{{type: interval, interval: 1h, phase: {n % 3600}}}",
        f"{{type: cron, tz: {zone}, expression: '{n % 60} */4 * * *'}}",
        f"{{type: daily, tz: {zone}, daytime: ['{clock}', '23:59:00']}}",
    )[n % 4]
    program = (
        "{type: no-op}",
        "{type: process, argv: [/bin/echo, '{{ date }}', plain]}",
        "{type: shell, command: 'echo {{ date }}'}",
    )[n % 3]
    # A cron schedule gives no date of its own.
    params = "[]" if n % 4 == 2 else "[date]"
    if n % 4 == 2:
        program = "{type: process, argv: [/bin/echo, '{{ job_id }}']}"
    return (
        f"params: {params}\nschedule: {schedule}\nprogram: {program}\n"
        "condition: {type: max_running, count: 1}\n"
        f"metadata:\n  description: Job number {n}.\n  labels: [group-{n % 50}]\n"
    )


def settle(server: Server) -> None:
    """Wait until the server has nothing more to write ahead: its database grows no more."""
    api, until = server.api, time.monotonic() + SETTLED_WITHIN_S
    before, since = None, time.monotonic()
    while time.monotonic() < until:
        entries = api.get("/stats")["scheduled"]["num_entries"]
        if entries != before:
            before, since = entries, time.monotonic()
        elif time.monotonic() - since > SETTLE_S:
            return
        time.sleep(0.2)


def main() -> None:
    """Measure one cold and some warm starts."""
    jobs = {f"folder-{n // PER_FOLDER:03d}/job-{n:05d}": job(n) for n in range(JOBS)}
    with durable_folder() as folder:
        server = Server(folder, jobs)
        try:
            cold_s = server.start()
            settle(server)
            server.stop()
            warm_s = []
            for _ in range(WARM_STARTS):
                warm_s.append(server.start())
                settle(server)
                server.stop()
            files = sorted(map(str, Path(server.jobs).rglob("*.yaml")))
            limits_s = [seconds(files, cores) for cores in (1, 2)]
        finally:
            server.stop()
    emit("P9", statistics.median(warm_s), "s")
    emit("P10", cold_s, "s")
    emit("P10_limit", limits_s[1], "s")
    emit("P10_limit_1", limits_s[0], "s")
    emit("P10_ratio", cold_s / limits_s[1], "ratio")


if __name__ == "__main__":
    benchmark(main)
