"""The first process of a container with a server: keeps the server, and buries whoever dies without
a parent.

`python -m callsheet.cli.first`, as the entry point of packaging/container/Containerfile; options of
`callsheetctl serve` may follow. On the first start it makes the database. Where a server has been
before it does not: a database that has gone is for a person to look into.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ..agentd.first import adopt_orphans, keep

CONFIG = "/etc/callsheet/callsheet.yaml"
# What any server has made in its state folder by the time that it runs.
OUTPUTS = "outputs"


def arguments(environ: Mapping[str, str], given: list[str]) -> list[str]:
    """Return the options of `serve`: the settings of CALLSHEET_CONFIG, and what was given."""
    return ["--config", environ.get("CALLSHEET_CONFIG") or CONFIG, *given]


def prepare(config: Path) -> None:
    """Make the database that the settings name, where no server has been yet.

    A new volume need not be empty: some have a `lost+found`.

    Raises:
        UserError: the settings do not hold.
        CalledProcessError: the database could not be made; `callsheetctl create` has said why.
    """
    from ..conf.settings import load_settings

    settings = load_settings(config)
    path = settings.database.path
    if not path.exists() and not (settings.state_dir / OUTPUTS).exists():
        command = [sys.executable, "-m", "callsheet.cli.administrators", "create", str(path)]
        subprocess.run(command, check=True)


def main() -> int:
    """Run the server; return its exit status."""
    from ..jobs.errors import UserError

    adopt_orphans()
    options = arguments(os.environ, sys.argv[1:])
    try:
        prepare(Path(options[1]))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        return error.returncode
    command = [sys.executable, "-m", "callsheet.cli.administrators", "serve", *options]
    # One that ends by itself has said why. One that is killed is followed by another, while agents
    # and jobs go on.
    return keep(command, is_over=lambda status: status >= 0)


if __name__ == "__main__":
    sys.exit(main())
