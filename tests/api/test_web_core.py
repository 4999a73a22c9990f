"""The web's core by itself: messages and times in, posts out."""

import json
from itertools import pairwise

import pytest
from store_records import T0_US, a_move, a_run

from callsheet.jobs.run_filter import RunFilter
from callsheet.jobs.states import State
from callsheet.jobs.times import FIRST_US, LAST_US
from callsheet.messages.agents import AgentsAnswer, AskAgents
from callsheet.messages.hello import Hello, Welcome
from callsheet.messages.post import LEDGER, RUNNER, SCHEDULER
from callsheet.messages.standing import AskStanding, FolderStanding
from callsheet.messages.told import ToldRun
from callsheet.messages.transitions import Beat, FeedFrame, JobsChanged, Replay, Replayed
from callsheet.messages.wishes import Done, LedgerWish, Refused, SkipRun, StartNow
from callsheet.webui.changes import KEPT_ALONE, KEPT_CHANGES
from callsheet.webui.core import RESUME_US, WebCore
from callsheet.webui.query import BadQuery, parse_filter, parse_instant
from callsheet.webui.seam import (
    LOOP,
    Answered,
    AskWho,
    AskWish,
    Changed,
    Follow,
    Followed,
    Resync,
    RunsRead,
    Status,
    Unfollow,
    Watched,
    WhoCame,
)
from callsheet.webui.topics import incomplete_tail
from callsheet.webui.wishes import MAX_PENDING

SECOND = 1_000_000


class Driven:
    """A core on virtual time; keeps what it posts."""

    def __init__(self):
        self.now_us = T0_US
        self.core = WebCore("i1")
        self.posts = self.core.begin(self.now_us)

    def tell(self, message, sender="feed"):
        self.posts = self.core.receive(sender, message, self.now_us)
        self.posts += self.core.settle(self.now_us)

    def later(self, seconds):
        """Let time pass in the steps that the core asks for; keep all it posts."""
        end, self.posts = self.now_us + round(seconds * SECOND), []
        while (wakes := self.core.wakes_at()) is not None and wakes <= end:
            self.now_us = max(self.now_us, wakes)
            self.posts += self.core.settle(self.now_us)
        self.now_us = end

    def to(self, address, kind=object):
        return [
            post.message
            for post in self.posts
            if post.to == address and isinstance(post.message, kind)
        ]

    def welcomed(self, epoch=1, seq=10):
        self.tell(Welcome(epoch=epoch, seq=seq), LEDGER)
        return self

    def follows(self, topic="runs", key="k", **fields):
        if topic == "runs":
            fields.setdefault("filter", RunFilter())
        self.tell(Follow(token=1, topic=topic, key=key, **fields), "local")
        [followed] = self.to(LOOP, Followed)
        return followed

    def frame(self, after, *runs, epoch=1, records=True):
        events = [
            a_move(after + 1 + i, run.run_id, run.state, before=State.WAITING)
            for i, run in enumerate(runs)
        ]
        found = list(map(ToldRun.of, runs)) if records else []
        self.tell(FeedFrame(epoch=epoch, after_seq=after, events=events, runs=found))


def ask(command_id="c1", instruction=None, seconds=10):
    instruction = instruction or SkipRun(run_id="r1")
    return AskWish(
        command_id=command_id, principal="ann", instruction=instruction, wait_us=seconds * SECOND
    )


def test_it_greets_until_it_is_welcomed():
    web = Driven()
    assert web.to(LEDGER) == [Hello(role="web/0", incarnation="i1")]
    web.later(3)
    assert len(web.to(LEDGER, Hello)) == 3
    web.welcomed()
    web.later(3)
    assert web.to(LEDGER, Hello) == []


def test_a_wish_is_repeated_and_then_given_up():
    web = Driven().welcomed()
    web.tell(ask(), "local")
    assert len(web.to(LEDGER, LedgerWish)) == 1
    web.later(9.9)
    assert len(web.to(LEDGER, LedgerWish)) == 4
    assert web.to(LOOP, Answered) == []
    web.later(0.2)
    assert web.to(LOOP, Answered) == [Answered(command_id="c1", answer=None)]


