"""The network between a server and agents of other hosts is cut or bad, by the kernel.

All agents at once, each behind a cable that fails in its own way. `make partition MINUTES=10` cuts
and troubles for so long what is else cut and troubled for seconds, and prints what it has measured.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from far_agent import Far, agent, is_active, output, two_ports
from live_server import Server, until
from network import Cable, Network, open_network

pytestmark = pytest.mark.slow

# 0: as short as it can be.
LONG_S = 60 * float(os.environ.get("CALLSHEET_PARTITION_MINUTES", "0"))
PATIENCE_S = LONG_S + 120
CUT = {
    "short": Cable.cut,
    "long": Cable.cut,
    "deaf": Cable.lose_to_there,
    "mute": Cable.lose_to_here,
}
DOWN_S, UP_S = 1.5, 0.7
SHORT_S = 5.0
# The bulk that goes through the bad cable: random, so that it is not made small on its way.
BULK_BYTES = 100_000_000 if LONG_S else 20_000_000
JOB = """params: [seconds]
schedule: []
program:
  type: procstar-shell
  group_id: GROUP
  command: |
    echo "start $APSIS_RUN_ID $$" >> "EVIDENCE"
    sleep {{ seconds }}
    echo whole output of $APSIS_RUN_ID
    echo "end $APSIS_RUN_ID $$" >> "EVIDENCE"
    exit 3
"""
BULK = """params: []
schedule: []
program:
  type: procstar-shell
  group_id: bad
  command: head -c BYTES /dev/urandom | tee EVIDENCE.bulk
  output: {keep: 128M}
"""


class Scene:
    """A server, agents each behind a cable of its own, and what their jobs wrote themselves."""

    def __init__(self, folder: Path, network: Network) -> None:
        self.cables = network.cables
        self.evidence = folder / "evidence"
        self.evidence.touch()
        self.bulk = folder / "evidence.bulk"
        port = two_ports()
        jobs = {
            name: JOB.replace("EVIDENCE", str(self.evidence)).replace("GROUP", name)
            for name in self.cables
        }
        jobs["bulk"] = BULK.replace("EVIDENCE", str(self.evidence)).replace(
            "BYTES", str(BULK_BYTES)
        )
        settings = f"agents:\n  listen: tcp://0.0.0.0:{port}\n  start_timeout: {PATIENCE_S:.0f}s\n"
        self.server = Server(folder, jobs, settings)
        self.far = {
            name: Far(self.server, folder / name, port, cable.here, cable.inside)
            for name, cable in self.cables.items()
        }

    def open(self) -> None:
        self.server.start()
        for name, far in self.far.items():
            far.token("--group", name)
            far.start("--token-file", str(far.folder / "token"), "--agent-id", name)
        for name, far in self.far.items():
            until(is_active(self.server, name), f"{name}; its log:\n{far.log()}")

    def close(self) -> None:
        for far in self.far.values():
            far.close()
        self.server.stop()

    def runs(self, name: str, *seconds: float) -> list[str]:
        return [self.server.schedule(name, seconds=str(one)) for one in seconds]

    def are(self, run_ids: list[str], state: str) -> Callable[[], bool]:
        return lambda: all(self.server.run(run_id)["state"] == state for run_id in run_ids)

    def events(self) -> list[str]:
        """What the jobs wrote: word and run, in order."""
        lines = self.evidence.read_text().splitlines()
        return [" ".join(line.split()[:2]) for line in lines]

    def have_ended(self, run_ids: list[str]) -> bool:
        return {f"end {run_id}" for run_id in run_ids} <= set(self.events())

    def finish(self, run_ids: list[str]) -> None:
        """Wait until the server knows the end of each: its own, and of one process."""
        for run_id in run_ids:
            until(lambda: self.server.run(run_id)["state"] == "failure", run_id, PATIENCE_S)  # noqa: B023
            run = self.server.run(run_id)
            assert run["meta"]["program"]["status"]["exit_code"] == 3
            assert output(self.server, run_id) == f"whole output of {run_id}\n".encode()
        told = sorted(event for event in self.events() if event.split()[1] in run_ids)
        assert told == sorted(f"{word} {run_id}" for run_id in run_ids for word in ("start", "end"))

    def unreachable(self, run_id: str) -> Any:
        return self.server.get(f"/api/v2/runs/{run_id}").json["run"]["unreachable"]

    def story(self, run_id: str) -> str:
        """All lines of a run's log."""
        return self.server.get(f"/api/v1/runs/{run_id}/log").body.decode()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    network = open_network((*CUT, "flapping"), ("bad",))
    try:
        scene = Scene(tmp_path_factory.mktemp("partition"), network)
        try:
            scene.open()
            yield scene
        finally:
            scene.close()
    finally:
        network.close()


