"""A world with ledger, waiter and a runner in it, for the tests of the waiter."""

from __future__ import annotations

from typing import Any

from people import ADMIN
from planning_world import SECOND, PlanningWorld, a_runner

from callsheet.actors.waiter import Waiter
from callsheet.jobs.bound_conditions import BoundDependency
from callsheet.messages.post import FEED, LEDGER, WAITER
from callsheet.messages.wishes import LedgerWish

SEEDS = [1, 2, 3, 4]


def a_world(
    seed: int = 1,
    max_time_us: int | None = None,
    lasts_s: float = 1,
    pools: dict[str, int] | None = None,
) -> PlanningWorld:
    world = PlanningWorld(seed)
    a_runner(world, int(lasts_s * SECOND))

    def waiter(now_us: int) -> Waiter:
        return Waiter(world.reader, max_time_us=max_time_us, pools=pools)

    world.core(WAITER, waiter, FEED)
    world.run_until(world.now_us + 10 * SECOND)
    return world


def wish(world: PlanningWorld, instruction: Any) -> None:
    driver = world.ledger.driver
    driver.now_us = world.now_us
    message = LedgerWish(
        command_id=f"w{world.now_us}{type(instruction).__name__}",
        principal="ann",
        instruction=instruction,
        access=ADMIN,
    )
    driver.tell(message, sender="web/0")
    world.send(LEDGER, driver.posts)


def lines(world: PlanningWorld, run_id: str) -> list[str]:
    return [getattr(event, "message", "") for event in world.reader.log(run_id)]


def on_success(job_id: str = "dep", **args: str) -> BoundDependency:
    return BoundDependency(job_id=job_id, args=args)
