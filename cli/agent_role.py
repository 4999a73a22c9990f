"""The agent of the server's own host: a child of the supervisor, with what the settings say of it.

It is the program that agents of other hosts are, `callsheet-agentd`, played in a fork instead of
executed: its libraries are the server's too, and what it imports is shared (7 MB). Its keepers are
programs of their own, as everywhere, since they outlive it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..actors.roles import AGENT
from ..actors.titles import set_title
from ..agentd import daemon
from ..agentd.options import parse
from ..wire.log_files import LogPlan

if TYPE_CHECKING:
    from ..conf.agent_settings import AgentSettings

MODULE = "callsheet.agentd.daemon"
AGENT_ID = "local"
GROUP_ID = "default"
# In the place of the fd of a line that is not there yet.
NO_LINE = -1

# Given the fd of its line to the supervisor: the program with its arguments.
Command = Callable[[int], list[str]]


def agent_command(server: str, state_dir: str, options: tuple[str, ...]) -> Command:
    """Return how the agent is executed where nobody plays it; `server` is where it connects to."""

    def command(fd: int) -> list[str]:
        return [
            sys.executable,
            "-m",
            MODULE,
            "--server",
            server,
            "--spool",
            str(Path(state_dir) / "spool"),
            "--agent-id",
            AGENT_ID,
            "--group",
            GROUP_ID,
            "--supervised-fd",
            str(fd),
            *options,
        ]

    return command


def agent_player(command: Command) -> Callable[[int], int]:
    """Return how the same is played in a fork; it returns the exit status.

    Its options are read here: in the fork that alone would copy half a megabyte of shared pages.
    """
    words = command(NO_LINE)
    options = parse(words[words.index(MODULE) + 1 :])

    def play(fd: int) -> int:
        set_title("cs-agentd", f"callsheet: {AGENT}")
        options.supervised_fd = fd
        return daemon.run(options)

    return play


def agent_options(agents: AgentSettings) -> tuple[str, ...]:
    """Return what the settings say of the agent of this host, as agentd takes it."""
    words: list[str] = []
    for option, text in (
        ("--sudo-allow", agents.sudo_allow),
        ("--cgroup", agents.cgroup),
        ("--secrets", agents.secrets),
        ("--secrets-command", agents.secrets_command),
    ):
        words += [] if text is None else [option, text]
    for option, after_us in (
        ("--abandon-processes-after", agents.abandon_processes_us),
        ("--abandon-results-after", agents.abandon_results_us),
    ):
        if after_us is not None:
            words += [option, f"{after_us / 1e6}s"]
    return tuple(words)


def agent_logs(logs: LogPlan) -> tuple[str, ...]:
    """Return the same for the agent of this host, which is a program of its own."""
    if logs == LogPlan():
        return ()
    words = ["--log-level", logs.levels.get(AGENT, logs.level), "--log-format", logs.style]
    if logs.folder is not None:
        words += ["--log-file", str(Path(logs.folder) / f"{AGENT}.log")]
        words += ["--log-size", str(logs.size_bytes), "--log-keep", str(logs.keep)]
        words += ["--log-every", f"{logs.every_us / 1e6}s"] if logs.every_us else []
    words += ["--log-stderr", logs.stderr] if logs.stderr else []
    return tuple(words)
