"""YAML as 1.2 means it, under limits, every refusal with its place."""

import math

import pytest

from callsheet.conf.yaml_reader import DEEPEST, MOST_BYTES, MOST_NODES, YamlError, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing", None),
        ("---", None),
        ("~", None),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("true", True),
        ("FALSE", False),
        ("10:30", "10:30"),
        ("10:30:00", "10:30:00"),
        ("2024-01-01", "2024-01-01"),
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ("012", 12),
        ("0o12", 10),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1_", "1_"),
        ("-5", -5),
        ("+5", 5),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-.inf", -math.inf),
        ("1.2.3", "1.2.3"),
        ("0b11", "0b11"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("{a, b: 1}", {"a": None, "b": 1}),
        ("a: {b: [1, {c: d}]}", {"a": {"b": [1, {"c": "d"}]}}),
        (b"\xef\xbb\xbfa: \xc3\xa4", {"a": "ä"}),
        ("- =\n- <", ["=", "<"]),
        ("- &x 1\n- *x", [1, 1]),
        ("- &x 1\n- &x 2\n- *x", [1, 2, 2]),
        ("a: &x {n: [1]}\nb: *x", {"a": {"n": [1]}, "b": {"n": [1]}}),
        ("&k a: *k", {"a": "a"}),
        ("a: &x {n: 1, m: 2}\nb: {<<: *x, n: 3}", {"a": {"n": 1, "m": 2}, "b": {"n": 3, "m": 2}}),
        ("b: {n: 3, <<: {n: 1, m: 2}}", {"b": {"n": 3, "m": 2}}),
        ("b: {<<: [{n: 1}, {n: 2, m: 2}]}", {"b": {"n": 1, "m": 2}}),
        ("'<<': 1", {"<<": 1}),
    ],
)
def test_text_means_what_yaml_1_2_says(text, value):
    assert read_yaml(text, "f").value == value


def test_not_a_number_is_a_number():
    assert math.isnan(read_yaml(".nan", "f").value)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (
            "a: 1\nb: 2\na: x",
            (3, 1),
            "found duplicate key \"a\" with value 'x' (original value: 1)",
        ),
        ("a: *x", (1, 4), "alias *x: expected an anchor &x before it"),
        ("a: &x [*x]", (1, 8), "alias *x: stands inside its own anchor"),
        ("a: &x 1\nb: &x [*x]", (2, 8), "alias *x: stands inside its own anchor"),
        ("a: !!str 1", (1, 4), "tag"),
        ("a: !thing {}", (1, 4), "tag"),
        ("a: !!python/object/apply:os.system [id]", (1, 4), "tag"),
        ("a: !!python/name:os.system", (1, 4), "tag"),
        ("!!python/module:os", (1, 1), "tag"),
        ("a: {!!python/tuple [1]: 2}", (1, 5), "a key is not a string"),
        ("<<: 1", (1, 1), "merge key <<: 1: expected a mapping, or a list of mappings"),
        ("<<: [{a: 1}, x]", (1, 1), "merge key <<: 'x': expected a mapping"),
        ("<<: {a: 1}\n<<: {b: 1}", (2, 1), "merge key << comes twice"),
        (
            "a: &a " + "[" * 30 + "]" * 30 + "\nb: " + "[" * 12 + "*a" + "]" * 12,
            (2, 16),
            "nested deeper",
        ),
        ("a: 1\n2: x", (2, 1), "key 2 is not a string"),
        ("true: x", (1, 1), "key True is not a string"),
        ("? [a]\n: b", (1, 3), "a key is not a string"),
        ("--- 1\n--- 2", (2, 1), "a second document"),
        ("a: [1,", (2, 1), "not YAML"),
        ("a: b: c", (1, 5), "not YAML"),
        ("a:\n\tb: 1", (2, 1), "not YAML"),
        ("a: x\nb: \x07", (2, 4), "not YAML"),
        (b"a: x\nb: \xff", (2, 4), "byte 0xff is not UTF-8"),
        (b"\xff\xfea\x00", (1, 1), "is not UTF-8"),
        ("\ud800", (1, 1), "is not valid Unicode"),
        ("1" * 5000, (1, 1), "too long a number"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), (1, DEEPEST + 1), "nested deeper"),
        ("[a, " * 20_000, (1, DEEPEST * 4 + 1), "nested deeper"),
        ("a: " + "[" * 100_000, (1, 1003), "not YAML"),
        ("- x\n" * MOST_NODES, (MOST_NODES, 3), "holds more than"),
        ("x" * (MOST_BYTES + 1), (1, 1), "is too large"),
    ],
)
def test_what_is_refused_is_told_with_its_place(text, place, words):
    with pytest.raises(YamlError) as caught:
        read_yaml(text, "f.yaml")
    error = caught.value
    assert words in error.sentence
    assert (error.line, error.column) == place
    assert str(error) == f"f.yaml:{place[0]}:{place[1]}: {error.sentence}"


def test_expanding_aliases_are_refused_before_they_expand():
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for before, after in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]")
    with pytest.raises(YamlError, match="holds more than") as caught:
        read_yaml("\n".join(lines), "f")
    assert caught.value.line == 5


def test_what_an_alias_brings_in_has_the_place_of_the_alias():
    document = read_yaml("a: &x {n: 1}\nb:\n  - *x\n  - {<<: *x, m: 2}\n", "f")
    assert document.position(("a", "n")) == (1, 8)
    assert document.position(("b", 0, "n")) == (3, 5)
    assert document.position(("b", 1, "n")) == (4, 5)
    assert document.position(("b", 1, "m")) == (4, 14)


def test_positions_are_those_of_keys_and_items():
    document = read_yaml("a: 1\nb:\n  - c: 1\n    d: 2\n  - x\ne: {f: 1}\n", "f")
    assert document.position(()) == (1, 1)
    assert document.position(("b",)) == (2, 1)
    assert document.position(("b", 0)) == (3, 5)
    assert document.position(("b", 0, "d")) == (4, 5)
    assert document.position(("b", 1)) == (5, 5)
    assert document.position(("e", "f")) == (6, 5)
    assert document.position(("b", 0, "d", "deeper", 7)) == (4, 5)
    assert document.position(("zzz",)) == (1, 1)
