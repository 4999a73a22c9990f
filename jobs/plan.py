"""Plans: what another set of jobs would change, and by what a plan is known to be still true.

Called by the command line and the web for people, and by the scheduler to refuse a stale plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

DIGEST_CHARACTERS = 16


def set_digest(hashes: Mapping[str, str]) -> str:
    """Return the name of a set of jobs: equal sets of definitions have equal ones.

    Args:
        hashes: definition hash by job id.
    """
    digest = hashlib.sha256()
    for job_id in sorted(hashes):
        digest.update(f"{len(job_id)}:{job_id}{hashes[job_id]}".encode("utf-8", "replace"))
    return digest.hexdigest()[:DIGEST_CHARACTERS]


def plan_id(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return the id of the plan that leads from one set of jobs to another."""
    return f"{set_digest(before)}-{set_digest(after)}"


def staleness(plan: str, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return why a plan may not be carried out, empty when it may.

    Args:
        plan: its id.
        before: the set in force, definition hash by job id.
        after: the set that would come into force.
    """
    from_digest, _, to_digest = plan.partition("-")
    if from_digest != set_digest(before):
        return f"plan {plan} is stale: other jobs are in force than when it was made: plan anew"
    if to_digest != set_digest(after):
        return f"plan {plan} is stale: the job folder holds other jobs than it was made for"
    return ""
