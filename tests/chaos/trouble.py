"""A real server under trouble: its jobs write evidence, its processes are killed, stopped, lied to.

What happens is written down as a `History`; nothing is judged here. The targets of scheduled jobs
are computed here from their intervals alone.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import history as h
import zmq
from chaos_jobs import ASKED, BROKEN, MOST, OWN, TICKS, TRIES, asked_for, jobs, tick
from crash_points import ARMED, PLACES
from crashes import Crashes
from keepers import keepers_of, kill_keeper
from live_server import Server, until
from reading import archived, live, record_of
from replica import Replica

from callsheet.wire.place import run_directory

ROLES = ("ledger", "scheduler", "binder", "waiter", "runner", "responder", "checker", "web")
VICTIMS = (*(f"{role}/0" for role in ROLES), "agent")
PATIENCE_S = 600.0
ALL_KINDS = [
    *(("kill", victim) for victim in VICTIMS),
    ("server", ""),
    ("keeper", ""),
    *(("pause", victim) for victim in ("ledger/0", "runner/0", "scheduler/0", "agent")),
    ("garbage", ""),
    *(("crash", place) for place in PLACES),
]
# A run waits for an agent that is away: it is so again and again.
SETTINGS = f"pools: {{few: {MOST}}}\nagents: {{start_timeout: 1h}}\n"
# Crashes at named places take long to go through: they come when they are asked for.
KINDS = ("kill", "server", "keeper", "pause", "garbage")
# So many ask for runs at once.
ASKERS = 3


class Trouble:
    """`runs` are asked for while `seconds` pass, in which there are `blows` and `reloads`; `seed`
    decides all that is by chance except the times; of blows there are only those `kinds`. Where
    asking takes longer there are more blows: none is asked for after the last. With `times` a
    process dies so often at each named place instead, of those that begin with one of `places`,
    and so long runs are asked for, and the folder is reloaded, at the same pace."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        seconds: float,
        runs: int,
        blows: int,
        reloads: int,
        kinds: tuple[str, ...] = KINDS,
        times: int = 0,
        places: tuple[str, ...] = ("",),
    ) -> None:
        self.folder = folder
        (folder / "evidence").touch()
        self.random = random.Random(seed)
        self.seconds, self.asked, self.blows, self.reloads = seconds, runs, blows, reloads
        self.kinds = [
            (kind, victim)
            for kind, victim in ALL_KINDS
            if kind in kinds and (kind != "crash" or victim.startswith(places))
        ]
        self.times = times
        own = list(OWN) if "crash" in kinds else []
        self.ticks = [*TICKS, *own]
        more = {name: tick(folder, name, scheduled=True) for name in own}
        self.server = Server(folder, jobs(folder) | more, SETTINGS)
        self.server.patience_s = PATIENCE_S
        self.crashes = Crashes(self.server, folder / "crash", self._struck)
        if "crash" in kinds:
            crashing = str(Path(__file__).with_name("crashing"))
            self.server.environ = {ARMED: str(folder / "crash"), "PYTHONPATH": crashing}
        self.spool = self.server.state / "spool"
        plan = h.Plan(
            cut_s=0.0, most={"few": MOST}, retries={"again": TRIES}, runs=runs,
            blows=least_of_each(self.kinds, times * len(self.kinds) or blows), late_s=None,
            own=own,
        )  # fmt: skip
        self.history = h.History(plan)
        self.striking = threading.Event()
        self.over = threading.Event()
        self.faults: list[BaseException] = []
        self.replica = Replica(self.server)

    # --- the spell ------------------------------------------------------------------------------

    def run(self) -> h.History:
        """Make the trouble, let all come to rest, and return what is known of it."""
        created_s = time.time()
        self.server.start()
        up_s = time.time()
        self.replica.start()
        parts = [*(partial(self._ask, turn) for turn in range(ASKERS)), self._reload]
        threads = [threading.Thread(target=self._guarded, args=(part,)) for part in parts]
        if self.times:
            self.striking.set()
        for thread in threads:
            thread.start()
        try:
            self._strike(threads[:ASKERS])
        finally:
            self.striking.clear()
            self.over.set()
            for thread in threads:
                thread.join()
        if self.faults:
            raise self.faults[0]
        before_s, after_s = self._end_schedules()
        self.history.plan.cut_s = before_s
        self._targets(created_s, up_s, before_s, after_s)
        self._rest()
        self._read()
        return self.history

    def close(self) -> None:
        """End the server and all that it has started."""
        self.over.set()
        self.replica.stop()
        if self.server.process is not None:
            self.server.process.kill()
            self.server.process.wait()
        for keeper in keepers_of(self.spool):
            with contextlib.suppress(ProcessLookupError):
                os.kill(keeper, signal.SIGKILL)
        for one in live(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)

    def _guarded(self, part: Callable[[], None]) -> None:
        try:
            part()
        except BaseException as error:
            self.faults.append(error)

    # --- asking for runs ------------------------------------------------------------------------

    def _ask(self, turn: int) -> None:
        """Ask for every third round of runs, from the `turn`th on: who waits for a server that was
        killed just now keeps no other from asking."""
        pause_s = self.seconds * ASKERS / max(1, self.asked)
        long: list[str] = []
        for n in count():
            if self._enough(n, self.asked):
                break
            if n // len(ASKED) % ASKERS != turn:
                continue
            name, args = asked_for(n)
            due_s = time.time()
            run_id = self.server.schedule(name, **args)
            self.history.targets.append(h.Target(name, args["key"], due_s, run_id=run_id))
            if name == "long":
                long.append(run_id)
            if len(long) > 4:
                self._stop(long.pop(0))
            # Of `few` more are asked for at once than may run at once.
            if name != "few" or ASKED[(n + 1) % len(ASKED)] != "few":
                self.over.wait(max(0.0, pause_s - (time.time() - due_s)))
        for run_id in long:
            self._stop(run_id)

    def _enough(self, done: int, planned: int) -> bool:
        """Whether no more is to be asked for: with `times`, once there are no more deaths."""
        return not self.striking.is_set() if self.times else done >= planned

    def _stop(self, run_id: str) -> None:
        """Stop a run as soon as it runs; one that has ended otherwise is left."""
        begun = {"running", "stopping", "success", "failure", "error", "lost"}
        until(lambda: self._state(run_id) in begun, f"{run_id} to begin", PATIENCE_S)
        self.history.plan.stopped.append(run_id)
        answer = self.server.insist(f"/api/v2/runs/{run_id}/stop", {})
        assert answer.status in {200, 400, 409}, answer.body

    def _state(self, run_id: str) -> str | None:
        found = self._get(f"/api/v2/runs/{run_id}")
        return None if found is None else str(found["run"]["state"])

    def _get(self, path: str) -> Any:
        """Return what a path says, None while nobody answers."""
        with contextlib.suppress(OSError):
            answer = self.server.get(path)
            if answer.status == 200:
                return answer.json
        return None

    def _insisted(self, path: str) -> Any:
        return until(lambda: self._get(path), f"an answer to GET {path}", PATIENCE_S)

    # --- reloads --------------------------------------------------------------------------------

    def _reload(self) -> None:
        folder = self.folder / "jobs"
        extra, bad = folder / "extra.yaml", folder / "bad.yaml"
        for n in count():
            if self._enough(n, self.reloads):
                break
            began_s = time.time()
            broken = self.random.random() < 0.3
            if broken:
                bad.write_text(BROKEN[n % len(BROKEN)])
            before = self._jobs()
            if not broken:
                extra.write_text(f"metadata: {{labels: [n{n}]}}\nprogram: {{type: no-op}}\n")
            answer = self.server.insist("/api/control/reload_jobs?dry_run=False", {})
            assert answer.status in {200, 400}, answer.body
            self.history.reloads.append(
                h.Reload(
                    began_s, broken, answer.status == 200, before, self._jobs(), time.time(),
                    answer.body.decode() if answer.status != 200 else "",
                )
            )  # fmt: skip
            bad.unlink(missing_ok=True)
            self.over.wait(max(0.0, self.seconds / self.reloads - (time.time() - began_s)))

    def _jobs(self) -> list[str]:
        found = self._insisted("/api/v2/definitions")
        return sorted(f"{name} {digest}" for name, digest in found["jobs"].items())

    def _end_schedules(self) -> tuple[float, float]:
        """Let nothing be scheduled any more; return before and after when that came to hold."""
        for name in self.ticks:
            text = tick(self.folder, name, scheduled=False)
            (self.folder / "jobs" / f"{name}.yaml").write_text(text)
        before_s = time.time()
        answer = self.server.insist("/api/control/reload_jobs?dry_run=False", {})
        assert answer.status == 200, answer.body
        return before_s, time.time()

    def _targets(self, created_s: float, up_s: float, before_s: float, after_s: float) -> None:
        """Note what was due by the intervals. A schedule counts from when it was loaded first: what
        was due before the server was up is no needed target, nor is what was on its way when the
        schedules went."""
        for name in self.ticks:
            interval = (TICKS | OWN)[name][0]
            due_s = int(created_s) // interval * interval
            while due_s <= after_s + 1:
                key = datetime.fromtimestamp(due_s, UTC).isoformat()
                self.history.targets.append(h.Target(name, key, due_s, up_s < due_s < before_s - 1))
                due_s += interval

    # --- blows ----------------------------------------------------------------------------------

    def _strike(self, asking: list[threading.Thread]) -> None:
        """Strike as often as is planned, and on until all runs have been asked for."""
        if self.times:
            self.crashes.everywhere([place for _, place in self.kinds], self.times, self.random)
            return
        if not self.kinds:
            for thread in asking:
                thread.join()
            return
        pause_s = self.seconds / max(1, self.blows)
        for n, (kind, victim) in enumerate(shuffled(self.random, self.kinds)):
            if n >= self.blows and not any(thread.is_alive() for thread in asking):
                return
            began_s = time.time()
            if kind == "crash":
                self.crashes.at(victim)
            else:
                blow = h.Blow(kind, victim, began_s, began_s)
                getattr(self, f"_{kind}")(blow)
                blow.until_s = time.time()
                self._struck(blow)
            time.sleep(max(0.0, pause_s * self.random.uniform(0.6, 1.4) - (time.time() - began_s)))

    def _struck(self, blow: h.Blow) -> None:
        self.history.blows.append(blow)

    def _kill(self, blow: h.Blow) -> None:
        pid = self.server.kill(blow.victim)
        until(lambda: self._pid(blow.victim) not in {0, pid}, f"another {blow.victim}", PATIENCE_S)

    def _server(self, blow: h.Blow) -> None:
        """The supervisor dies, and all its roles with it; somebody starts it again."""
        assert self.server.process is not None
        self.server.process.kill()
        self.server.process.wait()
        self.server.start()

    def _keeper(self, blow: h.Blow) -> None:
        keeper = until(lambda: keepers_of(self.spool), "a keeper", PATIENCE_S)
        hit = kill_keeper(self.random.choice(keeper), self.spool, until)
        blow.hit = sorted(hit or ())

    def _pause(self, blow: h.Blow) -> None:
        """It stands still, and goes on with what it had."""
        pid = until(lambda: self._pid(blow.victim), f"a process of {blow.victim}", PATIENCE_S)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(self.random.uniform(0.2, min(30.0, self.seconds / 8)))
            os.kill(pid, signal.SIGCONT)

    def _garbage(self, blow: h.Blow) -> None:
        """Noise on every socket."""
        with zmq.Context() as context:
            for path in run_directory(self.server.state / "run").glob("*/*"):
                if path.is_socket():
                    with context.socket(zmq.DEALER) as dealer:
                        dealer.linger, dealer.sndtimeo = 500, 500
                        dealer.connect(f"ipc://{path}")
                        with contextlib.suppress(zmq.Again):
                            for _ in range(50):
                                dealer.send(self.random.randbytes(self.random.randrange(1, 300)))

    def _pid(self, role: str) -> int:
        try:
            pid = self.server.processes().get(role, 0)
        except (OSError, ValueError):
            return 0
        return pid if pid > 0 and Path(f"/proc/{pid}").exists() else 0

    # --- the end --------------------------------------------------------------------------------

    def _rest(self) -> None:
        """Wait until no run is under way, or give up and leave it to the checker."""

        def at_rest() -> bool:
            found = self._get("/api/v2/runs?limit=1")
            states = () if found is None else ("scheduled", "waiting", "starting", "running")
            return bool(states) and not any(
                found["counts"].get(state) for state in (*states, "stopping")
            )

        with contextlib.suppress(AssertionError):
            until(at_rest, "all to be over", PATIENCE_S)

    def _read(self) -> None:
        history = self.history
        ids, cursor = [], ""
        while cursor is not None:
            path = f"/api/v2/runs?limit=1000&counts=0{f'&cursor={cursor}' if cursor else ''}"
            page = self._insisted(path)
            ids += [run["run_id"] for run in page["runs"]]
            cursor = page["next_cursor"]
        history.runs = [self._told(run_id) for run_id in ids]
        # What is over has written its last word; the stream says so in a moment.
        history.words = h.read_words(self.folder / "evidence")
        if history.plan.own:
            history.archived = archived(self.folder / "kept.db")
        self._look_at_stores()
        with contextlib.suppress(AssertionError):
            until(lambda: self.replica.same_as(history), "the replica")
        history.replica, history.heard = dict(self.replica.runs), list(self.replica.heard)
        history.live = live(self.folder)

    def _told(self, run_id: str) -> h.Run:
        """Return all that the server tells of a run."""
        found = record_of(self._insisted(f"/api/v2/runs/{run_id}")["run"])
        if found.attempts and found.job in ASKED:
            path = f"/api/v2/runs/{run_id}/output/output/raw"
            answer = until(lambda: self._answered(path), f"an answer to GET {path}", PATIENCE_S)
            found.output = answer.body.decode() if answer.status == 200 else ""
        return found

    def _answered(self, path: str) -> Any:
        with contextlib.suppress(OSError):
            answer = self.server.get(path)
            return answer if answer.status in {200, 404} else None
        return None

    def _look_at_stores(self) -> None:
        """Have the database verified, and what was written beside it."""
        main = self.server.folder / "callsheet.db"
        looks = {"callsheet.db": ("--database", str(main))}
        if self.history.plan.own:
            looks["backup.db"] = ("--database", str(self.folder / "backup.db"), "--no-outputs")
            looks["kept.db"] = ("--database", str(main), "--archive", str(self.folder / "kept.db"))
        for name, options in looks.items():
            done = self.server.callsheetctl("verify", *options)
            self.history.stores[name] = (done.stdout + done.stderr) if done.returncode else ""
        self.history.plan.stores = list(looks)


def least_of_each(kinds: list[tuple[str, str]], blows: int) -> dict[str, int]:
    """Return how often each kind of blow comes at least."""
    rounds = blows // max(1, len(kinds))
    return {f"{kind} {victim}".strip(): rounds for kind, victim in kinds}


def shuffled(chance: random.Random, kinds: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield blows without end: all kinds in some order, and again in another."""
    while True:
        yield from chance.sample(kinds, len(kinds))
