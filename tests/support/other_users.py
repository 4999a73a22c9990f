"""Users that are made for tests, rules of sudo for them, and a callsheet that any user may execute.

All of it is the machine's own: names carry the pid, and what was made is removed again.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_stand import lives, until

AS_ROOT = os.geteuid() == 0
SUDO = "/usr/bin/sudo"
ROOMS = ("jobs", "messages", "wire", "agentd")
# What agentd needs of others, as folders or modules beside each other.
LIBRARIES = ("zmq", "msgspec", "cronsim", "typing_extensions")


def missing(what: str) -> None:
    """A test cannot be run for want of something: a failure where there should be all of it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}: expected it where CI=true")
    pytest.skip(what)


def need_root_and_sudo() -> None:
    if not AS_ROOT:
        pytest.skip("other users can be made by root only")
    for program in (SUDO, "/usr/bin/setpriv", "/usr/sbin/useradd"):
        if not os.access(program, os.X_OK):
            missing(f"there is no {program}")


@contextlib.contextmanager
def a_user(role: str, home: str = "/var/tmp", shell: str = "/bin/sh") -> Iterator[str]:
    """Make a user and yield its name."""
    name = f"cs-{role}-{os.getpid()}"
    command = ["/usr/sbin/useradd", "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir", home, "--shell", shell, name]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        missing(f"no user can be made here: {made.stderr.strip()}")
    try:
        yield name
    finally:
        until(
            lambda: not _kill_all_of(pwd.getpwnam(name).pw_uid), f"the processes of {name} to end"
        )
        subprocess.run(["/usr/sbin/userdel", name], capture_output=True, check=True)


def _kill_all_of(uid: int) -> list[int]:
    """Kill the processes of a user that was made here; return those there were."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == uid and lives(int(entry.name)):
                os.kill(int(entry.name), signal.SIGKILL)
                found.append(int(entry.name))
    return found


class Rules:
    """A file of rules of sudo."""

    def __init__(self) -> None:
        self._path = Path(f"/etc/sudoers.d/callsheet-test-{os.getpid()}")

    def write(self, *lines: str) -> None:
        """Let these rules hold, and none before them. A name with a dot is not read by sudo."""
        part = self._path.with_name(f"{self._path.name}.part")
        part.touch(0o440)
        part.write_text("".join(f"{line}\n" for line in lines))
        part.rename(self._path)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def rules() -> Iterator[Rules]:
    made = Rules()
    try:
        yield made
    finally:
        made.remove()


@contextlib.contextmanager
def a_folder(*, owner: str | None = None) -> Iterator[Path]:
    """Make a folder that everybody may enter: those of pytest are for one user."""
    with tempfile.TemporaryDirectory(prefix="callsheet-", dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        if owner is not None:
            entry = pwd.getpwnam(owner)
            os.chown(path, entry.pw_uid, entry.pw_gid)
        yield path


def installed(folder: Path) -> tuple[str, dict[str, str]]:
    """Install an agent below `folder`; return its Python and the environment it needs."""
    root = Path(__file__).parents[2]
    library = folder / "library"
    for room in ROOMS:
        shutil.copytree(root / room, library / "callsheet" / room, ignore=_LEFT_OUT)
    shutil.copy(root / "__init__.py", library / "callsheet")
    for name in LIBRARIES:
        spec = importlib.util.find_spec(name)
        assert spec is not None, f"{name} is not installed"
        assert spec.origin is not None, f"{name} has no file"
        origin = Path(spec.origin)
        if origin.name != "__init__.py":
            shutil.copy(origin, library)
            continue
        for found in origin.parent.parent.glob(f"*{name}*"):
            # Wheels carry their shared libraries beside the package.
            if found.name in (name, f"py{name}.libs", f"{name}.libs"):
                shutil.copytree(found, library / found.name, ignore=_LEFT_OUT)
    return _a_python(folder), {"PYTHONPATH": str(library)}


_LEFT_OUT = shutil.ignore_patterns("__pycache__", "tests", "test", "site-packages", "idlelib")


def _a_python(folder: Path) -> str:
    """Return a Python like ours that everybody may execute; ours is perhaps in root's home."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    ours = os.path.realpath(sys.executable)
    for python in (ours, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        parents = Path(python).parents
        if os.path.exists(python) and all(os.stat(p).st_mode & 0o001 for p in (python, *parents)):
            return python
    (folder / "python" / "bin").mkdir(parents=True)
    shutil.copy(ours, folder / "python" / "bin")
    source = Path(sys.base_prefix) / "lib"
    shutil.copytree(source, folder / "python" / "lib", ignore=_LEFT_OUT, symlinks=True)
    return str(folder / "python" / "bin" / Path(ours).name)


class SudoHost:
    """What an agent that is no root needs: users, code, and a rule for sudo, which may be taken
    away (`rules.write()`) and given back (`allow`)."""

    def __init__(self, agent: str, job: str, made: Rules, folder: Path) -> None:
        self.agent, self.job, self.rules = agent, job, made
        self.python, environ = installed(folder)
        self.environ = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **environ}
        # What goes before a command to run it as the agent's user.
        ids = ("--reuid", agent, "--regid", agent, "--init-groups")
        self.as_agent = ("/usr/bin/setpriv", *ids)
        self.allow()

    def allow(self) -> None:
        self.rules.write(f"{self.agent} ALL=({self.job}) NOPASSWD: ALL")


@contextlib.contextmanager
def a_sudo_host() -> Iterator[SudoHost]:
    """Make such a host of this machine for a while."""
    need_root_and_sudo()
    _remove_what_is_left()
    with a_folder() as folder, a_user("agent") as agent, a_user("job") as job, rules() as made:
        yield SudoHost(agent, job, made, folder)


def _remove_what_is_left() -> None:
    """Remove rules and users of tests that were killed before they could."""
    for path in Path("/etc/sudoers.d").glob("callsheet-test-*"):
        if not _lives_still(path.name.removesuffix(".part")):
            path.unlink(missing_ok=True)
    for entry in pwd.getpwall():
        if re.fullmatch(r"cs-(agent|job)-[0-9]+", entry.pw_name) and not _lives_still(
            entry.pw_name
        ):
            until(lambda uid=entry.pw_uid: not _kill_all_of(uid), f"the end of {entry.pw_name}")
            subprocess.run(["/usr/sbin/userdel", entry.pw_name], capture_output=True, check=False)


def _lives_still(name: str) -> bool:
    """Whether the process lives that made something and put its pid into the name."""
    return os.path.exists(f"/proc/{name.rpartition('-')[2]}")
