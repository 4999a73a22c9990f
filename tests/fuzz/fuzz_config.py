"""Settings that nobody should write: each key there is with odd values, by file and by override.

They are read as a server does: settings come out, or a line for each mistake, with its place. What
can be read can also be shown.
"""

from __future__ import annotations

import copy
import functools
import json
import re
import shutil
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from odd_files import MEANT, NUMBERS
from odd_values import TEXTS, TIMES, Dice, odd, wounded
from verdict import FOR_EVER, Verdict
from workers import MEMORY, in_workers

from callsheet.conf.settings import SettingsError, load_settings
from callsheet.conf.settings_shown import as_yaml, show_settings

KIND = "config"
KEYS_AT_MOST = 6
# Showing asks of each key what it would be without the others, which takes its time.
SHOWN_EVERY = 10
VALUES: list[Any] = [
    "tcp://127.0.0.1:5555", "tcp://*:1", "tcp://[::1]:99999", "http://x", "127.0.0.1:5000", ":5000",
    "0660", "0999", "login", "open", "sqlite:///x.db", "x.db", "s3://bucket/x", "callsheet.runs",
    "info", "debug", "json", "00:00-01:00", "Mon-Fri", {"default": "least-busy"}, {"x": ["a+b"]},
    {"password_file": "nothing"}, {"env": "X"}, ["sudo", "-n"], "1 GB", "30d", "-1s", "0s", "1e3d",
    {"type": "email", "to": ["a@example.org"]}, {"type": "webhook", "url": "https://example.org"},
    *TIMES,
]  # fmt: skip
PLACE = re.compile(r".+:[0-9]+:[0-9]+: \S")


@functools.cache
def keys() -> list[tuple[str, ...]]:
    """Return the paths of all keys there are, and of the sections they are in."""
    found = set(defaults())
    found |= {path[:length] for path in found for length in range(1, len(path))}
    return sorted(found)


@functools.cache
def defaults() -> dict[tuple[str, ...], Any]:
    """Return what each key is when nobody writes it."""
    return {tuple(map(str, path)): shown.value for path, shown in show_settings(None)}


def some_settings(dice: Dice) -> tuple[bytes, list[str]]:
    """Return a settings file, and overrides."""
    data: dict[str, Any] = {"job_dir": "jobs", "database": "x.db"} if dice.random() < 0.8 else {}
    for path in dice.sample(keys(), dice.randrange(KEYS_AT_MOST)):
        at: Any = data
        for name in path[:-1]:
            at = at.setdefault(name, {}) if isinstance(at, dict) else {}
        if isinstance(at, dict):
            at[path[-1]] = _value(dice, path)
    if dice.random() < 0.1:
        data[dice.choice(TEXTS)] = odd(dice)
    text = json.dumps(data, default=repr, ensure_ascii=False, indent=dice.choice((None, 2)))
    raw = text.encode("utf-8", "surrogatepass")
    overrides = [
        f"{'.'.join(dice.choice(keys()))}={json.dumps(_value(dice, ()), default=repr)[:300]}"
        if dice.random() < 0.8
        else dice.choice(TEXTS)
        for _ in range(dice.choice((0, 0, 1, 2)))
    ]
    return wounded(raw, dice) if dice.random() < 0.2 else raw, overrides


def _value(dice: Dice, path: tuple[str, ...]) -> Any:
    roll = dice.random() if dice.wrong else 0.0
    if path in defaults() and roll < 0.7:
        return copy.deepcopy(defaults()[path])
    if roll < 0.4:
        return copy.deepcopy(dice.choice(VALUES))
    if roll < 0.6:
        return dice.choice(MEANT)
    if roll < 0.8:
        return dice.choice(NUMBERS)
    return odd(dice)


def one(path: Path, overrides: list[str], verdict: Verdict, *, shown: bool) -> None:
    """Read settings as a server does, and, where that is asked for, show them.

    Raises:
        Exception: what comes out is not what is promised.
    """
    try:
        settings = load_settings(path, overrides)
    except SettingsError as error:
        lines = str(error).splitlines()
        if not lines or not all(line.strip() for line in lines):
            raise ValueError(f"{lines}: expected a sentence a line") from None
        verdict.seen["with places" if PLACE.match(lines[0]) else "of overrides"] += 1
        return
    verdict.seen["settings" if settings.unknown == () else "settings, and unknown keys"] += 1
    if shown:
        as_yaml(show_settings(path, overrides))


def work(seed: int, numbers: range, until_s: float, verdict: Verdict) -> None:
    """Read the settings of one worker's cases."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-config", dir=MEMORY))
    path = folder / "callsheet.yaml"
    try:
        for number in numbers:
            if time.monotonic() > until_s:
                break
            raw, overrides = some_settings(Dice(KIND, seed, number))
            path.write_bytes(raw)
            began_s = time.monotonic()
            try:
                one(path, overrides, verdict, shown=number % SHOWN_EVERY == 0)
            except Exception:
                verdict.fault(traceback.format_exc(limit=-6), number)
            verdict.waited(time.monotonic() - began_s, number)
            verdict.played()
    finally:
        shutil.rmtree(folder)


def fuzz(seed: int, numbers: range, until_s: float = FOR_EVER, workers: int = 2) -> Verdict:
    """Read the settings of these cases; all that was seen."""
    return in_workers(KIND, work, seed, numbers, until_s, workers)


def show(seed: int, number: int) -> None:
    """Print one case."""
    raw, overrides = some_settings(Dice(KIND, seed, number))
    print(raw.decode("utf-8", "replace"), overrides)
