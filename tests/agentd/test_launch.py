"""How agentd launches programs: environment, stdin, limits, other users, and what goes wrong."""

from __future__ import annotations

import os
import pwd
import resource
import shutil
import subprocess
from pathlib import Path

import pytest
from agent_stand import AgentStand, a_process, a_shell, lives, until
from other_users import a_folder, missing

from callsheet.agentd.launch import failure_of
from callsheet.agentd.users import NotAllowed, User, becoming, user_of
from callsheet.jobs.programs import Launch, OutputSpec
from callsheet.messages.agents import (
    OutputChunk,
    OutputTaken,
    ProcessEnded,
    ProcessRefused,
    StopProcess,
)

pytestmark = pytest.mark.slow
NAME = "callsheettest"
AS_ROOT = os.geteuid() == 0


@pytest.fixture
def stand(tmp_path):
    stand = AgentStand(tmp_path)
    yield stand
    stand.close()


@pytest.fixture(scope="module")
def other():
    """A system user that is made for these tests, and removed after them."""
    if not AS_ROOT or shutil.which("useradd") is None:
        pytest.skip("another user needs root and useradd")
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/var/tmp"]
    made = subprocess.run([*command, "--shell", "/bin/sh", NAME], capture_output=True, check=False)
    # 9: it is there from a run of the tests that was cut off.
    if made.returncode not in (0, 9):
        if os.environ.get("CI") == "true":
            pytest.fail(f"useradd: {made.stderr.decode()}")
        pytest.skip("no user can be made here")
    yield pwd.getpwnam(NAME)
    subprocess.run(["userdel", NAME], capture_output=True, check=False)


@pytest.fixture
def everywhere():
    """A folder that other users may enter."""
    with a_folder() as folder:
        yield folder


@pytest.fixture
def allowing(stand, other, tmp_path):
    """A stand of whose list the user is."""
    path = tmp_path / "allowed"
    path.write_text(f"# who jobs may be\n{other.pw_name}  # for tests\n")
    path.chmod(0o644)
    stand.options = ["--sudo-allow", str(path)]
    return stand


def output_of(ended):
    assert isinstance(ended, ProcessEnded), ended
    return "" if ended.spool_path is None else Path(ended.spool_path).read_text()


# --- environment, stdin, limits -----------------------------------------------------------------


def test_a_clean_environment_has_nothing_of_the_agents(stand):
    stand.start(FROM_THE_AGENT="1", **{"-odd name": "2"})
    program = a_process("/usr/bin/env", env={"MINE": "a b"}, launch=Launch(env_mode="clean"))
    ended = stand.result("r1", program)
    found = dict(line.split("=", 1) for line in output_of(ended).splitlines())
    me = pwd.getpwuid(os.geteuid())
    assert found.pop("CALLSHEET_CLAIM")
    assert found.pop("CALLSHEET_RESULT") == str(stand.spool / "runs" / "r1.1" / "result")
    assert found.pop("PWD", "")
    assert found == {
        "HOME": me.pw_dir,
        "USER": me.pw_name,
        "LOGNAME": me.pw_name,
        "SHELL": me.pw_shell,
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "MINE": "a b",
        "APSIS_RUN_ID": "r1",
        "CALLSHEET_RUN_ID": "r1",
        "CALLSHEET_ATTEMPT": "1",
    }


def test_a_login_environment_is_that_of_the_profile(stand, tmp_path):
    (tmp_path / ".profile").write_text("export OF_PROFILE=yes\n")
    stand.start(FROM_THE_AGENT="1")
    program = a_shell(
        'echo "$OF_PROFILE/$FROM_THE_AGENT/$0"',
        env={"HOME": str(tmp_path)},
        launch=Launch(env_mode="login"),
    )
    assert output_of(stand.result("r1", program)) == "yes//" + "/bin/sh\n"


