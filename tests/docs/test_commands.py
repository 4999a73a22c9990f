"""Every command line in the docs is one: its command exists, takes these options and as many
arguments."""

import re
import shlex
from pathlib import Path

import click
import pytest

from callsheet.agentd import options
from callsheet.cli import administrators, people

ROOT = Path(__file__).parents[2]
GROUPS = {"callsheet": people.group, "callsheetctl": administrators.group}
NAMES = {"callsheet", "callsheetctl", "callsheet-agentd"}
PROGRAMS = re.compile(r"(?:^|[ /(])(callsheet|callsheetctl|callsheet-agentd) ")
# What may stand before a command.
BEFORE = {"sudo", "-u", "callsheet", "exec", "$"}


def command_lines():
    """Return (page and line, words) of every command line in a block."""
    found = []
    pages = sorted(set((ROOT / "docs").glob("*.md")) - {ROOT / "docs" / "commands.md"})
    for page in (ROOT / "README.md", *pages):
        number, lines = 0, page.read_text(encoding="utf-8").splitlines()
        while number < len(lines):
            line, start = lines[number], number
            number += 1
            if not line.startswith("    "):
                continue
            while line.endswith("\\") and number < len(lines):
                line = line[:-1] + lines[number].strip()
                number += 1
            found += [
                pytest.param(words, id=f"{page.stem}:{start + 1}") for words in commands_in(line)
            ]
    return found


def commands_in(line):
    """Return the words of each command of ours in a line, without what the shell takes."""
    if not PROGRAMS.search(line):
        return []
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        tokens = list(lexer)
    except ValueError:
        return []  # Prose that is set as it comes from a command.
    found, words = [], []
    for token in [*tokens, ";"]:
        if set(token) <= set("|&;()"):
            found.append(words)
            words = []
        else:
            words.append(token)
    return [ours for words in found if (ours := ours_of(words))]


def ours_of(words):
    if "ALL=" in words:
        return []  # A rule of sudo, for a user called callsheet.
    names = [n for n, word in enumerate(words) if Path(word).name in NAMES]
    if not names or any("=" not in word and word not in BEFORE for word in words[: names[0]]):
        return []
    words = [Path(words[names[0]]).name, *words[names[0] + 1 :]]
    redirected = [n for n, word in enumerate(words) if set(word) <= set("<>")]
    return words[: redirected[0]] if redirected else words


def test_there_are_command_lines_to_look_at():
    programs = {param.values[0][0] for param in command_lines()}
    assert programs == {"callsheet", "callsheetctl", "callsheet-agentd"}
    assert len(command_lines()) > 80


@pytest.mark.parametrize("words", command_lines())
def test_a_command_line_of_the_docs_is_one(words):
    program, args = words[0], words[1:]
    if program == "callsheet-agentd":
        args = [word for word in args if word != "…"]
        args += [] if "--server" in args else ["--server", "ipc://a"]
        args += [] if "--spool" in args else ["--spool", "a"]
        options.parse(args)
        return
    context = GROUPS[program].make_context(program, list(args))
    command = context.command
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        name, command, rest = command.resolve_command(context, rest)
        assert command is not None, f"{name}: no such command"
        # `--help` and its like end it; whatever else is wrong raises.
        context = command.make_context(name, rest, parent=context)
