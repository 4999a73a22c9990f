"""Writes `cli/names.txt`: the names of which a server's processes change how often they are held.

For whoever has changed much of what all roles do: a list that is old costs some memory, no more.
Starts a server; each of its processes, some seconds after it was forked, compares the counts of all
texts with those before the forks. The names that most processes have touched come first, and with
1,500 of them it ends: the other 1,900 would spare nothing that can be measured.
"""

from __future__ import annotations

import collections
import gc
import os
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path

from machine import durable_folder
from server import Server, free_port

from callsheet.actors import heap, supervise
from callsheet.cli import names_first
from callsheet.cli.administrators import main as callsheetctl

SETTLE_S = 20.0
NAME_CHARS = 40
MOST_NAMES = 1_500
LINE_CHARS = 100


def texts() -> list[str]:
    """Return all texts that objects of this process refer to."""
    found: dict[int, str] = {}
    seen: set[int] = set()
    rest = gc.get_objects()
    while rest:
        one = rest.pop()
        if id(one) not in seen:
            seen.add(id(one))
            if isinstance(one, str):
                found[id(one)] = one
            rest += gc.get_referents(one)
    return list(found.values())


def serve(folder: str) -> None:
    """Be the server; each fork writes what it has touched into a file of its own."""
    fill_holes = heap.fill_holes

    def watched() -> int:
        gc.unfreeze()
        all_texts = texts()
        gc.freeze()
        counts: list[int] = []

        def count() -> None:
            counts[:] = [sys.getrefcount(text) for text in all_texts]

        def compare() -> None:
            time.sleep(SETTLE_S)
            before = list(counts)
            count()
            both = zip(all_texts, before, counts, strict=True)
            touched = [text for text, was, is_now in both if was != is_now]
            role = Path("/proc/self/comm").read_text().strip()
            Path(folder, f"{role}.names").write_text(
                "\n".join(text for text in touched if text.isidentifier() and text.isascii())
            )

        os.register_at_fork(
            before=count,
            after_in_child=lambda: threading.Thread(target=compare, daemon=True).start(),
        )
        return fill_holes()

    vars(supervise)["fill_holes"] = watched
    bind = f"127.0.0.1:{free_port()}"
    sys.argv[1:] = ["serve", "--config", f"{folder}/callsheet.yaml", "--bind", bind]
    callsheetctl()


def main() -> None:
    """Write the names."""
    with durable_folder() as folder:
        Server(folder, {"noop": "program: {type: no-op}\n"})
        pid = os.fork()
        if pid == 0:
            try:
                serve(folder)
            finally:
                os._exit(0)  # The folder is its parent's.
        time.sleep(2 * SETTLE_S)
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        roles = collections.defaultdict(set)
        for path in Path(folder).glob("*.names"):
            for name in path.read_text().split():
                roles[name].add(path.stem)
    names = [name for name in roles if len(name) <= NAME_CHARS]
    names.sort(key=lambda name: (-len(roles[name]), sorted(roles[name]), name))
    lines = textwrap.wrap(" ".join(names[:MOST_NAMES]), LINE_CHARS)
    Path(names_first.PATH).write_text("\n".join(lines) + "\n", encoding="ascii")
    print(f"{MOST_NAMES} of {len(names)} names of {len(set().union(*roles.values()))} processes")


if __name__ == "__main__":
    main()