def test_stdin_is_a_text_or_a_file(stand, tmp_path):
    stand.start()
    text = "first line\nünd more" * 9_000
    ended = stand.result("r1", a_process("/bin/cat", launch=Launch(stdin=text)))
    assert output_of(ended) == text
    (tmp_path / "input").write_text("from a file")
    program = a_process("cat", launch=Launch(stdin_file="input"), cwd=str(tmp_path))
    assert output_of(stand.result("r2", program)) == "from a file"
    stand.forget("r1")
    # The directory of r1 is used again, and nothing of it is left.
    assert output_of(stand.result("r3", a_process("/bin/cat"))) == ""


def test_limits_and_niceness_are_those_of_the_job(stand):
    stand.start()
    limits = {"nofile": 100, "core": 0, "cpu": 60, "fsize": 1_234_567, "as": 4 * 10**9}
    program = a_shell(
        "ulimit -n -S; ulimit -n -H; ulimit -c; ulimit -t; nice; cat /proc/self/limits",
        launch=Launch(ulimits=limits, nice=7),
    )
    words = output_of(stand.result("r1", program)).splitlines()
    assert words[:5] == ["100", "100", "0", "60", "7"]
    by_name = {line[:25].strip(): line[25:].split()[:2] for line in words[5:]}
    assert by_name["Max file size"] == ["1234567", "1234567"]
    assert by_name["Max address space"] == ["4000000000", "4000000000"]


def test_without_these_keys_a_process_is_executed_directly(stand):
    stand.start()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    program = a_shell("ulimit -S -n; ulimit -H -n; nice")
    text = output_of(stand.result("r1", program))
    shown = ["unlimited" if n == resource.RLIM_INFINITY else str(n) for n in (soft, hard)]
    assert text.split() == [*shown, str(os.nice(0))]


# --- by whatever launchers ----------------------------------------------------------------------


# What takes the way of a program through each of the launchers.
WAYS = {
    "directly": {},
    "a folder": {"cwd": "/"},
    "clean": {"launch": Launch(env_mode="clean")},
    "login": {"launch": Launch(env_mode="login")},
    "sudo, or setpriv": {"sudo_user": NAME},
    "setpriv": {"sudo_user": NAME, "sudo_argv": ("/no/such/sudo",)},
    "setpriv, login": {"sudo_user": NAME, "launch": Launch(env_mode="login")},
}


@pytest.fixture(params=WAYS)
def way(request, stand):
    """What a program is given to go one way, with a stand that allows it."""
    if "sudo_user" in WAYS[request.param]:
        request.getfixturevalue("allowing")
    return WAYS[request.param]


def fields_of(way):
    """Return what of a way is the program's, and what is the command's."""
    command = {"sudo_argv": way["sudo_argv"]} if "sudo_argv" in way else {}
    return {name: value for name, value in way.items() if name != "sudo_argv"}, command


HOSTILE = (
    "; id", "$(id)", "`id`", "${HOME}", "-oProxyCommand=id", "--", "-u root", "a\nb", "\n", "'",
    '"', "'\"'\"'", "\\", "\\n", "*", "~", "!!", "&", "| id", "> /x", "", " ", "\t", "ü", "%s", "#",
    "\x7f",
)  # fmt: skip


def test_arguments_reach_a_program_as_they_are(stand, way):
    stand.start()
    fields, command = fields_of(way)
    argv = ("/usr/bin/printf", "%s\\0", *HOSTILE)
    ended = stand.result("r1", a_process(*argv, env={"X": "$(id)"}, **fields), **command)
    assert output_of(ended).split("\0")[:-1] == list(HOSTILE)


