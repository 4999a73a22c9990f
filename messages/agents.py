"""Between the runner and the agents. `FromAgent` are facts, `ToAgent` commands.

Delivered at least once; (run id, attempt) and the kind make each idempotent.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from ..jobs.keeping import KEEP_BYTES, KeepBytes
from ..jobs.programs import BoundProcess, SignalNumber
from ..jobs.run import RunId

# Versions of this dialogue that a server understands, oldest first; the last one is spoken now. An
# agent may be one version behind its server. It names its version itself: what a record of another
# version leaves out must not be taken for this one's.
AGENT_VERSIONS = (1, 2, 3, 4)
# It and `RunId` become names of files, on either side: nothing else is even read from a message.
Attempt = Annotated[int, msgspec.Meta(ge=1, lt=10**9)]
# Numbers of agents are bounded, each as what it says is: with any other the sums made of it would
# not fit into a message or a row, and one broken agent would end the role that hears it.
LAST_US = 253_402_300_800_000_000  # the year 9999 is over
Instant = Annotated[int, msgspec.Meta(ge=0, lt=LAST_US)]
Size = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
# Of a ledger: greater ones are followed, so none may be so great that no later one is.
Epoch = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Number = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**32)]


class FromAgent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """A fact an agent reports."""


class Claim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run directory of the agent's spool: state not_started, running, unkept, done or lost."""

    run_id: RunId
    attempt: Attempt
    state: str


class AgentHello(FromAgent, frozen=True, kw_only=True, tag="AgentHello"):
    """An agent (re)connects: who it is, and its inventory, all claims of the spool. `answers`
    names the `AskHello` it answers, `booted_us` when its host was started (0: not told). Since
    version 2: `labels`, and `slots`, how many processes it may have at once (0: any number)."""

    agent_id: str
    group_id: str
    incarnation: str
    boot_id: str
    version: Number = 1
    software: str = ""
    hostname: str = ""
    username: str = ""
    pid: Number = 0
    uid: Number = 0
    claims: list[Claim] = []
    answers: str = ""
    gid: Number = 0
    labels: list[str] = []
    slots: Number = 0
    booted_us: Instant = 0


class AgentBeat(FromAgent, frozen=True, kw_only=True, tag="AgentBeat"):
    """I am here; sent every 2 s. `live` counts processes; `at_us` is the agent's clock (0: it does
    not tell)."""

    agent_id: str
    live: Number
    at_us: Instant = 0


class ProcessStarted(FromAgent, frozen=True, kw_only=True, tag="ProcessStarted"):
    """The process of (run, attempt) was started. `remarks`: what people should know of how."""

    run_id: RunId
    attempt: Attempt
    pid: Number
    at_us: Instant
    remarks: list[str] = []


class ProcessRefused(FromAgent, frozen=True, kw_only=True, tag="ProcessRefused"):
    """It was not started and will not be. `retry`: another try later may do (no space, no fork).
    Since version 3 `elsewhere`: no copy of the command is followed any more, so that another agent
    may have it."""

    run_id: RunId
    attempt: Attempt
    sentence: str
    retry: bool = False
    elsewhere: bool = False


class ProcessEnded(FromAgent, frozen=True, kw_only=True, tag="ProcessEnded"):
    """The process is over; sent after its last output chunk, again until `ForgetProcess`.

    `status`: 0…255, or −n when signal n ended it. `error` not empty: it could not be executed.
    `output_bytes` is the whole length of each output by name, `gaps` what of it was left out
    (start, end), `spool_path` where the server finds `output` itself on this host, `spool_paths`
    where others; `stream_bytes` counts those of stdout and stderr where they are told apart;
    `artifacts` are the names people know them by; `results` what the process gave back, None from
    an agent that does not ask for it. `stop_signals` names what stop and timeout sent.
    `rusage` holds utime, stime (seconds), maxrss and so on; of a run with limits also what its
    whole cgroup used, such as `memory_peak` (bytes). `remarks`: what people should know.
    """

    run_id: RunId
    attempt: Attempt
    status: Number
    at_us: Instant
    started_us: Instant
    pid: Number = 0
    error: str = ""
    timed_out: bool = False
    elapsed_s: float = 0.0
    stop_signals: list[str] = []
    rusage: dict[str, int | float] = {}
    output_bytes: dict[str, Size] = {}
    spool_path: str | None = None
    core_dumped: bool = False
    remarks: list[str] = []
    gaps: dict[str, tuple[Size, Size]] = {}
    spool_paths: dict[str, str] = {}
    artifacts: dict[str, str] = {}
    stream_bytes: dict[str, Size] = {}
    results: dict[str, str] | None = None


class ProcessLost(FromAgent, frozen=True, kw_only=True, tag="ProcessLost"):
    """What became of the process cannot be known; `sentence` says why. Never invented, never
    started again without being asked."""

    run_id: RunId
    attempt: Attempt
    at_us: Instant
    sentence: str
    output_bytes: dict[str, Size] = {}
    started_us: Instant = 0
    spool_path: str | None = None
    gaps: dict[str, tuple[Size, Size]] = {}
    spool_paths: dict[str, str] = {}
    artifacts: dict[str, str] = {}
    stream_bytes: dict[str, Size] = {}


class ProcessNoted(FromAgent, frozen=True, kw_only=True, tag="ProcessNoted"):
    """Something people should know of a process, for the log of its run; said once."""

    run_id: RunId
    attempt: Attempt
    sentence: str


