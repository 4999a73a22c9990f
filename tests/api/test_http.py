"""Errors, limits and guards of the web server, whatever the endpoint."""

import contextlib
import json
import logging
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from live_server import until
from web_stand import WebStand
from websockets.exceptions import InvalidStatus

from callsheet.webui.app import CannotListen, WebServer
from callsheet.webui.listening import BadBind, NoCertificate, Unsafe, parse_bind
from callsheet.webui.security import is_same_origin, neighbourhood
from callsheet.webui.services import WebSettings
from callsheet.webui.v2_checks import checks_of

CONSOLE = "<!doctype html><title>console</title>"


@pytest.fixture
def stand(tmp_path):
    static = tmp_path / "static"
    static.mkdir()
    (static / "index.html").write_text(CONSOLE)
    (static / "app.js").write_text("export {};")
    stand = WebStand(tmp_path, static_root=str(static))
    yield stand
    stand.close()


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/v1/xyz", "/api/v9", "/nothing", "/..", "/api/v1/runs/"]
)
def test_unknown_paths_are_not_found_in_json(stand, path):
    status, headers, body = stand.request("GET", path)
    assert status == 404
    assert headers["content-type"] == "application/json"
    assert set(json.loads(body)) == {"error", "request_id"}


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/api/v1/runs", "GET, POST, HEAD"),
        ("GET", "/api/v1/runs/r1/skip", "POST"),
        ("GET", "/api/v1/runs/r1/stop", "PUT, POST"),
        ("PATCH", "/api/v2/jobs", "GET, HEAD"),
        ("TRACE", "/api/v2/jobs", None),
        ("BREW", "/api/v2/jobs", None),
        ("POST", "/runs", "GET, HEAD"),
    ],
)
def test_wrong_methods_are_answered_with_the_right_ones(stand, method, path, allow):
    status, headers, body = stand.request(method, path)
    assert status == 405
    assert json.loads(body)["error"]
    assert headers["allow"] == allow if allow else headers["allow"]


def test_a_head_has_the_headers_of_the_get(stand):
    status, headers, body = stand.request("HEAD", "/api/v1/alive")
    assert (status, body, headers["content-length"]) == (200, b"", "2")


def test_every_answer_is_guarded(stand):
    for path in ("/", "/api/v1/alive", "/nothing", "/static/app.js", "/healthz"):
        _, headers, _ = stand.request("GET", path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


@pytest.mark.parametrize(
    "path", ["/", "/runs", "/runs/r1", "/jobs", "/job/a%20b/c", "/agents", "/checks", "/control"]
)
def test_pages_of_the_console_are_its_one_document(stand, path):
    status, headers, body = stand.request("GET", path)
    # After it there is what the page asks first.
    said = body.decode().removeprefix(CONSOLE).splitlines()
    assert (status, body.decode()[: len(CONSOLE)]) == (200, CONSOLE)
    assert all(line.startswith('<script type="application/json" data-answers=') for line in said)
    head = stand.request("HEAD", path)[1]
    assert head["cache-control"] == headers["cache-control"] == "no-store"
    assert headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "path", ["/static/../callsheet.db", "/static/%2e%2e/callsheet.db", "/static/x", "/static/"]
)
def test_nothing_but_the_console_is_served_as_a_file(stand, path):
    status, _, body = stand.request("GET", path)
    assert status in (403, 404)
    assert b"SQLite" not in body


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil:5000", "10.0.0.1"]
)
def test_a_foreign_host_is_refused(stand, host):
    data = f"GET /api/v1/alive HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert stand.raw(data.encode()).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_sites_page_changes_nothing(stand, headers):
    run_id = stand.a_run()
    status, body = stand.ask("POST", f"/api/v1/runs/{run_id}/skip", headers=headers)
    assert status == 403
    assert "refused" in body["error"]
    assert stand.ask("GET", f"/api/v1/runs/{run_id}/state") == (200, {"state": "scheduled"})


