"""What `doctor` looks at of one server: its settings, files, database, processes, agents."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..jobs.errors import UserError
from .doctor_host import Finding, Level

if TYPE_CHECKING:
    from ..conf.settings import Settings

# A database up to this size is checked whole; of a larger one it takes minutes.
CHECKED_BYTES = 512 * 2**20
# The ledger forces a checkpoint at 64 MiB: more means that a reader holds it up.
WAL_BYTES = 256 * 2**20
CERTIFICATE_S = (30 * 86_400, 7 * 86_400)
SKEW_S = 2.0
ANSWER_S = 10.0


def look_at_settings(path: Path | None) -> tuple[list[Finding], Settings | None]:
    """Return what is wrong with the settings of a file, and these, if they can be used."""
    from ..conf.settings import SettingsError, load_settings
    from .config_commands import check_settings

    try:
        settings = load_settings(path)
    except SettingsError as error:
        do = "mend it, then `callsheetctl config check`"
        return [Finding("config", "error", line, do) for line in error.lines], None
    found = []
    for severity, sentence in check_settings(settings):
        level: Level = "error" if severity == "error" else "warning"
        found.append(Finding("config", level, sentence, "see `callsheetctl config check`"))
    if not found:
        found.append(Finding("config", "ok", str(path)))
    return found, settings


def look_at_files(settings: Settings) -> Iterator[Finding]:
    """Say whose the server's files are, and who else may read or change them."""
    from ..store.faults import blocked

    database, state_dir = settings.database.path, settings.state_dir
    if wrong := blocked(str(database)):
        yield Finding("files", "error", wrong, "chown or chmod it, for the server's user")
    for path, secret in (
        (database, True),
        (state_dir, False),
        (state_dir / "run", True),
        (state_dir / "keys" / "server.key", True),
        (state_dir / "outputs", False),
    ):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            do = "run doctor as the server's user"
            yield Finding("files", "error", f"{path}: {error.strerror}", do)
            continue
        mode, plain = stat.S_IMODE(found.st_mode), stat.S_ISREG(found.st_mode)
        wanted = "600" if plain else "700"
        if mode & (0o077 if secret else 0o022):
            do = f"chmod {wanted} {path}"
            sentence = f"{path}: its mode is {mode:04o}, so that others may use it"
            yield Finding("files", "error" if secret else "warning", sentence, do)
        elif found.st_uid != os.geteuid() and os.geteuid() != 0:
            sentence = f"{path}: belongs to user {found.st_uid}, not to {os.geteuid()}"
            yield Finding("files", "warning", sentence, "run doctor, and the server, as its owner")
        else:
            yield Finding("files", "ok", f"{path}: {mode:04o}")


def look_at_database(settings: Settings) -> Iterator[Finding]:
    """Say whether the database is sound, of which version it is, and how large."""
    from ..store.migrate import connect, newest_version, steps_to_take

    path = settings.database.path
    if not path.exists():
        do = f"callsheetctl create {path}"
        yield Finding("database", "error", f"{path}: there is no such file", do)
        return
    try:
        steps = steps_to_take(path)
    except UserError as error:
        do = "callsheetctl restore, from the newest backup that verify finds sound"
        yield Finding("database", "error", str(error), do)
        return
    if steps:
        said = f"{path}: of an older version, {len(steps)} step(s) behind"
        do = f"stop the server, copy the file, callsheetctl migrate {path}"
        yield Finding("database", "error", said, do)
    size, wal = path.stat().st_size, _size(Path(f"{path}-wal"))
    said = f"{path}: version {newest_version() - len(steps)}, {size / 2**20:,.1f} MiB"
    if size <= CHECKED_BYTES:
        try:
            connection = connect(str(path), writable=False)
            try:
                answer = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            finally:
                connection.close()
        except sqlite3.Error as error:
            answer = str(error)
        if answer != "ok":
            do = "stop the server and callsheetctl restore a backup"
            yield Finding("database", "error", f"{path}: corrupt: {answer}", do)
        else:
            yield Finding("database", "ok", f"{said}, sound")
    else:
        yield Finding("database", "ok", f"{said}; `callsheetctl verify` looks at all of it")
    if wal > WAL_BYTES:
        do = "end what holds a transaction on it open, such as a stopped backup"
        said = f"{path}-wal: {wal / 2**20:,.0f} MiB: it is not given back"
        yield Finding("database", "warning", said, do)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def look_at_certificate(settings: Settings, now_s: float) -> Iterator[Finding]:
    """Say for how long the certificate holds."""
    from ..webui.certificate import expires_s

    path = settings.web.certificate
    if path is None:
        return
    try:
        left_s = expires_s(path) - now_s
    except UserError as error:
        yield Finding("certificate", "error", str(error), "put a PEM certificate there")
        return
    level: Level = "ok"
    if left_s < CERTIFICATE_S[0]:
        level = "error" if left_s < CERTIFICATE_S[1] else "warning"
    days = left_s / 86_400
    said = f"{path}: holds for {days:,.0f} days more" if left_s > 0 else f"{path}: has expired"
    do = "" if level == "ok" else "renew it: the server takes the new one without a restart"
    yield Finding("certificate", level, said, do)


