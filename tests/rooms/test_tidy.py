"""Nothing lies about that does not belong: open ends, paths of a machine, overgrown modules."""

import functools
import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SKIPPED = {
    ".git", ".venv", ".node", ".typing", ".bench", ".mypy_cache", ".ruff_cache", ".pytest_cache",
    ".hypothesis", "__pycache__", "build", "dist", "callsheet.egg-info", "callsheet-demo",
    "vendor",
}  # fmt: skip
SUFFIXES = {
    "", ".py", ".md", ".toml", ".in", ".sql", ".yaml", ".yml", ".js", ".css", ".html", ".svg",
    ".txt", ".c", ".sh", ".service",
}  # fmt: skip

# Put together here so that this file does not find itself.
OPEN_ENDS = re.compile(
    r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b"
)
MACHINE_PATHS = re.compile(
    "|".join(
        ["/ho" + r"me/\w", "/Us" + r"ers/\w", "/ro" + r"ot\b", "/t" + r"mp/\w", "/wo" + r"rk/\w"]
    )
)
MODULE_LINES = 400


@functools.cache
def texts():
    """Return (path, text) of all that is text, read once for all tests."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(set(folders) - SKIPPED)
        for name in sorted(set(files) - SKIPPED):
            path = Path(folder, name)
            if path.suffix in SUFFIXES and path.is_file() and not path.is_symlink():
                found.append((path, path.read_text(encoding="utf-8")))
    return found


def found(pattern):
    for path, text in texts():
        for match in pattern.finditer(text):
            number = text.count("\n", 0, match.start()) + 1
            yield f"{path.relative_to(ROOT)}:{number}: {match.group()}"


def test_no_open_ends_are_left_in_the_text():
    assert list(found(OPEN_ENDS)) == []


def test_no_path_of_a_developers_machine_is_in_the_text():
    assert list(found(MACHINE_PATHS)) == []


def test_no_module_has_outgrown_one_reason_to_change():
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    lengths = {
        str(path.relative_to(ROOT)): text.count("\n")
        for path, text in texts()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in rooms
    }
    assert {name: lines for name, lines in lengths.items() if lines > MODULE_LINES} == {}


def test_the_root_is_a_package_and_nothing_more():
    assert {path.name for path in ROOT.glob("*.py")} <= {"__init__.py", "__main__.py", "setup.py"}
    assert not list((ROOT / "tests").rglob("__init__.py")), "tests are imported by path"
    assert not (ROOT / "bench" / "__init__.py").exists()
