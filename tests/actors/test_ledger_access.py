"""Who may wish what: judged by the ledger, by its own records, at the moment of the wish."""

import typing

import pytest
from ledger_driver import START_US, LedgerDriver
from people import ADMIN, OPERATOR, VIEWER

from callsheet.actors.ledger import Ledger
from callsheet.actors.ledger_rights import NEEDED, PERSONAL, SCOPED, needed
from callsheet.messages.access import (
    LEAVES,
    Access,
    AddUser,
    AskLeave,
    ChangeUser,
    LogIn,
    LogOut,
    MakeApiToken,
    RemoveUser,
    RevokeApiToken,
    Role,
)
from callsheet.messages.post import WEB
from callsheet.messages.wishes import (
    AddRuns,
    Done,
    DrainAgent,
    EnrolAgent,
    HoldRun,
    LedgerWish,
    MakeAgentToken,
    Refused,
    ReleaseRun,
    SkipRun,
    ToLedgerWish,
)

HOUR_US = 3600 * 1_000_000


@pytest.fixture
def ledger():
    return LedgerDriver()


def a_token(ledger, token_id="t", role=Role.OPERATOR, labels=(), **fields):
    """Make a token; return the access of its holder."""
    wish = MakeApiToken(
        token_id=token_id,
        secret_hash=f"hash of {token_id}",
        name=token_id,
        role=role,
        labels=labels,
        **fields,
    )
    assert isinstance(ledger.wish(wish), Done)
    return Access(role=Role.ADMIN, credential=f"token/{token_id}")


def a_user(ledger, name="ann", role=Role.OPERATOR, labels=()):
    wish = AddUser(name=name, password="p1", role=role, labels=labels)
    assert isinstance(ledger.wish(wish), Done)


def logged_in(ledger, name="ann", session_id="s", password="p1"):
    """Log a user in; return the access of whoever holds the cookie."""
    wish = LogIn(
        session_id=session_id,
        name=name,
        password=password,
        expires_us=ledger.now_us + HOUR_US,
    )
    assert isinstance(ledger.wish(wish, access=VIEWER), Done)
    return Access(role=Role.ADMIN, credential=f"session/{session_id}")


def later_run(ledger, **fields):
    return ledger.a_run(schedule_us=ledger.now_us + HOUR_US, **fields)


def test_each_wish_has_its_right_or_is_nobodys():
    """A new kind of wish without an entry is refused to everybody, and told here."""
    kinds = {*typing.get_args(ToLedgerWish)}
    assert {EnrolAgent, AskLeave} == kinds - {*NEEDED}
    assert {*NEEDED} <= kinds
    assert {*SCOPED, *PERSONAL} <= {*NEEDED}
    for act, role in LEAVES.items():
        assert needed(AskLeave(act=act)) is role
    assert needed(AskLeave(act="anything")) is None


def test_a_wish_of_the_web_server_says_whose_it_is(ledger):
    run = later_run(ledger)
    wish = LedgerWish(command_id="c", principal="ann", instruction=SkipRun(run_id=run.run_id))
    [answer] = ledger.tell(wish, sender=WEB)
    assert (answer.reason, answer.sentence) == (
        "forbidden",
        "the wish does not say whose it is",
    )


@pytest.mark.parametrize(
    ("access", "wish", "role"),
    [
        (VIEWER, HoldRun(run_id="r1"), "an operator"),
        (VIEWER, DrainAgent(agent_id="w", draining=True), "an operator"),
        (VIEWER, AskLeave(act="reload_jobs"), "an operator"),
        (OPERATOR, AskLeave(act="shut_down"), "an admin"),
        (OPERATOR, MakeAgentToken(token_id="t", secret_hash="h", expires_us=9), "an admin"),
        (OPERATOR, RevokeApiToken(token_id="t"), "an admin"),
        (OPERATOR, RemoveUser(name="ann"), "an admin"),
        (OPERATOR, AddRuns(runs=[], ad_hoc_id="adhoc-x"), "an admin"),
    ],
)
def test_a_role_that_is_not_enough_is_refused_and_changes_nothing(ledger, access, wish, role):
    later_run(ledger)
    before = ledger.ledger.seq
    answer = ledger.wish(wish, access=access)
    assert (answer.reason, ledger.ledger.seq) == ("forbidden", before)
    assert answer.sentence.endswith(f": expected {role}")


def test_what_nobody_may_is_refused_to_administrators_too(ledger):
    wish = EnrolAgent(secret_hash="h", agent_id="w", public_key="k")
    assert ledger.wish(wish, access=ADMIN).sentence == "ann is an admin: nobody may"


def test_the_ledgers_own_record_counts_whatever_the_web_server_says(ledger):
    run = later_run(ledger)
    viewer = a_token(ledger, role=Role.VIEWER)
    assert viewer.role is Role.ADMIN
    assert ledger.wish(HoldRun(run_id=run.run_id), access=viewer).reason == "forbidden"
    made_up = Access(role=Role.ADMIN, credential="token/made-up")
    answer = ledger.wish(HoldRun(run_id=run.run_id), access=made_up)
    assert answer.sentence == "the token does not hold any more"
    admin = a_token(ledger, "u", Role.ADMIN)
    less = Access(role=Role.VIEWER, credential=admin.credential)
    assert ledger.wish(HoldRun(run_id=run.run_id), access=less).reason == "forbidden"


