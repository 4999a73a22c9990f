"""Jobs of other users, by real sudo and real users, above all for an agent that is not root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from pathlib import Path

import pytest
from agent_stand import AgentStand, a_process, a_shell, lives, until
from other_users import SUDO, a_folder, a_sudo_host

from callsheet.jobs.programs import Launch
from callsheet.messages.agents import (
    OutputChunk,
    ProcessEnded,
    ProcessLost,
    ProcessNoted,
    ProcessRefused,
    SignalProcess,
    StopProcess,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def host():
    """An agent's user and code, a job's user, and the rule that lets the one be the other."""
    with a_sudo_host() as made:
        yield made


@pytest.fixture
def rootless(host):
    """A stand whose agent is no root, may use sudo, and works where nobody else may enter."""
    with a_folder(owner=host.agent) as folder:
        stand = a_stand(host, folder)
        Path(stand.endpoint.removeprefix("ipc://")).chmod(0o777)
        (folder / "home").mkdir(mode=0o700)
        shutil.chown(folder / "home", host.agent)
        stand.prefix = [*host.as_agent, "/usr/bin/env", "-C", str(folder / "home")]
        host.allow()
        yield stand
        stand.close()


@pytest.fixture
def rooted(host):
    """A stand whose agent is root."""
    with a_folder() as folder:
        stand = a_stand(host, folder)
        yield stand
        stand.close()


def a_stand(host, folder):
    stand = AgentStand(folder)
    stand.python, stand.environ = host.python, host.environ
    (folder / "allowed").write_text(f"{host.job}\n")
    (folder / "allowed").chmod(0o644)
    stand.options = ["--sudo-allow", str(folder / "allowed")]
    return stand


def output_of(ended):
    assert isinstance(ended, ProcessEnded), ended
    return "" if ended.spool_path is None else Path(ended.spool_path).read_text()


def pids_in_output(stand, count):
    """Wait for a process that prints pids."""
    out = stand.spool / "runs" / "r1.1" / "out"
    until(lambda: out.exists() and len(out.read_text().split()) >= count, f"{count} pids")
    return [int(word) for word in out.read_text().split()]


def test_an_agent_that_is_no_root_runs_a_job_as_its_user(rootless, host):
    rootless.start()
    entry = pwd.getpwnam(host.job)
    program = a_shell(
        "id -un; id -u; id -g; id -G; umask; pwd; cat; ls /proc/self/fd | wc -l",
        sudo_user=host.job,
        umask=0o027,
        cwd="/usr",
        launch=Launch(stdin="to be read\n"),
    )
    ended = rootless.result("r1", program)
    ids = [str(entry.pw_uid), str(entry.pw_gid), str(entry.pw_gid)]
    assert output_of(ended).splitlines() == [host.job, *ids, "0027", "/usr", "to be read", "4"]
    for command, status in (("exit 0", 0), ("exit 1", 1), ("exit 127", 127), ("kill -9 $$", -9)):
        ended = rootless.result(f"r{300 + status}", a_shell(command, sudo_user=host.job))
        assert (ended.status, ended.error) == (status, "")
    # It begins where anybody may be, and nothing is said of where it may not.
    assert output_of(rootless.result("r9", a_shell("pwd", sudo_user=host.job))) == "/\n"
    ended = rootless.result("r10", a_process("/no/program", sudo_user=host.job))
    assert ended.error == "/no/program: cannot be executed: No such file or directory"


KINDS = ["rootless", "rooted", "rooted, without sudo"]


@pytest.mark.parametrize("kind", KINDS)
def test_another_users_process_has_nothing_of_the_agents_power(request, host, kind):
    stand = request.getfixturevalue(kind.partition(",")[0])
    stand.start()
    entry = pwd.getpwnam(host.job)
    command = (
        "grep -E '^(Uid|Gid|Groups|CapEff|CapPrm|CapAmb):' /proc/self/status;"
        " for pid in $VICTIMS; do kill -9 $pid 2> /dev/null || echo refused; done;"
        " ls $SPOOL > /dev/null 2>&1 || echo closed; id -u root 2> /dev/null;"
        " sudo -n id -u 2> /dev/null || echo no more"
    )
    victims = [*stand.keepers(), stand.process.pid]
    env = {"VICTIMS": " ".join(map(str, victims)), "SPOOL": str(stand.spool)}
    sudo = ("/no/such/sudo",) if "without" in kind else ()
    ended = stand.result("r1", a_shell(command, sudo_user=host.job, env=env), sudo_argv=sudo)
    lines = [" ".join(line.split()) for line in output_of(ended).splitlines()]
    assert lines == [
        f"Uid: {' '.join([str(entry.pw_uid)] * 4)}",
        f"Gid: {' '.join([str(entry.pw_gid)] * 4)}",
        f"Groups: {entry.pw_gid}",
        *(f"{name}: 0000000000000000" for name in ("CapPrm", "CapEff", "CapAmb")),
        *["refused"] * len(victims),
        "closed",
        "0",
        "no more",
    ]
    assert stand.result("r2", a_process("/bin/true", sudo_user=host.job)).status == 0


def test_a_user_is_asked_for_by_name_alone_and_root_is_a_user_as_any_other(rootless, host):
    rootless.start()
    uid = pwd.getpwnam(host.job).pw_uid
    for number, user in enumerate((str(uid), f"#{uid}", "0", "#0", "root", f"%{host.job}", ":0")):
        refused = rootless.result(f"r{number}", a_process("id", sudo_user=user))
        assert isinstance(refused, ProcessRefused)
        assert not refused.retry
        assert refused.sentence.startswith(f"sudo_user {user!r}: ")


ODD = {
    "LINES": "one\ntwo'\"$(id)\\n three\n",
    "PYTHONPATH": "/of/the/job",
    "LD_LIBRARY_PATH": "/of/the/job",
    "TZ": "Europe/Zurich",
    "MINE": "",
}


def test_a_users_environment_is_the_same_whoever_the_agent_is_and_by_whatever_means(
    rootless, rooted, host
):
    seen = {}
    for name, stand, sudo in (
        ("no root, sudo", rootless, ()),
        ("root, sudo", rooted, ()),
        ("root, setpriv", rooted, ("/no/such/sudo",)),
    ):
        if stand.process is None:
            stand.start(
                OF_THE_AGENT="1", XDG_RUNTIME_DIR="/run/user/0", SSH_AUTH_SOCK="/x", USER="somebody"
            )
        for mode in ("inherit", "clean"):
            launch = Launch(env_mode=mode)
            program = a_process("/usr/bin/env", "-0", env=ODD, sudo_user=host.job, launch=launch)
            run_id = f"r{len(seen) + 1}"
            ended = stand.result(run_id, program, sudo_argv=sudo)
            found = dict(line.split("=", 1) for line in output_of(ended).split("\0") if line)
            assert found.pop("CALLSHEET_CLAIM").endswith(f".{run_id}.1")
            assert found.pop("CALLSHEET_RUN_ID") == found.pop("APSIS_RUN_ID") == run_id
            assert found.pop("CALLSHEET_RESULT")
            found.pop("PWD", None)
            seen[name, mode] = found
    expected = {
        "HOME": "/var/tmp",
        "USER": host.job,
        "LOGNAME": host.job,
        "SHELL": "/bin/sh",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "CALLSHEET_ATTEMPT": "1",
        **ODD,
    }
    for (name, mode), found in seen.items():
        more = {"OF_THE_AGENT": "1", "LANG": "C.UTF-8"} if mode == "inherit" else {}
        assert found == {**expected, **more}, (name, mode)


def test_a_rule_that_keeps_two_variables_is_enough(rootless, host):
    host.rules.write(
        f'Defaults:{host.agent} env_keep += "CALLSHEET_ENV CALLSHEET_CLAIM"',
        f"{host.agent} ALL=({host.job}) NOPASSWD: /bin/sh",
    )
    rootless.start()
    program = a_shell('echo "$MINE $HOME"', sudo_user=host.job, env={"MINE": "x"})
    ended = rootless.result("r1", program, sudo_argv=(SUDO, "--set-home"))
    assert output_of(ended) == "x /var/tmp\n"
    ended = rootless.result("r2", program)
    assert "sorry, you are not allowed to preserve the environment" in ended.error


def test_what_sudo_refuses_is_an_error_with_its_words(rootless, host):
    host.rules.write()
    rootless.start()
    ended = rootless.result("r1", a_shell("id", sudo_user=host.job))
    # Before that it may complain about the name of the host.
    assert ended.error.endswith("sudo: a password is required")
    assert output_of(ended) == ""


def test_a_host_without_sudo_is_told_as_such(rootless, host):
    rootless.start()
    program = a_process("id", sudo_user=host.job)
    refused = rootless.result("r1", program, sudo_argv=("/no/such/sudo", "--set-home"))
    assert isinstance(refused, ProcessRefused)
    assert not refused.retry
    assert refused.sentence == (
        f"sudo_user '{host.job}': /no/such/sudo cannot be executed: expected sudo on this host, "
        "or an agent that is root"
    )


TREE = """\
trap '' TERM
echo $$
sleep 600 & echo $!
setsid sleep 600 & echo $!
(setsid sh -c 'sleep 600 & echo $!; wait' &)
wait
sleep 600
"""


def test_a_stop_by_no_root_kills_the_whole_tree_of_another_user_after_the_grace(rootless, host):
    rootless.start()
    rootless.run("r1", a_shell(TREE, sudo_user=host.job, grace_us=300_000))
    rootless.started("r1")
    pids = pids_in_output(rootless, 4)
    assert all(lives(pid) for pid in pids)
    rootless.send(StopProcess(epoch=1, run_id="r1", attempt=1))
    ended = rootless.ended("r1")
    assert (ended.status, ended.stop_signals) == (-9, ["SIGTERM", "SIGKILL"])
    until(lambda: not any(lives(pid) for pid in pids), "the end of the tree")
    assert not [m for m in rootless.messages if isinstance(m, ProcessNoted)]


def test_a_stop_that_comes_before_sudo_has_started_anything_reaches_it(rootless, host):
    rootless.start()
    for n in range(3):
        rootless.run(f"r{n}", a_process("sleep", "600", sudo_user=host.job))
        rootless.started(f"r{n}")
        rootless.send(StopProcess(epoch=1, run_id=f"r{n}", attempt=1))
    for n in range(3):
        ended = rootless.ended(f"r{n}")
        assert (ended.status, ended.stop_signals) == (-15, ["SIGTERM"])


# Counts the signals that it and its child get, each by a byte that is written when it comes.
COUNTS = """\
import os, signal, time
signal.signal(signal.SIGTERM, lambda *_: None)
child = os.fork()
came, write = os.pipe()
os.set_blocking(write, False)
signal.set_wakeup_fd(write)
print("set", flush=True)
count = len(os.read(came, 1))
time.sleep(0.5)
os.write(write, b"!")
print("got", count + len(os.read(came, 100)) - 1, flush=True)
if child:
    os.waitpid(child, 0)
    os._exit(3)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_the_signal_of_a_stop_comes_once_to_the_program_and_to_its_child(request, host, kind):
    """sudo hands signals on; whoever got it with the group must not get it again."""
    stand = request.getfixturevalue(kind.partition(",")[0])
    stand.start()
    program = a_process(host.python, "-c", COUNTS, sudo_user=host.job)
    sudo = ("/no/such/sudo",) if "without" in kind else ()
    runs = [f"r{n}" for n in range(5)]
    for run_id in runs:
        stand.run(run_id, program, sudo_argv=sudo)
    for run_id in runs:
        stand.started(run_id)
        out = stand.spool / "runs" / f"{run_id}.1" / "out"
        until(lambda out=out: out.exists() and out.read_text().count("set") == 2, "both of them")
        stand.send(StopProcess(epoch=1, run_id=run_id, attempt=1))
    for run_id in runs:
        ended = stand.ended(run_id)
        assert (ended.status, ended.stop_signals) == (3, ["SIGTERM"])
        assert output_of(ended).split() == ["set", "set", "got", "1", "got", "1"]


