"""Who may do what over HTTP: the whole table of routes by roles, tokens, and what labels reach."""

import contextlib
import json
import re
import time
from urllib.parse import urlencode

import pytest
from live_server import until
from people import ADMIN
from web_stand import WebStand, a_job
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from callsheet.messages.access import MakeApiToken, RevokeApiToken, Role, secret_hash
from callsheet.messages.wishes import LedgerWish, SkipRun
from callsheet.webui.app import TABLE
from callsheet.webui.rights import RIGHTS

WAIT_S = 60.0
NEVER_US = 4_000_000_000_000_000
ROUTES = sorted((method, route.path) for route in TABLE.routes for method in route.methods.split())
SOCKETS = sorted(path for _, path in RIGHTS if path.endswith(("/updates", "/summary", "/stream")))
SECRETS = {role: f"cst_secret_of_{role}" for role in Role}


def let_in(stand, name, role, labels=(), expires_us=NEVER_US, revoked=False):
    """Make a token in the ledger itself; return what its holder sends."""

    secret = f"cst_secret_of_{name}"
    wishes = [
        MakeApiToken(
            token_id=name,
            secret_hash=secret_hash(secret),
            name=name,
            role=role,
            labels=tuple(labels),
            expires_us=expires_us,
        )
    ]
    wishes += [RevokeApiToken(token_id=name)] if revoked else []
    for number, wish in enumerate(wishes):
        stand.tell(
            lambda number=number, wish=wish: LedgerWish(
                command_id=f"{name}{number}", principal="stand", instruction=wish, access=ADMIN
            )
        )
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def stand(tmp_path):
    """A server where nobody gets in without a log-in or a token."""
    jobs = (
        a_job("a", metadata={"labels": ["x"]}),
        a_job("b", metadata={"labels": ["y"]}),
        a_job("secret/one", metadata={"labels": ["y"]}),
        a_job("secret/two", metadata={"labels": ["y"]}),
    )
    stand = WebStand(tmp_path, jobs=jobs, loopback="login", shut_down_pid=2**22)
    yield stand
    stand.close()


def filled(path):
    """Return an address of a route; what it names is not there."""
    parts = {"run_id": "r999999", "verb": "skip", "state": "error", "signal": "TERM"}
    return re.sub(r"\{(\w+)\*?\}", lambda part: parts.get(part[1], "nothing"), path)


def test_every_route_has_its_rights_and_every_right_its_route():
    assert {*ROUTES} | {("GET", path) for path in SOCKETS} == {*RIGHTS}


