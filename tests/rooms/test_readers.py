"""Templates and YAML are read in one place each: in the sandbox, and by events under limits."""

from __future__ import annotations

from importlib.metadata import version

from jinja2.sandbox import ImmutableSandboxedEnvironment
from sources import ROOT, all_modules, source

from callsheet.jobs import templates

LOADING = {"load", "load_all", "safe_load", "full_load", "unsafe_load", "compose", "parse", "scan"}
LOADERS = {"Loader", "FullLoader", "SafeLoader", "UnsafeLoader", "CLoader", "CSafeLoader"}


def importers(library):
    return {
        str(path.relative_to(ROOT))
        for path in all_modules()
        for one in source(path).imports
        if one.level == 0 and one.name.split(".")[0] == library
    }


def test_only_one_module_knows_jinja_and_its_environment_is_the_sandbox():
    assert importers("jinja2") == {"jobs/templates.py"}
    environment = templates._ENVIRONMENT
    assert isinstance(environment, ImmutableSandboxedEnvironment)
    assert environment.loader is None
    with_fixes = (3, 1, 6)
    assert tuple(map(int, version("jinja2").split(".")[:3])) >= with_fixes


def test_only_one_module_reads_yaml_and_nothing_loads_it():
    assert importers("yaml") == {"cli/shown.py", "conf/yaml_reader.py", "conf/yaml_writer.py"}
    loading = {("yaml", name) for name in LOADING | LOADERS}
    assert [path for path in all_modules() if source(path).attributes & loading] == []
