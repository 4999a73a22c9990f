"""Groups of processes with limits: a cgroup (version 2) for each attempt whose job asks for one.

Owned by agentd, called by `daemon.py` and `local.py`. The groups stand side by side in one folder,
the *base*: what `--cgroup` names, or the parent of agentd's own group where that is called
`callsheet` (systemd's `Delegate=yes` with `DelegateSubgroup=callsheet`). agentd is in none of them.
A group outlives agentd as its processes do, and goes with its claim. It must never touch a group
that it has not made, and never let a run think that it is limited where it is not.
Source: docs.kernel.org/admin-guide/cgroup-v2.html.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from ..jobs.programs import Limits

LEAF = "callsheet"
NONE = "none"
CONTROLLERS = ("memory", "cpu", "pids")
CPU_PERIOD_US = 100_000
# Kernels before 5.14 have no `cgroup.kill`: the processes are signalled until none is left.
KILL_ROUNDS = 20
_HOW = "expected --cgroup, or systemd's Delegate=yes and DelegateSubgroup=callsheet"


class Cgroups:
    """See the module. `base` empty: there are none, and `why_not` says why."""

    def __init__(self, base: str, controllers: frozenset[str], why_not: str) -> None:
        self.base = base
        self.why_not = why_not
        self._controllers = controllers

    @classmethod
    def find(cls, option: str | None, own: str | None = None) -> Cgroups:
        """Return the groups of this host.

        Args:
            option: path of the base, `none`, or None for where agentd was put.
            own: path of the group agentd is in; None: asked of the kernel.
        """
        if option == NONE:
            return cls("", frozenset(), "it is told to have no cgroups (--cgroup none)")
        base = option
        if base is None:
            own = own_group() if own is None else own
            if not own or os.path.basename(own) != LEAF:
                return cls("", frozenset(), f"agentd has no cgroup for them: {_HOW}")
            base = os.path.dirname(own)
        base = os.path.normpath(base)
        above = os.path.dirname(base)
        try:
            if option is not None and _is_group(above):
                with contextlib.suppress(FileExistsError):
                    os.mkdir(base, 0o755)
                _enable(above)
            if not _is_group(base):
                return cls("", frozenset(), f"{base} is no cgroup of version 2: {_HOW}")
            found = _enable(base)
        except OSError as error:
            return cls("", frozenset(), f"{base} cannot be used: {error.strerror}: {_HOW}")
        return cls(base, found, "")

    def why_not_for(self, limits: Limits) -> str:
        """Return why these limits cannot be held here, empty when they can."""
        if self.why_not:
            return self.why_not
        wanted = {
            "memory": limits.memory_max,
            "cpu": limits.cpu_max,
            "pids": limits.pids_max,
        }
        missing = [n for n, value in wanted.items() if value is not None and self._lacks(n)]
        if missing:
            return f"{self.base} has no controller for {', '.join(missing)}"
        return ""

    def _lacks(self, controller: str) -> bool:
        return controller not in self._controllers

    # --- one group ------------------------------------------------------------------------------

    def path(self, name: str) -> str:
        """Return where the group of a name is."""
        return f"{self.base}/{name}"

    def make(self, path: str, limits: Limits) -> None:
        """Make a group, or take it as it is; then set its limits.

        Raises:
            OSError: it cannot be made, or a limit not be set.
        """
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o755)
        if limits.memory_max is not None:
            _write(f"{path}/memory.max", str(limits.memory_max))
            # Else what does not fit would be swapped out, and the limit be none.
            _write_if_there(f"{path}/memory.swap.max", "0")
        if "memory" in self._controllers:
            # A run that lacks some of its processes is of no use to anybody.
            _write_if_there(f"{path}/memory.oom.group", "1")
        if limits.cpu_max is not None:
            _write(f"{path}/cpu.max", f"{round(limits.cpu_max * CPU_PERIOD_US)} {CPU_PERIOD_US}")
        if limits.pids_max is not None:
            _write(f"{path}/pids.max", str(limits.pids_max))

    def kill(self, path: str) -> bool:
        """SIGKILL all processes of a group, also those that are just being made; False when there
        is no such group."""
        try:
            _write(f"{path}/cgroup.kill", "1")
        except FileNotFoundError:
            return os.path.isdir(path) and self._kill_each(path)
        except OSError:
            return False
        return True

    def _kill_each(self, path: str) -> bool:
        for _ in range(KILL_ROUNDS):
            pids = _read(f"{path}/cgroup.procs").split()
            if not pids:
                return True
            for pid in pids:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(int(pid), signal.SIGKILL)
        return True

    def usage(self, path: str) -> dict[str, float]:
        """Return what all processes of a group have used, as far as the kernel tells: `memory_peak`
        and `memory_max` (bytes), `cpu` and `cpu_throttled` (seconds), `pids_peak`; how often the
        memory was not enough (`oom_events`) or somebody was killed for it (`oom_kills`), and a
        process could not be made (`pids_refused`)."""
        found: dict[str, float] = {}
        for name, file in (
            ("memory_peak", "memory.peak"),
            ("memory_max", "memory.max"),
            ("pids_peak", "pids.peak"),
        ):
            text = _read(f"{path}/{file}").strip()
            if text.isdigit():
                found[name] = int(text)
        events = _table(f"{path}/memory.events")
        for name, key in (("oom_events", "oom"), ("oom_kills", "oom_kill")):
            if key in events:
                found[name] = events[key]
        if "max" in (refused := _table(f"{path}/pids.events")):
            found["pids_refused"] = refused["max"]
        cpu = _table(f"{path}/cpu.stat")
        for name, key in (("cpu", "usage_usec"), ("cpu_throttled", "throttled_usec")):
            if key in cpu:
                found[name] = cpu[key] / 1e6
        return found

    def remove(self, path: str) -> bool:
        """Remove a group; False while there are processes in it."""
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def sweep(self, prefix: str, known: set[str]) -> None:
        """Remove the groups of a prefix that no claim has; those with processes stay."""
        if not self.base:
            return
        with contextlib.suppress(OSError):
            for name in os.listdir(self.base):
                if name.startswith(prefix) and name not in known:
                    self.remove(self.path(name))


def own_group(proc: str = "/proc/self") -> str:
    """Return the path of the cgroup (version 2) this process is in, empty when there is none."""
    inside = ""
    for line in _read(f"{proc}/cgroup").splitlines():
        if line.startswith("0::"):
            inside = line[3:]
    if not inside:
        return ""
    for line in _read(f"{proc}/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        if not after.startswith("cgroup2 "):
            continue
        root, point = (_unescaped(word) for word in before.split(" ")[3:5])
        below = os.path.relpath(inside, root)
        if not below.startswith(".."):
            return os.path.normpath(os.path.join(point, below))
    return ""


def said_of(limits: Limits, usage: dict[str, float]) -> list[str]:
    """Return what people should know of a run that came to its limits, in sentences."""
    said = []
    if usage.get("oom_kills"):
        if limits.memory_max is not None and usage.get("oom_events"):
            said.append(f"out of memory: it has a memory_max of {size_words(limits.memory_max)}")
        else:
            said.append("out of memory: its host, or what it belongs to there, had no more")
    if usage.get("pids_refused") and limits.pids_max is not None:
        said.append(f"out of processes: it has a pids_max of {limits.pids_max}")
    return said


def size_words(size: int) -> str:
    """Return a number of bytes in the largest unit that leaves a whole number."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size and size % 2**power == 0:
            return f"{size >> power} {unit}"
    for power, unit in ((9, "GB"), (6, "MB"), (3, "kB")):
        if size and size % 10**power == 0:
            return f"{size // 10**power} {unit}"
    return f"{size} bytes"


def _is_group(path: str) -> bool:
    return os.path.exists(f"{path}/cgroup.controllers")


def _enable(group: str) -> frozenset[str]:
    """Let the groups inside a group have what controllers there are; return those they have."""
    path = Path(group, "cgroup.subtree_control")
    there = _read(f"{group}/cgroup.controllers").split()
    for name in CONTROLLERS:
        if name in there and name not in path.read_text().split():
            # Refused where others keep processes in the group itself.
            with contextlib.suppress(OSError):
                _write(str(path), f"+{name}")
    return frozenset(path.read_text().split())


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _write_if_there(path: str, text: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        _write(path, text)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _table(path: str) -> dict[str, int]:
    """Return a file of lines `name number`."""
    pairs = (line.split() for line in _read(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _unescaped(word: str) -> str:
    r"""Return a path of mountinfo, where blanks are written \040."""
    return word.encode().decode("unicode_escape").encode("latin-1").decode(errors="replace")