def test_each_route_answers_each_role_as_the_table_says(stand):
    """Nobody, a bad, an expired and a revoked token, and the three roles, at every route."""
    ends_us = time.time_ns() // 1000 + 1_000_000
    asking = {
        "nobody": {},
        "bad": {"Authorization": "Bearer cst_wrong"},
        "scheme": {"Authorization": "Basic YTpi"},
        "expired": let_in(stand, "gone", Role.ADMIN, expires_us=ends_us),
        "revoked": let_in(stand, "revoked", Role.ADMIN, revoked=True),
    }
    asking |= {role: let_in(stand, role, role) for role in Role}
    until(lambda: time.time_ns() // 1000 > ends_us, "the end of the token", WAIT_S)
    wrong = []
    for method, path in ROUTES:
        need = RIGHTS[method, path]
        if path == "/api/v1/running":
            continue  # It waits until everything runs; its right is that of /alive.
        for who, headers in asking.items():
            if need.role is None:
                expected = None
            elif who not in {*Role}:
                expected = 401
            else:
                expected = None if Role(who).covers(need.role) else 403
            body = b"" if method == "GET" else b"{}"
            status, _, _ = stand.request(method, filled(path), body or None, headers=headers)
            got = status if status in (401, 403) else None
            if got != expected and not (path == "/api/v2/login" and got == 401):
                wrong.append((method, path, who, expected, status))
    assert wrong == []
    assert stand.ask("GET", "/healthz") == (200, {})


def test_each_socket_answers_each_role_as_the_table_says(stand):
    url = f"ws://127.0.0.1:{stand.port}"
    run_id = stand.a_run()
    viewer = let_in(stand, "v", Role.VIEWER)
    for path in SOCKETS:
        target = path.replace("{run_id}", run_id).replace("{output_id}", "output")
        for headers in ({}, {"Authorization": "Bearer cst_wrong"}):
            with pytest.raises(InvalidStatus) as refused:
                connect(url + target, additional_headers=headers)
            assert refused.value.response.status_code == 401
        with connect(url + target, additional_headers=viewer):
            pass


def closed_with(socket):
    """Read on; return the code with which the server has closed the socket, else None."""
    try:
        socket.recv(timeout=0.1)
    except ConnectionClosed as closed:
        return closed.rcvd.code
    except TimeoutError:
        pass
    return None


def test_a_revoked_token_is_refused_at_once_and_its_sockets_are_closed(stand):
    admin, viewer = let_in(stand, "adm", Role.ADMIN), let_in(stand, "v", Role.VIEWER)
    url = f"ws://127.0.0.1:{stand.port}/api/v2/stream"
    with connect(url, additional_headers=viewer) as socket:
        socket.recv(timeout=WAIT_S)
        assert stand.ask("GET", "/api/v2/me", headers=viewer)[1]["role"] == "viewer"
        status, said = stand.ask("POST", "/api/v2/tokens/v/revoke", headers=admin)
        assert (status, said) == (200, {"token_id": "v", "state": "revoked"})
        status, said = stand.ask("GET", "/api/v2/me", headers=viewer)
        assert (status, said["error"]) == (401, "the token is revoked: expected another one")
        until(lambda: closed_with(socket) == 1008, "the end of the socket", WAIT_S)


def test_a_token_is_made_shown_once_and_kept_as_its_hash(stand, caplog):
    admin = let_in(stand, "adm", Role.ADMIN)
    body = {"name": "ci", "role": "operator", "labels": ["x"], "expires": "1h"}
    status, made = stand.ask("POST", "/api/v2/tokens", body, headers=admin)
    assert (status, made["role"], made["labels"]) == (200, "operator", ["x"])
    secret = made["token"]
    assert secret.startswith("cst_")
    headers = {"Authorization": f"Bearer {secret}"}
    assert stand.ask("GET", "/api/v2/me", headers=headers)[1]["name"] == "token:ci"
    _, listed = stand.ask("GET", "/api/v2/tokens", headers=admin)
    assert {one["name"] for one in listed["tokens"]} == {"adm", "ci"}
    random = secret.removeprefix("cst_")
    files = b"".join(path.read_bytes() for path in stand.database.parent.glob("callsheet.db*"))
    assert random.encode() not in files
    assert random not in json.dumps(listed) + caplog.text


def test_the_same_key_makes_one_token_and_does_not_show_it_again(stand):
    headers = let_in(stand, "adm", Role.ADMIN) | {"Idempotency-Key": "k"}
    assert (
        stand.ask("POST", "/api/v2/tokens", {"name": "a", "role": "viewer"}, headers=headers)[0]
        == 200
    )
    status, said = stand.ask(
        "POST", "/api/v2/tokens", {"name": "a", "role": "viewer"}, headers=headers
    )
    assert (status, "shown once only" in said["error"]) == (400, True)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "a b", "role": "viewer"},
        {"name": "a"},
        {"name": "a", "role": "root"},
        {"name": "a", "role": "viewer", "labels": "x"},
        {"name": "a", "role": "viewer", "expires": "yesterday"},
        {"name": "a", "role": "viewer", "expires": "-1h"},
        {"name": "a", "role": "viewer", "expires": "99y"},
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(stand, body):
    admin = let_in(stand, "adm", Role.ADMIN)
    status, said = stand.ask("POST", "/api/v2/tokens", body, headers=admin)
    assert (status, ": expected" in said["error"] or "expires" in said["error"]) == (400, True)
    assert len(stand.ask("GET", "/api/v2/tokens", headers=admin)[1]["tokens"]) == 1


def test_nobody_gets_the_answer_that_another_was_given(stand):
    one, other = let_in(stand, "one", Role.OPERATOR), let_in(stand, "two", Role.OPERATOR)
    body, key = {"job_id": "a"}, {"Idempotency-Key": "nightly"}
    _, first = stand.ask("POST", "/api/v2/runs", body, headers=one | key)
    _, again = stand.ask("POST", "/api/v2/runs", body, headers=one | key)
    _, others = stand.ask("POST", "/api/v2/runs", body, headers=other | key)
    assert first["runs"][0]["run_id"] == again["runs"][0]["run_id"]
    assert first["runs"][0]["run_id"] != others["runs"][0]["run_id"]


