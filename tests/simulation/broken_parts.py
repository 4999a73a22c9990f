"""Parts that are broken on purpose, one way each: what the invariants are tried on.

Each breaks one promise of the ledger, the store, the runner or the host, as a mistake in the code
would; `test_simulation.py` sees that some world finds it out.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from simulated_host import Keeper, SimulatedHost
from simulated_nodes import RunnerNode
from simulation import Parts

from callsheet.actors.ledger import Ledger
from callsheet.agentd.host import Found, Key
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.commands import StartRun
from callsheet.messages.instructions import AttemptEnded, ClearRun, ExpectRuns
from callsheet.messages.post import FEED, Post
from callsheet.messages.transitions import FeedFrame, RunMoved
from callsheet.messages.wishes import HoldRun, LedgerWish
from callsheet.store.interface import Changes
from callsheet.store.memory import MemoryWriter

# --- stores that do not keep what they are given --------------------------------------------------


class ForgetsRuns(MemoryWriter):
    """Now and then a run's record is not written, though its events are."""

    def commit(self, changes: Changes) -> None:
        for run_id, run in list(changes.runs.items()):
            if run is not None and run.number % 7 == 0 and run.state is State.RUNNING:
                del changes.runs[run_id]
        super().commit(changes)


class ForgetsAnswers(MemoryWriter):
    """What was answered to a wish is not kept, so that a repeat is carried out again."""

    def commit(self, changes: Changes) -> None:
        changes.answers = {}
        super().commit(changes)


class ForgetsActions(MemoryWriter):
    """What a run owes is not written with its move."""

    def commit(self, changes: Changes) -> None:
        changes.outbox = {key: item for key, item in changes.outbox.items() if item is None}
        super().commit(changes)


# --- ledgers that decide wrongly ------------------------------------------------------------------


class IgnoresGuards(Ledger):
    """Clears whatever is proposed."""

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        if isinstance(message, ClearRun):
            message = replace(message, guards=[])
        return super().receive(sender, message, now_us)


class IgnoresHolds(Ledger):
    """Says that a run is held, and does not hold it."""

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        super().receive(sender, message, now_us)
        if isinstance(message, LedgerWish) and isinstance(message.instruction, HoldRun):
            run = self.book.touched.get(message.instruction.run_id)
            if run is not None:
                self.book.touched[run.run_id] = replace(run, held=False)
                if run.run_id in self.book.active:
                    self.book.active[run.run_id] = replace(run, held=False)
        return []


class InventsExits(Ledger):
    """Takes every end for a success."""

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        if isinstance(message, AttemptEnded):
            message = replace(message, state=State.SUCCESS, message="")
        return super().receive(sender, message, now_us)


class ForgetsItsHorizon(Ledger):
    """Writes expected runs without looking where the horizon is."""

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        if isinstance(message, ExpectRuns):
            later = [replace(e, upto_us=e.upto_us + 10**8) for e in message.expectations]
            message = replace(message, expectations=later)
        return super().receive(sender, message, now_us)


class LosesNominalRuns(Ledger):
    """Moves a horizon without writing all of the runs that it passes."""

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        if isinstance(message, ExpectRuns):
            fewer = [
                replace(e, runs=[run for run in e.runs if int(run.run_id[1:]) % 5])
                for e in message.expectations
            ]
            message = replace(message, expectations=fewer)
        return super().receive(sender, message, now_us)


class SpeaksBeforeItsTurn(Ledger):
    """Publishes records that are not what was decided."""

    def settle(self, now_us: int) -> list[Post]:
        return [_lied(post) for post in super().settle(now_us)]


def _lied(post: Post) -> Post:
    if post.to != FEED or not isinstance(post.message, FeedFrame):
        return post
    runs = [
        replace(run, message="a rumour") if run.number % 5 == 0 and run.finished else run
        for run in post.message.runs
    ]
    return Post(FEED, replace(post.message, runs=runs))


class NeverTriesAgain(Ledger):
    """Says everything once."""

    def settle(self, now_us: int) -> list[Post]:
        self._outgoing._sent_us.clear()
        return super().settle(now_us)


