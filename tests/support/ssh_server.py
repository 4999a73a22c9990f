"""A real OpenSSH server on the loopback address: its own port, host key and authorized keys."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_server import until
from ports import free_port

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
# Where Debian's sshd, when root starts it, wants an empty folder.
PRIVILEGES = Path("/run/sshd")


class SshServer:
    """`known_hosts` and `key` are what a client needs to come in as `user`."""

    def __init__(self, folder: Path, **environ: str) -> None:
        """`environ`: variables that whoever comes in has."""
        self.folder, self.port = folder, free_port()
        self.user = getpass.getuser()
        self.target = f"{self.user}@127.0.0.1:{self.port}"
        self.key, self.known_hosts = folder / "key", folder / "known_hosts"
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(mode=0o700)
        for name in ("key", "host_key"):
            make_key(folder / name)
        (folder / "authorized_keys").write_text((folder / "key.pub").read_text())
        host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {host_key}\n")
        settings = {
            "ListenAddress": "127.0.0.1",
            "Port": self.port,
            "HostKey": folder / "host_key",
            "AuthorizedKeysFile": folder / "authorized_keys",
            "PidFile": "none",
            # The folders of tests belong to whom they may.
            "StrictModes": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            "UsePAM": "no",
            "LogLevel": "VERBOSE",
            "MaxStartups": "100",
        }
        if environ:
            settings["SetEnv"] = " ".join(f'"{name}={value}"' for name, value in environ.items())
        lines = "".join(f"{name} {value}\n" for name, value in settings.items())
        (folder / "sshd_config").write_text(lines)

    def set(self, name: str, value: object) -> None:
        """Say a setting of sshd, before it is started."""
        with (self.folder / "sshd_config").open("a") as file:
            file.write(f"{name} {value}\n")

    def start(self) -> SshServer:
        if os.geteuid() == 0:
            PRIVILEGES.mkdir(mode=0o755, exist_ok=True)
        command = [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(lambda: "Server listening" in self.log(), f"sshd; its log:\n{self.log()}")
        return self

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def sessions(self) -> list[int]:
        """Return the pids of the servers of connections, which sshd has forked."""
        assert self.process is not None
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def cut(self) -> None:
        """Break all connections off."""
        for pid in self.sessions():
            os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            for pid in self.sessions():
                os.kill(pid, signal.SIGKILL)
            self.process.terminate()
            self.process.wait(60)


def make_key(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
    subprocess.run(command, check=True, timeout=60)


def need_sshd() -> None:
    """Skip the test where there is no sshd; in CI it fails."""
    if not os.access(SSHD, os.X_OK) or shutil.which("ssh-keygen") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no sshd: install openssh-server")
        pytest.skip("needs OpenSSH's server: install openssh-server")


def open_ssh_server(folder: Path, **environ: str) -> Iterator[SshServer]:
    """Yield a running server; for fixtures."""
    need_sshd()
    server = SshServer(folder, **environ)
    try:
        yield server.start()
    finally:
        server.stop()
