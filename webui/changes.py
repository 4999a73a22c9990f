"""What has changed since the last tick, as frames; and what changed lately, for those who resume.

Part of the web's core, pure. A record is encoded once a tick and shared by all queries it matches;
of a run that moved several times only the newest record goes out.
"""

from __future__ import annotations

import msgspec

from ..jobs.jso import run_summary_jso
from ..jobs.run import Run
from ..jobs.run_filter import RunFilter
from ..jobs.states import State
from ..messages.told import ToldRun
from ..messages.transitions import (
    ActionNoted,
    AnyEvent,
    JobsChanged,
    PauseNoted,
    RunMoved,
    RunNoted,
    RunWithdrawn,
)
from .records import run_record
from .seam import Changed, RunsRead, RunTick, Shared

# Changes kept for those who resume; about half a KB each, encoded. When there is nobody to resume:
# what comes between reading a list and following it.
KEPT_CHANGES = 5_000
KEPT_ALONE = 500
# Messages of one frame for the summary sockets.
SUMMARY_MESSAGES = 4_096

_encode = msgspec.json.Encoder().encode


class _Change(msgspec.Struct, kw_only=True):
    """A run's changes of one tick: its newest record, all states it was in, its log lines."""

    seq: int
    run: ToldRun | None = None
    states: set[State] = msgspec.field(default_factory=set)
    lines: list[tuple[int, int, str, str | None, str, str]] = []
    withdrawn: RunWithdrawn | None = None


class _Kept(msgspec.Struct, frozen=True):
    """A change of an earlier tick without its lines; the record is encoded, for memory's sake."""

    seq: int
    run: bytes | None
    states: frozenset[State]
    withdrawn: RunWithdrawn | None

    def change(self) -> _Change:
        """Return the change it was."""
        run = None if self.run is None else ToldRun(self.run)
        return _Change(seq=self.seq, run=run, states={*self.states}, withdrawn=self.withdrawn)


