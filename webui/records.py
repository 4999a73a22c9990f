"""The shapes of callsheet's own API (`/api/v2` and its stream): plain data, made of records. Pure.

The shapes of the Apsis-compatible API are in `jobs.jso`.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..jobs.deadlines import Due
from ..jobs.findings import Finding
from ..jobs.jso import condition_jso, program_jso
from ..jobs.params import spec_data
from ..jobs.retry import AttemptRecord
from ..jobs.run import Run
from ..jobs.states import State
from ..jobs.times import format_time_ms
from ..jobs.words import action_words
from ..messages.agents import AgentInfo, AgentsAnswer, ProcessInfo
from ..messages.commands import OutboxItem
from ..messages.instructions import OutputRecord
from ..messages.transitions import ActionNoted, AnyEvent, RunMoved, RunNoted, RunWithdrawn
from .shapes import (
    AgentRecord,
    Attempt,
    Deadlines,
    FindingRecord,
    LogLine,
    OutputListed,
    Owed,
    RunBasics,
    RunRecord,
)


def instant(at_us: int | None) -> str | None:
    """Return the text of an instant, None for None."""
    return None if at_us is None else format_time_ms(at_us)


def elapsed_s(run: Run) -> float | None:
    """Return how long the run ran, None while it runs or when it never did."""
    elapsed = run.meta.get("elapsed")
    if isinstance(elapsed, int | float):
        return float(elapsed)
    begun = run.times.get("running")
    end = run.times.get(run.state.value) if run.finished else None
    return None if begun is None or end is None else max(0.0, (end - begun) / 1e6)


def run_record(run: Run) -> RunRecord:
    """Return a run as lists and the stream show it; what is empty is left out."""
    record: RunRecord = {
        "run_id": run.run_id,
        "job_id": run.job_id,
        "args": run.args,
        "state": run.state.value,
        "version": run.version,
        "schedule_time": format_time_ms(run.schedule_us),
        "times": {name: format_time_ms(at_us) for name, at_us in run.times.items()},
        "labels": run.labels,
        "owner": run.owner,
        "reason": run.message,
        "attempt": run.attempt,
        "held": run.held,
        "unreachable": run.unreachable,
        "lost": run.state is State.LOST,
        "expected": run.expected,
        "agent": run.agent_id,
        "elapsed": elapsed_s(run),
    }
    if run.stop_us is not None:
        record["stop_time"] = format_time_ms(run.stop_us)
    if run.not_before_us is not None:
        record["not_before"] = format_time_ms(run.not_before_us)
    if run.rerun_of is not None:
        record["rerun_of"] = run.rerun_of
        record["rerun_root"] = run.rerun_root or run.rerun_of
        record["rerun_number"] = run.rerun_number
    if run.reruns:
        record["reruns"] = run.reruns
    if run.backfill is not None:
        record["backfill"] = f"b{run.backfill}"
        if run.held and run.state is State.SCHEDULED and not run.turned:
            record["awaits_turn"] = True
    if run.moved_from is not None:
        record["rescheduled_from"] = format_time_ms(run.moved_from.schedule_us)
    if run.ad_hoc:
        record["ad_hoc"] = True
    if run.stop_asked:
        record["stop_asked"] = True
    if run.priority:
        record["priority"] = run.priority
    if "deadlines" in run.meta:
        record["missed"] = list(run.meta["deadlines"])
    return record


def run_page(run: Run) -> RunBasics:
    """Return a run as its own page shows it."""
    program = run.program
    return {
        **run_record(run),
        "conds": [condition_jso(cond, run) for cond in run.conds],
        "program": None if program is None else program_jso(program),
        "meta": run.meta,
        "results": run.results,
        "result_specs": {name: spec_data(spec) for name, spec in run.result_specs.items()},
        "source_results": run.source_results,
        "definition": run.definition,
        "cause": run.cause,
        "stop_time": instant(run.stop_us),
        "deadlines": None if run.due is None else _deadlines(run.due),
        "attempts": [_attempt(one) for one in run.attempts] + _present_attempt(run),
    }


def _attempt(record: AttemptRecord) -> Attempt:
    return {
        "attempt": record.number,
        "state": record.state.value,
        "reason": record.message or None,
        "started": instant(record.started_us),
        "ended": instant(record.ended_us),
        "agent": record.agent_id,
    }


def _present_attempt(run: Run) -> list[Attempt]:
    """Return the attempt that has no record: one under way, or the only one of a run that has no
    retry policy; none before the first."""
    if run.attempt == 0 or any(one.number == run.attempt for one in run.attempts):
        return []
    return [
        {
            "attempt": run.attempt,
            "state": run.state.value,
            "reason": run.message,
            "started": instant(run.times.get("running")),
            "ended": instant(run.times.get(run.state.value)) if run.finished else None,
            "agent": run.agent_id,
        }
    ]


def _deadlines(due: Due) -> Deadlines:
    """Return a run's deadlines: instants, and for the last a number of seconds."""
    length_us = due.max_duration_us
    return {
        "start_by": instant(due.start_by_us),
        "finish_by": instant(due.finish_by_us),
        "max_duration": None if length_us is None else length_us / 1e6,
    }


