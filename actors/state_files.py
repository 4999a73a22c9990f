"""The files in which the supervisor says who is who among its processes, and how they are.

For `doctor`, for a server that is started beside it, for tests and people; they are there as long
as the server is. Only the supervisor writes them.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from .supervisor import Supervisor

log = logging.getLogger("callsheet.supervisor")

PROCESSES = "processes.json"
HEALTH = "health.json"


class StateFiles:
    """Both files in one folder; they are written when what they say has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[str, str] = {}

    def write(self, core: Supervisor) -> None:
        """Say who is who (role to pid) and how they are."""
        kept = core.kept.items()
        pids = {role: one.pid for role, one in kept if one.pid is not None}
        health = {
            "ready": core.announced,
            "degraded": core.degraded,
            "roles": {
                role: {
                    "pid": one.pid,
                    "ready": one.ready,
                    "starts": one.starts,
                    "detail": one.detail,
                }
                for role, one in kept
            },
        }
        self._write(PROCESSES, {"supervisor": os.getpid(), **pids})
        self._write(HEALTH, health)

    def unlink(self) -> None:
        """Say nothing any more."""
        for name in (PROCESSES, HEALTH):
            (self._folder / name).unlink(missing_ok=True)

    def _write(self, name: str, content: dict[str, Any]) -> None:
        text = json.dumps(content, indent=1) + "\n"
        if self._written.get(name) == text:
            return
        self._written[name] = text
        part = self._folder / f".{name}.part"
        try:
            part.write_text(text)
            part.replace(self._folder / name)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._folder / name, error.strerror)
