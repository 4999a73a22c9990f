"""Ad hoc jobs as Apsis keeps them, as definitions of ours: so that their runs can be run again."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ..jobs.errors import CallsheetError
from ..jobs.parse import definition_hash, job_from_data
from ..messages.codec import encode
from ..messages.instructions import StoredDefinition
from .apsis_rows import BadRow

# Texts for people that stand beside what they tell of.
SAID = "str"


def definition_of(job_id: str, text: str) -> StoredDefinition:
    """Return the definition of an ad hoc job, without its schedules: nothing is to start by itself.

    Raises:
        BadRow: it is no job that can be read here.
    """
    what = f"ad hoc job {job_id}"
    try:
        data = json.loads(text)
    except (ValueError, TypeError):
        raise BadRow(what, "its JSON cannot be read") from None
    if not isinstance(data, dict):
        raise BadRow(what, "is no mapping")
    data = {key: _bare(value) for key, value in data.items() if key != "schedule"}
    try:
        job = job_from_data(data, job_id)
    except CallsheetError as error:
        raise BadRow(what, str(error)) from None
    job = msgspec.structs.replace(job, ad_hoc=True)
    return StoredDefinition(hash=definition_hash(job), job_id=job_id, body=encode(job))


def _bare(value: Any) -> Any:
    if isinstance(value, list):
        return [_bare(one) for one in value]
    if not isinstance(value, dict):
        return value
    is_part = "type" in value
    return {key: _bare(one) for key, one in value.items() if not (is_part and key == SAID)}
