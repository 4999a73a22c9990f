"""Who is let through to what: the table of rights, applied to a request.

Called by the handlers of the API and of the sockets before anything else happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from ..jobs.run import Run, run_number
from ..jobs.run_filter import RunFilter
from ..messages.access import NoteRefusal, named
from .guests import Caller, Guest, guest_of, unknown
from .rights import Need
from .routing import Problem
from .security import SAFE_METHODS
from .services import Services, definition_of

NOT_LOGGED_IN = "nobody is known to ask: expected a log-in, or a token (CALLSHEET_TOKEN)"


async def let_in(
    services: Services, caller: Caller, need: Need, path: str, params: Mapping[str, str]
) -> Guest | None:
    """Return who asks, None where anyone may.

    Args:
        path: what is asked for, as the table has it.
        params: the parts of the path.
    Raises:
        Problem: 401, nobody is known to ask; 403, the role is not enough; 404, what the path names
            is out of reach.
    """
    if need.role is None:
        return None
    guest = await guest_of(services, caller)
    if guest is None:
        raise unknown(NOT_LOGGED_IN)
    try:
        check_role(guest, need)
        if guest.access.labels and "run_id" in params:
            await check_run(services, guest, params["run_id"])
        if guest.access.labels and "job_id" in params:
            await check_job(services, guest, params["job_id"])
    except Problem as problem:
        if caller.method not in SAFE_METHODS:
            await note(services, guest, f"{caller.method} {path}", params, problem)
        raise
    return guest


def check_role(guest: Guest, need: Need) -> None:
    """Refuse who is not enough.

    Raises:
        Problem: 403.
    """
    role = guest.access.role
    if need.role is not None and not role.covers(need.role):
        raise Problem(403, f"{guest.name} is {named(role)}: expected {named(need.role)}")
    if guest.access.labels and not need.scoped:
        raise Problem(403, out_of_reach(guest))


async def check_run(services: Services, guest: Guest, run_id: str) -> None:
    """Refuse a run that has none of the guest's labels, as if there were none.

    Raises:
        Problem: 404.
    """
    if run_number(run_id) is None:
        raise Problem(404, f"unknown run {run_id[:100]}")
    check_reach(guest, await services.run(run_id))


async def check_job(services: Services, guest: Guest, job_id: str) -> None:
    """Refuse a job that has none of the guest's labels, as if there were none.

    It is to be named whole: words of an id would tell what the others are called.

    Raises:
        Problem: 404.
    """
    _, job = await services.read(lambda reader: definition_of(reader, job_id))
    if not reaches(guest, job.labels):
        raise Problem(404, f"no job_id {job_id}")


def reaches(guest: Guest | None, labels: Iterable[str]) -> bool:
    """Return whether a guest reaches what has these labels."""
    own = guest.access.labels if guest is not None else ()
    return not own or not set(own).isdisjoint(labels)


def within_reach(guest: Guest | None, wanted: RunFilter) -> RunFilter:
    """Return a filter narrowed to what the guest reaches."""
    if guest is None or not guest.access.labels:
        return wanted
    return replace(wanted, labels=(*wanted.labels, guest.access.labels))


def check_reach(guest: Guest | None, run: Run) -> Run:
    """Return the run.

    Raises:
        Problem: 404, it has none of the guest's labels: as if there were none.
    """
    if not reaches(guest, run.labels):
        raise Problem(404, f"unknown run {run.run_id}")
    return run


def out_of_reach(guest: Guest) -> str:
    """Return why something is refused to who reaches only certain labels."""
    return f"{guest.name} reaches only what has a label of: {', '.join(guest.access.labels)}"


async def note(
    services: Services, guest: Guest, act: str, params: Mapping[str, str], problem: Problem
) -> None:
    """Have a refused change put on record; when nobody records, it is refused all the same."""
    target = " ".join(params.values())
    wish = NoteRefusal(act=act, target=target[:200], sentence=problem.sentence)
    services.note(guest.name, guest.access, wish)
