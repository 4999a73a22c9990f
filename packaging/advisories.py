"""Whether anything is known against the versions that an exact installation is made of.

`make advisories` asks by pip-audit for every version in the locks. Those that were looked into
stand in advisories.toml, with a reason and a day from which on they count again.

It never takes silence for good news. pip-audit says *no known vulnerabilities* also of packages
that the service has not heard of, which is what a mirror of packages answers for all: here a
version that nobody answered for is told as such.

Exit status: 0 nothing is known, 1 something is, 2 not everything could be asked for.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parent))

import locks

HERE = Path(__file__).parent
# Both give what the Python Packaging Advisory Database has; the second is asked when the first
# does not answer for everything.
SERVICES = ("pypi", "osv")
REQUEST_S = 15
# For all requests together: a network that swallows them must not hold a build for minutes.
ANSWER_S = 120
NOTHING, FOUND, UNASKED = 0, 1, 2


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An advisory that somebody has looked into."""

    id: str
    package: str
    until: datetime.date
    reason: str


class _Allowed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    known: tuple[Known, ...] = ()


class Advisory(msgspec.Struct, frozen=True):
    """One advisory against one version; `ids` are all names it goes by."""

    package: str
    version: str
    ids: tuple[str, ...]
    fixed_in: tuple[str, ...]
    text: str

    def sentence(self) -> str:
        """Return it as one line for people."""
        better = f"fixed in {', '.join(self.fixed_in)}" if self.fixed_in else "not fixed yet"
        text = self.text if len(self.text) <= 200 else self.text[:200] + "…"
        return f"{self.package} {self.version}: {', '.join(self.ids)}: {better}: {text}"


class Answer(msgspec.Struct, frozen=True):
    """What a service said: about which (package, version), and what it has against them."""

    asked: frozenset[tuple[str, str]] = frozenset()
    advisories: tuple[Advisory, ...] = ()
    why_not: str = ""  # why nothing was said, where nothing was


class Verdict(msgspec.Struct, frozen=True):
    """An exit status and the lines that say why."""

    status: int
    lines: tuple[str, ...]


def heard(document: dict[str, Any]) -> Answer:
    """Read pip-audit's JSON. What it skipped has not been asked for."""
    asked, advisories = set(), []
    for package in document["dependencies"]:
        if "skip_reason" in package:
            continue
        asked.add((package["name"], package["version"]))
        for one in package["vulns"]:
            advisories.append(
                Advisory(
                    package=package["name"],
                    version=package["version"],
                    ids=(one["id"], *one["aliases"]),
                    fixed_in=tuple(one["fix_versions"]),
                    text=" ".join(one["description"].split()),
                )
            )
    return Answer(asked=frozenset(asked), advisories=tuple(advisories))


def judge(
    wanted: frozenset[tuple[str, str]],
    answers: Iterable[tuple[str, Answer]],
    known: Iterable[Known],
    today: datetime.date,
) -> Verdict:
    """Say what is known against the versions `wanted`, from the answers of named services."""
    asked: set[tuple[str, str]] = set()
    found: dict[tuple[str, str, str], Advisory] = {}
    silent = []
    for service, answer in answers:
        asked |= answer.asked
        found |= {(one.package, one.version, one.ids[0]): one for one in answer.advisories}
        if answer.why_not:
            silent.append(f"{service}: {answer.why_not}")
    lines, status, used = [], NOTHING, set()
    for advisory in _once(found.values()):
        reasons = [
            one
            for one in known
            if (one.package, one.id in advisory.ids) == (advisory.package, True)
        ]
        used.update(reasons)
        if any(today < one.until for one in reasons):
            continue
        status = FOUND
        lines.append(advisory.sentence())
        lines += [f"  it was known until {one.until}: {one.reason}" for one in reasons]
    missing = sorted(wanted - asked)
    if missing:
        status = status or UNASKED
        names = ", ".join(f"{name} {version}" for name, version in missing[:3])
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        lines.append(
            f"advisories were NOT looked up for {len(missing)} of {len(wanted)} versions:"
            f" {names}{more}"
        )
        lines += [f"  {one}" for one in silent]
    else:
        lines += [
            f"{one.package}: {one.id} is known in advisories.toml and is not found any more"
            for one in known
            if one not in used
        ]
    if status == NOTHING:
        lines.append(f"{len(wanted)} versions: no advisory that is not known")
    return Verdict(status, tuple(lines))


def _once(advisories: Iterable[Advisory]) -> list[Advisory]:
    """Return each once, though two services give it by different names."""
    kept: list[Advisory] = []
    for one in sorted(advisories, key=lambda one: (one.package, one.version, one.ids)):
        if not any(
            (one.package, one.version) == (other.package, other.version)
            and set(one.ids) & set(other.ids)
            for other in kept
        ):
            kept.append(one)
    return kept


def ask(service: str, wanted: Iterable[tuple[str, str]]) -> Answer:
    """Ask a service by pip-audit; whatever goes wrong is a reason why it has not answered."""
    answers = [_ask(service, one) for one in _rounds(wanted)]
    asked = frozenset[tuple[str, str]]().union(*(one.asked for one in answers))
    return Answer(
        asked=asked,
        advisories=tuple(advisory for one in answers for advisory in one.advisories),
        why_not=next((one.why_not for one in answers if one.why_not), ""),
    )


def _rounds(wanted: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Return the versions by name, in as many parts as one name has versions.

    Which version is wanted may hang on the Python; pip-audit takes one of each.
    """
    rounds: list[dict[str, str]] = []
    for name, version in sorted(wanted):
        free = next((one for one in rounds if name not in one), None)
        if free is None:
            rounds.append(free := {})
        free[name] = version
    return rounds


def _ask(service: str, versions: dict[str, str]) -> Answer:
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="ascii") as file:
        file.writelines(f"{name}=={version}\n" for name, version in versions.items())
        file.flush()
        command = [
            *(sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip"),
            *("--format", "json", "--progress-spinner", "off", "--aliases", "on"),
            *("--desc", "on", "--timeout", str(REQUEST_S), "--vulnerability-service", service),
            *("--requirement", file.name),
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=ANSWER_S, check=False
            )
        except subprocess.TimeoutExpired:
            return Answer(why_not=f"no answer within {ANSWER_S} s")
    try:
        answer = heard(json.loads(done.stdout))
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:] or [f"ended with {done.returncode}"]
        return Answer(why_not=last[0][:300])
    return answer if answer.asked else Answer(why_not="it knows none of these packages")


def allowed(text: str) -> tuple[Known, ...]:
    """Read advisories.toml.

    Raises:
        msgspec.ValidationError: it has other keys, or one of them lacks its reason or its day.
    """
    return msgspec.convert(tomllib.loads(text), _Allowed).known


def main() -> int:
    """Ask, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.parse_args()
    wanted = frozenset(
        (one.name, one.version) for name in ("extras", "build") for one in locks.read(name)
    )
    known = allowed((HERE / "advisories.toml").read_text(encoding="utf-8"))
    answers: list[tuple[str, Answer]] = []
    missing = wanted
    for service in SERVICES:
        if missing:
            answer = ask(service, missing)
            answers.append((service, answer))
            missing -= answer.asked
    today = datetime.datetime.now(datetime.UTC).date()
    verdict = judge(wanted, answers, known, today)
    for line in verdict.lines:
        print(line)
    return verdict.status


if __name__ == "__main__":
    sys.exit(main())