def test_a_token_holds_until_it_is_revoked_or_expires_also_over_a_restart(ledger):
    run = later_run(ledger)
    operator = a_token(ledger, expires_us=START_US + HOUR_US)
    other = a_token(ledger, "u")
    ledger.restart()
    hold, release = HoldRun(run_id=run.run_id), ReleaseRun(run_id=run.run_id)
    assert isinstance(ledger.wish(hold, access=operator), Done)
    assert isinstance(ledger.wish(RevokeApiToken(token_id="u")), Done)
    assert ledger.wish(release, access=other).reason == "forbidden"
    ledger.now_us = START_US + HOUR_US
    assert ledger.wish(release, access=operator).reason == "forbidden"
    ledger.restart()
    assert ledger.wish(release, access=other).reason == "forbidden"


def test_a_log_in_holds_until_it_ends_is_ended_or_its_user_changes(ledger):
    run = later_run(ledger)
    a_user(ledger)
    hold, release = HoldRun(run_id=run.run_id), ReleaseRun(run_id=run.run_id)
    one, two = logged_in(ledger, session_id="s1"), logged_in(ledger, session_id="s2")
    assert isinstance(ledger.wish(hold, access=one), Done)
    assert isinstance(ledger.wish(LogOut(), access=one), Done)
    assert ledger.wish(release, access=one).sentence == "the session does not hold any more"
    assert isinstance(ledger.wish(release, access=two), Done)
    assert isinstance(ledger.wish(ChangeUser(name="ann", role=Role.ADMIN)), Done)
    assert ledger.wish(hold, access=two).reason == "forbidden"
    three = logged_in(ledger, session_id="s3")
    ledger.restart()
    assert isinstance(ledger.wish(hold, access=three), Done)
    ledger.now_us += HOUR_US
    assert ledger.wish(release, access=three).reason == "forbidden"
    assert isinstance(ledger.wish(RemoveUser(name="ann")), Done)
    assert ledger.writer.reader.users() == []


def test_a_log_in_by_a_password_of_before_is_refused(ledger):
    a_user(ledger)
    ledger.wish(ChangeUser(name="ann", password="p2"))
    wish = LogIn(session_id="s", name="ann", password="p1", expires_us=ledger.now_us + 1)
    assert ledger.wish(wish, access=VIEWER).sentence == "the name or the password is wrong"
    wish = LogIn(session_id="s", name="bob", password="p1", expires_us=ledger.now_us + 1)
    assert ledger.wish(wish, access=VIEWER).reason == "forbidden"
    assert ledger.writer.reader.sessions() == []


def test_expired_log_ins_are_forgotten_at_the_next_one(ledger):
    a_user(ledger)
    logged_in(ledger, session_id="old")
    ledger.now_us += HOUR_US
    logged_in(ledger, session_id="new")
    assert [one.session_id for one in ledger.writer.reader.sessions()] == ["new"]


def test_labels_bound_each_wish_about_a_run_and_all_others_are_refused(ledger):
    mine = later_run(ledger, labels=("x", "z"))
    other = later_run(ledger, labels=("y",))
    bare = later_run(ledger)
    scoped = a_token(ledger, role=Role.ADMIN, labels=("x",))
    assert isinstance(ledger.wish(HoldRun(run_id=mine.run_id), access=scoped), Done)
    for run_id in (other.run_id, bare.run_id, "r999"):
        answer = ledger.wish(HoldRun(run_id=run_id), access=scoped)
        assert (answer.reason, answer.sentence) == ("not_found", f"unknown run {run_id}")
    for wish in (
        DrainAgent(agent_id="w", draining=True),
        AddUser(name="b", password="p", role=Role.VIEWER),
        AskLeave(act="reload_jobs"),
    ):
        assert "reaches only what has a label of: x" in ledger.wish(wish, access=scoped).sentence


def test_without_a_log_in_nothing_is_done_where_one_is_always_needed(ledger):
    run = later_run(ledger)
    a_user(ledger)
    ledger.writer.close()
    ledger.ledger = Ledger(ledger.writer.open(ledger.now_us), login_always=True)
    assert ledger.wish(HoldRun(run_id=run.run_id), access=ADMIN).reason == "forbidden"
    assert isinstance(ledger.wish(HoldRun(run_id=run.run_id), access=logged_in(ledger)), Done)


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        (AddUser(name="ann", password="p", role=Role.VIEWER), "wrong_state"),
        (AddUser(name="a b", password="p", role=Role.VIEWER), "bad_request"),
        (AddUser(name="", password="p", role=Role.VIEWER), "bad_request"),
        (AddUser(name="b", password="p", role=Role.VIEWER, labels=("",)), "bad_request"),
        (ChangeUser(name="ann"), "bad_request"),
        (ChangeUser(name="nobody", role=Role.ADMIN), "not_found"),
        (RemoveUser(name="nobody"), "not_found"),
        (RevokeApiToken(token_id="nothing"), "not_found"),
        (MakeApiToken(token_id="n", secret_hash="h", name="/", role=Role.ADMIN), "bad_request"),
        (
            MakeApiToken(token_id="n", secret_hash="h", name="n", role=Role.ADMIN, expires_us=1),
            "bad_request",
        ),
        (LogOut(), "bad_request"),
    ],
)
def test_what_makes_no_sense_is_refused(ledger, wish, reason):
    a_user(ledger)
    answer = ledger.wish(wish)
    assert isinstance(answer, Refused)
    assert answer.reason == reason
    assert [user.name for user in ledger.writer.reader.users()] == ["ann"]
    assert ledger.writer.reader.api_tokens() == []
