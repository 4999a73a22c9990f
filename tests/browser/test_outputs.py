"""A run on its page: its outputs in tabs and files, and running it again or at another time."""

import re
import zipfile
from datetime import UTC, datetime, timedelta

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
    with page.expect_download() as download:
        output.get_by_role("link", name="All as zip").click()
    assert re.fullmatch(rf"apart\.[\w.=-]+\.{run_id}\.zip", download.value.suggested_filename)
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.read("artifacts/table.csv") == b"1,2\n"
        assert archive.read("output.txt") == b"a result\na warning\n"


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


def test_what_a_terminal_would_not_show_is_not_shown(console, server):
    # The cursor is hidden, a turning bar goes back, a line is written over and erased.
    command = r"printf '\033[?25l|\b/\b-done\033[0K\n10 %%\r\033[2K\033[32m99 %%\033[0m\033[?25h\n'"
    run_id = ad_hoc(server, command)
    server.finished(run_id)
    page = console.open(f"/runs/{run_id}")
    expect(page.locator("ol.lines li")).to_have_text(["-done", "99 %"])
    expect(page.locator("ol.lines .a-green")).to_have_text("99 %")


def test_a_line_of_a_very_long_output_has_an_address(console, server):
    run_id = ad_hoc(server, "seq 1 130000")
    server.finished(run_id)
    page = console.open(f"/runs/{run_id}#L123456")
    line = page.locator("li[data-n='123456']")
    expect(line).to_be_in_viewport()
    expect(page.get_by_label("follow the end")).not_to_be_checked()
    expect(page.get_by_role("button", name="new lines")).to_have_count(0)
    # Six digits stand in one line.
    assert line.evaluate("line => line.clientHeight") == 18
    page.evaluate("() => { location.hash = '#L100001'; }")
    expect(page.locator("li[data-n='100001']")).to_be_in_viewport()


def many_lines(server):
    return ad_hoc(server, "seq 1 30000")


def ad_hoc(server, command):
    body = {"job": {"program": {"type": "shell", "command": command}}}
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
    # On paper all is drawn, whatever the window showed; of very much the beginning and the end.
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    lines = page.locator("ol.lines li")
    expect(lines).to_have_count(4001)
    expect(lines.first).to_have_attribute("data-n", "1")
    expect(lines.nth(2000)).to_have_text("26,000 lines left out here: the download has all.")
    expect(lines.nth(2001)).to_have_attribute("data-n", "28001")
    expect(lines.last).to_have_attribute("data-n", "30000")
    page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    expect(lines.nth(2000)).to_have_count(0)
    expect(page.locator("li[data-n='30000']")).to_be_in_viewport()


def deed(page, verb):
    return page.locator(f"[data-verb={verb}]")


def test_a_run_is_run_again_with_other_args_and_its_reruns_are_a_chain(console, server):
    run_id = server.schedule("greetings/hello", name="Ada")
    server.finished(run_id)
    page = console.open(f"/runs/{run_id}")
    deed(page, "rerun-with").click()
    page.locator(".dialog [name=name]").fill("Grace")
    page.locator(".dialog [name='@reason']").fill("the wrong name")
    page.locator(".dialog [type=submit]").click()
    page.wait_for_url(lambda url: "/runs/" in url and not url.endswith(f"/{run_id}"))
    expect(page.locator(".lines li")).to_contain_text("hello Grace")
    chain = page.locator(".reruns")
    expect(chain).to_contain_text("rerun 1")
    expect(chain.locator(f"[data-rerun={run_id}]")).to_contain_text("the first")


def test_what_ran_because_of_a_run_is_run_again_after_it_once_one_has_looked(console, server, gate):
    gate.touch()
    first = server.schedule("chain/first", gate=str(gate))
    server.finished(first)
    second = server.schedule("chain/second", gate=str(gate))
    server.finished(second)
    page = console.open(f"/runs/{first}")
    deed(page, "rerun-with").click()
    page.locator(".dialog [name='@downstream']").select_option("and what ran because of it")
    page.locator(".dialog [type=submit]").click()
    expect(page.locator(".dialog")).to_contain_text("chain/second")
    page.locator(".dialog [type=submit]").click()
    expect(page.locator(".reruns")).to_contain_text("rerun 1")
    console.turn_to(f"/runs/{second}")
    expect(page.locator(".reruns")).to_contain_text("rerun 1")


def test_a_scheduled_run_is_put_to_another_time(console, server):
    at = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    body = {"job_id": "colours", "args": {}, "times": {"schedule": at}}
    run_id = next(iter(server.insist("/api/v1/runs", body).json["runs"]))
    page = console.open(f"/runs/{run_id}")
    deed(page, "reschedule").click()
    page.locator(".dialog [name=time]").fill("+3h")
    page.locator(".dialog [name=reason]").fill("the disk is full")
    page.locator(".dialog [type=submit]").click()
    expect(page.locator(".facts")).to_contain_text("put off from")
    expect(page.locator(".log")).to_contain_text("the disk is full")