def test_nothing_of_agentds_own_leaks_into_a_program(stand, way):
    """Variables and descriptors; the shell opens 3 for the listing."""
    with open("/etc/passwd", "rb") as secret:
        stand.inherited = (secret.fileno(),)
        stand.start(CALLSHEET_SECRET="1", OF_THE_AGENT="1")
    fields, command = fields_of(way)
    program = a_shell("ls -l /proc/self/fd; echo; env", **fields)
    listed, _, text = output_of(stand.result("r1", program, **command)).partition("\n\n")
    opened = [line.split()[-3:] for line in listed.splitlines()[1:]]
    assert [words[0] for words in opened] == ["0", "1", "2", "3"]
    assert opened[3][2].startswith("/proc/")
    assert {words[2] for words in opened[1:3]} == {str(stand.spool / "runs" / "r1.1" / "out")}
    found = dict(line.split("=", 1) for line in text.splitlines())
    ours = {name for name in found if name.startswith("CALLSHEET_")}
    names = ("RUN_ID", "ATTEMPT", "CLAIM", "RESULT")
    assert ours == {f"CALLSHEET_{name}" for name in names}
    is_clean = "launch" in fields
    assert ("OF_THE_AGENT" in found) is not is_clean


# --- what goes wrong ----------------------------------------------------------------------------


BAD = [
    ({"argv": ("{}/none",)}, "none: cannot be executed: No such file or directory"),
    ({"argv": ("no-such-program",)}, "no-such-program: cannot be executed: No such file"),
    ({"argv": ("{}/plain",)}, "plain: cannot be executed: Permission denied"),
    ({"argv": ("{}",)}, "cannot be executed: Permission denied"),
    ({"argv": ("{}/binary",)}, "binary: cannot be executed: Exec format error"),
    ({"argv": ("{}/orphan",)}, "orphan: cannot be executed: No such file or directory"),
    ({"cwd": "{}/none"}, "none: cannot be made the working folder: No such file or directory"),
    ({"cwd": "{}/plain"}, "plain: cannot be made the working folder: Not a directory"),
    ({"launch": Launch(stdin_file="/none")}, "/none: cannot be read as stdin: No such file"),
    ({"launch": Launch(ulimits={"nofile": 2**62})}, "ulimits: prlimit: failed to set the NOFILE"),
]


@pytest.mark.parametrize("user", ["nobody else", "another user"])
def test_what_keeps_a_program_from_its_start_is_an_error_with_its_reason(
    stand, request, everywhere, user
):
    if user == "another user":
        request.getfixturevalue("allowing")
    folder = everywhere
    (folder / "plain").write_text("x")
    (folder / "binary").write_bytes(b"\x00\x01")
    (folder / "orphan").write_text("#!/no/such/interpreter\n")
    for name in ("binary", "orphan"):
        (folder / name).chmod(0o755)
    stand.start()
    for number, (fields, said) in enumerate(BAD):
        filled = {"argv": ("/bin/true",), "cwd": "/"} | fields
        filled["argv"] = tuple(word.format(folder) for word in filled["argv"])
        filled["cwd"] = filled["cwd"].format(folder)
        if user == "another user":
            filled["sudo_user"] = NAME
        ended = stand.result(f"r{number}", a_process(*filled.pop("argv"), **filled))
        assert isinstance(ended, ProcessEnded)
        assert said in ended.error
        assert output_of(ended) == "" or "exec: " in output_of(ended)


@pytest.mark.parametrize("cwd", [None, "/"])
def test_a_program_may_end_with_the_statuses_of_shells_that_fail(stand, cwd):
    stand.start()
    for status in (1, 126, 127):
        ended = stand.result(f"r{status}", a_shell(f"exit {status}", cwd=cwd))
        assert (ended.status, ended.error) == (status, "")


def test_a_file_on_a_file_system_without_execution_is_an_error(stand, tmp_path):
    """Agentd gets a mount namespace of its own, in which a folder of ours is such a file system."""
    if not AS_ROOT:
        pytest.skip("a file system can be mounted by root only")
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        missing("no mount namespace can be made here")
    folder = tmp_path / "noexec"
    folder.mkdir()
    mount = (
        'mount -t tmpfs -o noexec,mode=755 none "$0" && cp "$1" "$0/program" && shift && exec "$@"'
    )
    stand.prefix = ["unshare", "--mount", "sh", "-c", mount, str(folder), "/bin/true"]
    stand.start()
    program = str(folder / "program")
    for run_id, cwd in (("r1", None), ("r2", "/")):
        ended = stand.result(run_id, a_process(program, cwd=cwd))
        assert program in ended.error
        assert "Permission denied" in ended.error
    assert not (folder / "program").exists()


