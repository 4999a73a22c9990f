"""Requests nobody should send: each is answered in JSON with a status of its own, none by a fault.

A round prints nothing but its seed when it fails; the same seed sends the same requests.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket

import pytest

from callsheet.client.http import Connection, NoServer
from callsheet.webui.app import TABLE

WAIT_S = 60.0
REQUESTS = 150
# What a request that cannot be carried out may be answered with.
STATUSES = {200, 400, 401, 403, 404, 405, 413, 415}
TRACES = (b"Traceback", b'File "', b"sqlite", b"SELECT ", b".py", b"msgspec")

METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW", "get"]
PARTS = [
    "r1", "r2", "r0", "r-1", "r99999999999999999999", "x", "", ".", "..", "%2e%2e", "%00", "%ff",
    "a%2Fb", "grü", "%F0%9F%98%80", "a" * 3000, "'; DROP TABLE runs; --".replace(" ", "%20"),
    "{{7*7}}", "<script>", "output", "TERM", "success", "match%20prefix", "%25s%25s%25n", "~", "*",
]  # fmt: skip
VALUES = [
    None, True, 0, -1, 1.5, 1e308, 10**30, "", "now", "x", "1h", "+1s", "r1", "a", "match pre",
    "2020-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "\x00", "\ud83d\ude00", "{{ 1/0 }}", [], {},
    [[]], {"a": {}}, {"type": "no-op"}, {"program": "true"}, {"program": {"type": "no-op"}},
    "a" * 5000, "NaN", {"schedule": "now", "stop": -1}, {"schedule": "never"}, [1, "x"],
]  # fmt: skip
NAMES = [
    "job_id", "job", "args", "times", "schedule", "stop", "reason", "runs", "query", "q", "limit",
    "cursor", "run_id", "state", "since", "until", "summary", "count", "dry_run", "plan", "label",
    "start", "restart", "arg", "_", "", "a b", "\u00e9", "signal", "verb", "preview", "command_id",
]  # fmt: skip
HEADERS = [
    {"Content-Type": "text/html"}, {"Accept": "image/png"}, {"Accept-Encoding": "br;q=x,*"},
    {"Range": "bytes=9-1"}, {"Idempotency-Key": "k"}, {"Idempotency-Key": "x" * 300},
    {"Content-Encoding": "gzip"}, {"Origin": "null"}, {"Upgrade": "websocket"},
    {"If-None-Match": "*"}, {"Cookie": "a=\u00e9; ="}, {"X-Forwarded-For": "::1"}, {}, {}, {}, {},
]  # fmt: skip
# Ends the server, or changes all of its jobs: not for here.
SPARED = ("shut_down",)


def a_request_line(rng: random.Random) -> tuple[str, str]:
    """Method and target: a route with odd parts, or an odd path; maybe with an odd query."""
    method = rng.choice(METHODS)
    if rng.random() < 0.8:
        route = rng.choice(TABLE.routes)
        path = route.path
        if rng.random() < 0.8:
            method = rng.choice(route.methods.split())
        while "{" in path:
            head, _, rest = path.partition("{")
            path = head + rng.choice(PARTS) + rest.partition("}")[2]
    else:
        path = "/" + "/".join(rng.choice([*PARTS, "api", "v1", "v2"]) for _ in range(4))
    if any(word in path for word in SPARED):
        path = "/api/v1/alive"
    if rng.random() < 0.5:
        names = ("%25", "job_id", *filter(str.isidentifier, NAMES))
        pairs = [f"{rng.choice(names)}={rng.choice(PARTS)}" for _ in range(rng.randrange(1, 6))]
        path += "?" + rng.choice("&;").join(pairs)
    return method, path


def a_body(rng: random.Random) -> bytes | None:
    """No body, junk, or JSON that has the right names and odd values."""
    match rng.randrange(5):
        case 0:
            return None
        case 1:
            return rng.randbytes(rng.randrange(300))
        case 2:
            return rng.choice(
                [b"", b"{", b"[" * 2000, b"null", b'"\\ud800"', b"\xff\xfe", b"1e999"]
            )
        case _:
            body = {rng.choice(NAMES): rng.choice(VALUES) for _ in range(rng.randrange(6))}
            return json.dumps(body).encode()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_odd_requests_are_answered_in_json_and_never_by_a_fault(stand, seed, caplog):
    rng = random.Random(seed)
    stand.a_running_run()
    stand.a_run()
    connection = Connection("127.0.0.1", stand.port, WAIT_S)
    for number in range(REQUESTS):
        method, target = a_request_line(rng)
        body, headers = a_body(rng), rng.choice(HEADERS)
        what = f"seed {seed}, request {number}: {method} {target[:200]} {body!r:.200} {headers}"
        try:
            answer = connection.ask(
                method, target.encode().decode("latin-1"), body=body, headers=headers
            )
        except (NoServer, OSError) as error:
            pytest.fail(f"{what}: {error}")
        assert answer.status in STATUSES, f"{what}: {answer.status} {answer.body[:300]!r}"
        if answer.status != 200 and method != "HEAD":
            assert answer.headers.get("content-type") == "application/json", what
            value = json.loads(answer.body)
            assert isinstance(value["error"], str), what
            assert value["error"], what
            assert value["request_id"], what
            assert not any(trace in answer.body for trace in TRACES), f"{what}: {answer.body!r}"
        if answer.status == 405:
            assert answer.headers["allow"], what
    connection.close()
    assert "Traceback" not in caplog.text
    assert stand.ask("GET", "/api/v1/alive") == (200, {})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_bytes_that_are_no_requests_leave_the_server_as_it_was(stand, seed, caplog):
    rng = random.Random(seed)
    good = b"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 14\r\n\r\n"
    good += b'{"job_id":"a"}'
    for _ in range(60):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        address = ("127.0.0.1", stand.port)
        with socket.create_connection(address, WAIT_S) as connection, contextlib.suppress(OSError):
            connection.sendall(bytes(data[: rng.randrange(1, len(data))]))
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                assert not any(trace in part for trace in TRACES), bytes(data)
    assert "Traceback" not in caplog.text
    assert stand.ask("GET", "/api/v1/alive") == (200, {})


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["summary?init", "runs/r1/updates?init", "runs/r1/output/output/updates?start=0"]
)
def test_whatever_a_client_says_on_the_sockets_of_the_contract_is_passed_over(
    stand, open_socket, path
):
    run_id = stand.a_running_run()
    assert run_id == "r1"
    opened = open_socket(f"/api/v1/{path}").socket
    for junk in ("", "{", "x" * 1_000, b"\xff\x00", "[" * 1_000):
        opened.send(junk)
    assert opened.ping().wait(WAIT_S)


@pytest.mark.parametrize(
    "query", ["start=x", "start=-1", "start=1.5", "start=99999999999999999999", "start=%ff"]
)
def test_a_start_that_is_no_offset_closes_the_socket(stand, open_socket, query):
    from websockets.exceptions import ConnectionClosed

    stand.a_running_run()
    opened = open_socket(f"/api/v1/runs/r1/output/output/updates?{query}").socket
    with pytest.raises(ConnectionClosed) as closed:
        opened.recv(timeout=WAIT_S)
    assert closed.value.rcvd.code == 1000
