"""The conda recipe is of this version, and asks for what setup.py asks for."""

from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from callsheet import __version__

RECIPE = Path(__file__).parents[2] / "packaging" / "conda" / "recipe.yaml"
# Where conda-forge has another name than PyPI in small letters.
NAMES = {"msgpack": "msgpack-python", "tzdata": "python-tzdata"}


@pytest.fixture(scope="module")
def recipe():
    return yaml.safe_load(RECIPE.read_text())


def test_it_is_of_this_version_and_has_the_same_commands(recipe):
    assert recipe["context"]["version"] == __version__
    commands = [
        f"{one.name} = {one.value}"
        for one in metadata.distribution("callsheet").entry_points
        if one.group == "console_scripts"
    ]
    assert sorted(recipe["build"]["python"]["entry_points"]) == sorted(commands)


def test_it_asks_for_what_setup_asks_for_in_the_same_ranges(recipe):
    ours = [Requirement(text) for text in metadata.requires("callsheet")]
    wanted = {
        NAMES.get(one.name.lower(), one.name.lower()): one.specifier
        for one in ours
        if "extra" not in str(one.marker)
    }
    linux, *texts = recipe["requirements"]["run"]
    found = {one.name: one.specifier for one in map(Requirement, texts)}
    assert linux == "__linux"
    assert found.pop("python") == metadata.metadata("callsheet")["Requires-Python"]
    assert found == wanted
