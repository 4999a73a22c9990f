"""The systemd unit of agentd says what keeps jobs alive, and starts what there is."""

import configparser
import re
import shlex
from pathlib import Path

from callsheet.agentd import options
from callsheet.agentd.cgroups import LEAF
from callsheet.agentd.daemon import UNUSABLE

UNIT = Path(__file__).parents[2] / "packaging" / "systemd" / "callsheet-agentd.service"


def service():
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str
    parser.read_string(re.sub(r"\\\n\s*", "", UNIT.read_text()))
    return parser["Service"]


def test_a_restart_of_agentd_ends_none_of_its_jobs():
    assert (service()["KillMode"], service()["Delegate"]) == ("process", "yes")


def test_agentd_finds_the_groups_for_runs_with_limits_around_its_own():
    assert service()["DelegateSubgroup"] == LEAF


def test_it_is_started_again_unless_a_person_has_to_mend_something():
    assert service()["Restart"] == "on-failure"
    assert service()["RestartPreventExitStatus"] == str(UNUSABLE)


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
