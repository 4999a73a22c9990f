"""Subscribers that stop reading cost a bounded number of bytes, hold up nobody, and are right in
the end. `bench/g11_subscribers.py` is the same at length against a whole server."""

import contextlib
import json
import queue
import socket
import threading

import pytest
from web_stand import WebStand, a_job, now_us
from websockets.sync.client import connect

from callsheet.webui import app, outbox

STREAM = "/api/v2/stream"
WAIT_S = 120.0
READERS = 4
STOPPED = 8
MAX_BYTES = 2**18
FAT = "x" * 20_000
KERNEL_BYTES = 4_096


class Replica:
    """A console: the runs of its query, as the stream tells them; read again when it says so."""

    def __init__(self, stand, connections, **terms):
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        raw.connect(("127.0.0.1", stand.port))
        self.stand = stand
        self.socket = connections.enter_context(
            connect(
                f"ws://127.0.0.1:{stand.port}{STREAM}",
                sock=raw,
                max_queue=1,
                max_size=None,
                ping_interval=None,
            )
        )
        self.runs = {}
        self.seq = 0
        self.resyncs = 0
        self.socket.send(json.dumps({"op": "subscribe", "id": "q", "topic": "runs", **terms}))
        while json.loads(self.socket.recv(timeout=WAIT_S)).get("id") != "q":
            pass

    def read_to(self, seq):
        """Read until everything up to an event is known."""
        while self.seq < seq:
            message = json.loads(self.socket.recv(timeout=WAIT_S))
            if message.get("id") != "q":
                continue
            if message.get("resync"):
                self.resyncs += 1
                self._list()
            else:
                self._take(message)

    def _list(self):
        self.runs.clear()
        more = ""
        while more is not None:
            _, page = self.stand.ask("GET", f"/api/v2/runs?limit=50{more}")
            self._take(page)
            more = page["next_cursor"] and f"&cursor={page['next_cursor']}"

    def _take(self, message):
        for run in message["runs"]:
            known = self.runs.get(run["run_id"], (0, ""))
            self.runs[run["run_id"]] = max(known, (run["version"], run["state"]))
        self.seq = max(self.seq, message["seq"])


@pytest.fixture
def patient(tmp_path, monkeypatch):
    """A server that holds little for each socket, and disconnects nobody for being slow."""
    monkeypatch.setattr(outbox, "MAX_BYTES", MAX_BYTES)
    monkeypatch.setattr(outbox, "STUCK_S", 600.0)
    monkeypatch.setattr(app, "PING_S", 600.0)
    stand = WebStand(tmp_path, jobs=(a_job("a"),))
    yield stand
    stand.close()


@pytest.mark.slow
def test_who_stops_reading_costs_little_holds_up_nobody_and_converges(patient):
    stand, services = patient, patient.server.services
    with contextlib.ExitStack() as connections:
        # Half of the stopped share a query with the readers, each of the others has its own.
        terms = [{} if n % 2 else {"q": f"!label:none{n}"} for n in range(STOPPED)]
        stopped = [Replica(stand, connections, **one) for one in terms]
        boxes = [one.outbox for one in services.open_sockets]
        for one in services.open_sockets:
            # So that what is not read waits in the server, and not in its kernel.
            wire = one.ws_connection.stream.socket
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        readers = [Replica(stand, connections) for _ in range(READERS)]
        goals = [queue.SimpleQueue() for _ in readers]
        threads = [
            threading.Thread(target=read_on, args=pair, daemon=True)
            for pair in zip(readers, goals, strict=True)
        ]
        for thread in threads:
            thread.start()
        most_bytes = 0
        for _ in range(3_000):
            if all(box.cuts for box in boxes):
                break
            stand.a_run(args={"fat": FAT}, schedule_us=now_us())
            most_bytes = max(most_bytes, services.waiting.bytes)
        for _ in range(50):
            stand.a_run(args={"fat": FAT}, schedule_us=now_us())
        assert all(box.cuts for box in boxes)
        assert all(box.bytes <= MAX_BYTES for box in boxes)
        assert most_bytes <= (STOPPED + READERS) * (MAX_BYTES + len(FAT))
        head = stand.ledger.seq
        for goal in goals:
            goal.put(head)
        for thread in threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()
        truth = {run.run_id: (run.version, run.state.value) for run in all_runs(stand)}
        assert all(one.runs == truth for one in readers)
        for one in stopped:
            one.read_to(head)
        assert all(one.resyncs for one in stopped)
        assert all(one.runs == truth for one in stopped)


def read_on(replica, heads):
    """Read whatever comes, until it is said how far, and then that far."""
    while True:
        with contextlib.suppress(queue.Empty):
            replica.read_to(heads.get_nowait())
            return
        replica.read_to(replica.seq + 1)


def all_runs(stand):
    return stand.reader.runs([f"r{n}" for n in range(1, 5_000)])