class OutputChunk(FromAgent, frozen=True, kw_only=True, tag="OutputChunk"):
    """Bytes of an output from `offset`. `compression` None or `zstd`; `data` at most 256 KiB.

    `gap`: so many bytes before `offset` are not kept, and will never come.
    """

    run_id: RunId
    attempt: Attempt
    name: str
    offset: Size
    data: bytes
    compression: str | None = None
    gap: Size = 0


class Fenced(FromAgent, frozen=True, kw_only=True, tag="Fenced"):
    """A command of an older epoch was refused; `epoch` is the highest the agent has seen."""

    epoch: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    run_id: str = ""
    attempt: Number = 0


class ProcessInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A process as an agent lists it. `rss_bytes` and `cpu_us` are what it uses with all of its
    session, 0 where that is not known; `is_stopping`: it was told to end."""

    run_id: RunId
    attempt: Attempt
    state: str
    pid: Number = 0
    started_us: Instant = 0
    job_id: str = ""
    is_stopping: bool = False
    rss_bytes: Size = 0
    cpu_us: Size = 0


class ProcessList(FromAgent, frozen=True, kw_only=True, tag="ProcessList"):
    """Answer to `ListProcesses`."""

    request: str
    processes: list[ProcessInfo]


class ToAgent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """A command to an agent; `epoch` fences: a lower one than the agent has seen is refused."""

    epoch: Epoch


class AgentWelcome(ToAgent, frozen=True, kw_only=True, tag="AgentWelcome"):
    """You are known; go on. `server_id` names the installation."""

    server_id: str


class AskHello(ToAgent, frozen=True, kw_only=True, tag="AskHello"):
    """Say `AgentHello` now: you are not known here, or something about you is in doubt."""

    request: str


class StartProcess(ToAgent, frozen=True, kw_only=True, tag="StartProcess"):
    """Start (run, attempt) unless its claim exists; then say what became of it.

    `not_after_us`: refuse it later than this (a command that sat in a queue). `incarnation`: the
    life of the agent it is meant for; a later one ignores it. `sudo_argv`: how sudo is called,
    empty as agents do. `keep_bytes`: how much is kept of an output.
    """

    run_id: RunId
    attempt: Attempt
    program: BoundProcess
    not_after_us: int
    stop_us: int | None = None
    job_id: str = ""
    incarnation: str = ""
    sudo_argv: tuple[str, ...] = ()
    keep_bytes: KeepBytes = KEEP_BYTES


class StopProcess(ToAgent, frozen=True, kw_only=True, tag="StopProcess"):
    """Send the stop signal, SIGKILL to the whole tree after the grace; `kill`: at once. Since
    version 3 an agent that has no such process refuses it for good (`ProcessRefused`).

    `boot_id`: the boot of its host in which an agent was given the attempt, empty: not known. In
    another one it cannot know whether what it has nothing of has begun: it says who it is instead.
    """

    run_id: RunId
    attempt: Attempt
    kill: bool = False
    boot_id: str = ""


class ShutDown(ToAgent, frozen=True, kw_only=True, tag="ShutDown"):
    """End now: with `kill` after killing all processes and handing over their ends; with `stop`
    (since version 3) after stopping them, each with its grace; else leaving them as they are."""

    kill: bool = False
    stop: bool = False


class SignalProcess(ToAgent, frozen=True, kw_only=True, tag="SignalProcess"):
    """Send one signal to the process, once per `command_id`."""

    run_id: RunId
    attempt: Attempt
    signal: SignalNumber
    command_id: str


class OutputTaken(ToAgent, frozen=True, kw_only=True, tag="OutputTaken"):
    """Output is stored up to `upto`; go on from there (credit for one more chunk)."""

    run_id: RunId
    attempt: Attempt
    name: str
    upto: Size


class ForgetProcess(ToAgent, frozen=True, kw_only=True, tag="ForgetProcess"):
    """The end of (run, attempt) is durable in the ledger: the spool directory may go."""

    run_id: RunId
    attempt: Attempt


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
    | ProcessNoted
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


# --- web and checker ask the runner ---------------------------------------------------------------


class AgentInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An agent as people see it. `connected` false: silent since `last_seen_us`. `connected_us` is
    when its newest life introduced itself.

    `state` is active, draining, away or revoked; `keyed`: it came in from another host by its key;
    `version` is that of the dialogue it speaks; `draining`: it gets no new runs, away or not.
    `skew_us`: its clock is ahead of ours by so much, or behind where less than 0; 0: not known.
    """

    agent_id: str
    group_id: str
    connected: bool
    first_seen_us: int
    last_seen_us: int
    connections: int = 1
    received: int = 0
    sent: int = 0
    live: int = 0
    hostname: str = ""
    username: str = ""
    pid: int = 0
    uid: int = 0
    software: str = ""
    gid: int = 0
    connected_us: int = 0
    state: str = "active"
    labels: list[str] = []
    slots: int = 0
    keyed: bool = False
    version: int = 1
    draining: bool = False
    skew_us: int = 0


class AskAgents(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="AskAgents"):
    """web or checker → runner; `processes`: also ask each agent for its processes."""

    request: str
    processes: bool = False


class AgentsAnswer(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="AgentsAnswer"):
    """Runner → asker. `processes` maps agent id to what it keeps."""

    request: str
    agents: list[AgentInfo]
    processes: dict[str, list[ProcessInfo]] = {}


class OutputGrew(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="OutputGrew"):
    """Runner's own feed, lossy by design: an output has `length` bytes; `ended`: it is whole."""

    run_id: str
    attempt: int
    output_id: str
    length: int
    ended: bool = False
