"""Endpoints of `/api/v2` about what job files are: their schema."""

from __future__ import annotations

from typing import Any

from ..jobs.job_schema import job_schema
from .routing import Request, Route


async def get_schema(_request: Request) -> Any:
    """The JSON Schema of job files."""
    return job_schema()


ROUTES = [
    Route("GET", "/api/v2/schema/job", get_schema),
]
