"""The examples of docs/queries.md find what the page says: by the filter, and by both stores."""

import json
import re
import shlex
from pathlib import Path

import pytest

from callsheet.cli.sources import join_terms
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.store.interface import Changes
from callsheet.store.memory import MemoryDisk, MemoryWriter
from callsheet.store.sqlite import SqliteWriter, create_database
from callsheet.webui.query import parse_filter, parse_instant

PAGE = (Path(__file__).parents[2] / "docs" / "queries.md").read_text(encoding="utf-8")
NOW_US = parse_instant("2026-01-03T18:00:00Z", 0)


def table(title):
    """Return the cells of the table with this header."""
    rows = PAGE.partition(f"\n{title}\n")[2].partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def runs():
    found = []
    for name, job_id, state, args, labels, owner, agent, at in table(
        "| run | job | state | args | labels | owner | agent | for |"
    ):
        word, _, held = state.partition(", ")
        run = Run(
            run_id=name,
            job_id=job_id,
            state=State(word),
            held=held == "held",
            args=json.loads(args.strip("`")),
            labels=tuple(filter(None, labels.split(", "))),
            owner=owner,
            agent_id=agent or None,
            schedule_us=parse_instant(at, 0),
            ad_hoc=job_id.startswith("adhoc"),
        )
        found.append(run)
    return found


RUNS = runs()
EXAMPLES = [(query.strip("`"), found.split()) for query, found in table("| query | finds |")]


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    path = tmp_path_factory.mktemp("queries") / "callsheet.db"
    create_database(path, 0)
    writers = [SqliteWriter(path), MemoryWriter(MemoryDisk())]
    for writer in writers:
        writer.open(0)
        ad_hoc = {run.job_id: "d" for run in RUNS if run.ad_hoc}
        writer.commit(Changes(runs={run.run_id: run for run in RUNS}, ad_hoc_jobs=ad_hoc))
    yield [writer.reader for writer in writers]
    for writer in writers:
        writer.close()


def test_the_page_has_its_examples():
    assert len(RUNS) == 6
    assert len(EXAMPLES) > 40


@pytest.mark.parametrize(("query", "expected"), EXAMPLES, ids=[query for query, _ in EXAMPLES])
def test_an_example_finds_what_the_page_says(query, expected, readers):
    wanted = parse_filter({"q": [query]}, NOW_US)
    assert [run.run_id for run in RUNS if wanted.matches(run)] == expected
    for reader in readers:
        page = reader.find(wanted, before=None, limit=10)
        assert [run.run_id for run in page.runs] == expected[::-1]
        counts = reader.count_found(wanted)
        assert sum(counts.values()) == len(expected)


def test_every_term_of_the_page_is_understood():
    terms = [
        term
        for row in table("| term | the runs that |")
        for term in re.findall(r"`([^`]+)`", row[0])
    ]
    assert len(terms) > 15
    for term in terms:
        plain = term.replace("A", "-1d").replace("B", "now")
        assert parse_filter({"q": [plain]}, NOW_US) != parse_filter({}, NOW_US)


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        ("name='Ada Lovelace' x", 'name="Ada Lovelace" x'),
        ("!label:'a b'", '!label:"a b"'),
        ("""'name="Lovelace, Ada"'""", 'name="Lovelace, Ada"'),
        ("'daily sales' state:failure", "daily sales state:failure"),
        ("'state:failure daily sales'", "state:failure daily sales"),
        ("'region=eu state:failure'", "region=eu state:failure"),
    ],
)
def test_words_of_a_shell_are_the_query_that_was_typed(typed, query):
    assert join_terms(shlex.split(typed)) == query
