"""How a program is executed: its arguments, its environment, and launchers where they are needed.

A plain program is executed directly. What else a job asks for is done by a chain of the system's
own tools, each of which becomes the next:

    env -u … -u …    takes the agent's variables away (`env: {mode: clean}` or `login`)
    sh OPEN          opens `failed` and the text for stdin, and enters the cgroup of the run, which
                     the next user could not; leaves our working folder for /, and packs the
                     environment into one variable
    sudo, setpriv    another user
    sh UNPACK        the environment as it was packed, and nothing of what sudo makes of it
    sh BECOME        working folder, umask, limits, niceness, stdin of a file; or a login shell;
                     enters the cgroup last, when that is still to be done

A launcher that cannot go on says so in the file `failed` of the claim, so that its exit status is
never taken for the program's. Another user may not open that file: it is handed down as stderr,
where sudo writes too. After `STARTED` only our own words count. Where stderr is told apart, it is
the file of stderr itself, and the program's begins after `STARTED`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from msgspec import UNSET

from ..jobs.keeping import KEEP_BYTES
from ..jobs.programs import BoundProcess, Launch, output_of, secrets_of
from .host import Key, Spec
from .keeper_record import READING
from .own_programs import is_own, own_program
from .results import VARIABLE as RESULT
from .users import COOKIE, PACKED, SUDO, becoming, is_personal, own_user, user_of

FAILED = "failed"
ERR = "err"
STDIN = "stdin"
SAID = "callsheet: "
STARTED = f"{SAID}started"
SHELL = "/bin/sh"
LOGIN_SHELL = "/usr/bin/bash"
OPEN = f"""\
if [ -n "$1" ]; then exec 2> "$1"; fi
if [ -n "$2" ]; then exec < "$2" || exit 127; fi
if [ -n "$3" ]; then echo 0 > "$3/cgroup.procs" || exit 127; fi
shift 3
cd / && unset OLDPWD
{PACKED}=$(export -p)
export {PACKED}
exec "$@"
"""
# `export -p` writes what the same shell can read again; a word too many is no harm to `unset`.
UNPACK = f"""\
if [ -z "${PACKED}" ]; then
    echo "callsheet: sudo keeps {PACKED} back: expected SETENV, or env_keep, in its rules" >&2
    exit 127
fi
set -- "${PACKED}" "$@"
unset $(export -p | sed -n 's/^export \\([A-Za-z_][A-Za-z0-9_]*\\).*/\\1/p')
eval "$1"
shift
exec "$@"
"""
# With `keep` the program itself may say, by descriptor 3, that it cannot do what it is there for.
# The trap is not run when the program takes the shell's place. (bash needs to be told to go on
# after a failed exec.) Nothing is forked that a plain folder or umask does not need.
BECOME = """\
if [ -n "$BASH_VERSION" ]; then shopt -s execfail; fi
failed=$1 keep=$2 folder=$3 mask=$4 memory=$5 limits=$6 nice=$7 input=$8 group=$9; shift 9
program=$1
case $failed in
    '') exec 3>&2 2>&1 ;;
    apart) exec 3>&2; failed= ;;
esac
say() {
    if [ -n "$failed" ]; then printf 'callsheet: %s\\n' "$1" > "$failed"
    else printf 'callsheet: %s\\n' "$1" >&3; fi
}
why() {
    if [ ! -e "$1" ]; then said='No such file or directory'
    elif [ -n "$2" ] && [ ! -d "$1" ]; then said='Not a directory'
    else said='Permission denied'; fi
}
end() {
    if [ -z "$step" ]; then
        if [ "$1" = 127 ]; then said='No such file or directory'
        elif [ -f "$program" ] && [ -x "$program" ]; then said='Exec format error'
        else said='Permission denied'; fi
        step="$program: cannot be executed: $said"
    fi
    say "$step"
}
trap 'end $?' EXIT
if [ -n "$folder" ]; then
    step="$folder: cannot be made the working folder"
    if ! cd -- "$folder" 2> /dev/null; then why "$folder" d; step="$step: $said"; exit 127; fi
fi
step="umask $mask: cannot be set"
if [ -n "$mask" ]; then umask "$mask" || exit 127; fi
step="memory limit of $memory KiB: cannot be set"
if [ -n "$memory" ]; then ulimit -d "$memory" || exit 127; fi
if [ -n "$input" ]; then
    step="$input: cannot be read as stdin"
    if [ ! -r "$input" ]; then why "$input" ''; step="$step: $said"; exit 127; fi
    exec < "$input" || exit 127
fi
if [ -n "$nice" ]; then
    said=$(/usr/bin/renice -n "$nice" -p $$ 2>&1) || { step="nice $nice: $said"; exit 127; }
fi
if [ -n "$limits" ]; then
    said=$(/usr/bin/prlimit --pid $$ $limits 2>&1) || { step="ulimits: $said"; exit 127; }
fi
if [ -n "$group" ]; then
    step="limits: $group: cannot be entered"
    { echo 0 > "$group/cgroup.procs"; } 2> /dev/null || exit 127
