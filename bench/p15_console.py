"""P15 and P7 in a browser: the list of runs over a hundred thousand of them, as somebody sees it.

Chromium without a window opens the list anew with an empty cache (P15_paint: from the start of the
navigation to the frame with the rows), narrows it by a click (P15_filter: from the click to the
frame with the answer), and scrolls on by 150 px in each frame (P15_scroll: frames a second by the
browser's own timestamps, P15_scroll_p99 the longest time between two of a hundred, and the share of
frames in which a row in or near the view was still to be read). P15_scroll_cpu is what the page's
main thread computes for a frame, which says something of a loaded machine too.

The limit is a page that holds four thousand rows of eight plain cells, all there from the start and
scrolled the same way: P15_scroll_bare and P15_scroll_bare_cpu; P15_scroll_ratio is the share of the
limit's frames that the list reaches, P15_scroll_cpu_ratio how often over it computes.

P7_browser is from the instant of a move, as the ledger wrote it, to when the list of all these runs
shows it, while up to 50 runs a second are asked for.

The limits of the others are taken in the same minutes of `limits/bare_console.py`: the page that
the console makes, finished and without a script (P15_paint_bare), the bytes of another query's rows
fetched and put in place by copies (P15_filter_bare), and a row that a bare WebSocket tells of, from
the word to the row (P7_browser_bare).

`BENCH_RUNS` is how many runs there are. Chromium is `CALLSHEET_CHROMIUM`, or found by name.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

from chromium import answer, chromium, opened
from figures import BenchError, benchmark, emit, percentile
from fill import fill, job_ids
from limits.bare_console import BareConsole, fetched_ms, listen, markup_of, style_of
from machine import durable_folder
from playwright.sync_api import Browser, Page
from server import Server, instant_s

RUNS = int(os.environ.get("BENCH_RUNS", "100000"))
TIMES = 15
SCROLL_S = 6
MOVES = 200
SPACING_S = 0.02
JOB = "program: {type: no-op}\n"
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
# Scrolls on by 150 px in each frame from the middle, for so long; tells when each frame began.
SCROLLED = """
(seconds) => new Promise((done) => {
    let missing = 0, step = 150;
    const begun = [];
    const frame = (now) => {
        begun.push(now);
        if (scrollY + innerHeight >= document.documentElement.scrollHeight - 2) step = -step;
        scrollBy(0, step);
        if (document.querySelector("tr.unread")) missing += 1;
        if (now - begun[0] < seconds * 1000) requestAnimationFrame(frame);
        else done([begun, missing / begun.length]);
    };
    scrollTo(0, document.documentElement.scrollHeight / 2);
    setTimeout(() => requestAnimationFrame(frame), 1000);
})
"""
# What a browser can do at most: rows that are all there, of plain cells.
BARE = """
() => {
    const style = new CSSStyleSheet();
    style.replaceSync("div { height: 28px; display: flex } span { width: 140px }");
    document.adoptedStyleSheets = [style];
    for (let row = 0; row < 4000; row += 1) {
        const line = document.createElement("div");
        for (let cell = 0; cell < 8; cell += 1) {
            const text = document.createElement("span");
            text.textContent = `cell ${cell} of ${row}`;
            line.append(text);
        }
        document.body.append(line);
    }
}
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


def paints(browser: Browser, server: Server, bare: BareConsole) -> None:
    """Open the list and the limit by turns, and tell of both."""
    ours: list[float] = []
    limit: list[float] = []
    for _ in range(TIMES):
        for address, path, times in ((server.address, "/runs", ours), (bare.address, "/", limit)):
            page, took_ms = opened(browser, address, path)
            page.context.close()
            times.append(took_ms)
    emit("P15_paint", statistics.median(ours), "ms")
    emit("P15_paint_p90", percentile(ours, 90), "ms")
    emit("P15_paint_bare", statistics.median(limit), "ms")


def narrowed(browser: Browser, server: Server, bare: BareConsole) -> None:
    """Narrow the list by clicks on a state, and have the limit fetch as many rows, by turns."""
    page, _ = opened(browser, server.address, "/runs")
    plain, _ = opened(browser, bare.address)
    ours: list[float] = []
    limit: list[float] = []
    for _ in range(TIMES):
        for state in ("failure", "success"):
            ours.append(float(answer(page, NARROWED, [state, state])))
            limit.append(fetched_ms(plain))
    page.context.close()
    plain.context.close()
    emit("P15_filter", statistics.median(ours), "ms")
    emit("P15_filter_p90", percentile(ours, 90), "ms")
    emit("P15_filter_bare", statistics.median(limit), "ms")


def computed_ns(browser: Browser) -> dict[int, int]:
    """Return what the main thread of each page's process has computed so far."""
    session = browser.new_browser_cdp_session()
    try:
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    finally:
        session.detach()
    found = {}
    for pid in (int(one["id"]) for one in processes if one["type"] == "renderer"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found[pid] = int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0])
    return found


