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
