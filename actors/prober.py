"""The prober: makes the checks of polled conditions, each in a thread of its own.

Lives in the waiter's process, on the server's host, as the server's user; the waiter's core says
what to check and bounds how much at once (`probing.py`). `take` belongs to the stage's thread and
never waits. A check that hangs where nothing can end it (a dead file server) keeps its thread;
when too many do, further checks are refused, so that they cannot eat the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from ..jobs.condition_rules import ConditionRules
from ..jobs.errors import UserError
from .probe_kinds import Cancel, look
from .probe_seam import CancelProbe, Probe, Probed, ToProber

# Threads at once, those of hanging checks included.
MOST_THREADS = 96
# How long the end of the server waits for checks to notice it.
CLOSE_S = 2.0


class Prober:
    """Makes checks; `tell` is given each result, by the check's thread."""

    def __init__(self, rules: ConditionRules, tell: Callable[[Probed], None]) -> None:
        self._rules = rules
        self._tell = tell
        self._lock = threading.Lock()
        self._under_way: dict[int, tuple[Cancel, threading.Thread]] = {}

    def take(self, messages: Iterable[ToProber]) -> None:
        """Begin checks, or cancel them."""
        for message in messages:
            match message:
                case Probe():
                    self._begin(message)
                case CancelProbe():
                    self._cancel(message.probe_id)

    def close(self) -> None:
        """Cancel all checks; those that hang are left to the end of the process."""
        with self._lock:
            under_way = list(self._under_way.values())
        for cancel, _ in under_way:
            cancel.set()
        for _, thread in under_way:
            thread.join(CLOSE_S / max(1, len(under_way)))

    def _begin(self, probe: Probe) -> None:
        cancel = Cancel(probe.cond.timeout_us)
        thread = threading.Thread(
            target=self._look, args=(probe, cancel), name=f"probe-{probe.probe_id}", daemon=True
        )
        with self._lock:
            too_many = len(self._under_way) >= MOST_THREADS
            if not too_many:
                self._under_way[probe.probe_id] = (cancel, thread)
        if too_many:
            self._refuse(probe, "too many other checks hang: none is begun")
            return
        try:
            thread.start()
        except RuntimeError as error:
            with self._lock:
                del self._under_way[probe.probe_id]
            self._refuse(probe, f"the check cannot begin: {error}")

    def _refuse(self, probe: Probe, reason: str) -> None:
        self._tell(Probed(probe_id=probe.probe_id, met=False, reason=reason))

    def _cancel(self, probe_id: int) -> None:
        with self._lock:
            found = self._under_way.get(probe_id)
        if found is not None:
            found[0].set()

    def _look(self, probe: Probe, cancel: Cancel) -> None:
        try:
            self._rules.check_polled(probe.cond)
            met, reason = look(probe.cond, self._rules.databases, cancel)
        except UserError as error:
            met, reason = False, str(error)
        except Exception as error:  # noqa: BLE001 - a check must not end the waiter
            met, reason = False, f"{type(error).__name__}: {error}"
        finally:
            with self._lock:
                self._under_way.pop(probe.probe_id, None)
        self._tell(Probed(probe_id=probe.probe_id, met=met, reason=reason))
