"""Starts keepers that have places at which they die; agentd under chaos executes this one.

    python -I -S start_keeper.py RUNS_DIRECTORY KEEPERS_DIRECTORY NAME…

A keeper gets no environment: the folder of places lies beside that of the server's files.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).resolve()
REAL = HERE.parents[3] / "agentd" / "start_keeper.py"
ARMED = Path(sys.argv[1]).parents[2] / "crash"

sys.path.insert(0, str(HERE.parents[1]))
from dying import put_places_in  # noqa: E402

sys.path.pop(0)

spec = importlib.util.spec_from_file_location("start_keeper", REAL)
assert spec is not None, REAL
assert spec.loader is not None, REAL
starter = importlib.util.module_from_spec(spec)
spec.loader.exec_module(starter)
keeper = sys.modules[starter.keep.__module__]
put_places_in(keeper, "callsheet.agentd.keeper", str(ARMED))
line = sys.modules[keeper.Line.__module__]
put_places_in(line, "callsheet.agentd.keeper_line", str(ARMED))

if __name__ == "__main__":
    starter.main()
