"""The locks pin all that setup.py asks for, within its ranges, by checksums, and nothing else."""

import importlib.util
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def locks():
    spec = importlib.util.spec_from_file_location("locks", ROOT / "packaging" / "locks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def where(python):
    """Return what markers are asked for a CPython of Linux."""
    return {
        "python_version": python, "python_full_version": f"{python}.1",
        "implementation_name": "cpython", "platform_python_implementation": "CPython",
        "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "extra": "",
    }  # fmt: skip


def versions(pins, python):
    """Return the versions of a lock that count for a Python, of each package just one."""
    here = [one for one in pins if one.marker is None or Marker(one.marker).evaluate(where(python))]
    found = {one.name: one.version for one in here}
    assert len(found) == len(here), "two versions of one package at once"
    return found


def asked(extras, python):
    """Yield what setup.py asks for on a Python, without or with extras."""
    for line in metadata.distribution("callsheet").requires:
        one = Requirement(line)
        heres = [where(python) | {"extra": extra} for extra in ("", *extras)]
        if one.marker is None or any(one.marker.evaluate(here) for here in heres):
            yield one


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize("name", ["callsheet", "extras"])
def test_all_that_setup_py_asks_for_is_pinned_within_its_ranges(locks, name, python):
    found = versions(locks.read(name), python)
    wanted = list(asked(locks.EXTRAS if name == "extras" else (), python))
    assert len(wanted) > 15
    for one in wanted:
        canonical = re.sub("[-_.]+", "-", one.name).lower()
        assert canonical in found, f"{one}: `make locks` writes it"
        assert one.specifier.contains(found[canonical]), f"{one}, not {found[canonical]}"


def test_the_extras_for_users_are_in_the_lock_and_those_for_developers_are_not(locks):
    extras = set(metadata.distribution("callsheet").metadata.get_all("Provides-Extra"))
    assert extras - {"bench", "conda", "dev", "release", "test"} == set(locks.EXTRAS)
    names = {one.name for one in locks.read("extras")}
    assert {"fabric", "apprise", "fsspec", "brotli"} <= names
    assert names & {"pytest", "ruff", "uv", "uvicorn"} == set()


@pytest.mark.parametrize("python", ["3.11", "3.14"])
def test_an_extra_added_later_changes_no_version(locks, python):
    with_extras = versions(locks.read("extras"), python).items()
    assert versions(locks.read("callsheet"), python).items() <= with_extras


def test_what_builds_the_wheel_is_pinned_as_pyproject_asks(locks):
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    found = versions(locks.read("build"), "3.11")
    for one in map(Requirement, tools):
        assert one.specifier.contains(found[one.name])


@pytest.mark.parametrize("name", ["build", "callsheet", "extras"])
def test_each_version_has_checksums_and_no_line_says_where_from(locks, name):
    text = (ROOT / "packaging" / "locks" / f"{name}.txt").read_text()
    pins = list(locks.pinned(text))
    assert pins
    assert all(one.sha256 for one in pins)
    assert not re.search(r"://|^-|^\s+-(?!-hash)", text, re.MULTILINE)


@pytest.mark.parametrize(
    "line", ["a>=1", "a @ https://example.org/a.whl", "--index-url x", "    --hash=md5:00", "-e ."]
)
def test_a_line_that_pins_nothing_is_no_line_of_a_lock(locks, line):
    with pytest.raises(locks.BadLock, match="expected NAME==VERSION or a checksum"):
        list(locks.pinned(f"b==1 \\\n    --hash=sha256:{'0' * 64}\n{line}\n"))


def test_the_pythons_of_the_locks_begin_where_setup_py_does(locks):
    wanted = metadata.distribution("callsheet").metadata["Requires-Python"]
    assert wanted == f">={locks.PYTHONS[0]}"
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in locks.PYTHONS
