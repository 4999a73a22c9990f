"""A console that outlives its server's web process."""

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(autouse=True)
def patience():
    expect.set_options(timeout=60_000)


def test_a_killed_web_process_costs_the_console_nothing(fresh, server, gate):
    # What the browser itself says of requests that met nobody.
    fresh.expected += ["net::ERR", "WebSocket connection", "503"]
    before = server.schedule("gated", gate=str(gate))
    page = fresh.open("/runs")
    page.evaluate("() => { window.unbroken = true; }")
    row = page.locator(f"tr[data-run={before}]")
    expect(row).to_have_attribute("data-state", "running")

    fresh.forget_statuses()
    server.kill("web/0")
    fresh.lost()
    # What happens while nobody looks is caught up with. `schedule` insists until the web answers
    # again; a plain request before that would meet nobody.
    gate.touch()
    after = server.schedule("colours")
    server.finished(before)

    expect(page.locator("[data-status=live]").first).to_be_attached()
    expect(row).to_have_attribute("data-state", "success")
    expect(page.locator(f"tr[data-run={after}]")).to_have_attribute("data-state", "success")
    assert page.evaluate("() => window.unbroken")


def test_a_query_that_met_a_busy_server_is_asked_again_and_then_shown_as_any_other(fresh, server):
    fresh.expected += ["503"]
    run_id = server.schedule("fails")
    server.finished(run_id)
    page = fresh.open("/runs")
    expect(page.locator(f"tr[data-run={run_id}]")).to_be_visible()
    busy = {"status": 503, "json": {"error": "too many requests wait for the store"}}
    page.route("**/runs-by-time?q=state**", lambda route: route.fulfill(**busy), times=1)
    page.locator(".facets").get_by_role("button", name="failure").click()
    expect(page.locator("tr[data-run]:not([data-state=failure])")).to_have_count(0)
    expect(page.locator(f"tr[data-run={run_id}]")).to_be_visible()
    expect(page.locator(".list-w.dimmed")).to_have_count(0)
    expect(page.locator("#query")).to_have_attribute("aria-invalid", "false")


def test_output_goes_on_where_it_was_when_the_web_comes_back(fresh, server, gate):
    fresh.expected += ["net::ERR", "WebSocket connection", "503"]
    run_id = server.schedule("gated", gate=str(gate))
    page = fresh.open(f"/runs/{run_id}")
    expect(page.locator(".lines li", has_text="begun")).to_be_visible()
    fresh.forget_statuses()
    server.kill("web/0")
    fresh.lost()
    gate.touch()
    expect(page.locator(".lines li", has_text="ended")).to_be_visible()
    expect(page.locator(".head .state")).to_contain_text("success")
    assert [li.inner_text() for li in page.locator(".lines li").all()] == ["begun", "ended"]


def test_the_server_s_log_is_cleared_and_read_anew_after_a_loss_and_says_so(fresh, server):
    fresh.expected += ["net::ERR", "WebSocket connection", "503"]
    page = fresh.open("/control")
    log = page.get_by_role("region", name="Server log")
    expect(log.locator("li[data-level]").first).to_be_visible()
    expect(page.locator("tr[data-role=web]")).to_contain_text("up")
    first_pid = page.locator("tr[data-role=web] td").nth(2).inner_text()
    server.kill("web/0")
    expect(log.locator("li.divider", has_text="reconnected").first).to_be_visible()
    fresh.toast("The server's log is here again")
    expect(log.locator("li[data-level]").first).to_be_visible()
    expect(log.get_by_label("follow the end")).to_be_checked()
    expect(page.locator("tr[data-role=web] td").nth(2)).not_to_have_text(first_pid)
    log.get_by_role("button", name="error").click()
    expect(log.locator("li[data-level=info]")).to_have_count(0)
    log.get_by_role("button", name="Clear").click()
    expect(log.locator("li[data-level]")).to_have_count(0)


# Nothing is loaded that nobody wants.
SPARING = 'Object.defineProperty(navigator, "connection", { value: { saveData: true } });'
CHECKS = "**/js/views/checks.js"
MODULES = """
() => performance.getEntriesByType("resource").map((one) => new URL(one.name).pathname)
    .filter((path) => path.endsWith(".js")).map((path) => path.split("/").pop())
"""


