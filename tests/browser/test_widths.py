"""What is long, or of other scripts, on screens of each width."""

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
