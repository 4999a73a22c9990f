"""The dialogue of agents in version 2, as it was: frozen, whatever becomes of today's.

What an agent, or a server, of that version reads and writes. A peer of today that speaks version 2
must write nothing these readers do not take, and take all that these types write.
"""

from __future__ import annotations

from typing import Any

import msgspec

VERSIONS = (1, 2)


class BoundProcess(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="bound-process"
):
    """A process ready to be started."""

    argv: tuple[str, ...]
    group_id: str = "default"
    sudo_user: str | None = None
    stop_signal: int = 15
    grace_us: int | None = 60_000_000
    timeout_us: int | None = None
    timeout_signal: int = 15
    mem_max_bytes: int | None = None
    cwd: str | None = None
    env: dict[str, str] = {}
    umask: int | None = None


class Refuse(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="Refuse"):
    """The peer may not go on; `sentence` says why."""

    sentence: str


class FromAgent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """A fact an agent reports."""


class Claim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run directory of the agent's spool: state not_started, running, unkept, done or lost."""

    run_id: str
    attempt: int
    state: str


class AgentHello(FromAgent, frozen=True, kw_only=True, tag="AgentHello"):
    """An agent (re)connects: who it is, and its inventory, all claims of the spool. `answers`
    names the `AskHello` it answers. Since version 2: `labels`, and `slots`, how many processes it
    may have at once (0: any number)."""

    agent_id: str
    group_id: str
    incarnation: str
    boot_id: str
    version: int = 1
    software: str = ""
    hostname: str = ""
    username: str = ""
    pid: int = 0
    uid: int = 0
    claims: list[Claim] = []
    answers: str = ""
    gid: int = 0
    labels: list[str] = []
    slots: int = 0


class AgentBeat(FromAgent, frozen=True, kw_only=True, tag="AgentBeat"):
    """I am here; sent every 2 s. `live` counts processes."""

    agent_id: str
    live: int


class ProcessStarted(FromAgent, frozen=True, kw_only=True, tag="ProcessStarted"):
    """The process of (run, attempt) was started."""

    run_id: str
    attempt: int
    pid: int
    at_us: int


class ProcessRefused(FromAgent, frozen=True, kw_only=True, tag="ProcessRefused"):
    """It was not started and will not be. `retry`: another try later may do (no space, no fork)."""

    run_id: str
    attempt: int
    sentence: str
    retry: bool = False


class ProcessEnded(FromAgent, frozen=True, kw_only=True, tag="ProcessEnded"):
    """The process is over; sent after its last output chunk, again until `ForgetProcess`.

    `status`: 0…255, or −n when signal n ended it. `error` not empty: it could not be executed.
    `output_bytes` is the whole length of each output by name. `stop_signals` names what stop and
    timeout sent. `rusage` holds utime, stime (seconds), maxrss and so on.
    """

    run_id: str
    attempt: int
    status: int
    at_us: int
    started_us: int
    pid: int = 0
    error: str = ""
    timed_out: bool = False
    elapsed_s: float = 0.0
    stop_signals: list[str] = []
    rusage: dict[str, Any] = {}
    output_bytes: dict[str, int] = {}
    spool_path: str | None = None
    core_dumped: bool = False


class ProcessLost(FromAgent, frozen=True, kw_only=True, tag="ProcessLost"):
    """What became of the process cannot be known; `sentence` says why. Never invented, never
    started again without being asked."""

    run_id: str
    attempt: int
    at_us: int
    sentence: str
    output_bytes: dict[str, int] = {}
    started_us: int = 0
    spool_path: str | None = None


class OutputChunk(FromAgent, frozen=True, kw_only=True, tag="OutputChunk"):
    """Bytes of an output from `offset`. `compression` None or `zstd`; `data` at most 256 KiB."""

    run_id: str
    attempt: int
    name: str
    offset: int
    data: bytes
    compression: str | None = None


class Fenced(FromAgent, frozen=True, kw_only=True, tag="Fenced"):
    """A command of an older epoch was refused; `epoch` is the highest the agent has seen."""

    epoch: int
    run_id: str = ""
    attempt: int = 0


class ProcessInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A process as an agent lists it."""

    run_id: str
    attempt: int
    state: str
    pid: int = 0
    started_us: int = 0


class ProcessList(FromAgent, frozen=True, kw_only=True, tag="ProcessList"):
    """Answer to `ListProcesses`."""

    request: str
    processes: list[ProcessInfo]


class ToAgent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """A command to an agent; `epoch` fences: a lower one than the agent has seen is refused."""

    epoch: int


class AgentWelcome(ToAgent, frozen=True, kw_only=True, tag="AgentWelcome"):
    """You are known; go on. `server_id` names the installation."""

    server_id: str


class AskHello(ToAgent, frozen=True, kw_only=True, tag="AskHello"):
    """Say `AgentHello` now: you are not known here, or something about you is in doubt."""

    request: str


class StartProcess(ToAgent, frozen=True, kw_only=True, tag="StartProcess"):
    """Start (run, attempt) unless its claim exists; then say what became of it.

    `not_after_us`: refuse it later than this (a command that sat in a queue). `incarnation`: the
    life of the agent it is meant for; a later one ignores it.
    """

    run_id: str
    attempt: int
    program: BoundProcess
    not_after_us: int
    stop_us: int | None = None
    job_id: str = ""
    incarnation: str = ""


class StopProcess(ToAgent, frozen=True, kw_only=True, tag="StopProcess"):
    """Send the stop signal, SIGKILL to the whole tree after the grace; `kill`: at once."""

    run_id: str
    attempt: int
    kill: bool = False


class ShutDown(ToAgent, frozen=True, kw_only=True, tag="ShutDown"):
    """End now: with `kill` after killing all processes and handing over their ends, else leaving
    them as they are."""

    kill: bool = False


class SignalProcess(ToAgent, frozen=True, kw_only=True, tag="SignalProcess"):
    """Send one signal to the process, once per `command_id`."""

    run_id: str
    attempt: int
    signal: int
    command_id: str


class OutputTaken(ToAgent, frozen=True, kw_only=True, tag="OutputTaken"):
    """Output is stored up to `upto`; go on from there (credit for one more chunk)."""

    run_id: str
    attempt: int
    name: str
    upto: int


class ForgetProcess(ToAgent, frozen=True, kw_only=True, tag="ForgetProcess"):
    """The end of (run, attempt) is durable in the ledger: the spool directory may go."""

    run_id: str
    attempt: int


class ListProcesses(ToAgent, frozen=True, kw_only=True, tag="ListProcesses"):
    """List what you keep."""

    request: str


AnyFromAgent = (
    AgentHello
    | AgentBeat
    | ProcessStarted
    | ProcessRefused
    | ProcessEnded
    | ProcessLost
    | OutputChunk
    | ProcessList
    | Fenced
)
AnyToAgent = (
    AgentWelcome
    | AskHello
    | StartProcess
    | StopProcess
    | ShutDown
    | SignalProcess
    | OutputTaken
    | ForgetProcess
    | ListProcesses
)


FROM_AGENT = msgspec.msgpack.Decoder(list[AnyFromAgent])
TO_AGENT = msgspec.msgpack.Decoder(list[AnyToAgent | Refuse])