def owed_record(item: OutboxItem) -> Owed:
    """Return an action that is not over: how often it was tried, and when it is tried next."""
    return {
        "action_id": item.action_id,
        "action": action_words(item.action),
        "since": format_time_ms(item.at_us),
        "deadline": item.deadline or None,
        "attempts": item.attempts,
        "next_attempt": instant(item.next_us or None),
        "error": item.error or None,
    }


def log_line(event: AnyEvent) -> LogLine | None:
    """Return the log line of a run's event, None when it is none of a run's."""
    state: str | None
    match event:
        case RunMoved():
            kind, state, message = "moved", event.after.value, event.message or event.after.value
        case RunNoted():
            kind, state, message = "noted", None, event.message
        case ActionNoted() if event.message:
            said = line(event.seq, event.at_us, "action", None, event.message, event.cause)
            return {**said, "action_id": event.action_id, "outcome": event.outcome}
        case RunWithdrawn():
            kind, state, message = "withdrawn", None, event.reason
        case _:
            return None
    if not message:
        return None
    return line(event.seq, event.at_us, kind, state, message, event.cause)


def line(seq: int, at_us: int, kind: str, state: str | None, message: str, cause: str) -> LogLine:
    """Return one log line."""
    return {
        "seq": seq,
        "time": format_time_ms(at_us),
        "kind": kind,
        "state": state,
        "message": message,
        "cause": cause,
    }


def log_lines(events: Iterable[AnyEvent]) -> list[LogLine]:
    """Return the lines of a run's log."""
    return [found for event in events if (found := log_line(event)) is not None]


def output_record(output: OutputRecord) -> OutputListed:
    """Return an output as the run's page lists it."""
    record: OutputListed = {
        "output_id": output.output_id,
        "attempt": output.attempt,
        "name": output.name,
        "length": output.length,
        "content_type": output.content_type,
        "compression": output.compression,
        "sha256": output.sha256,
        "truncated": output.truncated,
    }
    if output.gap.length:
        record["left_out"] = [output.gap_at, output.gap.end]
    return record


def agent_record(agent: AgentInfo, processes: list[ProcessInfo] | None) -> AgentRecord:
    """Return an agent, with its processes when they were asked for."""
    record: AgentRecord = {
        "agent_id": agent.agent_id,
        "group_id": agent.group_id,
        "connected": agent.connected,
        "first_seen": format_time_ms(agent.first_seen_us),
        "last_seen": format_time_ms(agent.last_seen_us),
        "connections": agent.connections,
        "received": agent.received,
        "sent": agent.sent,
        "live": agent.live,
        "hostname": agent.hostname,
        "username": agent.username,
        "pid": agent.pid,
        "uid": agent.uid,
        "software": agent.software,
        "state": agent.state,
        "labels": agent.labels,
        "slots": agent.slots or None,
        "keyed": agent.keyed,
        "draining": agent.draining,
        "version": agent.version,
    }
    if processes is not None:
        record["processes"] = [
            {
                "run_id": process.run_id,
                "attempt": process.attempt,
                "state": process.state,
                "pid": process.pid,
                "started": instant(process.started_us or None),
                "job_id": process.job_id or None,
                "stopping": process.is_stopping,
                "rss_bytes": process.rss_bytes or None,
                "cpu_s": process.cpu_us / 1e6 if process.rss_bytes else None,
            }
            for process in processes
        ]
    return record


def agents_list(answer: AgentsAnswer, *, processes: bool) -> list[AgentRecord]:
    """Return all agents, by group and id."""
    agents = sorted(answer.agents, key=lambda agent: (agent.group_id, agent.agent_id))
    return [
        agent_record(agent, answer.processes.get(agent.agent_id, []) if processes else None)
        for agent in agents
    ]


def finding_record(finding: Finding) -> FindingRecord:
    """Return one finding of the checker; `closed`: None while it is so."""
    return {
        "key": finding.key,
        "check": finding.check,
        "severity": finding.severity,
        "sentence": finding.sentence,
        "run_id": finding.run_id,
        "since": instant(finding.since_us or None),
        "closed": instant(finding.closed_us),
        "remedy": finding.remedy,
        "evidence": finding.evidence,
    }
