import contextlib
import json

import pytest
from web_stand import WebStand, a_job
from websockets.sync.client import connect

WAIT_S = 60.0

JOBS = (
    a_job("a", metadata={"labels": ["x"], "description": "# Loads\n\n<b>b</b> [l](javascript:1)"}),
    a_job("match prefix"),
    a_job("match prefix suffix"),
    a_job("grp/with params", params=("color", "date")),
)


@pytest.fixture
def stand(tmp_path):
    stand = WebStand(tmp_path, jobs=JOBS)
    yield stand
    stand.close()


class Socket:
    """A WebSocket that is read as JSON; `until` skips what does not fit."""

    def __init__(self, socket):
        self.socket = socket

    def send(self, **op):
        self.socket.send(json.dumps(op))

    def next(self, wait_s=WAIT_S):
        return json.loads(self.socket.recv(timeout=wait_s))

    def until(self, fits):
        while not fits(message := self.next()):
            pass
        return message

    def about(self, id_):
        """The next message of a subscription."""
        return self.until(lambda message: message.get("id") == id_)


@pytest.fixture
def socket_at():
    """Open sockets at any server; all are closed in the end."""
    with contextlib.ExitStack() as stack:

        def opened(port, path, **kwargs):
            return Socket(stack.enter_context(connect(f"ws://127.0.0.1:{port}{path}", **kwargs)))

        yield opened


@pytest.fixture
def open_socket(stand, socket_at):
    return lambda path, **kwargs: socket_at(stand.port, path, **kwargs)
