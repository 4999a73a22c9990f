"""The example extension on a real server, and the same server without it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from live_server import Server, until

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "extension"
TYPES = ["monthly:Monthly", "free-space:FreeSpace", "journal:Journal", "quarter-ends:QuarterEnds"]
MODULE = """
from callsheet.jobs.extend import ProgramType, ScheduleType

class Say(ProgramType):
    text: str
    def argv(self): return ["echo", self.text]

class Ticks(ScheduleType):
    def next_fire(self, from_us): return -(-from_us // 3_000_000) * 3_000_000
"""
JOB = """
params: [date]
schedule:
- {{type: ticks}}
- {{type: monthly, day: 3rd fri, daytime: "18:30:00", tz: Europe/Zurich}}
- {{type: daily, calendar: quarter-ends, daytime: "23:00", tz: Europe/Zurich}}
condition: {{type: free-space, path: /, at_least_gb: 0}}
program: {{type: say, text: "it is {{{{ date }}}}"}}
action:
  type: journal
  path: {path}
  text: "{{{{ job_id }}}}: {{{{ outcome }}}}"
  if: {{states: [success]}}
"""


@pytest.fixture
def with_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have servers find the modules; return the settings that allow their types."""
    (tmp_path / "our_say.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(EXAMPLE), str(tmp_path)]))
    types = [one.split(":") for one in TYPES]
    lines = [f"  {name}: office_types:{cls}" for name, cls in types]
    return "\n".join(["extensions:", *lines, "  say: our_say:Say", "  ticks: our_say:Ticks", ""])


def runs_of(server: Server) -> list[dict[str, Any]]:
    answer = server.get("/api/v1/runs?job_id=job&summary=True")
    return list(answer.json["runs"].values())


def test_each_kind_of_type_does_its_part_and_is_missed_without_harm(
    a_server: Any, with_types: str, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    server = a_server({"job": JOB.format(path=journal)}, with_types).start()
    until(journal.exists, "a line in the journal")
    assert json.loads(journal.read_text().splitlines()[0])["text"] == "job: success"
    done = next(run for run in runs_of(server) if run["state"] == "success")
    output = server.get(f"/api/v1/runs/{done['run_id']}/output/output").body
    assert output.decode().strip() == f"it is {done['args']['date']}"
    folder = str(server.folder / "jobs")
    checked = server.callsheetctl("check", folder, "--config", str(server.config))
    assert "nothing wrong" in checked.stdout
    assert "bad type: 'ticks'" in server.callsheetctl("check", folder).stdout

    server.stop()
    server.config.write_text(server.config.read_text().partition("extensions:")[0])
    server.start()
    answer = server.insist("/api/v1/runs", {"job_id": "job", "args": {"date": "2024-01-01"}})
    [run] = answer.json["runs"].values()
    assert run["state"] == "error"
    log = server.get(f"/api/v1/runs/{run['run_id']}/log").body.decode()
    assert "program type say: is unknown: expected it in the settings' extensions" in log


def test_a_class_that_cannot_be_had_is_one_sentence_at_the_start(a_server: Any) -> None:
    server = a_server({}, "extensions: {mine: 'no_such_module:Type'}\n")
    started = server.callsheetctl("serve", "--config", str(server.config))
    assert started.returncode == 1
    [line] = started.stderr.splitlines()
    assert "extensions.mine: no_such_module:Type cannot be imported: ModuleNotFoundError" in line
