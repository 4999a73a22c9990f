"""What the runner tells the ledger of attempts that are placed: pure functions of an attempt.

Part of the runner's core, called by `runner_placing.py`.
"""

from __future__ import annotations

from ..jobs.programs import secrets_of
from ..messages.agents import ProcessLost
from ..messages.hello import Session
from ..messages.instructions import AttemptStarted, AttemptUpdated
from ..messages.post import LEDGER, Post
from .runner_agents import Agent
from .runner_book import Attempt

CALLED_OFF = "stopped before it was started"
FORGOTTEN = "lost: server and agent were rebooted, so whether it began is not known"


def running(attempt: Attempt, meta: dict[str, object] | None = None) -> AttemptStarted:
    """Return the report that a process runs."""
    assert attempt.started_us is not None, f"{attempt.key}: not started"
    return AttemptStarted(
        run_id=attempt.key[0],
        attempt=attempt.key[1],
        at_us=attempt.started_us,
        agent_id=attempt.agent_id,
        meta=meta or {},
    )


def unreachable(attempt: Attempt, session: Session) -> Post:
    """Return the report that the agent of a process is not heard of by the runner of a session."""
    run_id, number = attempt.key
    flag = AttemptUpdated(run_id=run_id, attempt=number, unreachable=True, session=session)
    return Post(LEDGER, flag)


def not_there(attempt: Attempt, now_us: int) -> ProcessLost:
    """The agent has no trace of a process that ran on it: nothing can be known of its end."""
    return ProcessLost(
        run_id=attempt.key[0],
        attempt=attempt.key[1],
        at_us=now_us,
        sentence=f"lost: agent {attempt.agent_id} has no record of the process",
    )


def rebooted(attempt: Attempt, now_us: int) -> ProcessLost:
    """The host of an agent was started anew, and the agent has no trace of an attempt it had."""
    return ProcessLost(
        run_id=attempt.key[0],
        attempt=attempt.key[1],
        at_us=now_us,
        sentence=f"lost: the host of agent {attempt.agent_id} was rebooted",
    )


def noted(attempt: Attempt, line: str) -> Post:
    """Return a line for the log of a run."""
    run_id, number = attempt.key
    return Post(LEDGER, AttemptUpdated(run_id=run_id, attempt=number, note=line))


def away(attempt: Attempt, agent: Agent) -> list[Post]:
    """Return a line for the log of a run, once, whose agent cannot be asked to start it: it may
    have been asked before, so that no other agent is."""
    given = f"agent {agent.agent_id}, to which it was given, is away"
    sentence = f"{given}: it starts when that is back"
    if attempt.refusal == sentence:
        return []
    attempt.refusal = sentence
    return [noted(attempt, sentence)]


# Agents of older versions would leave out, without a word, what a job says of how its process is
# launched, or which secrets it gets.
LAUNCHES_SINCE, SECRETS_SINCE = 3, 4
LAUNCHING = "stdin, limits, niceness, secrets or environment"
# Agents that a sentence names.
NAMED = 3


def no_slot(attempt: Attempt) -> str:
    """Return why a run has waited too long, with agents there."""
    group = attempt.program.group_id
    return f"start failed: {attempt.key[0]}: no free slot in group: {group}"


def no_agent(attempt: Attempt, resting: list[str]) -> str:
    """Return why a run has waited too long, without one; `resting` are there and get no runs."""
    group = attempt.program.group_id
    sentence = f"start failed: {attempt.key[0]}: no connected agent in group: {group}"
    if not resting:
        return sentence
    names = ", ".join(resting[:NAMED])
    more = f" and {len(resting) - NAMED} more" if len(resting) > NAMED else ""
    return f"{sentence} that gets runs; drained or about to end: {names}{more}"


def unknown(attempt: Attempt, now_us: int, why: str) -> ProcessLost:
    """Nobody can say how a process ends, or whether it was ever started."""
    what = "whether it was started" if attempt.started_us is None else "how it ends"
    run_id, number = attempt.key
    sentence = f"lost: {why}, so {what} is not known"
    return ProcessLost(run_id=run_id, attempt=number, at_us=now_us, sentence=sentence)


def is_too_old(attempt: Attempt, agent: Agent) -> bool:
    """Whether an agent would leave out what a job asks for."""
    since = SECRETS_SINCE if secrets_of(attempt.program) else LAUNCHES_SINCE
    return bool(attempt.program.launch) and agent.version < since


def too_old(attempt: Attempt, agent: Agent) -> str:
    """Return why a run is not given to an agent that would leave out what its job asks for."""
    unknown = "secrets" if agent.version >= LAUNCHES_SINCE else LAUNCHING
    return (
        f"start failed: {attempt.key[0]}: agent {agent.agent_id} speaks protocol version "
        f"{agent.version}, which knows no {unknown} of a job: expected an agent of this version"
    )
