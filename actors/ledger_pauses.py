"""Pauses: what schedules make is skipped while somebody has paused it. Part of the ledger's core.

A paused run is decided when it is due, in the ledger, so that a pause holds for what was written
ahead long ago and nothing can slip through between two processes. Runs that people or actions ask
for are theirs to decide, and start.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..jobs.run import Run
from ..jobs.states import State
from ..jobs.times import format_time
from ..messages.pauses import Pause, PauseKind
from ..messages.transitions import PauseNoted
from ..messages.wishes import OfPauses, PauseRuns
from ..store.interface import Opening
from .ledger_book import Book, Unwilling

AT_MOST = 10_000
# A pause is remembered so long after its end: when the server was down meanwhile, what was due in
# it is made up for only now, and is skipped all the same.
KEPT_US = 7 * 86_400 * 1_000_000


class Pauses:
    """See the module. Pauses in force, by kind and name."""

    def __init__(self, opening: Opening, book: Book) -> None:
        self._book = book
        self._pauses = {pause.key: pause for pause in opening.pauses}

    # --- wishes ---------------------------------------------------------------------------------

    def carry_out(self, wish: OfPauses, now_us: int, who: str) -> dict[str, Any]:
        """Pause or resume; return what it is about, and whether that was anything new.

        Raises:
            Unwilling: it is not to be done.
        """
        if isinstance(wish, PauseRuns):
            return self._pause(wish, now_us, who)
        pause = self._in_force(wish, now_us)
        if pause is None:
            what = Pause(kind=wish.pause_kind, name=wish.name, at_us=0, by="").words
            raise Unwilling("not_found", f"{what}: not paused: expected one of those that are")
        self._end(pause, now_us, who, "resumed")
        return {"kind": wish.pause_kind, "name": wish.name}

    def _pause(self, wish: PauseRuns, now_us: int, who: str) -> dict[str, Any]:
        if wish.until_us is not None and wish.until_us <= now_us:
            sentence = f"until {format_time(wish.until_us)}: expected a time to come"
            raise Unwilling("bad_request", sentence)
        known = self._in_force(wish, now_us)
        if known is None and len(self._pauses) >= AT_MOST:
            raise Unwilling("bad_request", f"{AT_MOST} pauses are in force: expected fewer")
        pause = Pause(
            kind=wish.pause_kind,
            name=wish.name,
            reason=wish.reason,
            until_us=wish.until_us,
            # What was paused before stays so from the beginning.
            at_us=now_us if known is None else known.at_us,
            by=who,
        )
        self._pauses[pause.key] = self._book.changes.pauses[pause.key] = pause
        until = "" if pause.until_us is None else f" until {format_time(pause.until_us)}"
        reason = f": {pause.reason}" if pause.reason else ""
        self._note(pause, f"{pause.words} paused{until}{reason}", now_us, who)
        return {"kind": pause.kind, "name": pause.name}

    # --- runs -----------------------------------------------------------------------------------

    def skips(self, run: Run, now_us: int) -> bool:
        """Skip a run that is due if a schedule has made it and it is paused; return whether."""
        pause = self.of(run)
        if pause is None:
            return False
        line = f"skipped: {pause.sentence}"
        self._book.move(run, State.SKIPPED, now_us, line, pause.by, message=pause.sentence)
        return True

    def of(self, run: Run) -> Pause | None:
        """Return the widest pause in which a run would fall due, None for none: a person's or an
        action's has none."""
        if run.fingerprint is None or not self._pauses:
            return None
        for pause in filter(None, map(self._pauses.get, keys_of(run))):
            if pause.covers(run.job_id, run.labels, run.schedule_us):
                return pause
        return None

    def settle(self, now_us: int) -> None:
        """Forget the pauses that are long over."""
        for pause in list(self._pauses.values()):
            if pause.until_us is not None and now_us >= pause.until_us + KEPT_US:
                self._end(pause, now_us, pause.by, "resumed: its time is over")

    def wakes_at(self) -> int | None:
        """Return when the first of them is over, None when none ends by itself."""
        ends = [one.until_us + KEPT_US for one in self._pauses.values() if one.until_us is not None]
        return min(ends, default=None)

    # --- inside ---------------------------------------------------------------------------------

    def _in_force(self, wish: OfPauses, now_us: int) -> Pause | None:
        pause = self._pauses.get((wish.pause_kind, wish.name))
        return None if pause is None or pause.is_over(now_us) else pause

    def _end(self, pause: Pause, now_us: int, who: str, how: str) -> None:
        del self._pauses[pause.key]
        self._book.changes.pauses[pause.key] = None
        self._note(pause, f"{pause.words} {how}", now_us, who)

    def _note(self, pause: Pause, message: str, now_us: int, who: str) -> None:
        name = pause.name
        event = PauseNoted(
            seq=0, at_us=now_us, cause=who, pause_kind=pause.kind, name=name, message=message
        )
        self._book.log(event)


def keys_of(run: Run) -> Iterator[tuple[PauseKind, str]]:
    """Yield the keys of all pauses that a run may be of, the widest first."""
    yield "all", ""
    folder, slash, _ = run.job_id.rpartition("/")
    while slash:
        yield "folder", folder
        folder, slash, _ = folder.rpartition("/")
    for label in run.labels:
        yield "label", label
    yield "job", run.job_id
