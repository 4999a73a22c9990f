"""Spools that nobody should find: claims as agentd and keepers write them, and what became of them.

Each claim is sound first, in one of the states that a claim may be in, and is then wounded in one
way: a slot of its record, its spec, another file of it, its kind of file, its place. Journals and
numbers are wounded with the batch. What the wounds must never do is make a process of somebody else
look like one of ours: pids are beyond those that Linux gives out, start times beyond any, and of
the two only one is wounded.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
from odd_values import TEXTS, Dice, maker_of, wounded

from callsheet.agentd.collect import FOLDER, MANIFEST
from callsheet.agentd.host import Spec
from callsheet.agentd.keeper_record import ACTS, BOOT, EXIT, PID, SPEC_OFFSET, STARTED
from callsheet.agentd.spool import MAGIC
from callsheet.jobs.order import ENTRY
from callsheet.jobs.programs import BoundProcess, Launch, OutputSpec

KIND = "spool"
NOBODY, NEVER = 9_999_999, 999_999_999_999
STATES = (
    "not started", "started", "with a pid", "exited", "exit in the journal", "failed", "rebooted",
    "acted", "split", "with artifacts", "with results", "with a gap", "with secrets",
)  # fmt: skip
UNENDED = {"not started", "started", "with a pid", "exit in the journal", "rebooted"}
EXITS = [
    "X 1790000000000000 0 0 77 1000 1 2 3 4 5 6 7 8 9 10", "E 1790000000000000 no such file",
    "X 1790000000000000 -9 1 77 1000 1 2 3 4 5 6 7 8 9 10", "X", "E", "X 1 2 3", "Y 1", "E x y",
    "X " + "9" * 30 + " 0 0 77 1000 1 2 3 4 5 6 7 8 9 10", "X 1 99999999999 0 -1 -1" + " 0" * 10,
    "X 1 0 0 1 1" + " 99999999999999999999" * 10, "E 1 " + "x" * 2_000, "E -1 \x00\x1b[2J", " ",
    "X 1_0 0 0 1 1" + " 1" * 10,
]  # fmt: skip
ACT_LINES = [
    "stop 1 SIGTERM", "kill 1 SIGKILL", "timeout 5 SIGTERM", "signal 5 15 abc", "stop", "kill x",
    "",
    "stop x y z", "signal", "stop 9999999999999999999999 SIGTERM", "\ufffd", "noted 1",
]  # fmt: skip
ENVS = [
    {},
    {"A": "1"},
    {"CALLSHEET_RESULT": "RESULT"},
    {"CALLSHEET_RESULT": "DIR/elsewhere"},
    {"": ""},
]


class Made(NamedTuple):
    """A claim as bytes: its record, and its other files by name."""

    record: bytearray
    files: dict[str, bytes]


class Host(NamedTuple):
    """What claims are made for: this boot, and the spool's folder."""

    boot_id: str
    folder: str


