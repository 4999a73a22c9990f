"""Imports go one way through the rooms, and the pure room touches nothing outside itself.

All of it is read from the source, so a forbidden import inside a function is found too.
"""

import re
import subprocess
import sys

import pytest
from sources import ROOT, all_modules, modules, source

# The rooms in order, as CONTRIBUTING.md tells a newcomer; anybody may read the version.
MAY_IMPORT = {
    "jobs": set(),
    "messages": {"jobs"},
    "wire": {"jobs", "messages"},
    "conf": {"jobs"},
    "store": {"jobs", "messages"},
    "actors": {"jobs", "messages", "wire", "conf", "store"},
    "agentd": {"jobs", "messages", "wire"},
    "webui": {"jobs", "messages", "wire", "store"},
    "client": {"jobs", "messages"},
    "cli": {
        "jobs", "messages", "wire", "conf", "store", "actors", "agentd", "webui", "client",
    },
}  # fmt: skip
ROOMS = set(MAY_IMPORT)

# What a core may not even import: clocks, entropy, logs, threads, files, sockets, processes.
# `signal` is not among them: names of signals are part of the domain.
IMPURE = {
    "asyncio", "concurrent", "ctypes", "fcntl", "glob", "http", "io", "logging", "mmap",
    "multiprocessing", "os", "pathlib", "queue", "random", "resource", "sched", "secrets",
    "select", "selectors", "shutil", "socket", "sqlite3", "ssl", "subprocess",
    "tempfile", "threading", "time", "urllib", "uuid",
    "psutil", "pykka", "tornado", "watchfiles", "zmq",
}  # fmt: skip
# Ways to a clock, a file or the terminal that need no import of the above.
IMPURE_CALLS = {"now", "today", "utcnow", "open", "print", "input"}

# In `jobs/`, besides the standard library.
JOBS_LIBRARIES = {"msgspec", "jinja2", "cronsim", "holidays"}

# Slow to import, or apt to grow into everything: only inside the function that needs them.
NEVER_AT_MODULE_LEVEL = {"sqlalchemy", "alembic", "fabric", "apprise", "rich", "holidays"}


# What could be an import of a room by its bare name, to be looked at closely.
BARE = re.compile(
    r"\b(?:import|from)\s+(?:[\w.]+(?:\s+as\s+\w+)?\s*,\s*)*(?:" + "|".join(sorted(ROOMS)) + r")\b"
)


def other_python():
    folders = ["tests", "bench", "docs", "examples"]
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def said(path, line, what):
    return f"{path.relative_to(ROOT)}:{line}: {what}"


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_only_rooms_before_it(room):
    allowed = MAY_IMPORT[room] | {room, "__version__"}
    wrong = [
        said(path, line, f"imports {name}: {room}/ may import {sorted(MAY_IMPORT[room])}")
        for path in modules(room)
        for line, level, name, _ in source(path).imports
        if level and name.split(".")[0] not in allowed
    ]
    assert wrong == []


def test_rooms_are_the_folders_that_are_packages():
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found == ROOMS


# Who imports by a name that is not in its source as an import: what settings name, and constants.
IMPORTS_BY_NAME = {
    "actors/extensions.py": "what the settings name",
    "agentd/call.py": "the function that a job names, in its own process and as its user",
    "cli/lazy.py": "a command's own module, when it is called",
    "store/outputs.py": "the compressor that this Python has",
    "agentd/outputs.py": "the compressor that this Python has",
    "store/places.py": "fsspec, where a URL is used",
}


def test_nothing_is_unpickled_and_nothing_imported_that_data_name():
    serializers = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
    callers = {"import_module", "__import__", "import_string", "eval", "exec"}
    wrong = [
        said(path, line, f"imports {name}")
        for path in all_modules()
        for line, level, name, _ in source(path).imports
        if level == 0 and name.split(".")[0] in serializers
    ]
    wrong += [
        said(path, call.line, f"calls {call.name}()")
        for path in all_modules()
        for call in source(path).calls
        if call.name in callers and str(path.relative_to(ROOT)) not in IMPORTS_BY_NAME
    ]
    assert wrong == []


