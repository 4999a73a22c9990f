"""`pause`, `resume` and `pauses`."""

import json


def test_a_label_is_paused_listed_and_resumed(callsheet):
    found = callsheet("pause", "--label", "sales", "--reason", "year end", "--until", "+1h")
    assert found.lines[0].split() == ["paused", "since", "until", "by", "reason"]
    assert "label sales" in found.lines[1]
    assert found.lines[1].endswith("local  year end")
    assert callsheet("pauses").lines[1] == found.lines[1]
    assert callsheet("resume", "--label", "sales").lines == ["nothing is paused"]
    again = callsheet("resume", "--label", "sales")
    assert (again.status, "not paused" in again.err) == (1, True)


def test_what_pauses_no_job_is_said_and_done(callsheet):
    found = callsheet("pause", "--folder", "report", "--format", "json")
    assert (found.status, found.err) == (0, "no job is in folder report\n")
    assert [one["name"] for one in json.loads(found.out)] == ["report"]
    assert callsheet("pause", "--folder", "reports").err == ""
    assert callsheet("pause", "--label", "sale").err == "no job has the label sale\n"
    assert callsheet("resume", "--folder", "report", "--format", "json").status == 0


def test_exactly_one_thing_is_paused_by_a_command(callsheet):
    for options in ([], ["--all", "--label", "x"]):
        found = callsheet("pause", *options)
        assert (found.status, "expected one of --job" in found.err) == (2, True)
