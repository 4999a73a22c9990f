"""Meeting: who speaks, in which version, and what a role needs to go on.

A role says `Hello` to the ledger at its start, after every new epoch it hears of on the feed, and
when it finds itself out of step. The ledger answers with that role's own welcome; nothing else is
needed to go on (rule I4). Every ledger welcome carries `epoch` and `seq`; a workload also the
`incarnation` of the `Hello` it answers, so that one for an earlier life is not taken for ours.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..jobs.run import Run
from ..jobs.times import Instant

# Raised when a field goes or changes its meaning; a peer of another major version is refused.
PROTOCOL_VERSION = 1


# The life of a runner as the ledger tells it apart: the ledger's epoch, and which of the runners it
# has met in it. Only who has received a welcome knows that welcome's session.
Session = tuple[int, int]


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="Hello"):
    """`role` is the sender's address; `incarnation` differs at each of its starts."""

    role: str
    version: int = PROTOCOL_VERSION
    incarnation: str = ""


class Refuse(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="Refuse"):
    """The peer may not go on; `sentence` says why (protocol version, unknown role)."""

    sentence: str


class ScheduleRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A schedule in force: its horizon is `written_upto_us`, moved with the runs it covers.

    `definition` is the hash of the job's definition that holds it. `spec` is the schedule itself as
    plain MessagePack data. `valid_to_us` None: open.
    """

    job_id: str
    fingerprint: str
    definition: str
    valid_from_us: Instant
    written_upto_us: Instant
    valid_to_us: Instant | None = None
    spec: Any = None


class DueRow(msgspec.Struct, frozen=True, array_like=True):
    """A scheduled run as the docket holds it."""

    run_id: str
    schedule_us: int
    job_id: str


class SchedulerWelcome(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="SchedulerWelcome"
):
    """Ledger → scheduler: what is in force and what is on the docket.

    Large sets come in several of these; `last` is true on the final one, and each restarts nothing:
    `part` counts from 0. `jobs` maps job id to definition hash in force; `ad_hoc` carries the
    encoded ad hoc jobs by id (folder jobs are read from the folder). `since_us`: never schedule
    from before this (creation time of the database or what `--since` gave).
    """

    epoch: int
    seq: int
    part: int
    last: bool
    jobs_version: int
    since_us: int
    jobs: dict[str, str] = {}
    ad_hoc: dict[str, bytes] = {}
    schedules: list[ScheduleRow] = []
    due: list[DueRow] = []
    first_id: int = 0
    id_count: int = 0
    incarnation: str = ""


class RunnerWelcome(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="RunnerWelcome"
):
    """Ledger → runner: every run that is starting, running or stopping.

    With `epoch`, `session` is the `Session` of this runner from now on.
    """

    epoch: int
    seq: int
    session: int = 0
    part: int
    last: bool
    runs: list[Run]
    incarnation: str = ""


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="Welcome"):
    """Ledger → waiter, responder, checker, web: you are known; read the store, follow the feed."""

    epoch: int
    seq: int
