"""A Linux kernel of its own for tests that need what the kernel of this machine does not give.

User-mode Linux: a kernel that is an ordinary process, of an ordinary user. It sees the files of
this machine read-only, and has /proc, /sys, /run and cgroups (version 2, all controllers) of its
own, so that tests in it may do with them as they like.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

KERNELS = ("linux.uml", "/usr/bin/linux.uml")
PATIENCE_S = 900
INIT = """\
#!/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH TMPDIR=/run HOME=/run LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
# Each file costs more here than outside, and nothing of these is used here.
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
cd {folder}
{command}
echo "the command ended with $?"
poweroff -f || halt -f
"""


def run_inside(command: list[str], folder: Path) -> str:
    """Boot a kernel, run a command as its only one, and return what it printed.

    Args:
        folder: for what the kernel itself needs.
    Raises:
        AssertionError: the command did not end with 0.
    """
    kernel = next((path for name in KERNELS if (path := shutil.which(name))), None)
    if kernel is None:
        what = "there is no user-mode Linux (Debian: user-mode-linux)"
        if os.environ.get("CI") == "true":
            raise AssertionError(what)
        pytest.skip(what)
    init = folder / "init"
    init.write_text(INIT.format(folder=shlex.quote(os.getcwd()), command=shlex.join(command)))
    init.chmod(0o755)
    done = subprocess.run(
        [
            kernel,
            *("mem=768M", "quiet", f"uml_dir={folder}", f"init={init}"),
            *("root=none", "rootfstype=hostfs", "rootflags=/", "ro"),
            *("con=null", "con0=null,fd:1"),
        ],
        env={"TMPDIR": str(folder), "HOME": str(folder), "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE_S,
        check=False,
    )
    said = done.stdout.decode(errors="replace")
    assert "the command ended with 0" in said, said
    return said


def pytest_command(*paths: Path) -> list[str]:
    """Return the command that runs files of tests inside, and has a line for each that passed."""
    options = (
        "-q",
        "--color=no",
        "-rA",
        "--show-capture=no",
        "--durations=12",
        "-p",
        "no:cacheprovider",
        "--basetemp",
        "/run/pytest",
    )
    return [sys.executable, "-m", "pytest", *options, *map(str, paths)]