fi
step=
if [ -z "$failed" ]; then say started; fi
if [ -n "$keep" ]; then exec "$@"; fi
{ exec "$@"; } 3>&-
exit $?
"""


def spec_of(
    key: Key,
    program: BoundProcess,
    *,
    folder: str,
    cookie: str,
    stop_us: int | None,
    job_id: str,
    environ: Iterable[str] = (),
    sudo: Sequence[str] = (),
    allow: str | None = None,
    cgroup: str = "",
    remarks: tuple[str, ...] = (),
    keep_bytes: int = KEEP_BYTES,
    result: str = "",
) -> Spec:
    """Return the spec of a claim.

    Args:
        folder: the claim's directory; `cookie` names it to all.
        environ: names of the variables that the process would inherit.
        sudo: how sudo is called, by the settings of the server; empty: as usual.
        allow: path of this host's list of users, None for none.
        cgroup: path of the group it is to be in, empty: none of its own.
        remarks: what people should know of how it is started.
        keep_bytes: how much is kept of an output.
        result: where it is to write its results, empty for nowhere.
    Raises:
        NotAllowed: it may not run as the user it asks for.
    """
    user = user_of(program.sudo_user, allow)
    launch = Launch() if program.launch is UNSET else program.launch
    is_clean = launch.env_mode != "inherit"
    who = {} if user is None and not is_clean else (user or own_user()).env
    env = {
        **who,
        **program.env,
        "APSIS_RUN_ID": key.run_id,
        "CALLSHEET_RUN_ID": key.run_id,
        "CALLSHEET_ATTEMPT": str(key.attempt),
        COOKIE: cookie,
    }
    if result:
        env[RESULT] = result
    become = () if user is None else becoming(user, sudo or SUDO)
    argv = program.argv
    if is_own(argv):
        argv, env = own_program(argv, env, "" if become else f"{folder}/{FAILED}")
        env[COOKIE] = cookie
    if needs_shell(program):
        argv = _chain(program, argv, launch, become, folder, cgroup)
    if is_clean or become:
        known = env.keys() | launch.secrets.keys()
        gone = [name for name in environ if name not in known and (is_clean or is_personal(name))]
        if gone:
            argv = ("/usr/bin/env", *(word for name in gone for word in ("-u", name)), *argv)
    return Spec(
        program=program,
        argv=argv,
        env=env,
        stop_us=stop_us,
        job_id=job_id,
        cgroup=cgroup,
        remarks=remarks,
        become=become,
        keep_bytes=keep_bytes,
        split=output_of(program).streams == "split",
    )


def _chain(
    program: BoundProcess,
    words: tuple[str, ...],
    launch: Launch,
    become: tuple[str, ...],
    folder: str,
    cgroup: str,
) -> tuple[str, ...]:
    """Return `words` with what goes before them."""
    split = output_of(program).streams == "split"
    failed = f"{folder}/{FAILED}"
    shell = (LOGIN_SHELL, "-l") if launch.env_mode == "login" else (SHELL,)
    argv = (
        *(*shell, "-c", BECOME, "callsheet"),
        ("apart" if split else "") if become else failed,
        "keep" if become and is_own(program.argv) else "",
        program.cwd or "",
        "" if program.umask is None else f"{program.umask:04o}",
        "" if program.mem_max_bytes is None else str(-(-program.mem_max_bytes // 1024)),
        " ".join(
            f"--{name}={'unlimited' if limit is None else limit}"
            for name, limit in launch.ulimits.items()
        ),
        "" if launch.nice is None else str(launch.nice),
        f"{folder}/{STDIN}" if launch.stdin and not become else launch.stdin_file or "",
        "" if become else cgroup,
        *words,
    )
    if become:
        text = f"{folder}/{STDIN}" if launch.stdin else ""
        unpack = (SHELL, "-c", UNPACK, "callsheet")
        opened = "" if split else failed
        argv = (SHELL, "-c", OPEN, "callsheet", opened, text, cgroup, *become, *unpack, *argv)
    return argv


def stdin_of(program: BoundProcess) -> str:
    """Return the text that the program is to read, empty for none."""
    return "" if program.launch is UNSET else program.launch.stdin or ""


def may_fail_first(program: BoundProcess) -> bool:
    """Whether there may be a word of a failure that is not the program's own."""
    return needs_shell(program) or is_own(program.argv)


def needs_shell(program: BoundProcess) -> bool:
    """Whether a launcher goes before the program that may fail in its place."""
    return (
        program.cwd is not None
        or program.umask is not None
        or program.mem_max_bytes is not None
        or program.sudo_user is not None
        or (program.launch is not UNSET and program.launch != Launch(secrets=secrets_of(program)))
    )


def base_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what every process inherits: the agent's own environment without our internals."""
    return {
        name: value for name, value in environ.items() if not name.startswith("CALLSHEET_") and name
    }


def failed_file(spec: Spec) -> str:
    """Return the file of a claim in which launchers say why they failed, empty without any."""
    if not may_fail_first(spec.program):
        return ""
    return ERR if spec.split and spec.program.sudo_user is not None else FAILED


def failure_of(folder: str, name: str = FAILED) -> str:
    """Return what the launchers of a claim said before they gave up, empty when they did not.

    Args:
        folder: the claim's directory.
        name: the file in which they say it.
    """
    try:
        with open(os.open(os.path.join(folder, name), READING), "rb") as file:
            said = file.read(4_096) or b""
    except OSError:
        return ""
    return failure_in(said.decode("utf-8", "replace").splitlines())


def failure_in(lines: list[str]) -> str:
    """Return what launchers have said of their failure, empty for nothing."""
    if STARTED in lines:
        # What sudo has to say is no failure when the program came to its turn after it.
        lines = [line for line in lines[lines.index(STARTED) + 1 :] if line.startswith(SAID)]
    return " ".join(" ".join(line.removeprefix(SAID) for line in lines).split())
