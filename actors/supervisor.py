"""The supervisor's decisions: which process to start, restart, stop or kill, and when.

Pure: `supervise.py` tells it what happened and carries out the acts it returns. Times are monotonic
seconds. It knows processes, never jobs.

A role that dies is started again. Deaths of one that had worked are answered at once, up to
`INTENSITY` in `WINDOW_S`, then with growing waits up to 30 s; one that never came to work waits
from the second time on, so that a role which cannot start is tried at most 12 times in five
minutes. Meanwhile the service is *degraded* and says why; it never gives up by itself.
"""

from __future__ import annotations

import msgspec

INTENSITY = 5
WINDOW_S = 60.0
# Waits before the restarts beyond the intensity, and of a role that never came to work.
BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
STILLBORN_S = (0.1, 1.0, 30.0)
# No word from a stage for so long: it hangs, and is killed.
SILENCE_S = 30.0
# A role that is not ready by then is killed: opening a large database may take a while.
START_S = 120.0
# At a stop each wave has so long before it is killed; the next wave then stops.
STOP_WAVE_S = 2.5


class RoleSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A process to keep. `start_wave` n starts once all of wave n − 1 are ready; `stop_wave` the
    same for the orderly stop. `silence_s`: no word from its stage for so long, and it hangs; None:
    it does not say that it turns."""

    role: str
    start_wave: int = 1
    stop_wave: int = 1
    silence_s: float | None = SILENCE_S


class Spawn(msgspec.Struct, frozen=True):
    """Start a process for the role."""

    role: str


class AskStop(msgspec.Struct, frozen=True):
    """Ask the role's process to stop in order."""

    role: str


class Kill(msgspec.Struct, frozen=True):
    """SIGKILL the role's process; `reason` for the log."""

    role: str
    reason: str


class Announce(msgspec.Struct, frozen=True):
    """All roles are ready for the first time."""


class Warn(msgspec.Struct, frozen=True):
    """Something for the log: a death, a degraded or recovered service."""

    sentence: str


class Quit(msgspec.Struct, frozen=True):
    """All processes are gone: end with this status. `sentence` not empty: why, for people."""

    status: int
    sentence: str = ""


Act = Spawn | AskStop | Kill | Announce | Warn | Quit


class Kept(msgspec.Struct, kw_only=True):
    """What is known of one role's process; `pid` None: there is none."""

    spec: RoleSpec
    pid: int | None = None
    ready: bool = False
    detail: str = ""
    heard_s: float = 0.0
    started_s: float = 0.0
    spawn_s: float | None = None
    starts: int = 0
    deaths_s: list[float] = []
    stillborn: int = 0
    waits: int = 0
    unwell: str = ""
    killed: bool = False


