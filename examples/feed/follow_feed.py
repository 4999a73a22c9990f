"""Keeps a file of all runs that have failed, whatever becomes of the server or of this program.

    python follow_feed.py ipc:///srv/callsheet.db.state/run/published failed.jsonl

Where it stands is written with each line, so that started anew it goes on from there and writes
nothing twice.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from callsheet.client.feed import Feed, Snapshot


def last_position(path: Path) -> str | None:
    """Return where the last line says that it stood, None when there is none."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return json.loads(lines[-1])["position"] if lines else None


def main(address: str, path: Path) -> None:
    """Follow until it is stopped."""
    with Feed(address, resume=last_position(path)) as feed, path.open("a", encoding="utf-8") as out:
        for news in feed:
            if isinstance(news, Snapshot):
                failed = []  # all runs that are not over: none of them has failed
            else:
                records = {run["run_id"]: run for run in news.runs}
                failed = [
                    {
                        "run_id": event["run_id"],
                        "job_id": records.get(event["run_id"], {}).get("job_id"),
                    }
                    for event in news.events
                    if event["kind"] == "moved" and event["state"] in ("failure", "error", "lost")
                ]
            # One write for all that this position stands for.
            lines = [{"position": feed.position, **one} for one in failed or [{}]]
            out.write("".join(f"{json.dumps(line)}\n" for line in lines))
            out.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