def test_an_answer_ends_the_wish_and_a_second_one_is_nothing():
    web = Driven().welcomed()
    web.tell(ask(), "local")
    done = Done(command_id="c1", seq=11)
    web.tell(done, LEDGER)
    assert web.to(LOOP, Answered) == [Answered(command_id="c1", answer=done)]
    web.tell(done, LEDGER)
    assert web.to(LOOP, Answered) == []
    web.later(20)
    assert web.to(LEDGER, LedgerWish) == []


def test_a_clock_set_forward_gives_no_wish_up():
    web = Driven().welcomed()
    web.tell(ask(), "local")
    web.now_us += 3600 * SECOND
    web.posts = web.core.settle(web.now_us)
    assert web.to(LOOP, Answered) == []


def test_a_clock_set_back_stops_nothing():
    web = Driven().welcomed()
    web.tell(ask(), "local")
    web.now_us -= 3600 * SECOND
    web.posts = web.core.settle(web.now_us)
    web.later(11)
    assert web.to(LOOP, Answered) == [Answered(command_id="c1", answer=None)]


def test_too_many_wishes_are_refused_at_once():
    web = Driven().welcomed()
    for i in range(MAX_PENDING):
        web.tell(ask(f"c{i}"), "local")
    web.tell(ask("one more"), "local")
    [answered] = web.to(LOOP, Answered)
    assert isinstance(answered.answer, Refused)
    assert answered.answer.reason == "busy"


def test_it_is_ready_once_all_three_have_answered():
    web = Driven()
    web.later(0.3)
    assert web.to(SCHEDULER, AskStanding)
    assert web.to(RUNNER, AskAgents)
    web.tell(AgentsAnswer(request="probe", agents=[]), RUNNER)
    web.welcomed()
    assert not any(status.ready for status in web.to(LOOP, Status))
    web.tell(FolderStanding(), SCHEDULER)
    assert [status.ready for status in web.to(LOOP, Status)] == [True]


def a_ready_web():
    web = Driven()
    web.later(0.3)
    web.tell(AgentsAnswer(request="probe", agents=[]), RUNNER)
    web.welcomed()
    web.tell(FolderStanding(), SCHEDULER)
    web.later(2)
    web.tell(Beat(epoch=1, seq=10))
    return web


def test_while_nobody_watches_the_status_comes_with_what_the_ledger_says():
    web = a_ready_web()
    for _ in range(4):
        web.later(2)
        assert not web.to(LOOP, Status)
        web.tell(Beat(epoch=1, seq=10))
        assert [status.beat for status in web.to(LOOP, Status)] == [True]


def test_a_ledger_that_says_nothing_is_told_of_each_second_though_nobody_watches():
    web = a_ready_web()
    web.later(8)
    ages = [status.ledger_age_s for status in web.to(LOOP, Status)]
    assert [round(age, 1) for age in ages] == [2.5, 3.5, 4.5, 5.5, 6.5, 7.5]


def test_who_watches_has_the_status_each_second():
    web = a_ready_web()
    web.later(2)
    web.tell(Watched(by=1), "local")
    seen = [bool(web.to(LOOP, Status))]
    for _ in range(4):
        web.tell(Beat(epoch=1, seq=10))
        web.later(2)
        seen.append(len(web.to(LOOP, Status)) == 2)
    assert all(seen)
    web.tell(Watched(by=0), "local")
    for _ in range(2):
        web.later(2)
        web.tell(Beat(epoch=1, seq=10))
    web.later(2)
    assert not web.to(LOOP, Status)


def test_changes_of_a_tick_share_a_frame_and_a_record():
    web = Driven().welcomed()
    web.follows()
    web.frame(10, a_run(1, state=State.STARTING))
    assert len(web.to(LOOP, Changed)) == 1, "the first change goes at once"
    web.frame(11, a_run(1, state=State.RUNNING))
    web.frame(12, a_run(1, state=State.SUCCESS), a_run(2))
    assert web.to(LOOP, Changed) == []
    web.later(0.06)
    [tick] = web.to(LOOP, Changed)
    message = json.loads(b'{"id":"x"' + tick.bodies["k"].data)
    states = {run["run_id"]: run["state"] for run in message["runs"]}
    assert (message["seq"], states) == (14, {"r1": "success", "r2": "scheduled"})


