"""Logging in: cookies, forged requests, guessing, and how log-ins end."""

import json

import pytest
from certificates import Authority
from live_server import until
from people import ADMIN
from web_stand import WebStand, a_job
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from callsheet.client.http import Connection
from callsheet.messages.access import AddUser, ChangeUser, Role
from callsheet.messages.wishes import LedgerWish
from callsheet.webui import passwords
from callsheet.webui.passwords import NOBODY, hashed, matches, problem_of
from callsheet.webui.throttle import ADDRESS_WAITS_S, FORGOTTEN_S, FREE, NAME_WAITS_S, Throttle

WAIT_S = 60.0
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def kept():
    """What is kept of the password; made cheaply, as each look at it costs as much."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "LOG_N", 8)
        return hashed(PASSWORD)


@pytest.fixture
def stand(tmp_path, kept):
    stand = WebStand(tmp_path, jobs=(a_job("a"),), loopback="login")
    for name, role in (("ann", Role.OPERATOR), ("vic", Role.VIEWER), ("root", Role.ADMIN)):
        wished(stand, AddUser(name=name, password=kept, role=role))
    yield stand
    stand.close()


def wished(stand, wish):
    stand.tell(
        lambda: LedgerWish(command_id=f"{wish}", principal="stand", instruction=wish, access=ADMIN)
    )


class Browser:
    """Keeps its cookie and shows what the page shows."""

    def __init__(self, stand):
        self.stand = stand
        self.cookie = ""
        self.xsrf = ""
        self.set_cookie = ""

    def ask(self, method, target, body=None, xsrf=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            headers["Cookie"] = self.cookie
        if (self.xsrf if xsrf is None else xsrf) and method != "GET":
            headers["X-XSRF-Token"] = self.xsrf if xsrf is None else xsrf
        status, sent, data = self.stand.request(method, target, body, headers=headers)
        if "set-cookie" in sent:
            self.set_cookie = sent["set-cookie"]
            self.cookie = self.set_cookie.partition(";")[0]
        return status, json.loads(data)

    def log_in(self, name="ann", password=PASSWORD):
        status, said = self.ask("POST", "/api/v2/login", {"name": name, "password": password})
        self.xsrf = said.get("xsrf", "")
        return status, said

    def skip(self, run_id, **kwargs):
        return self.ask("POST", f"/api/v2/runs/{run_id}/skip", {}, **kwargs)


def test_who_logs_in_acts_under_his_name_until_he_logs_out(stand):
    browser = Browser(stand)
    assert browser.ask("GET", "/api/v2/me")[0] == 401
    status, said = browser.log_in()
    assert (status, said["name"], said["role"], said["how"]) == (
        200,
        "user:ann",
        "operator",
        "session",
    )
    assert browser.ask("GET", "/api/v2/me") == (200, said)
    run_id = stand.a_run()
    assert browser.skip(run_id)[0] == 200
    assert [one.cause for one in stand.reader.log(run_id)][-1] == "user:ann"
    cookie = browser.cookie
    assert browser.ask("POST", "/api/v2/logout", {}) == (200, {})
    assert "Max-Age=0" in browser.set_cookie
    browser.cookie = cookie
    assert browser.ask("GET", "/api/v2/me")[0] == 401


def test_the_cookie_is_for_this_server_alone_and_not_for_scripts(stand, tmp_path, kept):
    browser = Browser(stand)
    browser.log_in()
    attributes = browser.set_cookie.split("; ")
    assert attributes[0].startswith("callsheet=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"} <= {*attributes}
    folder = tmp_path / "tls"
    folder.mkdir()
    authority = Authority(folder)
    files = authority.issue("server")
    encrypted = WebStand(folder, bind=("https://127.0.0.1:0",), loopback="login", **files)
    try:
        wished(encrypted, AddUser(name="ann", password=kept, role=Role.VIEWER))
        from callsheet.client.access import verification

        tls = verification(authority.ca_file)
        connection = Connection("127.0.0.1", encrypted.port, WAIT_S, tls=tls)
        body = json.dumps({"name": "ann", "password": PASSWORD}).encode()
        sent = {"Content-Type": "application/json"}
        answer = connection.ask("POST", "/api/v2/login", body=body, headers=sent)
        connection.close()
    finally:
        encrypted.close()
    assert answer.headers["set-cookie"].startswith("__Host-callsheet=")
    assert answer.headers["set-cookie"].endswith("; Secure")


def test_each_log_in_has_a_secret_of_its_own_of_which_a_hash_is_kept(stand):
    one, two = Browser(stand), Browser(stand)
    one.log_in()
    two.log_in()
    assert one.cookie != two.cookie
    secret = one.cookie.partition("=")[2]
    files = b"".join(path.read_bytes() for path in stand.database.parent.glob("callsheet.db*"))
    assert secret.encode() not in files
    assert PASSWORD.encode() not in files
    # A cookie from elsewhere becomes nobody's by a log-in.
    fixed = Browser(stand)
    fixed.cookie = "callsheet=chosen-by-somebody-else"
    fixed.log_in()
    assert "chosen" not in fixed.cookie


def test_a_change_by_a_cookie_alone_is_refused(stand):
    browser, other = Browser(stand), Browser(stand)
    browser.log_in()
    other.log_in("vic")
    run_id = stand.a_run()
    for xsrf in ("", "0" * 64, other.xsrf):
        status, said = browser.skip(run_id, xsrf=xsrf or "no")
        assert (status, "X-XSRF-Token: expected" in said["error"]) == (403, True)
    browser.xsrf, kept = "", browser.xsrf
    assert browser.skip(run_id)[0] == 403
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
    ):
        assert browser.skip(run_id, xsrf=kept, **headers)[0] == 403
    assert browser.skip(run_id, xsrf=kept)[0] == 200


def test_a_form_of_another_site_cannot_log_anybody_in(stand):
    data = f"name=ann&password={PASSWORD}".encode()
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
        headers = {"Content-Type": kind}
        status, sent, _ = stand.request("POST", "/api/v2/login", data, headers=headers)
        assert (status in (400, 415), "set-cookie" in sent) == (True, False)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1.evil.example", 403),
        ("http://127.0.0.1:1", 403),
        (None, 403),
        ("our own", 101),
    ],
)
def test_a_socket_by_a_cookie_is_opened_for_our_own_page_only(stand, origin, status):
    browser = Browser(stand)
    browser.log_in()
    url = f"ws://127.0.0.1:{stand.port}/api/v2/stream"
    own = f"http://127.0.0.1:{stand.port}"
    headers = {"Cookie": browser.cookie}
    if status == 101:
        with connect(url, additional_headers=headers, origin=own) as socket:
            assert "beat" in json.loads(socket.recv(timeout=WAIT_S))
        return
    with pytest.raises(InvalidStatus) as refused:
        connect(url, additional_headers=headers, origin=origin)
    assert refused.value.response.status_code == status


def test_the_sockets_of_a_log_in_end_with_it(stand):
    browser = Browser(stand)
    browser.log_in()
    url = f"ws://127.0.0.1:{stand.port}/api/v2/stream"
    own = f"http://127.0.0.1:{stand.port}"
    with connect(url, additional_headers={"Cookie": browser.cookie}, origin=own) as socket:
        socket.recv(timeout=WAIT_S)
        wished(stand, ChangeUser(name="ann", role=Role.VIEWER))

        def closed():
            try:
                socket.recv(timeout=0.1)
            except ConnectionClosed as error:
                return error.rcvd.code
            except TimeoutError:
                return None
            return None

        assert until(closed, "the end of the socket", WAIT_S) == 1008


def test_wrong_names_and_passwords_are_told_alike_and_put_on_record(stand):
    answers = [
        Browser(stand).log_in("ann", "wrong password"),
        Browser(stand).log_in("nobody", PASSWORD),
        Browser(stand).log_in("../ann", PASSWORD),
    ]
    assert {(status, said["error"]) for status, said in answers} == {
        (401, "the name or the password is wrong")
    }

    def recorded():
        entries = [row.entry for row in stand.reader.audit(0, 100)]
        return [one for one in entries if one.act == "log_in" and one.outcome == "refused"]

    until(lambda: len(recorded()) == 3, "the record", WAIT_S)
    assert [one.target for one in recorded()] == ["ann", "nobody", "../ann"]
    assert {one.source for one in recorded()} == {"127.0.0.1"}
    for body in ({}, {"name": "ann"}, {"name": 1, "password": "x"}, []):
        assert Browser(stand).ask("POST", "/api/v2/login", body)[0] == 400


def test_a_guesser_is_made_to_wait(stand):
    statuses = []
    # The first wait is a second and the next is twice as long: a slow machine may sit one out.
    while 429 not in statuses and len(statuses) < FREE + 10:
        statuses.append(Browser(stand).log_in("ann", f"wrong {len(statuses)}")[0])
    assert statuses[:FREE] == [401] * FREE
    assert statuses[-1] == 429
    status, sent, body = stand.request(
        "POST", "/api/v2/login", {"name": "ann", "password": PASSWORD}
    )
    if status == 429:
        assert int(sent["retry-after"]) >= 1
        assert "too many tries" in json.loads(body)["error"]


def test_users_are_made_changed_and_removed_by_administrators_only(stand):
    root, ann = Browser(stand), Browser(stand)
    root.log_in("root")
    ann.log_in()
    body = {"name": "new", "password": "a good password", "role": "viewer"}
    assert ann.ask("POST", "/api/v2/users", body)[0] == 403
    assert root.ask("POST", "/api/v2/users", body)[0] == 200
    listed = root.ask("GET", "/api/v2/users")[1]["users"]
    assert [user["name"] for user in listed] == ["ann", "new", "root", "vic"]
    assert "password" not in json.dumps(listed)
    change = {"role": "operator", "labels": ["x"]}
    assert root.ask("POST", "/api/v2/users/new/change", change)[0] == 200
    fresh = Browser(stand)
    assert fresh.log_in("new", "a good password")[1]["labels"] == ["x"]
    assert root.ask("POST", "/api/v2/users/new/remove", {})[0] == 200
    assert fresh.ask("GET", "/api/v2/me")[0] == 401
    for bad in ({"password": "short"}, {"password": "newnewnewnew"}, {"password": 5}):
        assert root.ask("POST", "/api/v2/users", body | {"name": "b"} | bad)[0] == 400


# --- passwords and waits ----------------------------------------------------------------------


def test_a_password_is_known_by_its_hash_and_by_nothing_else():
    kept = hashed(PASSWORD)
    assert matches(PASSWORD, kept)
    assert not matches(PASSWORD + " ", kept)
    assert kept.startswith("scrypt$15$8$3$")
    assert hashed(PASSWORD) != kept
    for other in (NOBODY, "", "x", "scrypt$99$8$3$AA==$AA==", "scrypt$a$b$c$d$e", PASSWORD):
        assert not matches(PASSWORD, other)


@pytest.mark.parametrize("password", ["", "short", "x" * 1_001, "aaaaaaaaaaaa", "Elizabeth1"])
def test_what_is_easily_guessed_is_no_password(password):
    assert problem_of(password, "elizabeth1")
    assert not problem_of("correct horse", "elizabeth1")


def test_a_thousand_guesses_at_one_name_take_hours():
    throttle, now_s, tries = Throttle(), 0.0, 0
    for n in range(1_000):
        wait_s = throttle.try_now("ann", f"192.0.2.{n % 250}", now_s)
        now_s += wait_s
        tries += wait_s == 0
        if wait_s:
            assert throttle.try_now("ann", f"192.0.2.{n % 250}", now_s) == 0
    assert now_s > 900 * NAME_WAITS_S
    # Once the guesser rests, the person waits half a minute at most.
    assert throttle.try_now("ann", "198.51.100.1", now_s) <= NAME_WAITS_S


def test_guesses_from_one_address_at_many_names_wait_longest():
    throttle, now_s = Throttle(), 0.0
    waits = []
    for n in range(40):
        wait_s = throttle.try_now(f"user{n}", "192.0.2.1", now_s)
        waits.append(wait_s)
        now_s += wait_s
        if wait_s:
            assert throttle.try_now(f"user{n}", "192.0.2.1", now_s) == 0
    assert (waits[:FREE], waits[-1]) == ([0.0] * FREE, ADDRESS_WAITS_S)
    assert throttle.try_now("ann", "192.0.2.2", now_s) == 0


def test_who_logs_in_is_not_held_to_his_mistakes_and_time_forgets():
    throttle = Throttle()
    for _ in range(FREE):
        assert throttle.try_now("ann", "a", 0.0) == 0
    assert throttle.try_now("ann", "a", 0.0) > 0
    throttle.succeeded("ann", "a")
    assert throttle.try_now("ann", "a", 0.0) == 0
    for _ in range(FREE):
        throttle.try_now("bob", "b", 0.0)
    assert throttle.try_now("bob", "b", FORGOTTEN_S) == 0
