"""A lively server for pictures of the console: believable jobs, eight weeks of past, and today.

Used by `screenshots.py`. The past is written as a server's own commits would leave it; what runs,
waits, is late or held when the pictures are taken are real runs of a real server.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from callsheet.conf.folder import load_folder
from callsheet.jobs.forecast import Nominal, forecast
from callsheet.jobs.job import Job
from callsheet.jobs.parse import definition_hash
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.transitions import RunMoved
from callsheet.store.rows import event_rows, run_row, span_rows
from callsheet.store.sqlite import create_database

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
PAST_DAYS = 56
# Another definition of each job came into force so many days ago; its runs take a little longer.
CHANGED_DAYS = 19
EVENTS = 3
PATIENCE_S = 120.0

# Id; when (`every 15m +7m`, `daily 05:30 Mon-Fri`, or nothing); seconds a run usually takes; of how
# many hundred go wrong; what it does; owner; labels; what it waits for.
JOBS = """
billing/invoice run          | daily 05:30         | 2400 | 1   | long | billing    | finance            |
billing/sepa export          | daily 23:30         | 40   | 1   | ok   | billing    | finance            |
billing/dunning              | every 60m +12m      | 50   | 1   | ok   | billing    |                    |
compliance/gdpr purge        | daily 03:00         | 190  | 0   | ok   | compliance | regulator          |
compliance/remit upload      | every 120m +5m      | 48   | 2   | ok   | compliance | regulator          |
forecast/load                | every 15m +10m      | 530  | 1.2 | loud | forecasts  | day-ahead critical | ingest/weather/stations
forecast/solar               | every 15m +7m       | 200  | 0.5 | ok   | forecasts  | day-ahead          |
forecast/wind                | every 20m           | 460  | 1   | long | forecasts  | day-ahead          |
forecast/blend               | every 30m +25m      | 62   | 1   | ok   | forecasts  | day-ahead          | forecast/solar
forecast/retrain             | daily 04:00 Sat     | 9600 | 1   | ok   | forecasts  |                    |
grid/topology                | every 10m +3m       | 40   | 0.2 | ok   | grid       |                    |
grid/outage map              | every 10m +1m       | 45   | 0.2 | ok   | grid       |                    |
ingest/exchange/epex spot    | every 60m +35m      | 1330 | 2   | long | ingest     | critical           |
ingest/exchange/epex intraday| every 15m +2m       | 90   | 0.5 | ok   | ingest     |                    |
ingest/meters/readings       | every 10m +8m       | 70   | 0.3 | ok   | ingest     |                    |
ingest/meters/gaps           | every 60m +50m      | 55   | 1   | ok   | ingest     |                    |
ingest/weather/dwd icon-d2   | every 180m +10m     | 331  | 8   | fail | ingest     | weather            |
ingest/weather/dwd icon-eu   | every 180m +25m     | 360  | 0   | ok   | ingest     | weather            |
ingest/weather/ecmwf ens     | daily 07:20         | 858  | 2   | ok   | ingest     | weather            |
ingest/weather/stations      | every 10m           | 80   | 0.3 | ok   | ingest     | weather            |
ops/backup                   | daily 02:00         | 33   | 1   | ok   | operations | night              |
ops/certificates             | daily 06:00         | 52   | 0   | ok   | operations | night              |
ops/heartbeat                | every 30m           | 3    | 0   | ok   | operations |                    |
prices/day-ahead curve       | daily 11:45         | 129  | 1   | ok   | desk       | day-ahead          | forecast/blend
prices/settle day-ahead      |                     | 170  | 0   | ok   | desk       | day-ahead critical | ingest/exchange/epex spot
prices/settle intraday       | every 60m +15m      | 75   | 1   | ok   | desk       |                    |
reports/desk evening         | daily 21:00         | 69   | 0   | ok   | desk       |                    | prices/day-ahead curve
reports/regulator            | daily 16:00         | 64   | 0   | ok   | compliance | regulator          | prices/day-ahead curve
risk/margin call             | every 60m +9m       | 50   | 2   | ok   | risk       |                    |
risk/pnl                     | every 30m +7m       | 260  | 1   | ok   | risk       |                    | prices/settle intraday
risk/var                     | every 60m +5m       | 1500 | 1   | long | risk       |                    |
warehouse/dbt hourly         | every 60m +40m      | 1500 | 2   | long | data       |                    |
warehouse/load facts         | daily 08:40         | 700  | 2   | fail | data       |                    |
"""  # noqa: E501
DESCRIPTION = """\
**Quarter-hour load forecast** per bidding zone for the next day, 9 quantiles.