def test_a_burst_is_told_in_parts_before_its_tick_is_over():
    web = Driven().welcomed()
    web.follows()
    web.frame(10, a_run(0))
    told = len(web.to(LOOP, Changed))
    parts = []
    for n in range(10):
        web.frame(11 + n * 100, *(a_run(1 + n * 100 + m) for m in range(100)))
        parts += [tick.bodies["k"].data.count(b'"run_id"') for tick in web.to(LOOP, Changed)]
    web.later(0.06)
    parts += [tick.bodies["k"].data.count(b'"run_id"') for tick in web.to(LOOP, Changed)]
    assert (told, parts) == (1, [300, 300, 300, 100])


@pytest.mark.parametrize(
    ("runs", "sockets", "gaps_ms"),
    [
        pytest.param(1, 1, {5}, id="one run that moves all the time, which one looks at"),
        pytest.param(1, 100, {29}, id="the same, at which a hundred look"),
        pytest.param(1_000, 1, {5, 17, 50}, id="a thousand moves a second"),
        pytest.param(1, 400, {50}, id="more consoles than can be told at once"),
    ],
)
def test_a_tick_comes_as_soon_as_there_is_little_to_tell_and_few_to_tell_it(runs, sockets, gaps_ms):
    web = Driven().welcomed()
    web.follows()
    web.tell(Watched(by=sockets), "local")
    begun, ticks = web.now_us, []
    for n in range(400):
        run = a_run(1 + n % runs, state=State.RUNNING, version=n)
        web.frame(10 + n, run)
        ticks += [web.now_us] * len(web.to(LOOP, Changed))
        web.later(0.001)
        ticks += [web.now_us] * len(web.to(LOOP, Changed))
    assert ticks[0] == begun, "the first change goes at once"
    assert {(after - before) // 1_000 for before, after in pairwise(ticks)} == gaps_ms
    web.later(1)
    web.frame(410, a_run(1, state=State.RUNNING, version=500))
    assert len(web.to(LOOP, Changed)) == 1


def test_a_run_that_only_passed_through_a_state_of_the_query_is_sent():
    web = Driven().welcomed()
    web.follows(filter=RunFilter(states=frozenset({State.WAITING})))
    web.frame(10, a_run(1, state=State.SUCCESS))
    [tick] = web.to(LOOP, Changed)
    assert b'"success"' in tick.bodies["k"].data


def test_nothing_is_encoded_for_who_has_left():
    web = Driven().welcomed()
    web.follows()
    web.tell(Unfollow(topic="runs", key="k"), "local")
    web.frame(10, a_run(1))
    [tick] = web.to(LOOP, Changed)
    assert tick.bodies == {}


def test_a_hole_is_asked_for_until_it_is_filled():
    web = Driven().welcomed()
    web.follows()
    web.frame(12, a_run(2))
    assert web.to(LEDGER) == [Replay(after_seq=10)]
    web.later(1.1)
    assert web.to(LEDGER, Replay) == [Replay(after_seq=10)] * 2
    events = [a_move(seq, "r1", State.SUCCESS) for seq in (11, 12, 13)]
    frame = FeedFrame(epoch=1, after_seq=10, events=events, runs=[a_run(1, state=State.SUCCESS)])
    web.tell(Replayed(complete=True, frame=frame), LEDGER)
    assert b'"r1"' in web.to(LOOP, Changed)[0].bodies["k"].data
    web.later(2)
    assert web.to(LEDGER, Replay) == []


def test_a_replay_in_parts_goes_on():
    web = Driven().welcomed()
    web.tell(Beat(epoch=1, seq=20))
    frame = FeedFrame(epoch=1, after_seq=10, events=[a_move(11)], runs=[a_run(1)])
    web.tell(Replayed(complete=False, frame=frame), LEDGER)
    assert web.to(LEDGER) == [Replay(after_seq=11)]


def test_what_the_ledger_cannot_repeat_is_read_again_by_all():
    web = Driven().welcomed()
    web.tell(Beat(epoch=1, seq=20))
    web.tell(Replayed(complete=False), LEDGER)
    assert web.to(LEDGER, Hello)
    web.welcomed(seq=25)
    assert web.to(LOOP, Resync) == [Resync(epoch=1, seq=25)]
    assert web.follows(resume=(1, 20)).resync
    assert not web.follows(resume=(1, 25)).resync


def test_records_missing_in_a_replay_are_read_from_the_store():
    web = Driven().welcomed()
    web.follows()
    web.frame(10, a_run(1, state=State.SUCCESS), records=False)
    [tick] = web.to(LOOP, Changed)
    assert (tick.unread, tick.bodies) == (["r1"], {})
    web.tell(RunsRead(runs={"r1": a_run(1, state=State.SUCCESS)}), "local")
    web.later(0.06)
    assert b'"r1"' in web.to(LOOP, Changed)[0].bodies["k"].data


def test_a_new_epoch_is_greeted_and_goes_on_where_the_old_one_ended():
    web = Driven().welcomed()
    web.follows()
    web.tell(Beat(epoch=2, seq=12))
    assert web.to(LEDGER, Hello)
    web.welcomed(epoch=2, seq=12)
    assert web.to(LEDGER) == [Replay(after_seq=10)]
    assert web.to(LOOP, Resync) == []


def test_an_older_ledgers_words_are_left_out():
    web = Driven().welcomed(epoch=3)
    web.follows()
    web.frame(10, a_run(1), epoch=2)
    assert web.to(LOOP, Changed) == []


def test_a_restored_store_is_read_again():
    web = Driven().welcomed(seq=100)
    web.welcomed(epoch=2, seq=50)
    assert web.to(LOOP, Resync) == [Resync(epoch=2, seq=50)]


def test_resuming_knows_only_so_far_back():
    web = Driven().welcomed()
    web.follows()
    for i in range(KEPT_CHANGES + 5):
        web.frame(10 + i, a_run(i + 1))
        web.now_us += 60_000
    assert web.follows(resume=(1, 12)).resync
    followed = web.follows(resume=(1, 10 + KEPT_CHANGES))
    assert not followed.resync
    message = json.loads(b'{"id":"x"' + followed.body)
    assert [run["run_id"] for run in message["runs"]] == [
        f"r{KEPT_CHANGES + i}" for i in (1, 2, 3, 4, 5)
    ]


def test_fewer_changes_are_kept_while_there_is_nobody_who_could_resume():
    web = Driven().welcomed()
    for i in range(KEPT_ALONE + 50):
        web.frame(10 + i, a_run(i + 1))
        web.now_us += 60_000
    last = 10 + KEPT_ALONE + 50
    assert web.follows(resume=(1, last - KEPT_ALONE - 5)).resync
    assert not web.follows(resume=(1, last - KEPT_ALONE + 5)).resync
    web.tell(Unfollow(topic="runs", key="k"), "local")
    for i in range(KEPT_ALONE + 50):
        web.frame(last + i, a_run(1_000 + i))
        web.now_us += 60_000
    # Whoever has left may come back.
    assert not web.follows(resume=(1, last)).resync
    web.tell(Unfollow(topic="runs", key="k"), "local")
    web.later(RESUME_US / SECOND + 1)
    last += KEPT_ALONE + 50
    for i in range(2):
        web.frame(last + i, a_run(2_000 + i))
        web.now_us += 60_000
    assert web.follows(resume=(1, last - KEPT_ALONE - 5)).resync


@pytest.mark.parametrize("resume", [None, (0, 0), (1, 12), (2, 30)])
def test_nobody_follows_before_a_ledger_has_said_where_it_stands(resume):
    # What changes between a list that is read and the welcome would be in neither.
    web = Driven()
    follow = Follow(token=1, topic="runs", key="k", filter=RunFilter(), resume=resume)
    web.tell(follow, "local")
    web.later(5)
    web.tell(Beat(epoch=2, seq=39))
    assert web.to(LOOP, Followed) == []
    web.welcomed(epoch=2, seq=40)
    [followed] = web.to(LOOP, Followed)
    assert (followed.epoch, followed.seq) == (2, 40)
    # Whoever knows less than was said before is told to read.
    assert followed.resync == (resume is not None)
    web.frame(40, a_run(7), epoch=2)
    [changed] = web.to(LOOP, Changed)
    assert changed.seq == 41
    assert "k" in changed.bodies
    web.welcomed(epoch=2, seq=41)
    assert web.to(LOOP, Followed) == []


def test_who_left_before_a_ledger_spoke_is_not_told_of_it():
    web = Driven()
    for token, key in ((1, "k"), (2, "other")):
        follow = Follow(token=token, topic="runs", key=key, filter=RunFilter())
        web.tell(follow, "local")
    web.tell(Unfollow(topic="runs", key="k"), "local")
    web.welcomed()
    assert [followed.token for followed in web.to(LOOP, Followed)] == [2]


def test_a_reader_ahead_of_the_feed_resumes_only_in_the_same_epoch():
    web = Driven().welcomed()
    assert not web.follows(resume=(1, 12)).resync
    assert web.follows(resume=(2, 10)).resync


def test_jobs_resume_only_when_none_have_changed():
    web = Driven().welcomed()
    event = JobsChanged(seq=11, at_us=T0_US, jobs_version=1, added=["a"])
    web.tell(FeedFrame(epoch=1, after_seq=10, events=[event], runs=[]))
    assert web.to(LOOP, Changed)[0].jobs == [event]
    assert web.follows("jobs", "", resume=(1, 10)).resync
    assert not web.follows("jobs", "", resume=(1, 11)).resync


def test_questions_to_the_runner_end_in_time():
    web = Driven().welcomed()
    web.tell(AskWho(request="q1", processes=True, wait_us=3 * SECOND), "local")
    assert AskAgents(request="q1", processes=True) in web.to(RUNNER)
    web.later(3.1)
    assert web.to(LOOP, WhoCame) == [WhoCame(request="q1", answer=None)]


def test_a_starting_wish_goes_to_the_ledger_as_who_asked():
    web = Driven().welcomed()
    web.tell(ask(instruction=StartNow(run_id="r1")), "local")
    [wish] = web.to(LEDGER, LedgerWish)
    assert (wish.principal, wish.instruction) == ("ann", StartNow(run_id="r1"))


@pytest.mark.parametrize(
    ("data", "tail"),
    [
        (b"", 0), (b"abc", 0), ("ü".encode(), 0), ("ü".encode()[:1], 1), ("€".encode()[:2], 2),
        ("x😀".encode()[:4], 3), ("😀".encode(), 0), (b"\xff", 1), (b"\x80\x80", 0), (b"\xc3x", 0),
    ],
)  # fmt: skip
def test_a_character_cut_in_two_is_found(data, tail):
    assert incomplete_tail(data) == tail


def test_times_of_queries():
    assert parse_instant("now", 5) == 5
    assert parse_instant("-1h", 7200 * SECOND) == 3600 * SECOND
    assert parse_instant("1970-01-02", 0) == 86400 * SECOND
    assert parse_instant("1970-01-01T00:00:01Z", 0) == SECOND
    assert parse_instant("1970-01-01T01:00:01 01:00", 0) == SECOND
    for bad in ("", "soon", "-h", "1970-01-01T00:00:00", "1970-01-01 00:00", "0"):
        with pytest.raises(BadQuery):
            parse_instant(bad, 0)


def test_a_time_that_cannot_be_told_is_the_last_or_the_first_that_can():
    for late in ("9999-12-31", "9999-12-31T23:59:59Z", "+99999999999d", "+" + "9" * 400 + "d"):
        assert parse_instant(late, 0) == LAST_US
    for early in ("0001-01-01", "0001-01-01T00:00:00+14:00", "-99999999999d"):
        assert parse_instant(early, 0) == FIRST_US


def test_states_narrow_each_other():
    found = parse_filter({"q": ["state:success,failure !state:failure"]}, 0)
    assert found.states == {State.SUCCESS}
