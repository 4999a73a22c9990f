"""The zone in which the console shows times: the browser's, or UTC."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HERE = ZoneInfo("America/St_Johns")


def test_z_shows_all_times_in_utc_and_back_and_is_kept(newfoundland, server):
    run_id = server.schedule("greetings/hello", name="Ada")
    server.finished(run_id)
    page = newfoundland.open(f"/runs/{run_id}")
    shown = page.locator("main time").first
    at = datetime.fromisoformat(shown.get_attribute("datetime"))

    def expect_zone(zone):
        expect(shown).to_contain_text(at.astimezone(zone).strftime("%H:%M"), timeout=60_000)
        shown.hover()
        card = page.locator(".card")
        local = at.astimezone(zone).isoformat(" ", "milliseconds")[11:23]
        expect(card).to_contain_text(local, timeout=60_000)
        expect(card).to_contain_text(str(zone))
        # The card always says the instant too, to the millisecond.
        utc = at.astimezone(UTC).isoformat(" ", "milliseconds")
        expect(card).to_contain_text(utc.replace("+00:00", " UTC"))
        page.mouse.move(0, 0)
        expect(card).to_have_count(0, timeout=60_000)

    expect_zone(HERE)
    page.keyboard.press("z")
    expect_zone(UTC)
    page.reload()
    expect_zone(UTC)
    page.keyboard.press("z")
    expect_zone(HERE)
    # Rows of a list that are over, and listen to no clock, too.
    newfoundland.turn_to(f"/runs?q=id:{run_id}")
    of_row = page.locator(f"tr[data-run={run_id}] time").first
    expect(of_row).to_have_text(re.compile(at.astimezone(HERE).strftime("%H:%M")), timeout=60_000)
    page.keyboard.press("z")
    expect(of_row).to_have_text(re.compile(at.astimezone(UTC).strftime("%H:%M")), timeout=60_000)


def test_how_exact_times_are_is_a_setting_and_is_kept(a_page, server):
    run_id = server.schedule("greetings/hello", name="Ada")
    server.finished(run_id)
    # Where it is noon: times of yesterday have their day instead.
    console = a_page(timezone_id=f"Etc/GMT{datetime.now(UTC).hour - 12:+d}")
    page = console.open(f"/runs/{run_id}")
    shown = page.locator(".facts time").first
    exact = re.compile(r"\d\d:\d\d:\d\d\.\d{3}$")
    for wanted, is_exact in (("millisecond", True), (None, True), ("millisecond", False)):
        if wanted is None:
            page.reload()
        else:
            page.keyboard.press("Control+k")
            page.get_by_label("Go to or do").fill(wanted)
            page.get_by_role("option", name="Show times to the second").click()
        check = expect(shown).to_have_text if is_exact else expect(shown).not_to_have_text
        check(exact, timeout=60_000)
    # Spans of its life say from when to when, whatever the setting.
    expect(page.locator("svg.life rect title").first).to_have_text(
        re.compile(r"from \d\d:\d\d:\d\d\.\d{3} to \d\d:\d\d:\d\d\.\d{3}, "), timeout=60_000
    )
