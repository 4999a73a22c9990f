"""The outputs of a run on its page: streams in tabs, artifacts to download."""

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(autouse=True)
def patience():
    expect.set_options(timeout=60_000)


def test_streams_have_tabs_and_artifacts_are_downloaded(console, server, tmp_path):
    run_id = server.schedule("apart", folder=str(tmp_path))
    page = console.open(f"/runs/{run_id}")
    output = page.locator("#output")
    tabs = ["interleaved", "stdout", re.compile("stderr"), "split"]
    expect(output.get_by_role("tab")).to_have_text(tabs)
    server.finished(run_id)
    lines = output.locator("ol.lines li")
    expect(lines).to_have_text(["a result", "a warning"])
    output.get_by_role("tab", name="stderr").click()
    expect(lines).to_have_text(["a warning"])
    output.get_by_role("tab", name="stdout").click()
    expect(lines).to_have_text(["a result"])
    with page.expect_download() as download:
        page.get_by_role("region", name="Artifacts").get_by_role("link").click()
    assert download.value.suggested_filename == "table.csv"
    assert download.value.path().read_text() == "1,2\n"


def test_both_streams_stand_side_by_side(console, server, tmp_path):
    run_id = server.schedule("apart", folder=str(tmp_path))
    server.finished(run_id)
    page = console.open(f"/runs/{run_id}")
    page.get_by_role("tab", name="split").click()
    panes = page.locator("#output .run-out")
    expect(panes).to_have_count(2)
    expect(panes.nth(0).locator("ol.lines li")).to_have_text(["a result"])
    expect(panes.nth(1).locator("ol.lines li")).to_have_text(["a warning"])


def test_raw_shows_the_bytes_that_came(console, server):
    run_id = server.schedule("colours")
    page = console.open(f"/runs/{run_id}")
    line = page.locator("ol.lines li").first
    expect(line.locator(".a-red")).to_have_text("red words")
    page.get_by_label("raw").check()
    expect(line).to_contain_text(r"\x1b[31mred words\x1b[0m")
    expect(line.locator(".a-red")).to_have_count(0)
    page.get_by_label("raw").uncheck()
    expect(line.locator(".a-red")).to_have_text("red words")


def many_lines(server):
    body = {"job": {"program": {"type": "shell", "command": "seq 1 30000"}}}
    answer = server.insist("/api/v1/runs", body | {"times": {"schedule": "now"}})
    return next(iter(answer.json["runs"]))


def test_a_long_output_is_drawn_by_window_and_searched_whole(console, server):
    run_id = many_lines(server)
    server.finished(run_id)
    page = console.open(f"/runs/{run_id}")
    expect(page.locator("li[data-n='30000']")).to_be_visible()
    expect(page.locator(".out-foot")).to_contain_text("30,000 lines")
    # Of thirty thousand lines only those near the end are drawn.
    assert page.locator("ol.lines li[data-n]").count() < 1_000
    find = page.get_by_label("Search output")
    find.fill("1234")
    expect(page.locator("[data-hits]")).to_have_text("1 of 13")
    find.press("Enter")
    hit = page.locator("li.hit")
    expect(hit).to_have_attribute("data-n", "1234")
    expect(hit.locator("mark")).to_have_text("1234")
    expect(hit).to_be_in_viewport()
    assert not page.get_by_label("follow the end").is_checked()
    find.press("Shift+Enter")
    expect(hit).to_have_attribute("data-n", "21234")
    page.get_by_role("button", name="only these").click()
    expect(page.locator("ol.lines li[data-n]")).to_have_count(13)
    find.fill("^1{4}$")
    expect(page.locator("[data-hits]")).to_have_text("none")
    page.get_by_role("button", name=".*").click()
    expect(page.locator("ol.lines li[data-n]")).to_have_text(["1111"])


def test_scrolling_up_stops_following_until_one_asks_for_the_end(console, server):
    run_id = many_lines(server)
    server.finished(run_id)
    page = console.open(f"/runs/{run_id}")
    follow = page.get_by_label("follow the end")
    expect(page.locator("li[data-n='30000']")).to_be_visible()
    page.locator(".term-w").evaluate("pane => { pane.scrollTop = 0; }")
    expect(follow).not_to_be_checked()
    expect(page.locator("li[data-n='1']")).to_be_in_viewport()
    page.locator(".term-w").press("f")
    expect(follow).to_be_checked()
    expect(page.locator("li[data-n='30000']")).to_be_in_viewport()
