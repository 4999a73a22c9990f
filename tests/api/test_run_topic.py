"""What a subscription of one run tells when the store is ahead of what the feed has brought."""

import asyncio
import json
from types import SimpleNamespace

from msgspec.structs import replace
from store_records import T0_US, a_run

from callsheet.jobs.states import State
from callsheet.webui.seam import Changed, Followed, RunTick
from callsheet.webui.topics import Op, RunTopic

RUN = replace(a_run(1), state=State.RUNNING)
HEAD_SEQ = 5


class Store:
    def head(self):
        return 1, HEAD_SEQ

    def run(self, run_id):
        return RUN

    def log(self, run_id):
        return []


async def read(act):
    return act(Store())


def a_tick(seq, state):
    lines = [(one, T0_US, "moved", state.value, "", "") for one in (seq - 1, seq)]
    tick = RunTick(run_id=RUN.run_id, run=replace(RUN, state=state), lines=lines)
    return Changed(epoch=1, seq=seq, runs=[tick])


async def told(before, after):
    """What is said of ticks that come before the store is read, and after that."""
    said = []
    outbox = SimpleNamespace(push=lambda body, head=b"": said.append(json.loads(body)))
    owner = SimpleNamespace(services=SimpleNamespace(read=read), outbox=outbox, guest=None)
    topic = RunTopic(owner, Op(op="subscribe", id="r", topic="run", run_id=RUN.run_id))
    topic.followed(Followed(epoch=1, seq=0, token=1, resync=False))
    for tick in before:
        topic.changed(tick, None)
    await topic.task
    for tick in after:
        topic.changed(tick, None)
    return [(one["run"]["state"], [line["seq"] for line in one["log"]]) for one in said]


def test_ticks_of_what_the_first_message_had_are_not_told_again():
    old, late, new = (a_tick(seq, State.SCHEDULED) for seq in (3, 4, HEAD_SEQ + 1))
    first = ("running", [])
    assert asyncio.run(told([old], [late, new])) == [first, ("scheduled", [HEAD_SEQ + 1])]
    assert asyncio.run(told([old, new], [late])) == [first, ("scheduled", [HEAD_SEQ + 1])]
