"""Templates and YAML are read in one place each: in the sandbox, and by events under limits."""

from __future__ import annotations

import ast
from importlib.metadata import version
from pathlib import Path

from jinja2.sandbox import ImmutableSandboxedEnvironment

from callsheet.jobs import templates

ROOT = Path(__file__).parents[2]
LOADING = {"load", "load_all", "safe_load", "full_load", "unsafe_load", "compose", "parse", "scan"}
LOADERS = {"Loader", "FullLoader", "SafeLoader", "UnsafeLoader", "CLoader", "CSafeLoader"}


def nodes():
    """Yield the path of a module of a room, and each node of its source."""
    for room in sorted(path.parent for path in ROOT.glob("*/__init__.py")):
        for path in sorted(room.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                yield str(path.relative_to(ROOT)), node


def importers(library):
    found = set()
    for path, node in nodes():
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        found |= {path} if any(name.split(".")[0] == library for name in names) else set()
    return found


def test_only_one_module_knows_jinja_and_its_environment_is_the_sandbox():
    assert importers("jinja2") == {"jobs/templates.py"}
    environment = templates._ENVIRONMENT
    assert isinstance(environment, ImmutableSandboxedEnvironment)
    assert environment.loader is None
    with_fixes = (3, 1, 6)
    assert tuple(map(int, version("jinja2").split(".")[:3])) >= with_fixes


def test_only_one_module_reads_yaml_and_nothing_loads_it():
    assert importers("yaml") == {"cli/shown.py", "conf/yaml_reader.py", "conf/yaml_writer.py"}
    loading = [
        (path, node.attr)
        for path, node in nodes()
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "yaml"
        and node.attr in LOADING | LOADERS
    ]
    assert loading == []
