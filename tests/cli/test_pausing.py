"""`pause`, `resume` and `pauses`."""


def test_a_label_is_paused_listed_and_resumed(callsheet):
    found = callsheet("pause", "--label", "sales", "--reason", "year end", "--until", "+1h")
    assert found.lines[0].split() == ["paused", "since", "until", "by", "reason"]
    assert "label sales" in found.lines[1]
    assert found.lines[1].endswith("local  year end")
    assert callsheet("pauses").lines[1] == found.lines[1]
    assert callsheet("resume", "--label", "sales").lines == ["nothing is paused"]
    again = callsheet("resume", "--label", "sales")
    assert (again.status, "not paused" in again.err) == (1, True)


def test_exactly_one_thing_is_paused_by_a_command(callsheet):
    for options in ([], ["--all", "--label", "x"]):
        found = callsheet("pause", *options)
        assert (found.status, "expected one of --job" in found.err) == (2, True)
