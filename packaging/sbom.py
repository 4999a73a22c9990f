"""What an installation is made of, as a CycloneDX document; and whether it still is that.

`make sbom` writes it, `make audit` holds every installed file of every dependency against the
checksum it was installed with. Both read what is installed and ask nobody.

    python packaging/sbom.py [--extra ssh …] > sbom.json
    python packaging/sbom.py --verify
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
import uuid
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

SPEC = "1.6"
OURS = "callsheet"
VENDORED = Path(__file__).parents[1] / "webui" / "static" / "vendor"
# pip and what it builds with come with the environment; no part of ours asks for them.
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


def canonical(name: str) -> str:
    """Return a project's name as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(extras: Iterable[str] = ()) -> dict[str, metadata.Distribution]:
    """Return what is installed of all that ours needs, directly or not, by name.

    Raises:
        PackageNotFoundError: ours itself is not installed.
    """
    found = {OURS: metadata.distribution(OURS)}
    waiting = [(OURS, frozenset(extras))]
    while waiting:
        name, wanted = waiting.pop()
        for requirement in found[name].requires or []:
            extra = _EXTRA.search(requirement)
            if extra is not None and extra[1] not in wanted:
                continue
            match = _REQUIREMENT.match(requirement)
            assert match is not None, f"{name} requires {requirement!r}: not a requirement"
            other = canonical(match[0])
            if other in found:
                continue
            try:
                found[other] = metadata.distribution(other)
            except metadata.PackageNotFoundError:
                continue  # A marker leaves it out here, such as one for other versions of Python.
            named = re.search(r"\[([^\]]*)\]", requirement.partition(";")[0])
            more = frozenset(one.strip() for one in named[1].split(",")) if named else frozenset()
            waiting.append((other, more))
    return found


def document(extras: Iterable[str] = ()) -> dict[str, Any]:
    """Return the CycloneDX document; the same installation gives the same."""
    found = needed(extras)
    components = [_component(found[name]) for name in sorted(found) if name != OURS]
    components += _vendored()
    text = json.dumps(components, sort_keys=True)
    main = _component(found[OURS]) | {"type": "application"}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, text)}",
        "version": 1,
        "metadata": {"component": main},
        "components": components,
        "dependencies": [
            {"ref": _ref(found[name]), "dependsOn": sorted(_below(found[name], found))}
            for name in sorted(found)
        ],
    }


def _component(distribution: metadata.Distribution) -> dict[str, Any]:
    about = distribution.metadata
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _ref(distribution),
        "name": about["Name"],
        "version": distribution.version,
        "purl": _ref(distribution),
    }
    expression = about.get("License-Expression")
    licence = about.get("License") or ""
    named = [
        one.rpartition(" :: ")[2]
        for one in about.get_all("Classifier") or []
        if "License ::" in one
    ]
    if expression:
        component["licenses"] = [{"expression": expression}]
    elif named or (licence and len(licence) < 100):
        component["licenses"] = [{"license": {"name": one}} for one in named or [licence]]
    record = distribution.read_text("RECORD")
    if record is not None:
        digest = hashlib.sha256(record.encode()).hexdigest()
        component["properties"] = [{"name": "callsheet:record-sha256", "value": digest}]
    return component


def _ref(distribution: metadata.Distribution) -> str:
    return f"pkg:pypi/{canonical(distribution.metadata['Name'])}@{distribution.version}"


def _below(
    distribution: metadata.Distribution, found: dict[str, metadata.Distribution]
) -> set[str]:
    matches = (_REQUIREMENT.match(one) for one in distribution.requires or [])
    names = {canonical(match[0]) for match in matches if match}
    return {_ref(found[name]) for name in names & found.keys()}


def _vendored() -> list[dict[str, Any]]:
    """Return the modules of the console that are others' work, with their checksums."""
    sums = (VENDORED / "SHA256SUMS").read_text(encoding="ascii").splitlines()
    return [
        {
            "type": "file",
            "bom-ref": f"webui/static/vendor/{name}",
            "name": f"webui/static/vendor/{name}",
            "hashes": [{"alg": "SHA-256", "content": digest}],
        }
        for digest, name in (line.split() for line in sums if line)
    ]


def problems(distributions: Iterable[metadata.Distribution]) -> list[str]:
    """Return each installed file that is not what its package brought, a sentence each."""
    said = []
    for distribution in distributions:
        name = distribution.metadata["Name"]
        if distribution.files is None:
            said.append(f"{name}: has no record of its files: expected one")
            continue
        for file in distribution.files:
            if file.hash is None:
                continue
            path = Path(str(distribution.locate_file(file)))
            try:
                data = path.read_bytes()
            except OSError as error:
                said.append(f"{name}: {file}: {error.strerror}: expected the file")
                continue
            digest = base64.urlsafe_b64encode(hashlib.new(file.hash.mode, data).digest())
            if digest.decode().rstrip("=") != file.hash.value:
                said.append(f"{name}: {file}: differs from what was installed")
    return said


def main() -> int:
    """Write the document, or verify; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--extra", action="append", default=[], help="with what this extra needs")
    parser.add_argument("--verify", action="store_true", help="compare files with their checksums")
    options = parser.parse_args()
    if not options.verify:
        json.dump(document(options.extra), sys.stdout, indent=1)
        sys.stdout.write("\n")
        return 0
    found = needed(options.extra)
    said = problems(found.values())
    sys.stderr.writelines(f"{sentence}\n" for sentence in said)
    if not said:
        print(f"{len(found)} packages, every file as it was installed")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
