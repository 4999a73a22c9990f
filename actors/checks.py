"""The checks: what should be against what is, each a list of findings.

Functions of a store reader, the runner's answer and the time; called by the checker's core alone.
"""

from __future__ import annotations

from ..jobs.programs import BoundProcess
from ..jobs.run import Run
from ..jobs.states import ACTIVE, State
from ..messages.agents import AgentsAnswer, ProcessInfo
from ..messages.instructions import Finding
from ..store.interface import Reader, RunQuery

LATE = "late"
STARTED_LATE = "started-late"
ORPHAN = "orphan"
STRAY = "stray"

# A run may be so late before it is reported.
LATE_AFTER_US = 60_000_000
# What agents and ledger say of a process may differ for so long: messages are on their way.
SETTLED_AFTER_US = 30_000_000
# How long a run that started late is reported, and how many at most.
REPORTED_FOR_US = 24 * 3600 * 1_000_000
REPORTED = 100
# Runs looked at by one check in one round.
LOOKED_AT = 5_000
# States of a claim in which a process is alive.
ALIVE = ("running", "unkept")


def late_runs(reader: Reader, now_us: int) -> list[Finding]:
    """Find runs whose time has passed and that are scheduled still, though nobody holds them."""
    findings = []
    for row in reader.due(now_us - LATE_AFTER_US, REPORTED):
        late_s = (now_us - row.schedule_us) // 1_000_000
        findings.append(
            Finding(
                key=f"{LATE}:{row.run_id}",
                check=LATE,
                severity="error",
                sentence=f"run {row.run_id} of {row.job_id}: scheduled still, {late_s} s after its "
                f"time: expected to start within {LATE_AFTER_US // 1_000_000} s",
                run_id=row.run_id,
                evidence={"schedule_us": row.schedule_us},
            )
        )
    return findings


class LateStarts:
    """Finds runs that left `scheduled` late; remembers them for a day, the newest first."""

    def __init__(self) -> None:
        self._looked_us: int | None = None
        self._found: dict[str, tuple[int, Finding]] = {}

    def look(self, reader: Reader, now_us: int) -> list[Finding]:
        """Look at the runs that changed since the last look; return all that are remembered."""
        since_us = self._looked_us if self._looked_us is not None else now_us - 2 * LATE_AFTER_US
        self._looked_us = now_us
        query = RunQuery(changed_since_us=since_us, limit=LOOKED_AT)
        for run in reader.query(query):
            late_us = _started_late(run)
            if run.backfill is not None:
                continue  # It came when it was its turn.
            if late_us >= LATE_AFTER_US and not _was_held(reader, run):
                self._found[run.run_id] = (now_us, _late_start(run, late_us))
        self._found = {
            run_id: entry
            for run_id, entry in list(self._found.items())[-REPORTED:]
            if now_us - entry[0] < REPORTED_FOR_US
        }
        return [finding for _, finding in reversed(self._found.values())]


def processes(reader: Reader, answer: AgentsAnswer, now_us: int) -> list[Finding]:
    """Compare the ledger's running runs with the processes the agents keep.

    An agent that is not connected, or did not answer, is left out: its silence says nothing.
    """
    answered = {
        agent.agent_id: {(p.run_id, p.attempt): p for p in answer.processes[agent.agent_id]}
        for agent in answer.agents
        if agent.connected and agent.agent_id in answer.processes
    }
    findings = [
        _orphan(run, now_us)
        for run in reader.active((State.RUNNING, State.STOPPING))
        if _is_orphan(run, answered, now_us)
    ]
    for agent_id, kept in answered.items():
        alive = {key: p for key, p in kept.items() if p.state in ALIVE}
        owners = {run.run_id: run for run in reader.runs(sorted({key[0] for key in alive}))}
        for process in alive.values():
            if _is_stray(process, owners.get(process.run_id), now_us):
                findings.append(_stray(agent_id, process, owners.get(process.run_id)))
    return findings


# --- inside -------------------------------------------------------------------------------------


def _started_late(run: Run) -> int:
    """By how much a run left `scheduled` later than it could, 0 when it did not (yet)."""
    left = [run.times[name] for name in ("waiting", "starting") if name in run.times]
    if not left or run.attempt > 1:
        return 0
    could_us = run.schedule_us
    if run.fingerprint is None:
        # A person may ask for a time that has passed: that run is not late.
        could_us = max(could_us, run.times.get("scheduled", could_us))
    return min(left) - could_us


def _was_held(reader: Reader, run: Run) -> bool:
    lines = (getattr(event, "message", "") for event in reader.log(run.run_id))
    return any(line == "released" or "override" in line for line in lines)


def _late_start(run: Run, late_us: int) -> Finding:
    made_us = run.times.get("scheduled", run.schedule_us)
    missed = made_us > run.schedule_us
    why = "made up for after it was missed" if missed else "expected within 60 s"
    return Finding(
        key=f"{STARTED_LATE}:{run.run_id}",
        check=STARTED_LATE,
        severity="info" if missed else "warning",
        sentence=f"run {run.run_id} of {run.job_id}: went on its way "
        f"{late_us // 1_000_000} s after its time: {why}",
        run_id=run.run_id,
        evidence={"late_us": late_us, "schedule_us": run.schedule_us},
    )


def _is_orphan(
    run: Run, answered: dict[str, dict[tuple[str, int], ProcessInfo]], now_us: int
) -> bool:
    kept_there = answered.get(run.agent_id or "")
    if kept_there is None or not isinstance(run.program, BoundProcess):
        return False
    process = kept_there.get((run.run_id, run.attempt))
    # A process that is over is on its way to being recorded; one not started never ran.
    kept = process is not None and process.state != "not_started"
    return not kept and now_us - run.times.get(run.state.value, now_us) >= SETTLED_AFTER_US


def _orphan(run: Run, now_us: int) -> Finding:
    since_us = run.times.get("running", now_us)
    return Finding(
        key=f"{ORPHAN}:{run.run_id}.{run.attempt}",
        check=ORPHAN,
        severity="error",
        sentence=f"run {run.run_id} of {run.job_id}: {run.state} for "
        f"{(now_us - since_us) // 1_000_000} s: agent {run.agent_id} has no process of it",
        run_id=run.run_id,
        evidence={"agent_id": run.agent_id, "attempt": run.attempt},
    )


def _is_stray(process: ProcessInfo, run: Run | None, now_us: int) -> bool:
    if run is None:
        return True
    if run.state in ACTIVE and run.attempt == process.attempt:
        return False
    changed_us = max(run.times.values(), default=0)
    return now_us - max(changed_us, process.started_us) >= SETTLED_AFTER_US


def _stray(agent_id: str, process: ProcessInfo, run: Run | None) -> Finding:
    owner = "there is no such run" if run is None else f"the run is {run.state}"
    if run is not None and run.attempt != process.attempt:
        owner = f"the run is at attempt {run.attempt}"
    return Finding(
        key=f"{STRAY}:{process.run_id}.{process.attempt}",
        check=STRAY,
        severity="error",
        sentence=f"process {process.pid} of {process.run_id}, attempt {process.attempt}, "
        f"on agent {agent_id}: alive, but {owner}",
        run_id=process.run_id if run is not None else None,
        evidence={"agent_id": agent_id, "pid": process.pid},
    )
