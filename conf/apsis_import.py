"""What becomes of an Apsis installation here: its settings and its job folder, key by key.

Called by `callsheetctl import apsis`; it reads and reports, and changes nothing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..jobs.job import Job
from ..jobs.programs import Process, Shell
from .check import lint_folder
from .folder import FileProblem, load_folder
from .settings import Settings, load_settings
from .yaml_reader import YamlError, read_yaml
from .yaml_writer import write_yaml

SQLITE = b"SQLite format 3\0"
# Keys that mean the same here.
SAME = (
    "job_dir",
    "runs.lookback",
    "runs_lookback",
    "database.timeout",
    "schedule.horizon",
    "schedule.since",
    "schedule.max_age",
    "waiting.max_time",
    "action",
    "program.timeout",
    "adhoc.enabled",
    "smtp",
    "procstar.agent.connection.start_timeout",
    "procstar.agent.sudo.argv",
)
# Keys without an effect here, and why.
OTHERWISE = {
    "procstar.agent.enable": "a local agent always runs; agents of other hosts are callsheet's own",
    "procstar.agent.server": "procstar agents cannot connect: start callsheet's agent on the hosts",
    "procstar.agent.connection.reconnect_timeout": (
        "a silent agent's runs are shown as unreachable, never given up"
    ),
    "procstar.agent.run": "output and progress are always live",
    "procstar.agent.resource_defaults": "give mem_max_gb in the jobs themselves",
    "procstar.agent.ecs": "there are no ECS agents: runs of procstar-ecs jobs end in error",
    "python": "has no effect",
    "host_groups": "start agents of a group on the hosts of each that jobs name as their host",
}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `problems` are errors and warnings of the job folder, by place."""

    settings: Settings
    same: tuple[str, ...]
    differs: tuple[str, ...]
    problems: tuple[FileProblem, ...]
    job_count: int

    @property
    def usable(self) -> bool:
        """Whether a server could start with it."""
        return all(problem.severity == "warning" for problem in self.problems)


def inspect(config: Path, now_us: int) -> Report:
    """Return what becomes of an installation.

    Args:
        config: its configuration file.
        now_us: the time from which its jobs are tried.

    Raises:
        SettingsError: the configuration cannot be used.
    """
    settings = load_settings(config)
    data = read_yaml(config.read_bytes(), str(config)).value or {}
    loaded = load_folder(settings.job_dir)
    problems = lint_folder(settings.job_dir, now_us)
    differs = [*_keys(data, settings), *_jobs(loaded.jobs), *_files(settings.job_dir)]
    return Report(
        settings=settings,
        same=tuple(key for key in SAME if _has(data, key)),
        differs=tuple(differs),
        problems=tuple(problems),
        job_count=len(loaded.jobs),
    )


def settings_text(config: Path, report: Report) -> str:
    """Return settings for this server with all that means the same, as a file's text."""
    data = read_yaml(config.read_bytes(), str(config)).value or {}
    kept: dict[str, Any] = {
        "job_dir": str(report.settings.job_dir),
        "database": str(config.absolute().parent / "callsheet.db"),
    }
    for key in SAME:
        if not _has(data, key) or key in ("job_dir", "runs_lookback", "database.timeout"):
            continue
        *sections, name = key.split(".")
        inner = kept
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[name] = _at(data, key)
    if _has(data, "runs_lookback") and not _has(data, "runs.lookback"):
        kept.setdefault("runs", {})["lookback"] = data["runs_lookback"]
    if _has(data, "database.timeout"):
        kept["database"] = {"path": kept["database"], "timeout": _at(data, "database.timeout")}
    return f"# From {config.name}, an Apsis configuration.\n{write_yaml(kept)}"


# --- inside -------------------------------------------------------------------------------------


def _keys(data: Mapping[str, Any], settings: Settings) -> Iterator[str]:
    if _is_database(settings.database.path):
        yield (
            f"database: {settings.database.path} is Apsis's own and stays as it is: a new one is "
            "made beside it, and run ids begin anew"
        )
    if not _has(data, "adhoc.enabled"):
        yield (
            "adhoc.enabled: is not given: newer versions of Apsis take no ad hoc jobs then, here "
            "they are taken: give false to take none"
        )
    for key, reason in OTHERWISE.items():
        if _has(data, key):
            yield f"{key}: {reason}"
    for key, near in settings.unknown:
        hint = f": did you mean {near}?" if near else ""
        yield f"{key}: is not known and ignored{hint}"


def _jobs(jobs: Mapping[str, Job]) -> Iterator[str]:
    groups: Counter[str] = Counter()
    users: Counter[str] = Counter()
    for job in jobs.values():
        if isinstance(job.program, Process | Shell):
            groups[job.program.group_id] += 1
            if job.program.sudo_user is not None:
                users[job.program.sudo_user] += 1
    for group, count in sorted(groups.items()):
        if group != "default":
            yield f"jobs: {count} run on agents of group {group}: start callsheet agents of it"
    if users:
        named = ", ".join(sorted(users))
        yield f"jobs: {sum(users.values())} run as other users ({named}): the agents' hosts decide"


def _files(folder: Path) -> Iterator[str]:
    """Yield what the files themselves say that is read in another way than it is written."""
    forms: Counter[str] = Counter()
    for path in sorted(folder.rglob("*.yaml")):
        if path.name.startswith("."):
            continue
        try:
            data = read_yaml(path.read_bytes(), str(path)).value
        except (OSError, YamlError):
            continue  # It is among the problems.
        program = data.get("program") if isinstance(data, Mapping) else None
        match program:
            case str() | list():
                forms["written as a string or a list"] += 1
            case {"type": "program" | "shell" as kind}:
                forms[f"of type {kind}"] += 1
    for form, count in sorted(forms.items()):
        yield f"jobs: {count} programs {form}: Apsis dropped that form, here it runs on an agent"


def _has(data: Any, key: str) -> bool:
    return _at(data, key) is not None


def _at(data: Any, key: str) -> Any:
    for part in key.split("."):
        data = data.get(part) if isinstance(data, Mapping) else None
    return data


def _is_database(path: str | os.PathLike[str]) -> bool:
    """Whether there is an SQLite file that is not this server's."""
    try:
        with open(path, "rb") as file:
            head = file.read(72)
    except OSError:
        return False
    return head.startswith(SQLITE) and head[68:72] != b"call"
