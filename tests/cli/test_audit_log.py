"""`callsheetctl audit-log`: what it shows, and what it finds out."""

import json
import sqlite3

import pytest

from callsheet.messages.audit import BEGINNING, AuditEntry, AuditRow, Broken, Chain, chained


def a_chain(count):
    rows, before = [], BEGINNING
    for number in range(1, count + 1):
        entry = AuditEntry(number=number, at_us=number, who="ann", act="skip", outcome="done")
        rows.append(chained(before, entry))
        before = rows[-1].hash
    return rows


def follow(rows):
    chain = Chain()
    chain.follow(rows)
    return chain.number, chain.hash


def test_a_chain_that_is_whole_is_followed_to_its_end():
    rows = a_chain(5)
    assert follow(rows) == (5, rows[-1].hash)
    assert follow([]) == (0, BEGINNING)


@pytest.mark.parametrize("place", range(5))
def test_each_change_of_an_entry_shows_at_its_number(place):
    rows = a_chain(6)
    row = rows[place]
    other = row.body.replace('"ann"', '"eve"')
    spoilt = [
        AuditRow(row.number, other, row.hash),
        AuditRow(row.number, row.body, "0" * 64),
        chained(BEGINNING if place else "1" * 64, row.entry),
    ]
    for one in spoilt:
        with pytest.raises(Broken) as broken:
            follow([*rows[:place], one, *rows[place + 1 :]])
        assert broken.value.number in (place + 1, place + 2)


def test_an_entry_that_is_missing_doubled_or_swapped_shows():
    rows = a_chain(6)
    for wrong in (
        rows[1:],
        rows[:2] + rows[3:],
        rows[:3] + rows[2:],
        [rows[0], rows[2], rows[1], *rows[3:]],
    ):
        with pytest.raises(Broken):
            follow(wrong)
    # What was cut off at the end shows only against what was noted elsewhere.
    assert follow(rows[:-1]) == (5, rows[4].hash)


def test_what_people_do_is_shown_with_who_and_from_where(stand, callsheet, callsheetctl):
    run_id = stand.a_run("backup")
    assert callsheet("hold", run_id).status == 0
    refused = callsheet("stop", run_id)
    assert refused.status == 1
    shown = callsheetctl("audit-log")
    assert len(shown.lines) == 3
    assert f"local  127.0.0.1  hold_run {run_id}" in shown.lines[1]
    assert "refused: can't stop" in shown.lines[2]
    held, stopped = [json.loads(line) for line in callsheetctl("audit-log", "--json").lines]
    assert held["details"]["before"] == {"state": "scheduled", "held": False}
    assert held["details"]["after"] == {"state": "scheduled", "held": True}
    assert (stopped["outcome"], stopped["target"]) == ("refused", run_id)
    assert len(callsheetctl("audit-log", "--last", "1").lines) == 2
    assert len(callsheetctl("audit-log", "--who", "user:ann").lines) == 1
    assert len(callsheetctl("audit-log", "--target", run_id, "--all").lines) == 3
    # However far back the last of them are; and what made a run is about it, too.
    made = callsheet("schedule", "now", "backup").out.split()[0]
    assert len(callsheetctl("audit-log", "--target", run_id, "--last", "1").lines) == 2
    assert "add_runs backup" in callsheetctl("audit-log", "--target", made).lines[1]


def test_a_record_that_is_whole_is_said_to_be_and_its_end_can_be_noted(
    stand, callsheet, callsheetctl
):
    for _ in range(3):
        callsheet("schedule", "now", "backup")
    whole = callsheetctl("audit-log", "--verify")
    assert (whole.status, whole.lines[0]) == (0, "3 entries, each as it was written; the last is")
    noted = whole.lines[1]
    callsheet("schedule", "now", "backup")
    assert callsheetctl("audit-log", "--verify", "--expect", noted).status == 0
    other = callsheetctl("audit-log", "--verify", "--expect", "2:" + "0" * 64)
    assert (other.status, "entry 2: its hash is" in other.err) == (1, True)
    cut = callsheetctl("audit-log", "--verify", "--expect", "9:" + "0" * 64)
    assert (cut.status, "its end was cut off" in cut.err) == (1, True)
    assert callsheetctl("audit-log", "--verify", "--expect", "x").status == 2
    stored = callsheetctl("audit-log", "--verify", "--database", str(stand.database))
    assert stored.lines[0].startswith("4 entries")


def test_rows_are_not_changed_or_cut_and_who_does_so_anyway_is_found_out(
    stand, callsheet, callsheetctl
):
    for _ in range(3):
        callsheet("schedule", "now", "backup")
    database = sqlite3.connect(stand.database)
    try:
        for statement in ("UPDATE audit SET body = '{}'", "DELETE FROM audit WHERE number = 2"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added to"):
                database.execute(statement)
        database.execute("DROP TRIGGER audit_is_not_changed")
        text = "UPDATE audit SET body = replace(body, 'local', 'nobody') WHERE number = 2"
        database.execute(text)
        database.commit()
    finally:
        database.close()
    broken = callsheetctl("audit-log", "--verify")
    assert broken.status == 1
    assert broken.err == (
        "Error: audit log: entry 2: it, or what was before it, is not what was written; up to "
        "entry 1 it is whole\n"
    )
