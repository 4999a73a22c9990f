"""Crontab files: their lines as entries, and each entry as the data of a job. Pure.

Called by `callsheetctl import crontab`. What cannot be taken over is a refusal with its reason;
nothing is left out silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from .cron import read_cron
from .errors import UserError
from .templates import is_template
from .times import zone

FIELDS = 5
# What cron gives a command that its crontab does not set.
DEFAULT_SHELL = "/bin/sh"
BASH = ("/bin/bash", "/usr/bin/bash", "bash")
# Variables that are for cron itself, not for the command.
FOR_CRON = {"SHELL", "MAILTO", "MAILFROM", "CRON_TZ", "RANDOM_DELAY", "CONTENT_TYPE"}
FOR_CRON |= {"CONTENT_TRANSFER_ENCODING", "START_HOURS_RANGE", "LOGNAME", "USER"}
# Words before the one that says what a command is about.
WRAPPERS = {"cd", "env", "exec", "flock", "ionice", "nice", "nohup", "python", "python3", "bash"}
WRAPPERS |= {"sh"}
WRAPPERS |= {"setlock", "sudo", "test", "time", "timeout", "chronic", "perl", "php", "ruby", "node"}
# Those that take a word of their own first.
TAKE_A_WORD = {"flock", "setlock", "timeout"}
LONGEST_NAME = 40

_ASSIGNMENT = re.compile(r"""\s*(?:"([^"]+)"|'([^']+)'|([A-Za-z_]\w*))\s*=\s*(.*?)\s*\Z""")
_LOCAL_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
# A backslash takes the next character with it, so that the `%` of `\\%` ends the command.
_ESCAPED_OR_PERCENT = re.compile(r"\\.|%")
# A program given as a word, which names nothing.
_CODE = re.compile(
    r"""\b(?:python3?|perl|php|ruby|node)(?:\s+-\w+)*?\s+-[ceEr]\s+(?:'[^']*'|"[^"]*"|\S+)"""
)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line that makes runs. `stdin` is what follows its first `%`, None for nothing."""

    line: int
    text: str
    expression: str
    command: str
    stdin: str | None = None
    user: str | None = None
    tz: str
    shell: str = DEFAULT_SHELL
    env: dict[str, str] = {}
    about: str = ""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A line, or something of it, that is not taken over. `entry`: no job is made of the line."""

    line: int
    text: str
    reason: str
    entry: bool = True


def read_crontab(text: str, tz: str, *, system: bool = False) -> list[Entry | Refusal]:
    """Return the entries of a crontab and what of it cannot be taken over, in order.

    Args:
        text: the whole file.
        tz: the zone of times, until a line sets CRON_TZ.
        system: lines have a user before the command, as in /etc/crontab.
    """
    return list(_Reading(tz, system=system).lines(text))


def job_data(entry: Entry) -> dict[str, Any]:
    """Return the data of the job file that runs as an entry does."""
    program: dict[str, Any] = {"type": "procstar-shell", "command": _command(entry)}
    if entry.shell not in (DEFAULT_SHELL, *BASH):
        argv = [_literal(entry.shell), "-c", _command(entry)]
        program = {"type": "procstar", "argv": argv}
    if entry.env.get("HOME", "").startswith("/"):
        program["cwd"] = _literal(entry.env["HOME"])
    if entry.env:
        program["env"] = {name: _literal(value) for name, value in entry.env.items()}
    if entry.user is not None:
        program["sudo_user"] = _literal(entry.user)
    metadata: dict[str, Any] = {"labels": ["cron"]}
    if entry.about:
        metadata["description"] = entry.about
    schedule = {"type": "cron", "expression": entry.expression, "tz": entry.tz}
    return {"metadata": metadata, "schedule": schedule, "program": program}


def job_ids(entries: list[Entry]) -> list[str]:
    """Return a job id for each entry, by what its command is about; each is used once."""
    found: list[str] = []
    for entry in entries:
        name = _name(entry.command) or f"line-{entry.line}"
        base = name if entry.user is None else f"{_slug(entry.user)}/{name}"
        job_id, number = base, 1
        while job_id in found:
            number += 1
            job_id = f"{base}-{number}"
        found.append(job_id)
    return found


# --- lines --------------------------------------------------------------------------------------


