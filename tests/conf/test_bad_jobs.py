"""A corpus of wrong job files: each mistake has its place, in bounded time and memory."""

import re
from pathlib import Path

import pytest

from callsheet.actors.limits import Interrupting
from callsheet.conf.check import check_folder
from callsheet.conf.yaml_reader import DEEPEST, MOST_BYTES, MOST_NODES
from callsheet.jobs.job_schema import job_schema

NOW_US = 1_790_000_000_000_000
CORPUS = Path(__file__).parent / "bad_jobs" / "corpus.txt"
OTHERS = {"other": "params: [date]\nprogram: x\n", "typed": "params: {n: int}\nprogram: x\n"}
# No file of a megabyte takes more; most take a thousandth of it.
LIMITS = Interrupting(limit_s=10.0, grow_bytes=512 * 2**20)


def corpus():
    """Return ([(line, column, part of the sentence)], text) of each file of the corpus."""
    found = []
    for line in CORPUS.read_text(encoding="utf-8").partition("\n\n")[2].splitlines():
        expected = re.match(r"=== (\d+):(\d+) (.*)", line)
        if expected is None:
            found[-1][1].append(line)
            continue
        if not found or found[-1][1]:
            found.append(([], []))
        found[-1][0].append((int(expected[1]), int(expected[2]), expected[3]))
    return [(places, "".join(f"{line}\n" for line in text)) for places, text in found]


def aliases(depth, width=10):
    """Return YAML whose last value stands for width ** depth values."""
    lines = ["v0: &a0 [" + ", ".join(["x"] * width) + "]"]
    for n in range(1, depth):
        again = ", ".join([f"*a{n - 1}"] * width)
        lines.append(f"v{n}: &a{n} [{again}]")
    return "\n".join(lines)


def merges(depth, width=10):
    """Return YAML whose merge keys bring in ever more."""
    lines = ["v0: &a0 {" + ", ".join(f"k{n}: 1" for n in range(width)) + "}"]
    for n in range(1, depth):
        again = ", ".join([f"*a{n - 1}"] * width)
        lines.append(f"v{n}: &a{n} {{<<: [{again}], n{n}: [{again}]}}")
    return "\n".join(lines)


