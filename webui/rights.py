"""What each address of the server takes: the one table of routes and roles.

A route that is not here cannot be served: `Table` refuses to be built, and a test walks over all of
it. The ledger judges each change once more, by the same roles (`actors/ledger_rights.py`); what is
only read is judged here alone.
"""

from __future__ import annotations

from typing import NamedTuple

from ..messages.access import Role


class Need(NamedTuple):
    """`role` None: no log-in. `scoped`: also for who reaches only runs and jobs with certain
    labels; what the path names is then looked at first."""

    role: Role | None
    scoped: bool = False


ANYONE = Need(None, scoped=True)
_LOOK = Need(Role.VIEWER)
_LOOK_IN_REACH = Need(Role.VIEWER, scoped=True)
_ACT = Need(Role.OPERATOR)
_ACT_IN_REACH = Need(Role.OPERATOR, scoped=True)
_RULE = Need(Role.ADMIN)

_RUN = "/api/v1/runs/{run_id}"

RIGHTS: dict[tuple[str, str], Need] = {
    # No log-in: the server says only that it is there, and takes log-ins.
    ("GET", "/healthz"): ANYONE,
    ("GET", "/healthz/live"): ANYONE,
    ("GET", "/healthz/ready"): ANYONE,
    ("POST", "/api/v2/login"): ANYONE,
    # About oneself.
    ("GET", "/api/v2/me"): _LOOK_IN_REACH,
    ("POST", "/api/v2/logout"): _LOOK_IN_REACH,
    # Runs.
    ("GET", "/api/v1/runs"): _LOOK,
    ("POST", "/api/v1/runs"): _ACT_IN_REACH,
    ("GET", _RUN): _LOOK_IN_REACH,
    ("GET", f"{_RUN}/log"): _LOOK_IN_REACH,
    ("GET", f"{_RUN}/outputs"): _LOOK_IN_REACH,
    ("GET", f"{_RUN}/state"): _LOOK_IN_REACH,
    ("GET", f"{_RUN}/dependencies"): _LOOK,
    ("POST", f"{_RUN}/skip"): _ACT_IN_REACH,
    ("POST", f"{_RUN}/start"): _ACT_IN_REACH,
    ("POST", f"{_RUN}/rerun"): _ACT_IN_REACH,
    ("PUT", f"{_RUN}/stop"): _ACT_IN_REACH,
    ("POST", f"{_RUN}/stop"): _ACT_IN_REACH,
    ("PUT", f"{_RUN}/signal/{{signal}}"): _ACT_IN_REACH,
    ("POST", f"{_RUN}/signal/{{signal}}"): _ACT_IN_REACH,
    ("PUT", f"{_RUN}/mark/{{state}}"): _ACT_IN_REACH,
    ("POST", f"{_RUN}/mark/{{state}}"): _ACT_IN_REACH,
    ("GET", f"{_RUN}/output/{{output_id}}"): _LOOK_IN_REACH,
    ("GET", "/api/v2/runs"): _LOOK_IN_REACH,
    ("GET", "/api/v2/runs-by-time"): _LOOK_IN_REACH,
    ("GET", "/api/v2/runs-per-time"): _LOOK_IN_REACH,
    ("POST", "/api/v2/runs"): _ACT_IN_REACH,
    ("GET", "/api/v2/runs/{run_id}"): _LOOK_IN_REACH,
    ("POST", "/api/v2/runs/{run_id}/{verb}"): _ACT_IN_REACH,
    ("GET", "/api/v2/runs/{run_id}/chain"): _LOOK,
    ("GET", "/api/v2/runs/{run_id}/output/{output_id}"): _LOOK_IN_REACH,
    ("GET", "/api/v2/runs/{run_id}/output/{output_id}/raw"): _LOOK_IN_REACH,
    ("GET", "/api/v2/runs/{run_id}/outputs.zip"): _LOOK_IN_REACH,
    ("GET", "/api/v2/runs/{run_id}/reruns"): _LOOK_IN_REACH,
    ("GET", "/api/v2/operations"): _LOOK_IN_REACH,
    ("POST", "/api/v2/operations"): _ACT_IN_REACH,
    ("POST", "/api/v2/operations/preview"): _ACT_IN_REACH,
    ("GET", "/api/v2/operations/{operation_id}"): _LOOK_IN_REACH,
    ("POST", "/api/v2/operations/{operation_id}/stop"): _ACT_IN_REACH,
    # Jobs, and what they will do.
    ("GET", "/api/v1/jobs"): _LOOK_IN_REACH,
    ("GET", "/api/v1/jobs/{job_id*}/runs"): _LOOK_IN_REACH,
    ("GET", "/api/v1/jobs/{job_id*}"): _LOOK_IN_REACH,
    ("GET", "/api/v2/jobs"): _LOOK_IN_REACH,
    ("GET", "/api/v2/jobs/{job_id*}"): _LOOK_IN_REACH,
    ("GET", "/api/v2/schema/job"): _LOOK_IN_REACH,
    ("GET", "/api/openapi.json"): _LOOK_IN_REACH,
    ("GET", "/api/v2/calendars"): _LOOK,
    ("GET", "/api/v2/forecast"): _LOOK,
    ("GET", "/api/v2/day"): _LOOK_IN_REACH,
    ("GET", "/api/v2/timeline"): _LOOK_IN_REACH,
    ("GET", "/api/v2/history"): _LOOK_IN_REACH,
    ("GET", "/api/v2/graph"): _LOOK,
    ("GET", "/api/v2/plan"): _LOOK,
    ("GET", "/api/v2/definitions"): _LOOK,
    ("GET", "/api/v2/why"): _LOOK_IN_REACH,
    ("GET", "/api/v2/pauses"): _LOOK,
    ("POST", "/api/v2/pause"): _ACT,
    ("POST", "/api/v2/resume"): _ACT,
    ("GET", "/api/v2/backfills"): _LOOK,
    ("POST", "/api/v2/backfills"): _ACT,
    ("GET", "/api/v2/backfills/{backfill_id}"): _LOOK,
    ("POST", "/api/v2/backfills/{backfill_id}/stop"): _ACT,
    ("POST", "/api/v2/reload"): _ACT,
    ("POST", "/api/control/reload_jobs"): _ACT,
    # The server and its agents.
    ("GET", "/api/v1/alive"): _LOOK_IN_REACH,
    ("GET", "/api/v1/running"): _LOOK_IN_REACH,
    ("GET", "/api/v1/stats"): _LOOK,
    ("GET", "/api/control/version"): _LOOK_IN_REACH,
    ("GET", "/api/v2/health"): _LOOK,
    ("GET", "/api/v2/checks"): _LOOK,
    ("POST", "/api/v2/checks"): _ACT,
    ("GET", "/metrics"): _LOOK,
    ("POST", "/api/control/shut_down"): _RULE,
    ("GET", "/api/procstar/connections"): _LOOK,
    ("GET", "/api/procstar/groups"): _LOOK,
    ("GET", "/api/v2/agents"): _LOOK,
    ("GET", "/api/v2/agents/{agent_id}"): _LOOK,
    ("POST", "/api/v2/agents/tokens"): _RULE,
    ("POST", "/api/v2/agents/{agent_id}/drain"): _ACT,
    ("POST", "/api/v2/agents/{agent_id}/undrain"): _ACT,
    ("POST", "/api/v2/agents/{agent_id}/revoke"): _RULE,
    ("POST", "/api/v2/agents/{agent_id}/shutdown"): _RULE,
    ("POST", "/api/v2/agents/{agent_id}/forget"): _RULE,
    ("POST", "/api/v2/agents/{agent_id}/processes/{claim}/kill"): _ACT,
    # Who may come in, and what they did.
    ("GET", "/api/v2/tokens"): _RULE,
    ("POST", "/api/v2/tokens"): _RULE,
    ("POST", "/api/v2/tokens/{token_id}/revoke"): _RULE,
    ("GET", "/api/v2/users"): _RULE,
    ("POST", "/api/v2/users"): _RULE,
    ("POST", "/api/v2/users/{name}/change"): _RULE,
    ("POST", "/api/v2/users/{name}/remove"): _RULE,
    ("GET", "/api/v2/audit-log"): _RULE,
    # Sockets; `GET` is the upgrade.
    ("GET", "/api/v1/summary"): _LOOK,
    ("GET", f"{_RUN}/updates"): _LOOK_IN_REACH,
    ("GET", f"{_RUN}/output/{{output_id}}/updates"): _LOOK_IN_REACH,
    ("GET", "/api/v2/stream"): _LOOK_IN_REACH,
}


def need_of(method: str, path: str) -> Need:
    """Return what a route takes.

    Raises:
        AssertionError: nobody has said.
    """
    found = RIGHTS.get((method, path))
    assert found is not None, f"{method} {path}: has no rights in webui/rights.py"
    return found
