"""Build the conda package by its recipe, and run the recipe's tests on it.

Where no channel is within reach, the packages that the recipe names are stand-ins, in a channel of
files that is made for it: each holds what this program's environment has installed of the same
distribution, and asks for what that one asks for. So it is seen that the recipe builds, that its
ranges can be met together and that what comes of it runs; which versions conda-forge has is not.
With the name of a channel, that one is asked instead.

    python packaging/try_conda.py
    python packaging/try_conda.py conda-forge
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import sysconfig
import tarfile
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

RECIPE = Path(__file__).parent / "conda" / "recipe.yaml"
# What conda-forge calls otherwise than PyPI.
NAMES = {"msgpack": "msgpack-python", "tzdata": "python-tzdata"}
DISTRIBUTIONS = {theirs: ours for ours, theirs in NAMES.items()}
SUBDIR = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
# Parts of Python's library that no package of it needs here.
LEFT_OUT = {"site-packages", "dist-packages", "test", "__pycache__", "idlelib", "tkinter"}


class StandIn:
    """A conda package in the making: what it is called and asks for, and its files by the path that
    they have in an environment."""

    def __init__(self, name: str, version: str, depends: list[str]) -> None:
        self.index = {
            "name": name,
            "version": version,
            "build": "0",
            "build_number": 0,
            "depends": depends,
            "subdir": SUBDIR[platform.machine()],
        }
        self.files: dict[str, Path] = {}

    def write(self, folder: Path) -> tuple[str, dict[str, Any]]:
        """Write it into a folder of a channel; return its file's name and what the channel says."""
        path = folder / "{name}-{version}-{build}.tar.bz2".format_map(self.index)
        rows = [
            {
                "_path": name,
                "path_type": "hardlink",
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                "size_in_bytes": file.stat().st_size,
            }
            for name, file in self.files.items()
        ]
        info = {"index.json": self.index, "paths.json": {"paths": rows, "paths_version": 1}}
        with (
            tempfile.TemporaryDirectory() as name,
            tarfile.open(path, "w:bz2", compresslevel=1) as tar,
        ):
            for part, content in info.items():
                (Path(name) / part).write_text(json.dumps(content), encoding="utf-8")
                tar.add(Path(name) / part, f"info/{part}")
            for to, file in self.files.items():
                tar.add(file.resolve(), to)
        whole = path.read_bytes()
        said = {
            **self.index,
            "sha256": hashlib.sha256(whole).hexdigest(),
            "md5": hashlib.md5(whole, usedforsecurity=False).hexdigest(),
            "size": len(whole),
        }
        return path.name, said


def conda_name(distribution: str) -> str:
    """Return the name that conda-forge has for a distribution."""
    return NAMES.get(distribution.lower(), distribution.lower())


def python() -> StandIn:
    """Return a stand-in for Python itself: the one that runs this."""
    made = StandIn("python", platform.python_version(), [])
    for name in ("python", "python3", PYTHON):
        made.files[f"bin/{name}"] = Path(sys.executable)
    library = Path(sysconfig.get_path("stdlib"))
    for root, folders, names in os.walk(library):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        for name in names:
            path = Path(root, name)
            made.files[f"lib/{PYTHON}/{path.relative_to(library)}"] = path
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        shared = sysconfig.get_config_var("INSTSONAME")
        made.files[f"lib/{shared}"] = Path(sysconfig.get_config_var("LIBDIR"), shared)
    return made


def installed(name: str) -> StandIn:
    """Return a stand-in for a package that is installed here, by the name that conda-forge has.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    found = metadata.distribution(DISTRIBUTIONS.get(name, name))
    wanted = [
        one
        for one in map(Requirement, found.requires or ())
        if one.marker is None or one.marker.evaluate({"extra": ""})
    ]
    depends = [f"{conda_name(one.name)} {one.specifier}".strip() for one in wanted]
    made = StandIn(name, found.version, ["python", *depends])
    for file in found.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            made.files[f"lib/{PYTHON}/site-packages/{file}"] = Path(str(file.locate()))
    return made


def stand_ins(names: Iterable[str]) -> Iterator[StandIn]:
    """Return stand-ins for packages, and for all that these ask for."""
    yield python()
    names = list(names)
    for name in names:
        made = installed(name)
        yield made
        asked = [depend.split()[0] for depend in made.index["depends"]]
        names += [name for name in asked if name not in {"python", *names}]


def write_channel(folder: Path, packages: Iterable[StandIn]) -> str:
    """Make a channel of packages in a folder; return its address."""
    here = folder / SUBDIR[platform.machine()]
    here.mkdir(parents=True)
    (folder / "noarch").mkdir()
    said = dict(package.write(here) for package in packages)
    for subdir, rows in ((here, said), (folder / "noarch", {})):
        repodata = {"info": {"subdir": subdir.name}, "packages": rows, "packages.conda": {}}
        (subdir / "repodata.json").write_text(json.dumps(repodata), encoding="utf-8")
    return folder.as_uri()


def named() -> list[str]:
    """Return the packages that the recipe asks for, but for Python and the kind of system."""
    asked = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))["requirements"]
    names = dict.fromkeys(text.split()[0] for text in asked["host"] + asked["run"])
    return [name for name in names if name not in {"python", "__linux"}]


class LastSaid:
    """What a build has said last, for when it fails."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=60)

    def on_log(self, event: Any) -> None:
        """Take what is said; called by rattler-build."""
        self.lines += event.message.splitlines()


def main() -> None:
    """Build it, and say what came of it; a failure of the build or of a test ends with status 1."""
    from rattler_build import RattlerBuildError, Stage0Recipe, ToolConfiguration

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("channel", nargs="*", help="channels to ask (default: stand-ins)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="callsheet-conda-") as name:
        folder = Path(name)
        said = LastSaid()
        # Stand-ins have no place among what was fetched from channels.
        os.environ["RATTLER_CACHE_DIR"] = str(folder / "cache")
        channels = args.channel or [write_channel(folder / "channel", stand_ins(named()))]
        try:
            [built] = Stage0Recipe.from_file(RECIPE).run_build(
                tool_config=ToolConfiguration(test_strategy="native"),
                output_dir=folder / "built",
                channels=channels,
                progress_callback=said,
            )
        except RattlerBuildError as error:
            sys.exit("\n".join([*said.lines, f"{RECIPE.name}: {error}"]))
        print(f"{Path(built.packages[0]).name}: built, and its tests passed")


if __name__ == "__main__":
    main()