def scroll(browser: Browser, page: Page) -> tuple[list[float], float, float]:
    """Scroll a page; return the ms between frames, its CPU ms a frame, and the share unread."""
    before = computed_ns(browser)
    begun, missing = answer(page, SCROLLED, SCROLL_S)
    after = computed_ns(browser)
    spent_ns = max(after[pid] - before.get(pid, 0) for pid in after)
    gaps = [later - earlier for earlier, later in itertools.pairwise(begun)]
    return gaps, spent_ns / len(begun) / 1e6, missing


def scrolls(browser: Browser, page: Page) -> None:
    """Scroll the list and the limit, and tell of both."""
    gaps, cpu_ms, missing = scroll(browser, page)
    frames = 1e3 * len(gaps) / sum(gaps)
    emit("P15_scroll", frames, "frames/s")
    emit("P15_scroll_p99", percentile(gaps, 99), "ms")
    emit("P15_scroll_unread", missing * 100, "%")
    emit("P15_scroll_cpu", cpu_ms, "ms")
    page.goto("about:blank")
    page.evaluate(BARE)
    gaps, bare_ms, _ = scroll(browser, page)
    bare = 1e3 * len(gaps) / sum(gaps)
    emit("P15_scroll_bare", bare, "frames/s")
    emit("P15_scroll_bare_cpu", bare_ms, "ms")
    emit("P15_scroll_ratio", frames / bare * 100, "%")
    emit("P15_scroll_cpu_ratio", cpu_ms / bare_ms, "times")


def moves(server: Server, page: Page) -> list[float]:
    """Return the ms from each move to its frame, of runs asked for one by one."""
    answer(page, MOVES_SEEN)
    api = server.api
    made = []
    for _ in range(MOVES):
        made.append(api.schedule(job_ids()[0])[0])
        time.sleep(SPACING_S)
    shown = seen(page, made[-1])
    found = []
    for run_id in made:
        run: dict[str, Any] = api.get_v2(f"/runs/{run_id}")["run"]
        if run_id in shown:
            found.append(shown[run_id] - _ms(run["times"]["success"]))
    if len(found) < MOVES * 0.9:
        message = f"moves: the list showed {len(found)} of {MOVES}: expected nearly all"
        raise BenchError(message)
    return found


def told(server: Server, bare: BareConsole, page: Page) -> list[float]:
    """Return the ms from each message to its row in the limit's page, beside as many runs."""
    listen(page)
    answer(page, MOVES_SEEN)
    said = {}
    api = server.api
    for number in range(MOVES):
        run_id = f"told{number}"
        api.schedule(job_ids()[0])
        said[run_id] = time.time() * 1e3
        bare.say(json.dumps({"run_id": run_id, "job_id": "told", "state": "success"}))
        time.sleep(SPACING_S)
    shown = seen(page, run_id)
    return [shown[run_id] - at_ms for run_id, at_ms in said.items() if run_id in shown]


def seen(page: Page, last: str) -> dict[str, float]:
    """Wait until a page has shown a run; return when it showed each, ms since the epoch."""
    page.wait_for_function(f"() => window.shown.has({last!r})", timeout=60_000)
    return dict(page.evaluate("() => [...window.shown]"))


def show(browser: Browser, server: Server, bare: BareConsole) -> None:
    """Have runs move, and tell how soon the list and the limit show it."""
    page, _ = opened(browser, server.address, "/runs")
    times = moves(server, page)
    page.context.close()
    emit("P7_browser_p50", statistics.median(times), "ms")
    emit("P7_browser", percentile(times, 99), "ms")
    page, _ = opened(browser, bare.address)
    times = told(server, bare, page)
    page.context.close()
    emit("P7_browser_bare_p50", statistics.median(times), "ms")
    emit("P7_browser_bare", percentile(times, 99), "ms")


def bare_console(browser: Browser, server: Server) -> BareConsole:
    """Return the limit: the page that the console makes, and an answer of the server."""
    page, _ = opened(browser, server.address, "/runs")
    rows = page.request.get(
        f"http://{server.address}/api/v2/runs-by-time?q=state:failure&limit=100"
    )
    bare = BareConsole(markup_of(page), style_of(page), rows.body())
    page.context.close()
    return bare


def main() -> None:
    """Measure once."""
    with durable_folder() as folder:
        server = Server(folder, dict.fromkeys(job_ids(), JOB))
        os.unlink(f"{folder}/callsheet.db")
        fill(f"{folder}/callsheet.db", RUNS)
        server.start()
        try:
            with chromium() as browser, bare_console(browser, server) as bare:
                paints(browser, server, bare)
                narrowed(browser, server, bare)
                page, _ = opened(browser, server.address, "/runs")
                scrolls(browser, page)
                page.context.close()
                show(browser, server, bare)
        finally:
            server.stop()


def _ms(text: str) -> float:
    return instant_s(text) * 1e3


if __name__ == "__main__":
    benchmark(main)