def test_our_own_page_may_change_things(stand):
    run_id = stand.a_run()
    headers = {"Origin": f"http://127.0.0.1:{stand.port}", "Sec-Fetch-Site": "same-origin"}
    assert stand.ask("POST", f"/api/v1/runs/{run_id}/skip", headers=headers) == (200, {})


SOCKETS = [
    "/api/v2/stream", "/api/v1/summary", "/api/v1/runs/r1/updates",
    "/api/v1/runs/r1/output/output/updates",
]  # fmt: skip


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_another_sites_page_opens_no_socket(open_socket, path, origin):
    with pytest.raises(InvalidStatus) as refused:
        open_socket(path, origin=origin)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", SOCKETS)
def test_a_socket_asked_for_plainly_is_an_error_in_json(stand, path):
    status, body = stand.ask("GET", path)
    assert (status, body["error"]) == (400, "not a WebSocket: expected an upgrade to one")


def test_a_body_too_large_is_refused(stand):
    body = b'{"job_id": "' + b"a" * 2**20 + b'"}'
    status, _, answer = stand.request("POST", "/api/v1/runs", body)
    assert status == 413
    assert json.loads(answer)["error"].startswith("request body")
    chunked = b"".join(b"10000\r\n" + b"a" * 0x10000 + b"\r\n" for _ in range(20)) + b"0\r\n\r\n"
    head = (
        b"POST /api/v1/runs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    assert stand.raw(head + chunked).startswith(b"HTTP/1.1 413 ")


def test_a_message_too_large_closes_the_socket(open_socket):
    from websockets.exceptions import ConnectionClosed

    socket = open_socket("/api/v2/stream").socket
    socket.send("x" * 70_000)
    with pytest.raises(ConnectionClosed):
        list(socket)


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/runs?job_id=%ff", "/api/v1/jobs/%ff", "/api/v1/runs/%00",
        "/api/v1/runs?" + "a=1&" * 300, "/api/v2/runs?q=%22unclosed&limit=0",
        "/api/v2/runs?limit=9999999999999999999999", "/api/v2/runs?cursor=-1",
        "/api/v2/runs?odd=1", "/api/v2/runs?state=odd", "/api/v2/runs?since=x",
        "/api/v2/runs?q=!", "/api/v2/runs?q=odd:1", "/api/v2/runs/r1/odd",
        "/api/v1/runs?run_id=%C3%A9", "/api/v2/runs?q=%3D1", "/api/v1/jobs/%22%3E%3Cscript%3E",
    ],
)  # fmt: skip
def test_odd_requests_are_answered_without_traces(stand, target):
    status, headers, body = stand.request("GET", target)
    assert status in (200, 400, 404, 405)
    assert headers["content-type"] == "application/json"
    json.loads(body)
    assert b"Traceback" not in body
    assert b'File "' not in body


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({"program": {"type": "no-op"}, "metadata": {"n": 10**30}}, "beyond 64 bits"),
        ({"program": {"type": "no-op"}, "metadata": {"n": -(10**30)}}, "beyond 64 bits"),
    ],
)
def test_what_no_message_can_hold_is_refused_before_it_ends_the_stage(stand, job, said):
    status, body = stand.ask("POST", "/api/v1/runs", {"job": job})
    assert status == 400
    assert said in body["error"]


def test_a_fault_of_ours_shows_its_id_and_nothing_else(stand, monkeypatch, caplog):
    monkeypatch.setattr("callsheet.webui.v2_checks.checks_of", None)
    status, body = stand.ask("GET", "/api/v2/checks")
    assert (status, body["error"]) == (500, "internal error")
    assert body["request_id"] in caplog.text
    assert "Traceback" in caplog.text


def test_a_request_cut_off_by_the_end_of_the_server_is_no_fault_of_ours(tmp_path, caplog):
    stand = WebStand(tmp_path, lost=("ledger",))
    try:
        with socket.create_connection(("127.0.0.1", stand.port)) as asked:
            body = b'{"job": {"program": {"type": "no-op"}}}'
            head = f"POST /api/v1/runs HTTP/1.1\r\nHost: 127.0.0.1:{stand.port}\r\n"
            asked.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            until(lambda: (s := stand.server.services) and s.requests, "the request to be taken")
            stand.server.stop()
            with contextlib.suppress(ConnectionError):
                while asked.recv(65_536):
                    pass
    finally:
        stand.close()
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


