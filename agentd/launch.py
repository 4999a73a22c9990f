"""How a program is executed: its arguments, its environment, and a launcher where one is needed.

A plain program is executed directly. A working folder, a umask or a memory limit is set by a shell
that then becomes the program; another user by sudo. Where that shell cannot go on, it says so in
the file `failed` of the claim, so that its exit status is never taken for the program's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..jobs.programs import BoundProcess
from .host import Key, Spec

SUDO = ("/usr/bin/sudo", "--preserve-env", "--set-home")
FAILED = "failed"
# In the environment of every process of an attempt: tells them from all others of the host, those
# of other agents and servers with runs of the same ids among them.
COOKIE = "CALLSHEET_CLAIM"
# What the shell does. The trap is not run when the program takes the shell's place; after a step
# that failed it is, and `step` says which. (bash needs to be told to go on after a failed exec.)
SHELL = """\
if [ -n "$BASH_VERSION" ]; then shopt -s execfail; fi
failed=$1 folder=$2 mask=$3 memory=$4; shift 4
trap 'printf "%s\\n" "$step" > "$failed"' EXIT
step="$folder: cannot be made the working folder"
if [ -n "$folder" ]; then cd -- "$folder" || exit 127; fi
step="umask $mask: cannot be set"
if [ -n "$mask" ]; then umask "$mask" || exit 127; fi
step="memory limit of $memory KiB: cannot be set"
if [ -n "$memory" ]; then ulimit -d "$memory" || exit 127; fi
step="$1: cannot be executed"
exec "$@"
exit 127
"""


def spec_of(
    key: Key,
    program: BoundProcess,
    *,
    folder: str,
    cookie: str,
    stop_us: int | None,
    job_id: str,
) -> Spec:
    """Return the spec of a claim. `folder` is the claim's directory, `cookie` names it to all."""
    env = {
        **program.env,
        "APSIS_RUN_ID": key.run_id,
        "CALLSHEET_RUN_ID": key.run_id,
        "CALLSHEET_ATTEMPT": str(key.attempt),
        COOKIE: cookie,
    }
    argv = program.argv
    if program.sudo_user is not None:
        argv = (*SUDO, "--non-interactive", "--user", program.sudo_user, "--", *argv)
    if needs_shell(program):
        argv = (
            "/bin/sh",
            "-c",
            SHELL,
            "callsheet",
            f"{folder}/{FAILED}",
            program.cwd or "",
            "" if program.umask is None else f"{program.umask:04o}",
            "" if program.mem_max_bytes is None else str(-(-program.mem_max_bytes // 1024)),
            *argv,
        )
    return Spec(program=program, argv=argv, env=env, stop_us=stop_us, job_id=job_id)


def needs_shell(program: BoundProcess) -> bool:
    """Whether a launcher goes before the program."""
    return program.cwd is not None or program.umask is not None or program.mem_max_bytes is not None


def base_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what every process inherits: the agent's own environment without our internals."""
    return {
        name: value for name, value in environ.items() if not name.startswith("CALLSHEET_") and name
    }


def failure_of(folder: str) -> str:
    """Return what the launcher of a claim said before it gave up, empty when it did not."""
    try:
        with open(os.path.join(folder, FAILED), encoding="utf-8", errors="replace") as file:
            return " ".join(file.read(4_096).split())
    except OSError:
        return ""
