"""Checks of processes: what the ledger's runs and what the agents keep say of each other.

Functions of a store reader, the runner's answer and the time; called by the checker's core alone.
An agent that is not connected, or did not answer, says nothing about its runs by its silence.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..jobs.findings import Finding, found
from ..jobs.programs import BoundProcess
from ..jobs.run import Run
from ..jobs.states import ACTIVE, State
from ..jobs.times import format_time
from ..messages.agents import AgentInfo, AgentsAnswer, ProcessInfo
from ..store.interface import Reader

ORPHAN = "orphan"
STRAY = "stray"
DOUBLE = "double"
STUCK = "stuck"
SILENT = "silent"
CLOCK = "clock"

# What agents and ledger say of a process may differ for so long: messages are on their way.
SETTLED_AFTER_US = 20_000_000
# A run may be so long in a state that somebody else has to end.
STUCK_AFTER_US = 60_000_000
STARTING_US = 300_000_000
# An agent may be away so long before its runs are of interest.
SILENT_AFTER_US = 300_000_000
# Clocks may differ by so much.
SKEW_US = 5_000_000
# States of a claim in which a process is alive.
ALIVE = ("running", "unkept")

Kept = dict[str, dict[tuple[str, int], ProcessInfo]]


def processes(reader: Reader, answer: AgentsAnswer, now_us: int) -> list[Finding]:
    """Compare the runs that were started with the processes the agents keep."""
    agents = {agent.agent_id: agent for agent in answer.agents}
    kept: Kept = {
        agent.agent_id: {(p.run_id, p.attempt): p for p in answer.processes[agent.agent_id]}
        for agent in answer.agents
        if agent.connected and agent.agent_id in answer.processes
    }
    runs = reader.active((State.STARTING, State.RUNNING, State.STOPPING))
    findings = [_orphan(run) for run in runs if _is_orphan(run, kept, now_us)]
    findings += [one for run in runs if (one := _stuck(run, kept, now_us)) is not None]
    findings += _strays(reader, kept, now_us)
    findings += _doubles(kept)
    findings += _silent(runs, agents, now_us)
    return findings + [_skewed(agent) for agent in answer.agents if abs(agent.skew_us) > SKEW_US]


# --- runs without a process ---------------------------------------------------------------------


def _is_orphan(run: Run, kept: Kept, now_us: int) -> bool:
    there = kept.get(run.agent_id or "")
    if there is None or not isinstance(run.program, BoundProcess) or run.state is State.STARTING:
        return False
    process = there.get((run.run_id, run.attempt))
    # A process that is over is on its way to being recorded; one not started never ran.
    is_kept = process is not None and process.state != "not_started"
    return not is_kept and now_us - run.times.get(run.state.value, now_us) >= SETTLED_AFTER_US


def _orphan(run: Run) -> Finding:
    since = format_time(run.times.get(run.state.value, run.schedule_us))
    return found(
        ORPHAN,
        f"{run.run_id}.{run.attempt}",
        f"run {run.run_id} of {run.job_id}: {run.state} since {since}: agent {run.agent_id} has no "
        "process of it",
        run_id=run.run_id,
        agent_id=run.agent_id,
        attempt=run.attempt,
    )


# --- runs that do not go on ---------------------------------------------------------------------


def _stuck(run: Run, kept: Kept, now_us: int) -> Finding | None:
    """Return that a run is in a state longer than anything explains, None when it is not."""
    program = run.program
    entered_us = run.times.get(run.state.value, now_us)
    if not isinstance(program, BoundProcess):
        return None
    # None: the program may take as long as it likes to stop.
    grace_us = program.grace_us
    limit_us, why = STARTING_US, "no agent has taken it"
    if run.state is not State.STARTING and grace_us is None:
        return None
    grace_us = grace_us or 0
    if run.state is State.STOPPING:
        limit_us, why = grace_us + STUCK_AFTER_US, "its process was to be killed by now"
    elif run.state is State.RUNNING:
        if program.timeout_us is None:
            return None
        limit_us = program.timeout_us + grace_us + STUCK_AFTER_US
        why = "its timeout was to end it by now"
    if now_us - entered_us < limit_us:
        return None
    if run.state is not State.STARTING and run.agent_id not in kept:
        # Its agent is away, and may have done it long ago.
        return None
    return found(
        STUCK,
        f"{run.run_id}.{run.state}",
        f"run {run.run_id} of {run.job_id}: {run.state} since {format_time(entered_us)}: {why}",
        severity="warning" if run.state is State.STARTING else "error",
        run_id=run.run_id,
        state=run.state.value,
        entered_us=entered_us,
    )


# --- processes without a run --------------------------------------------------------------------


def _strays(reader: Reader, kept: Kept, now_us: int) -> Iterator[Finding]:
    for agent_id, there in kept.items():
        alive = [process for process in there.values() if process.state in ALIVE]
        owners = {run.run_id: run for run in reader.runs(sorted({p.run_id for p in alive}))}
        for process in alive:
            owner = owners.get(process.run_id)
            if _is_stray(process, owner, now_us):
                yield _stray(agent_id, process, owner)


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
    return found(
        STRAY,
        f"{process.run_id}.{process.attempt}",
        f"process {process.pid} of {process.run_id}, attempt {process.attempt}, "
        f"on agent {agent_id}: alive, but {owner}",
        run_id=process.run_id if run is not None else None,
        agent_id=agent_id,
        pid=process.pid,
    )


def _doubles(kept: Kept) -> Iterator[Finding]:
    """Yield runs that have more than one process alive."""
    places: dict[str, list[str]] = {}
    for agent_id, there in kept.items():
        for process in there.values():
            if process.state in ALIVE:
                said = f"process {process.pid} of attempt {process.attempt} on agent {agent_id}"
                places.setdefault(process.run_id, []).append(said)
    for run_id, processes_ in places.items():
        if len(processes_) > 1:
            listed = ", ".join(sorted(processes_))
            sentence = f"run {run_id}: has {len(processes_)} processes: {listed}"
            yield found(DOUBLE, run_id, sentence, run_id=run_id, processes=sorted(processes_))


# --- agents -------------------------------------------------------------------------------------


def _silent(runs: list[Run], agents: dict[str, AgentInfo], now_us: int) -> Iterator[Finding]:
    """Yield agents that are not heard of and have runs."""
    held: dict[str, list[str]] = {}
    for run in runs:
        if run.agent_id is not None and isinstance(run.program, BoundProcess):
            held.setdefault(run.agent_id, []).append(run.run_id)
    for agent_id, run_ids in held.items():
        agent = agents.get(agent_id)
        if agent is None or agent.connected or now_us - agent.last_seen_us < SILENT_AFTER_US:
            continue
        last = format_time(agent.last_seen_us)
        sentence = f"agent {agent_id}: not heard of since {last}: {len(run_ids)} runs are with it"
        yield found(SILENT, agent_id, sentence, severity="warning", runs=run_ids[:100])


def _skewed(agent: AgentInfo) -> Finding:
    by_s = abs(agent.skew_us) // 1_000_000
    where = "ahead of" if agent.skew_us > 0 else "behind"
    sentence = f"agent {agent.agent_id}: its clock is {_about(by_s)} {where} the server's"
    return found(
        CLOCK,
        agent.agent_id,
        sentence,
        severity="warning" if by_s < 60 else "error",
        skew_us=agent.skew_us // SKEW_US * SKEW_US,
    )


def _about(seconds: int) -> str:
    """Return a time in words that stay the same while it changes a little."""
    if seconds < 60:
        return f"{seconds // 5 * 5} s or more"
    return f"{seconds // 60} min or more" if seconds < 7_200 else f"{seconds // 3_600} h or more"
