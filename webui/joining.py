"""The console's modules, joined into as few files as a page can do with.

A browser spends two milliseconds of a page's main thread on each module that it asks for, whatever
is in it, and more in its other processes: 38 of them were most of what the list of runs took until
it was there. The modules stay as they are written, one for each meaning; the web server joins them
when it reads them. Nothing is renamed, left out or made smaller: each module is a function that is
called once, its lines are its own, and its name stands above it.

Which are joined follows from who needs them. What the frame needs is one file. Of the others those
that the same of the modules which are loaded when they are wanted (views, dialogs) need are one:
they are never needed apart, so that no page loads what it does not need, and no module is in two
files. A file needs only files that at least as many need: no two need each other.

Joining knows the forms in which these modules say what they import and export (`_FORMS`), each on a
line of its own. Where one has another form, or two modules need each other, all are sent as they
are: a console that is slower to come, and none that is wrong.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from .vendor import needs_of

OWN = "js/"
_NAMES = r"\{([^{}\n]*)\}"
_FORMS = re.compile(
    rf"""^(?:
      import\ (?:{_NAMES}|(\w+))\ from\ "([^"\n]+)";     # 1 names, 2 the default, 3 of
    | import\ "([^"\n]+)";                               # 4 of
    | export\ {_NAMES}(?:\ from\ "([^"\n]+)")?;          # 5 names, 6 of
    | export\ (?=(?:async\ )?(?:function\*?|class|const)\ ([\w$]+))   # 7 a name
    )""",
    re.MULTILINE | re.VERBOSE,
)
_LATER = re.compile(r'(?<==> )import\("([^"\n]+)"\)')
_LEFT = re.compile(r"^(?:import|export)\b", re.MULTILINE)


class CannotJoinError(Exception):
    """A module has a form that is not known here."""


@dataclass(frozen=True)
class Joined:
    """The modules as they are sent."""

    files: Mapping[str, bytes]
    # The file in which a module is, and the modules that it needs.
    homes: Mapping[str, str]
    needs: Mapping[str, list[str]]


def join(files: Mapping[str, bytes], frame: str) -> Joined:
    """Join the modules among the files, by their names; those that are not ours stay apart.

    Args:
        files: all files of the console.
        frame: the module that each page loads.
    """
    sources = {name: content.decode() for name, content in files.items() if _is_module(name)}
    needs = {
        name: [one for one in map(partial(beside, name), needs_of(text)) if one in sources]
        for name, text in sources.items()
    }
    try:
        groups = _groups(sources, needs, frame)
        homes = {name: group[-1] for group in groups for name in group}
        sent = {group[-1]: _file(group, sources, needs, homes).encode() for group in groups}
    except CannotJoinError:
        return Joined(files, {name: name for name in sources}, needs)
    rest = {name: content for name, content in files.items() if name not in homes}
    others = {name: name for name in sources if name not in homes}
    return Joined({**rest, **sent}, {**homes, **others}, needs)


def beside(name: str, specifier: str) -> str:
    """Return the file that a module means by a specifier, below the same folder."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), specifier))


def closure(names: list[str], needs: Mapping[str, list[str]]) -> list[str]:
    """Return those of these modules that there are, and all that they need, each behind what it
    needs itself; of two that need each other either may come first."""
    found: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name in seen or name not in needs:
            return
        seen.add(name)
        for one in needs[name]:
            visit(one)
        found.append(name)

    for name in names:
        visit(name)
    return found


def _is_module(name: str) -> bool:
    return name.endswith(".js")


def _groups(
    sources: Mapping[str, str], needs: Mapping[str, list[str]], frame: str
) -> list[list[str]]:
    """Return the modules of each file, each behind what it needs; by the last the file is named.

    Raises:
        CannotJoinError: two need each other.
    """
    own = {name: needs[name] for name in sources if name.startswith(OWN)}
    wanted = sorted({beside(name, one) for name in own for one in _LATER.findall(sources[name])})
    first = closure([frame], own)
    users: dict[str, list[str]] = {name: [] for name in own}
    for one in wanted:
        for name in closure([one], own):
            users[name].append(one)
    groups: dict[tuple[str, ...], list[str]] = {}
    done: set[str] = set()
    for name in closure([frame, *sorted(own)], own):
        early = [one for one in own[name] if one in own and one not in done]
        if early:
            raise CannotJoinError(f"{name} and {early[0]} need each other")
        done.add(name)
        if name not in first:
            groups.setdefault(tuple(users[name] or [name]), []).append(name)
    return [group for group in (first, *groups.values()) if group]


def _file(
    group: list[str],
    sources: Mapping[str, str],
    needs: Mapping[str, list[str]],
    homes: Mapping[str, str],
) -> str:
    """Return the text of a file."""
    home = group[-1]
    heads: dict[str, None] = {}
    parts = []
    for name in group:
        for one in needs[name]:
            if one not in homes:
                heads[f'import * as {_space(one)} from "{_specifier(home, one)}";'] = None
            elif homes[one] != home:
                heads[f'import {{ {_space(one)} }} from "{_specifier(home, homes[one])}";'] = None
        parts.append(_part(name, sources[name], home, homes))
    return "\n".join([*heads, *parts])


def _part(name: str, source: str, home: str, homes: Mapping[str, str]) -> str:
    """Return a module as a function that is called once, and gives what it exports."""
    given: list[str] = []

    def local(found: re.Match[str]) -> str:
        names, default, of, _, listed, listed_of, declared = found.groups()
        if of is not None:
            space = _space(beside(name, of))
            wanted = f"{{ {_pairs(names)} }}" if default is None else f"{{ default: {default} }}"
            return f"const {wanted} = {space};"
        if listed is not None:
            space = "" if listed_of is None else f"{_space(beside(name, listed_of))}."
            for inner, outer in _split(listed):
                given.append(inner if inner == outer and not space else f"{outer}: {space}{inner}")
        elif declared is not None:
            given.append(declared)
        return ""

    def later(found: re.Match[str]) -> str:
        wanted = beside(name, found[1])
        if wanted not in homes:
            return found[0]
        path = _specifier(home, homes[wanted])
        return f'import("{path}").then((its) => its.{_space(wanted)})'

    text = _LATER.sub(later, _FORMS.sub(local, source))
    left = _LEFT.search(text)
    if left is not None:
        raise CannotJoinError(f"{name}: {text[left.start() :].splitlines()[0]}")
    return (
        f"// {name}\nexport const {_space(name)} = (() => {{\n{text}\n"
        f"return {{ {', '.join(given)} }};\n}})();\n"
    )


def _split(names: str) -> list[tuple[str, str]]:
    """Return what stands before and behind each `as` of a list of names."""
    pairs = [re.split(r"\s+as\s+", one.strip()) for one in names.split(",") if one.strip()]
    return [(pair[0], pair[-1]) for pair in pairs]


def _pairs(names: str) -> str:
    return ", ".join(f"{of}: {here}" if of != here else of for of, here in _split(names))


def _space(name: str) -> str:
    """Return the name by which what a module exports is known in files."""
    return re.sub(r"[^\w$]", "_", name.removesuffix(".js").replace("/", "$"))


def _specifier(name: str, other: str) -> str:
    path = posixpath.relpath(other, posixpath.dirname(name))
    return path if path.startswith(".") else f"./{path}"