# --- other users --------------------------------------------------------------------------------


def test_a_job_runs_as_an_allowed_user_with_that_users_environment(allowing, other):
    allowing.start(HOME="/elsewhere", FROM_THE_AGENT="1")
    command = (
        'whoami; id -u; id -G; echo "$HOME $USER $LOGNAME $SHELL $PATH"; umask;'
        ' pwd; cat; echo "$APSIS_RUN_ID $MINE $FROM_THE_AGENT"; ls /proc/self/fd | wc -l'
    )
    program = a_shell(
        command,
        sudo_user=NAME,
        umask=0o027,
        cwd="/usr",
        env={"MINE": "x y"},
        launch=Launch(stdin="to be read\n"),
    )
    lines = output_of(allowing.result("r1", program)).splitlines()
    assert lines == [
        NAME,
        str(other.pw_uid),
        str(other.pw_gid),
        f"/var/tmp {NAME} {NAME} /bin/sh /usr/local/bin:/usr/bin:/bin",
        "0027",
        "/usr",
        "to be read",
        "r1 x y 1",
        "4",
    ]


def test_exit_codes_and_signals_of_another_users_program_are_its_own(allowing):
    allowing.start()
    ways = (("exit 0", 0), ("exit 1", 1), ("exit 127", 127), ("kill -9 $$", -9))
    for n, (command, status) in enumerate(ways):
        ended = allowing.result(f"r{n}", a_shell(command, sudo_user=NAME))
        assert (ended.status, ended.error) == (status, "")


def test_a_stop_reaches_the_whole_tree_of_another_user(allowing, tmp_path):
    allowing.start()
    command = "trap '' TERM; setsid sleep 600 & echo $!; sleep 600 & echo $!; wait; sleep 600"
    allowing.run("r1", a_shell(command, sudo_user=NAME, grace_us=200_000))
    allowing.started("r1")
    out = tmp_path / "spool" / "runs" / "r1.1" / "out"
    until(lambda: out.exists() and len(out.read_text().split()) == 2, "the children")
    pids = [int(word) for word in out.read_text().split()]
    assert all(lives(pid) for pid in pids)
    allowing.send(StopProcess(epoch=allowing.epoch, run_id="r1", attempt=1))
    assert allowing.ended("r1").status == -9
    until(lambda: not any(lives(pid) for pid in pids), "the end of the tree")


def test_a_user_that_is_not_allowed_is_refused_for_good_with_a_sentence(stand, other):
    stand.start()
    refused = stand.result("r1", a_process("/bin/true", sudo_user=other.pw_name))
    assert isinstance(refused, ProcessRefused)
    assert not refused.retry
    assert refused.sentence == (
        f"sudo_user '{NAME}': this agent's host does not allow it: see the option --sudo-allow"
    )


def test_the_agents_own_user_needs_no_list(stand):
    stand.start()
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert output_of(stand.result("r1", a_process("whoami", sudo_user=me))) == f"{me}\n"


@pytest.mark.parametrize("user", ["0", "#0", "-u root", "--user=root", "", "a b", "root\n", "../x"])
def test_what_is_no_name_is_no_user(user, tmp_path):
    (tmp_path / "allowed").write_text(f"{user}\n0\n")
    with pytest.raises(NotAllowed, match="expected the name of a user, not an option or a number"):
        user_of(user, str(tmp_path / "allowed"))


def test_an_unknown_user_is_told_as_such(tmp_path):
    (tmp_path / "allowed").write_text("no-such-user\n")
    with pytest.raises(NotAllowed, match="there is no such user on this host"):
        user_of("no-such-user", str(tmp_path / "allowed"))


