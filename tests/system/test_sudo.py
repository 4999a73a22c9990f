"""A job of another user on an agent that is no root, from the command line to the run's log."""

from __future__ import annotations

import shutil

import pytest
from far_agent import Far, is_active, output, two_ports
from live_server import Server, until
from other_users import a_folder, a_sudo_host

pytestmark = pytest.mark.slow

JOB = r"""
params: [user]
program:
  type: shell
  command: |
    id -un
    trap 'echo bye; exit 4' TERM
    while :; do sleep 0.05; done
  sudo_user: "{{ user }}"
  group_id: far
"""


@pytest.fixture(scope="module")
def host():
    with a_sudo_host() as made:
        yield made


@pytest.fixture
def server(tmp_path, host):
    """A server, and on this host a second agent, of a user that is no root."""
    port = two_ports()
    settings = f"agents:\n  listen: tcp://127.0.0.1:{port}\n  start_timeout: 60s\n"
    server = Server(tmp_path, {"other": JOB}, settings).start()
    with a_folder(owner=host.agent) as folder:
        words = [f"{name}={value}" for name, value in host.environ.items()]
        far = Far(
            server,
            folder / "agent",
            port,
            inside=lambda command: [
                *host.as_agent, "/usr/bin/env", "-i", *words, host.python, *command[1:]
            ],
        )  # fmt: skip
        shutil.chown(folder / "agent", host.agent)
        (folder / "allowed").write_text(f"{host.job}\n")
        (folder / "allowed").chmod(0o644)
        far.token("--group", "far")
        shutil.chown(far.folder / "token", host.agent)
        options = ("--token-file", str(far.folder / "token"), "--agent-id", "w1")
        far.start(*options, "--sudo-allow", str(folder / "allowed"))
        until(is_active(server, "w1"), f"w1; its log:\n{far.log()}")
        yield server
        far.close()
        server.stop()


def running(server, host):
    run_id = server.schedule("other", user=host.job)
    until(lambda: output(server, run_id) == f"{host.job}\n".encode(), "its first line")
    return run_id


def test_it_runs_is_stopped_and_says_what_sudo_does_not_let_happen(server, host):
    run_id = running(server, host)
    assert server.callsheet("stop", run_id).returncode == 0
    run = server.finished(run_id)
    assert run["meta"]["program"]["status"]["exit_code"] == 4
    assert output(server, run_id).endswith(b"bye\n")

    run_id = running(server, host)
    host.rules.write()
    assert server.callsheet("stop", run_id).returncode == 0
    said = f"SIGTERM was not sent as {host.job}: sudo: "
    path = f"/api/v1/runs/{run_id}/log"
    until(lambda: said in server.get(path).body.decode(), "the line in the log")
    assert server.run(run_id)["state"] == "stopping"
    host.allow()
    assert server.callsheet("kill", run_id).returncode == 0
    assert server.finished(run_id)["meta"]["program"]["status"]["signal"] == "SIGKILL"

    refused = server.finished(server.schedule("other", user="root"))
    assert refused["state"] == "error"
    assert "sudo_user 'root': this agent's host does not allow it" in str(
        server.get(f"/api/v1/runs/{refused['run_id']}/log").json
    )
