"""What is said to the shells of another host over SSH. Texts only; sent by `ssh_program.py`.

The command line of a session is the same for all runs: a shell that reads its code from stdin up to
a line that ends it, and carries it out. So nothing of a job is seen in the far host's list of
processes but its own arguments, and the user's login shell, whatever it is, has nothing to quote
but that. What follows the code is the program's stdin.

A session of its own, the watch, sends signals to the program's process group, and kills it when the
connection is gone. It is run by the user who runs the program, so it may. The program begins when
the watch is there: nothing of it can be left behind.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

import msgspec

from .launch import BECOME, LOGIN_SHELL, SAID, SHELL
from .users import COOKIE, PATH

GROUP = f"{SAID}group "
# Words for the session and for the watch; the rest of what the watch reads are names of signals.
GO, OVER = "go", "over"
WATCHING = "watching"
# Without single quotes, newlines and signs that some login shells take within quotes.
_READ = (
    'code=; nl=$(printf "\\nx"); nl=${nl%x}; while IFS= read -r line; do '
    'case $line in END) break;; esac; code=$code$line$nl; done; eval "$code"'
)
_AFRESH = (
    'exec /usr/bin/env -i HOME="$HOME" USER="${USER:-$LOGNAME}" LOGNAME="${LOGNAME:-$USER}" '
    f'SHELL="$SHELL" PATH={PATH} "$@"'
)
_SAY_GROUP = f"""\
{{ IFS=' ' read -r _ _ _ _ group _ < /proc/$$/stat; }} 2> /dev/null || group=$(ps -o pgid= -p $$)
printf '{GROUP}%s\\n' "$group" >&2
IFS= read -r word && [ "$word" = {GO} ] || exit 1
"""
# As the environment of sudo's own is nobody's.
_AS_USER = f"""\
PATH={PATH}; export PATH
unset SUDO_COMMAND SUDO_USER SUDO_UID SUDO_GID SUDO_HOME
"""
_WATCH = f"""\
echo {WATCHING}
while IFS= read -r word; do
    case $word in {OVER}) exit 0;; esac
    kill -s "$word" -- "-$group" 2> /dev/null
done
kill -s KILL -- "-$group" 2> /dev/null
for file in /proc/[0-9]*/environ; do
    if grep -qzxF "$claim" "$file" 2> /dev/null; then
        pid=${{file#/proc/}}
        kill -s KILL "${{pid%/environ}}" 2> /dev/null
    fi
done
"""


class FarRun(msgspec.Struct, frozen=True, kw_only=True):
    """What runs on the far host: as `BoundProcess` has it, as far as that is for the far side.

    `env` holds all variables that are added, the cookie of the far processes among them.
    `memory_kib`, `limits` (as prlimit takes them), `nice`, `umask` and paths are texts, empty for
    nothing.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    env_mode: str = "inherit"
    sudo_user: str | None = None
    cwd: str = ""
    umask: str = ""
    memory_kib: str = ""
    limits: str = ""
    nice: str = ""
    stdin_file: str = ""


def session_command(run: FarRun, end: str) -> str:
    """Return the command line of the session that becomes the program; `end` ends its code."""
    words = [LOGIN_SHELL, "-l", "-c"] if run.env_mode == "login" else [SHELL, "-c"]
    words.append(_READ.replace("END", end))
    if run.env_mode != "inherit":
        words = [SHELL, "-c", _AFRESH, "callsheet", *words]
    return _command(run, words)


def watch_command(run: FarRun, end: str) -> str:
    """Return the command line of the watch."""
    return _command(run, [SHELL, "-c", _READ.replace("END", end)])


def session_code(run: FarRun, end: str) -> str:
    """Return the code of the program's session."""
    become = (
        *("", "", run.cwd, run.umask, run.memory_kib, run.limits, run.nice, run.stdin_file, ""),
        *run.argv,
    )
    exports = "".join(
        f"{name}={shlex.quote(value)}; export {name}\n" for name, value in run.env.items()
    )
    as_user = _AS_USER if run.sudo_user else ""
    return f"{_SAY_GROUP}{as_user}{exports}set -- {_quoted(become)}\n{BECOME}{end}\n"


def watch_code(run: FarRun, group: int, end: str) -> str:
    """Return the code of the watch over a process group."""
    claim = f"{COOKIE}={run.env[COOKIE]}"
    return f"group={group}\nclaim={shlex.quote(claim)}\n{_WATCH}{end}\n"


def _command(run: FarRun, words: Sequence[str]) -> str:
    if run.sudo_user is not None:
        user = run.sudo_user
        words = ["sudo", "--non-interactive", "--set-home", "--user", user, "--", *words]
    return f"exec {_quoted(words)}"


def _quoted(words: Sequence[str]) -> str:
    return " ".join(shlex.quote(word) for word in words)
