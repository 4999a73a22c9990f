"""Programs of type `ssh`, by a real agentd and a real OpenSSH server on the loopback address."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import threading
from pathlib import Path

import pytest
from agent_stand import AgentStand, lives, until
from ssh_server import SshServer, make_key, open_ssh_server

from callsheet.agentd.ssh import read_target
from callsheet.jobs.binding import new_run
from callsheet.jobs.errors import UserError
from callsheet.jobs.parse import job_from_data
from callsheet.messages.agents import ProcessEnded, SignalProcess, StopProcess

pytestmark = pytest.mark.slow
UP = "echo up $CALLSHEET_CLAIM; "
LOOP = "while :; do sleep .1; done"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    yield from open_ssh_server(tmp_path_factory.mktemp("sshd") / "server", FROM_SSHD="1")


@pytest.fixture
def stand(tmp_path):
    stand = AgentStand(tmp_path)
    yield stand
    stand.close()


@pytest.fixture
def far(sshd):
    """What a run is bound to, of a job that runs on the server's host."""

    def bound(command=None, *, args=None, **keys):
        own = {"argv": args} if command is None else {"command": command}
        program = {
            "type": "ssh",
            "host": "127.0.0.1",
            "port": sshd.port,
            "identity_file": str(sshd.key),
            "known_hosts": str(sshd.known_hosts),
            **own,
            **keys,
        }
        job = job_from_data({"program": program}, "far")
        run = new_run(job, "", "r1", {}, 0, lambda _: None, {})
        assert run.error is None, run.error
        return run.program

    return bound


def output_of(ended):
    assert isinstance(ended, ProcessEnded), ended
    return "" if ended.spool_path is None else Path(ended.spool_path).read_text()


def results(stand, programs):
    """Run programs at the same time; return what became of each."""
    for number, program in enumerate(programs, 1):
        stand.run(f"r{number}", program)
    return [stand.ended(f"r{number}") for number in range(1, len(programs) + 1)]


# --- what runs there ----------------------------------------------------------------------------


def test_output_and_end_are_those_of_the_far_program(stand, far):
    stand.start()
    odd = 'it\'s "odd" $HOME\n!`x`'
    found = results(
        stand,
        [
            far("echo to $0 and; echo stderr >&2; exit 7"),
            far(args=["printf", "%s|%s", odd, ""]),
            far("head -c 5000000 /dev/zero"),
            far("kill -TERM $$"),
            far("kill -KILL $$"),
            # No signal, though a shell shows one so.
            far("exit 143"),
            # Nobody reads it, and it is not waited for.
            far("exit 0", stdin="x" * 200_000),
        ],
    )
    assert [ended.status for ended in found] == [7, 0, 0, -15, -9, 143, 0]
    assert output_of(found[0]) == "to /usr/bin/bash and\nstderr\n"
    assert output_of(found[1]) == f"{odd}|"
    assert len(output_of(found[2])) == 5_000_000


def test_its_beginning_is_as_the_job_says_on_the_far_side(stand, far, tmp_path):
    stand.start(FROM_THE_AGENT="1")
    path = tmp_path / "input"
    path.write_text("from a file")
    variables = "echo $FROM_SSHD-$FROM_THE_AGENT-$MINE-$APSIS_RUN_ID-$CALLSHEET_ATTEMPT"
    mine = {"MINE": "it's\nmine"}
    begun = {"cwd": "/usr/lib", "umask": "027", "ulimits": {"nofile": 77}, "nice": 5}
    found = results(
        stand,
        [
            far(variables, env=mine),
            far(variables, env={"mode": "clean", "vars": mine}),
            far("echo $PATH", env={"mode": "clean"}),
            far("env; shopt login_shell", env={"mode": "login"}),
            far("pwd; umask; ulimit -n; nice; cat", **begun, stdin="from the job"),
            far(args=["cat"], stdin={"file": str(path)}),
        ],
    )
    assert output_of(found[0]) == "1--it's mine-r1-1\n"
    assert output_of(found[1]) == "--it's mine-r2-1\n"
    assert output_of(found[2]) == "/usr/local/bin:/usr/bin:/bin\n"
    assert "FROM_SSHD" not in output_of(found[3])
    assert output_of(found[4]) == "/usr/lib\n0027\n77\n5\nfrom the job"
    assert output_of(found[5]) == "from a file"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("sudo"), reason="needs root and sudo")
def test_a_far_program_runs_as_another_user_by_sudo_of_that_host(stand, far):
    stand.start()
    command = "id -un; echo $HOME $USER $LOGNAME $PATH $MINE${SUDO_USER}; kill -TERM $$"
    found = results(
        stand,
        [
            far(command, sudo_user="nobody", env={"MINE": "x"}),
            far("true", sudo_user="nosuchuser"),
        ],
    )
    assert found[0].status == -15
    assert output_of(found[0]) == (
        "nobody\n/nonexistent nobody nobody /usr/local/bin:/usr/bin:/bin x\n"
    )
    assert "nosuchuser" in found[1].error
    stand.run("r3", far(UP + "exec sleep 600", sudo_user="nobody"))
    cookie = is_up(stand, "r3")
    stand.send(StopProcess(epoch=1, run_id="r3", attempt=1))
    assert stand.ended("r3").status == -15
    until(lambda: not lives_with(cookie), "the other user's process to end")


# --- what keeps it from running -----------------------------------------------------------------


