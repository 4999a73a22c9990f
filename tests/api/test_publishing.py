"""What other programs hear and are answered: pure, and against a real store."""

import pytest
from store_records import a_run as a_stored_run
from web_stand import now_us

from callsheet.jobs.states import State
from callsheet.messages.codec import encode
from callsheet.messages.post import PUBLISHED, PUBLISHED_FAR
from callsheet.messages.published import EVENTS, FURTHEST_BACK, AskEvents, AskRuns
from callsheet.messages.told import ToldRun
from callsheet.messages.transitions import (
    ActionNoted,
    AgentNoted,
    BackfillNoted,
    JobsChanged,
    PauseNoted,
    RunMoved,
    RunNoted,
    RunsArchived,
    RunWithdrawn,
    SkipsRecorded,
)
from callsheet.webui.publishing import (
    FRAME_BYTES,
    Publishing,
    answer_events,
    answer_runs,
    event_record,
)

AT = {"seq": 7, "at_us": 0}
SAID = {"seq": 7, "time": "1970-01-01T00:00:00.000+00:00"}


def moves(first, count):
    return [
        RunMoved(seq=seq, at_us=0, run_id=f"r{seq}", after=State.SCHEDULED)
        for seq in range(first, first + count)
    ]


def told(events, **fields):
    return [ToldRun.of(a_stored_run(event.seq, **fields)) for event in events]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (
            RunMoved(**AT, run_id="r1", after=State.LOST, before=State.RUNNING, cause="c"),
            {"kind": "moved", "run_id": "r1", "state": "lost", "before": "running", "cause": "c"},
        ),
        (
            RunNoted(**AT, run_id="r1", message="m"),
            {"kind": "noted", "run_id": "r1", "message": "m"},
        ),
        (
            RunWithdrawn(
                **AT, run_id="r1", job_id="a", args={}, schedule_us=0, fingerprint="f", reason="w"
            ),
            {
                "kind": "withdrawn",
                "run_id": "r1",
                "job_id": "a",
                "args": {},
                "schedule_time": SAID["time"],
                "message": "w",
            },
        ),
        (JobsChanged(**AT, jobs_version=2, added=["a"]), {"kind": "jobs", "added": ["a"]}),
        (
            SkipsRecorded(
                **AT, job_id="a", fingerprint="f", from_us=0, to_us=0, count=2, reason="p"
            ),
            {
                "kind": "skips",
                "job_id": "a",
                "from": SAID["time"],
                "to": SAID["time"],
                "count": 2,
                "message": "p",
            },
        ),
        (
            RunsArchived(**AT, path="x.db", numbers=[1, 2], events=9, planned=0),
            {"kind": "archived", "runs": ["r1", "r2"], "path": "x.db"},
        ),
        (
            ActionNoted(**AT, run_id="r1", action_id="r1:4:0", message="sent", outcome="done"),
            {
                "kind": "action",
                "run_id": "r1",
                "action_id": "r1:4:0",
                "outcome": "done",
                "message": "sent",
            },
        ),
        (
            AgentNoted(**AT, agent_id="w1", message="drained"),
            {"kind": "agent", "agent_id": "w1", "message": "drained"},
        ),
        (
            PauseNoted(**AT, pause_kind="job", name="a", message="paused"),
            {"kind": "pause", "pause": "job", "name": "a", "message": "paused"},
        ),
        (
            BackfillNoted(**AT, number=3, message="backfill b3: done"),
            {"kind": "backfill", "backfill": "b3", "message": "backfill b3: done"},
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_kind_of_event_has_its_fields(event, said):
    assert event_record(event) == SAID | said


def test_nothing_is_made_while_nobody_subscribes():
    publishing, events = Publishing(), moves(1, 3)
    assert publishing.events(1, 0, events, told(events)) == []
    assert publishing.beat(1, 3, 0) == []
    publishing.want(PUBLISHED, b"", on=True)
    publishing.want(PUBLISHED_FAR, EVENTS, on=True)
    posts = publishing.events(1, 0, events, told(events))
    assert [(post.to, post.message.after, post.message.seq) for post in posts] == [
        (PUBLISHED, 0, 3),
        (PUBLISHED_FAR, 0, 3),
    ]
    assert [post.to for post in publishing.beat(1, 3, 0)] == [PUBLISHED]
    publishing.want(PUBLISHED, b"", on=False)
    assert [post.to for post in publishing.events(1, 0, events, told(events))] == [PUBLISHED_FAR]


def test_what_there_is_not_may_be_subscribed_to_and_costs_nothing():
    publishing = Publishing()
    for n in range(10_000):
        publishing.want(PUBLISHED, b"odd%d" % n, on=True)
        publishing.want(PUBLISHED, b"eventsX", on=True)
    assert publishing._wanted == {PUBLISHED: set(), PUBLISHED_FAR: set()}


def test_many_events_are_frames_of_bounded_size_that_follow_each_other():
    publishing, events = Publishing(), moves(11, 500)
    publishing.want(PUBLISHED, EVENTS, on=True)
    posts = publishing.events(1, 10, events, told(events, args={"x": "y" * 1_000}))
    frames = [post.message for post in posts]
    assert max(len(encode(frame)) for frame in frames) < 2 * FRAME_BYTES
    ends = [10, *(frame.seq for frame in frames)]
    assert [frame.after for frame in frames] == ends[:-1]
    assert [event["seq"] for frame in frames for event in frame.events] == list(range(11, 511))
    assert [run["run_id"] for frame in frames for run in frame.runs] == [e.run_id for e in events]


def test_events_without_their_records_are_left_to_be_asked_for():
    publishing, events = Publishing(), moves(1, 3)
    publishing.want(PUBLISHED, EVENTS, on=True)
    assert publishing.events(1, 0, events, told(events[:2])) == []


def test_events_are_answered_with_the_records_of_their_runs(stand):
    run_id = stand.a_run(schedule_us=now_us())
    answer = answer_events(stand.reader, AskEvents(id="q", after=1))
    assert (answer.id, answer.complete, answer.after) == ("q", True, 1)
    assert answer.seq == answer.head == stand.ledger.seq
    assert [event["seq"] for event in answer.events] == list(range(2, answer.head + 1))
    assert [(run["run_id"], run["state"]) for run in answer.runs] == [(run_id, "success")]


def test_what_is_not_to_be_had_is_said_so(stand):
    stand.a_run()
    reader, head = stand.reader, stand.ledger.seq

    def asked(after):
        answer = answer_events(reader, AskEvents(id="q", after=after))
        return answer.complete, answer.events

    assert asked(head) == (True, [])
    assert asked(head + 1) == (False, [])
    assert asked(-FURTHEST_BACK - 1) == (False, [])


def test_long_args_make_shorter_answers(stand, monkeypatch):
    monkeypatch.setattr("callsheet.webui.publishing.ANSWER_BYTES", 5_000)
    ids = [stand.a_run(args={"x": "y" * 2_000}) for _ in range(5)]
    reader = stand.reader
    answer = answer_events(reader, AskEvents(id="q", after=1))
    assert answer.complete
    assert answer.seq < answer.head
    assert 0 < len(answer.runs) < 5
    found, cursor = [], None
    while True:
        page = answer_runs(reader, AskRuns(id="q", cursor=cursor))
        found += [run["run_id"] for run in page.runs]
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(found) == sorted(ids)


def test_runs_that_are_over_are_not_in_the_picture(stand):
    stand.a_run(schedule_us=now_us())
    live = stand.a_run()
    page = answer_runs(stand.reader, AskRuns(id="q", cursor="odd"))
    assert [run["run_id"] for run in page.runs] == [live]
    assert (page.cursor, page.seq) == (None, stand.ledger.seq)
