"""The console's modules, joined into as few files as a page can do with.

A browser spends two milliseconds of a page's main thread on each module that it asks for, whatever
is in it, and more in its other processes: 38 of them were most of what the list of runs took until
it was there. The modules stay as they are written, one for each meaning; the web server joins them
when it reads them. Nothing is renamed, left out or made smaller: each module is a function that is
called once, its lines are its own, and its name stands above it.

Which are joined follows from who needs them. What the frame needs is one file, and so is with it
what more than one of the modules need that are loaded when they are wanted (views, dialogs): it is
a fifth of all, and to ask for it costs a page more than to have it. What only one of them needs is
one file with it. So a page asks for two, the frame's and its view's, and no module is in two files.

Joining knows the forms in which these modules say what they import and export (`_FORMS`), each on a
line of its own, and those of the libraries that come with them (`_IN_LINES`). Where one has another
form, or two modules need each other, all are sent as they are: a console that is slower to come,
and none that is wrong. Libraries of another form stay apart.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping
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
# What a library that was made small says at its beginning and at its end, and the same in lines.
_IN_LINES = (
    (re.compile(r'\Aimport\{([^{}]*)\}from("[^"\n]+");'), r"import { \1 } from \2;\n"),
    (re.compile(r"(?:\A|(?<=[;}]))export\{([^{}]*)\};?\s*\Z"), r"\nexport { \1 };"),
    (
        re.compile(r"(?<=[;}])export default (function\b.*)", re.DOTALL),
        r"\nconst its_default = \1\nexport { its_default as default };",
    ),
)
_LATER = re.compile(r'(?<==> )import\("([^"\n]+)"\)')
_LEFT = re.compile(r"^(?:import|export)\b", re.MULTILINE)
_ANYWHERE = re.compile(r"\b(?:import|export)\b")


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
        libraries = _libraries(sources)
        apart = set() if libraries else {name for name in sources if not name.startswith(OWN)}
        sources |= libraries
        groups = _groups(sources, needs, frame, apart)
        homes = {name: home for home, group in groups.items() for name in group}
        sent = {
            home: _file(home, group, sources, needs, homes).encode()
            for home, group in groups.items()
        }
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


def _libraries(sources: Mapping[str, str]) -> dict[str, str]:
    """Return the libraries in forms that are known; none when one of them has another."""
    found = {}
    for name in (one for one in sources if not one.startswith(OWN)):
        text = sources[name]
        for small, lines in _IN_LINES:
            text = small.sub(lines, text)
        if _ANYWHERE.search(_FORMS.sub("", text)):
            return {}
        found[name] = text
    return found


def _groups(
    sources: Mapping[str, str], needs: Mapping[str, list[str]], frame: str, apart: Collection[str]
) -> dict[str, list[str]]:
    """Return the modules of each file by its name, each behind what it needs.

    Args:
        apart: modules that are sent as they are.
    Raises:
        CannotJoinError: two need each other.
    """
    own = {name: needs[name] for name in sources if name not in apart}
    wanted = sorted({beside(name, one) for name in own for one in _LATER.findall(sources[name])})
    users: dict[str, list[str]] = {name: [] for name in own}
    # One of these that another needs, too, has its own file.
    near = {name: [one for one in own[name] if one not in wanted] for name in own}
    for one in wanted:
        for name in closure([one], near):
            users[name].append(one)
    # The frame's last: it is called when all is there that it may be asked for.
    shared = [name for name in sorted(own) if len(users[name]) > 1]
    first = closure([*shared, frame], own)
    groups: dict[str, list[str]] = {frame: first}
    done: set[str] = set()
    for name in closure([*first, *sorted(own)], own):
        early = [one for one in own[name] if one in own and one not in done]
        if early:
            raise CannotJoinError(f"{name} and {early[0]} need each other")
        done.add(name)
        if name not in first:
            groups.setdefault((users[name] or [name])[0], []).append(name)
    return {home: group for home, group in groups.items() if group}


def _file(
    home: str,
    group: list[str],
    sources: Mapping[str, str],
    needs: Mapping[str, list[str]],
    homes: Mapping[str, str],
) -> str:
    """Return the text of a file."""
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
