"""Each named place is one of callsheet's, and a process that is told to dies there."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from crash_points import ARMED, PLACES

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
    environ = os.environ | {ARMED: str(armed), "PYTHONPATH": str(CRASHING)}

    def run():
        return subprocess.run(
            [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=False
        )

    armed.write_text("agent after it has claimed")
    alive = run()
    assert (alive.returncode, alive.stdout) == (0, "claimed nothing\n"), alive.stderr
    armed.write_text("agent before it claims")
    dead = run()
    assert (dead.returncode, dead.stdout) == (-signal.SIGKILL, ""), dead.stderr
    assert not armed.exists()
    assert run().returncode == 0
