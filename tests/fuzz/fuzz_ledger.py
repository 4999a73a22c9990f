"""A ledger over a database of which one row is not as it was, told what makes no sense.

It begins, or says in one sentence why it cannot; whatever it is told then by roles that speak in
order is decided and stored, and the next ledger begins again. The core, its door and the store are
those of a server; each case has a database of its own.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import tempfile
import time
import traceback
from contextlib import closing
from pathlib import Path
from typing import Any

from ledger_driver import START_US
from odd_rows import KIND, some_said, wound
from odd_values import Dice
from verdict import FOR_EVER, Verdict
from whole_history import a_history
from workers import MEMORY, in_workers

from callsheet.actors.ledger import Ledger
from callsheet.actors.ledger_needs import Found, find
from callsheet.jobs.run_filter import RunFilter
from callsheet.messages.codec import pack
from callsheet.store.interface import RunQuery, StoreError, StoreUnusable
from callsheet.store.sqlite import SqliteReader, SqliteWriter

# How many cases lie in a database that is as a ledger wrote it.
SOUND = 0.3
EVERYTHING = RunFilter()
# How long after the history's begin it is: also a day, and more than a year.
LATER_US = (0, 10**6, 86_400 * 10**6, 400 * 86_400 * 10**6)


def one_sentence(error: Exception) -> None:
    """Raise unless an error is told in one sentence."""
    assert "\n" not in str(error), f"{error!r}: expected one sentence"


class Case:
    """One ledger, or the next one, over one database."""

    def __init__(self, path: Path, now_us: int) -> None:
        self._path = path
        self.now_us = now_us

    def live(self, said: list[tuple[str, list[Any]]]) -> str:
        """Begin, hear all that, end; return what became of it."""
        writer = SqliteWriter(self._path)
        try:
            opening = writer.open(self.now_us)
        except StoreUnusable as error:
            one_sentence(error)
            return "said why it cannot begin"
        with closing(writer):
            ledger = Ledger(opening)
            ledger.begin(self.now_us)
            for sender, messages in said:
                self._turn(ledger, writer, [(sender, message) for message in messages])
            self._turn(ledger, writer, [])
        return "with rows set aside" if opening.set_aside else "with all rows"

    def _turn(self, ledger: Ledger, writer: SqliteWriter, batch: list[tuple[str, Any]]) -> None:
        self.now_us += 1_000_000
        needs = ledger.needs(batch, self.now_us)
        ledger.admit(find(needs, writer, self.now_us, ledger.epoch) if needs else Found())
        for sender, message in batch:
            ledger.receive(sender, message, self.now_us)
        posts = ledger.settle(self.now_us)
        changes = ledger.take_changes()
        if changes:
            writer.commit(changes)
        pack(post.message for post in posts if not post.to.startswith(("local", "upkeep")))

    def look(self) -> None:
        """Read what web reads."""
        with closing(SqliteReader(self._path)) as reader:
            for read in (
                lambda: reader.query(RunQuery(limit=50)),
                lambda: reader.find(EVERYTHING, before=None, limit=50),
                lambda: [reader.log(f"r{n}") for n in range(1, 8)],
                lambda: [reader.outputs(f"r{n}") for n in range(1, 8)],
                lambda: reader.events_after(0, 100),
                lambda: reader.closed_findings(9),
                lambda: reader.check_rounds(9),
                lambda: reader.operations(9),
                lambda: reader.backfills(9),
                lambda: reader.schedule_history("hourly"),
                lambda: reader.last_runs(["hourly", "a"], 5),
                lambda: reader.audit(0, 9),
            ):
                try:
                    read()
                except StoreError as error:
                    one_sentence(error)


class Play:
    """Plays cases in a folder of its own."""

    def __init__(self) -> None:
        logger = logging.getLogger("callsheet")
        self._level = logger.level
        logger.setLevel(logging.CRITICAL)
        self._folder = Path(tempfile.mkdtemp(prefix="fuzz-ledger", dir=MEMORY))
        first = self._folder / "first"
        a_history(first)
        self._sound = first.read_bytes()

    def one(self, seed: int, number: int, verdict: Verdict) -> None:
        """Play one case."""
        dice = Dice(KIND, seed, number)
        path = self._folder / "db"
        path.write_bytes(self._sound)
        began_s = time.monotonic()
        try:
            what = "nothing"
            if dice.random() > SOUND:
                with closing(sqlite3.connect(path)) as connection, connection:
                    what = wound(connection, dice)
            case = Case(path, START_US + dice.choice(LATER_US))
            verdict.seen[case.live(some_said(dice))] += 1
            case.look()
            case.live([])
        except Exception:
            verdict.fault(f"{what} wounded: {traceback.format_exc(limit=-6)}", number)
        finally:
            for name in ("db", "db-wal", "db-shm"):
                (self._folder / name).unlink(missing_ok=True)
        verdict.played()
        verdict.waited(time.monotonic() - began_s, number)

    def close(self) -> None:
        """Leave nothing behind, and have others say what they say."""
        shutil.rmtree(self._folder)
        logging.getLogger("callsheet").setLevel(self._level)


def work(seed: int, numbers: range, until_s: float, verdict: Verdict) -> None:
    """Play the cases of one worker."""
    play = Play()
    try:
        for number in numbers:
            if time.monotonic() > until_s:
                break
            play.one(seed, number, verdict)
    finally:
        play.close()


def fuzz(seed: int, numbers: range, until_s: float = FOR_EVER, workers: int = 2) -> Verdict:
    """Play these cases; all that was seen."""
    return in_workers(KIND, work, seed, numbers, until_s, workers)


def show(seed: int, number: int) -> None:
    """Print one case."""
    dice = Dice(KIND, seed, number)
    print(f"{'a wounded' if dice.random() > SOUND else 'a sound'} database; pid {os.getpid()}")
