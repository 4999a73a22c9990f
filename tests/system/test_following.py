"""`callsheet watch` goes on when the web process dies under it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from live_server import until

pytestmark = pytest.mark.slow

NAP = "program: {type: shell, command: 'while [ ! -e go ]; do sleep 0.1; done', cwd: %s}\n"


def test_a_killed_web_process_hides_nothing_from_who_follows_a_query(a_server, tmp_path):
    server = a_server({"nap": NAP % tmp_path}).start()
    run_id = server.schedule("nap")
    until(lambda: server.run(run_id)["state"] == "running", "the nap to begin")
    follower = subprocess.Popen(
        [sys.executable, "-m", "callsheet.cli.people", "watch", "--finish", "nap"],
        env=os.environ | {"CALLSHEET_HOST": f"127.0.0.1:{server.port}", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: b"callsheet_sockets 1" in server.get("/metrics").body, "the follower")
        server.kill("web/0")
        (tmp_path / "go").touch()
        out, err = follower.communicate(timeout=60)
    finally:
        follower.kill()
    assert follower.returncode == 0
    assert out.splitlines()[-1].split()[2:5] == [run_id, "+", "success"]
    assert "trying again" in err
