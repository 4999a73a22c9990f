"""A thousand worlds in which everything goes wrong, and proof that their invariants can fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from broken_parts import BROKEN
from run import run_many
from simulation import Failed, Outcome, simulate

SEEDS = int(os.environ.get("CALLSHEET_SIMULATION_SEEDS", "1000"))
FOLDER = Path(__file__).parent
# A broken part is found out by one of so many worlds.
WORLDS = 60
# Where to begin to look for what rarely shows: agents say what they hold, so that a forgotten
# placement is harmful only when its agent is away as well.
FROM = {
    "actions are not kept": 12,
    "placements are forgotten": 84,
    "reboots are not told": 40,
    "torn claims are believed": 10,
}
AGAIN = (3, 44, 90)


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    """The worlds of all seeds, in which nothing happened that must not happen."""
    outcomes: list[Outcome] = []
    failures: list[tuple[int, str]] = []
    for some, failed in run_many(range(SEEDS), jobs=os.cpu_count() or 1, history=AGAIN):
        outcomes += some
        failures += failed
    assert not failures, "\n\n".join(
        f"seed {seed}: {what}\nagain: python tests/simulation/run.py --seed {seed} --story"
        for seed, what in failures
    )
    return outcomes


@pytest.mark.slow
def test_a_thousand_worlds_in_trouble_keep_every_promise(outcomes: list[Outcome]) -> None:
    assert len(outcomes) == SEEDS


@pytest.mark.slow
def test_the_worlds_are_in_enough_trouble_to_prove_something(outcomes: list[Outcome]) -> None:
    faults: Counter[str] = sum((Counter(outcome.faults) for outcome in outcomes), Counter())
    moves: Counter[str] = sum((Counter(outcome.moves) for outcome in outcomes), Counter())
    assert min(faults.values()) >= SEEDS // 5, faults
    assert len(faults) == 11
    for move in (
        "None scheduled", "None error", "scheduled waiting", "scheduled starting",
        "scheduled skipped", "waiting starting", "waiting skipped", "waiting error",
        "starting running", "starting error", "starting lost", "running success",
        "running failure", "running lost", "running stopping", "stopping success",
        "stopping failure", "stopping error", "success failure",
    ):  # fmt: skip
        assert moves[move] >= SEEDS // 100, f"{move}: {moves[move]} times"
    assert sum(outcome.processes for outcome in outcomes) >= 10 * SEEDS
    assert sum(outcome.kills for outcome in outcomes) >= SEEDS


@pytest.mark.slow
def test_a_seed_is_one_history_whatever_came_before(outcomes: list[Outcome]) -> None:
    again = {seed: simulate(seed, history=True).history for seed in AGAIN}
    assert all(again.values())
    assert again == {seed: outcomes[seed].history for seed in AGAIN}


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["1", "77"])
def test_a_seed_is_one_history_in_every_interpreter(
    outcomes: list[Outcome], hash_seed: str
) -> None:
    for seed in AGAIN:
        done = subprocess.run(
            [sys.executable, str(FOLDER / "run.py"), "--seed", str(seed)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split()[-1] == outcomes[seed].history


@pytest.mark.slow
@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_part_is_found_out(what: str) -> None:
    first = FROM.get(what, 0)
    for seed in range(first, first + WORLDS):
        try:
            simulate(seed, BROKEN[what])
        except Failed:
            return
    pytest.fail(f"{what}: none of {WORLDS} worlds found it out")


@pytest.mark.slow
def test_a_failure_says_how_to_see_it_again() -> None:
    with pytest.raises(Failed) as failed:
        simulate(0, BROKEN["exits are invented"], story=True)
    assert "python tests/simulation/run.py --seed 0 --story" in str(failed.value)
    assert any("ledger/0" in line for line in failed.value.story)