def test_imports_inside_the_package_are_relative():
    wrong = [
        said(path, line, f"imports {name}: expected a relative import")
        for path in all_modules()
        for line, level, name, _ in source(path).imports
        if level == 0 and name.split(".")[0] == "callsheet"
    ]
    assert wrong == []


def test_nobody_imports_a_room_by_its_bare_name():
    some = [*all_modules(), *other_python(), ROOT / "setup.py"]
    wrong = [
        said(path, line, f"imports {name}: expected callsheet.{name}")
        for path in [path for path in some if BARE.search(path.read_text(encoding="utf-8"))]
        for line, level, name, _ in source(path).imports
        if level == 0 and name.split(".")[0] in ROOMS
    ]
    assert wrong == []


def impurities(path):
    for line, level, name, _ in source(path).imports:
        if level == 0 and name.split(".")[0] in IMPURE:
            yield said(path, line, f"imports {name}")
    for call in source(path).calls:
        if call.name in IMPURE_CALLS:
            yield said(path, call.line, f"calls {call.name}()")


def test_jobs_has_no_clock_no_entropy_no_thread_and_no_io():
    assert [what for path in modules("jobs") for what in impurities(path)] == []


def test_jobs_uses_only_the_libraries_of_its_domain():
    allowed = JOBS_LIBRARIES | set(sys.stdlib_module_names)
    wrong = [
        said(path, line, f"imports {name}")
        for path in modules("jobs")
        for line, level, name, _ in source(path).imports
        if level == 0 and name.split(".")[0] not in allowed
    ]
    assert wrong == []


def cores():
    """Return the modules of actors/ that hold a core, and the ones a core is split over.

    A core is a class with `receive`, `settle` and `wakes_at`. What such a module imports from
    its own room, directly or not, is part of it.
    """
    methods = {"receive", "settle", "wakes_at"}
    found = {
        path for path in modules("actors") if any(methods <= of for of in source(path).classes)
    }
    todo = list(found)
    while todo:
        for _, level, name, _ in source(todo.pop()).imports:
            parts = name.split(".")
            path = ROOT / "actors" / f"{parts[1]}.py" if len(parts) > 1 else ROOT
            if level and parts[0] == "actors" and path.is_file() and path not in found:
                found.add(path)
                todo.append(path)
    return sorted(found)


def test_every_core_is_pure():
    assert [what for path in cores() for what in impurities(path)] == []


def test_cores_are_found_at_all():
    names = {path.stem for path in cores()}
    assert "ledger" in names


def test_heavy_libraries_are_imported_only_where_they_are_used():
    wrong = [
        said(path, line, f"imports {name} at module level")
        for path in all_modules()
        for line, level, name, at_once in source(path).imports
        if at_once and level == 0 and name.split(".")[0] in NEVER_AT_MODULE_LEVEL
    ]
    assert wrong == []


def test_a_keeper_needs_nothing_but_the_standard_library():
    own = {f"agentd.{path.stem}" for path in (ROOT / "agentd").glob("keeper_*.py")}
    own |= {"agentd.keeper"}
    wrong = [
        said(path, line, f"imports {name}")
        for path in (ROOT / "agentd").glob("*keeper*.py")
        if path.stem != "keepers"
        for line, level, name, _ in source(path).imports
        if (level and name.rpartition(".")[0] not in own)
        or (not level and name.split(".")[0] not in sys.stdlib_module_names)
    ]
    assert wrong == []


@pytest.mark.slow
def test_agentd_starts_without_the_libraries_of_the_server():
    program = """
import sys
for name in ("tornado", "fabric", "jinja2", "yaml", "pykka", "apscheduler", "rich", "sqlalchemy"):
    sys.modules[name] = None   # an import of it raises
import callsheet.agentd.daemon
print(sorted(m for m in sys.modules if m.startswith(("callsheet.store", "callsheet.webui"))))
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stdout.strip()) == (0, "[]"), result.stderr
