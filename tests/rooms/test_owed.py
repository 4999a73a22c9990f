"""The ledger of what is owed tells the truth as far as a test can see."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
STATES = {"done", "part", "not yet"}

# Every id that is owed: a letter and how far its numbers go, and those that came between.
COUNTS = {
    "J": 13, "T": 7, "C": 4, "A": 13, "O": 4, "R": 9, "N": 3, "W": 5, "L": 3, "U": 7, "K": 4,
    "S": 28, "D": 6, "P": 16, "G": 15,
}  # fmt: skip
BETWEEN = {"R3a", "J13a", "D3a", "W3a"}
OWED = {f"{letter}{n}" for letter, count in COUNTS.items() for n in range(1, count + 1)} | BETWEEN


def rows():
    """Return (id, owed, state, shown by) of every row of the tables in docs/owed.md."""
    found = []
    for line in (ROOT / "docs" / "owed.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and re.fullmatch(r"[A-Z]\d+a?", cells[0]):
            assert len(cells) == 4, f"{cells[0]}: expected four cells: {line}"
            found.append(tuple(cells))
    return found


def references():
    """Return (id, reference) for each test, benchmark or script that a row names."""
    return [
        (key, reference)
        for key, _, _, shown_by in rows()
        for reference in re.findall(r"`([^`]+)`", shown_by)
    ]


def test_every_id_that_is_owed_has_exactly_one_row():
    ids = [row[0] for row in rows()]
    assert sorted(ids) == sorted(OWED)


def test_every_row_has_a_known_state_and_says_what_is_owed():
    assert [row for row in rows() if row[2] not in STATES or not row[1]] == []


def test_what_is_done_is_shown_by_something():
    named = {key for key, _ in references()}
    assert [row[0] for row in rows() if row[2] == "done" and row[0] not in named] == []


def named_in(page):
    """Return (page, reference) for each test, benchmark or script that a page of docs names."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [(page, found) for found in re.findall(r"`((?:tests|bench|docs)/[^`]+)`", text)]


def test_every_test_and_benchmark_that_a_row_names_exists():
    named = named_in("reliability.md")
    assert named
    wrong = []
    for key, reference in [*references(), *named]:
        path, _, test = reference.partition("::")
        if not path.startswith(("tests/", "bench/", "docs/")) or not (ROOT / path).exists():
            wrong.append(f"{key}: no such test, benchmark or document: {reference}")
        elif test:
            name = test.partition("[")[0].split("::")[-1]
            text = (ROOT / path).read_text(encoding="utf-8")
            if not re.search(rf"def {re.escape(name)}\b", text):
                wrong.append(f"{key}: no such test: {reference}")
    assert wrong == []
