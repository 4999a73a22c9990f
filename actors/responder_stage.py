"""The responder's stage: its core, with a thread for each action that is being carried out.

A delivery has limits of time, and the core bounds how many there are at once; what hangs takes a
thread and nothing else. What becomes of a delivery comes back to the core as a message.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable
from typing import Any

import msgspec
import pykka

from .deliver_process import kill_all
from .deliveries import Deliveries
from .delivery_seam import DELIVERY, Deliver
from .link import Link
from .stage import Script, Stage


class ResponderStage(Stage):
    """Hosts the responder's core; `deliveries` carries out what it posts to `DELIVERY`."""

    def __init__(self, script: Script, link: Link, deliveries: Deliveries) -> None:
        super().__init__(msgspec.structs.replace(script, local={DELIVERY: self._take}), link)
        self._deliveries = deliveries

    def shut(self) -> None:
        """End what is being carried out: it is owed still, and begun anew by the next responder."""
        kill_all()
        super().shut()

    def _take(self, messages: Iterable[Any]) -> None:
        for message in messages:
            threading.Thread(
                target=self._carry_out, args=(message,), name="delivery", daemon=True
            ).start()

    def _carry_out(self, message: Deliver) -> None:
        answer = self._deliveries.carry_out(message.item)
        with contextlib.suppress(pykka.ActorDeadError):
            self.actor_ref.tell(answer)
