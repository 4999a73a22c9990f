"""The scripts for a host that has, or is to have, an agent; called by `agent_steps.py`.

Texts for /bin/sh. The first two arguments of each are the agent's folder, absolute or in the home
directory, and the name of its unit for systemd. In the folder are:

    run      runs the agent in the foreground; it writes its own `pid` first
    pid      of the agent that runs, or ran last
    log      what it says
    token    lets it in once; removed when it is in
    spool    claims, outputs, keys: agentd's own
    venv     where it is installed, unless another command was named
"""

from __future__ import annotations

_FOLDER = """\
set -u
mask=$(umask)
umask 077
case $1 in /*) folder=$1;; *) folder=$HOME/$1;; esac
unit=$2
shift 2
"""
_RUNNING = """\
running() {
    pid=$(cat "$folder/pid" 2> /dev/null) && [ -n "$pid" ] &&
        kill -0 "$pid" 2> /dev/null && grep -q -a agentd "/proc/$pid/cmdline" 2> /dev/null
}
by_systemd() { systemctl --user is-enabled --quiet "$unit" 2> /dev/null; }
"""

# Args: candidates for a Python. Prints lines of name=value.
LOOK = f"""{_FOLDER}{_RUNNING}
echo "folder=$folder"
echo "hostname=$(hostname 2> /dev/null || uname -n)"
for python in "$@"; do
    if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \\
        > /dev/null 2>&1; then echo "python=$python"; break; fi
done
if [ -x "$folder/run" ]; then echo "installed=yes"; fi
if [ -f "$folder/spool/keys/membership.json" ]; then
    echo "membership=$(cat "$folder/spool/keys/membership.json")"
fi
if running; then echo "pid=$pid"; fi
if by_systemd; then echo "by=systemd"; fi
if systemctl --user show-environment > /dev/null 2>&1; then echo "systemd=yes"; fi
"""

# Args: a Python. Makes the virtual environment, unless it is there.
MAKE_VENV = f"""{_FOLDER}
mkdir -p "$folder" || exit 1
if [ ! -x "$folder/venv/bin/pip" ]; then "$1" -m venv "$folder/venv" || exit 1; fi
"""

# Args: the name of a file in the folder, its mode. Stdin: its content.
PUT = f"""{_FOLDER}
mkdir -p "$folder" && cat > "$folder/$1.part" && chmod "$2" "$folder/$1.part" &&
    mv "$folder/$1.part" "$folder/$1"
"""

# Args: what pip is to install; with `file:` before it a file in the folder, which is then removed.
INSTALL = f"""{_FOLDER}
case $1 in file:*) what=$folder/${{1#file:}};; *) what=$1;; esac
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-input --upgrade "$what"
status=$?
case $1 in file:*) rm -f "${{what%%\\[*}}";; esac
[ -x "$folder/venv/bin/callsheet-agentd" ] || [ "$status" != 0 ] ||
    {{ echo "there is no callsheet-agentd in what was installed" >&2; exit 1; }}
exit "$status"
"""

# Args: a command. Whether it is agentd.
TRY = f"""{_FOLDER}
"$@" --help 2>&1 | grep -q -e --spool
"""

# Args: by (systemd, background). Stdin: the unit, for systemd. None may run.
START = f"""{_FOLDER}{_RUNNING}
rm -f "$folder/pid"
if [ "$1" = systemd ]; then
    units=${{XDG_CONFIG_HOME:-$HOME/.config}}/systemd/user
    mkdir -p "$units" && cat > "$units/$unit" && systemctl --user daemon-reload || exit 1
    systemctl --user enable --quiet "$unit" && systemctl --user restart "$unit" || exit 1
    user=$(id -un)
    if [ ! -e "/var/lib/systemd/linger/$user" ] && ! loginctl enable-linger 2> /dev/null; then
        echo "remark=it ends when $user logs out: loginctl enable-linger $user is not allowed"
    fi
else
    cd "$folder" || exit 1
    if [ -s log ]; then mv log log.1; fi
    # What it runs has the umask of whoever starts it.
    setsid /bin/sh -c 'umask "$1" && exec "$2"' callsheet "$mask" "$folder/run" \\
        > log 2>&1 < /dev/null &
fi
tries=0
while [ ! -s "$folder/pid" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 150 ]; then echo "it was not started within 30 s" >&2; exit 1; fi
    sleep 0.2
done
"""

# Ends agentd; what it runs goes on.
STOP = f"""{_FOLDER}{_RUNNING}
if by_systemd; then
    systemctl --user stop "$unit" || exit 1
elif running; then
    kill -TERM "$pid"
else
    exit 0
fi
tries=0
while running; do
    tries=$((tries + 1))
    if [ "$tries" -gt 150 ]; then echo "agentd, pid $pid, does not end" >&2; exit 1; fi
    sleep 0.2
done
"""

# Whether it runs; its last words if not.
CHECK = f"""{_FOLDER}{_RUNNING}
if running; then echo "$pid"; exit 0; fi
tail -n 3 "$folder/log" >&2
if by_systemd; then systemctl --user status --no-pager --lines 3 "$unit" >&2; fi
exit 1
"""

REMOVE_TOKEN = f"""{_FOLDER}
rm -f "$folder/token"
"""

UNIT = """\
# Made by callsheet.
[Unit]
Description=callsheet agent
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={run}
# Its keepers and their jobs outlive it.
KillMode=process
Delegate=yes
DelegateSubgroup=callsheet
Restart=on-failure
RestartSec=2
RestartPreventExitStatus=78
StandardOutput=append:{folder}/log
StandardError=append:{folder}/log

[Install]
WantedBy=default.target
"""

RUN = """\
#!/bin/sh
# Made by callsheet. Runs the agent of this folder in the foreground.
echo $$ > {folder}/pid
exec {command}
"""
