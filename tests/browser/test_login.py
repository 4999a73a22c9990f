"""Logging in to the console over TLS, in a real browser, and what each role finds there."""

import pytest
from certificates import Authority
from live_server import Server, until

from callsheet.client import Client

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PASSWORD = "correct horse battery"
# What Chromium says of each answer that is an error, and of a socket that is closed by the server.
SAID = ("Failed to load resource", "WebSocket connection")


class Site(Server):
    """A server that speaks TLS and lets nobody in without a log-in."""

    def _ready(self):
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended:\n{self.log()}"
        try:
            self.root.running(timeout_s=10)
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def server(tmp_path_factory, jobs):
    folder = tmp_path_factory.mktemp("login")
    authority = Authority(folder)
    files = authority.issue("server")
    settings = f"tls: {{certificate: {files['certificate']}, key: {files['key']}}}\n"
    site = Site(folder, jobs, settings + "access: {loopback: login}\n")
    (folder / "password").write_text(PASSWORD)
    database, given = str(folder / "callsheet.db"), ("--password-file", str(folder / "password"))
    for name, role in (("root", "admin"), ("ann", "operator"), ("vic", "viewer")):
        made = site.callsheetctl(
            "user", "create", name, "--role", role, *given, "--database", database
        )
        assert made.returncode == 0, made.stderr
    made = site.callsheetctl("token", "create", "t", "--role", "admin", "--database", database)
    site.url = site.bind = f"https://127.0.0.1:{site.port}"
    site.root = Client(site.url, token=made.stdout.strip(), ca_file=authority.ca_file)
    try:
        yield site.start()
    finally:
        site.stop()


@pytest.fixture
def console(server, a_page):
    console = a_page(base=server.url, ignore_https_errors=True)
    console.expected += SAID
    return console


def log_in(console, name, password=PASSWORD):
    console.page.get_by_label("name").fill(name)
    console.page.get_by_label("password").fill(password)
    console.page.get_by_role("button", name="Log in").click()


def log_out(page):
    page.locator(".rail").get_by_role("button", name="Log out").click()
    # The page is on its way there before it may be led elsewhere.
    page.wait_for_url("**/login")
    page.get_by_role("form", name="Log in").wait_for()


def live(console):
    console.page.locator("[data-status=live]").first.wait_for(state="attached")


def test_who_logs_in_finds_the_page_that_was_asked_for_and_may_log_out(server, console):
    page = console.page
    page.goto("/jobs")
    page.get_by_role("form", name="Log in").wait_for()
    assert "nightly" not in page.content()
    log_in(console, "ann", "wrong password")
    page.get_by_text("the name or the password is wrong").wait_for()
    log_in(console, "ann")
    live(console)
    assert page.url == f"{server.url}/jobs"
    page.get_by_text("nightly").first.wait_for()
    assert page.locator(".rail [data-role]").inner_text() == "operator"
    [cookie] = console.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (
        "__Host-callsheet",
        True,
        True,
        "Strict",
    )
    assert page.evaluate("document.cookie") == ""
    log_out(page)
    page.goto("/jobs")
    page.get_by_role("form", name="Log in").wait_for()


def test_an_address_with_a_fragment_is_found_after_the_log_in_and_a_failed_log_out_is_told(
    server, console
):
    run_id = server.root.schedule("greetings/never", {}, "now")["run_id"]
    page = console.page
    page.goto(f"/runs/{run_id}#log")
    log_in(console, "vic")
    live(console)
    page.get_by_text("greetings/").first.wait_for()
    assert page.url == f"{server.url}/runs/{run_id}#log"
    page.route("**/api/v2/logout", lambda route: route.abort())
    page.locator(".rail").get_by_role("button", name="Log out").click()
    console.toast("Could not log out")
    page.unroute_all()
    log_out(page)


def test_an_operator_acts_and_a_viewer_only_looks(server, console):
    run_id = server.root.schedule("greetings/never", {}, "now")["run_id"]
    paused = {"kind": "label", "name": "unused", "reason": "for a look"}
    server.root.post("/api/v2/pause", body=paused)
    page = console.page
    page.goto(f"/runs/{run_id}")
    log_in(console, "vic")
    live(console)
    page.get_by_text("greetings/").first.wait_for()
    page.get_by_role("toolbar", name="Operations").wait_for()
    assert page.locator("[data-verb]").count() == 0
    page.locator("body").press("h")
    page.get_by_text("that takes the role operator").wait_for()
    assert not server.root.find_runs(id=run_id)["runs"][0]["held"]
    page.goto("/control")
    page.get_by_text("Looking at it and loading it take the role operator").wait_for()
    page.locator("[data-pauses]").get_by_text("for a look").wait_for()
    assert page.get_by_role("button", name="Resume").count() == 0
    assert page.get_by_role("button", name="Pause").count() == 0
    page.goto("/agents")
    page.locator("[data-agent=local]").wait_for()
    assert page.locator("[data-verb]").count() == 0
    log_out(page)
    page.goto("/agents")
    log_in(console, "ann")
    live(console)
    page.locator("[data-agent=local] [data-verb=drain]").wait_for()
    assert page.locator("[data-verb=shutdown]").count() == 0
    page.goto(f"/runs/{run_id}")
    live(console)
    page.locator("[data-verb=start]").click()
    until(
        lambda: server.root.get_run(run_id)["state"] == "success",
        "the run that was started",
    )


def test_a_user_who_is_removed_is_led_to_the_log_in(server, console):
    body = {"name": "temp", "password": PASSWORD, "role": "viewer"}
    server.root.post("/api/v2/users", body=body)
    console.page.goto("/")
    log_in(console, "temp")
    live(console)
    server.root.post("/api/v2/users/temp/remove")
    console.page.get_by_role("form", name="Log in").wait_for()
