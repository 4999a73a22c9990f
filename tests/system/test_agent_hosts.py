"""Agents set up by commands: on other hosts over a real OpenSSH server, and on this one."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from far_agent import agent, ctl, output, two_ports
from live_server import Server, end_all_of, until
from ssh_server import SshServer, need_sshd

pytestmark = pytest.mark.slow

JOBS = {
    "remote": "params: [what, group]\nschedule: []\nprogram:\n  type: procstar-shell\n"
    '  command: "{{ what }}"\n  group_id: "{{ group }}"\n',
}
AGENTD = str(Path(sys.executable).parent / "callsheet-agentd")
FOLDER = ".local/share/callsheet-agentd"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server for all tests; each has hosts of other names."""
    port = two_ports()
    settings = f"agents:\n  listen: tcp://127.0.0.1:{port}\n  start_timeout: 60s\n"
    server = Server(tmp_path_factory.mktemp("server"), JOBS, settings)
    server.agent_port = port
    server.start()
    yield server
    server.stop()


class Host:
    """A host of its own, as far as who logs in can tell: a home, a name, a server of SSH."""

    def __init__(self, folder: Path, name: str, **environ: str) -> None:
        self.home = folder / name
        (self.home / "bin").mkdir(parents=True)
        hostname = self.home / "bin" / "hostname"
        hostname.write_text(f"#!/bin/sh\necho {name}\n")
        hostname.chmod(0o755)
        path = f"{self.home}/bin:/usr/local/bin:/usr/bin:/bin"
        self.sshd = SshServer(folder / f"{name}.ssh", HOME=str(self.home), PATH=path, **environ)
        self.sshd.start()
        self.folder = self.home / FOLDER

    def close(self) -> None:
        self.sshd.stop()
        end_all_of(self.home, "agentd")


@pytest.fixture
def host(tmp_path):
    need_sshd()
    hosts = []

    def make(name, **environ):
        hosts.append(Host(tmp_path, name, **environ))
        return hosts[-1]

    yield make
    for one in hosts:
        one.close()


@pytest.fixture
def command(server, tmp_path):
    """Run `callsheetctl agent VERB` for hosts; return its status, outcomes by host, and stderr."""

    def run(verb, hosts, *options):
        known = tmp_path / "known_hosts"
        known.write_text("".join(one.sshd.known_hosts.read_text() for one in hosts))
        keys = tmp_path / "identity"
        if not keys.exists():
            keys.symlink_to(hosts[0].sshd.key)
        for one in hosts:
            with (one.sshd.folder / "authorized_keys").open("a") as file:
                file.write((hosts[0].sshd.folder / "key.pub").read_text())
        targets = [one.sshd.target for one in hosts]
        common = ["--json", "-i", str(keys), "--known-hosts", str(known)]
        done = ctl(server, "agent", verb, *common, *options, *targets)
        found = json.loads(done.stdout) if done.stdout else []
        return done.returncode, {one["host"]: one for one in found}, done.stderr

    return run


def test_agents_are_set_up_on_hosts_ended_and_started_while_their_jobs_go_on(server, host, command):
    one, two = host("h1"), host("h2")
    options = ("--command", AGENTD, "--group", "far", "--label", "big", "--by", "background")
    status, found, _ = command("install", [one, two], *options, "127.0.0.1:1")
    assert status == 1
    assert "cannot be reached: Connection refused" in found.pop("127.0.0.1:1")["error"]
    assert [(f["ok"], f["agent_id"], f["group"], f["state"]) for f in found.values()] == [
        (True, "h1", "far", "active"),
        (True, "h2", "far", "active"),
    ], found
    assert agent(server, "h1")["labels"] == ["big"]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in one.folder.iterdir()}
    assert modes == {"run": 0o700, "spool": 0o700, "log": 0o600, "pid": 0o644}
    run = server.finished(server.schedule("remote", group="far", what="umask"))
    assert (run["state"], output(server, run["run_id"])) == ("success", b"0022\n")
    # Their processes go on, whatever becomes of the agents.
    ctl(server, "agent", "drain", "h2")
    long = server.schedule(
        "remote", group="far", what="touch up; while [ ! -e go ]; do sleep .1; done; exit 7"
    )
    until((one.folder / "up").exists, "the run to run")
    status, found, _ = command("stop", [one, two])
    assert (status, [f["pid"] for f in found.values()]) == (0, [0, 0])
    until(lambda: not agent(server, "h1")["connected"], "the server to miss h1")
    status, found, _ = command("status", [one])
    assert (status, found[one.sshd.target]["pid"], found[one.sshd.target]["agent_id"]) == (
        0, 0, "h1",
    )  # fmt: skip
    status, found, _ = command("start", [one], "--by", "background")
    assert (status, found[one.sshd.target]["state"]) == (0, "active"), found
    (one.folder / "go").touch()
    assert server.finished(long)["meta"]["program"]["status"]["exit_code"] == 7
    # Once more: the same agent, by its key.
    pid = found[one.sshd.target]["pid"]
    status, found, _ = command("install", [one], *options)
    again = found[one.sshd.target]
    assert (status, again["agent_id"], again["pid"] != pid) == (0, "h1", True), found


