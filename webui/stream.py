"""The one event stream, `/api/v2/stream`: topics over a WebSocket, JSON both ways.

A client subscribes with an id of its own; everything about that subscription carries it. What a
client must do to stay right after a loss is in docs/api.md: `{"id", "resync": true}` tells it to
read the list again, the subscription goes on by itself.
"""

from __future__ import annotations

import msgspec

from ..jobs.times import format_time_ms
from .gate import out_of_reach
from .outbox import Outbox
from .query import BadQuery
from .routing import Problem, encode
from .seam import Status
from .server_topics import SCOPED_TOPICS, TOPIC_ROLES, TOPICS
from .services import Services
from .sockets import SocketHandler
from .topics import Op, Subscription

MAX_SUBSCRIPTIONS = 100
MAX_ID = 100


class _Named(msgspec.Struct):
    """An op of which but the id can be read."""

    id: str


_decode_op = msgspec.json.Decoder(Op).decode
_decode_named = msgspec.json.Decoder(_Named).decode


class StreamSocket(SocketHandler):
    """The socket: takes ops, holds subscriptions, sends beats."""

    PATH = "/api/v2/stream"

    outbox: Outbox

    def initialize(self, services: Services) -> None:
        """Take the services."""
        super().initialize(services)
        self._subscriptions: dict[str, Subscription] = {}

    def open(self, *args: str, **kwargs: str) -> None:
        """Begin with a beat, so that the client knows where the stream stands."""
        self.set_nodelay(value=True)
        self.admitted()
        self.outbox = Outbox(self, self._overflowed, self.services.waiting)
        self.services.hub.add_beat(self)  # type: ignore[arg-type]
        self.status(self.services.hub.status)

    def on_close(self) -> None:
        """Follow nothing any more."""
        self.gone()
        self.services.hub.drop_beat(self)  # type: ignore[arg-type]
        for subscription in self._subscriptions.values():
            subscription.end()
        self._subscriptions.clear()
        self.outbox.stop()

    def on_message(self, message: str | bytes) -> None:
        """Take one op."""
        try:
            op = _decode_op(message)
            self._take(op)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            id_ = _id_of(message)
            expected = "an op with an id" if id_ is None else ", ".join(Op.__struct_fields__)
            self.refuse(id_, 400, f"message: {error}: expected {expected}")
        except BadQuery as error:
            self.refuse(op.id, 400, str(error))
        except Problem as problem:
            self.refuse(op.id, problem.status, problem.sentence)

    def _take(self, op: Op) -> None:
        if len(op.id) > MAX_ID:
            raise Problem(400, f"id: expected at most {MAX_ID} characters")
        if op.op == "unsubscribe":
            self._drop(op.id)
            return
        if op.op != "subscribe":
            raise Problem(400, f"op {op.op[:50]!r}: expected subscribe or unsubscribe")
        kind = TOPICS.get(op.topic)
        if kind is None:
            raise Problem(400, f"topic {op.topic[:50]!r}: expected one of {', '.join(TOPICS)}")
        if self.guest is not None and self.guest.access.labels and op.topic not in SCOPED_TOPICS:
            raise Problem(403, out_of_reach(self.guest))
        role = TOPIC_ROLES.get(op.topic)
        if role is not None and (self.guest is None or not self.guest.access.role.covers(role)):
            raise Problem(403, f"topic {op.topic}: expected the role {role}")
        subscription = kind(self, op)
        self._drop(op.id)
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise Problem(400, f"expected at most {MAX_SUBSCRIPTIONS} subscriptions of a socket")
        self._subscriptions[op.id] = subscription
        subscription.begin()

    def _drop(self, id_: str) -> None:
        old = self._subscriptions.pop(id_, None)
        if old is not None:
            old.end()

    def refuse(self, id_: str | None, status: int, sentence: str) -> None:
        """Answer an op with an error; a subscription of that id ends."""
        if id_ is not None:
            self._drop(id_)
        self.outbox.push(encode({"id": id_, "error": sentence, "status": status}), must=True)

    def _overflowed(self) -> None:
        """The client reads again after it was too slow: what waited is gone."""
        for subscription in self._subscriptions.values():
            subscription.say_resync()

    def status(self, status: Status) -> None:
        """Send the beat."""
        time = format_time_ms(self.services.now_us())
        ledger = status.ledger_age_s
        beat = {"epoch": status.epoch, "seq": status.seq, "time": time}
        up = ledger is not None and ledger < 5.0
        self.outbox.push(encode({"beat": {**beat, "ready": status.ready, "ledger": up}}))


def _id_of(message: str | bytes) -> str | None:
    """Return the id in an op that cannot be read, None when it has none."""
    try:
        return _decode_named(message).id[:MAX_ID]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
