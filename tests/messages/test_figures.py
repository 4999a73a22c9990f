"""What roles count of themselves, and how it is handed on."""

import json

from callsheet.messages.figures import (
    Figures,
    RoleStanding,
    histogram,
    read_figures,
    read_told,
    told,
)


def test_a_value_is_counted_below_the_first_bound_that_is_not_less():
    one = histogram((0.1, 1.0))
    for value in (0.0, 0.1, 0.11, 1.0, 7.0):
        one.observe(value)
    assert one.counts == [2, 2, 1]
    assert one.sum == 8.21


def test_what_is_said_is_one_line_that_is_read_as_it_was():
    figures = Figures(gauges={"mailbox": 3}, histograms={"turn_seconds": histogram((1.0,))})
    figures.count("runs_ended success")
    figures.count("runs_ended success", 2)
    line = figures.said()
    assert "\n" not in line
    assert read_figures(line) == figures


def test_of_roles_whose_figures_cannot_be_read_only_the_standing_is_handed_on():
    standing = {"web/0": RoleStanding(pid=7, ready=True, starts=2), "agent": RoleStanding()}
    line = told(standing, {"web/0": '{"counts": {"turns"', "agent": Figures().said()}).said()
    found = read_told(line)
    assert found.standing == standing
    assert list(found.figures) == ["agent"]


def test_what_is_no_record_is_nothing():
    for text in ("", "{}", "[]", '{"standing": 1}', "\udc80", json.dumps({"standing": {}})):
        assert read_told(text) is None
