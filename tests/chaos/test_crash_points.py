"""Each named place is one of callsheet's, and a process that is told to dies there."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from crash_points import ARMED, PLACES
from keepers import stands
from live_server import until

CRASHING = Path(__file__).with_name("crashing")


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_place_is_there(place):
    found = importlib.import_module(place.module)
    for name in place.method.split("."):
        found = getattr(found, name)
    assert callable(found)
    assert place.when in {"before", "after"}


def test_who_passes_the_place_that_is_written_dies_there_and_others_do_not(tmp_path):
    script = """\
from callsheet.store.changes import ChangeRows
from callsheet.agentd.spool import Spool
try:
    Spool.claim(object(), None, None)
except AttributeError:
    print("claimed nothing", flush=True)
"""
    armed = tmp_path / "crash"
    armed.mkdir()
    environ = os.environ | {ARMED: str(armed), "PYTHONPATH": str(CRASHING)}

    def run():
        return subprocess.run(
            [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=False
        )

    (armed / "agent after it has claimed").touch()
    alive = run()
    assert (alive.returncode, alive.stdout) == (0, "claimed nothing\n"), alive.stderr
    (armed / "agent before it claims").touch()
    dead = run()
    assert (dead.returncode, dead.stdout) == (-signal.SIGKILL, ""), dead.stderr
    left = sorted(file.name for file in armed.iterdir())
    assert left[0] == "agent after it has claimed"
    assert re.fullmatch(r"agent before it claims\.\d+", left[1])
    assert run().returncode == 0


def test_a_keeper_that_is_to_die_stands_still_first(tmp_path):
    runs, keepers, armed = tmp_path / "state/spool/runs", tmp_path / "keepers", tmp_path / "crash"
    for folder in (runs, keepers, armed):
        folder.mkdir(parents=True)
    (armed / "keeper after it has told").touch()
    command = [sys.executable, "-I", "-S", CRASHING / "start_keeper.py", runs, keepers, "2-0"]
    subprocess.run(command, check=True)
    pid = int((keepers / "2-0.lock").read_text().split(".")[1])
    try:
        until(lambda: stands(pid), "the keeper to stand still")
        assert [file.name for file in armed.iterdir()] == [f"keeper after it has told.{pid}"]
    finally:
        os.kill(pid, signal.SIGKILL)


def test_who_dies_again_and_again_is_started_again_at_once_under_chaos_alone(tmp_path):
    script = "from callsheet.actors import supervisor as s; print(max(s.BACKOFF_S + s.STILLBORN_S))"

    def longest(**more):
        command = [sys.executable, "-c", script]
        return float(subprocess.check_output(command, env=os.environ | more, text=True))

    assert longest() == 30.0
    assert longest(**{ARMED: str(tmp_path), "PYTHONPATH": str(CRASHING)}) < 1.0