def a_claim(dice: Dice, host: Host, name: str) -> tuple[str, Made]:
    """Return a sound claim, and the state it is in."""
    state = dice.choice(STATES)
    launch, output = Launch(), OutputSpec()
    files = {"out": dice.choice((b"", b"hello\n", dice.randbytes(300), b"x" * 70_000))}
    split = state == "split"
    if state == "with secrets":
        launch = Launch(secrets={"TOKEN": "t"})
    env = {
        key: text.replace("RESULT", f"{host.folder}/runs/{name}/result").replace("DIR", host.folder)
        for key, text in dice.choice(ENVS).items()
    }
    program = BoundProcess(argv=("true",), launch=launch, output=output)
    if state == "with artifacts":
        kept = msgspec.convert({"artifacts": [{"path": "*.txt"}]}, OutputSpec, strict=False)
        program = BoundProcess(argv=("true",), output=kept, cwd=host.folder)
        files[f"{FOLDER}/{MANIFEST}"] = b'{"files": [["a.txt", "a.txt", 3]], "notes": ["n"]}'
        files[f"{FOLDER}/a.txt"] = b"abc"
    if state == "with results":
        files["result"] = dice.choice((b"a=1\n", b"a", b"=\n" * 9, b"\xff\x00", b"k=v\n" * 9_000))
        env["CALLSHEET_RESULT"] = f"{host.folder}/runs/{name}/result"
    if state == "failed":
        files["failed"] = dice.choice((b"cwd: no such folder\n", b"", b"\xff\xfe", b"x" * 9_000))
    if split:
        files["err"] = b"oh\n"
        files["order"] = ENTRY.pack(12, 5) + ENTRY.pack(18 | 1, 7)
    keep = dice.choice((10**6, 10**6, 1_000)) if state == "with a gap" else 10**8
    if state == "with a gap":
        files["gap"] = dice.choice((b"100 200\n", b"%020d %020d\n" % (100, 60_000), b"x", b""))
    spec = Spec(program=program, argv=("true",), env=env, keep_bytes=keep, split=split)
    record = bytearray(SPEC_OFFSET)
    boot_id = "another-boot" if state == "rebooted" else host.boot_id
    record[: len(MAGIC)] = MAGIC
    put(record, BOOT, boot_id)
    if state != "not started":
        put(record, STARTED, f"1-0.{NOBODY} {boot_id} 1790000000000000 5000000 {NEVER}")
    if state not in ("not started", "started", "rebooted"):
        put(record, PID, f"{NOBODY} {NEVER}")
    if state not in UNENDED:
        put(
            record,
            EXIT,
            EXITS[0].replace(" 0 0 77", " 125 0 77") if state == "failed" else EXITS[0],
        )
    if state == "acted":
        put(record, ACTS, "\n".join(dice.choice(ACT_LINES) for _ in range(3)))
    record += _with_length(msgspec.json.encode(spec))
    return state, Made(record, files)


def put(record: bytearray, slot: tuple[int, int], text: str) -> None:
    """Write a text into a slot, as keepers do."""
    data = text.encode("utf-8", "surrogatepass")[: slot[1] - 1]
    record[slot[0] : slot[0] + slot[1]] = (
        (data + b"\n").ljust(slot[1], b"\0") if data else bytes(slot[1])
    )


def _with_length(body: bytes) -> bytes:
    return b"%08d\n" % len(body) + body


# --- wounds ---------------------------------------------------------------------------------------


def wound(dice: Dice, made: Made, state: str) -> str:
    """Wound a claim in one way; return which."""
    name = dice.choice(sorted(WOUNDS))
    return WOUNDS[name](dice, made, state) or name


def _none(dice: Dice, made: Made, state: str) -> str:
    return ""


def _slot(dice: Dice, made: Made, state: str) -> str:
    """Bytes of one slot."""
    start, length = dice.choice((BOOT, STARTED, PID, EXIT, ACTS))
    end = start + dice.choice((8, 40, length))
    hurt = wounded(bytes(made.record[start : min(end, start + length)]), dice)[:length]
    made.record[start : start + len(hurt)] = hurt
    return "a slot wounded"


def _text(dice: Dice, made: Made, state: str) -> str:
    """Another text in one slot."""
    slot = dice.choice((BOOT, STARTED, PID, EXIT, EXIT, ACTS))
    if slot == EXIT:
        text = dice.choice(EXITS)
    elif slot == ACTS:
        text = "\n".join(dice.choice(ACT_LINES) for _ in range(dice.randrange(6)))
    else:
        text = dice.choice([*TEXTS, "1 2 3", "a b c d e", f"{NOBODY}", f"k.1 x {NEVER} 1 {NEVER}"])
    put(made.record, slot, text)
    return "another text in a slot"


