"""The zone in which the console shows times: the browser's, or UTC."""

import re
from datetime import UTC, datetime
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HERE = ZoneInfo("America/St_Johns")
# Times and numbers as the console writes them, against the browser's own formatters, which take too
# long to be used for what is to be there soon. Tells what differs.
AS_THE_BROWSER_WRITES = """
async (utc) => {
    localStorage[utc ? "setItem" : "removeItem"]("zone", "UTC");
    const { clock, count, dayName, dayOfYear, when } = await import(`/static/js/format.js?${utc}`);
    const options = { weekday: "long", day: "numeric", month: "long", year: "numeric" };
    const formatter = (more) => new Intl.DateTimeFormat("en-GB", {
        ...options, hour: "2-digit", minute: "2-digit", second: "2-digit",
        ...more, ...(utc && { timeZone: "UTC" }),
    });
    const partsBy = (made) => (ms) =>
        Object.fromEntries(made.formatToParts(ms).map(({ type, value }) => [type, value]));
    const long = partsBy(formatter({}));
    const short = partsBy(formatter({ weekday: "short", month: "short" }));
    const HOUR = 3600e3;
    const DISTANCES = [0, 1, 23, 25, 47, 100, 143, 145, 2000, 299 * 24, 301 * 24, 9e4];
    const wrong = [];
    for (let n = 0; n < 4000; n += 1) {
        const ms = Date.UTC(1975, 0, 1) + n * 9.7e8 + (n % 997) * 60e3;
        const now = ms + DISTANCES[n % 12] * HOUR * (n % 2 ? 1 : -1);
        const { weekday, day, month, year, hour, minute, second } = long(ms);
        const brief = short(ms);
        const time = `${hour}:${minute}:${second}`;
        const away = Math.abs(ms - now);
        const isToday = away < 24 * HOUR && long(now).day === day;
        const early = away < 144 * HOUR ? brief.weekday : `${day} ${brief.month}`;
        const date = away < 300 * 24 * HOUR
            ? `${early} ${hour}:${minute}` : `${day} ${brief.month} ${year}`;
        const pairs = [
            [clock(ms), time],
            [dayName(ms), `${weekday} ${day} ${month}`],
            [dayOfYear(ms), `${weekday} ${day} ${month} ${year}`],
            [when(ms, now), isToday ? time : date],
            [count(n * n * n), new Intl.NumberFormat("en-US").format(n * n * n)],
        ];
        wrong.push(...pairs.filter(([found, expected]) => found !== expected));
    }
    return wrong.slice(0, 5);
}
"""


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


def test_a_list_of_today_is_of_the_day_in_the_shown_zone(newfoundland):
    page = newfoundland.page
    newfoundland.load("/runs?since=today&until=tomorrow")

    def begins(url, day):
        found = re.search(r"since=([^&]+)", unquote(url))
        return found and datetime.fromisoformat(found[1]) == day

    def expect_day(act, day):
        with page.expect_request(
            lambda request: "/runs?" in request.url and begins(request.url, day)
        ):
            act()

    def midnight(zone):
        return datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0)

    expect_day(lambda: page.keyboard.press("z"), midnight(UTC))
    expect_day(lambda: page.keyboard.press("z"), midnight(HERE))


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


@pytest.mark.parametrize("utc", [False, True])
def test_times_and_numbers_are_written_as_the_browser_would(newfoundland, utc):
    page = newfoundland.open("/runs")
    assert page.evaluate(AS_THE_BROWSER_WRITES, utc) == []
