"""The args of a run as variables of its process: `APSIS_ARG_<name>`.

Called by the runner when it has a process started; nothing of it is stored with the run. A variable
may never keep a process from being started, so that what does not fit into one is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

PREFIX = "APSIS_ARG_"
# What a shell can name. The far side of SSH is a shell, and would stumble over anything else.
_NAME = re.compile(r"[A-Za-z0-9_]+")
# Linux takes 128 KiB for one variable, and behind sudo or SSH all of them travel in one.
MOST_BYTES = 64 * 1024


def arg_variables(args: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of args, empty for none.

    Left out are args whose names no shell can read, those with a NUL in them, and those that do not
    fit into `MOST_BYTES` together with the ones before them, by name.
    """
    found: dict[str, str] = {}
    free = MOST_BYTES
    for name, value in sorted(args.items()):
        if not _NAME.fullmatch(name) or "\0" in value:
            continue
        size = len(PREFIX) + len(name) + len(value.encode(errors="surrogatepass")) + 2
        if size <= free:
            free -= size
            found[PREFIX + name] = value
    return found