class MovesAsItLikes(Ledger):
    """Starts a run over that has ended."""

    def receive(self, sender: str, message: Any, now_us: int) -> list[Post]:
        super().receive(sender, message, now_us)
        if isinstance(message, AttemptEnded):
            run = self.book.touched.get(message.run_id)
            if run is not None and run.state is State.FAILURE:
                self._again(run, now_us)
        return []

    def _again(self, run: Run, now_us: int) -> None:
        self.book.force(run, State.STARTING, now_us, "starting", "", attempt=run.attempt + 1)


class NumbersCarelessly(MemoryWriter):
    """Gives two events one number."""

    def commit(self, changes: Changes) -> None:
        super().commit(changes)
        events = self._disk.tables.events
        if len(events) > 40 and isinstance(events[-1], RunMoved):
            events[-1] = replace(events[-1], seq=events[-1].seq - 1)


# --- runners and hosts ----------------------------------------------------------------------------


class ForgetsPlacements(RunnerNode):
    """The journal of placements is not durable."""

    def boot(self) -> list[Post]:
        self.placed = {}
        return super().boot()


class CannotWait(RunnerNode):
    """What was got ready ahead of its time is begun as soon as it is there."""

    def step(self, batch: list[tuple[str, Any]]) -> list[Post]:
        return super().step([(sender, _of_old(message)) for sender, message in batch])


def _of_old(message: Any) -> Any:
    if not isinstance(message, StartRun):
        return message
    run = message.run
    return replace(
        message, run=replace(run, schedule_us=min(run.schedule_us, run.times["starting"]))
    )


class LosesOutput(RunnerNode):
    """The output store keeps all but the last byte."""

    def _stored(self, message: Any, life: int) -> None:
        super()._stored(message, life)
        for key, data in self.outputs.kept.items():
            if data.endswith(b"\n") or len(data) > 1:
                self.outputs.kept[key] = data[: len(data) - 1]


class StartsTwice(SimulatedHost):
    """A keeper does not look whether the claim has a process."""

    def _spawn(self, keeper: Keeper, key: Key) -> None:
        super()._spawn(keeper, key)
        claim = self.spool.get(key)
        if claim is not None and claim.exit is None and len(self.evidence.began) % 20 == 19:
            keeper.live.pop(key, None)
            keeper.waiting.append(key)
            super()._spawn(keeper, key)


class HidesReboots(SimulatedHost):
    """Nobody is told that the host was started anew."""

    boot_id = "always"


class BelievesTornClaims(SimulatedHost):
    """A claim without a trace of its start was not started, whatever became of the power."""

    def _ensure(self, key: Key) -> Found:
        self.spool[key].boot = self.boot
        return super()._ensure(key)


BROKEN: dict[str, Parts] = {
    "a record is not written": Parts(writer=ForgetsRuns),
    "a nominal run is lost": Parts(ledger=LosesNominalRuns),
    "answers are not kept": Parts(writer=ForgetsAnswers),
    "actions are not kept": Parts(writer=ForgetsActions),
    "events are numbered twice": Parts(writer=NumbersCarelessly),
    "guards are not looked at": Parts(ledger=IgnoresGuards),
    "holds are not kept": Parts(ledger=IgnoresHolds),
    "exits are invented": Parts(ledger=InventsExits),
    "horizons leap": Parts(ledger=ForgetsItsHorizon),
    "the feed tells something else": Parts(ledger=SpeaksBeforeItsTurn),
    "commands are not repeated": Parts(ledger=NeverTriesAgain),
    "what is over starts again": Parts(ledger=MovesAsItLikes),
    "placements are forgotten": Parts(runner=ForgetsPlacements),
    "what is ready does not wait": Parts(runner=CannotWait),
    "output is cut": Parts(runner=LosesOutput),
    "a process is started twice": Parts(host=StartsTwice),
    "reboots are not told": Parts(host=HidesReboots, kinds=("reboot",)),
    "torn claims are believed": Parts(host=BelievesTornClaims, kinds=("reboot",)),
}
