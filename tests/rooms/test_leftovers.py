"""No file is left over: each is named by another one, or by those who begin with it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = sorted(path.parent for path in ROOT.glob("*/__init__.py"))
# Entry points of the package; and what tests of extensions begin with.
BEGINNINGS = {"people", "administrators", "daemon", "first", "extension_kit"}


def test_every_module_is_named_by_another():
    texts = {
        path: path.read_text(encoding="utf-8") for room in ROOMS for path in room.rglob("*.py")
    }
    left = []
    for path in (path for path in texts if path.stem != "__init__"):
        name = re.compile(rf"\b{path.stem}\b")
        others = (text for other, text in texts.items() if other != path)
        if path.stem not in BEGINNINGS and not any(map(name.search, others)):
            left.append(str(path.relative_to(ROOT)))
    assert left == []


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
    texts = {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")}
    texts |= {path: path.read_text(encoding="utf-8") for path in (ROOT / "bench").rglob("*.py")}
    left = []
    for path in helpers:
        name = re.compile(rf"\b{path.stem}\b")
        if not any(name.search(text) for other, text in texts.items() if other != path):
            left.append(path.name)
    assert left == []
