"""Each nominal run of an eventful day is accounted for, and what is taken away is missed."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from disk_world import DiskWorld
from eventful_day import BEGIN_US, HOURS, Day, daily, job_of
from msgspec.structs import replace
from scheduler_world import HOUR, SECOND

from callsheet.cli.administrators import group
from callsheet.jobs.accounts import Entry, Fate, Fault
from callsheet.jobs.calendar_days import CalendarDays
from callsheet.messages.transitions import RunsArchived
from callsheet.messages.wishes import ReloadJobs
from callsheet.store.accounting import Account
from callsheet.store.archive import Chunk, copy_chunk
from callsheet.store.backup import backup_database
from callsheet.store.interface import Changes, StoreUnusable
from callsheet.store.rows import decode_skips, encode
from callsheet.store.sqlite import SqliteWriter
from callsheet.store.verify import verify_database

END_US = BEGIN_US + HOURS * HOUR


def account_of(path: Path, to_us: int | None = None) -> tuple[list[Entry], list[Fault], list[str]]:
    account = Account(str(path))
    try:
        found = list(account.entries(0, account.as_of_us + 1 if to_us is None else to_us))
        entries = [one for one in found if isinstance(one, Entry)]
        return entries, [one for one in found if isinstance(one, Fault)], account.remarks
    finally:
        account.close()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("day") / "callsheet.db"
    world = Day(path)
    world.live()
    world.close()
    return path


@pytest.fixture
def spoilt(day: Path, tmp_path: Path) -> Callable[..., Path]:
    """A function that returns a copy changed by statements."""

    def spoil(*statements: str) -> Path:
        path = tmp_path / "spoilt.db"
        backup_database(str(day), str(path))
        database = sqlite3.connect(path)
        for statement in statements:
            assert database.execute(statement).rowcount != 0, statement
        database.commit()
        database.close()
        return path

    return spoil


def test_the_day_is_whole(day: Path) -> None:
    assert verify_database(day).problems == []


def test_each_nominal_run_of_the_day_has_one_fate(day: Path) -> None:
    entries, faults, remarks = account_of(day)
    assert (faults, remarks) == ([], [])
    names = Counter((one.job_id, one.instance, one.at_us) for one in entries)
    assert set(names.values()) == {1}
    fates = {fate: {e.job_id for e in entries if e.fate is fate} for fate in Fate}
    assert fates[Fate.SKIPPED] == {"twice"}
    assert fates[Fate.PAUSED] == {"often"}
    assert fates[Fate.LEFT_OUT] == {"last", "none"}
    assert "fails" in fates[Fate.EXPECTED], "the run that is held"
    assert len(fates[Fate.RAN]) == len({one.job_id for one in entries})


def test_the_times_are_those_a_person_would_count(day: Path) -> None:
    """Counted by the wall clock of Paris, where 02:30 does not come on 2027-03-28."""
    entries, _, _ = account_of(day, END_US)
    paris, wanted = ZoneInfo("Europe/Paris"), []
    minute = datetime.fromtimestamp(BEGIN_US // SECOND, UTC)
    while minute.timestamp() * SECOND < END_US:
        wall = minute.astimezone(paris)
        if f"{wall:%H:%M}" in ("00:30", "02:30", "03:30", "12:00"):
            wanted.append(round(minute.timestamp()) * SECOND)
        minute += timedelta(minutes=1)
    night = [one.at_us for one in entries if one.job_id == "night"]
    assert night == wanted
    often = [one.at_us for one in entries if one.job_id == "often"]
    assert often == list(range(BEGIN_US + HOUR // 3, END_US, HOUR // 3))


def test_what_a_change_withdrew_names_the_change(day: Path) -> None:
    entries, faults, _ = account_of(day, END_US + 24 * HOUR)
    assert faults == []
    taken = {e.job_id: e for e in entries if e.fate is Fate.WITHDRAWN}
    assert taken.keys() == {"changes", "goes"}
    assert taken["goes"].because.endswith(": the job was removed")
    assert "jobs version 2" in taken["changes"].because
    assert taken["changes"].run_id.startswith("r")
    assert any(e.fate is Fate.EXPECTED and not e.run_id for e in entries), "beyond the horizon"


def test_a_schedule_is_computed_by_the_calendar_of_then(tmp_path: Path) -> None:
    first = date(2027, 1, 15).toordinal()
    path = tmp_path / "callsheet.db"
    world = DiskWorld(path, job_of("bank", daily("09:00", tz="UTC", calendar="bank")))
    world.calendars = [CalendarDays(name="bank", start=first, stop=first + 40, bits=b"\xff" * 5)]
    world.wait_until(world.settled)
    begin_us = world.now_us
    world.run_for(2 * HOUR)
    # The day after is a holiday now.
    bits = b"\xfd" + b"\xff" * 4
    world.calendars = [CalendarDays(name="bank", start=first, stop=first + 40, bits=bits)]
    world.wish(ReloadJobs(), "reload")
    world.wait_until(world.settled)
    world.close()
    entries, faults, remarks = account_of(path, begin_us + 60 * HOUR)
    assert (faults, remarks) == ([], [])
    assert [entry.fate for entry in entries] == [Fate.RAN, Fate.WITHDRAWN, Fate.EXPECTED]
    assert entries[1].because.endswith("the job was unchanged, its calendar being another")
    assert verify_database(path).problems == []


FAULTS = {
    "a run and its log are gone": (
        ["DELETE FROM events WHERE n = (SELECT min(n) FROM runs WHERE job_id = 'night')",
         "DELETE FROM runs WHERE n = (SELECT min(n) FROM runs WHERE job_id = 'night')"],
        "missing",
    ),
    "a run is at another time": (
        [("UPDATE runs SET schedule_us = schedule_us + 1000000"
         " WHERE n = (SELECT min(n) FROM runs WHERE job_id = 'night')")],
        "unnamed",
    ),
    "a run is of another job": (
        [("UPDATE runs SET job_id = 'night'"
         " WHERE n = (SELECT min(n) FROM runs WHERE job_id = 'often')")],
        "unnamed",
    ),
    "a run is there twice": (
        ["DROP INDEX runs_planned",
         ("INSERT INTO runs SELECT n + 1000000, job_id, args, state, held, planned, schedule_us,"
         " changed_us, labels, record, sum FROM runs WHERE n = 1"),
         "CREATE INDEX runs_planned ON runs (job_id, schedule_us, args) WHERE planned = 1"],
        "double",
    ),
    "a skip is gone": (
        ["DELETE FROM skips WHERE seq = (SELECT min(seq) FROM skips)"], "missing",
    ),
    "a withdrawal is gone": (
        ["DELETE FROM events WHERE n NOT IN (SELECT n FROM runs)"], "missing",
    ),
    "a schedule is gone": (
        ["DELETE FROM schedules WHERE job_id = 'night'"], "not in force",
    ),
    "a schedule was never closed": (
        ["UPDATE schedules SET valid_to_us = NULL WHERE job_id = 'goes'"], "not in force",
    ),
    "a job is gone": (["DELETE FROM jobs WHERE job_id = 'night'"], "not in force"),
    "a run is due and nobody took it": (
        [("UPDATE runs SET state = 0, held = 0"
         " WHERE n = (SELECT min(n) FROM runs WHERE job_id = 'night')")],
        "late",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FAULTS)
def test_a_planted_fault_is_found(spoilt: Callable[..., Path], what: str) -> None:
    statements, kind = FAULTS[what]
    entries, faults, _ = account_of(spoilt(*statements), END_US + 24 * HOUR)
    assert kind in {fault.kind for fault in faults}
    assert entries


def test_a_skip_of_another_number_is_found(spoilt: Callable[..., Path]) -> None:
    path = spoilt()
    database = sqlite3.connect(path)
    seq, body = database.execute("SELECT seq, body FROM skips LIMIT 1").fetchone()
    skip = decode_skips(body)
    body = encode(replace(skip, count=skip.count + 1))
    database.execute("UPDATE skips SET body = ? WHERE seq = ?", (body, seq))
    database.commit()
    database.close()
    [fault] = account_of(path)[1]
    assert fault.kind == "miscounted"
    assert f"the skip of event {seq}" in fault.sentence


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET body = x'c1' WHERE seq = 1",
        "UPDATE definitions SET body = x'00'",
        "UPDATE skips SET body = x'80'",
        "UPDATE runs SET record = x'81' WHERE n = 3",
    ],
)
def test_what_cannot_be_read_is_a_sentence(spoilt: Callable[..., Path], statement: str) -> None:
    with pytest.raises(StoreUnusable) as caught:
        account_of(spoilt(statement))
    assert "cannot be read, as `callsheetctl verify` will say" in str(caught.value)


def test_a_backup_and_an_archive_account_for_the_same(day: Path, tmp_path: Path) -> None:
    before, _, _ = account_of(day, END_US)
    path, archive = tmp_path / "copy.db", tmp_path / "old.db"
    backup_database(str(day), str(path))
    assert account_of(path, END_US)[0] == before
    chunk = Chunk(before_us=BEGIN_US + 20 * HOUR, limit=100)
    copied = copy_chunk(str(path), str(archive), str(tmp_path / "outputs"), chunk)
    assert len(copied.runs) == 100
    writer = SqliteWriter(path)
    opening = writer.open(END_US)
    numbers = [int(run_id[1:]) for run_id in copied.runs]
    moved = [run for run in map(writer.reader.run, copied.runs) if run is not None]
    left = RunsArchived(
        seq=opening.seq + 1,
        at_us=END_US,
        path=str(archive),
        numbers=numbers,
        events=sum(count for _, count in copied.runs.values()),
        planned=len(moved),
        made={
            job_id: (
                sum(run.job_id == job_id for run in moved),
                min(run.schedule_us for run in moved if run.job_id == job_id),
                max(run.schedule_us for run in moved if run.job_id == job_id),
            )
            for job_id in {run.job_id for run in moved}
        },
    )
    writer.commit(Changes(events=[left], archived=numbers))
    writer.close()
    entries, faults, remarks = account_of(path, END_US)
    assert (faults, remarks) == ([], [])
    assert sum(bool(entry.archive) for entry in entries) == 100
    assert [(e.job_id, e.at_us, e.fate) for e in entries] == [
        (e.job_id, e.at_us, e.fate) for e in before
    ]
    archive.unlink()
    entries, faults, remarks = account_of(path, END_US)
    assert faults == []
    assert sum(entry.fate is Fate.ARCHIVED for entry in entries) == 100
    assert remarks == [f"archive {archive}: cannot be opened: its runs are counted only"]


def test_the_command_accounts_for_each_and_says_when_it_cannot(
    day: Path, spoilt: Callable[..., Path]
) -> None:
    def audit(path: Path, *words: str) -> tuple[int, list[str]]:
        done = CliRunner().invoke(group, ["audit", "--database", str(path), *words])
        return done.exit_code, done.stdout.splitlines()

    code, lines = audit(day, "--from", "2027-03-28", "--to", "2027-03-29", "--job", "night")
    assert code == 0
    assert lines[0] == (
        f"{day}: 3 nominal runs from 2027-03-28T00:00:00+00:00 to 2027-03-29T00:00:00+00:00"
    )
    assert lines[1:] == ["  2 ran, 1 expected", "  each is accounted for"]
    code, lines = audit(day, "--job", "often", "--list")
    assert code == 0
    assert any("often: paused" in line and "is paused by ann: moving" in line for line in lines)
    path = spoilt("DELETE FROM schedules WHERE job_id = 'night'")
    code, lines = audit(path, "--json")
    *some, last = map(json.loads, lines)
    assert code == 1
    assert last["total"]["faults"] == sum("fault" in one for one in some) > 3
    assert last["total"]["nominal"] == sum("fate" in one for one in some)
    code, lines = audit(path)
    assert code == 1
    assert any(line.startswith("unnamed: night") for line in lines)
    assert lines[-1].endswith(" faults")
