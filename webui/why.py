"""Why a run is in the state it is in, in plain sentences. Pure; for the run's page."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from ..jobs.bound_conditions import BoundGuard, BoundNotAfter, pools_of
from ..jobs.judging import Wanted, wanted
from ..jobs.polled import BoundPolled
from ..jobs.programs import BoundProcess
from ..jobs.run import MovedFrom, Run
from ..jobs.states import OCCUPYING, State
from ..jobs.times import format_time
from ..jobs.words import condition_words
from ..messages.pauses import Pause
from ..store.interface import Reader, RunQuery
from .shapes import LogLine

UNTIL = "waiting until: "
NOT_YET = "not yet: "
# Runs looked at to say how much of a pool is taken.
LOOKED_AT = 1_000


class StoreFacts:
    """What the store says of the world; see `jobs.judging.TellingFacts`."""

    def __init__(self, reader: Reader, pools: Mapping[str, int]) -> None:
        self._reader = reader
        self._pools = pools

    def states_of(self, job_id: str, key: str, after: int = 0) -> Mapping[State, int]:
        """Return how many runs of an instance are in each state."""
        return self._reader.instance_states(job_id, key, after)

    def checked(self, cond: BoundPolled) -> None:
        """Return None: checks are the waiter's, and what they find is in the run's log."""

    def pool(self, name: str) -> tuple[int, int | None]:
        """Return how much of a pool is taken, and its size."""
        query = RunQuery(states=tuple(OCCUPYING), limit=LOOKED_AT)
        places = (place for run in self._reader.query(query) for place in pools_of(run.conds))
        used = sum(place.weight for place in places if place.name == name)
        return used, self._pools.get(name)


def waits_for(run: Run, log: list[LogLine], facts: StoreFacts, now_us: int) -> list[Wanted]:
    """Return what each condition of a waiting run comes to, in their order; of others, nothing.

    What was passed stays passed, whatever became of it since: the run's log says how far it got.
    """
    if run.state is not State.WAITING:
        return []
    noted = {line["message"] for line in log}
    started = [UNTIL + condition_words(cond) in noted for cond in run.conds]
    found = list(wanted(run, facts, now_us))
    last = max((place for place, begun in enumerate(started) if begun), default=-1)
    for place, cond in enumerate(run.conds):
        if place < last and started[place] and not isinstance(cond, BoundGuard | BoundNotAfter):
            found[place] = replace(found[place], met=True, reason="passed")
    if last >= 0 and found[last].met is None:
        found[last] = replace(found[last], reason=_found_lacking(log) or found[last].reason)
    return found


def _found_lacking(log: list[LogLine]) -> str:
    """Return what the last check of the present condition found, empty before the first."""
    for line in reversed(log):
        if line["message"].startswith(NOT_YET):
            return str(line["message"][len(NOT_YET) :])
        if line["message"].startswith(UNTIL):
            break
    return ""


def why(
    run: Run,
    log: list[LogLine],
    waited: list[Wanted],
    now_us: int,
    pauses: list[Pause],
) -> list[str]:
    """Return some sentences; `log` are the run's lines in order, `waited` is by `waits_for`,
    `pauses` are those in force."""
    said = [_state_sentence(run, now_us)]
    if run.state is State.WAITING:
        said = _waiting(run, log, waited, now_us)
    if run.moved_from is not None:
        said.append(_put(run.moved_from, log))
    if run.held and run.backfill is not None:
        said.append(f"It is held: it starts when it is its turn in backfill b{run.backfill}.")
    elif run.held:
        said.append("It is held: it does not start until someone releases it.")
    if run.state is State.SCHEDULED and run.fingerprint is not None:
        covering = (one for one in pauses if one.covers(run.job_id, run.labels, run.schedule_us))
        said += [f"It will be skipped: {one.sentence}." for one in covering]
    if run.unreachable:
        said.append(
            f"Agent {run.agent_id or '(unknown)'} has not been heard of; the process may well be "
            "running, and its end will be reported when the agent is back."
        )
    if run.state is State.STARTING and log and log[-1]["kind"] == "noted":
        said.append(f"Its log says: {log[-1]['message']}.")
    if run.stop_asked and run.state is State.STARTING:
        said.append(
            "A stop was asked for: the run ends as soon as its agent says that it has not started "
            "it; if it has, it is stopped."
        )
    for kind, when in run.meta.get("deadlines", {}).items():
        said.append(f"It missed its deadline {kind}, which was {when['due']}.")
    if run.attempt > 1:
        said.append(f"This is attempt {run.attempt}.")
    return said


def _put(moved_from: MovedFrom, log: list[LogLine]) -> str:
    """Say who has put a run to another time, and why."""
    made = f"It was made for {format_time(moved_from.schedule_us)}, and put to another time"
    for line in reversed(log):
        if line["message"].startswith("rescheduled from "):
            reason = line["message"].partition(" to ")[2].partition(": ")[2]
            return f"{made} by {line['cause']}" + (f": {reason}." if reason else ".")
    return f"{made}."


def _state_sentence(run: Run, now_us: int) -> str:
    said = (run.message or "").removeprefix("lost: ")
    reason = f": {said}" if said else ""
    match run.state:
        case State.SCHEDULED if run.schedule_us > now_us:
            by = "its schedule" if run.fingerprint is not None else "request"
            verb = "is due" if run.held else "starts"
            return f"It {verb} at {format_time(run.schedule_us)}, by {by}."
        case State.SCHEDULED:
            return f"It was due at {format_time(run.schedule_us)} and has not been started yet."
        case State.WAITING:
            return "It waits to be started."
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
        case State.ERROR if State.STARTING not in run.times:
            return f"It ended before its program was started{reason}."
        case State.ERROR:
            return f"Its program could not be run{reason}."
        case State.SKIPPED:
            return f"It was skipped{reason}."
        case State.LOST:
            return f"Nobody knows what became of its program{reason}."


def _waiting(run: Run, log: list[LogLine], waited: list[Wanted], now_us: int) -> list[str]:
    if run.not_before_us is not None and run.not_before_us > now_us:
        until = format_time(run.not_before_us)
        if not run.attempts:
            return [f"It does not start before {until}: a blackout of its job lasts until then."]
        return [f"It waits until {until} before it is tried again."]
    since = {line["message"]: line["time"] for line in log}
    said = []
    for one in waited:
        if not one.met:
            begun = since.get(UNTIL + one.condition)
            time = f", since {begun}" if begun else ""
            said.append(f"It waits until {one.condition}{time}: {one.reason}.")
    return said or ["Nothing keeps it: it is about to be started."]
