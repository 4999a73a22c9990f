"""The table of roles: which core and which stage each is made of, and how their processes start.

`cli/` builds a server from it; nobody else knows more than one role. The web server and agentd are
edges of their own and are added there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
import pykka
from msgspec.structs import replace

from ..conf.action_settings import ActionSettings
from ..conf.calendars import calendars_place
from ..conf.storage_settings import StorageSettings
from ..conf.template_settings import NO_TEMPLATES, TemplateSettings
from ..jobs.actions import Action
from ..jobs.blackout_rules import Blackouts
from ..jobs.condition_rules import ConditionRules
from ..jobs.programs import TimeoutSpec
from ..messages.post import (
    BINDER,
    CHECKER,
    LEDGER,
    RESPONDER,
    RUNNER,
    SCHEDULER,
    WAITER,
    WEB,
)
from ..store.interface import Opening, Reader
from ..store.sqlite import BUSY_MS, LOOK_UP_S, SqliteReader, SqliteWriter
from ..wire.place import Place
from ..wire.ports import Context
from . import clock
from .binder_stage import make_binder
from .checker import Checker
from .core import Core
from .deliveries import Deliveries
from .housekeeping import CHECKS
from .ledger import Ledger
from .ledger_findings import NO_ALERTS, Alerts
from .ledger_stage import LedgerStage
from .link import Link
from .look_around import look_around
from .outputs_seam import Placed
from .ports import PORTS
from .rescans import Watch
from .responder import Responder
from .responder_stage import ResponderStage
from .runner import Runner
from .runner_book import Key
from .runner_choice import Choice
from .runner_stage import RunnerStage
from .scheduler import Scheduler
from .scheduler_stage import SchedulerStage
from .stage import Script, Stage
from .supervisor import RoleSpec
from .upkeep_work import UpkeepWork
from .waiter import Waiter
from .waiter_stage import WaiterStage
from .window import Window

AGENT = "agent"
# A large job folder is read, and planned for the first time, in one turn.
LONG_TURN_S = 150.0

# Waves of the start: the ledger takes the database first, and says so when it cannot. Waves of the
# stop: first who takes wishes, then who asks, then who executes, last the ledger.
SPECS = {
    LEDGER: RoleSpec(role=LEDGER, start_wave=0, stop_wave=3),
    SCHEDULER: RoleSpec(role=SCHEDULER, stop_wave=1, silence_s=LONG_TURN_S),
    BINDER: RoleSpec(role=BINDER, stop_wave=1, silence_s=LONG_TURN_S),
    WAITER: RoleSpec(role=WAITER, stop_wave=1),
    RUNNER: RoleSpec(role=RUNNER, stop_wave=2),
    RESPONDER: RoleSpec(role=RESPONDER, stop_wave=1),
    CHECKER: RoleSpec(role=CHECKER, stop_wave=1),
    WEB: RoleSpec(role=WEB, stop_wave=0),
    AGENT: RoleSpec(role=AGENT, stop_wave=2, silence_s=None),
}


# The roles started by `Stagehand.start`, in the order of their start.
ROLES = (LEDGER, SCHEDULER, BINDER, WAITER, RUNNER, RESPONDER, CHECKER)


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the roles are told of the settings.

    `outputs` is the folder of the output store, `cache` the file in which the binder remembers what
    it read of the job folder. `since_us`: never schedule for before this, whatever the database
    says. `calendars` is the folder of calendars, None: where it is by default. `actions` are those
    of every run, after its job's own, `alerts` those of findings; `acting` is what actions may do,
    `rules` are those of conditions.
    `job_watch`: whether the scheduler looks at the job folder by itself, and whether it then loads
    what it finds. `login_always`: nobody may change anything without a log-in or a token.
    """

    database: str
    outputs: str
    job_dir: str
    cache: str
    busy_ms: int = BUSY_MS
    window: Window = Window()
    calendars: str | None = None
    since_us: int | None = None
    waiting_max_us: int | None = None
    checks_every_s: float = CHECKS.every_s
    alerts: Alerts = NO_ALERTS
    default_timeout: TimeoutSpec | None = None
    actions: tuple[Action, ...] = ()
    rules: ConditionRules = ConditionRules()
    blackouts: Blackouts = {}
    templates: TemplateSettings = NO_TEMPLATES
    acting: ActionSettings = ActionSettings()
    job_watch: Watch = "off"
    start_timeout_us: int = 0
    sudo_argv: tuple[str, ...] = ()
    choices: Mapping[str, str] = {}
    aliases: Mapping[str, tuple[str, ...]] = {}
    login_always: bool = False
    storage: StorageSettings = StorageSettings()


