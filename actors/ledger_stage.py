"""The ledger's stage: decide, persist, publish, command, in this order (rule I2).

Nothing a batch decided is sent before it is durable. When the store cannot write, the batch is kept
and tried again; until then nothing is received, so that peers' frames wait in their sockets, and
nothing is acknowledged.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pykka

from ..messages.door import Unfit
from ..messages.instructions import RunsDue
from ..messages.post import FEED, Post
from ..messages.transitions import Beat, RunMoved
from ..store.interface import Changes, Opening, StoreBroken, StoreError, Writer
from ..wire.feed import BEAT_TOPIC, EPOCH_TOPIC
from ..wire.log_lines import about, now
from ..wire.ports import Letter, PublisherPort
from . import clock
from .ledger import Ledger
from .ledger_needs import Found, find
from .link import Link
from .stage import Script, Stage
from .stage_figures import LedgerFigures
from .upkeep_seam import UPKEEP, StepDone
from .upkeep_work import UpkeepWork

log = logging.getLogger("callsheet.ledger")
# What became of each run, a line for each move; silent unless the settings name `runs`.
moves = logging.getLogger("callsheet.runs")

BEAT_S = 1.0
# Between beats that say nothing new: nobody can have missed what they say. Less than half of what
# makes people take a ledger for dead.
REST_BEAT_S = 2.0
# Who only wants to know which ledger there is hears each beat for so long after its begin: a role
# that has not connected by then, or stands still, has been killed by its supervisor. Then one in:
EPOCH_SOON_S = 40.0
EPOCH_BEAT_S = 10.0
# Waits between tries to commit a batch that the store refused.
RETRY_FIRST_S = 0.1
RETRY_MOST_S = 2.0
# Of runs that are due the ledger takes so many at one go.
DUE_AT_ONCE = 200
# Faults of other roles that are told once; a role that repeats what was refused repeats its fault.
FAULTS_TOLD = 1_000


def portions(letters: list[Letter]) -> Iterator[list[Letter]]:
    """Cut what has come into what is decided and made durable at one go.

    A commit costs little beside the work of hundreds of runs that are due together, and all who
    follow have nothing to do meanwhile: of a burst the first runs begin while the ledger takes the
    others.
    """
    portion: list[Letter] = []
    due = 0
    for letter in letters:
        kept = 0
        for at, message in enumerate(letter.messages, 1):
            if type(message) is RunsDue:
                due += len(message.run_ids)
            if due >= DUE_AT_ONCE:
                portion.append(Letter(letter.port, letter.peer, letter.messages[kept:at]))
                yield portion
                portion, due, kept = [], 0, at
        if kept < len(letter.messages):
            rest = letter.messages[kept:] if kept else letter.messages
            portion.append(Letter(letter.port, letter.peer, rest))
    # (Also with nothing: then it is the core's own time.)
    if portion or not letters:
        yield portion


class _Unsent:
    """A batch that is decided but not durable: what to write, and what to say then."""

    def __init__(self, changes: Changes, posts: list[Post]) -> None:
        self.changes, self.posts = changes, posts
        self.wait_s = RETRY_FIRST_S
        self.retry_s = clock.monotonic_s() + RETRY_FIRST_S


class LedgerStage(Stage):
    """Hosts the ledger's core over the one writer of the store."""

    core: Ledger

    def __init__(
        self,
        script: Script,
        link: Link,
        make_ledger: Callable[[Opening], Ledger],
        writer: Writer,
        work: Callable[[Callable[[StepDone], None]], UpkeepWork],
    ) -> None:
        super().__init__(script, link)
        self._make_ledger = make_ledger
        self._writer = writer
        self.figures: LedgerFigures = LedgerFigures(gauges={"stalled": 0})
        self._unsent: _Unsent | None = None
        self._beat_s = 0.0
        self._epoch_s = 0.0
        self._soon_s = 0.0
        self._said_seq = 0
        self._beat_seq: int | None = None
        self._idle = True
        self._work = work
        self._worker: UpkeepWork | None = None
        self._heard: list[Letter] = []
        self._faults: set[tuple[str, str]] = set()

    # --- opening and closing --------------------------------------------------------------------

    def open(self) -> None:
        """Take the store, and with it the epoch; only then listen."""
        self.core = self._make_ledger(self._writer.open(clock.now_us()))
        self._said_seq = self.core.seq
        self._soon_s = clock.monotonic_s() + EPOCH_SOON_S
        worker = self._worker = self._work(self._tell)
        self.script = msgspec.structs.replace(self.script, local={UPKEEP: worker.take})
        self.open_ports()
        self.send(self.core.begin(clock.now_us()))
        self.link.ready()

    def shut(self) -> None:
        """Give the store back."""
        if self._worker is not None:
            self._worker.close()
        self._writer.close()
        super().shut()

    def hear(self, message: Any) -> None:
        """Play what the worker says; while a batch cannot be written it waits."""
        letter = Letter("local", "local", [message])
        if self._unsent is not None:
            self._heard.append(letter)
        else:
            self.turn([letter])

    def _tell(self, done: StepDone) -> None:
        """Tell the core, from the worker's thread."""
        with contextlib.suppress(pykka.ActorDeadError):
            self.actor_ref.tell(done)

    # --- turns ----------------------------------------------------------------------------------

    def turn(self, letters: list[Letter]) -> None:
        """Play a batch, portion by portion, and make each durable; first what was not."""
        if self._unsent is not None and clock.monotonic_s() >= self._unsent.retry_s:
            self._persist(self._unsent)
        heard, self._heard = self._heard, []
        for portion in portions([*letters, *heard]):
            if self._unsent is None:
                self._play(portion)
            else:
                self._heard += portion
        if clock.monotonic_s() >= self._beat_s:
            self._beat()

    def wakes_at(self) -> int | None:
        """Return when the core, the next beat or the next try is due.

        Beats and tries go by the monotonic clock: the wall clock may be put back.
        """
        due_s = self._beat_s if self._unsent is None else min(self._beat_s, self._unsent.retry_s)
        due_us = clock.now_us() + int((due_s - clock.monotonic_s()) * 1e6)
        core_us = self.core.wakes_at() if self._unsent is None else None
        return due_us if core_us is None else min(due_us, core_us)

    def _play(self, letters: list[Letter]) -> None:
        now_us = clock.now_us()
        batch = [(letter.peer, message) for letter in letters for message in letter.messages]
        core = self.core
        if batch:
            self._idle = False
        needs = core.needs(batch, now_us)
        core.admit(find(needs, self._writer, now_us, core.epoch) if needs else Found())
        for sender, message in batch:
            now.at = (sender, message)
            if type(message) is Unfit:
                self._tell_fault(sender, message)
            core.receive(sender, message, now_us)
        now.at = None
        posts = core.settle(now_us)
        changes = core.take_changes()
        if not changes:
            self._speak(posts)
            return
        self._persist(_Unsent(changes, posts))

    def _tell_fault(self, sender: str, unfit: Unfit) -> None:
        """Log, once, that a role says what cannot be kept: a defect of that role."""
        fault = (sender, unfit.sentence)
        if fault not in self._faults and len(self._faults) < FAULTS_TOLD:
            self._faults.add(fault)
            log.error("%s said what cannot be kept, and it is refused: %s", *fault)

    def _persist(self, unsent: _Unsent) -> None:
        """Commit and then speak; or keep the batch and stop receiving."""
        began_s = clock.monotonic_s()
        try:
            self._writer.commit(unsent.changes)
        except StoreBroken:
            # What is on the disk is not known any more: only opening it anew can tell.
            raise
        except StoreError as error:
            if self._unsent is None:
                log.error("the store cannot write: %s: runs wait until it can", error)
                self.link.health(f"the store cannot write: {error}")
            unsent.retry_s = clock.monotonic_s() + unsent.wait_s
            unsent.wait_s = min(unsent.wait_s * 2, RETRY_MOST_S)
            self._unsent, self.mailbox.paused = unsent, True
            self.figures.gauges["stalled"] = 1
            return
        if self._unsent is not None:
            self._unsent, self.mailbox.paused = None, False
            self.figures.gauges["stalled"] = 0
            log.warning("the store can write again")
            self.link.health("")
        self._said_seq = self.core.seq
        self._beat_s = min(self._beat_s, clock.monotonic_s() + BEAT_S)
        self.figures.committed(unsent.changes, clock.monotonic_s() - began_s)
        if moves.isEnabledFor(logging.INFO):
            _log_moves(unsent.changes)
        self._speak(unsent.posts)

    def _speak(self, posts: list[Post]) -> None:
        """Publish first, then answer and command: who is answered may read what he was told."""
        feed = [post for post in posts if post.to == FEED]
        if feed:
            self.send(feed)
            posts = [post for post in posts if post.to != FEED]
        self.send(posts)

    def _beat(self) -> None:
        """Say where the head is; without a batch since the last time, let the store tidy up."""
        now_s = clock.monotonic_s()
        self._beat_s = now_s + (REST_BEAT_S if self._said_seq == self._beat_seq else BEAT_S)
        self._beat_seq = self._said_seq
        feed: Any = self.port(FEED)
        assert isinstance(feed, PublisherPort)
        beat = Beat(epoch=self.core.epoch, seq=self._said_seq)
        feed.publish(BEAT_TOPIC, [beat])
        if now_s < self._soon_s or now_s >= self._epoch_s:
            self._epoch_s = now_s + EPOCH_BEAT_S
            feed.publish(EPOCH_TOPIC, [beat])
        if self._idle and self._unsent is None:
            try:
                self._writer.maintain(clock.now_us())
            except StoreBroken:
                raise
            except StoreError as error:
                log.warning("the store could not be tidied: %s", error)
        self._idle = True


def _log_moves(changes: Changes) -> None:
    """Log what has become of runs, now that it is durable."""
    for event in changes.events:
        if isinstance(event, RunMoved):
            before = "new" if event.before is None else event.before.value
            fields = {"run_id": event.run_id, "seq": event.seq, "cause": event.cause}
            run = changes.runs.get(event.run_id)
            if run is not None:
                fields["job_id"] = run.job_id
            moves.info(
                "run %s: %s → %s: %s",
                event.run_id,
                before,
                event.after.value,
                event.message,
                extra=about(**fields),
            )
