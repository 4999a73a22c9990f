"""Sends a mail by the server the settings name, within a limit of time.

The `Message-ID` is made of the action's id, so that a mail sent twice can be told by its reader's
program.
"""

from __future__ import annotations

import email.errors
import email.utils
import smtplib
import socket
import ssl
from email.message import EmailMessage

from ..conf.action_settings import ActionSettings, SmtpSettings
from ..jobs.actions import EmailAction
from ..messages.commands import OutboxItem
from .deliver_limits import NotDelivered, TimeLimit

TIMEOUT_S = 30.0
SUBJECT_CHARACTERS = 500
SAID_CHARACTERS = 200


def send_mail(
    action: EmailAction, item: OutboxItem, settings: ActionSettings, *, timeout_s: float = TIMEOUT_S
) -> str:
    """Send the mail of an action whose texts are filled in; return what to say of it.

    Raises:
        NotDelivered: the server was not reached, or did not take it.
    """
    smtp = settings.smtp
    if smtp is None:
        raise NotDelivered("email: expected smtp in the settings", final=True)
    message = make_message(action, item, smtp)
    to = [address for _, address in email.utils.getaddresses([*action.to, *action.cc])]
    with TimeLimit(timeout_s) as limit:
        try:
            _send(message, to, smtp, limit)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            what = f"took longer than {timeout_s:g} s" if limit.is_over else _what(error)
            raise NotDelivered(f"email: {smtp.host}: {what}", final=_is_final(error)) from None
    return f"mail to {', '.join(to)}"


def make_message(action: EmailAction, item: OutboxItem, smtp: SmtpSettings) -> EmailMessage:
    """Return the mail.

    Raises:
        NotDelivered: an address is none.
    """
    sender = action.sender or smtp.sender or f"callsheet@{socket.gethostname()}"
    message = EmailMessage()
    try:
        message["From"] = _address(sender)
        message["To"] = ", ".join(map(_address, action.to))
        if action.cc:
            message["Cc"] = ", ".join(map(_address, action.cc))
        message["Subject"] = " ".join((action.subject or "").split())[:SUBJECT_CHARACTERS]
        domain = email.utils.parseaddr(sender)[1].rpartition("@")[2] or "localhost"
        # The time makes it differ from another server's action of the same id.
        message["Message-ID"] = f"<{item.action_id}.{item.at_us}@{domain}>"
        message["Date"] = email.utils.formatdate(item.at_us / 1e6)
        message["Auto-Submitted"] = "auto-generated"
        message["X-Callsheet-Action"] = item.action_id
        if item.run is not None:
            message["X-Callsheet-Run"] = item.run.run_id
    except (ValueError, IndexError, email.errors.MessageError) as error:
        raise NotDelivered(f"email: {_what(error)}", final=True) from None
    message.set_content(action.body or "")
    return message


def _address(text: str) -> str:
    found = email.utils.getaddresses([text])
    name, address = found[0] if len(found) == 1 else ("", "")
    if not address or not text.isprintable() or any(char in address for char in ' ,;<>"'):
        sentence = f"email: {text[:SAID_CHARACTERS]!r}: expected an address like ops@example.com"
        raise NotDelivered(sentence, final=True)
    return email.utils.formataddr((name, address))


def _send(message: EmailMessage, to: list[str], smtp: SmtpSettings, limit: TimeLimit) -> None:
    context = ssl.create_default_context() if smtp.tls != "off" else None
    if smtp.tls == "tls":
        assert context is not None, "TLS needs a context"
        server: smtplib.SMTP = smtplib.SMTP_SSL(timeout=limit.limit_s, context=context)
    else:
        server = smtplib.SMTP(timeout=limit.limit_s)
    # `starttls` checks the certificate against this name.
    server._host = smtp.host  # type: ignore[attr-defined]
    try:
        server.connect(smtp.host, smtp.port)
        limit.watch(server.sock)
        if smtp.tls == "starttls":
            server.starttls(context=context)
            limit.watch(server.sock)
        if smtp.username is not None and smtp.password is not None:
            server.login(smtp.username, smtp.password.read())
        server.send_message(message, to_addrs=to)
        server.quit()
    finally:
        server.close()


def _is_final(error: Exception) -> bool:
    """Whether the server said that it will not take this mail, ever."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return False  # A password can be put right.
    return isinstance(error, smtplib.SMTPResponseException) and error.smtp_code >= 500


def _what(error: Exception) -> str:
    match error:
        case smtplib.SMTPRecipientsRefused():
            said = [
                f"{who}: {code} {_text(text)}" for who, (code, text) in error.recipients.items()
            ]
            return "; ".join(said)[:SAID_CHARACTERS]
        case smtplib.SMTPResponseException():
            return f"{error.smtp_code} {_text(error.smtp_error)}"
        case TimeoutError():
            return "no answer in time"
        case OSError() if error.strerror:
            return str(error.strerror)
        case _:
            return " ".join(str(error).split())[:SAID_CHARACTERS] or type(error).__name__


def _text(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join(text.split())[:SAID_CHARACTERS]
