"""Completion: the scripts, and what is offered at each place of a command line."""

import os
import shutil
import subprocess
import sys

import pytest

from callsheet.cli import administrators, people


def offered(stand, *words, program=people):
    """Return what is offered for the last of the words, as the script of bash would ask for it."""
    name = {people: "callsheet", administrators: "callsheetctl"}[program]
    line = " ".join((name, *words))
    code = f"import sys; sys.argv = [{name!r}]; from {program.__name__} import main; main()"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {
            "CALLSHEET_HOST": f"127.0.0.1:{stand.port}" if stand else "127.0.0.1:1",
            f"_{name.upper()}_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert found.stderr == ""
    return [one.partition(",")[2] for one in found.stdout.splitlines() if one]


def test_commands_are_offered(stand):
    assert offered(stand, "re") == ["release", "reload", "rerun", "reschedule", "resume"]
    assert "serve" in offered(stand, "s", program=administrators)


def test_jobs_runs_params_and_terms_are_what_the_server_has(stand):
    run_id = stand.a_run("backup")
    assert offered(stand, "job", "ba") == ["backup"]
    assert offered(stand, "schedule", "now", "ba") == ["backup"]
    assert offered(stand, "schedule", "now", "sales", "da") == ["date="]
    assert offered(stand, "stop", "r") == [run_id]
    assert offered(stand, "runs", "state:s") == [
        *("state:scheduled", "state:starting", "state:stopping", "state:success", "state:skipped")
    ]
    assert offered(stand, "runs", "back") == ["backup"]


def test_without_a_server_nothing_is_offered_and_nothing_said():
    assert offered(None, "job", "ba") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_what_the_shell_takes(command, shell):
    found = command("people", "completion", shell)
    assert found.status == 0
    assert "_COMPLETE" in found.out
    taken = shutil.which(shell)
    if taken is None:
        return  # the shells are not what is tested; bash is everywhere
    subprocess.run([taken, "-n"], input=found.out, text=True, timeout=60, check=True)
