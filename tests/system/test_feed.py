"""Programs that follow a real server over ZeroMQ: right whatever dies, on both sides."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from live_server import until

from callsheet.client import feed as feed_module
from callsheet.client.feed import BadFeed, Change, Feed, Snapshot

RUNS = 1_203
NOOP = "program: {type: no-op}\n"


class Replica:
    """A program that keeps all runs it has heard of, and where it stands."""

    def __init__(self, address):
        self.address = address
        self.position = None
        self.seqs = []
        self.runs = {}
        self.snapshots = 0

    def follow_until(self, holds):
        """Follow, from where it was, until `holds()`."""
        with Feed(self.address, resume=self.position) as feed:
            until(lambda: self._one(feed) and holds(), "the news of the feed")

    def _one(self, feed):
        news = feed.next(0.2)
        if news is None:
            return True
        match news:
            case Snapshot():
                self.snapshots += 1
                self.seqs = [news.seq]
            case Change():
                assert [one["seq"] for one in news.events] == list(
                    range(self.seqs[-1] + 1, news.seq + 1)
                )
                self.seqs.append(news.seq)
        for run in news.runs:
            known = self.runs.get(run["run_id"])
            if known is None or known["version"] <= run["version"]:
                self.runs[run["run_id"]] = run
        self.position = feed.position
        return True

    def state(self, run_id):
        return self.runs.get(run_id, {}).get("state")


def address_of(server):
    shown = server.callsheetctl("feed", "address", "--config", str(server.config), "--json")
    shown.check_returncode()
    return json.loads(shown.stdout)["address"]


@pytest.mark.slow
def test_programs_are_right_whatever_dies_and_however_long_they_do_not_read(a_server, monkeypatch):
    monkeypatch.setattr(feed_module, "HIGH_WATER_FRAMES", 1)
    server = a_server({"a": NOOP}).start()
    replica, lazy = Replica(address_of(server)), Replica(address_of(server))
    replica.follow_until(lambda: replica.snapshots)
    first = server.schedule("a")
    replica.follow_until(lambda: replica.state(first) == "success")
    with Feed(lazy.address) as feed:
        until(lambda: lazy._one(feed) and lazy.snapshots, "the snapshot")
        # From here on it does not read; more happens than is kept for it.
        for role in ("ledger/0", "web/0"):
            server.kill(role)
            server.finished(server.schedule("a"))
            answer = server.insist("/api/v1/runs?count=600", {"job_id": "a"})
            ids = list(answer.json["runs"])
            server.finished(ids[-1])
        until(lambda: len(all_runs(server)) == RUNS, "the end of all runs")
        last = server.schedule("a")
        server.finished(last)
        replica.follow_until(lambda: replica.state(last) == "success")
        until(lambda: lazy._one(feed) and lazy.state(last) == "success", "the lazy one")
    truth = all_runs(server)
    assert shown(replica) == truth
    # That one was over before the other began.
    del truth[first]
    assert shown(lazy) == truth
    # The one that was restarted again and again, and the other, have never missed anything.
    assert (replica.snapshots, lazy.snapshots) == (1, 1)
    assert replica.position.partition(":")[0] == "2"


def shown(replica):
    return {name: (run["version"], run["state"]) for name, run in replica.runs.items()}


def all_runs(server):
    """Return version and state of all runs that have succeeded."""
    found, more = {}, ""
    while more is not None:
        page = server.get(f"/api/v2/runs?limit=1000&q=state:success{more}").json
        found.update((run["run_id"], (run["version"], run["state"])) for run in page["runs"])
        more = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    return found


@pytest.mark.slow
def test_over_tcp_it_is_for_the_keys_of_the_settings(a_server, tmp_path):
    key_file = tmp_path / "ours.key"
    server = a_server({"a": NOOP})
    made = server.callsheetctl("feed", "key", str(key_file))
    made.check_returncode()
    port = server.port
    for _ in range(20):
        port = port + 2 if port < 60_000 else 20_001
        server.config.write_text(
            f"job_dir: jobs\ndatabase: callsheet.db\nfeed:\n  listen: tcp://127.0.0.1:{port}\n"
            f"  allow: {{ours: {made.stdout.strip()}}}\n"
        )
        try:
            server.start("--inline")
        except AssertionError:
            assert "expected two free ports" in server.log()
        else:
            break
    shown = server.callsheetctl("feed", "address", "--config", str(server.config), "--json")
    found = json.loads(shown.stdout)
    heard = []
    with Feed(found["listen"], key_file=key_file, server_key=found["server_key"]) as feed:
        until(lambda: isinstance(feed.next(0.2), Snapshot), "the snapshot")
        run_id = server.schedule("a")

        def ended():
            news = feed.next(0.2)
            heard.extend(news.events if news is not None else [])
            return any(
                one.get("run_id") == run_id and one.get("state") == "success" for one in heard
            )

        until(ended, "the events of the run")
    with pytest.raises(BadFeed, match="a key is missing"):
        Feed(found["listen"])


def test_who_follows_where_nobody_is_heard_is_told(tmp_path):
    address = f"ipc://{tmp_path}/published"
    code = (
        "from callsheet.cli import feed_commands as commands; commands.HEARD_S = 0.05; "
        f"commands.group(['follow', '{address}'])"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as asked:
        assert asked.stderr is not None
        said = asked.stderr.readline()
        asked.kill()
    assert said == f"{address}: nothing is heard yet: expected a server there; it goes on\n"
