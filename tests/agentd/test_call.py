"""Programs of type `python`: functions called in a process of their own, by a real agentd."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from agent_stand import AgentStand

from callsheet.agentd import call
from callsheet.jobs.binding import new_run
from callsheet.jobs.parse import job_from_data
from callsheet.messages.agents import ProcessEnded, StopProcess

MODULE = """
import asyncio, json, os, sys, time

def add(a, b=2, **more):
    print("adding", file=sys.stderr)
    return {"sum": a + b, **more}

def nothing(): print("nothing to return")
def fails(): raise KeyError("no such stock")
def leaves(): raise SystemExit(3)
async def later(x): await asyncio.sleep(0); return x
def where(): return [os.getcwd(), os.environ["MINE"], sys.argv, sys.path[0]]
def odd(): return {"path": os.path, "time": 1}
def fds(): return sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1]
def waits():
    print("up", flush=True)
    time.sleep(600)

class Shop:
    @staticmethod
    def open(name): return f"{name} is open"

number = 7
"""


@pytest.fixture
def stand(tmp_path):
    stand = AgentStand(tmp_path)
    yield stand
    stand.close()


@pytest.fixture
def code(tmp_path):
    """A folder with modules: one to call, and ones that cannot be imported."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "shop.py").write_text(MODULE)
    (folder / "broken.py").write_text("import nosuchlibrary\n")
    (folder / "raising.py").write_text("raise ValueError('not now')\n")
    folder.chmod(0o755)
    return folder


@pytest.fixture
def bound(code):
    """What a run is bound to, of a job that calls a function of the folder."""

    def make(function, args=(), **keys):
        program = {"type": "python", "call": function, "args": args, "path": str(code), **keys}
        run = new_run(job_from_data({"program": program}, "x"), "", "r1", {}, 0, lambda _: None, {})
        assert run.error is None, run.error
        return run.program

    return make


def results(stand, programs):
    for number, program in enumerate(programs, 1):
        stand.run(f"r{number}", program)
    return [stand.ended(f"r{number}") for number in range(1, len(programs) + 1)]


def output_of(ended):
    assert isinstance(ended, ProcessEnded), ended
    return "" if ended.spool_path is None else Path(ended.spool_path).read_text()


@pytest.mark.slow
def test_a_function_is_called_and_what_it_returns_is_printed(stand, bound, code):
    stand.start()
    found = results(
        stand,
        [
            bound("shop:add", [1]),
            bound("shop:add", {"a": 1, "b": 5, "note": "ä"}),
            bound("shop:nothing"),
            bound("shop:later", ["soon"]),
            bound("shop:Shop.open", ["corner"]),
            bound("shop:where", cwd="/usr", env={"MINE": "x"}),
            bound("shop:fds"),
            bound("json:dumps", [[1]], python=shutil.which("python3") or sys.executable),
        ],
    )
    assert [(ended.status, ended.error) for ended in found] == [(0, "")] * len(found)
    lines = [output_of(ended).splitlines() for ended in found]
    assert lines[0] == ["adding", '{"sum": 3}']
    assert lines[1] == ["adding", '{"sum": 6, "note": "ä"}']
    assert lines[2] == ["nothing to return"]
    assert lines[3:5] == [['"soon"'], ['"corner is open"']]
    assert json.loads(lines[5][0]) == ["/usr", "x", ["shop:where"], str(code)]
    assert lines[6:] == [["[0, 1, 2]"], ['"[1]"']]


@pytest.mark.slow
def test_what_a_function_raises_is_its_failure_and_what_cannot_be_called_an_error(stand, bound):
    stand.start()
    cases = {
        "nosuchmodule:f: cannot be imported: No module named": bound("nosuchmodule:f"),
        "broken:f: cannot be imported: No module named 'nosuchlibrary'": bound("broken:f"),
        "raising:f: importing raising fails: ValueError: not now": bound("raising:f"),
        "shop:nosuch: shop has no nosuch": bound("shop:nosuch"),
        "shop:number: number is no function but of type int": bound("shop:number"),
        "shop:add: does not take these arguments: missing a required": bound("shop:add", {"b": 1}),
        "/nosuchpython: No such file": bound("shop:nothing", python="/nosuchpython"),
    }
    failing = [bound("shop:fails"), bound("shop:leaves")]
    found = results(stand, [*failing, *cases.values()])
    assert [(ended.status, ended.error) for ended in found[:2]] == [(1, ""), (3, "")]
    assert "Traceback" in output_of(found[0])
    assert output_of(found[0]).endswith("KeyError: 'no such stock'\n")
    for sentence, ended in zip(cases, found[2:], strict=True):
        assert sentence in ended.error, ended


@pytest.mark.slow
def test_a_function_is_stopped_as_any_process(stand, bound):
    stand.start()
    stand.run("r1", bound("shop:waits"))
    stand.started("r1")
    stand.send(StopProcess(epoch=1, run_id="r1", attempt=1))
    assert stand.ended("r1").status == -15


def pythons_of(user):
    """Yield the interpreters that a user may run on our file."""
    for python in (sys.executable, "/usr/bin/python3"):
        words = [python, call.__file__, "/dev/null", "json:dumps", "[1]"]
        command = ["runuser", "-u", user, "--", *words]
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            yield python


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_function_may_be_called_as_another_user_who_is_told_the_same(stand, tmp_path, bound):
    python = next(pythons_of("nobody"), None)
    if python is None:
        pytest.skip("nobody may not read this checkout, or has no Python")
    allowed = tmp_path / "allowed"
    allowed.write_text("nobody\n")
    allowed.chmod(0o644)
    stand.options = ["--sudo-allow", str(allowed)]
    stand.start()
    mine = {"sudo_user": "nobody", "path": "/usr/lib", "python": python}
    found = results(
        stand,
        [
            bound("getpass:getuser", **mine),
            bound("getpass:nosuch", **mine),
            bound("getpass:getuser", [1], **mine),
        ],
    )
    assert (found[0].status, output_of(found[0])) == (0, '"nobody"\n')
    assert found[1].error == "getpass:nosuch: getpass has no nosuch"
    assert "getpass:getuser: does not take these arguments" in found[2].error


def test_it_runs_on_an_interpreter_that_has_nothing_of_ours(tmp_path):
    failed = tmp_path / "failed"
    command = [sys.executable, "-I", "-S", call.__file__, str(failed), "json:dumps", '{"obj": 1}']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr, failed.exists()) == (0, '"1"\n', "", False)