def test_a_key_brings_no_answer_that_another_request_was_given(stand):
    asked = let_in(stand, "adm", Role.ADMIN) | {"Idempotency-Key": "nightly"}
    assert stand.ask("POST", "/api/v2/runs", {"job_id": "a"}, headers=asked)[0] == 200
    body = {"name": "ci", "role": "viewer"}
    status, made = stand.ask("POST", "/api/v2/tokens", body, headers=asked)
    assert (status, made["name"]) == (200, "ci")
    run_id = stand.a_run()
    status, held = stand.ask("POST", f"/api/v2/runs/{run_id}/hold", {}, headers=asked)
    assert (status, held["run"]["run_id"]) == (200, run_id)


def test_the_key_of_an_answer_that_was_late_finds_it(stand, monkeypatch):
    """Also for who comes with a token, whose keys are kept apart from those of others."""
    asked, path = let_in(stand, "one", Role.OPERATOR), f"/api/v2/runs/{stand.a_run()}/release"
    hold = path.replace("release", "hold")
    assert stand.ask("POST", hold, {}, headers=asked)[0] == 200
    with monkeypatch.context() as patched:
        patched.setattr("callsheet.webui.hub.WISH_S", 0.3)
        stand.lost.add("web/0")
        status, late = stand.ask("POST", path, {}, headers=asked)
        stand.lost.discard("web/0")
    assert (status, "command_id" in late) == (503, True)
    assert stand.ask("POST", path, {}, headers=asked)[0] == 400
    asked |= {"Idempotency-Key": late["command_id"]}
    status, answer = stand.ask("POST", path, {}, headers=asked)
    assert (status, answer["run"]["held"]) == (200, False)


def test_labels_bound_what_is_seen_and_done_on_every_id(stand):
    """Who reaches only label x finds nothing of the rest, not even that it is there."""
    ops = let_in(stand, "ops", Role.OPERATOR, ["x"])
    mine = stand.a_run("a", labels=("x",))
    other = stand.a_run("b", labels=("y",))
    assert stand.ask("GET", f"/api/v2/runs/{mine}", headers=ops)[0] == 200
    assert stand.ask("POST", f"/api/v2/runs/{mine}/skip", {}, headers=ops)[0] == 200
    for method, path in ROUTES:
        if "{run_id}" in path and RIGHTS[method, path].scoped:
            target = filled(path).replace("r999999", other)
            there = stand.ask(method, target, None if method == "GET" else {}, headers=ops)
            nowhere = stand.ask(method, filled(path), None if method == "GET" else {}, headers=ops)
            assert (there[0], nowhere[0]) == (404, 404), (method, path)
            assert there[1]["error"].replace(other, "r999999") == nowhere[1]["error"]
    assert stand.ask("POST", "/api/v2/runs", {"job_id": "a"}, headers=ops)[0] == 200
    status, said = stand.ask("POST", "/api/v2/runs", {"job_id": "b"}, headers=ops)
    assert (status, said["error"]) == (404, "unknown job b")
    # Not even a word that two jobs have in common tells what they are called.
    status, said = stand.ask("POST", "/api/v2/runs", {"job_id": "secret"}, headers=ops)
    assert "secret/" not in said["error"]
    adhoc = {"job": {"program": "true", "metadata": {"labels": ["x"]}}}
    assert stand.ask("POST", "/api/v2/runs", adhoc, headers=ops)[0] in (403, 404)
    url = f"ws://127.0.0.1:{stand.port}/api/v1/runs/{other}/updates"
    with pytest.raises(InvalidStatus) as refused:
        connect(url, additional_headers=ops)
    assert refused.value.response.status_code == 404