def test_a_list_that_others_may_write_or_that_is_missing_allows_nobody(tmp_path):
    name = "daemon" if os.geteuid() != pwd.getpwnam("daemon").pw_uid else "bin"
    path = tmp_path / "allowed"
    with pytest.raises(NotAllowed, match="cannot be read: No such file or directory"):
        user_of(name, str(path))
    path.write_text(f"{name}\n")
    path.chmod(0o664)
    with pytest.raises(NotAllowed, match="may be written by others"):
        user_of(name, str(path))
    path.chmod(0o644)
    user = user_of(name, str(path))
    assert user is not None
    assert user.name == name


def test_where_root_gives_a_list_it_runs_no_job_itself_unless_it_is_listed(allowing, tmp_path):
    allowing.start()
    said = f"this agent is root, and {tmp_path}/allowed does not allow root"
    for run_id, user, named in (("r1", None, "no sudo_user"), ("r2", "root", "sudo_user 'root'")):
        refused = allowing.result(run_id, a_process("id", "-u", sudo_user=user))
        assert isinstance(refused, ProcessRefused)
        assert (refused.sentence, refused.retry) == (f"{named}: {said}", False)
    (tmp_path / "allowed").write_text("root\n")
    for run_id, user in (("r3", None), ("r4", "root")):
        assert output_of(allowing.result(run_id, a_process("id", "-u", sudo_user=user))) == "0\n"


def test_sudo_is_called_as_the_settings_say_and_keeps_what_a_run_needs(tmp_path):
    sudo = tmp_path / "sudo"
    sudo.touch(0o755)
    user = User("jim", 4_242, 4_242, "/srv/jim", "/bin/sh", is_self=False)
    tail = ("--non-interactive", "--user", "jim", "--")
    for argv in ((str(sudo), "--preserve-env", "--set-home"), (str(sudo), "-EH")):
        assert becoming(user, argv) == (*argv, *tail)
    found = becoming(user, (str(sudo), "--set-home"))
    assert found == (str(sudo), "--set-home", "--preserve-env=CALLSHEET_ENV,CALLSHEET_CLAIM", *tail)


def test_what_sudo_says_counts_only_while_the_program_was_not_started(tmp_path):
    for text, said in (
        ("sudo: a password is required\n", "sudo: a password is required"),
        ("sudo: cannot resolve\ncallsheet: started\n", ""),
        ("sudo: cannot resolve\ncallsheet: started\nsudo: pam: x\n", ""),
        ("callsheet: started\ncallsheet: /x: cannot be executed: y\n", "/x: cannot be executed: y"),
        ("", ""),
    ):
        (tmp_path / "failed").write_text(text)
        assert failure_of(str(tmp_path)) == said


# --- stdout and stderr of another user ------------------------------------------------------------


def taken_output(stand, run_id):
    """Take all outputs of a run as a server does; return its output, and its end."""
    got = {}
    while True:
        message = stand.wait((OutputChunk, ProcessEnded), lambda m: m.run_id == run_id)
        if isinstance(message, ProcessEnded):
            return got, message
        there = got.get(message.name, b"")[: message.offset]
        got[message.name] = there + message.data
        upto = len(got[message.name])
        stand.send(OutputTaken(epoch=1, run_id=run_id, attempt=1, name=message.name, upto=upto))


def test_streams_of_another_user_are_told_apart_without_what_launchers_say(allowing):
    allowing.start()
    split = OutputSpec(streams="split")
    command = "echo $USER; sleep 0.2; echo a warning >&2"
    allowing.run("r1", a_shell(command, sudo_user=NAME, output=split))
    got, ended = taken_output(allowing, "r1")
    assert got["output"] == f"{NAME}\na warning\n".encode()
    assert ended.stream_bytes == {"stdout": len(NAME) + 1, "stderr": 10}
    allowing.run("r2", a_shell("true", sudo_user=NAME, output=split, cwd="/not/there"))
    _, ended = taken_output(allowing, "r2")
    assert ended.error == "/not/there: cannot be made the working folder: No such file or directory"