def test_a_host_that_is_not_known_or_has_no_such_command_is_left_as_it_is(server, host, command):
    one = host("h3")
    done = ctl(
        server, "agent", "install", "-i", str(one.sshd.key), "--known-hosts", "/dev/null",
        "--command", AGENTD, one.sshd.target,
    )  # fmt: skip
    assert done.returncode == 1
    assert "is not known: expected a line in /dev/null" in done.stdout
    assert f"{one.sshd.target}: connecting\n{one.sshd.target}: failed\n" in done.stderr
    status, found, _ = command("install", [one], "--command", "/bin/true")
    assert (status, "/bin/true: is not the callsheet-agentd" in str(found)) == (1, True)
    status, found, _ = command("start", [one])
    assert (status, "no agent is installed" in str(found)) == (1, True)
    assert not one.folder.exists()
    # What keeps agentd from its work is shown.
    options = ("--command", AGENTD, "--slots", "-5", "--by", "background")
    status, found, _ = command("install", [one], *options)
    assert (status, "agentd ended: " in str(found), "--slots" in str(found)) == (1, True, True)


def wheel_of(name: str, folder: Path) -> None:
    """Pack what is installed here up again as a wheel, since tests have no package index."""
    found = distribution(name)
    about = next(path for path in found.files if path.name == "WHEEL")
    lines = about.read_text().splitlines()
    tags = [line.split(": ")[1] for line in lines if line.startswith("Tag: ")]
    python, abi, _ = tags[0].split("-")
    platforms = ".".join(tag.split("-")[2] for tag in tags)
    title = about.parent.name.removesuffix(".dist-info")
    with zipfile.ZipFile(folder / f"{title}-{python}-{abi}-{platforms}.whl", "w") as archive:
        for path in found.files:
            if ".." not in path.parts and path.suffix != ".pyc":
                archive.writestr(str(path), path.read_binary())


def test_an_agent_is_installed_from_a_wheel_of_itself(server, host, command, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    for name in ("msgspec", "pyzmq", "cronsim", "backports.zstd"):
        wheel_of(name, links)
    one = host("h4", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(links))
    options = ("--python", sys.executable, "--group", "wheels", "--by", "background")
    status, found, _ = command("install", [one], *options)
    assert (status, found[one.sshd.target]["state"]) == (0, "active"), found[one.sshd.target][
        "error"
    ]
    assert sorted(path.name for path in one.folder.iterdir()) == [
        "log", "pid", "run", "spool", "venv",
    ]  # fmt: skip
    python = str(one.folder / "venv" / "bin" / "python")
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "json"], capture_output=True, check=True
    )
    names = {package["name"] for package in json.loads(listed.stdout)}
    assert {"callsheet-agentd", "msgspec", "pyzmq"} <= names
    assert not names & {"tornado", "jinja2", "callsheet"}
    run = server.finished(server.schedule("remote", group="wheels", what="echo from a wheel"))
    assert output(server, run["run_id"]) == b"from a wheel\n"


def test_an_agent_of_this_host_is_started_for_a_group(server, tmp_path):
    home = tmp_path / "home"
    home.mkdir()

    def here(*args):
        command = [sys.executable, "-m", "callsheet.cli.people"]
        command += ["--host", f"127.0.0.1:{server.port}", "agent", *args]
        environ = {**os.environ, "HOME": str(home)}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environ)

    try:
        done = here("start", "--group", "here", "--agent-id", "mine")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "agent mine of group here, runs by background, pid " in done.stdout
        assert "the server has it as active" in done.stdout
        assert "waiting for the server to hear of mine" in done.stderr
        run = server.finished(server.schedule("remote", group="here", what="echo $$"))
        assert run["state"] == "success"
        assert (
            json.loads(here("status", "--group", "here", "--json").stdout)[0]["state"] == "active"
        )
        assert "does not run" in here("stop", "--group", "here").stdout
        assert "no agent in " in here("status", "--group", "other").stdout
        # In the foreground it is this very process.
        command = [sys.executable, "-m", "callsheet.cli.people"]
        command += ["--host", f"127.0.0.1:{server.port}", "agent", "start", "--group", "here"]
        process = subprocess.Popen(
            [*command, "--by", "foreground"], env={**os.environ, "HOME": str(home)}
        )
        until(lambda: agent(server, "mine")["pid"] == process.pid, "the agent in the foreground")
        process.terminate()
        assert process.wait(60) == 0
    finally:
        end_all_of(home, "agentd")
