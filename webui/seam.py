"""What the web's two threads say to each other: the loop's (HTTP) and the actor's (the core).

To the core: `AskWish`, `AskWho`, `Follow`, `Unfollow`, told to the stage as local messages. From
the core: posts to the address `LOOP`, which the bridge hands over in batches. All are frozen or
given away for good, so that no thread writes what the other reads.
"""

from __future__ import annotations

import msgspec

from ..jobs.run import Run
from ..jobs.run_filter import RunFilter
from ..messages.access import Access
from ..messages.agents import AgentsAnswer, OutputGrew
from ..messages.published import Answer, Asked
from ..messages.standing import FolderStanding
from ..messages.transitions import JobsChanged
from ..messages.wishes import Done, Refused, ToLedgerWish, ToSchedulerWish

# The address of the loop in the core's posts.
LOOP = "loop"


# --- loop → core ----------------------------------------------------------------------------------


class AskWish(msgspec.Struct, frozen=True, kw_only=True):
    """Bring a wish to the ledger or the scheduler; repeated until answered, for `wait_us`."""

    command_id: str
    principal: str
    instruction: ToLedgerWish | ToSchedulerWish
    wait_us: int
    access: Access | None = None


class AskWho(msgspec.Struct, frozen=True, kw_only=True):
    """Ask the runner for the agents; `processes`: with what each of them keeps."""

    request: str
    processes: bool
    wait_us: int


class Follow(msgspec.Struct, frozen=True, kw_only=True):
    """A socket wants a topic: `runs`, `run`, `summary`, `output`, `jobs` or `agents`.

    `key` names what is the same for all who follow the same: the query's text, the run id, or
    empty. `resume`: (epoch, seq) up to which the asker knows everything. Answered by `Followed`, as
    soon as a ledger has said where it stands.
    """

    token: int
    topic: str
    key: str = ""
    filter: RunFilter | None = None
    resume: tuple[int, int] | None = None


class Unfollow(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody follows this any more."""

    topic: str
    key: str = ""


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """So many want the status each second: the sockets, to which changes are told, too."""

    by: int


class ProgramAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a program that asked is told."""

    to: str
    answer: Answer


class RunsRead(msgspec.Struct, frozen=True, kw_only=True):
    """The records of `Changed.unread`, as the store has them now; None: there is none."""

    runs: dict[str, Run | None]


# --- core → loop ----------------------------------------------------------------------------------


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a wish; None: there was none in time."""

    command_id: str
    answer: Done | Refused | None


class WhoCame(msgspec.Struct, frozen=True, kw_only=True):
    """The runner's answer; None: there was none in time. `request` is `poll` for followers."""

    request: str
    answer: AgentsAnswer | None


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """The topic is followed from (epoch, seq) on.

    `resync`: what happened since the asked position is not known here; read again. Else `body` is
    the tail of a frame with the records changed since then, for a topic that has any.
    """

    token: int
    epoch: int
    seq: int
    resync: bool
    body: bytes = b""


class Shared:
    """The part of a frame that many sockets send; `holders` outboxes have it waiting, which only
    the loop's thread counts."""

    __slots__ = ("data", "holders")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.holders = 0


class RunTick(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to one followed run in a tick; `run` None: it was withdrawn. `lines` are
    (seq, at_us, kind, state, message, cause)."""

    run_id: str
    run: Run | None
    lines: list[tuple[int, int, str, str | None, str, str]]


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """One tick. `bodies`: per followed query the tail of its frame, complete but for the id that
    goes before it. `summary`: whole frames for the summary sockets. `pauses`: one began or
    ended. `unread`: runs whose records did not come with their events (a replay); the loop reads
    them, see `RunsRead`."""

    epoch: int
    seq: int
    bodies: dict[str, Shared] = {}
    summary: list[Shared] = []
    runs: list[RunTick] = []
    jobs: list[JobsChanged] = []
    pauses: bool = False
    unread: list[str] = []


class Resync(msgspec.Struct, frozen=True, kw_only=True):
    """Events were lost to us for good: whoever follows anything reads it again."""

    epoch: int
    seq: int


class OutputCame(msgspec.Struct, frozen=True, kw_only=True):
    """An output of a followed run grew."""

    grew: OutputGrew


class ProgramAsks(msgspec.Struct, frozen=True, kw_only=True):
    """A program asks for what only the store has; the loop reads it, see `ProgramAnswer`."""

    peer: str
    asked: Asked


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Where the core stands; sent once a second (then `beat`; while nobody watches, as the ledger
    beats) and when something in it changes. Ages are seconds since the role was last heard of,
    None: never. `standing`: of the job folder, None: not known yet."""

    epoch: int = 0
    seq: int = 0
    ready: bool = False
    ledger_age_s: float | None = None
    scheduler_age_s: float | None = None
    runner_age_s: float | None = None
    refused: str = ""
    frames: int = 0
    events: int = 0
    holes: int = 0
    resyncs: int = 0
    timeouts: int = 0
    beat: bool = False
    standing: FolderStanding | None = None


FromCore = Answered | WhoCame | Followed | Changed | Resync | OutputCame | ProgramAsks | Status
ToCore = AskWish | AskWho | Follow | Unfollow | Watched | RunsRead | ProgramAnswer