class _Reading:
    """Reads one crontab: the settings so far, and the comment just above."""

    def __init__(self, tz: str, *, system: bool) -> None:
        self._tz = tz
        # Why no entry can be taken over until the zone is set anew.
        self._lost_zone = ""
        self._system = system
        self._shell = DEFAULT_SHELL
        self._env: dict[str, str] = {}
        self._about: list[str] = []

    def lines(self, text: str) -> Iterator[Entry | Refusal]:
        for number, line in enumerate(text.splitlines(), 1):
            stripped = line.strip()
            if stripped.startswith("#"):
                self._about.append(stripped.lstrip("#").strip())
                continue
            if not stripped:
                self._about = []
                continue
            assignment = None if stripped[0] in "@*0123456789" else _ASSIGNMENT.match(line)
            try:
                if assignment is not None:
                    yield from self._assign(number, stripped, assignment)
                else:
                    yield self._entry(number, stripped)
            except UserError as error:
                yield Refusal(line=number, text=stripped, reason=str(error))
            self._about = []

    def _assign(self, number: int, text: str, match: re.Match[str]) -> Iterator[Refusal]:
        name = match[1] or match[2] or match[3]
        value = match[4]
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        if name == "CRON_TZ":
            self._lost_zone = f"its times are of {text} in line {number}, which is no time zone"
            zone(value)
            self._tz, self._lost_zone = value, ""
        elif name == "SHELL":
            self._shell = value
        elif name in FOR_CRON:
            reasons = {
                "MAILTO": "output is kept with each run instead of mailed: see notifications",
                "RANDOM_DELAY": "give the schedules a jitter instead",
            }
            reason = f"{name}: {reasons.get(name, 'is for cron alone')}"
            yield Refusal(line=number, text=text, reason=reason, entry=False)
        else:
            self._env = self._env | {name: value}

    def _entry(self, number: int, text: str) -> Entry:
        if text.startswith("-"):
            raise UserError("a minus before an entry is not known here: take it away")
        words = 1 if text.startswith("@") else FIELDS
        parts = text.split(None, words + (1 if self._system else 0))
        needed = words + (2 if self._system else 1)
        if len(parts) < needed:
            what = "five time fields, a user and" if self._system else "five time fields and"
            raise UserError(f"is no entry: expected {what} a command")
        if self._lost_zone:
            raise UserError(self._lost_zone)
        expression = " ".join(parts[:words])
        if expression.lower() == "@reboot":
            raise UserError(
                "@reboot names no times: a server starts its jobs by schedule, not when a host "
                "does; a systemd unit does that"
            )
        command, stdin = _split(parts[-1])
        if "{% endraw" in parts[-1] or "{%- endraw" in parts[-1]:
            raise UserError("holds the end of a template's raw block: write this job by hand")
        return Entry(
            line=number,
            text=text,
            expression=read_cron(expression),
            command=command,
            stdin=stdin,
            user=parts[words] if self._system else None,
            tz=self._tz,
            shell=self._shell,
            env=self._env,
            about="\n".join(line for line in self._about if line),
        )


def _split(text: str) -> tuple[str, str | None]:
    """Return command and standard input: an unescaped `%` ends the command, more are newlines.

    What cron writes ends with a newline, unless it is nothing at all.
    """
    end = next((m.start() for m in _ESCAPED_OR_PERCENT.finditer(text) if m[0] == "%"), len(text))
    command = text[:end].replace("\\%", "%").strip()
    if end == len(text):
        return command, None
    stdin = _ESCAPED_OR_PERCENT.sub(_written, text[end + 1 :])
    return command, stdin if not stdin or stdin.endswith("\n") else f"{stdin}\n"


def _written(match: re.Match[str]) -> str:
    return {"%": "\n", "\\%": "%"}.get(match[0], match[0])


# --- jobs ---------------------------------------------------------------------------------------


def _command(entry: Entry) -> str:
    command = entry.command
    if entry.stdin is not None:
        end = "CRON_STDIN"
        while end in entry.stdin:
            end += "_"
        command = f"{{ {command}\n}} <<'{end}'\n{entry.stdin}{end}"
    return _literal(command)


def _literal(text: str) -> str:
    """Return a text that a template shows as it is."""
    return f"{{% raw %}}{text}{{% endraw %}}" if is_template(text) else text


def _name(command: str) -> str:
    """Return what a command is about: the last part of its first word that says so."""
    for part in re.split(r"&&|\|\||[;|\n]", _CODE.sub("", command)):
        taken = False
        for word in part.split():
            base = word.strip("'\"()").rstrip("/").rpartition("/")[2]
            if _LOCAL_ASSIGNMENT.match(word) or word.startswith("-"):
                continue
            if base in WRAPPERS or taken:
                taken = base in TAKE_A_WORD and not taken
                continue
            if part.split()[0] in ("cd", "test", "["):
                break
            name = _slug(re.sub(r"\.(sh|py|pl|rb|php|js|bash)$", "", base))
            if name and not name.isdigit():
                return name
    return ""


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:LONGEST_NAME].rstrip("-.")
