"""Results: what lines give, what a job says of them, what templates and queries make of them."""

import pytest
from web_stand import a_job

from callsheet.jobs.binding import BindingError, bind
from callsheet.jobs.errors import UserError
from callsheet.jobs.params import ParamSpec
from callsheet.jobs.parse import BadJob, job_from_data, job_to_data
from callsheet.jobs.programs import Shell
from callsheet.jobs.result_terms import matches, split_term
from callsheet.jobs.results import (
    RESULT_BYTES,
    RESULTS_AT_MOST,
    are_results,
    judged,
    parse_results,
)


@pytest.mark.parametrize(
    ("data", "results"),
    [
        (b"", {}),
        (b"rows=3", {"rows": "3"}),
        (b"rows=3\n\nname=a=b c\r\n", {"rows": "3", "name": "a=b c"}),
        (b"rows=3\nrows=4\n", {"rows": "4"}),
        (b"empty=\n", {"empty": ""}),
        ("größe.x-1=é\n".encode().replace("größe".encode(), b"size"), {"size.x-1": "é"}),
    ],
)
def test_lines_give_results(data, results):
    assert parse_results(data) == (results, [])


@pytest.mark.parametrize(
    ("data", "remark"),
    [
        (b"rows", "results: line 1: 'rows': expected key=value"),
        (b"\na b=1", "results: line 2: 'a b': is no key: expected a letter or _"),
        (b"=1", "results: line 1: '': is no key"),
        (b"a=\xff", "results: line 1: is no UTF-8"),
        (b"a=\0", "expected key=value"),
        (b"x" * (RESULT_BYTES + 1), f"expected at most {RESULT_BYTES}: none are taken"),
    ],
)
def test_a_line_that_is_none_is_told_and_the_others_are_taken(data, remark):
    found, [said] = parse_results(data + (b"\nok=1" if len(data) < 100 else b""))
    assert remark in said
    assert found == ({"ok": "1"} if len(data) < 100 else {})


def test_many_lines_that_are_none_are_counted():
    found, said = parse_results(b"x\n" * 9)
    assert (found, len(said), said[-1]) == ({}, 6, "results: 4 more lines are none")


def test_there_are_so_many_keys_at_most():
    lines = b"".join(b"k%d=1\n" % n for n in range(RESULTS_AT_MOST + 1))
    found, [said] = parse_results(lines)
    assert len(found) == RESULTS_AT_MOST
    assert "is one too many" in said
    assert are_results(found)
    assert not are_results(found | {"more": ""})
    assert not are_results({"a b": ""})
    assert not are_results({"a": "x" * RESULT_BYTES})


TOO_FEW = "rows: '0': is less than 1: expected at least 1"
SPECS = {
    "rows": ParamSpec(type="int", min="1"),
    "day": ParamSpec(type="date"),
    "note": ParamSpec(default="none"),
}


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"rows": "3", "day": "2026-01-02", "more": "x"}, ""),
        ({"rows": "3"}, "results: missing day"),
        ({}, "results: missing day, rows"),
        (None, "results: missing day, rows: its agent is of a version that gives no results"),
        (
            {"rows": "0", "day": "soon"},
            "results: day: 'soon': expected a date like 2024-01-06; " + TOO_FEW,
        ),
    ],
)
def test_results_are_held_against_what_the_job_says(given, wrong):
    found, said = judged(SPECS, given)
    assert said == wrong
    assert found == {"note": "none"} | (given or {})


def test_a_job_that_says_nothing_takes_anything():
    assert judged({}, {"x": "1"}) == ({"x": "1"}, "")
    assert judged({}, None) == ({}, "")


SHELL = {"type": "shell", "command": "true"}


@pytest.mark.parametrize(
    ("data", "specs"),
    [
        ("rows", {"rows": ParamSpec()}),
        (["rows", "day"], {"day": ParamSpec(), "rows": ParamSpec()}),
        ({"rows": "int", "day": None}, {"day": ParamSpec(), "rows": ParamSpec(type="int")}),
        ({"ok": {"type": "bool", "default": True}}, {"ok": ParamSpec(type="bool", default="True")}),
        (None, {}),
    ],
)
def test_a_job_file_says_which_results_there_are_to_be(data, specs):
    job = job_from_data({"program": SHELL, "results": data}, "a")
    assert job.results == specs
    assert list(job.results) == sorted(specs)
    assert job_from_data(job_to_data(job), "a") == job


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"program": SHELL, "results": "a b"}, "'a b': is no key of a result"),
        ({"program": SHELL, "results": {"x": "number"}}, "bad type: 'number'"),
        ({"program": SHELL, "results": {"x": {"pattern": "a+"}}}, "a result has no pattern"),
        ({"program": {"type": "no-op"}, "results": "x"}, "of this type gives no results"),
        (
            {"program": {"type": "ssh", "host": "h", "command": "x"}, "results": "x"},
            "of this type gives no results",
        ),
    ],
)
def test_results_that_make_no_sense_are_told(data, said):
    with pytest.raises(BadJob, match=said):
        job_from_data(data, "a")


def bound(command, results=None):
    job = a_job("b", program=Shell(command=command))
    made = bind(job, {}, "r2", lambda _: None, {}, schedule_us=0, results=results)
    return made.program.argv[-1]


def test_templates_name_the_results_of_the_run_before():
    given = {"rows": "3", "a-b": "x", "get": "y"}
    assert bound("load {{ results.rows }} {{ results['a-b'] }}", given) == "load 3 x"
    assert bound("{{ results.get('no', '0') }}{{ 'rows' in results }}", given) == "0True"
    assert bound("{{ results.get('no', '0') }}") == "0"


@pytest.mark.parametrize("results", [None, {"b": "1", "a": "2"}])
def test_a_result_that_was_not_given_is_told(results):
    known = "a, b" if results else "none was given"
    with pytest.raises(BindingError, match=rf"results\.rows: is not given: .* {known}"):
        bound("{{ results.rows }}", results)


@pytest.mark.parametrize(
    ("term", "found"),
    [
        (("rows", "", ()), True),
        (("no", "", ()), False),
        (("rows", "=", ("7", "40")), True),
        (("rows", "=", ("40.0",)), False),
        (("rows", ">", ("5",)), True),
        (("rows", ">=", ("40.0",)), True),
        (("rows", "<", ("1e2",)), True),
        (("rows", "<=", ("39",)), False),
        (("day", ">", ("5",)), False),
        (("day", ">=", ("2026-01-05",)), True),
        (("day", "<", ("2026-01-05",)), False),
    ],
)
def test_a_term_compares_numbers_with_numbers_and_else_texts(term, found):
    assert matches({"rows": "40", "day": "2026-01-05"}, term) is found


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("rows", ("rows", "")),
        ("a.b-c>=1", ("a.b-c", ">=")),
        ("x=", ("x", "=")),
        ("x=a=b", ("x", "=")),
    ],
)
def test_a_term_is_a_key_and_a_sign(text, parts):
    assert split_term(text) == parts


@pytest.mark.parametrize("text", ["", ">3", "rows>", "a b=1", "rows!3"])
def test_what_is_no_term_is_told(text):
    with pytest.raises(UserError, match="expected"):
        split_term(text)