def test_what_keeps_a_program_from_running_is_an_error_that_says_it(stand, far, sshd, tmp_path):
    stand.start()
    nobody, other = tmp_path / "nobody", tmp_path / "other"
    nobody.touch()
    make_key(other)
    other_key = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    posing = tmp_path / "posing"
    posing.write_text(f"[127.0.0.1]:{sshd.port} {other_key}\n")
    babbler = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=babble, args=(babbler,), daemon=True).start()
    cases = {
        "no handshake came about": far("true", port=babbler.getsockname()[1]),
        "nosuchprogram: cannot be executed: No such file": far(args=["nosuchprogram"]),
        "/nosuchfolder: cannot be made the working": far("true", cwd="/nosuchfolder"),
        "/nosuchfile: cannot be read as stdin": far("true", stdin={"file": "/nosuchfile"}),
        "ssh to 127.0.0.1:1: cannot be reached: Connection refused": far("true", port=1),
        "there is no host nosuchhost.invalid": far("true", host="nosuchhost.invalid"),
        f"is not known: expected a line in {nobody}": far("true", known_hosts=str(nobody)),
        "it shows another host key than the one we know": far("true", known_hosts=str(posing)),
        "is not let in by the keys there are": far("true", identity_file=str(other)),
        "key file /nosuchkey cannot be read": far("true", identity_file="/nosuchkey"),
    }
    found = results(stand, list(cases.values()))
    babbler.close()
    for sentence, ended in zip(cases, found, strict=True):
        assert sentence in ended.error, ended


def babble(listener):
    """Say what is no SSH to who comes first."""
    with listener.accept()[0] as connection, contextlib.suppress(OSError):
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 200)
        while connection.recv(4_096):
            pass


def test_a_host_that_gives_one_session_alone_runs_nothing(stand, far, sshd, tmp_path):
    other = SshServer(tmp_path / "other")
    other.set("MaxSessions", 1)
    other.start()
    try:
        stand.start()
        keys = {"identity_file": str(other.key), "known_hosts": str(other.known_hosts)}
        ended = stand.result("r1", far("echo here", port=other.port, **keys))
        assert "expected two of one connection (MaxSessions of its sshd)" in ended.error
        assert output_of(ended) == ""
    finally:
        other.stop()


# --- stop, kill, death --------------------------------------------------------------------------


def is_up(stand, run_id):
    """Wait until a program that begins with `UP` runs; return how its processes are known."""
    out = stand.spool / "runs" / f"{run_id}.1" / "out"
    found = until(lambda: out.exists() and re.match("up (.+)\n", out.read_text()), f"{run_id}")
    assert found[1].startswith("far/"), found
    return f"CALLSHEET_CLAIM={found[1]}".encode()


def lives_with(variable):
    """Whether a process lives that has a variable."""
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if variable in words and lives(int(entry.name)):
            return True
    return False


def test_a_stop_ends_the_far_program_and_all_it_has_started(stand, far):
    stand.start()
    asked = "trap 'echo asked; exit 9' TERM; setsid sleep 600 & "
    stand.run("r1", far(asked + UP + LOOP))
    cookie = is_up(stand, "r1")
    assert lives_with(cookie)
    stand.send(StopProcess(epoch=1, run_id="r1", attempt=1))
    ended = stand.ended("r1")
    assert (ended.status, "asked" in output_of(ended)) == (9, True)
    until(lambda: not lives_with(cookie), "what the far program left to end")


def test_a_far_program_that_does_not_heed_is_killed_after_the_grace(stand, far):
    stand.start()
    program = far("trap '' TERM; " + UP + LOOP, stop={"grace_period": 0.5})
    stand.run("r1", program)
    cookie = is_up(stand, "r1")
    stand.send(StopProcess(epoch=1, run_id="r1", attempt=1))
    assert stand.ended("r1").status == -9
    until(lambda: not lives_with(cookie), "the far program to end")


def test_a_signal_is_handed_on_and_a_far_program_outlives_agentd(stand, far):
    stand.start()
    stand.run("r1", far("trap 'echo usr1; exit 0' USR1; " + UP + LOOP))
    is_up(stand, "r1")
    stand.kill()
    stand.start()
    stand.send(SignalProcess(epoch=1, run_id="r1", attempt=1, signal=10, command_id="c1"))
    ended = stand.ended("r1")
    assert (ended.status, output_of(ended)[-5:]) == (0, "usr1\n")


def test_a_connection_that_is_cut_is_an_error_and_leaves_nothing_running(stand, far, sshd):
    stand.start()
    stand.run("r1", far(UP + "sleep 600"))
    cookie = is_up(stand, "r1")
    sshd.cut()
    ended = stand.ended("r1")
    assert "the connection was lost while it ran: how it ended is not known" in ended.error
    until(lambda: not lives_with(cookie), "the far program to end")


# --- targets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host", "user", "port"),
    [
        ("db1", "db1", None, None),
        ("batch@db1:2222", "db1", "batch", 2222),
        ("[fe80::1%eth0]:22", "fe80::1%eth0", None, 22),
    ],
)
def test_a_target_is_read(text, host, user, port):
    found = read_target(text)
    assert (found.host, found.user, found.port, str(found)) == (host, user, port, text)


@pytest.mark.parametrize("text", ["", "-oProxyCommand=x", "a@-b", "a b", "host:65536", "a:b:c"])
def test_what_is_no_target_is_refused(text):
    with pytest.raises(UserError, match=r"expected one (like db1|up to 65535)"):
        read_target(text)