class Changes:
    """See the module."""

    def __init__(self) -> None:
        self.jobs_seq = 0
        self._floor = 0
        self._changed: dict[str, _Change] = {}
        self._unread: dict[str, _Change] = {}
        self._to_read: list[str] = []
        self._jobs: list[JobsChanged] = []
        self._pauses = False
        self._recent: dict[str, _Kept] = {}
        # One set for each that occurs: most runs take one of a few ways.
        self._states: dict[frozenset[State], frozenset[State]] = {}
        self._filters: dict[str, RunFilter] = {}
        self._runs: set[str] = set()
        self._summary = False

    # --- who wants what ---------------------------------------------------------------------------

    def follow(self, topic: str, key: str, filter_: RunFilter | None) -> None:
        """Somebody follows a topic."""
        if topic == "runs":
            self._filters[key] = filter_ or RunFilter()
        elif topic == "run":
            self._runs.add(key)
        elif topic == "summary":
            self._summary = True

    def unfollow(self, topic: str, key: str) -> None:
        """Nobody follows it any more."""
        if topic == "runs":
            self._filters.pop(key, None)
        elif topic == "run":
            self._runs.discard(key)
        elif topic == "summary":
            self._summary = False

    # --- what comes -------------------------------------------------------------------------------

    @property
    def pending(self) -> bool:
        """Whether there is anything to say."""
        return bool(self._changed or self._jobs or self._to_read or self._pauses)

    @property
    def records(self) -> int:
        """How many runs there is something to say of."""
        return len(self._changed)

    def begin(self, seq: int) -> None:
        """Know nothing from before `seq`."""
        self._floor = self.jobs_seq = seq
        for kept in (self._changed, self._unread, self._recent):
            kept.clear()
        self._to_read, self._jobs = [], []

    def take(self, events: list[AnyEvent], runs: list[ToldRun]) -> None:
        """Take events in order, and the records as they are after them."""
        for event in events:
            match event:
                case RunMoved() | RunNoted() | RunWithdrawn() | ActionNoted():
                    self._take(event)
                case JobsChanged():
                    self.jobs_seq = event.seq
                    self._jobs.append(event)
                case PauseNoted():
                    self._pauses = True
        for run in runs:
            change = self._changed.get(run.run_id)
            if change is not None:
                change.run = run
                change.states.add(run.state)
        # A replay may come without the records of runs that are over.
        for run_id in {getattr(event, "run_id", "") for event in events}:
            change = self._changed.get(run_id)
            if change is not None and change.run is None and change.withdrawn is None:
                self._unread[run_id] = self._changed.pop(run_id)
                self._to_read.append(run_id)

    def read(self, message: RunsRead) -> None:
        """Take records that were read from the store, for events that came without them."""
        for run_id, run in message.runs.items():
            change = self._unread.pop(run_id, None)
            newer = self._changed.get(run_id)
            if change is None or run is None:
                continue
            if newer is None:
                change.run = ToldRun.of(run)
                change.states.add(run.state)
                self._changed[run_id] = change
            else:
                newer.states |= change.states
                newer.lines[:0] = change.lines

    def _take(self, event: RunMoved | RunNoted | RunWithdrawn | ActionNoted) -> None:
        change = self._changed.get(event.run_id)
        if change is None:
            change = self._changed[event.run_id] = _Change(seq=event.seq)
        change.seq = event.seq
        line: tuple[str, str | None, str]
        match event:
            case RunMoved():
                change.states.add(event.after)
                if event.before is not None:
                    change.states.add(event.before)
                line = ("moved", event.after.value, event.message)
            case RunWithdrawn():
                change.withdrawn = event
                change.states.add(State.SCHEDULED)
                line = ("withdrawn", None, event.reason)
            case ActionNoted():
                line = ("action", None, event.message)
            case _:
                line = ("noted", None, event.message)
        if event.run_id in self._runs:
            change.lines.append((event.seq, event.at_us, *line, event.cause))

    # --- what goes out ----------------------------------------------------------------------------

    def tick(self, epoch: int, seq: int, kept: int = KEPT_CHANGES) -> Changed:
        """Return everything since the last tick, for all who follow; of the last changes `kept` are
        remembered for those who resume."""
        changed = self._changed
        records: dict[str, bytes] = {}
        bodies = {}
        if changed:
            for key, wanted in self._filters.items():
                body = _body(list(changed.values()), wanted, records, epoch, seq)
                if body:
                    bodies[key] = Shared(body)
        followed = [run_id for run_id in changed if run_id in self._runs]
        result = Changed(
            epoch=epoch,
            seq=seq,
            bodies=bodies,
            summary=self._summary_frames() if self._summary else [],
            runs=[
                RunTick(run_id=run_id, run=_whole(changed[run_id]), lines=changed[run_id].lines)
                for run_id in followed
            ],
            jobs=self._jobs,
            pauses=self._pauses,
            unread=self._to_read,
        )
        self._remember(kept)
        self._changed, self._jobs, self._to_read, self._pauses = {}, [], [], False
        return result

    def _summary_frames(self) -> list[Shared]:
        messages = []
        for run_id, change in self._changed.items():
            if change.withdrawn is not None:
                messages.append(_encode({"type": "run_delete", "run_id": run_id}))
            elif change.run is not None:
                summary = run_summary_jso(change.run.whole())
                messages.append(_encode({"type": "run_transition", "run_summary": summary}))
        step = SUMMARY_MESSAGES
        parts = [messages[i : i + step] for i in range(0, len(messages), step)]
        return [Shared(b"[" + b",".join(part) + b"]") for part in parts]

    def _remember(self, at_most: int) -> None:
        for run_id, change in self._changed.items():
            self._recent.pop(run_id, None)
            run = None if change.run is None else change.run.encoded()
            states = frozenset(change.states)
            states = self._states.setdefault(states, states)
            self._recent[run_id] = _Kept(change.seq, run, states, change.withdrawn)
        while len(self._recent) > at_most:
            oldest = self._recent.pop(next(iter(self._recent)))
            self._floor = max(self._floor, oldest.seq)

    # --- for those who resume ---------------------------------------------------------------------

    def knows(self, seq: int) -> bool:
        """Whether every change after `seq` is known here."""
        return seq >= self._floor

    def since(self, after: int, wanted: RunFilter, epoch: int, seq: int) -> bytes:
        """Return the tail of the frame that brings someone from `after` up to now."""
        changed = self._changed
        changes = [
            kept.change()
            for run_id, kept in self._recent.items()
            if kept.seq > after and run_id not in changed
        ]
        changes += [change for change in changed.values() if change.seq > after]
        return _body(changes, wanted, {}, epoch, seq) or self.nothing(epoch, seq)

    def nothing(self, epoch: int, seq: int) -> bytes:
        """Return the tail of a frame that says where the stream stands."""
        return b',"epoch":%d,"seq":%d,"runs":[]}' % (epoch, seq)


def _whole(change: _Change) -> Run | None:
    return None if change.run is None else change.run.whole()


def _body(
    changes: list[_Change], wanted: RunFilter, records: dict[str, bytes], epoch: int, seq: int
) -> bytes:
    """Return the tail of a frame: the records that match or did so before, and what is gone.

    `records` keeps what is encoded already. Empty when nothing matches.
    """
    found: list[bytes] = []
    gone: list[str] = []
    for change in changes:
        if change.withdrawn is not None:
            if wanted.matches_job(change.withdrawn.job_id):
                gone.append(change.withdrawn.run_id)
            continue
        run = _whole(change)
        if run is None or not wanted.matches(run, change.states):
            continue
        record = records.get(run.run_id)
        if record is None:
            record = records[run.run_id] = _encode(run_record(run))
        found.append(record)
    if not found and not gone:
        return b""
    tail = b',"gone":' + _encode(gone) if gone else b""
    return b',"epoch":%d,"seq":%d,"runs":[%b]%b}' % (epoch, seq, b",".join(found), tail)
