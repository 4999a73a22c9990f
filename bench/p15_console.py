"""P15 and P7 in a browser: the list of runs over a hundred thousand of them, as somebody sees it.

Chromium without a window opens the list anew with an empty cache (P15_paint: from the start of the
navigation to the frame with the rows), narrows it by a click (P15_filter: from the click to the
frame with the answer), and scrolls through all of it (P15_scroll: frames a second, and the share of
frames in which a row in or near the view was still to be read). P7_browser is from the instant of a
move, as the ledger wrote it, to when the list shows it. P15_scroll_bare is what a bare page gives.

`BENCH_RUNS` is how many runs there are. Chromium is `CALLSHEET_CHROMIUM`, or found by name.
"""

from __future__ import annotations

import os
import shutil
import statistics
import time
from typing import Any

from figures import BenchError, benchmark, emit, percentile
from fill import fill, job_ids
from machine import durable_folder
from playwright.sync_api import Browser, Page, sync_playwright
from server import Server, instant_s

RUNS = int(os.environ.get("BENCH_RUNS", "100000"))
TIMES = 15
SCROLL_S = 6
MOVES = 200
JOB = "program: {type: no-op}\n"
ROWS_ARE_THERE = """
() => new Promise((done) => {
    const look = () => {
        if (!document.querySelector("tr[data-run]")) return false;
        seen.disconnect();
        requestAnimationFrame(() => setTimeout(() => done(performance.now())));
        return true;
    };
    const seen = new MutationObserver(look);
    seen.observe(document, { childList: true, subtree: true });
    look();
})
"""
# Clicks what narrows the list and waits until each row is what was asked for.
NARROWED = """
([pick, wanted]) => new Promise((done) => {
    const all = () => [...document.querySelectorAll("tr[data-run]")];
    const find = { state: (name) => [...document.querySelectorAll(".facets button")]
        .find((button) => button.textContent.trim().startsWith(name)) };
    const begun = performance.now();
    const look = () => {
        const rows = all();
        if (rows.length < 20 || rows.some((row) => row.dataset.state !== wanted)) return;
        seen.disconnect();
        requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)));
    };
    const seen = new MutationObserver(look);
    seen.observe(document.body, { childList: true, subtree: true, attributes: true });
    find.state(pick).click();
})
"""
# Scrolls by one and a half screens a frame, from the top to the end and back.
SCROLLED = """
(seconds) => new Promise((done) => {
    let frames = 0, missing = 0, looked = 0, step = 150, begun = performance.now();
    const frame = (now) => {
        frames += 1;
        if (scrollY + innerHeight >= document.documentElement.scrollHeight - 2) step = -step;
        scrollBy(0, step);
        looked += 1;
        if (document.querySelector("tr.unread")) missing += 1;
        if (now - begun < seconds * 1000) requestAnimationFrame(frame);
        else done([frames / ((now - begun) / 1000), missing / looked]);
    };
    scrollTo(0, document.documentElement.scrollHeight / 2);
    requestAnimationFrame(frame);
})
"""
# Tells of each run when the list first showed it as succeeded, by this page's clock.
MOVES_SEEN = """
() => {
    window.shown = new Map();
    const look = () => {
        for (const row of document.querySelectorAll("tr[data-run][data-state=success]"))
            if (!window.shown.has(row.dataset.run)) window.shown.set(row.dataset.run, Date.now());
    };
    look();
    const all = { childList: true, subtree: true, attributes: true };
    new MutationObserver(look).observe(document.body, all);
}
"""


def opened(browser: Browser, address: str, path: str) -> tuple[Page, float]:
    """Open a page with an empty cache; return it with the ms until its first rows were painted."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(f"http://{address}{path}", wait_until="commit")
    return page, float(page.evaluate(ROWS_ARE_THERE))


def paint(browser: Browser, address: str) -> list[float]:
    """Return how long the first rows took, each time with an empty cache."""
    times = []
    for _ in range(TIMES + 1):
        page, took_ms = opened(browser, address, "/runs")
        page.context.close()
        times.append(took_ms)
    return times[1:]


def narrow(page: Page) -> list[float]:
    """Return how long the list took to be another one, by a click on a state."""
    times = []
    for _ in range(TIMES):
        for state in ("failure", "success"):
            times.append(float(page.evaluate(NARROWED, [state, state])))
    return times


def moves(server: Server, page: Page) -> list[float]:
    """Return the ms from each move to its frame, of runs asked for one by one."""
    page.evaluate(MOVES_SEEN)
    api = server.api
    made = []
    for _ in range(MOVES):
        made.append(api.schedule(job_ids()[0])[0])
        time.sleep(0.02)
    page.wait_for_function(f"() => window.shown.has({made[-1]!r})", timeout=60_000)
    shown: dict[str, float] = dict(page.evaluate("() => [...window.shown]"))
    found = []
    for run_id in made:
        run: dict[str, Any] = api.get_v2(f"/runs/{run_id}")["run"]
        if run_id in shown:
            found.append(shown[run_id] - _ms(run["times"]["success"]))
    if len(found) < MOVES * 0.9:
        message = f"moves: the list showed {len(found)} of {MOVES}: expected nearly all"
        raise BenchError(message)
    return found


def main() -> None:
    """Measure once."""
    chromium = os.environ.get("CALLSHEET_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        message = "no chromium: expected one to open the console in"
        raise BenchError(message)
    with durable_folder() as folder:
        server = Server(folder, dict.fromkeys(job_ids(), JOB))
        os.unlink(f"{folder}/callsheet.db")
        fill(f"{folder}/callsheet.db", RUNS)
        server.start()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
                )
                times = paint(browser, server.address)
                emit("P15_paint", statistics.median(times), "ms")
                emit("P15_paint_p90", percentile(times, 90), "ms")
                page, _ = opened(browser, server.address, "/runs")
                times = narrow(page)
                emit("P15_filter", statistics.median(times), "ms")
                emit("P15_filter_p90", percentile(times, 90), "ms")
                page, _ = opened(browser, server.address, "/runs")
                frames, missing = page.evaluate(SCROLLED, SCROLL_S)
                emit("P15_scroll", frames, "frames/s")
                emit("P15_scroll_unread", missing * 100, "%")
                page.goto("about:blank")
                page.evaluate("() => { document.body.style.height = '3000000px'; }")
                frames, _ = page.evaluate(SCROLLED, 2)
                emit("P15_scroll_bare", frames, "frames/s")
                page, _ = opened(browser, server.address, f"/runs?q=job:{job_ids()[0]}")
                times = moves(server, page)
                emit("P7_browser_p50", statistics.median(times), "ms")
                emit("P7_browser", percentile(times, 99), "ms")
                browser.close()
        finally:
            server.stop()


def _ms(text: str) -> float:
    return instant_s(text) * 1e3


if __name__ == "__main__":
    benchmark(main)
