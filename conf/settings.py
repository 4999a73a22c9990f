"""The settings of a server: read from one YAML file, checked, made absolute.

Called by the command line, which hands the result to every role. It reads one file and changes
nothing. The keys are those of Apsis's configuration; unknown ones are ignored, so that one file
may serve both. Paths are relative to the file.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from ..jobs.actions import Action
from ..jobs.blackout_rules import Concerned
from ..jobs.errors import UserError
from ..jobs.parse_actions import read_action
from ..jobs.parse_programs import read_timeout
from ..jobs.parse_schedules import instant, read_catch_up
from ..jobs.programs import TimeoutSpec
from ..jobs.reading import At, Fields, KeyPath, Told, filled, many, shown
from ..jobs.schedule_types import CatchUp
from ..jobs.times import SECOND_US, parse_duration
from .action_settings import ActionSettings, read_action_settings
from .agent_settings import AgentSettings, take_agents
from .apsis_settings import check_apsis_keys, unknown_keys
from .blackout_settings import take_blackouts
from .check_settings import ChecksSettings, take_checks
from .condition_settings import ConditionSettings, take_conditions
from .extension_settings import Extension, take_extensions
from .feed_settings import FeedSettings, take_feed
from .log_settings import LogSettings, take_logs
from .storage_settings import StorageSettings, take_storage
from .template_settings import NO_TEMPLATES, TemplateSettings, take_templates
from .web_settings import WebAccess, take_web
from .yaml_reader import Document, YamlError, read_yaml

DAY_US = 86_400 * SECOND_US
# Expected runs are rows: further ahead than this is a typo.
FURTHEST_US = 3_660 * DAY_US


class SettingsError(UserError):
    """Settings cannot be used; a line for every problem."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(lines))


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the database is, and how long to wait for its lock; None: the store's own default."""

    path: Path
    timeout_us: int | None = None


class RunsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How far back lists of runs reach; None: without limit."""

    lookback_us: int | None = None


class ScheduleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How far ahead runs are expected: `horizon_us`, and at least `ahead` runs of a schedule.

    `since`: never schedule for before this instant; `"now"` is the start of the server. `catch_up`
    and `max_age_us`: what becomes of missed runs where their schedule says nothing else.
    """

    horizon_us: int = DAY_US
    since: int | Literal["now"] | None = None
    ahead: int = 24
    catch_up: CatchUp = "all"
    max_age_us: int | None = None


class WaitingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long a run may wait before it is an error; None: for ever."""

    max_time_us: int | None = None


class ProgramSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The timeout of programs that name none."""

    timeout: TimeoutSpec | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings. Paths are absolute; `state_dir` holds sockets, spools and outputs.

    `unknown` are keys that are ignored, each with the known one it is much like, or empty.
    `calendars`: the folder of calendars, None: as `calendars.calendars_folder` finds it.
    `job_watch`: what happens when the job folder changes: nothing, it is said, or it is loaded.
    """

    job_dir: Path
    database: DatabaseSettings
    state_dir: Path
    runs: RunsSettings = RunsSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    waiting: WaitingSettings = WaitingSettings()
    actions: tuple[Action, ...] = ()
    acting: ActionSettings = ActionSettings()
    program: ProgramSettings = ProgramSettings()
    web: WebAccess = WebAccess()
    checks: ChecksSettings = ChecksSettings()
    job_watch: Literal["off", "notify", "auto"] = "off"
    calendars: Path | None = None
    unknown: tuple[tuple[str, str], ...] = ()
    conditions: ConditionSettings = ConditionSettings()
    templates: TemplateSettings = NO_TEMPLATES
    agents: AgentSettings = AgentSettings()
    extensions: tuple[Extension, ...] = ()
    outputs: StorageSettings = StorageSettings()
    feed: FeedSettings = FeedSettings()
    log: LogSettings = LogSettings()
    blackouts: Mapping[str, Concerned] = {}


def load_settings(
    path: str | os.PathLike[str] | None = None, overrides: Sequence[str] = ()
) -> Settings:
    """Return the settings of a file.

    Args:
        path: the file; None: defaults, relative to the working folder.
        overrides: `a.b=c` each, as if the file said `a: {b: c}`; the last one wins.

    Raises:
        SettingsError: the file cannot be read, or something in it is wrong.
    """
    loaded = read_loaded(path, overrides)
    settings, read = read_settings_data(loaded.data, loaded.base)
    assert settings is not None, "the same data were read without a problem"
    return replace(settings, unknown=unknown_keys(read))


class Loaded(NamedTuple):
    """What the settings are made of: the file, its data with the overrides in them, the key paths
    of these, and the folder that paths are relative to."""

    document: Document
    data: dict[str, Any]
    overridden: list[KeyPath]
    base: Path


def read_loaded(path: str | os.PathLike[str] | None, overrides: Sequence[str]) -> Loaded:
    """Return what the settings are made of, when they can be used; see `load_settings`."""
    document = _document(path)
    data = {} if document.value is None else document.value
    where = "settings" if path is None else os.fspath(path)
    if not isinstance(data, dict):
        raise SettingsError([f"{where}:1:1: settings are {shown(data)}: expected a mapping"])
    overridden = [_override(data, text) for text in overrides]
    base = Path.cwd() if path is None else Path(path).absolute().parent
    problems: list[tuple[KeyPath, str]] = []
    with contextlib.suppress(Told):
        _settings(Fields(data, At((), problems)), base)
    lines = []
    for key_path, sentence in problems:
        if any(key_path[: len(key)] == key for key in overridden) or path is None:
            lines.append(sentence)
        else:
            line, column = document.position(key_path)
            lines.append(f"{where}:{line}:{column}: {sentence}")
    if lines:
        raise SettingsError(lines)
    return Loaded(document, data, overridden, base)


def read_settings_data(data: dict[str, Any], base: Path) -> tuple[Settings | None, list[Fields]]:
    """Return the settings of data, None when something is wrong, and every mapping of it that was
    read."""
    read: list[Fields] = []
    try:
        return _settings(Fields(data, At((), [], read)), base), read
    except Told:
        return None, read


def _document(path: str | os.PathLike[str] | None) -> Document:
    if path is None:
        return Document(None, "", "settings")
    name = os.fspath(path)
    try:
        return read_yaml(Path(path).read_bytes(), name)
    except OSError as error:
        said = f"{name}: cannot be read: {error.strerror}: expected a settings file"
        raise SettingsError([said]) from None
    except ValueError:
        raise SettingsError([f"{shown(name)}: is not the name of a file"]) from None
    except YamlError as error:
        raise SettingsError([str(error)]) from None


def _override(data: dict[str, Any], text: str) -> KeyPath:
    """Put one override into the data; return its key path."""
    keys, equals, said = text.partition("=")
    key_path = tuple(keys.strip().split("."))
    if not equals or not all(key_path):
        raise SettingsError([f"override {shown(text)}: expected a form like schedule.horizon=2d"])
    try:
        value = read_yaml(said, f"override {keys}").value
    except YamlError as error:
        raise SettingsError([str(error)]) from None
    for key in key_path[:-1]:
        inner = data.get(key)
        if key == "database" and isinstance(inner, str):
            inner = {"path": inner}
        data[key] = inner = dict(inner) if isinstance(inner, Mapping) else {}
        data = inner
    data[key_path[-1]] = value
    return key_path


# --- reading ------------------------------------------------------------------------------------


def _settings(fields: Fields, base: Path) -> Settings:
    def absolute(value: Any, at: At) -> Path:
        return Path(os.path.normpath(base / os.path.expanduser(filled(value, at))))

    def database(value: Any, at: At) -> DatabaseSettings:
        if not isinstance(value, Mapping):
            return DatabaseSettings(path=absolute(value, at))
        inner = Fields(value, at)
        path = inner.take("path", absolute, base / "callsheet.db")
        timeout_us = inner.take("timeout", _more_than_none, None)
        _told(at)
        return DatabaseSettings(path=path, timeout_us=timeout_us)

    found = fields.take("database", database, DatabaseSettings(path=base / "callsheet.db"))
    job_dir = fields.take("job_dir", absolute, base / "jobs")
    state_dir = fields.take("state_dir", absolute, None)
    old_lookback_us = fields.take("runs_lookback", _seconds, None)
    runs = fields.take("runs", _runs, RunsSettings())
    schedule = fields.take("schedule", _schedule, ScheduleSettings())
    waiting = fields.take("waiting", _waiting, WaitingSettings())
    actions = fields.take("action", many(read_action), ())
    acting = read_action_settings(fields, absolute)
    program = fields.take("program", _program, ProgramSettings())
    web = take_web(fields, base)
    checks = take_checks(fields, _more_than_none)
    check_apsis_keys(fields)
    conditions = take_conditions(fields)
    blackouts = take_blackouts(fields)
    calendars = fields.take("calendars", absolute, None)
    job_watch = fields.take("job_watch", _watch, "off")
    templates = take_templates(fields, base)
    agents = take_agents(fields)
    extensions = take_extensions(fields)
    outputs = take_storage(fields)
    feed = take_feed(fields)
    log = take_logs(fields, base)
    _told(fields.at)
    if runs.lookback_us is None:
        runs = RunsSettings(lookback_us=old_lookback_us)
    return Settings(
        job_dir=job_dir,
        database=found,
        state_dir=state_dir if state_dir is not None else Path(f"{found.path}.state"),
        runs=runs,
        schedule=schedule,
        waiting=waiting,
        actions=actions,
        acting=acting,
        program=program,
        web=web,
        checks=checks,
        job_watch=job_watch,
        calendars=calendars,
        conditions=conditions,
        blackouts=blackouts,
        templates=templates,
        agents=agents,
        extensions=extensions,
        outputs=outputs,
        feed=feed,
        log=log,
    )


def _told(at: At) -> None:
    if any(path[: len(at.path)] == at.path for path, _ in at.problems):
        raise Told


def _runs(value: Any, at: At) -> RunsSettings:
    lookback_us = Fields(value, at).take("lookback", _seconds, None)
    _told(at)
    return RunsSettings(lookback_us=lookback_us)


def _schedule(value: Any, at: At) -> ScheduleSettings:
    fields = Fields(value, at)
    horizon_us = fields.take("horizon", _horizon, DAY_US)
    since = fields.take("since", _since, None)
    ahead = fields.take("ahead", _ahead, 24)
    catch_up: CatchUp = fields.take("catch_up", read_catch_up, "all")
    max_age_us = fields.take("max_age", _more_than_none, None)
    _told(at)
    return ScheduleSettings(
        horizon_us=horizon_us,
        since=since,
        ahead=ahead,
        catch_up=catch_up,
        max_age_us=max_age_us,
    )


def _waiting(value: Any, at: At) -> WaitingSettings:
    max_time_us = Fields(value, at).take("max_time", _more_than_none, None)
    _told(at)
    return WaitingSettings(max_time_us=max_time_us)


def _program(value: Any, at: At) -> ProgramSettings:
    timeout = Fields(value, at).take("timeout", _timeout, None)
    _told(at)
    return ProgramSettings(timeout=timeout)


def _timeout(value: Any, at: At) -> TimeoutSpec | None:
    if isinstance(value, Mapping) and value.get("duration") is None:
        # A signal alone sets no timeout, but is checked.
        if value.get("signal") is not None:
            read_timeout({"duration": 1, "signal": value["signal"]}, at)
        return None
    if isinstance(value, Mapping):
        value = {key: value[key] for key in ("duration", "signal") if value.get(key) is not None}
    return read_timeout(value, at)


def _watch(value: Any, _at: At) -> Literal["off", "notify", "auto"]:
    if value not in ("off", "notify", "auto"):
        raise UserError(f"{shown(value)}: expected off, notify or auto")
    return value  # type: ignore[no-any-return]


def _more_than_none(value: Any, at: At) -> int:
    """Read a duration of more than 0, in microseconds."""
    found = parse_duration(value)
    if found < 0:
        name = ".".join(map(str, at.path))
        at.problems.append((at.path, f"{name} has negative duration: {value}"))
        raise Told
    if found == 0:
        raise UserError("is 0: expected a duration of more")
    return found


def _horizon(value: Any, at: At) -> int:
    found = _more_than_none(value, at)
    if found > FURTHEST_US:
        raise UserError(f"expected at most {FURTHEST_US // DAY_US} days")
    return found


def _seconds(value: Any, _at: At) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"{shown(value)}: expected a number of seconds")
    if not 0 <= value < 1e11:
        raise UserError(f"{value}: expected 0 or more seconds")
    return round(value * SECOND_US)


def _since(value: Any, at: At) -> int | Literal["now"]:
    return "now" if value == "now" else instant(value, at)


def _ahead(value: Any, _at: At) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10_000:
        raise UserError(f"{shown(value)}: expected a whole number from 1 to 10000")
    return value