def test_a_list_is_narrowed_to_the_labels_within_reach(stand):
    ops = let_in(stand, "ops", Role.VIEWER, ["x"])
    both = let_in(stand, "both", Role.VIEWER, ["x", "y"])
    mine = stand.a_run("a", labels=("x",))
    other = stand.a_run("b", labels=("y",))

    def listed(headers, query=""):
        status, body = stand.ask("GET", f"/api/v2/runs{query}", headers=headers)
        return status, [run["run_id"] for run in body.get("runs", [])]

    assert listed(ops) == (200, [mine])
    assert listed(ops, f"?id={other}") == (200, [])
    assert listed(ops, "?q=label:y") == (200, [])
    assert listed(ops, "?label=y") == (200, [])
    assert listed(both) == (200, [other, mine])
    assert listed(both, "?label=y") == (200, [other])
    for path in ("/api/v1/runs?job_id=b", "/api/v2/forecast", "/api/v2/agents", "/metrics"):
        status, said = stand.ask("GET", path, headers=ops)
        assert (status, "reaches only" in said["error"]) == (403, True)


def test_jobs_out_of_reach_are_not_there(stand):
    ops = let_in(stand, "ops", Role.VIEWER, ["x"])
    for path in ("/api/v2/jobs", "/api/v1/jobs"):
        body = stand.ask("GET", path, headers=ops)[1]
        jobs = body["jobs"] if isinstance(body, dict) else body
        assert [job["job_id"] for job in jobs] == ["a"]
    for path in ("/api/v2/jobs/{}", "/api/v1/jobs/{}", "/api/v1/jobs/{}/runs"):
        assert stand.ask("GET", path.format("a"), headers=ops)[0] == 200
        there = stand.ask("GET", path.format("b"), headers=ops)
        nowhere = stand.ask("GET", path.format("c"), headers=ops)
        assert (there[0], nowhere[0]) == (404, 404)
        assert there[1]["error"].replace("job_id b", "job_id c") == nowhere[1]["error"]
        words = stand.ask("GET", path.format("secret"), headers=ops)
        assert (words[0], "secret/" in words[1]["error"]) == (404, False)


def test_why_is_answered_within_reach_and_nothing_else_is_there(stand):
    ops = let_in(stand, "ops", Role.VIEWER, ["x"])
    mine = stand.a_run("a", labels=("x",))
    other = stand.a_run("b", labels=("y",))
    # Of a job within reach, from a time when it had other labels.
    hidden = stand.a_run("a", labels=("y",))

    def why(**query):
        return stand.ask("GET", f"/api/v2/why?{urlencode(query)}", headers=ops)

    status, found = why(run=mine)
    assert (status, found["run_id"]) == (200, mine)
    when = found["schedule_time"]
    status, found = why(job="a", at=when)
    assert (status, found.get("run_id")) == (200, mine)
    nowhere = why(run="r999999")
    for run_id in (other, hidden):
        there = why(run=run_id)
        assert (there[0], nowhere[0]) == (404, 404)
        assert there[1]["error"].replace(run_id, "r999999") == nowhere[1]["error"]
    unheard = stand.a_run("a", labels=("y",), schedule_us=5 * 10**15)
    both = let_in(stand, "both", Role.VIEWER, ["x", "y"])
    then = stand.ask("GET", f"/api/v2/runs/{unheard}", headers=both)[1]["run"]["schedule_time"]
    status, found = why(job="a", at=then)
    assert (status, unheard in json.dumps(found)) == (404, False)
    there, nowhere = why(job="b", at=when), why(job="c", at=when)
    assert (there[0], nowhere[0]) == (404, 404)
    assert there[1]["error"].replace("job_id b", "job_id c") == nowhere[1]["error"]
    assert "secret/" not in why(job="secret", at=when)[1]["error"]


def test_a_stream_is_narrowed_to_the_labels_within_reach(stand):
    ops = let_in(stand, "ops", Role.VIEWER, ["x"])
    mine = stand.a_run("a", labels=("x",))
    other = stand.a_run("b", labels=("y",))
    url = f"ws://127.0.0.1:{stand.port}/api/v2/stream"
    with connect(url, additional_headers=ops) as socket:

        def say(**op):
            socket.send(json.dumps({"op": "subscribe", **op}))
            while True:
                message = json.loads(socket.recv(timeout=WAIT_S))
                if message.get("id") == op["id"]:
                    return message

        say(id="all", topic="runs")
        assert say(id="other", topic="run", run_id=other)["status"] == 404
        assert say(id="out", topic="output", run_id=other, output_id="output")["status"] == 404
        assert say(id="jobs", topic="jobs")["status"] == 403
        assert say(id="mine", topic="run", run_id=mine)["run"]["run_id"] == mine
        for run_id in (other, mine):
            wish = SkipRun(run_id=run_id)
            stand.tell(
                lambda wish=wish: LedgerWish(
                    command_id=f"skip{wish.run_id}", principal="stand", instruction=wish
                )
            )
        seen = []
        while mine not in seen:
            message = json.loads(socket.recv(timeout=WAIT_S))
            if message.get("id") == "all":
                seen += [run["run_id"] for run in message["runs"]]
        assert other not in seen