def test_a_single_signal_goes_to_the_program_of_another_user(rootless, host):
    rootless.start()
    command = "trap 'echo got; exit 3' USR1; echo set; while :; do sleep 0.05; done"
    rootless.run("r1", a_shell(command, sudo_user=host.job))
    rootless.started("r1")
    rootless.wait(OutputChunk)
    rootless.take("r1", 4)
    number = int(signal.SIGUSR1)
    rootless.send(SignalProcess(epoch=1, run_id="r1", attempt=1, signal=number, command_id="c"))
    ended = rootless.ended("r1")
    assert (ended.status, ended.stop_signals, output_of(ended)) == (3, [], "set\ngot\n")


def test_another_users_run_is_timed_out_and_stopped_also_after_its_agentd_and_keeper_died(
    rootless, host
):
    rootless.start()
    rootless.run("r1", a_process("sleep", "600", sudo_user=host.job, timeout_us=1_500_000))
    rootless.run("r2", a_process("sleep", "600", sudo_user=host.job))
    for run_id in ("r1", "r2"):
        rootless.started(run_id)
    rootless.kill()
    rootless.start()
    ended = rootless.ended("r1")
    assert (ended.status, ended.timed_out) == (-15, True)
    for pid in rootless.keepers():
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(rootless.keepers()) == 2, "new keepers")
    rootless.send(StopProcess(epoch=1, run_id="r2", attempt=1))
    assert isinstance(rootless.ended("r2"), ProcessLost)