def _spec(dice: Dice, made: Made, state: str) -> str:
    """Another spec, or the bytes of this one. None of a claim that may live: it says what is to be
    signalled, and how."""
    body = bytes(made.record[SPEC_OFFSET + 9 :])
    del made.record[SPEC_OFFSET:]
    if dice.random() < 0.5:
        data = maker_of(Spec)(dice)
        if isinstance(data, dict):
            # Whose they are is what the tests must not play with.
            data |= {"cgroup": "", "become": [], "env": {}}
            if isinstance(data.get("program"), dict):
                data["program"]["cwd"] = None
        try:
            body = msgspec.json.encode(data)
        except (msgspec.MsgspecError, UnicodeEncodeError, OverflowError, TypeError):
            body = b"{}"
        made.record.extend(_with_length(body))
        put(made.record, ACTS, "")
        return "another spec"
    hurt = wounded(body, dice)
    made.record.extend(_with_length(hurt) if dice.random() < 0.7 else b"%08d\n" % len(body) + hurt)
    return "a spec wounded"


def _length(dice: Dice, made: Made, state: str) -> str:
    said = dice.choice(
        (b"00000000\n", b"99999999\n", b"-0000001\n", b"xxxxxxxx\n", b"        \n", b"\xff" * 9)
    )
    made.record[SPEC_OFFSET : SPEC_OFFSET + 9] = said
    return "another length"


def _cut(dice: Dice, made: Made, state: str) -> str:
    del made.record[dice.randrange(len(made.record)) :]
    return "cut"


def _file(dice: Dice, made: Made, state: str) -> str:
    name = dice.choice(sorted(made.files))
    made.files[name] = wounded(made.files[name][:5_000], dice)
    return "a file wounded"


def _gone(dice: Dice, made: Made, state: str) -> str:
    # Without its manifest a claim is collected anew, by a process of its own.
    made.files.pop(dice.choice([name for name in sorted(made.files) if MANIFEST not in name]))
    return "a file gone"


def _version(dice: Dice, made: Made, state: str) -> str:
    made.record[: len(MAGIC)] = dice.choice(
        (
            b"callsheet run, format 2\n",
            b"callsheet run, format 0\n",
            bytes(24),
            b"#!/bin/sh\n".ljust(24),
        )
    )
    return "of another version"


WOUNDS: dict[str, Callable[[Dice, Made, str], str]] = {
    "sound": _none,
    "slot": _slot,
    "slot again": _slot,
    "text": _text,
    "text again": _text,
    "spec": _spec,
    "spec again": _spec,
    "length": _length,
    "cut": _cut,
    "file": _file,
    "file again": _file,
    "gone": _gone,
    "version": _version,
}


def place(dice: Dice, made: Made, folder: Path) -> str:
    """Put a claim where claims lie; at times something else lies in its place."""
    folder.mkdir()
    for name, data in made.files.items():
        path = folder / name
        if "/" in name:
            path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    record = folder / "record"
    record.write_bytes(made.record)
    if dice.random() > 0.04:
        return ""
    names = ("out", "result", "failed", "err", "order", "gap", f"{FOLDER}/{MANIFEST}")
    victim = dice.choice((record, *(folder / name for name in names)))
    victim.parent.mkdir(exist_ok=True)
    if victim.exists():
        victim.unlink()
    match dice.randrange(5):
        case 0:
            victim.mkdir()
        case 1:
            os.mkfifo(victim)
        case 2:
            victim.symlink_to("/dev/zero")
        case 3:
            victim.symlink_to(folder)
        case _:
            shutil.rmtree(folder)
            folder.write_bytes(made.record)
    return "another kind of file"


def journal(dice: Dice, names: list[str]) -> bytes:
    """Return a journal of exits about some claims."""
    lines = [f"{name} {dice.choice(EXITS)}\n" for name in names if dice.random() < 0.3]
    data = "".join(lines).encode("utf-8", "surrogatepass")
    return wounded(data, dice) if dice.random() < 0.5 else data