def test_on_this_machine_nobody_has_to_log_in_unless_a_proxy_asks(tmp_path):
    stand = WebStand(tmp_path, jobs=(a_job("a"),))
    try:
        assert stand.ask("GET", "/api/v2/me")[1]["how"] == "local"
        assert stand.ask("POST", "/api/v2/runs", {"job_id": "a"})[0] == 200
        for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
            status, _ = stand.ask("GET", "/api/v2/me", headers={name: "192.0.2.1"})
            assert status == 401
        viewer = let_in(stand, "v", Role.VIEWER)
        assert stand.ask("POST", "/api/v2/runs", {"job_id": "a"}, headers=viewer)[0] == 403
    finally:
        stand.close()


def test_what_is_refused_by_role_says_who_one_is_and_what_is_expected(stand):
    viewer = let_in(stand, "v", Role.VIEWER)
    status, said = stand.ask("POST", "/api/v2/reload", {}, headers=viewer)
    assert (status, said["error"]) == (403, "token:v is a viewer: expected an operator")
    status, headers, body = stand.request("GET", "/api/v2/me")
    assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="callsheet"')
    assert "expected a log-in, or a token" in json.loads(body)["error"]
    with contextlib.suppress(KeyError):
        assert "set-cookie" not in headers


def test_each_route_that_changes_something_is_on_record_exactly_once(stand):
    """Whoever asks, and whether it is done or refused; a request nobody understands is none."""
    admin, viewer = let_in(stand, "adm", Role.ADMIN), let_in(stand, "v", Role.VIEWER)
    run_id = stand.a_run("a")

    def entries():
        return [row.entry for row in stand.reader.audit(0, 1_000)]

    def asked(method, path, body, headers, who, act, outcome):
        before = len(entries())
        stand.request(method, path, body, headers=headers)
        until(lambda: len(entries()) > before, f"an entry for {method} {path}", WAIT_S)
        [new] = entries()[before:]
        assert (new.who, new.act, new.outcome, new.source) == (who, act, outcome, "127.0.0.1")
        return new

    user = {"name": "u", "password": "correct horse", "role": "viewer"}
    for path, body, act in (
        ("/api/v2/runs", {"job_id": "a"}, "add_runs"),
        ("/api/v1/runs", {"job_id": "a"}, "add_runs"),
        (f"/api/v2/runs/{run_id}/hold", {}, "hold_run"),
        (f"/api/v2/runs/{run_id}/release", {}, "release_run"),
        (f"/api/v1/runs/{run_id}/skip", {}, "skip_run"),
        (f"/api/v2/runs/{run_id}/mark", {"state": "success"}, "mark_run"),
        (f"/api/v2/runs/{run_id}/rerun", {}, "add_runs"),
        ("/api/v2/reload", {}, "reload_jobs"),
        ("/api/v2/tokens", {"name": "t", "role": "viewer"}, "make_api_token"),
        ("/api/v2/tokens/v2/revoke", {}, None),
        ("/api/v2/users", user, "add_user"),
        ("/api/v2/users/u/change", {"role": "operator"}, "change_user"),
        ("/api/v2/users/u/remove", {}, "remove_user"),
        ("/api/control/shut_down", {}, "shut_down"),
    ):
        if act is not None:
            asked("POST", path, body, admin, "token:adm", act, "done")
        asked("POST", path, body, viewer, "token:v", _route_of(path), "refused")
    refused = asked(
        "POST", f"/api/v2/runs/{run_id}/stop", {}, admin, "token:adm", "stop_run", "refused"
    )
    assert (refused.target, "can't stop" in refused.sentence) == (run_id, True)
    secrets = "".join(row.body for row in stand.reader.audit(0, 1_000))
    assert "cst_" not in secrets
    assert "correct horse" not in secrets


def _route_of(path):
    """Return a refused request as it stands on record: method and route."""
    route, _ = TABLE.find("POST", path)
    return f"POST {route.path}"