def look_at_processes(settings: Settings) -> Iterator[Finding]:
    """Say whether a server runs on these settings, and which of its processes are not well."""
    try:
        health = json.loads((settings.state_dir / "health.json").read_text())
        pids = json.loads((settings.state_dir / "processes.json").read_text())
    except (OSError, ValueError):
        yield Finding("server", "note", "no server runs on these settings")
        return
    if not Path(f"/proc/{pids['supervisor']}").exists():
        said = f"the supervisor, process {pids['supervisor']}, is gone: it was killed"
        yield Finding("server", "error", said, "start the server: nothing else is needed")
        return
    for role, why in health["degraded"].items():
        yield Finding("server", "error", f"{role}: {why}", "its log says more: docs/operations.md")
    often = {role: one["starts"] for role, one in health["roles"].items() if one["starts"] > 1}
    for role, starts in often.items():
        yield Finding("server", "note", f"{role} was started {starts} times", "its log has why")
    if not health["degraded"]:
        roles = len(health["roles"])
        yield Finding("server", "ok", f"supervisor {pids['supervisor']} and {roles} roles")


def look_at_service(client: Any, *, wanted: bool) -> Iterator[Finding]:
    """Ask the running server how it does, and for its agents. `wanted`: somebody named it."""
    from .. import __version__
    from ..client.http import APIError, NoServer

    try:
        before_s = time.time()
        health = client.get("/api/v2/health", timeout_s=ANSWER_S)
        agents = client.get("/api/v2/agents", timeout_s=ANSWER_S)["agents"]
    except (NoServer, TimeoutError) as error:
        level: Level = "error" if wanted else "note"
        do = "start it, or name it by --server" if wanted else ""
        yield Finding("service", level, str(error), do)
        return
    except (APIError, UserError) as error:
        do = "CALLSHEET_TOKEN: callsheetctl token create doctor --role viewer"
        yield Finding("service", "warning", f"{client.url}: {error}", do)
        return
    for name, role in health["roles"].items():
        if role["status"] != "up":
            do = "look at its log; the supervisor starts it again"
            yield Finding("service", "error", f"{name} is {role['status']}", do)
    if health["problem"]:
        yield Finding("service", "error", health["problem"], "look at the log of the ledger")
    version = health["versions"]["callsheet"]
    if version != __version__:
        said = f"the server runs {version}, here is {__version__}"
        yield Finding("service", "warning", said, "restart the server after an upgrade")
    yield from _skew(health["now"], before_s)
    jobs = health["jobs"] or {}
    if jobs.get("problem_count"):
        count = jobs["problem_count"]
        mistakes = f"{count} mistake{'' if count == 1 else 's'}"
        said = f"the job folder has {mistakes}: the set before is in force"
        yield Finding("service", "error", said, "callsheetctl check")
    if health["findings"]:
        said = f"the checker has {health['findings']} finding{'s' * (health['findings'] != 1)}"
        yield Finding("service", "warning", said, "callsheet checks")
    yield Finding("service", "ok", f"{client.url}: {health['status']}, version {version}")
    away = [agent["agent_id"] for agent in agents if agent["state"] == "away"]
    if away:
        said = f"away: {', '.join(sorted(away)[:10])}{' …' if len(away) > 10 else ''}"
        do = "start agentd there, and see that it reaches agents.listen"
        yield Finding("agents", "error", said, do)
    here = sum(agent["state"] in ("active", "draining") for agent in agents)
    yield Finding(
        "agents",
        "ok" if here else "error",
        f"{here} connected",
        "" if here else "no run can start: callsheet agent start, or callsheetctl agent install",
    )


def _skew(told: str, before_s: float) -> Iterator[Finding]:
    from ..jobs.times import parse_time

    server_s, after_s = parse_time(told) / 1e6, time.time()
    off_s = before_s - server_s if server_s < before_s else max(0.0, server_s - after_s)
    if off_s > SKEW_S:
        said = f"the server's clock and this one differ by {off_s:.1f} s"
        yield Finding("clock", "error", said, "keep both right by NTP")
