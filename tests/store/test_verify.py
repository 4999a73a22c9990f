"""`verify` finds nothing in what a ledger wrote, and every row that another hand has touched."""

import random
import sqlite3
from pathlib import Path

import pytest
from whole_history import a_history

from callsheet.store.backup import backup_database, restore_database
from callsheet.store.interface import StoreUnusable
from callsheet.store.migrate import migrate_database
from callsheet.store.verify import verify_database


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    path = tmp_path_factory.mktemp("verify") / "callsheet.db"
    a_history(path)
    return path


def test_what_a_ledger_wrote_is_right(history):
    found = verify_database(history)
    assert found.problems == []
    assert found.runs > 10
    assert found.events >= 30
    assert (found.schedules, found.outputs) == (1, 3)


# Every table of the schema; `test_no_table_is_left_out` holds it against the database.
TABLES = (
    "ad_hoc_jobs", "agent_tokens", "agents", "answers", "api_tokens", "audit", "backfill_runs",
    "backfills", "calendar_versions", "calendars", "check_rounds", "deadlines", "definitions",
    "events", "findings", "jobs", "meta", "moved", "operation_parts", "operations", "outbox",
    "outputs", "pauses", "reruns", "results", "run_agents", "run_jobs", "runs", "schedules",
    "sessions", "skips", "spans", "streaks", "tallies", "users",
)  # fmt: skip
ROWS_A_TABLE = 3


def columns_of(database, table):
    """Return the columns of a table, and those of its key."""
    found = database.execute(f"PRAGMA table_info({table})").fetchall()
    names = [column[1] for column in found]
    return names, [column[1] for column in found if column[5]] or ["rowid"]


def another(value, draw):
    """Return a value of the same type that differs a little."""
    if isinstance(value, bytes):
        place = draw.randrange(len(value))
        return value[:place] + bytes([value[place] ^ 1 << draw.randrange(8)]) + value[place + 1 :]
    return f"{value or ''}x" if isinstance(value, str) else (value or 0) + 1_000_003


def harms(database, table):
    """Yield statements that delete, alter or double one row of a table, with their values."""
    draw = random.Random(table)
    names, key = columns_of(database, table)
    chosen = list(dict.fromkeys([*key, *names]))
    rows = database.execute(f"SELECT {', '.join(chosen)} FROM {table}").fetchall()
    where = " AND ".join(f"{name} IS ?" for name in key)
    for row in draw.sample(rows, min(ROWS_A_TABLE, len(rows))):
        values = dict(zip(chosen, row, strict=True))
        named = [values[name] for name in key]
        yield f"DELETE FROM {table} WHERE {where}", named
        for name in names:
            changed = another(values[name], draw)
            yield f"UPDATE {table} SET {name} = ? WHERE {where}", [changed, *named]
        twin = [another(values[n], draw) if n == key[-1] else values[n] for n in names]
        marks = ", ".join("?" * len(names))
        yield f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", twin


def test_no_table_is_left_out(history):
    with sqlite3.connect(history) as database:
        text = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        assert sorted(row[0] for row in database.execute(text)) == sorted(TABLES)
        counts = {t: database.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in TABLES}
    assert 0 not in counts.values(), counts


def test_a_backup_and_what_is_restored_from_it_are_right(history, tmp_path):
    copy, here = tmp_path / "copy.db", tmp_path / "here.db"
    backup_database(str(history), str(copy))
    assert verify_database(copy).problems == []
    backup_database(str(history), str(here), passwords=True)
    restore_database(str(copy), str(here))
    assert verify_database(here).problems == []


@pytest.mark.parametrize("table", TABLES)
def test_any_row_that_was_deleted_altered_or_doubled_is_found(history, tmp_path, table):
    path = tmp_path / "copy.db"
    with sqlite3.connect(history) as database:
        plain = database.serialize()
        statements = list(harms(database, table))
    done = 0
    for statement, values in statements:
        path.write_bytes(plain)
        database = sqlite3.connect(path)
        # Whoever does this is not stopped by them.
        database.execute("DROP TRIGGER audit_is_not_changed")
        database.execute("DROP TRIGGER audit_is_not_cut")
        try:
            assert database.execute(statement, values).rowcount == 1, statement
        except sqlite3.IntegrityError:
            continue  # The schema does not have it.
        finally:
            database.commit()
            database.close()
        done += 1
        try:
            problems = verify_database(path).problems
        except StoreUnusable as error:
            problems = [str(error)]
        assert problems != [], (statement, values)
    assert done > len(statements) // 2


def test_a_database_of_the_first_version_is_right_when_it_is_migrated(tmp_path):
    script = Path(__file__).parents[1] / "system" / "first_version.sql"
    path = tmp_path / "callsheet.db"
    database = sqlite3.connect(path)
    database.executescript(script.read_text())
    database.execute("PRAGMA application_id = 1667329132")
    database.execute("PRAGMA user_version = 1")
    database.close()
    assert migrate_database(path) >= 6
    found = verify_database(path)
    assert (found.problems, found.runs) == ([], 5)
