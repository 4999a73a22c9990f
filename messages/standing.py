"""How the job folder stands: asked by the web, said by the scheduler."""

from __future__ import annotations

import msgspec

from .binding import FolderProblem

# Problems and job ids of one report; the counts say how many there are.
MOST_NAMED = 100


class AskStanding(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="AskStanding"):
    """Asker → scheduler. Who has asked is told again whenever the answer changes."""


class FolderStanding(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="Standing"
):
    """Scheduler → asker: the folder as it was looked at last, against the jobs in force.

    `problems` keep it from coming into force. `added`, `changed` and `removed` are job ids in
    which it differs; each list is cut, `different` counts them all. `looked_us` None: not yet.
    """

    watch: str = "off"
    looked_us: int | None = None
    problems: list[FolderProblem] = []
    problem_count: int = 0
    added: list[str] = []
    changed: list[str] = []
    removed: list[str] = []
    different: int = 0
