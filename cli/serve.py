"""Builds and runs a whole server: settings to processes. The only place that knows every role.

Called by `callsheetctl serve`. Everything all roles share is imported here, before the supervisor
forks them; the web server's own libraries are imported in its process alone.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pykka
import zmq

from ..actors import clock
from ..actors.extensions import load_extensions
from ..actors.ledger_findings import Alerts
from ..actors.limits import limit_memory
from ..actors.link import Link
from ..actors.play import play
from ..actors.roles import AGENT, ROLES, SPECS, Stagehand, Terms
from ..actors.state_files import PROCESSES
from ..actors.supervise import RESTART, Program, supervise
from ..actors.window import Window
from ..conf.web_settings import WebAccess
from ..jobs.errors import UserError
from ..jobs.misfire import Misfire
from ..messages import codec
from ..messages.post import BINDER, WEB
from ..store.interface import StoreUnusable
from ..store.lock import WriterLock
from ..store.migrate import newest_version
from ..store.outputs import zstd_module
from ..store.sqlite import BUSY_MS
from ..wire import log_lines
from ..wire import place as places
from ..wire.log_files import LogPlan, begin_logs
from ..wire.place import (
    Door,
    FeedDoor,
    Place,
    end_life,
    find_place,
    lead_here,
)
from .agent_role import agent_command, agent_logs, agent_options, agent_player
from .entrance import check_access

if TYPE_CHECKING:
    from ..conf.agent_settings import AgentSettings
    from ..conf.feed_settings import FeedSettings
    from ..conf.log_settings import LogSettings
    from ..conf.settings import Settings
    from ..webui.services import WebSettings

log = logging.getLogger("callsheet.serve")

# Another server has the database.
IN_USE = 2
# Those of files in /proc and of our own.
ENCODINGS = ("ascii", "latin-1", "unicode_escape", "utf-8-sig")
# Orphaned roles end within this time; it is looked at this often whether they have.
ORPHANS_S = 4.0
ORPHANS_LOOK_S = 0.05


class ServerTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a server is made of. `state_dir` holds its outputs, its agent's spool, and who is who.
    `trial`: the command by which it tries whether it could begin anew. `notes`: for its log."""

    roles: Terms
    state_dir: str
    web: WebAccess
    lookback_us: int | None = None
    local_agent: bool = True
    agent_options: tuple[str, ...] = ()
    logs: LogPlan = LogPlan()
    door: Door | None = None
    feed_door: FeedDoor | None = None
    trial: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


AS_ROOT = (
    "the server runs as root, and so do the jobs of this host that name no sudo_user: expected a "
    "user of its own, and agents.sudo_allow with a rule of sudo for the jobs of others"
)


