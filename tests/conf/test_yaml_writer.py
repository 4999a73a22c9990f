"""What is written as YAML is read again as the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callsheet.conf.yaml_reader import read_yaml
from callsheet.conf.yaml_writer import write_yaml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES = st.recursive(
    TEXTS | st.integers(-(10**6), 10**6) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(VALUES)
def test_any_value_comes_back(value):
    assert read_yaml(write_yaml(value), "x").value == value


@pytest.mark.parametrize(
    "text",
    ["no", "on", "10:30", "1_000", "0o12", "0x1f", "1e3", "~", "null", "- a", "a: b", "#x", "",
     " x", "x ", "a\nb\n", "a\nb", "\n", " a\nb", "a \nb", "a\tb", "\x07", "'", '"', "{a}", "…",
     "2026-01-02", ".inf", "<<", "a\r\nb", "a\u2028b"],
)  # fmt: skip
def test_texts_that_look_like_something_else_stay_texts(text):
    assert read_yaml(write_yaml({"a": text, "b": [text]}), "x").value == {"a": text, "b": [text]}


def test_longer_texts_stand_in_blocks_and_words_without_quotes():
    written = write_yaml({"command": "echo a\necho b\n", "type": "procstar-shell", "l": ["x y"]})
    assert written == "command: |\n  echo a\n  echo b\ntype: procstar-shell\nl:\n  - x y\n"
