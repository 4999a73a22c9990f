"""The network between a server and an agent of another host is cut, by the kernel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from far_agent import Far, is_active, output, two_ports
from live_server import Server, until
from network import Network, open_network

pytestmark = pytest.mark.slow

JOB = """params: [seconds]
schedule: []
program:
  type: procstar-shell
  group_id: far
  command: |
    echo "start $APSIS_RUN_ID $$" >> "$EVIDENCE"
    sleep {{ seconds }}
    echo whole output of $APSIS_RUN_ID
    echo "end $APSIS_RUN_ID $$" >> "$EVIDENCE"
    exit 3
"""


class Scene:
    """A server, an agent behind a network of its own, and what its jobs wrote themselves."""

    def __init__(self, folder: Path, network: Network) -> None:
        self.network = network
        self.evidence = folder / "evidence"
        self.evidence.touch()
        port = two_ports()
        job = JOB.replace("$EVIDENCE", str(self.evidence))
        settings = f"agents:\n  listen: tcp://{network.here}:{port}\n  start_timeout: 120s\n"
        self.server = Server(folder, {"far": job}, settings)
        self.far = Far(self.server, folder / "far", port, network.here, network.inside)

    def open(self) -> None:
        self.server.start()
        self.far.token("--group", "far")
        self.far.start("--token-file", str(self.far.folder / "token"), "--agent-id", "w1")
        until(is_active(self.server, "w1"), f"w1; its log:\n{self.far.log()}")

    def runs(self, *seconds: int) -> list[str]:
        return [self.server.schedule("far", seconds=str(one)) for one in seconds]

    def are(self, run_ids: list[str], state: str) -> Callable[[], bool]:
        return lambda: all(self.server.run(run_id)["state"] == state for run_id in run_ids)

    def events(self) -> list[str]:
        """What the jobs wrote: word and run, in order."""
        lines = self.evidence.read_text().splitlines()
        return [" ".join(line.split()[:2]) for line in lines]

    def check(self, run_ids: list[str]) -> None:
        """Each ran once, to its own end, and the server knows that and nothing else."""
        for run_id in run_ids:
            run = self.server.finished(run_id)
            told = (run["state"], run["meta"]["program"]["status"]["exit_code"])
            assert told == ("failure", 3), f"{run_id}: {run}\n{self.far.log()}"
            assert output(self.server, run_id) == f"whole output of {run_id}\n".encode()
        wanted = sorted(f"{word} {run_id}" for run_id in run_ids for word in ("start", "end"))
        assert sorted(self.events()) == wanted

    def unreachable(self, run_id: str) -> Any:
        return self.server.get(f"/api/v2/runs/{run_id}").json["run"]["unreachable"]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    network = open_network()
    scene = Scene(tmp_path, network)
    try:
        scene.open()
        yield scene
    finally:
        network.heal()
        scene.far.close()
        scene.server.stop()
        network.close()


def test_a_cut_of_five_seconds_loses_and_doubles_nothing(scene):
    runs = scene.runs(1, 3, 10)
    until(scene.are(runs, "running"), "the runs to run")
    scene.network.cut()
    late = scene.runs(0)
    until(lambda: sum("end" in event for event in scene.events()) == 2, "two to end meanwhile")
    time.sleep(5)
    scene.network.heal()
    scene.check(runs + late)


@pytest.mark.parametrize("loses", ["cut", "lose_to_here", "lose_to_there"])
def test_a_long_silence_is_no_death_whichever_way_is_lost(scene, loses):
    runs = scene.runs(3, 18)
    until(scene.are(runs, "running"), "the runs to run")
    getattr(scene.network, loses)()
    until(lambda: scene.unreachable(runs[1]), "the run to be unreachable")
    assert scene.server.run(runs[1])["state"] == "running"
    late = scene.runs(0)
    scene.network.heal()
    until(lambda: not scene.unreachable(runs[1]), "the run to be reachable again")
    scene.check(runs + late)


def test_a_flapping_network_is_only_slow(scene):
    runs = scene.runs(*range(1, 9))
    for _ in range(6):
        scene.network.cut()
        time.sleep(1.5)
        scene.network.heal()
        time.sleep(0.7)
    scene.check(runs)