class Props:
    """What one role's core is made of; used on its stage's thread only. `alone`: the process is
    this role's own, and may end for it."""

    def __init__(self, terms: Terms, *, alone: bool) -> None:
        self.terms = terms
        self.alone = alone
        self.incarnation = secrets.token_hex(8)
        self._readers: list[Reader] = []

    def reader(self) -> Reader:
        """Open the store read-only; closed with the stage."""
        # A role must have its answer: with fifty thousand runs waiting on a busy machine it may
        # take longer than a person would wait.
        reader = SqliteReader(self.terms.database, limit_s=LOOK_UP_S)
        self._readers.append(reader)
        return reader

    def rest(self) -> None:
        """Let what was opened go of its memory."""
        for reader in self._readers:
            reader.rest()

    def close(self) -> None:
        """Close what was opened."""
        while self._readers:
            self._readers.pop().close()


class Stagehand:
    """Starts roles' stages; one per process. Opens nothing before a stage's own thread asks."""

    def __init__(
        self, terms: Terms, place: Place, context: Callable[[], Context], *, alone: bool = True
    ) -> None:
        """`alone`: each role has a process of its own."""
        self._alone = alone
        self._terms = terms
        self._place = place
        self._context = context

    def script(self, role: str, make_core: Callable[[Props], Core]) -> Script:
        """Return the script of a role: its sockets by `PORTS`, and the given core."""
        props = Props(self._terms, alone=self._alone)
        return Script(
            address=role,
            open_ports=lambda: PORTS[role](self._place, self._context()),
            make_core=lambda: make_core(props),
            close=props.close,
            rest=props.rest,
        )

    def start(self, role: str, link: Link) -> pykka.ActorRef[Any]:
        """Start a role's stage in this process."""
        if role == LEDGER:
            writer = SqliteWriter(self._terms.database, busy_ms=self._terms.busy_ms)
            script = replace(self.script(role, _ledger), rest=writer.rest)
            work = partial(UpkeepWork, self._terms.database, self._terms.outputs)
            return LedgerStage.start(script, link, self._make_ledger, writer, work)
        if role == WAITER:
            return WaiterStage.start(self.script(role, _waiter), link, self._terms.rules)
        if role == RUNNER:
            script = self.script(role, _runner)
            return RunnerStage.start(
                script, link, self._terms.outputs, self._make_runner, self._terms.storage
            )
        if role == RESPONDER:
            deliveries = Deliveries(self._terms.acting)
            return ResponderStage.start(self.script(role, _responder), link, deliveries)
        script = self.script(role, CORES[role])
        if role == SCHEDULER:
            terms = self._terms
            calendars = str(calendars_place(terms.job_dir, terms.calendars))
            watched = (terms.job_dir, calendars) if terms.job_watch != "off" else ()
            return SchedulerStage.start(script, link, watched)
        return Stage.start(script, link)

    def _make_runner(self, placed: Mapping[Key, Placed]) -> Runner:
        return Runner(
            placed=placed,
            booted_us=clock.booted_us(),
            incarnation=secrets.token_hex(8),
            start_timeout_us=self._terms.start_timeout_us,
            gated=self._place.door is not None,
            choice=Choice(self._terms.choices, self._terms.aliases),
            sudo_argv=self._terms.sudo_argv,
            keep_bytes=self._terms.storage.keep_bytes,
        )

    def _make_ledger(self, opening: Opening) -> Ledger:
        since_us = self._terms.since_us
        if since_us is not None and since_us > opening.since_us:
            opening.since_us = since_us
        return Ledger(opening, login_always=self._terms.login_always, alerts=self._terms.alerts)


def _runner(props: Props) -> Core:
    raise AssertionError(f"{props}: not called: the runner's core is made of its placements")


def _ledger(props: Props) -> Core:
    raise AssertionError(f"{props}: not called: the ledger's core is made of what the store says")


def _waiter(props: Props) -> Core:
    terms = props.terms
    return Waiter(
        props.reader(),
        max_time_us=terms.waiting_max_us,
        pools=terms.rules.pools,
        incarnation=props.incarnation,
    )


def _checker(props: Props) -> Core:
    terms = props.terms
    return Checker(
        props.reader(),
        around=partial(look_around, terms.database, terms.outputs),
        every_s=terms.checks_every_s,
        incarnation=props.incarnation,
    )


def _scheduler(props: Props) -> Core:
    return Scheduler(
        props.reader(),
        props.terms.job_dir,
        window=props.terms.window,
        default_timeout=props.terms.default_timeout,
        actions=props.terms.actions,
        rules=props.terms.rules,
        watch=props.terms.job_watch,
        incarnation=props.incarnation,
        began_us=clock.now_us(),
    )


def _binder(props: Props) -> Core:
    terms = props.terms
    return make_binder(
        terms.cache,
        terms.calendars,
        incarnation=props.incarnation,
        default_timeout=terms.default_timeout,
        actions=terms.actions,
        rules=terms.rules,
        blackouts=terms.blackouts,
        templates=terms.templates,
        limited=props.alone,
    )


def _responder(props: Props) -> Core:
    return Responder(attempts=props.terms.acting.attempts, incarnation=props.incarnation)


CORES: dict[str, Callable[[Props], Core]] = {
    SCHEDULER: _scheduler,
    BINDER: _binder,
    CHECKER: _checker,
}
