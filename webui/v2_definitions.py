"""Endpoints of `/api/v2` that describe: job files by their schema, this API by OpenAPI.

What makes the descriptions is loaded when one is asked for, which on most servers nobody does: it
would be 0.2 MB of every one.
"""

from __future__ import annotations

import functools
from typing import Annotated, Any

from .declared import Sends
from .routing import Reply, Request, Route, encode


async def get_schema(_request: Request) -> dict[str, Any]:
    """The JSON Schema of job files."""
    from ..jobs.job_schema import job_schema

    return job_schema()


async def get_openapi(request: Request) -> Annotated[Reply, Sends(shape=dict[str, Any])]:
    """This description of the API: OpenAPI 3.1."""
    return Reply(_document(request.services.settings.version))


@functools.lru_cache(maxsize=1)
def _document(version: str) -> bytes:
    from .app import TABLE
    from .openapi import document

    return encode(document(TABLE.routes, version))


ROUTES = [
    Route("GET", "/api/v2/schema/job", get_schema),
    Route("GET", "/api/openapi.json", get_openapi),
]
