"""Programs that come with the agent: those that programs of the types `ssh` and `python` become.

A run is bound to `callsheet-ssh …` or `callsheet-python …`, as a person would type it; an agent
finds them where it is installed itself, whatever PATH says. One too old to have them says that
there is no such program, and runs nothing. Called by `launch.py`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

from ..jobs.programs import PYTHON_PROGRAM, SSH_PROGRAM
from . import call

# The variables for the far side, as JSON: those of `callsheet-ssh` itself are the agent's.
FAR_ENV = "CALLSHEET_FAR_ENV"
# The interpreter that is asked for.
PYTHON_OPTION = "--python"


def with_variables(env: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a program of whichever kind with more of them for what it runs."""
    if FAR_ENV in env:
        return {**env, FAR_ENV: json.dumps(json.loads(env[FAR_ENV]) | more)}
    return {**env, **more}


def is_own(argv: tuple[str, ...]) -> bool:
    """Whether arguments name a program that comes with the agent."""
    return argv[:1] in ((SSH_PROGRAM,), (PYTHON_PROGRAM,))


def own_program(
    argv: tuple[str, ...], env: Mapping[str, str], failed: str
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the arguments and variables by which a program of ours is executed.

    Args:
        argv: as a run is bound to it.
        env: variables of the run, for the program that it is about.
        failed: where it says what kept that from running; empty: to the descriptor 3.
    """
    if argv[0] == SSH_PROGRAM:
        # Isolated from the folder it is started in, and from variables that are for the far side.
        module = ("-P", "-m", f"{__package__}.ssh_program")
        return (sys.executable, *module, "--failed", failed, *argv[1:]), {FAR_ENV: json.dumps(env)}
    python, rest = sys.executable, argv[1:]
    if rest[:1] == (PYTHON_OPTION,):
        python, rest = rest[1], rest[2:]
    return (python, os.path.abspath(call.__file__), failed, *rest), dict(env)
