"""Programs as values: what a job asks to be run, and what a run is bound to."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from .internal_programs import BoundInternal, InternalProgram
from .keeping import ARTIFACT_BYTES, KeepBytes

# Whether stdout and stderr are one output, or may be told apart.
STREAMS = ("combined", "split")
ENV_MODES = ("inherit", "clean", "login")
# What runs of the types `ssh` and `python` execute: programs that come with the agent.
SSH_PROGRAM, PYTHON_PROGRAM = "callsheet-ssh", "callsheet-python"
# Limits of a process; sizes in bytes, `cpu` in seconds.
ULIMITS = ("as", "core", "cpu", "data", "fsize", "memlock", "nofile", "nproc", "stack")
# In a record that is read: a signal that there is, whatever its host calls it.
SignalNumber = Annotated[int, msgspec.Meta(ge=1, le=64)]
# Where a host cannot hold a run's limits: refuse the run, or start it without them and say so.
LIMIT_POLICIES = ("require", "try")


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the records of a job file, whose strings may still hold templates."""


# --- as written in a job: strings may hold templates ------------------------------------------
#
# `launch` and `output` are unset where a job says nothing of them, and then not encoded: the hashes
# of definitions are as they were before there were any.


class NoOp(Template, frozen=True, kw_only=True, tag_field="type", tag="no-op"):
    """Do nothing, for a while if asked. `success`: True success, False failure, None error."""

    duration: str | None = None
    success: bool | None = True


class StopSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How to stop a process: signal first, SIGKILL after the grace period (None: never)."""

    signal: str = "SIGTERM"
    grace_period: str | None = "60"


class TimeoutSpec(msgspec.Struct, frozen=True, kw_only=True):
    """After `duration` from the start of the process send `signal` once."""

    duration: str
    signal: str = "SIGTERM"


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run's processes may use together: `memory_max` bytes, `cpu_max` CPUs, `pids_max`
    processes and threads; None: no limit. `policy` is one of `LIMIT_POLICIES`."""

    memory_max: int | None = None
    cpu_max: float | None = None
    pids_max: int | None = None
    policy: str = LIMIT_POLICIES[0]


class Launch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a process begins, beyond its arguments, variables, folder and umask.

    `env_mode`: `inherit` the agent's environment, begin with a `clean` one, or with that of a
    `login`. `stdin` is a text, `stdin_file` a path, both None: nothing to read. `ulimits`: numbers
    by the names of `ULIMITS`, None for unlimited. `nice`: None as the agent is. `limits`: None for
    a run that has no group of its own. `secrets`: names of secrets of the agent's host, by the
    variables in which the process gets their values.
    """

    env_mode: str = "inherit"
    stdin: str | None = None
    stdin_file: str | None = None
    ulimits: dict[str, int | None] = {}
    nice: int | None = None
    limits: Limits | None = None
    secrets: dict[str, str] = {}


class Artifact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Files that are kept when the process is over: `path` is a pattern below its working folder.
    A file of more than `max_bytes` is left out."""

    path: str
    max_bytes: int = ARTIFACT_BYTES


class OutputSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a process: how its `streams` are, how much of its output (None: as the
    settings have it), and which files."""

    streams: str = "combined"
    keep_bytes: KeepBytes | None = None
    artifacts: tuple[Artifact, ...] = ()


class Process(Template, frozen=True, kw_only=True, tag_field="type", tag="procstar"):
    """Run `argv` without a shell on an agent of the group. Also written `type: process`."""

    argv: tuple[str, ...]
    group_id: str = "default"
    sudo_user: str | None = None
    stop: StopSpec = StopSpec()
    timeout: TimeoutSpec | None = None
    mem_max_gb: float | None = None
    cwd: str | None = None
    env: dict[str, str] = {}
    umask: str | None = None
    launch: Launch | msgspec.UnsetType = msgspec.UNSET
    output: OutputSpec | msgspec.UnsetType = msgspec.UNSET


class Shell(Template, frozen=True, kw_only=True, tag_field="type", tag="procstar-shell"):
    """Run `command` by `/usr/bin/bash -c` on an agent of the group. Also `type: shell`."""

    command: str
    group_id: str = "default"
    sudo_user: str | None = None
    stop: StopSpec = StopSpec()
    timeout: TimeoutSpec | None = None
    mem_max_gb: float | None = None
    cwd: str | None = None
    env: dict[str, str] = {}
    umask: str | None = None
    launch: Launch | msgspec.UnsetType = msgspec.UNSET
    output: OutputSpec | msgspec.UnsetType = msgspec.UNSET


class Ssh(Template, frozen=True, kw_only=True, tag_field="type", tag="ssh"):
    """Run `argv` on `host` over SSH, from an agent of the group; `command` is for bash there.

    Just one of the two is there. The fields from `sudo_user` to `launch` are for the far side, but
    for `stop` and `timeout`. Paths of `identity_file` and `known_hosts` are those of the agent.
    """

    host: str
    argv: tuple[str, ...] = ()
    command: str | None = None
    user: str | None = None
    port: str | None = None
    identity_file: str | None = None
    known_hosts: str | None = None
    group_id: str = "default"
    sudo_user: str | None = None
    stop: StopSpec = StopSpec()
    timeout: TimeoutSpec | None = None
    mem_max_gb: float | None = None
    cwd: str | None = None
    env: dict[str, str] = {}
    umask: str | None = None
    launch: Launch | msgspec.UnsetType = msgspec.UNSET
    output: OutputSpec | msgspec.UnsetType = msgspec.UNSET


class PythonCall(Template, frozen=True, kw_only=True, tag_field="type", tag="python"):
    """Call a function, `module:name`, in a process of its own on an agent of the group.

    `args` are a list, by position, or a mapping, by name. `python`: the interpreter, None for the
    agent's. `path`: folders where modules are looked for first.
    """

    call: str
    args: list[Any] | dict[str, Any] = []
    python: str | None = None
    path: tuple[str, ...] = ()
    group_id: str = "default"
    sudo_user: str | None = None
    stop: StopSpec = StopSpec()
    timeout: TimeoutSpec | None = None
    mem_max_gb: float | None = None
    cwd: str | None = None
    env: dict[str, str] = {}
    umask: str | None = None
    launch: Launch | msgspec.UnsetType = msgspec.UNSET
    output: OutputSpec | msgspec.UnsetType = msgspec.UNSET


class ExtensionProgram(Template, frozen=True, kw_only=True, tag_field="type", tag="extension"):
    """Run what a type of the settings' extensions makes of its data, as a `Process` is run."""

    name: str
    data: dict[str, Any]
    group_id: str = "default"
    sudo_user: str | None = None
    stop: StopSpec = StopSpec()
    timeout: TimeoutSpec | None = None
    mem_max_gb: float | None = None
    cwd: str | None = None
    env: dict[str, str] = {}
    umask: str | None = None
    launch: Launch | msgspec.UnsetType = msgspec.UNSET
    output: OutputSpec | msgspec.UnsetType = msgspec.UNSET


class Ecs(
    Template, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="procstar-ecs"
):
    """A task of Amazon's ECS, as Apsis starts it. Jobs that have one are read; a run of one is an
    error, since nobody here starts such tasks."""

    argv: tuple[str, ...] = ()
    command: str | None = None
    mem_gb: str | None = None
    vcpu: str | None = None
    disk_gb: str | None = None
    role: str | None = None
    task_definition: str | None = None
    stop: StopSpec = StopSpec()
    timeout: TimeoutSpec | None = None


# What a run of one says.
NO_ECS = "procstar-ecs: no ECS tasks are started here: expected a program of another type"
OnAgent = Process | Shell | Ssh | PythonCall | ExtensionProgram
Program = NoOp | OnAgent | InternalProgram | Ecs


# --- bound: every value final -----------------------------------------------------------------


class BoundNoOp(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="bound-no-op"):
    """A no-op whose duration is known. It runs in the runner itself, not on an agent."""

    duration_us: int | None = None
    duration_text: str | None = None
    success: bool | None = True


class BoundProcess(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="bound-process"
):
    """A process ready to be started on an agent of `group_id`.

    `stop_signal` and `timeout_signal` are numbers; `grace_us` None means never kill.
    """

    argv: tuple[str, ...]
    group_id: str = "default"
    sudo_user: str | None = None
    stop_signal: SignalNumber = 15
    grace_us: int | None = 60_000_000
    timeout_us: int | None = None
    timeout_signal: SignalNumber = 15
    mem_max_bytes: int | None = None
    cwd: str | None = None
    env: dict[str, str] = {}
    umask: int | None = None
    launch: Launch | msgspec.UnsetType = msgspec.UNSET
    output: OutputSpec | msgspec.UnsetType = msgspec.UNSET


def secrets_of(program: BoundProcess) -> dict[str, str]:
    """Return the secrets that a process is given, by variable."""
    return {} if program.launch is msgspec.UNSET else program.launch.secrets


def output_of(program: BoundProcess) -> OutputSpec:
    """Return what is kept of a process."""
    return OutputSpec() if program.output is msgspec.UNSET else program.output


BoundProgram = BoundNoOp | BoundProcess | BoundInternal
