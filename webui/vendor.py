"""The console's vendored modules: what they must be, checked against the files that are here.

`python -m callsheet.webui.vendor` verifies, `… --write` makes `SHA256SUMS` anew after an update by
hand (README.md beside it says where each file is from). The server never calls this.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "static" / "vendor"
SUMS = "SHA256SUMS"
# `from "…"`, `import "…"` and `import("…")`, minified or not.
# A statement, or a call of `import`; not a text that is the word "from".
_STATEMENT = r"""(?:\b(?:import|export)\b[^"'`;()=]*?\bfrom|(?<!["'.])\bimport)"""
_IMPORT = re.compile(_STATEMENT + r"""\s*\(?\s*["']([^"']+)["']""")

_NEED = re.compile(_STATEMENT + r"""\s*["']([^"']+)["']""")


def imports_of(source: str) -> list[str]:
    """Return the specifiers that a module imports, at once or when it wants them, in order."""
    return _IMPORT.findall(source)


def needs_of(source: str) -> list[str]:
    """Return the specifiers without which a module is not run, in order."""
    return _NEED.findall(source)


def sums_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each module of a folder, by name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("*.js"))
    }


def stated_sums(folder: Path) -> dict[str, str]:
    """Return what `SHA256SUMS` says."""
    lines = (folder / SUMS).read_text(encoding="ascii").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines if line)}


def problems(folder: Path) -> list[str]:
    """Return what is wrong with a folder of vendored modules, a sentence each; empty when nothing.

    A browser cannot resolve bare specifiers without an import map, which the content policy
    forbids; and a pointer to a source map is a request for a file that is not there.
    """
    found, stated = sums_of(folder), stated_sums(folder)
    said = [f"{name}: has no checksum: expected it in {SUMS}" for name in found.keys() - stated]
    said += [f"{name}: is missing: expected by {SUMS}" for name in stated.keys() - found]
    for name in sorted(found.keys() & stated):
        if found[name] != stated[name]:
            said.append(f"{name}: differs from its checksum: expected {stated[name][:12]}…")
    for name in found:
        source = (folder / name).read_text(encoding="utf-8")
        for specifier in imports_of(source):
            if not specifier.startswith("./") or not (folder / specifier).is_file():
                said.append(f"{name}: imports {specifier!r}: expected a file beside it")
        if "sourceMappingURL" in source:
            said.append(f"{name}: points to a source map: expected none")
    return sorted(said)


def write_sums(folder: Path) -> None:
    """Write `SHA256SUMS` for the modules that are there."""
    lines = [f"{digest}  {name}\n" for name, digest in sums_of(folder).items()]
    (folder / SUMS).write_text("".join(lines), encoding="ascii")


def main(args: list[str]) -> int:
    """Verify, or with `--write` write the checksums; return the exit status."""
    if args == ["--write"]:
        write_sums(FOLDER)
    elif args:
        sys.stderr.write("usage: python -m callsheet.webui.vendor [--write]\n")
        return 2
    said = problems(FOLDER)
    sys.stderr.writelines(f"{sentence}\n" for sentence in said)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
