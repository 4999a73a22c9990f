"""What a wheel holds: the package, whole, and nothing else; from a checkout and from an sdist."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_SOURCES = shutil.ignore_patterns(
    ".git", ".venv", ".node", ".typing", ".bench", ".*_cache", ".hypothesis", "__pycache__",
    "*.pyc", "build", "dist", "*.egg-info", "callsheet-demo", "*.db*",
)  # fmt: skip
ROOMS = [path.parent.name for path in sorted(ROOT.glob("*/__init__.py"))]

pytestmark = pytest.mark.slow


def can_build():
    probe = "import setuptools, sys; sys.exit(int(setuptools.__version__.split('.')[0]) < 77)"
    return subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0


def build(what, source, into):
    """Build as a front end would, by the hooks of PEP 517, in a process of its own."""
    program = (
        "import sys; from setuptools import build_meta; "
        f"print(build_meta.build_{what}(sys.argv[1]))"
    )
    into.mkdir(exist_ok=True)
    result = subprocess.run(
        [sys.executable, "-c", program, str(into)],
        cwd=source, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return into / result.stdout.split()[-1]


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if not name.endswith("/RECORD")
        }


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return (wheel of the checkout, sdist, wheel of the sdist unpacked elsewhere)."""
    if not can_build():
        why = "setuptools >= 77 is not installed: the packaging tests need it (`make venv` has it)"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("packaging")
    shutil.copytree(ROOT, folder / "checkout", ignore=NOT_SOURCES)
    sdist = build("sdist", folder / "checkout", folder / "dist")
    shutil.rmtree(folder / "checkout" / "callsheet.egg-info", ignore_errors=True)
    wheel = build("wheel", folder / "checkout", folder / "dist")
    with tarfile.open(sdist) as archive:
        # Python knows filters from 3.11.4 on, and from 3.14 on warns of none. The archive is ours.
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(folder / "elsewhere", **safe)
    unpacked = next((folder / "elsewhere").iterdir())
    return wheel, sdist, build("wheel", unpacked, folder / "again")


def test_an_sdist_unpacked_elsewhere_builds_the_same_wheel(built):
    wheel, _, again = built
    assert contents(again) == contents(wheel)


def test_the_wheel_holds_the_package_and_nothing_else(built):
    allowed = {"__init__.py", "__main__.py", "py.typed", "examples", *ROOMS}
    tops = set()
    for name in contents(built[0]):
        first, second = name.split("/")[:2]
        tops.add(second if first == "callsheet" else first)
    strangers = {name for name in tops - allowed if not name.endswith(".dist-info")}
    assert strangers == set()


def test_the_wheel_holds_every_file_of_every_room(built):
    expected = {
        f"callsheet/{path.relative_to(ROOT)}"
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    missing = expected - set(contents(built[0]))
    assert missing == set(), "name them in setup.py: packages or package_data"


def test_the_sdist_holds_all_that_a_developer_needs(built):
    with tarfile.open(built[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        "Makefile", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "setup.py",
        "pyproject.toml", ".ci/run", "bench/run.py", "docs/owed.md",
        "tests/rooms/test_packaging.py",
    }  # fmt: skip
    assert wanted - names == set()


def test_the_commands_are_declared(built):
    with zipfile.ZipFile(built[0]) as archive:
        name = next(n for n in archive.namelist() if n.endswith("entry_points.txt"))
        lines = archive.read(name).decode().split("\n")
    commands = {line.partition(" = ")[0] for line in lines if " = " in line}
    assert commands == {"callsheet", "callsheetctl", "callsheet-agentd"}
