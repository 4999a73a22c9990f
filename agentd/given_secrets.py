"""The secrets that processes were given: asked for, kept out of what they write, forgotten.

Used by the local host. Values come from the host's own source (`secret_sources.py`), go to the
keeper that starts the process, and nowhere else: not into the claim, whose spec has their names
alone. So that the next agentd keeps them out of outputs as well, they are in a file that only we
may read, in memory that the system shows as files and that a reboot clears. Where that is gone, an
output is kept back rather than shown with what might be in it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Collection
from typing import NamedTuple

import msgspec

from ..jobs.programs import secrets_of
from .host import Collected, Ended, Exit, Fact, Found, Key, Noted, Results, Spec
from .masked import Masker
from .results import make_folder
from .secret_sources import Commands, NoSecret, Source

log = logging.getLogger("callsheet.agentd")

MEMORY = "/dev/shm"  # noqa: S108 - in a folder of our own in it, that others may not enter
KEPT_BACK = (
    "its output is kept back: which secrets are in it is not known any more on this host, since it "
    "was rebooted, or its /dev/shm cleared"
)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[str]).decode


class Given(NamedTuple):
    """What was found out for a claim: its variables, or why it cannot have them."""

    key: Key
    spec: Spec
    variables: dict[str, str]
    why_not: str = ""


class GivenSecrets:
    """See the module. `prefix` tells the files of this spool from those of others."""

    def __init__(self, source: Source, prefix: str, memory: str = MEMORY) -> None:
        self._source = source
        self._prefix = prefix
        self._folder = f"{memory}/callsheet-secrets-{os.geteuid()}"
        self._commands = Commands(source.command)
        self._maskers: dict[Key, Masker | None] = {}
        self._asking: dict[Key, tuple[Spec, dict[str, str | NoSecret]]] = {}

    # --- a process is to be started -------------------------------------------------------------

    def ask(self, key: Key, spec: Spec) -> None:
        """Find out what a claim names; `ready` has it, perhaps at once."""
        found: dict[str, str | NoSecret] = {}
        for name in sorted(set(secrets_of(spec.program).values())):
            try:
                value = self._source.read(name)
            except NoSecret as error:
                found[name] = error
                continue
            if value is None:
                self._commands.ask(name, time.monotonic())
            else:
                found[name] = value
        self._asking[key] = (spec, found)

    @property
    def fds(self) -> list[int]:
        """What is to be polled."""
        return self._commands.fds

    def ready(self) -> list[Given]:
        """Return those of whose secrets all is known now."""
        if not self._asking:
            return []
        answers = self._commands.answers(time.monotonic())
        ready = []
        for key, (spec, found) in list(self._asking.items()):
            wanted = secrets_of(spec.program)
            found.update((name, answers[name]) for name in wanted.values() if name in answers)
            if found.keys() >= set(wanted.values()):
                del self._asking[key]
                ready.append(self._given(key, spec, found))
        return ready

    def _given(self, key: Key, spec: Spec, found: dict[str, str | NoSecret]) -> Given:
        wrong = [str(value) for value in found.values() if isinstance(value, NoSecret)]
        if wrong:
            return Given(key, spec, {}, "; ".join(wrong))
        values = {name: value for name, value in found.items() if isinstance(value, str)}
        self._maskers[key] = Masker(values.values())
        self._keep(key, list(values.values()))
        variables = {name: values[of] for name, of in secrets_of(spec.program).items()}
        return Given(key, spec, variables)

    def _keep(self, key: Key, values: list[str]) -> None:
        """Keep them for the agentd that comes after this one."""
        try:
            make_folder(self._folder, 0o700)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(self._path(key), flags, 0o600), "wb") as file:
                file.write(_encode(values))
        except OSError as error:
            log.warning("%s: cannot be written: %s", self._path(key), error.strerror)

    # --- what it writes -------------------------------------------------------------------------

    def take(self, key: Key, spec: Spec) -> None:
        """Take up a claim that an agentd before this one has begun."""
        if not secrets_of(spec.program) or key in self._maskers:
            return
        try:
            with open(self._path(key), "rb") as file:
                self._maskers[key] = Masker(_decode(file.read()))
        except (OSError, msgspec.DecodeError):
            self._maskers[key] = None

    def has(self, key: Key) -> bool:
        """Whether a process was given any."""
        return key in self._maskers

    def masker(self, key: Key) -> Masker | None:
        """Return what masks the output of a process that was given some; None: it is kept back."""
        return self._maskers[key]

    def told(self, fact: Fact) -> Fact:
        """Return a fact as it may be told."""
        if fact.key not in self._maskers:
            return fact
        masker = self._maskers[fact.key]
        match fact:
            case Ended(exit=exit_):
                return fact._replace(exit=_exit(exit_, masker))
            case Collected():
                return _collected(fact, masker)
            case Noted() if masker is not None:
                return fact._replace(sentence=masker.text(fact.sentence))
        return fact

    def told_of(self, found: Found) -> Found:
        """Return a claim as it may be told."""
        if found.key not in self._maskers:
            return found
        masker, exit_, sentence = self._maskers[found.key], found.exit, found.sentence
        if exit_ is not None:
            exit_ = _exit(exit_, masker)
        elif masker is None and found.state == "lost":
            sentence = f"{sentence}; {KEPT_BACK}"
        return msgspec.structs.replace(found, exit=exit_, sentence=sentence)

    def in_results(self, key: Key, results: Results) -> Results:
        """Return results as they may be told."""
        if key not in self._maskers:
            return results
        masker = self._maskers[key]
        if masker is None:
            return Results({})
        values = {masker.text(name): masker.text(value) for name, value in results.values.items()}
        return Results(values, tuple(map(masker.text, results.notes)))

    # --- it is over -----------------------------------------------------------------------------

    def forget(self, key: Key) -> None:
        """The claim goes."""
        self._asking.pop(key, None)
        if key in self._maskers:
            del self._maskers[key]
            with contextlib.suppress(OSError):
                os.unlink(self._path(key))

    def sweep(self, keys: Collection[Key]) -> None:
        """Remove what was kept for claims other than these, which are all there are."""
        kept = {os.path.basename(self._path(key)) for key in keys}
        with contextlib.suppress(OSError):
            for name in os.listdir(self._folder):
                if name.startswith(self._prefix) and name not in kept:
                    with contextlib.suppress(OSError):
                        os.unlink(f"{self._folder}/{name}")

    def _path(self, key: Key) -> str:
        return f"{self._folder}/{self._prefix}{key}"


def _exit(exit_: Exit, masker: Masker | None) -> Exit:
    if masker is None:
        error = KEPT_BACK if exit_.error else ""
        return exit_._replace(error=error, strays=(), remarks=(*exit_.remarks, KEPT_BACK))
    strays = tuple((pid, masker.text(name)) for pid, name in exit_.strays)
    return exit_._replace(error=masker.text(exit_.error), strays=strays)


def _collected(fact: Collected, masker: Masker | None) -> Collected:
    """Leave out what has a secret for a name: it is known by that wherever it goes."""
    if masker is None:
        return Collected(fact.key)
    names = tuple((name, path) for name, path in fact.names if masker.text(path) == path)
    left = {name for name, _ in names}
    notes = tuple(map(masker.text, fact.notes))
    if len(names) < len(fact.names):
        notes = (*notes, "artifacts with a secret in their names are left out")
    return Collected(fact.key, tuple(e for e in fact.extents if e.name in left), names, notes)
