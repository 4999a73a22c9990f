"""The waiter's stage: its core with a prober beside it, for conditions that have to be checked."""

from __future__ import annotations

import contextlib

import msgspec
import pykka

from ..jobs.condition_rules import ConditionRules
from .link import Link
from .probe_seam import PROBER, Probed
from .prober import Prober
from .stage import Script, Stage


class WaiterStage(Stage):
    """Hosts the waiter's core. What it posts to the prober stays in this process."""

    def __init__(self, script: Script, link: Link, rules: ConditionRules) -> None:
        self._prober = Prober(rules, self._told)
        super().__init__(msgspec.structs.replace(script, local={PROBER: self._prober.take}), link)

    def shut(self) -> None:
        """End the checks."""
        self._prober.close()
        super().shut()

    def _told(self, message: Probed) -> None:
        """Tell the core what a check found, from the check's thread."""
        with contextlib.suppress(pykka.ActorDeadError):
            self.actor_ref.tell(message)
