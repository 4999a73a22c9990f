"""Carries actions out: which module does which kind, what is allowed, and what may be said of it.

Called by the responder's stage, on a thread for each delivery; the responder's core bounds how many
there are. Whatever goes wrong comes back as a sentence in which no secret is left.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Mapping

from ..conf.action_settings import ActionSettings
from ..jobs import registry
from ..jobs.action_texts import fill_plain, filled, texts_of
from ..jobs.actions import (
    Action,
    CommandAction,
    EmailAction,
    ExtensionAction,
    NotifyAction,
    ScheduleAction,
    WebhookAction,
)
from ..jobs.errors import UserError
from ..jobs.masking import mask
from ..messages.commands import OutboxItem
from ..wire.log_lines import about
from . import clock
from .addresses import Resolve, resolve
from .deliver_limits import NotDelivered
from .deliver_mail import send_mail
from .deliver_process import ask_child, run_command
from .deliver_webhook import send_webhook
from .delivery_seam import ArgsFilled, Delivered
from .delivery_texts import environment_of, event_of, log_terms_of, names_of

log = logging.getLogger("callsheet.actions")

RENDER_S = 20.0
NOTIFY_S = 60.0
COMMAND_US = 60_000_000


class Deliveries:
    """Carries out one action a call; used by several threads at once."""

    def __init__(self, settings: ActionSettings, look_up: Resolve = resolve) -> None:
        self._settings = settings
        self._look_up = look_up

    def carry_out(self, item: OutboxItem) -> Delivered | ArgsFilled:
        """Carry out an action once, and say what became of it."""
        try:
            return self._carry_out(item)
        except NotDelivered as error:
            return self._failed(item, str(error), final=error.final)
        except UserError as error:
            return self._failed(item, str(error), final=True)
        except Exception as error:  # noqa: BLE001 - one action must not keep others from their turn
            return self._failed(item, f"{type(error).__name__}: {error}", final=False)

    def _carry_out(self, item: OutboxItem) -> Delivered | ArgsFilled:
        action = item.action
        if isinstance(action, ScheduleAction):
            done = _fill(action, item.of_run.args, item.of_run.results)
            assert isinstance(done, ScheduleAction), "an action keeps its kind"
            return ArgsFilled(action_id=item.action_id, args=done.args)
        self._check_allowed(item)
        results = {} if item.run is None else item.run.results
        done = _fill(action, names_of(item), results)
        match done:
            case EmailAction():
                message = send_mail(done, item, self._settings)
            case WebhookAction():
                now_s = clock.now_us() // 1_000_000
                message = send_webhook(done, item, self._settings, now_s, look_up=self._look_up)
            case CommandAction():
                message = _command(done, item)
            case NotifyAction():
                message = self._notify(done)
            case ExtensionAction():
                message = _extension(done, item)
        log.info(
            "action %s: %s",
            item.action_id,
            message,
            extra=about(**log_terms_of(item)),
        )
        return Delivered(action_id=item.action_id, message=message)

    def _check_allowed(self, item: OutboxItem) -> None:
        if isinstance(item.action, ExtensionAction):
            return  # That the settings name its type is what allows it.
        kind = type(item.action).__struct_config__.tag
        if kind not in self._settings.allow:
            sentence = f"{kind} actions are not allowed: expected {kind} in actions.allow"
            raise NotDelivered(f"{sentence} of the settings", final=True)
        if item.run is not None and item.run.ad_hoc and kind == "command":
            # Whoever may post a job must not become the server's user by it.
            raise NotDelivered("command actions of ad hoc jobs are not allowed", final=True)

    def _notify(self, action: NotifyAction) -> str:
        service = self._settings.services.get(action.service)
        if service is None:
            sentence = f"service {action.service}: expected it among notify in the settings"
            raise NotDelivered(sentence, final=True)
        if importlib.util.find_spec("apprise") is None:
            raise NotDelivered(
                "notify: apprise is not installed: expected callsheet[notify]", final=True
            )
        question = {"url": service.read(), "title": action.title, "body": action.body}
        answer = ask_child("notify_child", question, NOTIFY_S)
        if not answer["known"]:
            sentence = f"service {action.service}: its URL is of no known service"
            raise NotDelivered(sentence, final=True)
        if not answer["sent"]:
            raise NotDelivered(f"service {action.service}: did not take it")
        return f"notified {action.service}"

    def _failed(self, item: OutboxItem, sentence: str, *, final: bool) -> Delivered:
        error = self._masked(sentence)
        log.warning(
            "action %s of job %s: %s",
            item.action_id,
            item.whose,
            error,
            extra=about(**log_terms_of(item)),
        )
        return Delivered(action_id=item.action_id, error=error, final=final)

    def _masked(self, sentence: str) -> str:
        """Return a sentence without any of the secrets of the settings."""
        settings = self._settings
        secrets = [*settings.secrets.values(), *settings.services.values()]
        if settings.smtp is not None and settings.smtp.password is not None:
            secrets.append(settings.smtp.password)
        for secret in secrets:
            with contextlib.suppress(UserError):
                secret.read()  # which has it masked
        return mask(sentence)


def _fill(action: Action, names: Mapping[str, str], results: Mapping[str, str]) -> Action:
    """Fill in the texts of an action: names here, anything more in a process under limits.

    Raises:
        UserError: a text cannot be filled in.
        NotDelivered: the process took too long, or died.
    """
    found: dict[str, str] = {}
    harder: list[str] = []
    for text in dict.fromkeys(texts_of(action)):
        plain = fill_plain(text, names)
        if plain is None:
            harder.append(text)
        else:
            found[text] = plain
    if harder:
        question = {"texts": harder, "names": dict(names), "results": dict(results)}
        answer = ask_child("render_child", question, RENDER_S)
        if "error" in answer:
            raise NotDelivered(answer["error"], final=True)
        found |= dict(zip(harder, answer["texts"], strict=True))
    return filled(action, found.__getitem__)


def _command(action: CommandAction, item: OutboxItem) -> str:
    argv = list(action.argv) or ["/bin/sh", "-c", action.command or ""]
    env = environment_of(item)
    timeout_us = COMMAND_US if action.timeout_us is None else action.timeout_us
    run_command(argv, env, timeout_us / 1e6)
    return f"ran {action.command or argv[0]}"


def _extension(action: ExtensionAction, item: OutboxItem) -> str:
    """Have a type of the settings' extensions do its work, in a process of its own."""
    kind = registry.kind_of("action", action.name)
    event = event_of(item)
    question = {"target": kind.target, "data": action.data, "event": event}
    timeout_us = COMMAND_US if action.timeout_us is None else action.timeout_us
    answer = ask_child("extension_child", question, timeout_us / 1e6)
    if "error" in answer:
        raise NotDelivered(f"{kind.words}: {answer['error']}", final=answer["final"])
    return f"{action.name}: {answer['message']}"