GROW = "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}"
# Each call makes two more: deep enough to end never, too flat to be too deep.
TWICE = "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(50) }}"
SCHEDULED = "schedule: {type: interval, interval: 1h}\nprogram: "
BOMBS = {
    "a control character": ("program: x\nb: \x07\n", 2, 4, "control characters are not allowed"),
    "a byte that is not UTF-8": (b"program: x\nb: \xff\n", 2, 4, "byte 0xff is not UTF-8"),
    "another encoding": ("program: x\n".encode("utf-16"), 1, 1, "is not UTF-8"),
    "a program": (b"\x7fELF\x02\x01\x01\0\0\0", 1, 1, "not YAML"),
    "an empty file": ("", 1, 1, "job is null: expected a mapping"),
    "nothing but blanks": (" \n" * 1000, 1, 1, "job is null"),
    "too large": ("#" * (MOST_BYTES + 1), 1, 1, "is too large"),
    "a line of a megabyte": ("a" * (MOST_BYTES - 1), 1, 1, "expected a mapping"),
    "a megabyte of open lists": ("[" * MOST_BYTES, 1, 1001, "not YAML"),
    "deep lists": ("a: " + "[" * 60 + "]" * 60, 1, 43, "nested deeper than 40"),
    "deep mappings": ("{a: " * 41 + "}" * 41, 1, DEEPEST * 4 + 1, "nested deeper than 40"),
    "deep by indentation": (
        "".join("  " * n + "a:\n" for n in range(100)), 41, 81, "nested deeper than 40",
    ),
    "deep sequences in a line": ("- " * 500_000, 1, 81, "nested deeper"),
    "many values": ("- x\n" * (MOST_NODES + 1), MOST_NODES, 3, "holds more than 50000 values"),
    "many keys": (
        "".join(f"k{n}: 1\n" for n in range(30_000)), 25_000, 9, "holds more than 50000 values",
    ),
    "a billion laughs": (aliases(9), 5, 25, "holds more than 50000 values"),
    "a quintillion laughs": (aliases(18), 5, 25, "holds more than 50000 values"),
    "merges that grow": (merges(12), 4, 35, "holds more than 50000 values"),
    "a circle": ("a: &a {b: &b [*a]}\n", 1, 15, "stands inside its own anchor"),
    "a circle by merging": ("a: &a {<<: *a}\n", 1, 12, "stands inside its own anchor"),
    "a number of a megabyte": ("a: " + "9" * 1_000_000, 1, 4, "is too long a number"),
    "a number that is none": (
        "program: x\npriority: " + "9" * 299, 2, 1, "expected a whole number",
    ),
    "a key of a megabyte": ("? " + "k" * 1_000_000 + "\n: 1\n", 1, 1, "missing key: program"),
    "many unknown keys": (
        "".join(f"k{n}: 1\n" for n in range(3_000)), 1, 1, "missing key: program",
    ),
    "many schedules that are wrong": (
        "program: x\nschedule:\n" + "- {type: daily}\n" * 5_000, 3, 3, "missing key: tz",
    ),
    "a zone that is a file": (
        "program: x\nschedule: {type: daily, tz: /etc/passwd, daytime: 9:30}\n", 2, 25,
        "unknown time zone",
    ),
    "a zone of a megabyte": (
        "program: x\nschedule: {type: daily, daytime: 9:30, tz: " + "a" * 1_000_000 + "}\n", 2, 40,
        "unknown time zone",
    ),
    "a schedule every 0.1 s of years": (
        "program: x\nschedule: {type: explicit, times: " + "[2030-01-01T00:00:00Z, " * 30 + "}",
        2, 725, "not YAML",
    ),
    "a pattern that never ends": (
        "program: x\nparams: {x: {pattern: '" + "(" * 600 + "'}}\n", 2, 14, "short pattern",
    ),
    "texts that grow": (SCHEDULED + f'"{GROW}"\n', 2, 1, "too deep or too large"),
    "loops in loops": (
        SCHEDULED + "'{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}"
        "{% endfor %}'\n", 1, 1, "took longer or more memory than allowed",
    ),
    "macros in macros": (SCHEDULED + f'"{TWICE}"\n', 1, 1, "took longer or more memory"),
    "a template of a megabyte": (
        SCHEDULED + "'" + "{{ x }}" * 100_000 + "'\n", 1, 1, "took longer or more memory",
    ),
    "a deep template": (
        SCHEDULED + "'{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}'\n", 2, 1, "too deep",
    ),
    "many blocks": (
        SCHEDULED + "'" + "{% if 1 %}" * 2_000 + "{% endif %}" * 2_000 + "'\n", 2, 1, "too deep",
    ),
}  # fmt: skip


def problems(tmp_path, text):
    for name, other in OTHERS.items():
        (tmp_path / f"{name}.yaml").write_text(other)
    raw = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "bad.yaml").write_bytes(raw)
    with LIMITS:
        found = check_folder(tmp_path, NOW_US, limits=Interrupting(limit_s=1.0))
    assert all(problem.path == "bad.yaml" for problem in found)
    assert not any("\n" in problem.sentence for problem in found)
    assert not any("Traceback" in problem.sentence for problem in found)
    return found


@pytest.mark.parametrize(("expected", "text"), corpus(), ids=lambda value: str(value)[-40:])
def test_a_wrong_job_file_is_told_with_its_place(tmp_path, expected, text):
    found = problems(tmp_path, text)
    assert [(one.line, one.column) for one in found] == [place[:2] for place in expected]
    for problem, (_, _, words) in zip(found, expected, strict=True):
        assert words in problem.sentence


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_file_made_to_hurt_is_told_with_its_place(tmp_path, name):
    text, line, column, words = BOMBS[name]
    first = problems(tmp_path, text)[0]
    assert words in first.sentence
    assert (first.line, first.column) == (line, column)


def test_the_corpus_is_large_and_knows_every_part_of_a_job():
    texts = [text for _, text in corpus()]
    assert len(texts) + len(BOMBS) >= 250
    assert len(set(texts)) == len(texts)
    parts = ("params", "program", "schedule", "condition", "action", "successors", "metadata")
    for part in parts:
        assert part in job_schema()["properties"]
        assert sum(f"{part}:" in text for text in texts) >= 4, part
