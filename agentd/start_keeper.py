"""Starts keepers, and ends: `python -I -S start_keeper.py RUNS_DIRECTORY KEEPERS_DIRECTORY NAME…`.

Executed by agentd, in a session of its own. All the keepers that it wants at once are forks of this
one process, which has imported what they need and has a single thread: they share what they do not
change, and outlive it as they outlive agentd. It ends when each of them listens, or is gone. It
must never wait for anything else, and knows nothing of runs.

What is executed itself is compiled each time; so this is all that is.
"""

from __future__ import annotations

import gc
import os
import sys
import types

if not __package__:
    # Executed as a file: its neighbours are found beside it, without the package they are in.
    __package__ = "keeping"
    _here = types.ModuleType(__package__)
    _here.__path__ = [os.path.dirname(os.path.abspath(__file__))]
    sys.modules[__package__] = _here

from .keeper import keep


def main() -> None:
    """Start the keepers that are named; see the module."""
    runs, folder, *names = sys.argv[1:]
    # What whoever started us had open is none of the jobs' business.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    # A collection would write into every object, and so copy all that the keepers share.
    gc.collect()
    gc.freeze()
    ready, is_ready = os.pipe()
    for name in names:
        if os.fork() == 0:
            os.close(ready)
            keep(runs, folder, name, is_ready)
            sys.exit()
    os.close(is_ready)
    # Each of them closes its end of it when it listens, and the kernel that of one that is gone.
    os.read(ready, 1)


if __name__ == "__main__":
    main()
