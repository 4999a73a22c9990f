"""A shell is run where a job, an action or a condition says so, or with a text of ours to which
what is foreign comes as arguments; and nowhere else. Read from the source."""

from __future__ import annotations

from sources import ROOT, all_modules, source

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


def test_a_shell_is_named_only_where_it_is_meant():
    found = {str(path.relative_to(ROOT)) for path in all_modules() if source(path).texts & SHELLS}
    assert found == set(NAMED)


def test_nothing_hands_a_text_to_a_shell_by_itself():
    wrong = [
        f"{path.relative_to(ROOT)}:{call.line}: {call.name}()"
        for path in all_modules()
        for call in source(path).calls
        # What is called `system` by others takes no text: it names an operating system.
        if call.name in BY_THEMSELVES
        or ("shell" in call.keywords and call.name in ("run", "Popen", "call", "check_output"))
    ]
    assert wrong == []
