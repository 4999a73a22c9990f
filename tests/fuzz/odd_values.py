"""Values of any type that msgspec knows, sound and odd: of them messages and bodies are made.

A maker is built once for each type and then makes plain data (dicts, lists, texts, numbers) of it.
How wrong the data is is said by `Dice.wrong`: 0 makes nothing that the type does not allow. All
comes from the dice, whose number and seed are the whole of a case.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import inspect

DEEPEST = 4
LONGEST = 3

TEXTS = [
    "", "a", "x" * 300, "\x00", "\ud83d\ude00", "grü", "../../etc/passwd", "{{ 7*7 }}", "{{ 1/0 }}",
    "'; DROP TABLE runs; --", "<script>", "\u202e", "\ufeff", "%s%n", "NaN", "-", "r1.1", "\u0661",
    "a\nb", " ", "null", "2026-02-30", "1e999", "~", "\\", "a/b", "..", ":", "9" * 30,
    "\x7f\x1b[2J",
]  # fmt: skip
NUMBERS = [
    0, 1, -1, 2, 7, 255, -15, 2**31 - 1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1,
    10**9, 1_790_000_000_000_000,
]  # fmt: skip
FLOATS = [0.0, -0.0, 0.5, 1e308, -1e-308, 5e-324, 1e15, 3.25]
STATES = [
    "scheduled", "waiting", "starting", "running", "stopping", "success", "failure", "error",
    "skipped",
]  # fmt: skip
JOBS = ["noop", "noop", "grp/echo", "later", "waits", "nothing", "grp/", "no", "ECHO"]
TIMES = [
    "now", "2026-11-26T00:00:00Z", "2026-11-26T09:30:00+02:00", "9999-12-31T23:59:59Z", "-1h",
    "+1s",
    "0001-01-01T00:00:00Z", "2020-01-01", "25:00", "1790000000",
]  # fmt: skip
WHATEVER = [
    None, True, False, 0, -1, 1.5, 10**30, "", "x", [], {}, [[]], {"": {}}, [None],
    {"type": "no-op"},
    {"kind": "Hello"}, "a" * 5_000, -(2**63), [1, "x"], b"\xff\x00",
]  # fmt: skip

# What stands in fields of these names, so that what is said is about something.
BY_NAME: dict[str, list[Any]] = {
    "run_id": [*(f"r{n}" for n in range(1, 30)), "r0", "r999999999", "r9999999999999999999"],
    "job_id": JOBS,
    "job": JOBS,
    "state": STATES,
    "states": STATES,
    "before": STATES,
    "after": STATES,
    "version": [0, 1, 1, 1, 2, 3, 4, 4, 4, 99],
    "agent_id": ["local", "fuzz", "fuzz1", "a/b", "x" * 200],
    "group_id": ["default", "local", "x"],
    "attempt": [1, 1, 1, 2, 3, 999_999_999],
    "name": ["output", "output", "out/../x", "order", "a"],
    "start": TIMES,
    "since": TIMES,
    "until": TIMES,
    "schedule": TIMES,
    "from": TIMES,
    "to": TIMES,
    "q": ["", "state:running", "job:noop", "state:", "(" * 200, "label:x or", "time:now..", '"'],
    "query": ["id:r1", "job:nothing", "state:running label:none", "(" * 50],
    "limit": [0, 1, 10, 10**9],
    "count": [0, 1, 1, 2, 3, -1],
    "times": [0, 1, 1, 2, 3, -1],
    "compression": [None, None, "zstd", "gzip"],
    "offset": [0, 0, 1, 2**40, -1],
}


class Dice(random.Random):
    """What decides a case. `wrong`: how often a value is something else than its type allows."""

    wrong: float

    def __init__(self, kind: str, seed: int, number: int) -> None:
        super().__init__(f"{kind} {seed} {number}")
        self.wrong = self.choice((0.0, 0.0, 0.03, 0.1, 0.4))


Make = Callable[[Dice], Any]


@functools.cache
def maker_of(type_: Any) -> Make:
    """Return what makes values of a type, or of a union of types."""
    return _maker(inspect.type_info(type_), "", 0)


def odd(dice: Dice) -> Any:
    """Return anything at all, as plain data."""
    roll = dice.random()
    if roll < 0.4:
        return dice.choice(WHATEVER)
    if roll < 0.6:
        return dice.choice(TEXTS)
    if roll < 0.75:
        return dice.choice(NUMBERS)
    if roll < 0.85:
        return [dice.choice(WHATEVER) for _ in range(dice.randrange(5))]
    if roll < 0.95:
        return {dice.choice(TEXTS): dice.choice(WHATEVER) for _ in range(dice.randrange(5))}
    return nested(dice.choice((10, 40, 200)), dice)


def nested(depth: int, dice: Dice) -> Any:
    """Return lists or mappings in each other."""
    value: Any = []
    for _ in range(depth):
        value = [value] if dice.random() < 0.5 else {"a": value}
    return value


def wounded(data: bytes, dice: Dice) -> bytes:
    """Return bytes with a few random wounds: bits, cuts, doubled and strange pieces."""
    found = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        at = dice.randrange(len(found) + 1)
        match dice.randrange(7):
            case 0:
                del found[at:]
            case 1 if found:
                found[at % len(found)] ^= 1 << dice.randrange(8)
            case 2 if found:
                found[at % len(found)] = dice.randrange(256)
            case 3:
                found[at:at] = dice.randbytes(dice.randrange(1, 9))
            case 4:
                found[at:at] = found[at : at + dice.randrange(40)]
            case 5:
                del found[at : at + dice.randrange(1, 9)]
            case _:
                found[at : at + 4] = dice.choice(
                    (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xdd")
                )
    return bytes(found)


# --- makers ---------------------------------------------------------------------------------------


def _maker(info: inspect.Type, name: str, depth: int) -> Make:
    """Return a maker that is at times wrong."""
    make = _sound(info, name, depth)

    def made(dice: Dice) -> Any:
        if dice.wrong and dice.random() < dice.wrong:
            return odd(dice)
        return make(dice)

    return made


def _sound(info: inspect.Type, name: str, depth: int) -> Make:
    """Return a maker of what a type allows."""
    match info:
        case inspect.Metadata(type=inner):
            return _sound(inner, name, depth)
        case inspect.StructType():
            return _struct(info, depth)
        case inspect.UnionType(types=types):
            return _union([_maker(one, name, depth) for one in types])
        case inspect.LiteralType(values=values):
            return lambda dice: dice.choice(values)
        case inspect.EnumType(cls=cls):
            values = tuple(one.value for one in cls)
            return lambda dice: dice.choice(values)
        case inspect.StrType():
            return _text(info, name)
        case inspect.IntType():
            return _number(info, name)
        case inspect.BoolType():
            return lambda dice: dice.random() < 0.5
        case inspect.FloatType():
            return lambda dice: dice.choice(FLOATS)
        case inspect.BytesType():
            return lambda dice: dice.randbytes(dice.choice((0, 1, 9, 300)))
        case inspect.NoneType():
            return lambda _: None
        case _ if depth >= DEEPEST:
            return _shallow(info)
        case inspect.DictType(key_type=key, value_type=value):
            return _mapping(_maker(key, name, depth + 1), _maker(value, "", depth + 1))
        case inspect.TupleType(item_types=items):
            makers = [_maker(one, name, depth + 1) for one in items]
            return lambda dice: [make(dice) for make in makers]
        case inspect.CollectionType(item_type=item):
            one = _maker(item, name, depth + 1)
            return lambda dice: [one(dice) for _ in range(dice.randrange(LONGEST))]
        case _:
            return odd


def _shallow(info: inspect.Type) -> Make:
    if isinstance(info, inspect.DictType):
        return lambda _: {}
    return lambda _: []


def _union(makers: list[Make]) -> Make:
    return lambda dice: dice.choice(makers)(dice)


def _mapping(key: Make, value: Make) -> Make:
    def made(dice: Dice) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for _ in range(dice.randrange(LONGEST)):
            name = key(dice)
            found[name if isinstance(name, str | int | float | bytes) else "k"] = value(dice)
        return found

    return made


def _text(info: inspect.StrType, name: str) -> Make:
    pool = BY_NAME.get(name, []) or TEXTS
    if info.pattern is not None or info.max_length is not None:
        decode = functools.partial(msgspec.convert, type=_constrained(info))
        sound = [text for text in [*BY_NAME["run_id"], *TEXTS] if _fits(decode, text)]
        pool = sound or pool
    return lambda dice: dice.choice(pool)


def _constrained(info: inspect.StrType) -> Any:
    from typing import Annotated

    meta = msgspec.Meta(
        pattern=info.pattern, max_length=info.max_length, min_length=info.min_length
    )
    return Annotated[str, meta]


def _fits(decode: Callable[[Any], Any], value: Any) -> bool:
    try:
        decode(value)
    except msgspec.ValidationError:
        return False
    return True


def _number(info: inspect.IntType, name: str) -> Make:
    lowest = max(info.ge if info.ge is not None else -(2**63), -(2**63))
    highest = info.le if info.le is not None else info.lt - 1 if info.lt is not None else 2**64 - 1
    pool = [one for one in BY_NAME.get(name, NUMBERS) if isinstance(one, int)] or NUMBERS
    fits = [one for one in pool if lowest <= one <= highest] or [lowest]
    return lambda dice: dice.choice(fits)


def _struct(info: inspect.StructType, depth: int) -> Make:
    """Return a maker of a struct. Its fields are looked at when the first is made: types may hold
    themselves."""
    fields: list[tuple[inspect.Field, Make]] = []

    def made(dice: Dice) -> Any:
        if not fields:
            fields.extend((one, _maker(one.type, one.name, depth + 1)) for one in info.fields)
        if info.array_like:
            head = [info.tag] if info.tag_field else []
            return head + [make(dice) for _, make in fields]
        found: dict[Any, Any] = {info.tag_field: info.tag} if info.tag_field else {}
        for field, make in fields:
            left_out = dice.random() < (dice.wrong if field.required else 0.5)
            if not left_out:
                found[field.encode_name] = make(dice)
        if dice.wrong and dice.random() < dice.wrong:
            found[dice.choice(TEXTS)] = odd(dice)
        return found

    return made
