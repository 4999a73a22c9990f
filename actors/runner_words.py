"""What the runner says of a process that ended: the run's new state, message and meta.

Part of the runner's core: pure functions. The shapes are those of the Apsis API.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

from ..jobs.states import State
from ..jobs.times import format_time
from ..messages.agents import ProcessEnded


def signal_name(number: int) -> str:
    """Return `SIGTERM` for 15, `signal 40` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def outcome(ended: ProcessEnded) -> tuple[State, str]:
    """Return the state a process leaves its run in, and the message."""
    if ended.error:
        return State.ERROR, ended.error
    if ended.status == 0 and not ended.timed_out:
        return State.SUCCESS, "; ".join(ended.remarks)
    if ended.status >= 0:
        message = f"exit code {ended.status}"
    else:
        message = f"killed by {signal_name(-ended.status)}"
    if ended.timed_out:
        message += f" (timeout after {ended.elapsed_s:.0f} s)"
    return State.FAILURE, "; ".join([message, *ended.remarks])


def running_meta(
    pid: int, started_us: int, agent: dict[str, Any], remarks: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the meta of a run whose process has started."""
    program = {
        "status": None,
        "times": {"start": format_time(started_us), "stop": None, "elapsed": None},
        "proc_stat": {"pid": pid},
        "errors": [],
        **agent,
    }
    if remarks:
        program["remarks"] = list(remarks)
    return {"program": program}


def ended_meta(ended: ProcessEnded, agent: dict[str, Any]) -> dict[str, Any]:
    """Return the meta of a run whose process is over."""
    status = ended.status
    killed = status < 0
    program: dict[str, Any] = {
        "errors": [ended.error] if ended.error else [],
        "times": {
            "start": format_time(ended.started_us) if ended.started_us else None,
            "stop": format_time(ended.at_us),
            "elapsed": ended.elapsed_s,
        },
        "stop": {"signals": ended.stop_signals},
        **agent,
    }
    if ended.remarks:
        program["remarks"] = ended.remarks
    if ended.error:
        program["status"] = None
        return {"program": program}
    program["status"] = {
        "status": -status if killed else status << 8,
        "exit_code": None if killed else status,
        "signum": -status if killed else None,
        "signal": signal_name(-status) if killed else None,
        "core_dump": ended.core_dumped,
    }
    program["rusage"] = ended.rusage
    program["proc_stat"] = {"pid": ended.pid}
    elapsed_s = (ended.at_us - ended.started_us) / 1e6 if ended.started_us else ended.elapsed_s
    return {"program": program, "elapsed": max(0.0, elapsed_s)}
