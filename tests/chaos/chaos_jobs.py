"""The jobs of chaos, which write evidence, and what is asked for of them again and again."""

from __future__ import annotations

from pathlib import Path

# The interval in seconds, the exit code, and how long each of them runs.
TICKS = {"tick1": (1, 0, 0.2), "tick2": (2, 3, 1.5), "tick5": (5, 0, 0.4)}


# What the server does by itself, with the interval: no job that writes anything.
OWN = {
    "chaff": (1, "{type: no-op}"),
    "copy": (3, "{type: backup, path: backup.db}"),
    "sweep": (4, "{type: archive, age: 0, path: kept.db, count: 1000000, jobs: chaff}"),
}


MOST, TRIES = 2, 3


ASKED = (
    *("work", "work", "again", "work", "work", "long", "few", "few", "few"),
    *("work", "again", "work", "work", "work", "long", "work", "work"),
    *("work", "again", "work", "work", "work", "long", "work"),
)


PROGRAM = """\
program:
  type: shell
  env: {{CHAOS: "{folder}"}}
  command: |
    say() {{ echo "$@" >> {folder}/evidence; }}
    say start $CALLSHEET_RUN_ID $CALLSHEET_ATTEMPT $(date +%s.%N) {job} "{key}" $$
    {body}
    echo "{job} {key}: attempt $CALLSHEET_ATTEMPT leaves $code"
    say end $CALLSHEET_RUN_ID $CALLSHEET_ATTEMPT $(date +%s.%N) $code
    exit $code
"""


BROKEN = ("program: [", "program: {type: no-op}\nprogam: 1\n", "params: 7\n", "\t- x\n", "null\n")


def job(folder: Path, name: str, body: str, head: str, key: str = "{{ key }}") -> str:
    """Return a job file whose runs write evidence; `body` is to set `code`."""
    return head + PROGRAM.format(folder=folder, job=name, key=key, body=body)


def tick(folder: Path, name: str, *, scheduled: bool) -> str:
    """Return a job that runs at each multiple of its interval, or does so no more."""
    interval = (TICKS | OWN)[name][0]
    schedule = f"schedule: {{type: interval, interval: {interval}, catch_up: all}}\n"
    head = "params: [schedule_time]\n" + (schedule if scheduled else "")
    if name in OWN:
        return f"{head}program: {OWN[name][1]}\n"
    _, code, nap = TICKS[name]
    return job(folder, name, f"sleep {nap}; code={code}", head, "{{ schedule_time }}")


def jobs(folder: Path) -> dict[str, str]:
    """Return the job files by name."""
    again = f"retry: {{attempts: {TRIES}, backoff: 0.2s}}\n"
    fail = f"code=0; [ $CALLSHEET_ATTEMPT = {TRIES} ] || code=7"
    return {
        **{name: tick(folder, name, scheduled=True) for name in TICKS},
        "work": job(
            folder, "work", "sleep {{ nap }}; code={{ code }}", "params: [key, code, nap]\n"
        ),
        "few": job(
            folder, "few", "sleep 0.3; code=0",
            "params: [key]\ncondition: {type: pool, name: few}\n",
        ),
        "again": job(folder, "again", fail, "params: [key]\n" + again),
        "long": job(folder, "long", "sleep 6000; code=0", "params: [key]\n"),
    }  # fmt: skip


def asked_for(n: int) -> tuple[str, dict[str, str]]:
    """Return the job and arguments of the `n`th run that is asked for."""
    name = ASKED[n % len(ASKED)]
    args = {"key": f"k{n}"}
    if name == "work":
        args |= {"code": str(n % 4), "nap": f"{n % 5 * 0.4:g}"}
    return name, args
