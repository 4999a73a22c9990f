"""The limit of messages: ZeroMQ over ipc between two processes, with small records in MessagePack.

Prints the time of a round trip, and how many records per second go one way when a frame holds many.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import zmq

sys.path.insert(0, str(Path(__file__).parents[1]))

from figures import percentile

SECONDS = 2.0
RECORDS_PER_FRAME = 100
RECORD = {"kind": "ProcessEnded", "run_id": "r123456", "status": 0, "at_us": 1_700_000_000_000_000}
END = b""

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode


def echo(address: str) -> None:
    """Answer each list with how many records it held, until the empty frame comes."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.bind(address)
        while True:
            sender, frame = socket.recv_multipart()
            if frame == END:
                return
            socket.send_multipart([sender, encode(len(decode(frame)))])


def measure(address: str) -> None:
    """Print the figures against an `echo` at `address`."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 1000
        socket.connect(address)
        times_us = []
        frame = encode([RECORD])
        until = time.perf_counter() + SECONDS
        while time.perf_counter() < until:
            begun = time.perf_counter()
            socket.send(frame)
            socket.recv()
            times_us.append((time.perf_counter() - begun) * 1e6)
        print(f"limit_zmq_round_trip_p50 {percentile(times_us, 50):.0f} us")
        print(f"limit_zmq_round_trip_p99 {percentile(times_us, 99):.0f} us")

        in_flight, records = 0, 0
        begun = time.perf_counter()
        while time.perf_counter() - begun < SECONDS or in_flight:
            while in_flight < 10 and time.perf_counter() - begun < SECONDS:
                socket.send(encode([RECORD] * RECORDS_PER_FRAME))
                in_flight += 1
            records += decode(socket.recv())
            in_flight -= 1
        rate = records / (time.perf_counter() - begun)
        print(f"limit_zmq_records {rate:.0f} records/s", flush=True)
        socket.send(END)


def main() -> None:
    """Start the other side as a process of its own and measure against it."""
    with tempfile.TemporaryDirectory(prefix="callsheet-limits-") as folder:
        address = f"ipc://{folder}/echo"
        other = subprocess.Popen([sys.executable, os.path.abspath(__file__), address])
        try:
            measure(address)
            other.wait(timeout=10)
        finally:
            if other.poll() is None:
                other.kill()
                other.wait()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        echo(sys.argv[1])
    else:
        main()
