"""What a run may use of its host: the key `limits` of a program.

Read and written back here. Called by `parse_launch.py`; what holds the limits is the agent's.
"""

from __future__ import annotations

import math
import re
from typing import Any

from .errors import UserError
from .programs import LIMIT_POLICIES, Limits
from .reading import At, Fields, shown, text

SIZE = r"\s*(\d+(?:\.\d+)?)\s*([kKMGT](?:i?B)?|B)\s*"
_SIZE = re.compile(rf"{SIZE}\Z", re.ASCII)
_UNITS: dict[str, int] = {
    "B": 1,
    **{f"{unit}B": 1000 ** (n + 1) for n, unit in enumerate("kMGT")},
    **{f"{unit}iB": 1024 ** (n + 1) for n, unit in enumerate("kMGT")},
    # As systemd, docker and the sizes of outputs have it.
    **{unit: 1024 ** (n + 1) for n, unit in enumerate("kMGT")},
}
# Less is not enough for a process to begin; more than any host has.
MEMORY_AT_LEAST, MEMORY_AT_MOST = 2**20, 2**50
# The kernel takes no smaller part of a CPU than 1 ms in 100.
CPU_AT_LEAST, CPU_AT_MOST = 0.01, 10_000
PIDS_AT_MOST = 2**22


def read_limits(value: Any, at: At) -> Limits:
    """Read a mapping of limits; an empty one limits nothing, and what is used is measured."""
    fields = Fields(value, at)
    found = Limits(
        memory_max=fields.take("memory_max", _memory, None),
        cpu_max=fields.take("cpu_max", _cpus, None),
        pids_max=fields.take("pids_max", _pids, None),
        policy=fields.take("policy", _policy, LIMIT_POLICIES[0]),
    )
    fields.finish()
    return found


def limits_data(limits: Limits) -> dict[str, Any]:
    """Return the key's value as written in a job, what is at its default left out."""
    found: dict[str, Any] = {}
    if limits.memory_max is not None:
        found["memory_max"] = limits.memory_max
    if limits.cpu_max is not None:
        found["cpu_max"] = limits.cpu_max
    if limits.pids_max is not None:
        found["pids_max"] = limits.pids_max
    if limits.policy != LIMIT_POLICIES[0]:
        found["policy"] = limits.policy
    return found


def parse_size(value: Any) -> int:
    """Return a size in bytes: a whole number of them, or a text like `512 MB`, `2 GiB` or `2G`.

    Raises:
        UserError: it is neither.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.match(value) if isinstance(value, str) else None
    if match is None:
        raise UserError(f"{shown(value)}: expected bytes, or a size like 512 MB, 2 GiB or 2G")
    unit = match[2].replace("K", "k")
    return round(float(match[1]) * _UNITS[unit])


def _memory(value: Any, _at: At) -> int:
    found = parse_size(value)
    if not MEMORY_AT_LEAST <= found <= MEMORY_AT_MOST:
        raise UserError(f"{shown(value)}: expected 1 MiB or more, and no more than 1024 TiB")
    return found


def _cpus(value: Any, _at: At) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{shown(value)}: expected a number of CPUs, such as 1.5")
    if not CPU_AT_LEAST <= value <= CPU_AT_MOST:
        raise UserError(f"{value}: expected {CPU_AT_LEAST} to {CPU_AT_MOST} CPUs")
    return float(value)


def _pids(value: Any, _at: At) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{shown(value)}: expected a whole number")
    if not 1 <= value <= PIDS_AT_MOST:
        raise UserError(f"{value}: expected 1 to {PIDS_AT_MOST} processes")
    return value


def _policy(value: Any, at: At) -> str:
    found = text(value, at)
    if found not in LIMIT_POLICIES:
        raise UserError(f"{shown(value)}: expected one of {', '.join(LIMIT_POLICIES)}")
    return found