Feeds the day-ahead curve: if two zones in a row fail, call the desk before 11:30.
Runbook: [wiki/forecast-load](https://wiki.example.com/forecast-load)
"""
LOUD = r"""
n=0
while [ $n -lt 2400 ]; do
  n=$((n + 1)); k=$((n % 10))
  printf 'INFO  fold %2d/10  fitting 48 quarter-hour models on 1,096 days\n' $k
  [ $((n % 3)) = 0 ] && printf 'INFO  fold %2d/10  \033[32mmape 2.%02d %%\033[0m\n' $k $((n * 7 % 97))
  [ $((n % 17)) = 0 ] && printf '\033[33mUserWarning: 4 of 96 values of irradiance missing\033[0m\n' >&2
  [ $((n % 41)) = 0 ] && printf '\033[1;31mretrying\033[0m \033[31mserver closed the connection\033[0m\n' >&2
  [ $((n % 29)) = 0 ] && printf 'INFO  cache     \033[36m/srv/cache/2026112406.zarr\033[0m  hit 1,204\n'
  [ $n -gt 60 ] && sleep 1
done
"""  # noqa: E501
COMMANDS = {
    "ok": "sleep 0.1; echo done",
    "long": "for i in $(seq 900); do echo step $i; sleep 2; done",
    "fail": "echo loading; sleep 0.2; echo no file of 2026-11-23 >&2; exit 2",
    "loud": LOUD,
}


def job_files() -> dict[str, tuple[dict[str, Any], float, float]]:
    """Return what each job file holds, and what its runs take and how many go wrong, by id."""
    found = {}
    for line in JOBS.strip().splitlines():
        job_id, when, takes, bad, does, owner, labels, needs = map(str.strip, line.split("|"))
        job: dict[str, Any] = {"metadata": {"labels": labels.split(), "owner": owner}}
        params: dict[str, Any] = {}
        args = {}
        if does == "loud":
            job["metadata"]["description"] = DESCRIPTION
            params["region"] = {"choices": ["DE-LU", "FR", "NL", "AT"], "description": "The zone."}
            args = {"region": "DE-LU"}
            job["retry"] = {"attempts": 3, "backoff": "60s"}
        elif job_id.endswith("epex spot"):
            params["auction"] = "text"
            args = {"auction": "ida"}
        if params:
            job["params"] = params if does == "loud" else list(params)
        if when:
            job["schedule"] = _schedule(when) | ({"args": args} if args else {})
        if needs:
            wanted = {"auction": "sdac"} if needs.endswith("epex spot") else {}
            job["condition"] = {"type": "dependency", "job_id": needs, "args": wanted}
        job["program"] = {"type": "shell", "command": COMMANDS[does]}
        if does in ("loud", "long"):
            job["program"]["group_id"] = "calc"
        if does == "loud":
            job["program"]["output"] = {"streams": "split"}
        found[job_id] = (job, float(takes), float(bad))
    return found


def _schedule(when: str) -> dict[str, Any]:
    kind, first, *rest = when.split()
    if kind == "daily":
        return {
            "type": "daily",
            "tz": "UTC",
            "daytime": first,
            "calendar": rest[0] if rest else "all",
        }
    return {"type": "interval", "interval": first, "phase": rest[0][1:] if rest else "0m"}


class Site:
    """The server of the pictures, in a folder of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.address = f"http://127.0.0.1:{port}"
        self._bind = f"127.0.0.1:{port}"
        self._processes: list[subprocess.Popen[bytes]] = []

    def lay_out(self) -> None:
        """Write the jobs and the past."""
        files = job_files()
        for job_id, (job, _, _) in files.items():
            path = self.folder / "jobs" / f"{job_id}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            # YAML reads JSON.
            path.write_text(json.dumps(job, indent=1), encoding="utf-8")
        config = "job_dir: jobs\ndatabase: callsheet.db\nschedule: {horizon: 36h}\n"
        (self.folder / "callsheet.yaml").write_text(config, encoding="utf-8")
        usual = {job_id: (takes, bad) for job_id, (_, takes, bad) in files.items()}
        write_past(self.folder, usual, time.time_ns() // 1000)

    def start(self) -> None:
        """Start the server and three agents besides its own."""
        config = str(self.folder / "callsheet.yaml")
        self._run("callsheet.cli.administrators", "serve", "--config", config, "--bind", self._bind)
        _until(lambda: self.ask("/api/v2/health").get("status") == "ok", "the server")
        (directory,) = self.folder.glob("*.state/run")
        for agent_id, group in (("calc-01", "calc"), ("calc-02", "calc"), ("etl-01", "etl")):
            spool, server = str(self.folder / agent_id), f"ipc://{directory / 'agents'}"
            words = ("--agent-id", agent_id, "--group", group, "--spool", spool, "--server", server)
            self._run("callsheet.agentd.daemon", *words)
        _until(lambda: len(self.ask("/api/v2/agents")["agents"]) > len("abc"), "the agents")

    def _run(self, module: str, *words: str) -> None:
        with (self.folder / "server.log").open("ab") as log:
            command = [sys.executable, "-m", module, *words]
            self._processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def stop(self) -> None:
        """End the server, the agents, and all they still run."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)
        marker = os.fsencode(str(self.folder))
        # Keepers outlive a server on purpose.
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if marker in (entry / "cmdline").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the API; an empty answer while nobody is there."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, data, headers)  # noqa: S310 - ours
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.read().decode()}") from error
        except OSError:
            return {}

    def enliven(self) -> dict[str, str]:
        """Make today: runs that run, wait, fail and are held. Returns some by name."""
        load = self._make("forecast/load", {"region": "DE-LU"}, 26)
        self._make("ingest/exchange/epex spot", {"auction": "sdac"}, 21)
        late = self._make("prices/settle day-ahead", {}, 17 * 60)
        self._make("warehouse/load facts", {}, 75 * 60)
        for job_id in ("forecast/wind", "risk/var", "warehouse/dbt hourly"):
            self._make(job_id, {}, 5)
        for one in self.ask("/api/v2/runs?state=scheduled&q=sepa")["runs"][-1:]:
            reason = {"reason": "wait for the corrected mandate file"}
            self.ask(f"/api/v2/runs/{one['run_id']}/hold", reason)
        self.ask("/api/v2/pause", {"kind": "label", "name": "night", "reason": "storage is moved"})
        _until(lambda: self.ask(f"/api/v2/runs/{load}")["run"]["state"] == "running", "a run")
        return {"load": load, "late": late}

    def change_folder(self) -> None:
        """Change the job folder, so that there is something to load."""
        path = self.folder / "jobs" / "ops" / "certificates.yaml"
        path.write_text(path.read_text().replace("06:00", "06:10"), encoding="utf-8")
        job = {"schedule": _schedule("every 60m +20m"), "program": {"type": "no-op"}}
        (self.folder / "jobs" / "ingest" / "epex flow based.yaml").write_text(json.dumps(job))

    def _make(self, job_id: str, args: dict[str, str], ago_s: int) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago_s))
        body = {"job_id": job_id, "args": args, "times": {"schedule": at}}
        return str(self.ask("/api/v2/runs", body)["runs"][0]["run_id"])


def write_past(folder: Path, usual: dict[str, tuple[float, float]], now_us: int) -> None:
    """Write what eight weeks of these jobs would have left in the database of a folder.

    Args:
        usual: by job what its runs take, in seconds, and of how many hundred go wrong.
    """
    loaded = load_folder(folder / "jobs")
    if loaded.problems:
        raise RuntimeError(str(loaded.problems[0]))
    jobs = {job.job_id: job for job in loaded.jobs.values()}
    create_database(folder / "callsheet.db", now_us)
    nominal = forecast(jobs, now_us - PAST_DAYS * DAY_US, now_us - 120 * SECOND_US, {})
    runs = list(_runs(jobs, nominal, usual, now_us))
    connection = sqlite3.connect(folder / "callsheet.db")
    rows = [run_row(run, max(run.times.values())) for run in runs]
    columns = ", ".join("?" * len(rows[0]))
    put = connection.executemany
    put(f"INSERT INTO runs VALUES ({columns})", rows)
    put("INSERT INTO events VALUES (?, ?, ?, ?, ?)", [row for run in runs for row in _events(run)])
    put("INSERT INTO run_agents VALUES (?, ?)", [(run.number, run.agent_id) for run in runs])
    spans = span_rows((run.number, run.schedule_us, max(run.times.values())) for run in runs)
    put("INSERT INTO spans VALUES (?, ?, ?, ?)", spans)
    labels = {(label, run.job_id) for run in runs for label in ("", *run.labels)}
    put("INSERT INTO run_jobs (label, job_id) VALUES (?, ?)", sorted(labels))
    last = runs[-1].number
    heads = (last * EVENTS + EVENTS, last + 1)
    connection.execute("UPDATE meta SET seq = ?, next_run_number = ?", heads)
    connection.commit()
    connection.close()


ENDS = {
    State.FAILURE: (70, "exit code 1"),
    State.ERROR: (12, "agent etl-01 could not start it"),
    State.SKIPPED: (14, "another run of it was running"),
    State.LOST: (4, "lost: its agent restarted without it"),
}


def _runs(
    jobs: dict[str, Job],
    nominal: list[Nominal],
    usual: dict[str, tuple[float, float]],
    now_us: int,
) -> Iterator[Run]:
    draw = random.Random(7)
    hashes = {job_id: definition_hash(job) for job_id, job in jobs.items()}
    for number, one in enumerate(nominal, 1):
        takes, bad = usual[one.job_id]
        is_new = now_us - one.at_us < CHANGED_DAYS * DAY_US
        took_us = int(takes * (1.12 if is_new else 1.0) * draw.lognormvariate(0, 0.12) * SECOND_US)
        begun_us = one.at_us + draw.randrange(2_000, 900_000)
        state, said = State.SUCCESS, None
        if draw.random() * 100 < bad:
            state = draw.choices(list(ENDS), [share for share, _ in ENDS.values()])[0]
            said = ENDS[state][1]
            took_us = int(took_us * draw.uniform(0.05, 0.9))
        ended_us = max(begun_us, min(begun_us + took_us, now_us - 5 * SECOND_US))
        job = jobs[one.job_id]
        yield Run(
            run_id=f"r{number}",
            job_id=one.job_id,
            args=one.args,
            state=state,
            schedule_us=one.at_us,
            version=number * EVENTS,
            definition=hashes[one.job_id] if is_new else "0" * 16,
            attempt=1,
            message=said,
            times={
                "scheduled": one.at_us - DAY_US,
                "running": begun_us,
                state.value: ended_us,
            },
            labels=job.labels,
            meta={"job": {"labels": list(job.labels)}, "elapsed": (ended_us - begun_us) / 1e6},
            agent_id="calc-01" if one.job_id.startswith("forecast") else "etl-01",
        )


def _events(run: Run) -> list[Any]:
    first = (run.number - 1) * EVENTS + 1
    states = [State(name) for name in run.times]
    moves = [
        RunMoved(
            seq=first + place,
            at_us=run.times[state.value],
            run_id=run.run_id,
            before=states[place - 1] if place else None,
            after=state,
            message=(run.message or "") if state is run.state else "",
        )
        for place, state in enumerate(states)
    ]
    return list(event_rows({run.run_id: moves}, first))


def _until(holds: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {PATIENCE_S:.0f} s for {what}")
        time.sleep(0.2)