def test_what_was_asked_before_the_end_of_the_server_is_answered(tmp_path, monkeypatch):
    stand = WebStand(tmp_path)
    asked, may_answer = threading.Event(), threading.Event()

    def slow(*found):
        asked.set()
        assert may_answer.wait(60)
        return checks_of(*found)

    monkeypatch.setattr("callsheet.webui.v2_checks.checks_of", slow)
    monkeypatch.setattr("callsheet.webui.connections.DRAIN_S", 60)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(stand.ask, "GET", "/api/v2/checks")
        assert asked.wait(60)
        stand.server.stop()
        until(lambda: refuses(stand.port), "the server to take no more")
        may_answer.set()
        assert answer.result(60)[0] == 200
    stand.close()


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize(
    "bind",
    ["0.0.0.0:5000", "[::]:5000", "10.1.2.3:5000", "example.org:80", "*:5000", "https://0.0.0.0:1"],
)
def test_an_address_that_others_reach_needs_a_certificate(bind):
    with pytest.raises(Unsafe) as refused:
        parse_bind(bind, certificate=False)
    assert str(refused.value) == (
        f"bind: {bind}: others than this machine can reach it: expected TLS, by the settings "
        "tls.certificate and tls.key, or an address like 127.0.0.1"
    )
    found = parse_bind(bind, certificate=True)
    assert (found.tls, found.local) == (True, False)


def test_an_address_that_others_reach_is_never_plain():
    with pytest.raises(Unsafe) as refused:
        parse_bind("http://0.0.0.0:5000", certificate=True)
    assert "expected https:// and TLS, by the settings tls.certificate" in str(refused.value)


def test_addresses_of_this_machine_are_plain_unless_they_say_https():
    for bind, host, port in (
        ("127.0.0.1:5000", "127.0.0.1", 5000),
        ("[::1]:0", "::1", 0),
        ("localhost:80", "localhost", 80),
        ("http://127.0.0.1:1", "127.0.0.1", 1),
    ):
        found = parse_bind(bind, certificate=True)
        assert (found.host, found.port, found.tls, found.local) == (host, port, False, True)
    assert parse_bind("https://127.0.0.1:1", certificate=True)[3:5] == (True, True)
    with pytest.raises(NoCertificate):
        parse_bind("https://127.0.0.1:1", certificate=False)


@pytest.mark.parametrize(
    "bind",
    ["", "5000", "localhost", "localhost:x", "localhost:99999", "a@localhost:1", "ftp://[::1]:1"],
)
def test_what_is_no_address_is_refused(bind):
    with pytest.raises(BadBind):
        parse_bind(bind, certificate=True)


def test_an_address_that_is_taken_is_said(stand):
    with pytest.raises(CannotListen) as refused:
        WebServer(WebSettings(bind=(f"127.0.0.1:{stand.port}",), database="x", outputs_root="x"))
    assert f"127.0.0.1:{stand.port}" in str(refused.value)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_who_is_far_away_is_counted_by_what_is_not_his_to_choose(address, counted):
    assert neighbourhood(address) == counted


def test_origins_are_compared_whole():
    assert is_same_origin("http://localhost:5000", "localhost:5000")
    assert is_same_origin("http://localhost", "localhost:80")
    for origin in (
        "",
        "null",
        "http://localhost:5001",
        "ftp://localhost:5000",
        "http://[",
        "http://localhost:5000/x",
    ):
        assert not is_same_origin(origin, "localhost:5000")


def test_an_encoded_body_is_refused_as_such(stand):
    headers = {"Content-Encoding": "gzip"}
    status, sent, body = stand.request("POST", "/api/v1/runs", b"\x1f\x8b", headers=headers)
    assert (status, sent["accept-encoding"]) == (415, "identity")
    assert json.loads(body)["error"] == "request body: encoded as 'gzip': expected plain JSON"