class Supervisor:
    """See the module. Every method returns the acts that follow, in order."""

    def __init__(self, specs: list[RoleSpec]) -> None:
        self.kept = {spec.role: Kept(spec=spec) for spec in specs}
        self.announced = False
        self._stopping = False
        self._status = 0
        self._sentence = ""
        self._wave = 0
        self._wave_until_s = 0.0

    # --- what the loop reads --------------------------------------------------------------------

    @property
    def degraded(self) -> dict[str, str]:
        """Why each unwell role is unwell; empty when all is well."""
        return {
            role: kept.unwell or "is not running"
            for role, kept in self.kept.items()
            if kept.unwell or (self.announced and kept.pid is None)
        }

    def wakes_at_s(self) -> float | None:
        """Return when `tick` is to be called at the latest, None when nothing is to be awaited."""
        times = [self._wave_until_s] if self._stopping else []
        for kept in self.kept.values():
            if kept.pid is None:
                if kept.spawn_s is not None and not self._stopping:
                    times.append(kept.spawn_s)
            elif not kept.killed and not self._stopping:
                times.append(self._overdue_s(kept))
        return min(times) if times else None

    # --- what happens ---------------------------------------------------------------------------

    def begin(self, now_s: float) -> list[Act]:
        """Start the first wave."""
        return self._start_wave(now_s)

    def spawned(self, role: str, pid: int, now_s: float) -> None:
        """The role's process was started."""
        kept = self.kept[role]
        kept.pid, kept.started_s, kept.heard_s = pid, now_s, now_s
        kept.ready, kept.killed, kept.spawn_s, kept.detail = False, False, None, ""
        kept.starts += 1

    def ready(self, role: str, detail: str, now_s: float) -> list[Act]:
        """The role works."""
        kept = self.kept[role]
        kept.ready, kept.detail, kept.heard_s = True, detail, now_s
        acts: list[Act] = []
        if kept.unwell:
            kept.unwell = ""
            acts.append(Warn(f"{role} works again"))
        if self._stopping or self.announced:
            return acts
        acts += self._start_wave(now_s)
        if all(other.ready for other in self.kept.values()):
            self.announced = True
            acts.append(Announce())
        return acts

    def heard(self, role: str, now_s: float) -> None:
        """The role said that it turns."""
        self.kept[role].heard_s = now_s

    def health(self, role: str, sentence: str) -> list[Act]:
        """The role says it is unwell, or (empty) well again."""
        kept = self.kept[role]
        if kept.unwell == sentence:
            return []
        kept.unwell = sentence
        return [Warn(f"{role}: {sentence}" if sentence else f"{role} is well again")]

    def unusable(self, role: str, sentence: str, now_s: float) -> list[Act]:
        """The role cannot work as things are. At the first start that ends the server."""
        if self._stopping or self.announced:
            return self.health(role, sentence)
        self._status, self._sentence = 1, sentence
        return self.stop(now_s)

    def exited(self, role: str, how: str, now_s: float) -> list[Act]:
        """The role's process is gone; `how` says it for people (`exit status 70`, `signal 9`)."""
        kept = self.kept[role]
        was_ready, kept.pid, kept.ready = kept.ready, None, False
        if self._stopping:
            return self._next_wave(now_s)
        wait_s = self._wait_s(kept, was_ready, now_s)
        kept.spawn_s = now_s + wait_s
        if wait_s:
            kept.unwell = kept.unwell or f"it ended ({how}) {len(kept.deaths_s)} times lately"
        then = f"it is started again in {wait_s:g} s" if wait_s else "it is started again"
        acts: list[Act] = [Warn(f"{role} ended: {how}: {then}")]
        return acts + self.tick(now_s)

    def stop(self, now_s: float) -> list[Act]:
        """Stop everything in order; asked again while stopping, kill what is left."""
        if self._stopping:
            return [
                Kill(role, "asked to stop twice")
                for role, kept in self.kept.items()
                if kept.pid is not None
            ]
        self._stopping = True
        self._wave = min(kept.spec.stop_wave for kept in self.kept.values()) - 1
        return self._next_wave(now_s)

    def tick(self, now_s: float) -> list[Act]:
        """Do what is due."""
        if self._stopping:
            return self._hurry(now_s)
        acts: list[Act] = []
        for role, kept in self.kept.items():
            if kept.pid is None:
                if kept.spawn_s is not None and kept.spawn_s <= now_s:
                    kept.spawn_s = None
                    acts.append(Spawn(role))
            elif not kept.killed and self._overdue_s(kept) <= now_s:
                kept.killed = True
                what = "it hangs" if kept.ready else "it did not become ready"
                kept.unwell = f"{what}: no word from it for {now_s - kept.heard_s:.0f} s"
                acts.append(Kill(role, kept.unwell))
        return acts

    # --- inside ---------------------------------------------------------------------------------

    def _overdue_s(self, kept: Kept) -> float:
        """Return when this role's silence means that it hangs."""
        if not kept.ready:
            return kept.started_s + START_S
        silence_s = kept.spec.silence_s
        return float("inf") if silence_s is None else kept.heard_s + silence_s

    def _start_wave(self, now_s: float) -> list[Act]:
        """Start the lowest wave that is not ready, if it has not been started."""
        waiting = [kept for kept in self.kept.values() if not kept.ready]
        if not waiting:
            return []
        wave = min(kept.spec.start_wave for kept in waiting)
        return [
            Spawn(kept.spec.role)
            for kept in waiting
            if kept.spec.start_wave == wave and not kept.starts and not kept.deaths_s
        ]

    def _wait_s(self, kept: Kept, was_ready: bool, now_s: float) -> float:
        """Return how long to wait before the role is started again."""
        if was_ready and now_s - kept.started_s >= WINDOW_S:
            kept.waits = 0
        kept.deaths_s = [at_s for at_s in kept.deaths_s if at_s > now_s - WINDOW_S] + [now_s]
        if not was_ready:
            kept.stillborn += 1
            return STILLBORN_S[min(kept.stillborn, len(STILLBORN_S)) - 1]
        kept.stillborn = 0
        if len(kept.deaths_s) <= INTENSITY and not kept.waits:
            return 0.0
        kept.waits += 1
        return BACKOFF_S[min(kept.waits, len(BACKOFF_S)) - 1]

    def _next_wave(self, now_s: float) -> list[Act]:
        """Ask the next wave to stop once the one before is gone; after the last, quit."""
        alive = [kept for kept in self.kept.values() if kept.pid is not None]
        if not alive:
            return [Quit(self._status, self._sentence)]
        wave = min(kept.spec.stop_wave for kept in alive)
        if wave <= self._wave:
            return []
        self._wave, self._wave_until_s = wave, now_s + STOP_WAVE_S
        return [AskStop(kept.spec.role) for kept in alive if kept.spec.stop_wave == wave]

    def _hurry(self, now_s: float) -> list[Act]:
        """Kill what of the wave has not stopped in its time."""
        if now_s < self._wave_until_s:
            return []
        self._wave_until_s = now_s + STOP_WAVE_S
        return [
            Kill(role, f"it did not stop within {STOP_WAVE_S:g} s")
            for role, kept in self.kept.items()
            if kept.pid is not None and kept.spec.stop_wave <= self._wave
        ]
