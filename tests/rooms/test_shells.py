"""A shell is run where a job, an action or a condition says so, or with a text of ours to which
what is foreign comes as arguments; and nowhere else. Read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHELLS = {"sh", "bash", "dash", "/bin/sh", "/bin/bash", "/usr/bin/bash", "/usr/bin/sh"}
# Who names a shell, and why.
NAMED = {
    "jobs/binding.py": "programs of type `shell`",
    "jobs/parse_own_programs.py": "programs of type `ssh` with a command",
    "jobs/crontab.py": "the SHELL of a crontab that is imported",
    "jobs/bind_polled.py": "conditions of type `command` with a text",
    "actors/deliveries.py": "actions of type `command` with a text",
    "agentd/launch.py": "launchers: texts of ours, the program comes as arguments",
    "cli/agent_shells.py": "texts of ours, all else comes as arguments",
    "agentd/reach.py": "a text of ours, all else comes as arguments",
    "cli/completion.py": "the shells it can complete for",
    "cli/doctor_host.py": "looks whether there is one",
    "agentd/users.py": "the login shell of users who have none",
}
# Calls that hand a text to a shell by themselves.
BY_THEMSELVES = {"system", "popen", "getoutput", "getstatusoutput", "create_subprocess_shell"}


def all_modules():
    """Return the modules of all rooms."""
    rooms = sorted(path.parent for path in ROOT.glob("*/__init__.py"))
    return [path for room in rooms for path in sorted(room.rglob("*.py"))]


def calls(path):
    """Yield the name and the node of every call in a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield getattr(node.func, "attr", getattr(node.func, "id", "")), node


def test_a_shell_is_named_only_where_it_is_meant():
    found = set()
    for path in all_modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in SHELLS:
                found.add(str(path.relative_to(ROOT)))
    assert found == set(NAMED)


def test_nothing_hands_a_text_to_a_shell_by_itself():
    wrong = []
    for path in all_modules():
        for name, node in calls(path):
            shell = any(word.arg == "shell" for word in node.keywords)
            # What is called `system` by others takes no text: it names an operating system.
            if name in BY_THEMSELVES or (
                shell and name in ("run", "Popen", "call", "check_output")
            ):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {name}()")
    assert wrong == []
