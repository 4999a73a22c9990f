"""Which attempts of an agent have a cgroup, and what is done to it: made, killed, read, removed.

Part of the local host, on agentd's one thread. It knows attempts; `cgroups.py` knows files.
"""

from __future__ import annotations

import os

from msgspec import UNSET

from ..jobs.programs import BoundProcess, Limits
from .cgroups import Cgroups, said_of
from .host import Exit, Key, Spec


class Grouped:
    """See the module. An attempt without a group is none of its business, and asking is free."""

    def __init__(self, cgroups: Cgroups) -> None:
        self._cgroups = cgroups
        self._specs: dict[Key, Spec] = {}
        self._left: set[str] = set()

    def take(self, key: Key, spec: Spec) -> None:
        """Take up an attempt that was started, here or by an agentd before this one."""
        if spec.cgroup:
            self._specs[key] = spec

    def make(self, key: Key, spec: Spec) -> None:
        """Make the group of an attempt that is about to be started.

        Raises:
            OSError: it cannot be made as it is asked for.
        """
        if spec.cgroup:
            self._left.discard(spec.cgroup)
            self._cgroups.make(spec.cgroup, limits_of(spec.program) or Limits())
            self._specs[key] = spec

    def kill(self, key: Key) -> None:
        """Kill all processes of an attempt at once, whosever they are."""
        if key in self._specs:
            self._cgroups.kill(self._specs[key].cgroup)

    def measured(self, key: Key, exit_: Exit) -> Exit:
        """Return an exit with what the whole group has used, and why some of it was killed."""
        spec = self._specs.get(key)
        if spec is None or exit_.error:
            return exit_
        usage = self._cgroups.usage(spec.cgroup)
        said = said_of(limits_of(spec.program) or Limits(), usage)
        rusage = {**exit_.rusage, **usage}
        return exit_._replace(rusage=rusage, remarks=(*exit_.remarks, *said))

    def forget(self, key: Key) -> None:
        """The claim of an attempt goes, and with it its group."""
        spec = self._specs.pop(key, None)
        if spec is not None:
            self._left.add(spec.cgroup)
            self.clean()

    def clean(self) -> None:
        """Remove the groups that nobody needs; those with stray processes stay."""
        self._left = {path for path in self._left if not self._cgroups.remove(path)}

    def sweep(self, prefix: str) -> None:
        """Remove what an agentd before this one has left, of groups whose names begin so."""
        known = {os.path.basename(spec.cgroup) for spec in self._specs.values()}
        self._cgroups.sweep(prefix, known)


def limits_of(program: BoundProcess) -> Limits | None:
    """Return what a program may use, None for one that has no group of its own."""
    return None if program.launch is UNSET else program.launch.limits


def grouping(program: BoundProcess, cgroups: Cgroups, name: str) -> tuple[str, str, str]:
    """Say how a program's limits are held.

    Returns:
        The path of its group, a remark that it has none though it should, and why it may not be
        started at all; each empty where it does not apply.
    """
    limits = limits_of(program)
    if limits is None:
        return "", "", ""
    why_not = cgroups.why_not_for(limits)
    if not why_not:
        return cgroups.path(name), "", ""
    if limits.policy == "try":
        return "", f"limits are not held: {why_not}", ""
    return "", "", f"limits: cannot be held: {why_not}"
