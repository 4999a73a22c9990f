"""What the commands cost before they do anything: modules, which are what takes the time."""

import importlib
import subprocess
import sys

import click
import pytest

from callsheet.cli import administrators, people

# Each of these takes longer to import than a whole command should take.
HEAVY = {"tornado", "asyncio", "rich", "msgspec", "zmq", "pykka", "yaml", "jinja2", "http.client"}
PROBE = """
import sys
sys.argv = ["callsheet", *{args!r}]
from callsheet.cli.people import main
try:
    main()
except SystemExit:
    pass
print("\\n".join(sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("args", [("--help",), ("runs", "--help"), ("runs",), ("jobs",)])
def test_nothing_heavy_is_imported_to_look_at_runs(stand, args):
    found = subprocess.run(
        [sys.executable, "-c", PROBE.format(args=("--host", f"127.0.0.1:{stand.port}", *args))],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert set(found.stderr.split()) & HEAVY == set()
    assert found.stdout


@pytest.mark.parametrize("module", [people, administrators])
def test_every_command_of_the_table_exists_and_has_help(module):
    context = click.Context(module.group, info_name="x")
    for name in module.group.list_commands(context):
        command = module.group.get_command(context, name)
        assert isinstance(command, click.Command)
        assert command.get_short_help_str(), name


@pytest.mark.parametrize("module", [people, administrators])
def test_a_table_names_modules_relative_to_the_room(module):
    for place, _help in module.TABLE.values():
        name, _, attribute = place.partition(":")
        assert hasattr(importlib.import_module(f"callsheet.cli.{name}"), attribute)


def test_a_command_that_is_not_there_suggests_the_nearest(command):
    found = command("people", "schedle")
    assert found.status == 2
    assert "no such command: schedle. Did you mean schedule?" in found.err
