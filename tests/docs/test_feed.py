"""What docs/feed.md says, and its programs do, against sockets of a server's side."""

from __future__ import annotations

import ast
import json
import re
import select
import subprocess
import sys
from pathlib import Path

import msgpack
import msgspec
import pytest
from feed_stand import feed_stand

from callsheet.client.feed import Feed
from callsheet.messages import published
from callsheet.messages.codec import (
    ANSWER_READER,
    ASKED_READER,
    PUBLISHED_READER,
    BadFrame,
    pack,
)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "feed.md").read_text(encoding="utf-8")
RUN = {"run_id": "r1", "job_id": "a", "state": "failure", "version": 2}
FRAME = published.PublishedEvents(
    epoch=3,
    after=1,
    seq=2,
    events=[{"seq": 2, "time": "", "kind": "moved", "run_id": "r1", "state": "failure"}],
    runs=[RUN],
)


@pytest.mark.parametrize(
    ("message", "reader"),
    [
        (FRAME, PUBLISHED_READER),
        (published.PublishedBeat(epoch=3, seq=2, time="now"), PUBLISHED_READER),
        (
            published.Events(id="q", epoch=3, after=1, seq=1, head=9, complete=False),
            ANSWER_READER,
        ),
        (published.Runs(id="q", epoch=3, seq=2, cursor=None, runs=[RUN]), ANSWER_READER),
        (published.Busy(id="q"), ANSWER_READER),
    ],
    ids=lambda value: type(value).__name__,
)
def test_another_codec_reads_the_same_fields_and_the_page_names_them(message, reader):
    [frame] = pack([message])
    [read] = msgpack.unpackb(frame)
    assert reader.unpack(msgpack.packb([read])) == [message]
    assert read["kind"] == type(message).__struct_config__.tag
    assert [name for name in read if name not in PAGE] == []


def test_what_is_asked_by_another_codec_is_understood():
    asked = [{"kind": "events", "id": "1", "after": 7}, {"kind": "runs", "id": "2", "cursor": None}]
    assert ASKED_READER.unpack(msgpack.packb(asked)) == [
        published.AskEvents(id="1", after=7),
        published.AskRuns(id="2"),
    ]


def test_a_question_with_an_endless_id_is_none():
    with pytest.raises(BadFrame, match="length <= 100"):
        ASKED_READER.unpack(msgpack.packb([{"kind": "runs", "id": "x" * 101}]))


def test_the_page_has_every_kind_of_event_and_the_limits():
    from callsheet.messages.transitions import AnyEvent
    from callsheet.wire.published import HIGH_WATER_FRAMES

    for kind in AnyEvent.__args__:
        assert f"| `{kind.__struct_config__.tag}` |" in PAGE
    assert f"{published.FURTHEST_BACK:,} events" in PAGE
    assert f"up to {published.EVENTS_AT_ONCE} events" in PAGE
    assert f"up to {published.RUNS_AT_ONCE};" in PAGE
    assert f"{HIGH_WATER_FRAMES} frames" in PAGE


def test_the_python_of_the_page_uses_what_there_is():
    [code] = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    tree = ast.parse(code)
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert used & {"position"} <= set(dir(Feed))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
             for alias in node.names}  # fmt: skip
    module = sys.modules["callsheet.client.feed"]
    assert all(hasattr(module, name) for name in names)


def failed(seq):
    event = FRAME.events[0] | {"seq": seq}
    run = RUN | {"version": seq}
    return msgspec.structs.replace(
        FRAME, epoch=1, after=seq - 1, seq=seq, events=[event], runs=[run]
    )


@pytest.fixture
def near(tmp_path):
    with feed_stand(tmp_path) as stand:
        yield stand


@pytest.mark.slow
def test_the_programs_of_the_page_do_what_they_say(near, tmp_path):
    examples = ROOT / "examples" / "feed"
    listen = subprocess.Popen(
        [sys.executable, examples / "listen.py", near.address], stdout=subprocess.PIPE, text=True
    )
    out = tmp_path / "failed.jsonl"
    command = [sys.executable, examples / "follow_feed.py", near.address, out]
    follow = subprocess.Popen(command)
    try:
        near.turn_until(lambda: out.exists() and out.read_text(), "its snapshot")
        # Until each has subscribed, what is said may not reach it.
        seq = 0

        def heard():
            nonlocal seq
            seq += 1
            near.say(failed(seq))
            return '"r1"' in out.read_text() and listen.stdout in _ready(listen)

        near.turn_until(heard, "what they hear")
        assert re.match(r"\d+  moved r1", listen.stdout.readline())
    finally:
        for process in (listen, follow):
            process.kill()
            process.wait()
        listen.stdout.close()
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines[0] == {"position": "1:0"}
    assert {"run_id": "r1", "job_id": "a"}.items() <= lines[-1].items()


def _ready(process):
    return select.select([process.stdout], [], [], 0.05)[0]
