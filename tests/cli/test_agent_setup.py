"""What is sent to other hosts to set an agent up: the wheel, the unit for systemd, the outcomes."""

from __future__ import annotations

import ast
import configparser
import io
import shutil
import subprocess
import sys
import zipfile

import pytest

from callsheet.agentd.cgroups import LEAF
from callsheet.agentd.options import UNUSABLE
from callsheet.cli import agent_scripts, agent_wheel
from callsheet.cli.agent_board import on_hosts, print_found
from callsheet.cli.agent_steps import Found, HostFailed

# What the package of an agent names, as it is imported.
IMPORTED = {"msgspec", "zmq", "cronsim", "backports"}


def wheel():
    name, content = agent_wheel.agent_wheel()
    return name, content, zipfile.ZipFile(io.BytesIO(content))


def test_a_wheel_of_the_agent_is_the_same_for_the_same_content():
    name, content, archive = wheel()
    assert (name, content) == agent_wheel.agent_wheel()
    assert archive.testzip() is None
    rooms = {path.split("/")[1] for path in archive.namelist() if path.count("/") > 1}
    assert rooms == {"jobs", "messages", "wire", "agentd"}


def test_a_wheel_of_the_agent_needs_no_library_that_it_does_not_name():
    _, _, archive = wheel()
    for path in archive.namelist():
        if not path.endswith(".py"):
            continue
        for node in ast.parse(archive.read(path)).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                top = name.split(".")[0]
                # Templates are the server's; agentd imports no module that renders them.
                is_known = top in {*IMPORTED, *sys.stdlib_module_names} or top == "jinja2"
                assert is_known, f"{path}: {name}"


def test_a_callsheet_that_names_no_libraries_makes_no_wheel(monkeypatch):
    monkeypatch.setattr(agent_wheel, "requires", lambda _: ["tornado"])
    with pytest.raises(agent_wheel.NoWheel, match="expected --wheel or --command"):
        agent_wheel.agent_wheel()


def test_the_unit_ends_agentd_alone_and_gives_it_its_groups(tmp_path):
    text = agent_scripts.UNIT.format(folder="/srv/agent", run="/bin/true")
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str
    parser.read_string(text)
    service = parser["Service"]
    assert (service["KillMode"], service["Delegate"]) == ("process", "yes")
    assert service["DelegateSubgroup"] == LEAF
    assert service["RestartPreventExitStatus"] == str(UNUSABLE)
    if shutil.which("systemd-analyze"):
        path = tmp_path / "callsheet-agentd.service"
        path.write_text(text)
        done = subprocess.run(
            ["systemd-analyze", "verify", "--user", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        ours = [line for line in done.stderr.splitlines() if "callsheet-agentd" in line]
        # A systemd older than 254 does not know this one, and says that it goes on without.
        assert [line for line in ours if "DelegateSubgroup" not in line] == []


@pytest.mark.parametrize(
    "script",
    [name for name in dir(agent_scripts) if name.isupper() and name not in ("UNIT", "RUN")],
)
def test_a_script_is_one_that_a_plain_shell_understands(script):
    text = getattr(agent_scripts, script)
    done = subprocess.run(["/bin/sh", "-n", "-c", text], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_each_host_has_its_outcome_and_one_failure_is_a_status(capsys):
    def work(host, tell):
        tell("looking")
        if host == "b":
            raise HostFailed("pip install", "no space left")
        return Found(host=host, agent_id=host, group="g", installed=True, pid=7, by="systemd")

    found = on_hosts(["a", "b"], work, 2, quiet=False)
    with pytest.raises(SystemExit, match="1"):
        print_found(found, as_json=False)
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "a  agent a of group g, runs by systemd, pid 7",
        "b  failed: pip install: no space left",
    ]
    assert sorted(printed.err.splitlines()) == ["a: done", "a: looking", "b: failed", "b: looking"]
