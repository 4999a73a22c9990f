"""Schedules a run and follows it to its end, once with each client.

python watch.py JOB
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any

from callsheet.client import APIError, AsyncClient, Client

OVER = ("success", "failure", "error", "skipped")


def state_of(update: dict[str, Any]) -> str:
    """Return the state that an update of a run tells, empty when it tells none."""
    return str(update.get("run", {}).get("state", ""))


def run_and_wait(client: Client, job_id: str) -> str:
    """Run a job, and wait until it is over."""
    run = client.schedule(job_id, {}, "now")
    for update in client.follow("run", {"run_id": run["run_id"]}):
        if state_of(update) in OVER:
            return state_of(update)
    raise AssertionError("it is followed until it is over")


async def run_all(client: AsyncClient, job_id: str, count: int) -> list[str]:
    """Run a job so many times at once, and wait until all are over."""

    async def one() -> str:
        run = await client.schedule(job_id, {}, "now")
        updates = client.follow("run", {"run_id": run["run_id"]})
        async with contextlib.aclosing(updates):
            async for update in updates:
                if state_of(update) in OVER:
                    return state_of(update)
        raise AssertionError("it is followed until it is over")

    return [*await asyncio.gather(*(one() for _ in range(count)))]


async def main(job_id: str) -> None:
    """Do both."""
    async with AsyncClient() as client:
        await client.wait_running(30)
        print(await run_all(client, job_id, 3))


if __name__ == "__main__":
    try:
        with Client() as waiting:
            print(run_and_wait(waiting, sys.argv[1]))
        asyncio.run(main(sys.argv[1]))
    except APIError as error:
        sys.exit(str(error))