def test_a_stop_that_sudo_does_not_let_happen_is_said_once_and_happens_when_it_does(rootless, host):
    rootless.start()
    rootless.run("r1", a_shell("echo $$; sleep 600", sudo_user=host.job))
    rootless.started("r1")
    pids_in_output(rootless, 1)
    host.rules.write()
    stop = StopProcess(epoch=1, run_id="r1", attempt=1)
    rootless.send(stop)
    noted = rootless.wait(ProcessNoted)
    assert noted.sentence.startswith(f"SIGTERM was not sent as {host.job}: sudo: ")
    assert noted.sentence.endswith(
        "sudo: a password is required: expected the rule of sudo that let the run start"
    )
    host.allow()
    rootless.send(StopProcess(epoch=1, run_id="r1", attempt=1, kill=True))
    assert rootless.ended("r1").status == -9


@pytest.mark.parametrize("kind", KINDS[:2])
def test_another_user_gives_results_back(request, host, kind):
    stand = request.getfixturevalue(kind)
    stand.start()
    command = 'echo "user=$(id -un)" >> "$CALLSHEET_RESULT"; dirname "$CALLSHEET_RESULT"'
    ended = stand.result("r1", a_shell(command, sudo_user=host.job))
    assert (ended.status, ended.results) == (0, {"user": host.job})
    # Whoever is not told the name cannot find it: the folder can be entered, not listed.
    folder = output_of(ended).strip()
    listed = stand.result("r2", a_shell(f"ls {folder}", sudo_user=host.job))
    assert listed.status != 0
