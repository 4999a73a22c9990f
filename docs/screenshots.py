"""Take the pictures of the console anew: `.venv/bin/python docs/screenshots.py [FOLDER]`.

A server of its own with eight weeks of past runs and some live ones is started in a temporary
folder, looked at with Chromium, and ended. The pictures go to docs/images, as WebP.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from screenshot_site import Site

IMAGES = Path(__file__).parent / "images"
QUALITY = 82
SETTLE_MS = 2_500
WIDE = (1440, 900)
PHONE = (390, 844)
# Name, address ({run} and {late} are runs), theme, size; and what is done before.
SHOTS = [
    ("sheet", "/", "light", WIDE),
    ("sheet-dark", "/", "dark", WIDE),
    ("runs", "/runs", "light", WIDE),
    ("run", "/runs/{load}", "dark", WIDE),
    ("why", "/runs/{late}", "light", WIDE),
    ("jobs", "/jobs", "light", WIDE),
    ("job", "/job/forecast/load", "light", WIDE),
    ("timeline", "/timeline", "light", WIDE),
    ("control", "/control", "light", WIDE),
    ("run-phone", "/runs/{load}", "light", PHONE),
    ("sheet-phone", "/", "dark", PHONE),
]


def main(images: Path) -> None:
    """Take all pictures."""
    chromium = os.environ.get("CALLSHEET_CHROMIUM") or shutil.which("chromium")
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), _free_port())
        site.lay_out()
        try:
            site.start()
            named = site.enliven()
            site.change_folder()
            with sync_playwright() as playwright:
                options = ["--no-sandbox", "--disable-gpu"]
                browser = playwright.chromium.launch(executable_path=chromium, args=options)
                for name, path, theme, size in SHOTS:
                    data = _shot(browser, site.address + path.format(**named), theme, size)
                    (images / f"{name}.webp").write_bytes(data)
                    print(f"{name}: {len(data) // 1024} KB")
        finally:
            site.stop()


def _shot(browser: Browser, url: str, theme: str, size: tuple[int, int]) -> bytes:
    width, height = size
    page = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        device_scale_factor=2 if size is PHONE else 1,
    )
    page.goto(url)
    page.locator("[data-status=live]").first.wait_for(state="attached")
    page.locator("[aria-busy=true]").first.wait_for(state="detached")
    page.wait_for_timeout(SETTLE_MS)
    try:
        return _webp(page)
    finally:
        page.close()


def _webp(page: Page) -> bytes:
    session = page.context.new_cdp_session(page)
    asked = {"format": "webp", "quality": QUALITY}
    return base64.b64decode(session.send("Page.captureScreenshot", asked)["data"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
