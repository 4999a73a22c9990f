"""Mails against a real SMTP server: what arrives, what is refused for good, and what for now."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from email.message import Message
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as Collecting
from aiosmtpd.smtp import AuthResult
from ports import free_port

from callsheet.actors.deliver_limits import NotDelivered
from callsheet.actors.deliver_mail import send_mail
from callsheet.conf.action_settings import ActionSettings, Secret, SmtpSettings
from callsheet.jobs.actions import EmailAction
from callsheet.jobs.run import Run
from callsheet.jobs.states import State
from callsheet.messages.commands import OutboxItem


class MailServer(Collecting):
    """Takes mails for anybody but those it has a code for."""

    def __init__(self, codes: dict[str, str]) -> None:
        super().__init__()
        self.mails: list[Message] = []
        self.codes = codes

    def handle_message(self, message: Message) -> None:
        """Keep a mail."""
        self.mails.append(message)

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        """Take a recipient, or answer with its code."""
        code = self.codes.get(address)
        if code is None:
            envelope.rcpt_tos.append(address)
            return "250 OK"
        return f"{code} no {address}"


@pytest.fixture
def a_server() -> Iterator[Callable[..., tuple[MailServer, int]]]:
    made: list[Controller] = []

    def make(codes: dict[str, str] | None = None, **fields: Any) -> tuple[MailServer, int]:
        handler = MailServer(codes or {})
        port = free_port()
        controller = Controller(handler, hostname="127.0.0.1", port=port, **fields)
        controller.start()
        made.append(controller)
        return handler, port

    yield make
    for controller in made:
        controller.stop()


def send(port: int, action: EmailAction | None = None, timeout_s: float = 30, **smtp: Any) -> str:
    run = Run(run_id="r7", job_id="a", args={}, state=State.FAILURE, schedule_us=0)
    action = action or EmailAction(to=("ops@x.org",), subject="s", body="b")
    item = OutboxItem(action_id="r7.9.0", run=run, action=action, at_us=5)
    fields = {"host": "127.0.0.1", "sender": "callsheet@x.org"} | smtp
    settings = ActionSettings(smtp=SmtpSettings(port=port, **fields))
    return send_mail(action, item, settings, timeout_s=timeout_s)


def refusal(port: int, action: EmailAction | None = None, **fields: Any) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        send(port, action, **fields)
    return caught.value


def test_a_mail_arrives_with_its_key(a_server):
    server, port = a_server()
    action = EmailAction(
        to=("Ops <ops@x.org>", "a@x.org"),
        cc=("b@x.org",),
        sender="me@y.org",
        subject="Grüße\nand more",
        body="Körper\n.\nend",
    )
    assert send(port, action) == "mail to ops@x.org, a@x.org, b@x.org"
    [mail] = server.mails
    assert mail["X-RcptTo"] == "ops@x.org, a@x.org, b@x.org"
    assert mail["Message-ID"] == "<r7.9.0.5@y.org>"
    assert mail["From"] == "me@y.org"
    assert mail["Auto-Submitted"] == "auto-generated"
    payload = mail.get_payload(decode=True)
    assert payload.decode("utf-8").replace("\r\n", "\n").rstrip() == "Körper\n.\nend"
    from email.header import decode_header, make_header

    assert str(make_header(decode_header(mail["Subject"]))) == "Grüße and more"


@pytest.mark.parametrize("address", ["a@x\nBcc: evil@x", "", "a b@x", "<>", "a@x, b@x"])
def test_an_address_that_a_template_made_wrong_is_refused(address):
    error = refusal(1, EmailAction(to=(address,), subject="s", body="b"))
    assert error.final


def test_without_a_server_in_the_settings_no_mail_is_sent():
    run = Run(run_id="r7", job_id="a", args={}, state=State.FAILURE, schedule_us=0)
    action = EmailAction(to=("a@x.org",))
    item = OutboxItem(action_id="r7.9.0", run=run, action=action, at_us=5)
    with pytest.raises(NotDelivered, match="expected smtp in the settings") as caught:
        send_mail(action, item, ActionSettings())
    assert caught.value.final


@pytest.mark.parametrize(("code", "final"), [("550", True), ("450", False)])
def test_a_recipient_refused_for_good_is_not_tried_again(a_server, code, final):
    _, port = a_server({"ops@x.org": code})
    error = refusal(port)
    assert error.final is final
    assert f"{code} no ops@x.org" in str(error)


def test_nobody_there_is_an_error_to_be_tried_again():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    error = refusal(port)
    assert not error.final
    assert str(error) == "email: 127.0.0.1: Connection refused"


def test_a_server_that_says_nothing_is_cut_off():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refusal(silent.getsockname()[1], timeout_s=0.2)
    assert not error.final


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> tuple[ssl.SSLContext, str]:
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return context, str(folder / "cert")


def authenticator(server, session, envelope, mechanism, data) -> AuthResult:
    is_right = (data.login, data.password) == (b"me", b"s3cret-password")
    return AuthResult(success=is_right, handled=False)


@pytest.mark.slow
def test_a_password_goes_over_tls_alone_and_is_never_told(a_server, tls, monkeypatch):
    context, path = tls
    server, port = a_server(tls_context=context, authenticator=authenticator, auth_required=True)
    fields = {"host": "localhost", "tls": "starttls", "username": "me"}
    good, bad = Secret(text="s3cret-password"), Secret(text="wr0ng-password")
    assert "certificate" in str(refusal(port, password=good, **fields)).lower()
    monkeypatch.setenv("SSL_CERT_FILE", path)
    error = refusal(port, password=bad, **fields)
    assert not error.final
    assert "535" in str(error)
    assert "wr0ng" not in str(error)
    send(port, password=good, **fields)
    assert len(server.mails) == 1


@pytest.mark.slow
def test_a_server_that_speaks_tls_from_the_start_is_spoken_to_so(a_server, tls, monkeypatch):
    context, path = tls
    monkeypatch.setenv("SSL_CERT_FILE", path)
    server, port = a_server(ssl_context=context)
    send(port, host="localhost", tls="tls")
    assert len(server.mails) == 1
    assert "certificate" in str(refusal(port, host="127.0.0.1", tls="tls")).lower()
