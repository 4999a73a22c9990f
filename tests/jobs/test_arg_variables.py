"""Args as variables of a process."""

from __future__ import annotations

import pytest

from callsheet.jobs.arg_variables import MOST_BYTES, arg_variables


def test_each_arg_is_a_variable_under_its_own_name():
    args = {"date": "2026-01-31", "Region_2": "eu", "RUN_ID": "mine", "empty": ""}
    assert arg_variables(args) == {
        "APSIS_ARG_date": "2026-01-31",
        "APSIS_ARG_Region_2": "eu",
        "APSIS_ARG_RUN_ID": "mine",
        "APSIS_ARG_empty": "",
    }
    assert arg_variables({}) == {}


@pytest.mark.parametrize("name", ["", "a b", "a-b", "a=b", "a\nb", "ä", "a\0b"])
def test_a_name_that_no_shell_can_read_is_left_out(name):
    assert arg_variables({name: "x", "kept": "y"}) == {"APSIS_ARG_kept": "y"}


def test_a_value_with_a_nul_is_left_out():
    assert arg_variables({"a": "x\0y", "b": "z"}) == {"APSIS_ARG_b": "z"}


@pytest.mark.parametrize("char", ["x", "é", "中"])
def test_args_fill_their_room_to_the_last_byte(char):
    room = MOST_BYTES - len("APSIS_ARG_a=") - 1
    fits = char * (room // len(char.encode()))
    assert arg_variables({"a": fits}) == {"APSIS_ARG_a": fits}
    assert arg_variables({"a": fits + char}) == {}
    # What comes after one that does not fit still may.
    assert arg_variables({"a": fits + char, "b": "1"}) == {"APSIS_ARG_b": "1"}
    assert arg_variables({"a": fits, "b": "1" * 4}) == {"APSIS_ARG_a": fits}
