"""Every role hears from every kind of peer just what that peer has to say: all kinds of messages
and wishes of all directions are tried."""

from typing import get_args, get_origin

import msgspec
import pytest

from callsheet.messages import codec
from callsheet.messages.access import OfAccess
from callsheet.messages.agents import AnyFromAgent, AnyToAgent
from callsheet.messages.codec import BadFrame
from callsheet.messages.commands import AnyFromLedger
from callsheet.messages.instructions import AnyToLedger
from callsheet.messages.post import LEDGER, RUNNER, SCHEDULER
from callsheet.messages.verbs import READERS
from callsheet.messages.wishes import LedgerWish, ToLedgerWish, ToSchedulerWish

KINDS = ("scheduler", "waiter", "runner", "responder", "checker", "web", "binder", "agent")

# Written out, so that the table has something to agree with.
SAID = {
    (
        LEDGER,
        "scheduler",
    ): "Hello ApplyJobs ExpectRuns RunsDue RunsSoon RunsLate LeaseIds LedgerWish",
    (LEDGER, "waiter"): "Hello ClearRun ConcludeRun NoteRun",
    (LEDGER, "runner"): (
        "Hello AttemptStarted AttemptEnded AttemptUpdated AgentsTaken AskClaim LedgerWish"
    ),
    (LEDGER, "responder"): "Hello ActionSettled ActionTried",
    (LEDGER, "checker"): "Hello CheckReport AskDigest",
    (LEDGER, "web"): "Hello Replay LedgerWish",
    (SCHEDULER, "binder"): "BoundRuns FolderLoaded BinderReady",
    (SCHEDULER, "responder"): "SchedulerWish",
    (SCHEDULER, "web"): "SchedulerWish AskStanding",
    (RUNNER, "agent"): (
        "AgentHello AgentBeat ProcessStarted ProcessRefused ProcessEnded ProcessLost ProcessNoted "
        "OutputChunk ProcessList Fenced"
    ),
    (RUNNER, "checker"): "AskAgents",
    (RUNNER, "web"): "AskAgents",
}
WISHED = {
    "scheduler": {"AddRuns", "DeclineWish", "AddBackfill"},
    "runner": {"EnrolAgent"},
    # Whatever is new is people's, unless it stands above.
    "web": {kind.__name__ for kind in get_args(ToLedgerWish)}
    - {"AddRuns", "DeclineWish", "AddBackfill", "EnrolAgent"},
}
OTHERS = ("__init__", "_private", "unpack", "Message", "", "hello", "Hello ")


def verbs():
    """The names of all kinds of messages of all readers there are."""
    readers = [one for one in vars(codec).values() if isinstance(one, codec.Reader)]
    names = set()
    for reader in readers:
        (accepted,) = get_args(reader._decoder.type)
        for kind in get_args(accepted) or (accepted,):
            # (A frame of the feed is one of a kind of records.)
            names.add((get_origin(kind) or kind).__struct_config__.tag)
    for union in (AnyToLedger, AnyFromLedger, AnyFromAgent, AnyToAgent):
        names |= {kind.__struct_config__.tag for kind in get_args(union)}
    return sorted(names)


def is_heard(reader, verb):
    """Whether a message of that kind is taken, as far as its kind is concerned."""
    try:
        reader.unpack(msgspec.msgpack.encode([{"kind": verb}]))
    except BadFrame as refused:
        # A field that is missing is the next thing to be looked at.
        return "missing required field" in str(refused)
    return True


def test_the_walk_knows_every_message():
    assert len(verbs()) > 50
    assert {word for said in SAID.values() for word in said.split()} <= set(verbs())


@pytest.mark.parametrize("role", [LEDGER, SCHEDULER, RUNNER])
@pytest.mark.parametrize("kind", KINDS)
def test_of_all_messages_a_role_hears_from_a_peer_just_those_that_are_its_to_say(role, kind):
    reader = READERS[role].get(kind)
    expected = set(SAID.get((role, kind), "").split())
    if reader is None:
        assert not expected
        return
    heard = {verb for verb in (*verbs(), *OTHERS) if is_heard(reader, verb)}
    assert heard == expected


def a_wish(kind):
    """A frame with a wish of that kind, with fields of no meaning."""
    fields = {
        field.name: _value(field.type) for field in msgspec.structs.fields(kind) if field.required
    }
    tag = kind.__struct_config__.tag
    wish = {"kind": "LedgerWish", "command_id": "c", "principal": "p"}
    return msgspec.msgpack.encode([wish | {"instruction": {"kind": tag} | fields}])


def _value(type_):
    """Something that a field of this type takes."""
    if isinstance(type_, str):
        return type_  # One of the values that there are.
    for value in ("success", "viewer", "job", 1, "r1", "a", [], {}, b"", True, None):
        try:
            msgspec.convert(value, type_)
        except msgspec.ValidationError:
            continue
        return value
    if not hasattr(type_, "__struct_config__"):
        return _value(get_args(type_)[0])
    tag = type_.__struct_config__.tag
    return ({"kind": tag} if tag else {}) | {
        field.encode_name: _value(field.type)
        for field in msgspec.structs.fields(type_)
        if field.required
    }


@pytest.mark.parametrize("kind", ["scheduler", "runner", "web"])
def test_of_all_wishes_the_ledger_takes_from_a_peer_just_those_that_are_its_to_make(kind):
    reader = READERS[LEDGER][kind]
    for wish in get_args(ToLedgerWish):
        frame = a_wish(wish)
        codec.LEDGER_READER.unpack(frame)  # It is a wish as such.
        if wish.__name__ in WISHED[kind]:
            assert len(reader.unpack(frame)) == 1
        else:
            with pytest.raises(BadFrame, match="not this peer's"):
                reader.unpack(frame)


def test_all_wishes_are_somebodys():
    assert set.union(*WISHED.values()) == {kind.__name__ for kind in get_args(ToLedgerWish)}
    assert {kind.__name__ for kind in get_args(OfAccess)} <= WISHED["web"]
    assert len(get_args(ToSchedulerWish)) >= 4
    assert LedgerWish.__struct_config__.tag == "LedgerWish"
