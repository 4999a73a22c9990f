"""Job files that nobody should write: made of the schema of job files, and of sound ones spoilt.

Of the three sorts one is by the schema, each key of which is taken, with a wrong value here and
there, written with whatever YAML has (anchors, tags, merge keys, flow and block); one is a sound
file with random wounds (`tests/support/spoilt_jobs.py`); one is YAML that is a trap by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from odd_values import TEXTS, Dice, nested, odd, wounded
from spoilt_jobs import SCRAPS, spoilt

from callsheet.jobs.job_schema import job_schema

DEEPEST = 7
# Texts that mean something somewhere in a job file: times, zones, signals, templates, sizes, names.
MEANT = [
    "09:30:00", "24:00:00", "25:00", "1h", "5 min", "600", "-1s", "UTC", "America/New_York", "Mars",
    "Mon-Fri", "all", "5 4 * * sun", "*/7 * 31 2 *", "@daily", "0 0 30 2 *", "2026-02-30", "TERM",
    "SIGKILL", "64", "1 GB", "1.5 GB", "other", "{{ x }}", "{{ x",
    "{% for i in x %}{{ i }}{% endfor %}",
    "{{ Date(x) + 1 }}", "{{ x.__class__ }}", "{{ 9 ** 9 }}", "{{ '%s' * 99 }}", "success",
    "output",
    "echo 1", "/bin/true", "~", "root", "no-op", "a@example.org", "https://example.org/x",
    "SELECT 1",
    "2026-11-26T00:00:00Z", "0 1", "x=1", "../x", "nightly", "[", "0027", "027", "1e3", "x" * 3_000,
]  # fmt: skip
NUMBERS = [0, 1, 2, -1, 10, 255, 3600, 1.5, 0.0, -0.5, 10**6, 2**31, 2**63, 10**30, 1e308, 1e-9]
KEYS = sorted({*job_schema()["properties"]} - {"job_id", "program", "params"})
PARAMS = ["x", "date", "y"]
# Traps of YAML itself. Some take the checker to its limits, so they are few.
TRAPS = [
    "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n",
    "".join(f"k{n}: &k{n} [*k{n - 1}, *k{n - 1}]\n" if n else "k0: &k0 [x]\n" for n in range(30)),
    "program: &p {type: no-op, x: *p}\n", "program: *nowhere\n", "<<: {program: {type: no-op}}\n",
    "<<: [*a, *b]\n", "? [a, b]\n: c\n", "!!python/object/apply:os.system [id]\n",
    "!!binary aGVsbG8=\n", "program: !!set {a, b}\n", "--- 1\n--- 2\n", "%YAML 9.9\n---\na: 1\n",
    "%TAG ! tag:x,2000:\n---\n!a b\n", "\ufeffprogram: {type: no-op}\n", "\x00", "a: 'b\n",
    '"\\ud800": 1\n',
    "a: |\n  x\n y\n", "a: >-9\n  x\n", "a:\tb\n", "- " * 3_000, "[" * 3_000, "{a: " * 500,
    "&a " * 50,
    "program: {type: no-op}\nprogram: {type: no-op}\n", "9" * 5_000, "a: 0x" + "f" * 400 + "\n",
    "a: 2026-11-26\nb: 12:30:45\nc: 1_000\nd: .inf\ne: 0o17\nf: 1e400\n", "a: \u2028b\n",
    "#" * 9_000,
    "program: {type: no-op}\n...\ntrailing\n", "? \n: \n", "''", "~", "", "\n\n", "\r\r",
    "a: b: c\n",
    "schedule: [" + "{type: interval, interval: 1s}," * 40 + "]\nprogram: {type: no-op}\n",
    "program: {type: shell, command: '" + "{{ x }}" * 400 + "'}\n",
]  # fmt: skip

Make = Callable[[Dice, int], Any]


def a_file(dice: Dice) -> bytes:
    """Return the bytes of one job file."""
    roll = dice.random()
    if roll < 0.3:
        return spoilt(dice)
    if roll < 0.34:
        return _trap(dice)
    data = _job(dice)
    raw = _written(data, dice).encode("utf-8", "surrogatepass" if dice.wrong else "replace")
    return wounded(raw, dice) if dice.wrong and dice.random() < 0.3 else raw


def _trap(dice: Dice) -> bytes:
    if dice.random() < 0.1:
        return dice.randbytes(dice.randrange(300))
    text = dice.choice(TRAPS)
    if dice.random() < 0.3:
        text += "program: {type: no-op}\n"
    if dice.random() < 0.2:
        text = f"program: {{type: no-op}}\nmetadata: {text}"
    raw = text.encode("utf-8", "surrogatepass")
    return wounded(raw, dice) if dice.random() < 0.3 else raw


def _job(dice: Dice) -> Any:
    job = {"program": _key("program")(dice, 0)}
    for key in dice.sample(KEYS, dice.choice((0, 1, 2, 2, 3, 6))):
        job[key] = _key(key)(dice, 0)
    if dice.random() < 0.02:
        job["job_id"] = dice.choice(TEXTS)
    if dice.random() < 0.7:
        job["params"] = dice.sample(PARAMS, dice.randrange(3))
    if dice.wrong and dice.random() < dice.wrong:
        job[dice.choice(TEXTS)] = odd(dice)
    return job


# --- by the schema --------------------------------------------------------------------------------


@cache
def _key(key: str) -> Make:
    """Return what makes values of a key of job files."""
    return _of(job_schema()["properties"][key])


@cache
def _named(name: str) -> Make:
    """Return what makes values of a definition of the schema."""
    return _of(job_schema()["$defs"][name])


def _of(shape: dict[str, Any]) -> Make:
    """Return what makes values of a shape, at times wrong ones."""
    sound = _sound(shape)

    def made(dice: Dice, depth: int) -> Any:
        if dice.wrong and dice.random() < dice.wrong / 3:
            return odd(dice)
        return sound(dice, depth)

    return made


def _sound(shape: dict[str, Any]) -> Make:
    if ref := shape.get("$ref"):
        name = str(ref).rpartition("/")[2]
        return lambda dice, depth: _named(name)(dice, depth + 1)
    if "const" in shape:
        return lambda *_: shape["const"]
    if "enum" in shape:
        return lambda dice, _: dice.choice(shape["enum"])
    if "anyOf" in shape:
        options = [_of(one) for one in shape["anyOf"]]
        return lambda dice, depth: dice.choice(options)(dice, depth)
    if "if" in shape and "type" not in shape:
        options = [_of(shape[key]) for key in ("then", "else") if key in shape]
        return lambda dice, depth: dice.choice(options)(dice, depth)
    if "allOf" in shape:
        options = [_kind(one["if"], one["then"]) for one in shape["allOf"] if "then" in one]
        return lambda dice, depth: dice.choice(options)(dice, depth)
    return _typed(shape)


def _kind(said: dict[str, Any], then: dict[str, Any]) -> Make:
    """Return what makes values of a kind, and says of them what decides the kind."""
    make = _of(then)
    deciding = [(key, _of(one)) for key, one in said.get("properties", {}).items()]

    def made(dice: Dice, depth: int) -> Any:
        found = make(dice, depth)
        if isinstance(found, dict):
            found = {key: name(dice, depth) for key, name in deciding} | {
                key: one for key, one in found.items() if key not in dict(deciding)
            }
        return found

    return made


def _typed(shape: dict[str, Any]) -> Make:
    kinds = shape.get("type", "string")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    shortest, pattern = shape.get("minLength", 0), re.compile(shape.get("pattern", ""))
    meant = [text for text in MEANT if len(text) >= shortest and pattern.search(text)]
    if not meant:
        # Names of classes of Apsis, as its job files have them.
        names = re.findall(r"\(([\w|-]+)\)\$", pattern.pattern) or ["x"]
        meant = [f"apsis.{name}" for name in names[0].split("|")]
    makers: dict[str, Make] = {
        "string": lambda dice, _: dice.choice(meant if dice.random() < 0.95 else TEXTS),
        "integer": lambda dice, _: _within(shape, int(dice.choice(NUMBERS))),
        "number": lambda dice, _: _within(shape, dice.choice(NUMBERS)),
        "boolean": lambda dice, _: dice.random() < 0.5,
        "null": lambda *_: None,
    }
    made = [makers[kind] for kind in kinds if kind in makers]
    if "array" in kinds:
        made.append(_list(shape))
    if "object" in kinds:
        made.append(_mapping(shape))
    return lambda dice, depth: dice.choice(made)(dice, depth)


def _within(shape: dict[str, Any], number: Any) -> Any:
    lowest, highest = shape.get("minimum", number), shape.get("maximum", number)
    return min(max(number, lowest), highest)


def _list(shape: dict[str, Any]) -> Make:
    item = _of(shape.get("items", {}))
    fewest = shape.get("minItems", 0)

    def made(dice: Dice, depth: int) -> list[Any]:
        if depth > DEEPEST:
            return []
        return [item(dice, depth + 1) for _ in range(max(fewest, dice.randrange(3)))]

    return made


def _mapping(shape: dict[str, Any]) -> Make:
    known = {key: _of(one) for key, one in shape.get("properties", {}).items()}
    more = shape.get("additionalProperties")
    any_value = _of(more) if isinstance(more, dict) else None
    required = set(shape.get("required", ()))

    def made(dice: Dice, depth: int) -> dict[str, Any]:
        found = {}
        some = 0.4 if depth < DEEPEST else 0.0
        for key, make in known.items():
            if key in required or dice.random() < some:
                found[key] = make(dice, depth + 1)
        if any_value is not None:
            for _ in range(dice.randrange(3)):
                found[dice.choice([*PARAMS, "A", "B"])] = any_value(dice, depth + 1)
        if "minProperties" in shape and not found and known:
            key = dice.choice(list(known))
            found[key] = known[key](dice, depth + 1)
        return found

    return made


# --- written down ---------------------------------------------------------------------------------


def _written(data: Any, dice: Dice) -> str:
    """Return YAML, in flow or block style, at times with a trick of YAML in it."""
    if not isinstance(data, dict) or dice.random() < 0.2:
        return _flow(data)
    lines = [f"{key}:{_block(value, 1, dice)}" for key, value in data.items()]
    if dice.wrong and dice.random() < 0.4:
        at = dice.randrange(len(lines) + 1)
        trick = dice.choice(
            [
                "<<: {metadata: {labels: [x]}}",
                "x: &x [1]\ny: *x",
                "!!str z: 1",
                "? z\n: 1",
                "z: !x 1",
                f"z: {_flow(nested(60, dice))}",
                "---",
                dice.choice(SCRAPS),
                "<<: *q",
                "metadata: &m {a: *m}",
            ]
        )
        lines.insert(at, trick)
    return "\n".join(lines) + "\n"


def _block(value: Any, depth: int, dice: Dice) -> str:
    pad = "\n" + "  " * depth
    if isinstance(value, dict) and value and dice.random() < 0.7:
        return "".join(
            f"{pad}{_flow(str(key))}:{_block(one, depth + 1, dice)}" for key, one in value.items()
        )
    if isinstance(value, list) and value and dice.random() < 0.7:
        return "".join(f"{pad}- {_flow(one)}" for one in value)
    if isinstance(value, str) and value and dice.random() < 0.3 and value.isascii():
        plain = value.strip().replace("\n", " ")
        return f" {plain}" if dice.random() < 0.5 else f" |{pad}  {plain}"
    return f" {_flow(value)}"


def _flow(value: Any) -> str:
    return json.dumps(value, default=repr, ensure_ascii=False)
