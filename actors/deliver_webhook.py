"""Sends a webhook: one HTTP request to an address that was judged, within limits of time and size.

Redirects are not followed: where one leads was not judged, and a request that changes nothing would
look delivered. What the answer says is not read further than a sentence needs.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

from ..conf.action_settings import ActionSettings
from ..jobs.actions import WebhookAction
from ..jobs.signing import signature
from ..messages.commands import OutboxItem
from .addresses import AddressRefused, NotResolved, Resolve, choose, resolve
from .deliver_limits import NotDelivered, TimeLimit
from .delivery_texts import event_of

TIMEOUT_S = 30.0
# Of the answer; the rest is left unread.
ANSWER_BYTES = 64 * 2**10
BODY_BYTES = 2**20
SAID_CHARACTERS = 200
GONE = 410
AGENT = "callsheet"


class _Connection(http.client.HTTPConnection):
    """A connection to the address that was judged, whatever the host's name means by now."""

    def __init__(self, host: str, port: int, address: str, limit: TimeLimit, *, tls: bool) -> None:
        super().__init__(host, port, timeout=limit.limit_s)
        self._address = address
        self._limit = limit
        self._tls = tls

    def connect(self) -> None:
        """Connect, and for HTTPS prove who is there."""
        plain = socket.create_connection((self._address, self.port), self.timeout)
        self._limit.watch(plain)
        self.sock = plain
        if self._tls:
            context = ssl.create_default_context()
            secured = context.wrap_socket(
                plain, server_hostname=self.host, do_handshake_on_connect=False
            )
            self.sock = secured
            self._limit.watch(secured)
            secured.do_handshake()


def send_webhook(
    action: WebhookAction,
    item: OutboxItem,
    settings: ActionSettings,
    now_s: int,
    *,
    look_up: Resolve = resolve,
    timeout_s: float = TIMEOUT_S,
) -> str:
    """Send the request of an action whose texts are filled in; return what to say of it.

    Args:
        now_s: the time that the signature states (seconds UTC).
        look_up: gives the addresses of a host.
    Raises:
        NotDelivered: it was refused, not reached, or answered by anything but success.
    """
    body = _body(action, item)
    headers = _headers(action, item, settings, body, now_s)
    with TimeLimit(timeout_s) as limit:
        connection, target = _connection(action.url, settings, limit, look_up)
        try:
            connection.request(action.method, target, body, headers)
            answer = connection.getresponse()
            said = answer.read(ANSWER_BYTES) if answer.status >= 300 else b""
        except ssl.SSLCertVerificationError as error:
            sentence = f"{_place(action)}: certificate: {error.verify_message}"
            raise NotDelivered(sentence) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            what = f"took longer than {timeout_s:g} s" if limit.is_over else _what(error)
            raise NotDelivered(f"{_place(action)}: {what}") from None
        finally:
            connection.close()
        if limit.is_over:
            # What was cut off may look whole.
            raise NotDelivered(f"{_place(action)}: took longer than {timeout_s:g} s")
    return _judge(action, answer, said)


def _body(action: WebhookAction, item: OutboxItem) -> bytes:
    if isinstance(action.body, str):
        body = action.body.encode()
    else:
        event = event_of(item)
        body = json.dumps(event if action.body is None else action.body).encode()
    if len(body) > BODY_BYTES:
        raise NotDelivered(f"body: {len(body)} bytes: expected at most {BODY_BYTES}", final=True)
    return body


def _headers(
    action: WebhookAction, item: OutboxItem, settings: ActionSettings, body: bytes, now_s: int
) -> dict[str, str]:
    kind = "text/plain; charset=utf-8" if isinstance(action.body, str) else "application/json"
    headers = {
        "Content-Type": kind,
        "User-Agent": AGENT,
        "Idempotency-Key": item.action_id,
        "Connection": "close",
    }
    for name, text in action.headers.items():
        if any(ord(char) < 32 for char in text):
            raise NotDelivered(f"header {name}: expected a text of one line", final=True)
        # As set in the job, whatever the case of the name: there is one of each.
        headers = {key: value for key, value in headers.items() if key.lower() != name.lower()}
        headers[name] = text.encode().decode("latin-1")
    if action.secret is not None:
        secret = settings.secrets.get(action.secret)
        if secret is None:
            sentence = f"secret {action.secret}: expected it among secrets in the settings"
            raise NotDelivered(sentence, final=True)
        headers["webhook-id"] = item.action_id
        headers["webhook-timestamp"] = str(now_s)
        headers["webhook-signature"] = signature(secret.read(), item.action_id, now_s, body)
    return headers


def _connection(
    url: str, settings: ActionSettings, limit: TimeLimit, look_up: Resolve
) -> tuple[_Connection, str]:
    """Return a connection to a judged address, not open yet, and the target of the request."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise NotDelivered(
            "url: expected an address like https://example.com/hook", final=True
        ) from None
    tls = parts.scheme == "https"
    if not parts.hostname or parts.scheme not in ("http", "https"):
        sentence = f"url: scheme {parts.scheme[:20]!r}: expected https or http, and a host"
        raise NotDelivered(sentence, final=True)
    if parts.username is not None or parts.password is not None:
        raise NotDelivered("url: holds a user name or password: expected none", final=True)
    port = port or (443 if tls else 80)
    try:
        address = choose(parts.hostname, port, settings.webhooks, look_up)
    except AddressRefused as error:
        raise NotDelivered(str(error), final=True) from None
    except NotResolved as error:
        raise NotDelivered(str(error)) from None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Connection(parts.hostname, port, address, limit, tls=tls), target


def _judge(action: WebhookAction, answer: http.client.HTTPResponse, said: bytes) -> str:
    where = f"{action.method} {_place(action)}"
    if 200 <= answer.status < 300:
        return f"{where}: {answer.status}"
    if 300 <= answer.status < 400:
        sentence = f"{where}: {answer.status}, a redirect: expected the final address"
        raise NotDelivered(sentence, final=True)
    text = " ".join(said.decode("utf-8", "replace").split())[:SAID_CHARACTERS]
    sentence = f"{where}: {answer.status} {answer.reason}{': ' if text else ''}{text}"
    raise NotDelivered(sentence, final=answer.status == GONE)


def _place(action: WebhookAction) -> str:
    """Return scheme, host and port of the address: its path and query may hold a secret."""
    parts = urlsplit(action.url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _what(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text: Any = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(str(text).split())[:SAID_CHARACTERS] or type(error).__name__
