"""Prints what happens, with nothing of callsheet's: ZeroMQ and MessagePack alone.

    python listen.py ipc:///srv/callsheet.db.state/run/published

It does not ask for what it missed; docs/feed.md says how that is done.
"""

from __future__ import annotations

import sys

import msgpack
import zmq


def main(address: str) -> None:
    """Listen until it is stopped."""
    socket = zmq.Context.instance().socket(zmq.SUB)
    socket.setsockopt(zmq.SUBSCRIBE, b"events")
    socket.connect(address)
    known = None
    while True:
        _topic, frame = socket.recv_multipart()
        for message in msgpack.unpackb(frame):
            if known is not None and message["after"] > known:
                print(f"missed: {message['after'] - known} events")
            known = message["seq"]
            for event in message["events"]:
                print(event["seq"], event["time"], event["kind"], event.get("run_id", ""))
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
