"""What is long, or much, or of other scripts; on screens of each width."""

from datetime import UTC, datetime, timedelta

import pytest
from live_server import Server
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATH = "/none/of/" + "these/folders/" * 5 + "is/there"
JOBS = {
    "long": f"""
condition: {{type: file, path: {PATH}}}
metadata:
  owner: Somebody With A Long Name <somebody.with.a.long.name@example.org>
  description: |
    `{PATH}` and

    ```
    {"a line of a program that is longer than any column " * 4}
    ```
program: {{type: no-op}}
""",
    "תיקייה/עבודה": """
params: [שם]
program: {type: no-op}
""",
    "wrong": "{params: [n], program: {type: no-op, success: false}}",
    "waits": "{condition: {type: const, value: false}, program: {type: no-op}}",
    "well": "program: {type: no-op, duration: 900}",
}
WIDTHS = [360, 720, 1000, 1024, 1099, 1100, 1280, 1440, 1920]
# What is drawn beyond its panel, where nothing clips it.
BEYOND = """
() => [...document.querySelectorAll("main .panel *")].filter((one) => {
    const panel = one.closest(".panel").getBoundingClientRect();
    const lets = (by) => !by.matches(".panel") && getComputedStyle(by).overflowX === "visible";
    let clips = one.parentElement;
    while (lets(clips)) clips = clips.parentElement;
    return clips.matches(".panel") && one.getBoundingClientRect().right > panel.right + 1;
}).map((one) => one.outerHTML.slice(0, 80))
"""


@pytest.fixture(autouse=True)
def patience():
    expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("widths"), JOBS)
    try:
        yield server.start()
    finally:
        server.stop()


def test_nothing_long_is_wider_than_its_panel_or_the_page(console, server):
    run_id = server.schedule("long")
    for path, there in (
        ("/jobs", "tr[data-job]"),
        ("/job/long", ".prose pre"),
        (f"/runs/{run_id}", ".whyt"),
    ):
        page = console.open(path)
        page.locator(there).first.wait_for()
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width, path
            assert page.evaluate(BEYOND) == [], (path, width)
            if path == "/jobs":
                assert page.locator("td.t").first.bounding_box()["width"] > 150, width


def test_the_lanes_of_the_day_have_room_between_a_tablet_and_a_desk(console, server):
    server.schedule("long")
    page = console.open("/")
    page.set_viewport_size({"width": 1024, "height": 768})
    lane = page.locator("td.lane svg").last
    lane.wait_for()
    assert lane.bounding_box()["width"] > 200


def test_names_from_right_to_left_take_nothing_else_along(console, server):
    run_id = server.schedule("תיקייה/עבודה", שם="ערך")
    page = console.open(f"/runs/{run_id}")
    parts = page.locator("h1 :is(.dir, bdi, .arg > i)")
    expect(parts).to_have_text(["תיקייה/", "עבודה", "שם=", "ערך"])
    lefts = [one.bounding_box()["x"] for one in parts.all()]
    assert lefts == sorted(lefts)


def test_all_that_went_wrong_is_found_on_the_sheet_however_much_went_well(console, server):
    """More went wrong, and more runs, than are read of a list at once."""
    server.insist("/api/v2/runs", {"job_id": "wrong", "args": {"n": "first"}})
    several(server, "wrong", 120, n="again")
    several(server, "well", 130)
    for n in range(14):
        server.insist("/api/v2/runs", {"job_id": "wrong", "args": {"n": str(n)}})
    page = console.open("/")
    needs = page.locator(".needs")
    expect(needs.locator(".sub")).to_have_text("12 of 16 · worst first")
    needs.get_by_role("button", name="Show 4 more").click()
    expect(needs.locator("tr[data-run]")).to_have_count(16)
    expect(needs.locator("tr", has_text="n=first")).to_have_count(1)
    expect(needs.locator("tr", has_text="n=again")).to_contain_text("120 times")
    # Each figure leads to as many runs.
    expect(page.locator("[data-total=running] b")).to_have_text("130")
    expect(page.locator(".rail a[href='/runs'] .n")).to_have_text("130")
    page.locator("[data-total=running]").click()
    expect(page.locator("table.runs")).to_have_attribute("aria-rowcount", "130")
    page.locator(".rail nav a[href='/']").click()
    needs.get_by_role("button", name="Show 4 more").click()
    needs.get_by_role("button", name="Show the worst only").click()
    expect(needs.locator("tr[data-run]")).to_have_count(12)


def test_what_waits_again_and_again_is_one_row_of_the_sheet(console, server):
    ago = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    body = {"job_id": "waits", "count": 30, "times": {"schedule": ago}}
    server.insist("/api/v2/runs", body)
    page = console.open("/")
    page.locator(".needs tr[data-run]").first.wait_for()
    page.evaluate("() => document.querySelector('.needs .more-rows button')?.click()")
    row = page.locator(".needs tr", has_text="waits")
    expect(row).to_contain_text("30 times")
    expect(row).to_have_count(1)


def test_who_goes_back_finds_the_place_again(console, server):
    several(server, "wrong", 100, n="back")
    page = console.open("/runs?q=n%3Dback")
    page.locator("tr[data-run]").first.wait_for()
    page.evaluate("() => scrollTo(0, 1800)")
    seen = page.locator("tr[aria-rowindex='70']")
    expect(seen).to_be_in_viewport()
    seen.locator(".rid").click()
    page.locator("#log").wait_for()
    assert page.evaluate("() => scrollY") == 0
    page.go_back()
    page.wait_for_function("() => scrollY === 1800")
    page.reload()
    page.wait_for_function("() => scrollY === 1800")
    page.go_forward()
    page.locator("#log").wait_for()
    page.wait_for_function("() => scrollY === 0")


def test_rows_that_have_gone_from_sight_are_let_go(console, server):
    page = console.open("/runs?q=n%3Dmany")
    page.evaluate("() => { window.drawn = []; }")
    rows = page.locator("table.runs")
    for times in range(1, 31):
        several(server, "wrong", 15, n="many")
        expect(rows).to_have_attribute("aria-rowcount", str(15 * times))
        page.evaluate("""() => {
            const rows = document.querySelectorAll("tr[data-run]");
            window.drawn.push(...Array.from(rows, (row) => new WeakRef(row)));
        }""")
    page.context.new_cdp_session(page).send("HeapProfiler.collectGarbage")
    kept = page.evaluate("""() => {
        const found = new Set(window.drawn.map((one) => one.deref()));
        delete window.drawn;
        return [...found].filter((row) => row && !row.isConnected).length;
    }""")
    # Those of one drawing may be, not those of all.
    assert kept < 200


def test_an_answer_that_is_not_the_server_s_is_told(fresh, server):
    fresh.expected.append("Failed to load resource")
    page = fresh.open("/reference")
    page.route("**/api/v2/agents", lambda route: route.fulfill(body="<html>Pay for this network"))
    fresh.turn_to("/agents")
    expect(page.locator("main [role=alert]")).to_contain_text("what answered is not the server")
    page.unroute_all()
    # Unless the page has done so by itself.
    again = "() => document.querySelector('main [role=alert] button')?.click()"
    page.evaluate(again)
    expect(page.locator("[data-agent]").first).to_be_visible()


def several(server, job_id, count, **args):
    now = {"schedule": "now"}
    server.insist("/api/v2/runs", {"job_id": job_id, "args": args, "count": count, "times": now})
