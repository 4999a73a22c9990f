"""The conda recipe is of this version, and asks for what setup.py asks for."""

import hashlib
import importlib.util
import json
import tarfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from callsheet import __version__

PACKAGING = Path(__file__).parents[2] / "packaging"


@pytest.fixture(scope="module")
def try_conda():
    spec = importlib.util.spec_from_file_location("try_conda", PACKAGING / "try_conda.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def recipe(try_conda):
    return yaml.safe_load(try_conda.RECIPE.read_text())


def test_it_is_of_this_version_and_has_the_same_commands(recipe):
    assert recipe["context"]["version"] == __version__
    commands = [
        f"{one.name} = {one.value}"
        for one in metadata.distribution("callsheet").entry_points
        if one.group == "console_scripts"
    ]
    assert sorted(recipe["build"]["python"]["entry_points"]) == sorted(commands)


def test_it_asks_for_what_setup_asks_for_in_the_same_ranges(recipe, try_conda):
    ours = [Requirement(text) for text in metadata.requires("callsheet")]
    wanted = {
        try_conda.conda_name(one.name): one.specifier
        for one in ours
        if "extra" not in str(one.marker)
    }
    linux, *texts = recipe["requirements"]["run"]
    found = {one.name: one.specifier for one in map(Requirement, texts)}
    assert linux == "__linux"
    assert found.pop("python") == metadata.metadata("callsheet")["Requires-Python"]
    assert found == wanted


def test_a_stand_in_is_a_package_with_the_files_and_the_wishes_of_what_is_installed(
    try_conda, tmp_path
):
    made = [one for one in try_conda.stand_ins(["jinja2"]) if one.index["name"] != "python"]
    assert [one.index["name"] for one in made] == ["jinja2", "markupsafe"]
    assert made[0].index["depends"] == ["python", "markupsafe >=2.0"]
    assert try_conda.write_channel(tmp_path / "channel", made) == (tmp_path / "channel").as_uri()
    [told] = (tmp_path / "channel").glob("linux-*/repodata.json")
    for file, said in json.loads(told.read_text())["packages"].items():
        assert hashlib.sha256((told.parent / file).read_bytes()).hexdigest() == said["sha256"]
        with tarfile.open(told.parent / file) as tar:
            assert json.load(tar.extractfile("info/index.json"))["name"] == said["name"]
            rows = json.load(tar.extractfile("info/paths.json"))["paths"]
            for row in rows:
                content = tar.extractfile(row["_path"]).read()
                assert hashlib.sha256(content).hexdigest() == row["sha256"]
        module = f"lib/{try_conda.PYTHON}/site-packages/{said['name']}/__init__.py"
        assert module in {row["_path"] for row in rows}
