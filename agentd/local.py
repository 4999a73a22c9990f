"""The real host: processes by keepers, claims in the spool. Implements `Host` for the agent's core.

Hosted by `daemon.py`, whose loop tells it which of its file descriptors have something and collects
`facts()`. It never tells of an exit before the exit is on the disk.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import Any

import msgspec

from ..jobs.programs import secrets_of
from . import procs
from .cgroups import Cgroups
from .clearing import Clearing
from .collecting import Collecting
from .exits import BadRecord, parse_exit
from .given_secrets import GivenSecrets
from .grouped import Grouped
from .host import Ended, Exit, Extent, Fact, Found, Gone, Key, Now, Refused, Results, Spec, Started
from .keeper import PASSING
from .keepers import Keepers, Kept
from .launch import FAILED, STDIN, failed_file, failure_of, stdin_of
from .outputs import ClaimOutputs
from .results import ResultFiles
from .secret_sources import Source
from .signals import Signals
from .spool import Claimed, Spool

log = logging.getLogger("callsheet.agentd")

# Exits that could not be put on the disk are tried again after this time.
DURABLE_AGAIN_S = 0.5


class LocalHost:
    """See the module. `secrets`: where this host has those of jobs; `take_whole`: the server is on
    it, too, and may take files itself."""

    def __init__(
        self, spool: Spool, keepers: Keepers, cgroups: Cgroups, secrets: Source, *, take_whole: bool
    ) -> None:
        self._spool = spool
        self._grouped = Grouped(cgroups)
        self._keepers = keepers
        self._runs = spool.runs
        self._secrets = GivenSecrets(secrets, spool.cookie_prefix)
        self._outputs = ClaimOutputs(spool.runs, self._secrets, take_whole=take_whole)
        self._collecting = Collecting(spool.runs)
        self.results = ResultFiles(spool.runs, spool.cookie_prefix)
        self._facts: list[Fact] = []
        self._ends: list[tuple[Key, str]] = []
        self._notes: dict[Key, list[str]] = {}
        self._shells: dict[Key, str] = {}
        self._again_at = 0.0
        self._clearing = Clearing(spool, self._grouped)
        self._kept_keys: dict[Key, Spec] = {}
        self._signals = Signals(spool, keepers, self._grouped)
        self._fds_changed = True
        self._listens: int | None = None

    # --- Host -----------------------------------------------------------------------------------

    def claims(self) -> list[Found]:
        """See `Host`."""
        now_us = time.time_ns() // 1_000
        found = []
        for key in self._spool.keys:
            claim = self._settled(key, now_us)
            if claim is not None:
                found.append(claim)
        self.results.sweep([(claim.key, claim.spec) for claim in found])
        self._secrets.sweep([claim.key for claim in found])
        ended = [claim.key for claim in found if claim.exit]
        self._spool.exits.make_durable((key, self._spool.read(key).exit) for key in ended)
        self._clearing.ended.update(ended)
        self._grouped.sweep(self._spool.cookie_prefix)
        left = self._signals.strays.left_by([(c.key, c.exit.pid) for c in found if c.exit])
        return [self._secrets.told_of(_leaving(claim, left.get(claim.key, ()))) for claim in found]

    def start(self, key: Key, spec: Spec, now: Now) -> None:
        """See `Host`."""
        try:
            self._spool.claim(key, spec)
        except Claimed:
            # Nobody told the core of it: it came to be after the inventory. Say what it is.
            found = self._settled(key, now.wall_us)
            if found is not None:
                self._tell(found)
        except OSError as error:
            sentence = f"the spool cannot take the run: {error.strerror}"
            self._facts.append(Refused(key, sentence, retry=True))
        else:
            self.start_again(key, spec)

    def start_again(self, key: Key, spec: Spec) -> None:
        """See `Host`."""
        if secrets_of(spec.program):
            self._secrets.ask(key, spec)
            self._fds_changed = True
            self._start_those_ready()
        else:
            self._start(key, spec)

    def _start_those_ready(self) -> None:
        """Start the processes of which all secrets are known."""
        for key, spec, given, why_not in self._secrets.ready():
            if why_not:
                self._refused(key, why_not, retry=False)
            else:
                self._start(key, spec, given)

    def _start(self, key: Key, spec: Spec, given: dict[str, str] | None = None) -> None:
        """Have a keeper start a process, with variables of which the claim knows nothing."""
        text = stdin_of(spec.program)
        try:
            self._outputs.begin(key, spec)
            self.results.begin(key, spec)
            if text:
                _put(f"{self._runs}/{key}/{STDIN}", text)
        except OSError as error:
            self._refused(key, f"the spool cannot take its files: {error.strerror}")
            return
        try:
            self._grouped.make(key, spec)
        except OSError as error:
            sentence = f"limits: {spec.cgroup}: cannot be held: {error.strerror}"
            self._refused(key, sentence, retry=error.errno in PASSING)
            return
        self._kept_keys[key] = spec
        self._signals.take(key, spec)
        if not self._keepers.start(key, spec, given):
            self._refused(key, "arguments and variables are too large for secrets", retry=False)

    def note(self, key: Key, line: str) -> None:
        """See `Host`."""
        lines = self._notes.setdefault(key, [])
        lines.append(line)
        try:
            self._spool.note(key, lines)
        except OSError as error:
            log.warning("claim %s: cannot be written: %s", key, error.strerror)

    def signal(self, key: Key, number: int, *, whole: bool) -> None:
        """See `Host`."""
        self._facts += self._signals.send(key, number, whole=whole)
        self.fds_changed = True

    def forget(self, key: Key) -> None:
        """See `Host`."""
        self._notes.pop(key, None)
        self._signals.forget(key)
        self._outputs.forget(key)
        self.results.forget(key)
        self._secrets.forget(key)
        self._clearing.doom(key)

    def extents(self, key: Key, spec: Spec, *, final: bool = False) -> tuple[Extent, ...]:
        """See `Host`."""
        return self._outputs.extents(key, spec, final=final)

    def read_output(self, key: Key, name: str, offset: int, limit: int) -> bytes | None:
        """See `Host`."""
        return self._outputs.read(key, name, offset, limit)

    def output_path(self, key: Key, name: str) -> str | None:
        """See `Host`."""
        return self._outputs.path(key, name)

    def collect(self, key: Key, spec: Spec) -> bool:
        """See `Host`."""
        self._fds_changed = True
        return self._collecting.start(key, spec)

    def results_of(self, key: Key, spec: Spec) -> Results:
        """See `Host`."""
        return self._secrets.in_results(key, self.results.read(key, spec))

    def remember_epoch(self, epoch: int) -> None:
        """See `Host`."""
        self._spool.epoch.write(epoch)

    def remember_away(self, away_us: int) -> None:
        """See `Host`."""
        with contextlib.suppress(OSError):  # a full disk: it is written down another time
            self._spool.away.write(away_us)

    def usages(self, pids: list[int]) -> dict[int, tuple[int, int]]:
        """See `Host`."""
        return procs.usages(set(pids)) if pids else {}

    def compress(self, data: bytes) -> tuple[bytes, str | None]:
        """See `Host`."""
        return self._outputs.compress(data)

    # --- the loop's side ------------------------------------------------------------------------

    def fds(self) -> list[int]:
        """Return the descriptors to be polled for reading."""
        self._listens = self._outputs.fd
        others = (*self._collecting.fds, *self._secrets.fds)
        more = () if self._listens is None else (self._listens,)
        return [*self._keepers.kept, *self._signals.fds, *others, *more]

    @property
    def fds_changed(self) -> bool:
        """Whether others are to be polled than `fds` has last said."""
        return self._fds_changed or self._listens != self._outputs.fd

    @fds_changed.setter
    def fds_changed(self, value: bool) -> None:
        self._fds_changed = value

    def hear(self, fd: int) -> None:
        """Something is to be read from a descriptor of ours."""
        if fd in self._signals.fds:
            self._facts += self._signals.hear(fd)
            self.fds_changed = True
            return
        if fd == self._listens:
            self._outputs.hear()
        if fd in self._secrets.fds:
            self._start_those_ready()
            self._fds_changed = True
        if self._collecting.hear(fd):
            self._fds_changed = True
        if fd not in self._keepers.kept:
            return
        said, gone = self._keepers.hear(fd)
        for item in said:
            self._heard(item)
        if gone is not None:
            self._keeper_gone(gone)

    def facts(self) -> list[Fact]:
        """Return what has happened, after it is on the disk."""
        self._signals.strays.look_anew()
        self._facts += self._collecting.facts()
        self._start_those_ready()
        if not (self._facts or self._ends):
            return []
        facts, self._facts = self._facts, []
        if ends := self._durable():
            over = {key for key, _ in ends}
            # A process that began and ended since the last time needs no word of its start.
            facts = [f for f in facts if f.key not in over or not isinstance(f, Started)]
            exits = [(key, self._exit(key, text)) for key, text in ends]
            left = self._signals.strays.left_by([(key, exit_.pid) for key, exit_ in exits])
            for key, exit_ in exits:
                facts.append(Ended(key, exit_._replace(strays=left.get(key, ()))))
            self._clearing.ended |= over
        return [self._secrets.told(fact) for fact in facts]

    def _durable(self) -> list[tuple[Key, str]]:
        """Return the ends that are on the disk now; the others are tried again, and not told."""
        if not self._ends or time.monotonic() < self._again_at:
            return []
        ends = self._ends
        try:
            self._spool.exits.make_durable(ends)
        except OSError as error:
            self._again_at = time.monotonic() + DURABLE_AGAIN_S
            log.error("%d exits cannot be put on the disk: %s", len(ends), error.strerror)
            return []
        self._ends = []
        return ends

    def flush(self) -> None:
        """Send what the core has asked for."""
        self._keepers.flush()

    def is_busy(self, now_s: float) -> None:
        """Something has come; `now_s` is monotonic."""
        self._clearing.is_busy(now_s)

    def tidy(self, now_s: float) -> float:
        """Remove forgotten claims, when it is quiet; return in how many seconds to look again."""
        return self._clearing.tidy(now_s)

    def clean(self) -> None:
        """Remove all forgotten claims."""
        self._clearing.clean(self._clearing.backlog)

    # --- inside ---------------------------------------------------------------------------------

    def _heard(self, item: list[Any]) -> None:
        verb, text = item[0], item[1]
        run_id, _, attempt = text.partition(".")
        key = Key(run_id, int(attempt))
        if verb == "started":
            self._facts.append(Started(key, item[2], item[3], item[4]))
            return
        spec = self._kept_keys.pop(key, None)
        if verb == "ended":
            name = FAILED if spec is None else failed_file(spec)
            self._shells[key] = name
            self._ends.append((key, item[2]))
        elif verb == "refused":
            self._refused(key, item[2])

    def _refused(self, key: Key, sentence: str, *, retry: bool = True) -> None:
        """Give a claim up that was not started, for now."""
        self._secrets.forget(key)
        self._clearing.doom(key)
        self.clean()
        self._facts.append(Refused(key, sentence, retry=retry))

    def _exit(self, key: Key, text: str) -> Exit:
        """Read an exit as the keeper told it, and what a launcher has to say."""
        try:
            exit_ = parse_exit(key, text)
        except BadRecord as error:
            log.error("%s", error)
            return Exit(at_us=time.time_ns() // 1_000, error=str(error))
        return self._launched(key, exit_, self._shells.pop(key, FAILED))

    def _launched(self, key: Key, exit_: Exit, name: str) -> Exit:
        """Return an exit with all that was used; or what a launcher said in the file `name` that
        failed, for that has an exit status. One that was stopped has nothing to say."""
        exit_ = self._grouped.measured(key, exit_)
        failure = failure_of(f"{self._runs}/{key}", name) if name and exit_.status > 0 else ""
        return Exit(at_us=exit_.at_us, error=failure) if failure else exit_

    def _settled(self, key: Key, now_us: int) -> Found | None:
        """Apply `ensure` to one claim, and put it aside when it cannot be read."""
        try:
            found = self._spool.ensure(key, self._keepers.pid_of, now_us)
        except BadRecord as error:
            aside = self._spool.quarantine(key)
            log.error("%s: expected a record of ours; it was moved to %s", error, aside)
            return None
        if found.acts:
            self._notes[key] = list(found.acts)
        if found.state == "unkept":
            if not self._signals.watch(key, found.pid):
                return self._settled(key, now_us)
            self.fds_changed = True
        self._signals.take(key, found.spec)
        self._secrets.take(key, found.spec)
        if found.state == "running":
            self._kept_keys[key] = found.spec
        self._grouped.take(key, found.spec)
        if found.exit is None:
            return found
        exit_ = self._launched(key, found.exit, failed_file(found.spec))
        return msgspec.structs.replace(found, exit=exit_)

    def _keeper_gone(self, gone: Kept) -> None:
        """Settle what a dead keeper had in hand, and put another in its place."""
        if gone.was_let_go:
            log.info("keeper %s has gone, as it was to", gone.name)
        else:
            log.error("keeper %s is gone; it had %d runs", gone.name, gone.load)
        self.fds_changed = True
        self._keepers.replace(gone)
        now_us = time.time_ns() // 1_000
        for text in gone.asked:
            run_id, _, attempt = text.partition(".")
            key = Key(run_id, int(attempt))
            self._kept_keys.pop(key, None)
            found = self._settled(key, now_us)
            if found is not None:
                self._tell(found)

    def _tell(self, found: Found) -> None:
        """Turn what a claim is into a fact for the core."""
        now_us = time.time_ns() // 1_000
        match found.state:
            case "done":
                self._ends.append((found.key, self._spool.read(found.key).exit))
            case "running" | "unkept":
                self._facts.append(
                    Started(found.key, found.pid, found.started_us, found.started_monotonic_us)
                )
            case "not_started":
                self.start_again(found.key, found.spec)
            case _:
                self._facts.append(Gone(found.key, now_us, found.sentence))


def _leaving(found: Found, strays: tuple[tuple[int, str], ...]) -> Found:
    """Return a claim with those who outlive it."""
    if found.exit is None or not strays:
        return found
    return msgspec.structs.replace(found, exit=found.exit._replace(strays=strays))


def _put(path: str, text: str) -> None:
    """Write what a process is to read, for nobody else."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as file:
        file.write(text.encode())
