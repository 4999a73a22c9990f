"""What tests start as forks of a warm process is what would have been executed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from live_server import PATIENCE_S, until
from warm import Source, Warm, popen, run

pytestmark = pytest.mark.slow

PEOPLE = [sys.executable, "-m", "callsheet.cli.people"]
AGENTD = [sys.executable, "-m", "callsheet.agentd.daemon", "--agent-id", "one"]
# By their numbers in proc(5), after the bracket: parents aside, whose a process is.
GROUP, SESSION = 2, 3


@pytest.mark.parametrize("words", [["--version"], ["no-such"], ["run", "r1"]])
def test_a_command_ends_and_prints_as_one_that_is_executed(words):
    environ = os.environ | {"CALLSHEET_HOST": "127.0.0.1:1"}
    command = [*PEOPLE, *words]
    cold = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    warm = run(command, timeout=PATIENCE_S, env=environ)
    assert (warm.returncode, warm.stdout) == (cold.returncode, cold.stdout)
    assert warm.stderr == cold.stderr


def facts(start, folder):
    """Start an agentd in a folder, and return what the system says of it."""
    folder.mkdir()
    (folder / "work").mkdir()
    command = [*AGENTD, "--server", f"ipc://{folder}/agents", "--spool", f"{folder}/spool"]
    with (folder / "log").open("wb") as log:
        process = start(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                        cwd=folder / "work")  # fmt: skip
    try:
        until((folder / "spool" / "id").exists, "agentd to have its spool", PATIENCE_S)
        told = Path(f"/proc/{process.pid}")
        until(lambda: (told / "comm").read_text() == "cs-agentd\n", "its name", PATIENCE_S)
        stat = (told / "stat").read_text().rpartition(")")[2].split()
        status = dict(line.split(":\t", 1) for line in (told / "status").read_text().splitlines())
        return process, {
            "arguments": (told / "cmdline").read_bytes().rstrip(b"\0").split(b"\0"),
            "program": (told / "exe").readlink(),
            "folder": (told / "cwd").readlink(),
            "files": [(told / "fd" / str(number)).readlink() for number in range(3)],
            "group": stat[GROUP],
            "session": stat[SESSION],
            "rights": [status[name] for name in ("Uid", "Gid", "Groups", "CapEff", "Umask")],
        }
    except BaseException:
        process.kill()
        raise


def test_a_process_is_to_the_system_what_one_is_that_was_executed(tmp_path):
    warm, said = facts(popen, tmp_path / "warm")
    cold, expected = facts(subprocess.Popen, tmp_path / "cold")
    assert isinstance(warm, Warm)
    for process in (warm, cold):
        assert process.poll() is None
        process.kill()
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
    said = {name: str(one).replace("/warm", "/cold") for name, one in said.items()}
    assert said == {name: str(one) for name, one in expected.items()}


def test_a_process_is_there_until_it_is_asked_how_it_ended(tmp_path):
    process = popen([*PEOPLE, "--version"], stdout=subprocess.DEVNULL)
    assert isinstance(process, Warm)
    stat = Path(f"/proc/{process.pid}/stat")
    until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z", "its end", PATIENCE_S)
    assert process.poll() == 0
    assert not stat.exists()
    process.kill()  # whom it does not reach any more, whoever has the pid now


@pytest.mark.parametrize(
    ("name", "warm"), [("CALLSHEET_HOST", True), ("PYTHONPATH", False), ("TZ", False)]
)
def test_what_an_interpreter_reads_first_is_read_by_one(name, warm):
    environ = os.environ | {name: "elsewhere"}
    with popen([*PEOPLE, "--version"], env=environ, stdout=subprocess.DEVNULL) as process:
        assert isinstance(process, Warm) == warm
    assert process.returncode == 0


def test_what_is_started_by_a_thread_with_other_rights_is_executed():
    mask = os.umask(0o077)
    try:
        with popen([*PEOPLE, "--version"], stdout=subprocess.DEVNULL) as process:
            assert not isinstance(process, Warm)
    finally:
        os.umask(mask)


def test_the_death_of_what_is_forked_from_is_told():
    source = Source(())
    source._process.kill()
    with pytest.raises(OSError, match="forked from has ended with -9"):
        source.ask({"ended": 1})
    source.close()