@pytest.fixture
def sparing(a_page):
    console = a_page()
    console.context.add_init_script(SPARING)
    console.expected += ["net::ERR", "WebSocket connection", "404", "503"]
    return console


def test_the_page_before_stays_until_the_next_one_is_here(sparing):
    held = []

    def hold(route):
        held.append(route)

    page = sparing.open("/jobs")
    page.route(CHECKS, hold)
    rail = page.get_by_role("navigation", name="Main", exact=True)
    with page.expect_request(CHECKS):
        rail.get_by_role("link", name="Checks").click()
    expect(page.get_by_text("Opening Checks")).to_be_visible()
    expect(page.locator("tr[data-job=fails]")).to_be_visible()
    assert page.url.endswith("/jobs")
    # Who thinks better of it is not taken there later.
    rail.get_by_role("link", name="Jobs").click()
    expect(page.get_by_text("Opening Checks")).to_have_count(0)
    rail.get_by_role("link", name="Checks").click()
    expect(page.get_by_text("Opening Checks")).to_be_visible()
    for one in held:
        one.continue_()
    expect(page.locator("tr[data-check=double]")).to_be_visible()
    expect(page.locator("tr[data-job]")).to_have_count(0)
    page.go_back()
    expect(page.locator("tr[data-job=fails]")).to_be_visible()


def test_what_is_typed_for_the_palette_is_kept_until_it_is_here(sparing):
    held = []

    def hold(route):
        held.append(route)

    page = sparing.open("/jobs")
    page.route("**/js/palette_open.js", hold)
    with page.expect_request("**/js/palette_open.js"):
        page.keyboard.press("Control+k")
    page.keyboard.type("t checks")
    expect(page.get_by_label("Go to or do")).to_have_value("t checks")
    assert page.locator("html").get_attribute("data-theme") is None
    for one in held:
        one.continue_()
    expect(page.get_by_text("Nothing that is called so.")).to_be_visible()
    page.keyboard.type("!")
    expect(page.get_by_label("Go to or do")).to_have_value("t checks!")


def test_a_page_that_cannot_be_loaded_says_so_and_comes_once_the_server_answers(sparing):
    page = sparing.open("/jobs")
    sparing.context.set_offline(True)
    page.locator(".rail").get_by_role("link", name="Checks").click()
    said = page.get_by_role("alert").filter(has_text="this page is not loaded yet")
    expect(said).to_be_visible()
    expect(said.get_by_role("button", name="Try again")).to_be_visible()
    assert page.url.endswith("/checks")
    # What has been opened before is there, though its jobs cannot be read.
    page.go_back()
    expect(page.locator("main")).to_contain_text("the server does not answer")
    page.go_forward()
    expect(said).to_be_visible()
    sparing.context.set_offline(False)
    expect(page.locator("tr[data-check=double]")).to_be_visible()


def test_a_page_of_another_edition_is_found_by_the_document(sparing):
    page = sparing.open("/jobs")
    page.evaluate("() => { window.unbroken = true; }")
    page.route(CHECKS, lambda route: route.fulfill(status=404), times=1)
    page.locator(".rail").get_by_role("link", name="Checks").click()
    expect(page.locator("tr[data-check=double]")).to_be_visible()
    assert not page.evaluate("() => window.unbroken")
    # One that does not come by the document either says so, and is tried again.
    page.route("**/js/views/control.js", lambda route: route.fulfill(status=404))
    page.locator(".rail").get_by_role("link", name="Control").click()
    said = page.get_by_role("alert").filter(has_text="cannot be loaded")
    expect(said).to_be_visible()
    page.unroute("**/js/views/control.js")
    said.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("region", name="Server log")).to_be_visible()


def test_what_nobody_has_opened_is_loaded_at_rest_and_there_without_the_server(fresh):
    fresh.expected += ["net::ERR", "WebSocket connection"]
    page = fresh.open("/checks")
    page.wait_for_function(f"() => ({MODULES})().includes('palette_open.js')")
    page.wait_for_function(f"() => ({MODULES})().includes('adhoc.js')")
    page.wait_for_function(f"() => ({MODULES})().includes('rerun.js')")
    fresh.context.set_offline(True)
    expect(page.locator("[data-status=live]")).to_have_count(0)
    fresh.turn_to("/adhoc")
    expect(page.locator("[name=text]")).to_be_visible()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog", name="Command palette")).to_be_visible()
