"""The first process of a server's container: what it starts, and when it makes a database."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from callsheet.cli import first
from callsheet.conf.settings import load_settings
from callsheet.jobs.errors import UserError

CONTAINER = Path(__file__).parents[2] / "packaging" / "container"


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "callsheet.yaml"
    state = tmp_path / "state"
    state.mkdir()
    path.write_text(f"state_dir: {state}\ndatabase: {{path: {state}/callsheet.db}}\n")
    return path


def test_the_container_starts_what_there_is_over_its_volume():
    server = (CONTAINER / "Containerfile").read_text().partition(" AS server\n")[2]
    entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", server, re.MULTILINE)[1])
    assert entry == ["python", "-m", first.__name__]
    volume = Path(re.search(r"^VOLUME (.*)$", server, re.MULTILINE)[1])
    settings = load_settings(CONTAINER / "callsheet.yaml")
    assert settings.unknown == ()
    assert settings.state_dir == volume
    assert settings.database.path.parent == volume
    assert f"callsheet.yaml {first.CONFIG}\n" in server


def test_the_settings_are_those_of_the_container_unless_it_is_told_others():
    assert first.arguments({}, ["--debug"]) == ["--config", first.CONFIG, "--debug"]
    assert first.arguments({"CALLSHEET_CONFIG": "/c.yaml"}, []) == ["--config", "/c.yaml"]


@pytest.mark.slow
def test_the_first_start_makes_the_database_and_no_later_one_does(config, tmp_path):
    state = tmp_path / "state"
    (state / "lost+found").mkdir()
    first.prepare(config)
    database = state / "callsheet.db"
    made = database.stat().st_ino
    first.prepare(config)
    assert database.stat().st_ino == made
    (state / first.OUTPUTS).mkdir()  # a server has been here
    database.unlink()
    first.prepare(config)
    assert not database.exists()


def test_settings_that_do_not_hold_are_told(config):
    config.write_text("bind: 7\n")
    with pytest.raises(UserError, match="bind"):
        first.prepare(config)


@pytest.mark.slow
def test_one_that_is_killed_comes_again_and_one_that_ends_ends_the_container(tmp_path):
    mark = tmp_path / "been"
    program = (
        "import os, pathlib, sys\n"
        f"mark = pathlib.Path({str(mark)!r})\n"
        "if mark.exists(): sys.exit(3)\n"
        "mark.touch()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    # In a process of its own: a first process buries all children, whoever waits for them.
    kept = (
        "import sys\n"
        "from callsheet.agentd.first import keep\n"
        f"sys.exit(keep([sys.executable, '-c', {program!r}], is_over=lambda how: how >= 0))\n"
    )
    done = subprocess.run([sys.executable, "-c", kept], timeout=60, check=False)
    assert done.returncode == 3
