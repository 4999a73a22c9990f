"""A real server that is fuzzed: what it has to be in the end is what it was in the beginning.

All of its processes are the same, its log holds no traceback, it says that it is ready, it runs a
job, and none of its processes has grown by more than what it keeps of what was asked.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from live_server import Server, until
from ports import free_port
from verdict import Verdict

JOBS = {
    "noop": "metadata: {labels: [x]}\nprogram: {type: no-op}\n",
    "grp/echo": "params: [word]\nprogram: {type: procstar-shell, command: 'echo {{ word }}'}\n",
    "later": "schedule: {type: interval, interval: 6h}\nprogram: {type: no-op}\n",
    "waits": "condition: {type: dependency, job_id: never}\nprogram: {type: no-op}\n",
    "never": "program: {type: no-op}\n",
    "given": "program: {type: procstar, argv: [/bin/true], group_id: fuzz}\n",
    "real": "program: {type: process, argv: [/bin/echo, whole]}\n",
}
SETTINGS = "procstar: {agent: {enable: true}}\nagents: {listen: 'tcp://127.0.0.1:%d'}\n"
# The server is warm after this part of the cases; its log is looked at after so many.
WARM_AFTER = 10
LOOK_EVERY = 5_000
# What a process may have grown by since it was warm.
GROWTH_BYTES = 300 * 2**20
# What no log may hold: an error of ours, by whatever name.
TROUBLE = re.compile(r"Traceback \(most recent|CRITICAL|\bERROR\b|internal error|Exception in ")


class FuzzedServer:
    """See the module. `tokens`: of a viewer, of an operator, and of one who reaches little;
    `listen`: the port for agents of other hosts."""

    def __init__(self, kind: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{kind}"))
        # Agents of other hosts come in there, and new ones by the next port.
        self.listen = free_port(2)
        self.server = Server(self.folder, JOBS, SETTINGS % self.listen).start()
        self.port = self.server.port
        self.tokens: list[str] = []
        for body in (
            {"name": "looks", "role": "viewer"},
            {"name": "acts", "role": "operator"},
            {"name": "little", "role": "operator", "labels": ["x"]},
        ):
            self.tokens.append(self.server.insist("/api/v2/tokens", body).json["token"])
        self.pids = self._whole()
        self._warm: dict[str, int] = {}
        self._log_from = 0

    def _whole(self) -> dict[str, int]:
        """Return the pids once a job has run, and so all is there."""
        assert self.server.finished(self.server.schedule("real"))["state"] == "success"
        return self.server.processes()

    def warm(self) -> None:
        """From now on no process is to grow much."""
        self._warm = self._sizes()

    def _sizes(self) -> dict[str, int]:
        found = {}
        for role, pid in self.server.processes().items():
            try:
                words = Path(f"/proc/{pid}/statm").read_text().split()
            except OSError:
                continue
            found[role] = int(words[1]) * os.sysconf("SC_PAGE_SIZE")
        return found

    def trouble(self) -> str:
        """Return the new lines of the log that tell of an error of ours, empty for none."""
        with (self.folder / "server.log").open("rb") as log:
            log.seek(self._log_from)
            text = log.read().decode(errors="replace")
            self._log_from = log.tell()
        found = TROUBLE.search(text)
        return text[max(0, found.start() - 500) : found.start() + 3_000] if found else ""

    def judge(self, verdict: Verdict) -> None:
        """Hold the server against what it was."""
        if trouble := self.trouble():
            verdict.fault(f"in the server's log: {trouble}")
        now = self.server.processes()
        for role, pid in self.pids.items():
            if now.get(role) != pid:
                verdict.fault(f"{role} is another process than in the beginning")
        self.pids = now
        sizes = self._sizes()
        for role, before in self._warm.items():
            grown = sizes.get(role, 0) - before
            if grown > GROWTH_BYTES:
                verdict.fault(f"{role} grew by {grown >> 20} MiB")
        most = max(sizes, key=lambda role: sizes[role] - self._warm.get(role, sizes[role]))
        grown = sizes[most] - self._warm.get(most, sizes[most])
        verdict.seen[f"MiB grown ({most})"] = grown >> 20
        try:
            self.server.post("/api/v2/resume", {"kind": "all"})
            for agent in self.server.get("/api/v2/agents").json["agents"]:
                self.server.post(f"/api/v2/agents/{agent['agent_id']}/undrain", {})
            until(lambda: self.server.get("/healthz/ready").status == 200, "the server to be ready")
            self._whole()
        except (AssertionError, OSError) as error:
            verdict.fault(f"the server does not run jobs any more: {error}")
        if trouble := self.trouble():
            verdict.fault(f"in the server's log: {trouble}")

    def close(self, *, keep: bool) -> None:
        """Stop the server; its files stay where they tell of a fault."""
        self.server.stop()
        if keep:
            print(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder)


Play = Callable[["FuzzedServer", int, range, float, Verdict], None]


def on_a_server(kind: str, play: Play, seed: int, numbers: range, until_s: float) -> Verdict:
    """Play cases with a server of their own, and judge it."""
    server = FuzzedServer(kind)
    verdict = Verdict(kind, seed)
    try:
        play_and_judge(server, play, numbers, until_s, verdict)
    finally:
        server.close(keep=not verdict.holds)
    return verdict


def play_and_judge(
    server: FuzzedServer, play: Play, numbers: range, until_s: float, verdict: Verdict
) -> None:
    """Play cases with a server, and judge it."""
    play(server, verdict.seed, numbers, until_s, verdict)
    verdict.end()
    server.judge(verdict)


def looked_after(
    server: FuzzedServer, numbers: range, verdict: Verdict, until_s: float
) -> Iterator[int]:
    """Yield the numbers of the cases to play, until some time (monotonic); now and then the log is
    looked at, and once, when it is warm, how large the server is."""
    warm_at = numbers.start + len(numbers) // WARM_AFTER
    for number in numbers:
        if number == warm_at:
            server.warm()
        if number % LOOK_EVERY == 0 and (trouble := server.trouble()):
            verdict.fault(f"in the server's log: {trouble}", number)
        if time.monotonic() > until_s:
            return
        yield number
