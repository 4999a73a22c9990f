"""What is known against a version is told; silence is never taken for good news."""

import datetime
import importlib.util
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[2]
TODAY = datetime.date(2027, 1, 15)
WANTED = frozenset({("tornado", "6.5.4"), ("pykka", "4.5.0")})
# As pip-audit 2.10 writes it.
SAID = {
    "dependencies": [
        {"name": "pykka", "version": "4.5.0", "vulns": []},
        {
            "name": "tornado",
            "version": "6.5.4",
            "vulns": [
                {
                    "id": "GHSA-7cx3-6m66-7c5m",
                    "fix_versions": ["6.5.5"],
                    "aliases": ["CVE-2025-47287"],
                    "description": "Multipart bodies\nfill the log.",
                }
            ],
        },
    ],
    "fixes": [],
}
SILENT = {
    "dependencies": [
        {"name": "pykka", "skip_reason": "Dependency not found and could not be audited"},
        {"name": "tornado", "skip_reason": "Dependency not found and could not be audited"},
    ],
    "fixes": [],
}


@pytest.fixture
def advisories(monkeypatch):
    path = ROOT / "packaging" / "advisories.py"
    spec = importlib.util.spec_from_file_location("advisories", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "advisories", module)  # where msgspec looks types up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def judge(advisories):
    def judged(*answers, known=()):
        return advisories.judge(WANTED, answers, known, TODAY)

    return judged


def looked_into(advisories, until, advisory="CVE-2025-47287", package="tornado"):
    return advisories.Known(id=advisory, package=package, until=until, reason="No route reads it.")


def test_an_advisory_is_told_with_all_its_names_and_what_mends_it(advisories, judge):
    verdict = judge(("pypi", advisories.heard(SAID)))
    assert verdict.status == advisories.FOUND
    (line,) = verdict.lines
    assert line == (
        "tornado 6.5.4: GHSA-7cx3-6m66-7c5m, CVE-2025-47287: fixed in 6.5.5:"
        " Multipart bodies fill the log."
    )


def test_two_services_that_know_it_by_other_names_tell_it_once(advisories, judge):
    (package,) = (one for one in SAID["dependencies"] if one["name"] == "tornado")
    (first,) = package["vulns"]
    other = first | {"id": "CVE-2025-47287", "aliases": ["GHSA-7cx3-6m66-7c5m", "PYSEC-1"]}
    second = {"dependencies": [package | {"vulns": [other]}]}
    verdict = judge(("pypi", advisories.heard(SAID)), ("osv", advisories.heard(second)))
    assert len(verdict.lines) == 1


def test_one_that_was_looked_into_does_not_count_until_its_day(advisories, judge):
    tomorrow = looked_into(advisories, TODAY + datetime.timedelta(days=1))
    verdict = judge(("pypi", advisories.heard(SAID)), known=[tomorrow])
    assert verdict.status == advisories.NOTHING
    verdict = judge(("pypi", advisories.heard(SAID)), known=[looked_into(advisories, TODAY)])
    assert verdict.status == advisories.FOUND
    assert verdict.lines[1] == "  it was known until 2027-01-15: No route reads it."


def test_what_is_known_of_another_package_or_by_another_name_hides_nothing(advisories, judge):
    later = TODAY + datetime.timedelta(days=30)
    for wrong in ({"package": "pykka"}, {"advisory": "CVE-2025-1"}):
        known = [looked_into(advisories, later, **wrong)]
        verdict = judge(("pypi", advisories.heard(SAID)), known=known)
        assert verdict.status == advisories.FOUND
        assert "is not found any more" in verdict.lines[-1]


def test_a_service_that_has_never_heard_of_a_package_says_nothing_for_it(advisories, judge):
    verdict = judge(("pypi", advisories.heard(SILENT)))
    assert verdict.status == advisories.UNASKED
    assert verdict.lines[0] == (
        "advisories were NOT looked up for 2 of 2 versions: pykka 4.5.0, tornado 6.5.4"
    )


def test_a_service_that_is_away_is_named_with_what_was_wrong(advisories, judge):
    verdict = judge(("osv", advisories.Answer(why_not="no answer within 120 s")))
    assert (verdict.status, verdict.lines[1]) == (
        advisories.UNASKED,
        "  osv: no answer within 120 s",
    )


def test_what_was_found_counts_though_not_all_was_asked_for(advisories, judge):
    half = {"dependencies": [one for one in SAID["dependencies"] if one["vulns"]]}
    verdict = judge(("pypi", advisories.heard(half)))
    assert verdict.status == advisories.FOUND
    assert "NOT looked up for 1 of 2 versions: pykka 4.5.0" in verdict.lines[1]


def test_the_list_of_those_looked_into_is_whole(advisories):
    known = advisories.allowed((ROOT / "packaging" / "advisories.toml").read_text())
    assert all(one.reason.strip() for one in known)


@pytest.mark.parametrize("lacking", ["reason", "until", "package", "id"])
def test_one_that_nobody_gave_a_reason_or_a_day_is_refused(advisories, lacking):
    whole = {"id": '"CVE-1"', "package": '"a"', "until": "2027-03-01", "reason": '"None reads it."'}
    text = "[[known]]\n" + "".join(f"{key} = {value}\n" for key, value in whole.items())
    assert len(advisories.allowed(text)) == 1
    del whole[lacking]
    with pytest.raises(msgspec.ValidationError, match=lacking):
        advisories.allowed(
            "[[known]]\n" + "".join(f"{key} = {value}\n" for key, value in whole.items())
        )
