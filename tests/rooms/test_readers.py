"""Templates and YAML are read in one place each: in the sandbox, and by events under limits."""

from __future__ import annotations

import ast
import functools
from importlib.metadata import version
from pathlib import Path

from jinja2.sandbox import ImmutableSandboxedEnvironment

from callsheet.jobs import templates

ROOT = Path(__file__).parents[2]
LOADING = {"load", "load_all", "safe_load", "full_load", "unsafe_load", "compose", "parse", "scan"}
LOADERS = {"Loader", "FullLoader", "SafeLoader", "UnsafeLoader", "CLoader", "CSafeLoader"}


@functools.cache
def said():
    """Return which libraries the modules of the rooms import, and which of their loaders they name,
    as sets of (path, name): each source is read once for all tests."""
    imported, loading = set(), set()
    for room in sorted(path.parent for path in ROOT.glob("*/__init__.py")):
        for source in sorted(room.rglob("*.py")):
            path = str(source.relative_to(ROOT))
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                match node:
                    case ast.Import():
                        imported |= {(path, one.name.split(".")[0]) for one in node.names}
                    case ast.ImportFrom(level=0, module=str(name)):
                        imported.add((path, name.split(".")[0]))
                    case ast.Attribute(value=ast.Name(id="yaml"), attr=name):
                        loading |= {(path, name)} if name in LOADING | LOADERS else set()
    return imported, loading


def importers(library):
    return {path for path, name in said()[0] if name == library}


def test_only_one_module_knows_jinja_and_its_environment_is_the_sandbox():
    assert importers("jinja2") == {"jobs/templates.py"}
    environment = templates._ENVIRONMENT
    assert isinstance(environment, ImmutableSandboxedEnvironment)
    assert environment.loader is None
    with_fixes = (3, 1, 6)
    assert tuple(map(int, version("jinja2").split(".")[:3])) >= with_fixes


def test_only_one_module_reads_yaml_and_nothing_loads_it():
    assert importers("yaml") == {"cli/shown.py", "conf/yaml_reader.py", "conf/yaml_writer.py"}
    assert said()[1] == set()
