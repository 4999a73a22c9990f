"""What stands in the sources of the rooms, for tests of form: each is parsed and walked once."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Import(NamedTuple):
    """An import: `level` counts its dots, `name` is dotted and, if relative, counts from the root.
    `at_once`: it is carried out when its module is imported."""

    line: int
    level: int
    name: str
    at_once: bool


class Call(NamedTuple):
    """A call: the last word of what is called, and the names of its keyword arguments."""

    line: int
    name: str
    keywords: frozenset[str]


class Source(NamedTuple):
    """A module. `texts`: its literals that are texts; `attributes`: (name, attribute) of names;
    `classes`: the names of the methods of each class."""

    imports: tuple[Import, ...]
    calls: tuple[Call, ...]
    texts: frozenset[str]
    attributes: frozenset[tuple[str, str]]
    classes: tuple[frozenset[str], ...]


def rooms() -> list[Path]:
    """Return the folders that are packages."""
    return sorted(path.parent for path in ROOT.glob("*/__init__.py"))


def modules(room: str) -> list[Path]:
    """Return the modules of a room."""
    return sorted((ROOT / room).rglob("*.py"))


def all_modules() -> list[Path]:
    """Return the modules of all rooms."""
    return [path for room in rooms() for path in modules(room.name)]


@functools.cache
def source(path: Path) -> Source:
    """Return what stands in a module. The trees themselves would fill much memory."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    package = path.relative_to(ROOT).parent.parts
    at_once = set(map(id, _at_once(tree)))
    imports, calls, texts, attributes, classes = [], [], set(), set(), []
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)):
                texts.add(text)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                attributes.add((name, attribute))
            case ast.Call(func=called, keywords=keywords):
                name = getattr(called, "attr", getattr(called, "id", ""))
                given = frozenset(word.arg for word in keywords if word.arg is not None)
                calls.append(Call(node.lineno, name, given))
            case ast.Import() | ast.ImportFrom():
                imports += [
                    Import(node.lineno, level, name, id(node) in at_once)
                    for level, name in _names(node, package)
                ]
            case ast.ClassDef(body=body):
                defined = (one.name for one in body if isinstance(one, ast.FunctionDef))
                classes.append(frozenset(defined))
    return Source(
        tuple(imports), tuple(calls), frozenset(texts), frozenset(attributes), tuple(classes)
    )


def _names(
    node: ast.Import | ast.ImportFrom, package: tuple[str, ...]
) -> Iterator[tuple[int, str]]:
    """Yield (level, dotted name) of what is imported."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield 0, alias.name
        return
    base = package[: len(package) - node.level + 1] if node.level else ()
    for alias in node.names:
        name = [*base, *(node.module or "").split("."), alias.name]
        yield node.level, ".".join(part for part in name if part)


def _at_once(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the imports that are carried out when the module is imported."""
    todo = [*tree.body]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            todo += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
