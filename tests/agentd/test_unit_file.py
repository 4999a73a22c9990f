"""The systemd units say what keeps jobs alive, and start what there is."""

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from callsheet.agentd import options
from callsheet.agentd.cgroups import LEAF
from callsheet.agentd.options import UNUSABLE
from callsheet.cli.serve_command import serve_command

UNITS = Path(__file__).parents[2] / "packaging" / "systemd"
SERVER, AGENT = "callsheet.service", "callsheet-agentd.service"


def service(unit=AGENT):
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str
    parser.read_string(re.sub(r"\\\n\s*", "", (UNITS / unit).read_text()))
    return parser["Service"]


@pytest.mark.parametrize("unit", [SERVER, AGENT])
def test_a_restart_ends_none_of_the_jobs(unit):
    assert (service(unit)["KillMode"], service(unit)["Delegate"]) == ("process", "yes")


@pytest.mark.parametrize("unit", [SERVER, AGENT])
def test_an_agent_finds_the_groups_for_runs_with_limits_around_its_own(unit):
    assert service(unit)["DelegateSubgroup"] == LEAF


@pytest.mark.parametrize("unit", [SERVER, AGENT])
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_systemd_has_nothing_to_say_against_it(unit):
    command = ["systemd-analyze", "verify", str(UNITS / unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if unit in line]
    # A systemd older than 254 does not know this one, and says that it goes on without.
    assert [line for line in ours if "DelegateSubgroup" not in line] == []


def test_a_server_that_is_killed_is_started_again_and_one_that_gives_up_is_not():
    assert service(SERVER)["Restart"] == "on-abnormal"
    assert service(SERVER)["ExecReload"] == "/bin/kill -HUP $MAINPID"


def test_the_options_of_the_server_exist():
    program, command, verb, *arguments = shlex.split(service(SERVER)["ExecStart"])
    assert (program, command, verb) == ("/usr/bin/env", "callsheetctl", "serve")
    assert serve_command.make_context("serve", arguments).params["config"] is not None


def test_it_is_started_again_unless_a_person_has_to_mend_something():
    assert service()["Restart"] == "on-failure"
    assert service()["RestartPreventExitStatus"] == str(UNUSABLE)
    for wrong in (["--spool", "/s"], ["--server", "ipc:///a", "--spool", "/s", "--slots", "x"]):
        with pytest.raises(SystemExit) as ended:
            options.parse(wrong)
        assert ended.value.code == UNUSABLE


def test_its_spool_is_its_own_and_its_options_exist():
    text = service()["ExecStart"]
    for name, value in (("STATE_DIRECTORY", "/s"), ("CALLSHEET_SERVER", "tcp://h:5901")):
        text = text.replace(f"${{{name}}}", value)
    program, command, *arguments = shlex.split(text)
    assert (program, command) == ("/usr/bin/env", "callsheet-agentd")
    found = options.parse(arguments)
    options.check(found)
    assert (found.server, found.spool) == ("tcp://h:5901", "/s")
    assert service()["StateDirectoryMode"] == "0700"
