"""A wheel of the agent alone, made of the callsheet that is running: what is sent to other hosts.

It holds the rooms that an agent needs and names just their libraries, so that a host gets a few
megabytes and not a whole server. Its version ends with a hash of what is in it: another content is
another version, and pip takes it over. Called by `agent_steps.py`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from .. import __version__
from ..jobs.errors import UserError

PACKAGE = Path(__file__).resolve().parent.parent
ROOMS = ("jobs", "messages", "wire", "agentd")
LIBRARIES = {"msgspec", "pyzmq", "cronsim", "backports.zstd"}
EXTRAS = {"fabric": "ssh"}
NAME = "callsheet_agentd"
# All files get the same time: the same content is the same wheel.
_TIME = (2020, 1, 1, 0, 0, 0)
_WHEEL = "Wheel-Version: 1.0\nGenerator: callsheet\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_ENTRY_POINTS = "[console_scripts]\ncallsheet-agentd = callsheet.agentd.daemon:main\n"


class NoWheel(UserError):
    """No wheel can be made of the callsheet that is running."""

    def __init__(self, why: str) -> None:
        super().__init__(f"no wheel of the agent can be made: {why}: expected --wheel or --command")


def agent_wheel() -> tuple[str, bytes]:
    """Return a wheel's file name and content.

    Raises:
        NoWheel: this callsheet is not installed, or its files are not there.
    """
    files = {"callsheet/__init__.py": _read(PACKAGE / "__init__.py")}
    for room in ROOMS:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            files[f"callsheet/{path.relative_to(PACKAGE).as_posix()}"] = _read(path)
    if len(files) < len(ROOMS):
        raise NoWheel(f"{PACKAGE} does not hold its modules")
    needs = _needs()
    digest = hashlib.sha256()
    for name, content in (*files.items(), ("needs", needs.encode())):
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    version = f"{__version__}+{digest.hexdigest()[:12]}"
    about = f"{NAME}-{version}.dist-info"
    head = f"Metadata-Version: 2.1\nName: callsheet-agentd\nVersion: {version}\n"
    files[f"{about}/METADATA"] = f"{head}Requires-Python: >=3.11\n{needs}".encode()
    files[f"{about}/WHEEL"] = _WHEEL.encode()
    files[f"{about}/entry_points.txt"] = _ENTRY_POINTS.encode()
    record = "".join(f"{name},{_hash(content)},{len(content)}\n" for name, content in files.items())
    files[f"{about}/RECORD"] = f"{record}{about}/RECORD,,\n".encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _TIME)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return f"{NAME}-{version}-py3-none-any.whl", made.getvalue()


def _needs() -> str:
    """Return the lines of the metadata that name the libraries."""
    try:
        found = requires("callsheet") or []
    except PackageNotFoundError:
        raise NoWheel("callsheet is not installed") from None
    lines = []
    for need in found:
        name = re.split(r"[^A-Za-z0-9._-]", need, maxsplit=1)[0].lower()
        if name in LIBRARIES and "extra" not in need:
            lines.append(f"Requires-Dist: {need}\n")
        elif name in EXTRAS:
            lines.append(f"Provides-Extra: {EXTRAS[name]}\nRequires-Dist: {need}\n")
    if len(lines) < len(LIBRARIES):
        raise NoWheel("its metadata do not name the agent's libraries")
    return "".join(lines)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NoWheel(f"{path}: {error.strerror}") from None


def _hash(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    return f"sha256={digest}"
