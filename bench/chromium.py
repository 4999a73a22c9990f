"""Chromium without a window, as the benchmarks of the console use it.

A new window of Chromium's loads pages of its own, which take it 0.25 to 0.35 s of processor: an
address is asked for once they are there, as people do who have a browser before them.

What is waited for in a page is waited for with a deadline of the page's own: a page that stands
still is told of, with what is on it, and ends the benchmark.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from figures import BenchError
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

STANDS_STILL_S = 120.0
# A browser rests that has computed for no longer than this between each of so many looks.
RESTS_S = 0.02
LOOKS = 2
LOOK_EVERY_S = 0.25
RESTLESS_S = 30.0
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
# A script's answer in a list of its own, or null when it does not come within so many ms.
IN_TIME = """
([arg, ms]) => Promise.race([
    Promise.resolve((SCRIPT)(arg)).then((answer) => [answer ?? null]),
    new Promise((done) => setTimeout(() => done(null), ms)),
])
"""
# What is to be known of a page that stands still; whether it still has frames among it.
WHAT_IS_THERE = """
() => new Promise((done) => {
    let frames = 0;
    requestAnimationFrame(() => { frames += 1; });
    setTimeout(() => done({
        frames,
        visible: document.visibilityState,
        status: document.querySelector("[data-status]")?.dataset.status,
        rows: document.querySelectorAll("tr[data-run]").length,
        unread: document.querySelectorAll("tr.unread").length,
        at: [scrollY, document.documentElement.scrollHeight],
        requests: performance.getEntriesByType("resource").slice(-5)
            .map((one) => [one.name, one.startTime, one.responseEnd]),
    }), 2000);
})
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Give a browser: `CALLSHEET_CHROMIUM`, or the one that is found by its name.

    Raises:
        BenchError: there is none.
    """
    found = os.environ.get("CALLSHEET_CHROMIUM") or shutil.which("chromium")
    if found is None:
        raise BenchError("no chromium: expected one to open the console in")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


def answer(page: Page, script: str, arg: Any = None) -> Any:
    """Return what a script answers in a page.

    Raises:
        BenchError: it does not answer in time; with what is on the page.
    """
    found = page.evaluate(IN_TIME.replace("SCRIPT", script.strip()), [arg, STANDS_STILL_S * 1e3])
    if found is None:
        there = json.dumps(page.evaluate(WHAT_IS_THERE))
        message = f"{page.url} stands still for {STANDS_STILL_S:.0f} s: {there}: expected an answer"
        raise BenchError(message)
    return found[0]


def opened(browser: Browser, address: str, path: str = "/") -> tuple[Page, float]:
    """Open a page with an empty cache in a window that is there; return it with the ms until its
    first rows were painted."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    at_rest(browser)
    page.goto(f"http://{address}{path}", wait_until="commit")
    return page, float(answer(page, ROWS_ARE_THERE))


def at_rest(browser: Browser) -> None:
    """Wait until a browser has nothing more to do than to show what it shows.

    Raises:
        BenchError: it never rests.
    """
    session = browser.new_browser_cdp_session()
    until = time.monotonic() + RESTLESS_S
    quiet, before_s = 0, _computed_s(session)
    while quiet < LOOKS and time.monotonic() < until:
        time.sleep(LOOK_EVERY_S)
        now_s = _computed_s(session)
        quiet = quiet + 1 if now_s - before_s <= RESTS_S else 0
        before_s = now_s
    session.detach()
    if quiet == LOOKS:
        return
    message = f"chromium: still at work after {RESTLESS_S:.0f} s: expected a window at rest"
    raise BenchError(message)


def _computed_s(session: CDPSession) -> float:
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    return float(sum(one["cpuTime"] for one in processes))
