"""Where the sockets of one server are: files in a private directory, or names inside a process.

Made once by `cli/` before any process is started; the roles only ask it for endpoints. Each life of
a server, from its start to its end, has a folder of its own for them, `run/<life>/`: a role that
outlives its server can do what it will, it never meets the next one. Programs from outside come in
by `run/<name>`, a link into the life that is (docs/adr/0016).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import tempfile
from pathlib import Path

import msgspec

from ..jobs.errors import UserError
from .temporary import hold

# What the path of a Unix socket may have.
PATH_BYTES = 107
# A life's name, as `tempfile` makes them.
LIFE = re.compile("[a-z0-9_]{8}")
LIFE_BYTES = 8
LEDGER = "ledger"
FEED = "feed"
SCHEDULER = "scheduler"
AGENTS = "agents"
OUTPUTS = "outputs"
LOG = "log"
PUBLISHED = "published"
REPLAY = "replay"
NAMES = (LEDGER, FEED, SCHEDULER, AGENTS, OUTPUTS, LOG, PUBLISHED, REPLAY)
# Where others come in.
PUBLIC = (AGENTS, PUBLISHED, REPLAY)


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """Where agents of other hosts come in: `agents` those that are known, `enrol` those that want
    to be. `key_file` holds the server's secret key."""

    agents: str
    enrol: str
    key_file: str


class FeedDoor(msgspec.Struct, frozen=True, kw_only=True):
    """Where programs of other hosts follow the server: `publish`, and `ask` at the next port.
    `allow` are the public keys that are let in, by the names they go by; `key_file` holds the
    server's secret key."""

    publish: str
    ask: str
    key_file: str
    allow: dict[str, str]


class UnsafeDirectory(UserError):
    """A directory for sockets could be reached by other people."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}: expected a directory of our own with mode 0700")


class Place:
    """Endpoints by name; `directory`, that of a life, holds the socket files."""

    def __init__(
        self,
        directory: Path,
        *,
        inside: bool = False,
        door: Door | None = None,
        feed_door: FeedDoor | None = None,
    ) -> None:
        """`inside`: all roles share this process, and only agents come in from outside it. Without
        a `door` no agent comes in from other hosts, without a `feed_door` no other program."""
        self.directory = directory
        self.door = door
        self.feed_door = feed_door
        self._inside = inside

    def bind(self, name: str) -> list[str]:
        """Return the endpoints at which the owner of `name` binds."""
        if not self._inside:
            return [self.outside(name)]
        return [self.connect(name), self.outside(name)] if name == AGENTS else [self.connect(name)]

    def connect(self, name: str) -> str:
        """Return the endpoint at which other roles find it."""
        return f"inproc://callsheet-{name}" if self._inside else self.outside(name)

    def path(self, name: str) -> str:
        """Return the file of a socket that is not ZeroMQ's."""
        return str(self.directory / name)

    def outside(self, name: str) -> str:
        """Return the endpoint at which other processes of this server find it."""
        return f"ipc://{self.directory / name}"


def address(run: Path, name: str) -> str:
    """Return the endpoint at which other programs of this user find a name of `PUBLIC`, whichever
    life the server is in."""
    return f"ipc://{run / name}"


def run_directory(wanted: Path) -> Path:
    """Make the directory for the sockets of a server and return it.

    Args:
        wanted: where it should be. When that path is too long for a socket, a short one in the
            user's runtime directory (or the temporary directory) is made, the same at each start.

    Raises:
        UnsafeDirectory: it is not ours, not a directory, or open to others and not to be closed.
    """
    wanted = wanted.absolute()
    longest = max(len(os.fsencode(wanted / ("x" * LIFE_BYTES) / name)) for name in NAMES)
    if longest <= PATH_BYTES:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        return _private(wanted)
    key = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    if len(os.fsencode(base)) > PATH_BYTES // 2:
        base = Path("/tmp")  # noqa: S108 - checked below: it must be ours alone
    return _private(base / f"callsheet-{os.getuid()}-{key}")


def begin_life(run: Path) -> Path:
    """Make the folder for the sockets of a life that begins, and return it.

    Raises:
        UserError: there can be none.
    """
    hold(run)
    try:
        return Path(tempfile.mkdtemp(prefix="", dir=run))
    except OSError as error:
        expected = "expected a folder to make sockets in"
        raise UserError(f"{run}: {error.strerror}: {expected}") from None


def find_place(state_dir: Path) -> Path:
    """Return a folder for the sockets of this life; the state folder is made where it is missing.

    Raises:
        UserError: one of them cannot be had.
    """
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        return begin_life(run_directory(state_dir / "run"))
    except OSError as error:
        where, expected = error.filename or state_dir, "expected a folder to write into"
        raise UserError(f"state_dir: {where}: {error.strerror}: {expected}") from None


def lead_here(life: Path) -> None:
    """Have those who come from outside find this life, and remove what killed ones left behind.

    To be called once the database is known to be ours: before that, another server may live.

    Raises:
        OSError: it cannot be done.
    """
    run = life.parent
    for name in PUBLIC:
        part = run / f".{name}"
        part.unlink(missing_ok=True)
        part.symlink_to(f"{life.name}/{name}")
        part.replace(run / name)
    for entry in run.iterdir():
        if LIFE.fullmatch(entry.name) and entry != life:
            end_life(entry)


def end_life(life: Path) -> None:
    """Remove the folder of a life that is over, and its sockets; what is not ours stays."""
    with contextlib.suppress(OSError):
        for name in NAMES:
            (life / name).unlink(missing_ok=True)
        life.rmdir()


def _private(directory: Path) -> Path:
    """Make `directory` if need be, and see that it is ours alone."""
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeDirectory(directory, "it is not a directory")
    if found.st_uid != os.getuid():
        raise UnsafeDirectory(directory, f"it belongs to user {found.st_uid}")
    if stat.S_IMODE(found.st_mode) != 0o700:
        directory.chmod(0o700)
    return directory
