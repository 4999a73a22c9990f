"""Endpoints of `/api/v2` about the sanity checker: what it has found, and a round of it now."""

from __future__ import annotations

from typing import Annotated, TypedDict

import msgspec
from msgspec import Meta

from ..jobs.findings import REMEDIES, CheckRound
from ..jobs.times import format_time_ms
from ..messages.wishes import RunChecks
from ..store.interface import Reader
from .records import finding_record, instant
from .routing import Request, Route
from .shapes import Checks, FindingRecord, Instant

# Closed findings and rounds that are shown, unless somebody asks for another number.
SHOWN = 50
MOST_SHOWN = 1_000


class RoundRecord(TypedDict):
    """A round of checks: the kinds it looked for and those it had to leave out, as somebody did not
    answer; how many findings it opened and closed, and how many were open then."""

    began: Instant
    at: Instant
    checks: list[str]
    left_out: list[str]
    opened: int
    closed: int
    open: int


class AllChecks(Checks):
    """The checker's open findings, those closed last, its last rounds, the newest first, and all
    kinds of findings there are."""

    closed: list[FindingRecord]
    rounds: list[RoundRecord]
    kinds: list[str]


class Asked(TypedDict):
    """A round that begins at `asked` or later is of what was so then."""

    asked: Instant


class ChecksQuery(msgspec.Struct, forbid_unknown_fields=True):
    """How many closed findings and rounds are wanted."""

    limit: Annotated[int, Meta(ge=0, le=MOST_SHOWN)] = SHOWN


async def list_checks(request: Request, query: ChecksQuery) -> AllChecks:
    """What the sanity checker has found: what is so, what is not so any more, and its rounds."""

    def read(reader: Reader) -> AllChecks:
        so = checks_of(reader)
        return {
            "checked_at": so["checked_at"],
            "findings": so["findings"],
            "closed": [finding_record(one) for one in reader.closed_findings(query.limit)],
            "rounds": [_round_record(one) for one in reader.check_rounds(query.limit)],
            "kinds": list(REMEDIES),
        }

    return await request.services.read(read)


async def run_checks(request: Request) -> Asked:
    """Have a round of checks made now, without waiting for it."""
    done = await request.services.wish(request, RunChecks())
    return {"asked": format_time_ms(done.result["asked_us"])}


def checks_of(reader: Reader) -> Checks:
    """Return the checker's open findings."""
    at_us, findings = reader.findings()
    return {
        "checked_at": instant(at_us),
        "findings": [finding_record(finding) for finding in findings],
    }


def _round_record(one: CheckRound) -> RoundRecord:
    return {
        "began": format_time_ms(one.began_us),
        "at": format_time_ms(one.at_us),
        "checks": one.checks,
        "left_out": one.left_out,
        "opened": one.opened,
        "closed": one.closed,
        "open": one.open,
    }


ROUTES = [
    Route("GET", "/api/v2/checks", list_checks),
    Route("POST", "/api/v2/checks", run_checks),
]