def test_cuts_of_every_kind_at_once_lose_and_double_nothing(scene, capsys):
    quick = {name: scene.runs(name, 2)[0] for name in CUT}
    slow = {name: scene.runs(name, 20)[0] for name in CUT}
    runs = [*quick.values(), *slow.values()]
    until(scene.are(runs, "running"), "the runs to run")
    begun_s = time.monotonic()
    for name, cut in CUT.items():
        cut(scene.cables[name])
    # What is wished for meanwhile runs later; and a later ledger takes up the runs of the earlier.
    late = [run_id for name in CUT for run_id in scene.runs(name, 0)]
    scene.server.kill("ledger/0")
    until(lambda: scene.have_ended(list(quick.values())), "some to end meanwhile")
    late += _flap(scene, lambda: time.monotonic() > begun_s + SHORT_S)
    scene.cables["short"].heal()
    silent = [name for name in CUT if name != "short"]
    late += _flap(scene, lambda: all(scene.unreachable(slow[name]) for name in silent))
    late += _flap(scene, lambda: time.monotonic() > begun_s + LONG_S)
    if not LONG_S:
        assert scene.are([slow[name] for name in silent], "running")()
    cut_s = time.monotonic() - begun_s
    for name in silent:
        scene.cables[name].heal()
    healed_s = time.monotonic()
    # Over while nobody could be told: what the server now learns from them, and how soon.
    until(scene.are([quick[name] for name in silent], "failure"), "the results", PATIENCE_S)
    took_s = time.monotonic() - healed_s
    with capsys.disabled():
        print(f"\ncut for {cut_s:.0f} s: results {took_s:.1f} s after the network was healed")
    if LONG_S:
        assert took_s <= 10
    scene.finish(runs + late)


def _flap(scene: Scene, is_enough: Callable[[], bool]) -> list[str]:
    """Cut and heal one agent's cable again and again, with a run each time, and return the runs."""
    runs = []
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_enough():
        assert time.monotonic() < deadline_s, "waited too long"
        runs += scene.runs("flapping", 1)
        scene.cables["flapping"].cut()
        time.sleep(DOWN_S)
        scene.cables["flapping"].heal()
        time.sleep(UP_S)
    return runs


def test_behind_a_slow_network_full_of_output_all_is_only_slower(scene, capsys):
    """Delay 300 ± 100 ms each way, 10 % lost, 25 % reordered, 5 % twice; and far more output than
    can go through, which would hold up the beats if it were sent as fast as it comes."""
    bulk = scene.server.schedule("bulk")
    until(lambda: _length(scene, bulk) > 0, "the first of the output")
    begun_s = time.monotonic()
    runs: list[str] = []
    while len(runs) < 3 or time.monotonic() < begun_s + LONG_S:
        runs += scene.runs("bad", 1)
        until(scene.are(runs[-1:], "failure"), f"run {len(runs)} to end meanwhile")
    went_bytes, went_s = _length(scene, bulk), time.monotonic() - begun_s
    told = agent(scene.server, "bad")
    assert told["state"] == "active"
    assert went_bytes < BULK_BYTES, "nothing was slow"
    scene.cables["bad"].mend()
    until(scene.are([bulk], "success"), "the output", PATIENCE_S)
    wanted = hashlib.sha256(scene.bulk.read_bytes()).hexdigest()
    assert hashlib.sha256(output(scene.server, bulk)).hexdigest() == wanted
    scene.finish(runs)
    for run_id in (bulk, *runs):
        assert "unreachable" not in scene.story(run_id)
    with capsys.disabled():
        print(
            f"\nbad for {went_s:.0f} s: {went_bytes / went_s / 1e3:.0f} kB/s of output and "
            f"{len(runs)} runs went through; connections: {told['connections']}"
        )


def _length(scene: Scene, run_id: str) -> int:
    found = scene.server.get(f"/api/v1/runs/{run_id}/outputs").json
    return sum(int(one["output_len"]) for one in found)