def serve(
    settings: Settings,
    *,
    inline: bool = False,
    trial: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> int:
    """Run a server by its settings until it is told to stop; see `run_server`."""
    try:
        load_extensions(settings.extensions)
    except UserError as error:
        return _refuse(str(error), 1)
    terms = terms_of(settings, clock.now_us())
    return run_server(msgspec.structs.replace(terms, trial=trial, notes=notes), inline=inline)


def terms_of(settings: Settings, now_us: int) -> ServerTerms:
    """Return what the settings say, in terms of the roles."""
    state_dir = settings.state_dir
    schedule, timeout_us = settings.schedule, settings.database.timeout_us
    roles = Terms(
        database=str(settings.database.path),
        outputs=str(state_dir / "outputs"),
        job_dir=str(settings.job_dir),
        cache=str(state_dir / "jobs.cache"),
        busy_ms=BUSY_MS if timeout_us is None else max(1, timeout_us // 1_000),
        window=Window(
            span_us=schedule.horizon_us,
            ahead=schedule.ahead,
            misfire=Misfire(catch_up=schedule.catch_up, max_age_us=schedule.max_age_us),
        ),
        calendars=None if settings.calendars is None else str(settings.calendars),
        since_us=now_us if schedule.since == "now" else schedule.since,
        waiting_max_us=settings.waiting.max_time_us,
        checks_every_s=settings.checks.interval_us / 1e6,
        alerts=Alerts(actions=settings.checks.alerts, severity=settings.checks.severity),
        default_timeout=settings.program.timeout,
        actions=settings.actions,
        rules=settings.conditions.rules,
        blackouts=settings.blackouts,
        templates=settings.templates,
        acting=settings.acting,
        job_watch=settings.job_watch,
        start_timeout_us=settings.agents.start_timeout_us,
        choices=settings.agents.choices,
        aliases=settings.agents.aliases,
        sudo_argv=settings.agents.sudo_argv,
        login_always=settings.web.loopback == "login",
        storage=settings.outputs,
    )
    logs = log_plan(settings.log)
    return ServerTerms(
        roles=roles,
        state_dir=str(state_dir),
        web=settings.web,
        lookback_us=settings.runs.lookback_us,
        door=_door(settings.agents, state_dir),
        feed_door=_feed_door(settings.feed, state_dir),
        agent_options=(*agent_options(settings.agents), *agent_logs(logs)),
        logs=logs,
    )


def log_plan(log: LogSettings) -> LogPlan:
    """Return what the settings say of logs, as processes take it."""
    return LogPlan(
        folder=None if log.folder is None else str(log.folder),
        level=log.level,
        levels=log.levels,
        style=log.format,
        size_bytes=log.size_bytes,
        every_us=log.every_us,
        keep=log.keep,
        stderr=log.stderr,
    )


def _door(agents: AgentSettings, state_dir: Path) -> Door | None:
    if agents.listen is None or agents.enrol is None:
        return None
    return Door(agents=agents.listen, enrol=agents.enrol, key_file=str(server_key(state_dir)))


def _feed_door(feed: FeedSettings, state_dir: Path) -> FeedDoor | None:
    if feed.listen is None or feed.ask is None:
        return None
    return FeedDoor(
        publish=feed.listen, ask=feed.ask, key_file=str(server_key(state_dir)), allow=feed.allow
    )


def server_key(state_dir: Path) -> Path:
    """Return the file of the server's secret key; its public key is beside it."""
    return state_dir / "keys" / "server.key"


def run_server(terms: ServerTerms, *, inline: bool = False) -> int:
    """Run a server until it is told to stop; return the exit status.

    Prints one line when it is ready. A mistake of the user's is one sentence on standard error:
    status 2 when another server has the database, else 1.
    """
    try:
        state_dir = Path(terms.state_dir)
        in_use = _refusal(terms.roles.database, state_dir)
        if in_use:
            return _refuse(in_use, IN_USE)
        notes = (*terms.notes, *check_access(terms.web, terms.roles.database))
        terms = msgspec.structs.replace(terms, notes=notes)
        life = find_place(state_dir)
        try:
            status, sentence = _live(terms, life, inline=inline)
        finally:
            end_life(life)
    except UserError as error:
        return _refuse(str(error), 1)
    if status == RESTART:
        log.warning("the server begins anew")
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell
    log.info("the server has ended, with status %d", status)
    return _refuse(sentence, status) if sentence else status


def _live(terms: ServerTerms, life: Path, *, inline: bool) -> tuple[int, str]:
    """Run a server whose sockets are in the folder of this life; return as `supervise` does.

    Raises:
        UserError: it cannot run as things are.
    """
    place = Place(life, inside=inline, door=terms.door, feed_door=terms.feed_door)
    logs = msgspec.structs.replace(terms.logs, socket=place.path(places.LOG))
    terms = msgspec.structs.replace(terms, logs=logs)
    _begin_logs(logs, "inline" if inline else "supervisor")
    for note in terms.notes:
        log.warning("%s", note)

    def announce(address: str) -> None:
        try:
            lead_here(life)
        except OSError as error:
            log.warning("%s: nobody finds the server there: %s", life.parent, error.strerror)
        _print_ready(address)

    if inline:
        return _run_inline(terms, place, announce), ""
    hand = Stagehand(terms.roles, place, zmq.Context.instance)
    do_first_times()
    programs = _programs(terms, hand, place)
    return supervise(programs, Path(terms.state_dir), lambda said: announce(said[WEB]), terms.trial)


def do_first_times() -> None:
    """Do here what roles do sooner or later, and what imports when it is done for the first time.

    A module that a fork imports costs it far more than itself: a megabyte for each role, for the
    pages of the import system and of its tables that are copied then. What is remembered of a
    first time (a pattern that is read, a class that is none of another's) is shared as well.
    """
    codec.make_ready()
    log_lines.make_ready()
    newest_version()
    with contextlib.suppress(ImportError):
        zstd_module()
    for encoding in ENCODINGS:
        codecs.lookup(encoding)


def _begin_logs(logs: LogPlan, part: str) -> None:
    """Have this process log as the settings say.

    Raises:
        UserError: there is no folder for the files.
    """
    if logs.folder is not None:
        try:
            os.makedirs(logs.folder, mode=0o750, exist_ok=True)
        except OSError as error:
            expected = "expected a folder to write into"
            raise UserError(f"log.folder: {logs.folder}: {error.strerror}: {expected}") from None
        if not os.access(logs.folder, os.W_OK | os.X_OK):
            raise UserError(f"log.folder: {logs.folder}: cannot be written by this user")
    begin_logs(logs, part)


def _programs(terms: ServerTerms, hand: Stagehand, place: Place) -> list[Program]:
    """Return how each role's process is run."""

    def player(role: str) -> Callable[[int], int]:
        def start(link: Link) -> pykka.ActorRef[Any]:
            begin_logs(terms.logs, role.partition("/")[0])
            log.info("%s: begins", role)
            if role == BINDER:
                limit_memory()
            return hand.start(role, link)

        return lambda fd: play(role, start, fd)

    def web(fd: int) -> int:
        # Tornado is for this process alone; the others need not carry it.
        from .web_role import play_web

        begin_logs(terms.logs, "web")
        log.info("%s: begins", WEB)

        return play_web(hand, _web_settings(terms, place, os.getppid()), fd)

    programs = [Program(spec=SPECS[role], play=player(role)) for role in ROLES]
    programs.append(Program(spec=SPECS[WEB], play=web, wants_figures=True))
    if terms.local_agent:
        play_agent = agent_player(_agent_command(terms, place))
        programs.append(Program(spec=SPECS[AGENT], play=play_agent, is_signalled=True))
    return programs


def _run_inline(terms: ServerTerms, place: Place, announce: Callable[[str], None]) -> int:
    from .inline import InlineServer

    context = zmq.Context()
    hand = Stagehand(terms.roles, place, lambda: context, alone=False)
    agent = _agent_command(terms, place) if terms.local_agent else None
    server = InlineServer(hand, ROLES, _web_settings(terms, place, os.getpid()), agent, terms.trial)
    try:
        return server.run(announce)
    finally:
        context.destroy(linger=0)


def _agent_command(terms: ServerTerms, place: Place) -> Callable[[int], list[str]]:
    return agent_command(place.outside(places.AGENTS), terms.state_dir, terms.agent_options)


def _web_settings(terms: ServerTerms, place: Place, shut_down_pid: int) -> WebSettings:
    from .. import __version__
    from ..webui.services import WebSettings

    web = terms.web
    return WebSettings(
        bind=web.bind,
        certificate=None if web.certificate is None else str(web.certificate),
        key=None if web.key is None else str(web.key),
        database=terms.roles.database,
        outputs_root=terms.roles.outputs,
        outputs_url=terms.roles.storage.url,
        outputs_options=terms.roles.storage.options,
        job_folder=terms.roles.job_dir,
        pools=terms.roles.rules.pools,
        lookback_us=terms.lookback_us,
        allowed_hosts=web.hosts,
        loopback=web.loopback,
        socket_mode=web.socket_mode,
        session_us=web.session_us,
        ad_hoc=web.ad_hoc,
        shut_down_pid=shut_down_pid,
        trial=terms.trial,
        version=__version__,
        server_key=str(Path(terms.door.key_file).with_suffix(".pub")) if terms.door else "",
        agents_listen=terms.door.agents if terms.door else "",
        log_socket=place.path(places.LOG),
    )


def _print_ready(address: str) -> None:
    print(f"callsheet: console at {address}", flush=True)
    if os.geteuid() == 0:
        log.warning("%s", AS_ROOT)


def _refusal(database: str, state_dir: Path) -> str:
    """Return why the database cannot be had because another server has it, empty when it can.

    The roles of a server whose supervisor was killed are given the time they need to notice.
    """
    if not os.path.exists(database):
        return ""  # the ledger says it better
    until_s = clock.monotonic_s() + ORPHANS_S
    while True:
        try:
            WriterLock(database).release()
        except StoreUnusable as error:
            if clock.monotonic_s() >= until_s or _supervised(state_dir):
                return str(error)
            threading.Event().wait(ORPHANS_LOOK_S)
        else:
            return ""


def _supervised(state_dir: Path) -> bool:
    """Whether the server that has this folder has its supervisor still, as far as is known."""
    try:
        pid = json.loads((state_dir / PROCESSES).read_text())["supervisor"]
        os.kill(pid, 0)
    except (OSError, ValueError, KeyError, TypeError) as error:
        # No permission is a live process of another user; no word is no reason to wait.
        return not isinstance(error, ProcessLookupError)
    return True


def _refuse(sentence: str, status: int) -> int:
    print(f"callsheet: {sentence}", file=sys.stderr, flush=True)
    return status
