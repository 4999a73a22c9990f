"""What an exact installation is made of: versions and checksums of all that callsheet needs.

`setup.py` says which versions will do; a lock says which ones were tried together, and by their
checksums that nobody has put others in their place. `make locks` writes them anew, of the newest
that will do, and `make locked` installs by them.

    packaging/locks/callsheet.txt   what every installation needs
    packaging/locks/extras.txt      that and all that the extras for users need
    packaging/locks/build.txt       what builds callsheet's own wheel

A lock holds for every Python and every Linux that callsheet runs on: a marker says where a line
counts, and each file that was published of a version has its checksum.

    python packaging/locks.py --renew
    python packaging/locks.py --fits
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

HERE = Path(__file__).parents[1]
LOCKS = HERE / "packaging" / "locks"
EXTRAS = ("apsis", "notify", "ssh", "storage")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28")
HEADER = """\
# {what}.
# Written by `make locks`; what may stand here is said in {source}.
"""
_PINNED = re.compile(r"([A-Za-z0-9._-]+)==([^\s;\\]+)(?:\s*;\s*([^\\]+?))?\s*\\?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class BadLock(Exception):
    """A lock has a line that is no pinned version, checksum or comment."""

    def __init__(self, number: int, line: str) -> None:
        super().__init__(f"line {number}: {line.strip()!r}: expected NAME==VERSION or a checksum")


class Pinned(msgspec.Struct, frozen=True):
    """One version of one package, where it is wanted, and the checksums of its files."""

    name: str
    version: str
    marker: str | None
    sha256: tuple[str, ...]


def pinned(text: str) -> Iterator[Pinned]:
    """Read a lock.

    Raises:
        BadLock: a line is something else, such as an option of pip.
    """
    found: tuple[str, str, str | None] | None = None
    hashes: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        digest = _HASH.fullmatch(line.strip().rstrip("\\").strip())
        if digest is not None and found is not None:
            hashes.append(digest[1])
            continue
        package = _PINNED.fullmatch(line)
        if package is None:
            raise BadLock(number, line)
        if found is not None:
            yield Pinned(*found, tuple(hashes))
        found, hashes = (package[1], package[2], package[3]), []
    if found is not None:
        yield Pinned(*found, tuple(hashes))


def read(name: str) -> list[Pinned]:
    """Return what a lock of ours pins."""
    return list(pinned((LOCKS / f"{name}.txt").read_text(encoding="utf-8")))


def renew() -> None:
    """Write all locks anew.

    Raises:
        CalledProcessError: uv found no versions that go together, or no network.
    """
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    _compile("extras", "What callsheet with all its extras needs", "setup.py", *extras)
    # The smaller one has the same versions, so that an extra may be added later.
    same = ["--constraint", str(LOCKS / "extras.txt")]
    _compile("callsheet", "What callsheet needs", "setup.py", *same)
    tools = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = "\n".join(tools["build-system"]["requires"])
    _compile("build", "What builds callsheet's wheel", "pyproject.toml", asked=wanted)


def _compile(name: str, what: str, said_in: str, *words: str, asked: str | None = None) -> None:
    """Write one lock, of what a file asks for, or of `asked`, a requirement a line."""
    done = subprocess.run(
        [
            *_uv("pip", "compile", "--quiet", "--universal", "--generate-hashes", "--upgrade"),
            *("--no-header", "--no-annotate", "--python-version", PYTHONS[0]),
            *words,
            said_in if asked is None else "-",
        ],
        cwd=HERE,
        input=asked,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    text = HEADER.format(what=what, source=said_in) + done.stdout
    list(pinned(text))
    (LOCKS / f"{name}.txt").write_text(text, encoding="utf-8")


def unfit() -> Iterator[str]:
    """Yield, a sentence each, for which Python of which platform a lock cannot be installed."""
    for name in ("extras", "build"):
        for python in PYTHONS:
            for platform in PLATFORMS:
                said = _try(name, python, platform)
                if said:
                    yield f"{name} on Python {python} of {platform}:\n{said}"


def _try(name: str, python: str, platform: str) -> str:
    """Return why there are no wheels with these checksums for it, empty when there are."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                *_uv("pip", "install", "--quiet", "--dry-run", "--require-hashes"),
                *("--only-binary", ":all:", "--target", folder),
                *("--python-version", python, "--python-platform", platform),
                *("--requirements", str(LOCKS / f"{name}.txt")),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    return "" if done.returncode == 0 else done.stderr


def _uv(*words: str) -> Iterable[str]:
    return sys.executable, "-m", "uv", *words


def main() -> int:
    """Write the locks, or try them; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--renew", action="store_true", help="write them anew")
    parser.add_argument("--fits", action="store_true", help="find wheels for all that they say")
    options = parser.parse_args()
    if options.renew:
        renew()
    said = list(unfit()) if options.fits else []
    sys.stderr.writelines(f"{sentence}\n" for sentence in said)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
