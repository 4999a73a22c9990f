"""Webhooks against a real HTTP server: what is sent, what counts as delivered, where none goes."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from http_stand import Hook

from callsheet.actors.deliver_limits import NotDelivered
from callsheet.actors.deliver_webhook import send_webhook
from callsheet.client.webhooks import BadWebhook, Webhooks
from callsheet.conf.action_settings import ActionSettings, Secret, WebhookSettings
from callsheet.jobs.actions import WebhookAction
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.commands import OutboxItem

NOW_S = 1_800_000_000
LOCAL = WebhookSettings(allow_hosts=frozenset({"127.0.0.1", "localhost"}))
SETTINGS = ActionSettings(webhooks=LOCAL, secrets={"k": Secret(text="s3cret-key")})


@pytest.fixture
def hook() -> Iterator[Callable[..., Hook]]:
    made: list[Hook] = []

    def make(*answers: Any, **fields: Any) -> Hook:
        made.append(Hook(*answers, **fields))
        return made[-1]

    yield make
    for one in made:
        one.close()


def an_item(action: WebhookAction, **fields: Any) -> OutboxItem:
    run = Run(run_id="r7", job_id="a", args={"x": "1"}, state=State.FAILURE, schedule_us=0)
    return OutboxItem(action_id="r7.9.0", run=run, action=action, at_us=5, **fields)


def send(url: str, settings: ActionSettings = SETTINGS, **fields: Any) -> str:
    limits = {name: fields.pop(name) for name in ("look_up", "timeout_s") if name in fields}
    action = WebhookAction(url=url, **fields)
    return send_webhook(action, an_item(action), settings, NOW_S, **limits)


def refusal(url: str, **fields: Any) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        send(url, **fields)
    return caught.value


# --- what is sent -------------------------------------------------------------------------------


def test_the_event_is_sent_as_json_with_its_key(hook):
    one = hook(204)
    assert send(one.url("/a?b=c")) == f"POST http://127.0.0.1:{one.port}: 204"
    [(method, path, headers, body)] = one.requests
    assert (method, path) == ("POST", "/a?b=c")
    assert headers["idempotency-key"] == "r7.9.0"
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{one.port}"
    event = json.loads(body)
    assert event["id"] == "r7.9.0"
    assert event["run"]["state"] == "failure"
    assert "webhook-signature" not in headers


def test_a_body_headers_and_a_method_of_its_own_are_sent(hook):
    one = hook()
    body = {"text": "é", "n": [1, None]}
    send(one.url(), body=body, method="PUT", headers={"content-type": "a/b", "X-Y": "ä"})
    send(one.url(), body="plain")
    [(method, _, headers, sent), (_, _, plain, text)] = one.requests
    assert method == "PUT"
    assert json.loads(sent) == body
    assert headers["content-type"] == "a/b"
    assert headers["x-y"].encode("latin-1").decode() == "ä"
    assert plain["content-type"].startswith("text/plain")
    assert text == b"plain"


def test_a_signature_is_taken_by_the_client_and_nothing_changed_is(hook):
    one = hook()
    send(one.url(), secret="k")
    [(_, _, headers, body)] = one.requests
    event = Webhooks("s3cret-key", clock=lambda: NOW_S + 60).check(headers, body)
    assert event["run"]["run_id"] == "r7"
    for changed, sent in ((headers, body + b" "), (headers | {"webhook-id": "r8.1.0"}, body)):
        with pytest.raises(BadWebhook, match="signature"):
            Webhooks("s3cret-key", clock=lambda: NOW_S).check(changed, sent)
    with pytest.raises(BadWebhook, match="signature"):
        Webhooks("another", clock=lambda: NOW_S).check(headers, body)


def test_a_replay_is_refused_after_five_minutes_and_told_when_it_comes_twice(hook):
    one = hook()
    send(one.url(), secret="k")
    [(_, _, headers, body)] = one.requests
    with pytest.raises(BadWebhook, match="expected a time within 300 s"):
        Webhooks("s3cret-key", clock=lambda: NOW_S + 301).check(headers, body)
    receiver = Webhooks("s3cret-key", clock=lambda: NOW_S)
    assert receiver.check(headers, body) is not None
    assert receiver.check(headers, body) is None
    receiver.forget(headers)
    assert receiver.check(headers, body) is not None


def test_a_secret_nobody_knows_is_told_by_its_name():
    error = refusal("http://127.0.0.1/", secret="nix")
    assert error.final
    assert str(error) == "secret nix: expected it among secrets in the settings"


# --- what counts --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_an_answer_that_is_no_success_is_an_error_to_be_tried_again(hook, status):
    error = refusal(hook(status).url())
    assert not error.final
    assert str(status) in str(error)
    assert str(error).endswith("said no more")


def test_gone_is_for_good(hook):
    assert refusal(hook(410).url()).final


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(hook, status):
    one = hook(status)
    error = refusal(one.url())
    assert error.final
    assert "a redirect: expected the final address" in str(error)
    assert len(one.requests) == 1


def test_nobody_there_is_an_error_to_be_tried_again():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    error = refusal(f"http://127.0.0.1:{port}/secret-path?token=t")
    assert not error.final
    assert "refused" in str(error)
    assert "secret-path" not in str(error)


def test_an_answer_without_end_is_read_no_further_than_needed(hook):
    def flood(handler: Any) -> None:
        handler.send_response(500)
        handler.end_headers()
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b"x" * 65_536)

    assert "500" in str(refusal(hook(flood).url()))


@pytest.mark.slow
def test_an_answer_that_trickles_is_cut_off(hook):
    def trickle(handler: Any) -> None:
        with contextlib.suppress(OSError):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-A: ")
            for _ in range(600):
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(0.05)

    error = refusal(hook(trickle).url(), timeout_s=0.5)
    assert "took longer than 0.5 s" in str(error)
    assert not error.final


def test_a_server_that_says_nothing_is_cut_off(hook):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        error = refusal(f"http://127.0.0.1:{port}/", timeout_s=0.2)
    assert "0.2 s" in str(error) or "in time" in str(error)


@pytest.mark.parametrize("said", [b"nonsense\r\n\r\n", b"", b"HTTP/1.1 999999 x\r\n\r\n"])
def test_an_answer_that_is_no_http_is_an_error(hook, said):
    error = refusal(hook(lambda handler: handler.wfile.write(said)).url())
    assert not error.final


# --- where none goes ----------------------------------------------------------------------------

REFUSED = [
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://0x7f.1/",
    "http://2130706433/",
    "http://10.0.0.1/",
]


@pytest.mark.parametrize("url", REFUSED)
def test_the_inside_is_out_of_reach(url):
    error = refusal(url, settings=ActionSettings())
    assert error.final
    assert "expected a public address" in str(error)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://127.0.0.1/x", "http:///x", "x"])
def test_only_http_is_spoken(url):
    error = refusal(url)
    assert error.final
    assert "expected https or http" in str(error)


def test_a_url_with_a_password_is_refused_without_being_shown():
    error = refusal("http://u:hunter2@127.0.0.1/")
    assert error.final
    assert "hunter2" not in str(error)


def test_a_name_is_resolved_once_and_the_judged_address_is_what_is_connected_to(hook):
    one = hook()
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        # A public address for the judge; whoever asked again would be led inside.
        return ["93.184.216.34"] if len(asked) == 1 else ["127.0.0.1"]

    url = one.url(host="rebind.example")
    with pytest.raises(NotDelivered):
        send(url, settings=ActionSettings(), look_up=rebinding, timeout_s=0.3)
    assert asked == ["rebind.example"]
    assert one.requests == []


def test_a_listed_host_is_reached_under_its_own_name(hook):
    one = hook()
    settings = ActionSettings(webhooks=WebhookSettings(allow_hosts=frozenset({"inner.example"})))
    send(one.url(host="inner.example"), settings, look_up=lambda host, port: ["127.0.0.1"])
    [(_, _, headers, _)] = one.requests
    assert headers["host"] == f"inner.example:{one.port}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(command, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key").read_bytes() + (folder / "cert").read_bytes())
    return both


@pytest.mark.slow
def test_a_certificate_nobody_vouches_for_is_refused(hook, certificate):
    one = hook(tls=certificate)
    error = refusal(one.url(host="localhost", scheme="https"))
    assert "certificate: self-signed certificate" in str(error)
    assert one.requests == []


@pytest.mark.slow
def test_a_certificate_is_for_a_host(hook, certificate, monkeypatch):
    one = hook(tls=certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert send(one.url(host="localhost", scheme="https")).endswith("200")
    error = refusal(one.url(host="127.0.0.1", scheme="https"))
    assert "certificate:" in str(error)
    assert len(one.requests) == 1
