"""No file is left over: each is named by another one, or by those who begin with it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = sorted(path.parent for path in ROOT.glob("*/__init__.py"))
# Entry points of the package; and what tests of extensions begin with.
BEGINNINGS = {"people", "administrators", "daemon", "first", "extension_kit"}


def unnamed(modules, files):
    """Return those modules whose names are words of none of the files but themselves."""
    words = {path: set(re.findall(r"\w+", path.read_text(encoding="utf-8"))) for path in files}
    counts = Counter(word for found in words.values() for word in found)
    return sorted(
        str(path.relative_to(ROOT))
        for path in modules
        if counts[path.stem] == (path.stem in words[path])
    )


def test_every_module_is_named_by_another():
    files = [path for room in ROOMS for path in room.rglob("*.py")]
    modules = {path for path in files if path.stem not in {"__init__", *BEGINNINGS}}
    assert unnamed(modules, files) == []


def test_every_script_and_style_of_the_console_is_named_by_another():
    static = ROOT / "webui" / "static"
    files = [path for path in static.rglob("*") if path.suffix in (".js", ".css", ".html", ".svg")]
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    named_by_web = "".join(path.read_text() for path in (ROOT / "webui").glob("*.py"))
    left = []
    for path in files:
        others = "".join(text for other, text in texts.items() if other != path)
        if path.name not in others and path.name not in named_by_web:
            left.append(str(path.relative_to(ROOT)))
    assert left == []


def test_every_helper_of_the_tests_is_used_by_one():
    helpers = sorted((ROOT / "tests" / "support").glob("*.py"))
    assert (
        unnamed(helpers, [*(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]) == []
    )
