"""Why a run is in the state it is in, in plain sentences. Pure; for the run's page."""

from __future__ import annotations

from typing import Any

from ..jobs.jso import condition_jso
from ..jobs.programs import BoundProcess
from ..jobs.run import Run
from ..jobs.states import State
from ..jobs.times import format_time

UNTIL = "waiting until: "


def why(run: Run, log: list[dict[str, Any]], now_us: int) -> list[str]:
    """Return one to four sentences; `log` are the run's lines in order."""
    said = [_state_sentence(run, log, now_us)]
    if run.held:
        said.append("It is held: it does not start until someone releases it.")
    if run.unreachable:
        said.append(
            f"Agent {run.agent_id or '(unknown)'} has not been heard of; the process may well be "
            "running, and its end will be reported when the agent is back."
        )
    if run.stop_asked and run.state is State.STARTING:
        said.append("A stop was asked for; it will be carried out as soon as the run runs.")
    if run.attempt > 1:
        said.append(f"This is attempt {run.attempt}.")
    return said


def _state_sentence(run: Run, log: list[dict[str, Any]], now_us: int) -> str:
    reason = f": {run.message}" if run.message else ""
    match run.state:
        case State.SCHEDULED if run.schedule_us > now_us:
            by = "its schedule" if run.fingerprint is not None else "request"
            return f"It starts at {format_time(run.schedule_us)}, by {by}."
        case State.SCHEDULED:
            return f"It was due at {format_time(run.schedule_us)} and has not been started yet."
        case State.WAITING:
            return _waiting(run, log, now_us)
        case State.STARTING if isinstance(run.program, BoundProcess):
            where = f"agent {run.agent_id}" if run.agent_id else f"group {run.program.group_id}"
            return f"It waits for {where} to start its program."
        case State.STARTING:
            return "Its program is being started."
        case State.RUNNING:
            return "Its program runs" + (f" on agent {run.agent_id}." if run.agent_id else ".")
        case State.STOPPING:
            return "It was asked to stop, and its program has not ended yet."
        case State.SUCCESS:
            return f"Its program ended well{reason}."
        case State.FAILURE:
            return f"Its program ran and failed{reason}."
        case State.ERROR:
            return f"Its program could not be run{reason}."
        case State.SKIPPED:
            return f"It was skipped{reason}."
        case State.LOST:
            return f"Nobody knows what became of its program{reason}."


def _waiting(run: Run, log: list[dict[str, Any]], now_us: int) -> str:
    if run.not_before_us is not None and run.not_before_us > now_us:
        return f"It waits until {format_time(run.not_before_us)} before it is tried again."
    for line in reversed(log):
        if line["message"].startswith(UNTIL):
            since = line["time"]
            return f"It waits until {line['message'][len(UNTIL) :]}, since {since}."
    conds = [condition_jso(cond)["str"] for cond in run.conds]
    return f"It waits for: {'; '.join(conds)}." if conds else "It waits to be started."
