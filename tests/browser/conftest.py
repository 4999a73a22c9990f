"""A real server with real jobs, and a real browser that looks at it.

The server is started once per module and the browser with it (Playwright keeps an event loop in
the thread while it lives, which other tests must not find). Whatever a page logs as an error, and
every refusal by the content policy, fails the test that caused it.

To load the console costs a second of processor, to go to another of its pages a tenth of that: the
tests of a module use one page, one after the other, and find it tidied up. A test that changes what
outlives a visit (the zone of times, the theme), takes the network or the server away, or has errors
on purpose gets one of its own, `fresh`; so does whoever comes after a test that failed.
"""

import os
import shutil

import pytest
from live_server import Server, end_all_of
from playwright.sync_api import sync_playwright

# Against hanging only; nothing here asserts how fast anything is.
PATIENCE_MS = 60_000

JOBS = {
    "apart": r"""
params: [folder]
program:
  type: shell
  command: |
    echo a result
    sleep 0.3
    echo a warning >&2
    echo 1,2 > table.csv
  cwd: "{{ folder }}"
  output: {streams: split}
  artifacts: table.csv
""",
    "colours": r"""
metadata: {labels: [demo], owner: painters@example.com}
program:
  type: shell
  command: printf '\033[31mred words\033[0m and <b>no markup</b>\n'
""",
    "gated": """
params: [gate]
metadata: {labels: [demo, gated]}
program:
  type: shell
  command: |
    echo begun
    while [ ! -e {{ gate }} ]; do sleep 0.05; done
    echo ended
  stop: {signal: SIGTERM, grace_period: 20}
""",
    "greetings/hello": """
params: [name]
metadata:
  description: |
    # Greets **somebody**

    <script>document.title = "broken into"</script>
    [a link](javascript:alert(1)) and [another](https://example.com/)
program: {type: shell, command: "echo hello {{ name }}"}
""",
    "greetings/never": """
condition: {type: const, value: false}
program: {type: no-op}
""",
    "nightly/report": """
metadata: {labels: [night], description: Counts what came in.}
schedule: {type: daily, tz: Europe/Berlin, daytime: "03:15:00"}
program: {type: no-op}
""",
    "chain/first": """
params: [gate]
program:
  type: shell
  command: |
    echo begun
    while [ ! -e {{ gate }} ]; do sleep 0.05; done
""",
    "chain/second": """
params: [gate]
condition: {type: dependency, job_id: chain/first}
program: {type: no-op}
""",
    "typed": """
params:
  size: {choices: [small, large], default: large, description: How much to do.}
  careful: {type: bool, default: "false"}
  parts: {type: int, min: 1, max: 9}
program: {type: shell, command: "echo {{ size }} {{ careful }} {{ parts }}"}
""",
    "fails": """
metadata: {owner: Ada L}
program: {type: shell, command: "echo looking; exit 3"}
""",
}


CALENDARS = {
    "closed": "START 2030-01-01\nSTOP 2031-01-01\n2030-01-04\n",
    "open": "START 2030-01-01\nSTOP 2031-01-01\n2030-01-03\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of this module's own."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "calendars").mkdir()
    for name, text in CALENDARS.items():
        (folder / "calendars" / f"{name}.cal").write_text(text)
    server = Server(folder, JOBS)
    try:
        yield server.start()
    finally:
        server.stop()
        end_all_of(server.folder)


@pytest.fixture(scope="module")
def browser():
    """A Chromium; without one the tests are skipped, but never in CI."""
    found = os.environ.get("CALLSHEET_CHROMIUM") or shutil.which("chromium")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no chromium: expected one in CI")
        pytest.skip("no chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


# What a page said for a moment only, kept: a test that is held back finds it all the same.
KEEP_WHAT_PASSES = """
window.passed = { toasts: [], statuses: [] };
new MutationObserver(() => {
    const keep = (list, text) => list.includes(text) || list.push(text);
    for (const one of document.querySelectorAll(".toast"))
        keep(window.passed.toasts, one.textContent);
    for (const one of document.querySelectorAll("[data-status]"))
        keep(window.passed.statuses, one.dataset.status);
}).observe(document, { childList: true, subtree: true, attributes: true, characterData: true });
"""

# Clicks on Undo as soon as it is offered: before the offer can fade, however slow the test is.
UNDO_AT_ONCE = """
() => {
    for (const one of document.querySelectorAll(".toast [aria-label=Dismiss]")) one.click();
    window.passed.toasts = [];
    window.undoing = new MutationObserver(() => document.querySelector(".toast .undo")?.click());
    window.undoing.observe(document, { childList: true, subtree: true });
}
"""


TURN = """
(path) => {
    history.pushState(null, "", path);
    dispatchEvent(new PopStateEvent("popstate"));
    return document.documentElement.hasAttribute("data-turning");
}
"""
TURNED = "() => !document.documentElement.hasAttribute('data-turning')"
# Puts back what tests leave behind, and shows a page that says nothing.
TIDY = """
() => {
    localStorage.clear();
    sessionStorage.clear();
    for (const one of document.querySelectorAll(".scrim, .toast [aria-label=Dismiss]")) one.click();
    document.activeElement?.blur();
    window.passed = { toasts: [], statuses: [] };
    window.undoing?.disconnect();
    delete window.unbroken;
    history.pushState(null, "", "/nothing");
    dispatchEvent(new PopStateEvent("popstate"));
}
"""
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if outcome.get_result().failed:
        item.stash[FAILED] = True


class Page:
    """A page of the console and what went wrong on it. `expected` are parts of messages of the
    browser's that a test brings about on purpose."""

    def __init__(self, server, browser, base="", **options):
        self.server = server
        self.wrong = []
        self.expected = []
        self.viewport = options.get("viewport")
        base = base or f"http://127.0.0.1:{server.port}"
        self.context = browser.new_context(base_url=base, **options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.add_init_script(KEEP_WHAT_PASSES)
        self.page = self.context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.wrong.append(f"exception: {error}"))
        self.page.on("request", self._asked)
        self.is_loaded = False

    def _hear(self, message):
        if message.type in ("error", "warning"):
            self.wrong.append(f"{message.type}: {message.text}")

    def _asked(self, request):
        ours = f"//127.0.0.1:{self.server.port}/"
        if ours not in request.url and not request.url.startswith("data:"):
            self.wrong.append(f"request to another host: {request.url}")

    def load(self, path):
        """Load a page by its address and wait until its stream lives."""
        self.page.goto(path)
        self.is_loaded = True
        self.page.locator("[data-status=live]").first.wait_for(state="attached")
        return self.page

    def open(self, path):
        """Go to a page, as a link does if there is one already, and wait until its stream lives."""
        if not self.is_loaded:
            return self.load(path)
        self.turn_to(path)
        self.page.locator("[data-status=live]").first.wait_for(state="attached")
        return self.page

    def turn_to(self, path):
        """Go to another page as a link does, without loading the document anew; until it is there
        the one before is."""
        if self.page.evaluate(TURN, path):
            self.page.wait_for_function(TURNED)

    def toast(self, words):
        """Wait until a toast has said this, were it only for a moment."""
        said = "words => window.passed.toasts.some((one) => one.includes(words))"
        self.page.wait_for_function(said, arg=words)

    def undo_at_once(self):
        """Have Undo clicked from now on wherever it is offered; the toasts before are gone."""
        self.page.evaluate(UNDO_AT_ONCE)

    def forget_statuses(self):
        """What the connection was before is of no matter."""
        self.page.evaluate("() => { window.passed.statuses = []; }")

    def lost(self):
        """Wait until the connection was lost after `forget_statuses`; it may be back again."""
        self.page.wait_for_function("() => window.passed.statuses.includes('reconnecting')")

    def tidy(self):
        """Make as good as new."""
        if self.is_loaded:
            self.page.evaluate(TIDY)
            self.page.locator("main [role=alert]", has_text="no page /nothing").wait_for()
            self.page.emulate_media(media="null", color_scheme="null", reduced_motion="null")
            self.page.unroute_all()
            if self.viewport is not None:
                self.page.set_viewport_size(self.viewport)
            self.page.mouse.move(0, 0)

    def close(self):
        self.context.close()
        self.check()

    def check(self):
        """Fail if anything went wrong that was not brought about on purpose."""
        left = [one for one in self.wrong if not any(part in one for part in self.expected)]
        assert left == []


@pytest.fixture(scope="module")
def jobs():
    """The job files of a site."""
    return JOBS


@pytest.fixture
def a_page(server, browser):
    """Open pages with options of their own: `a_page(base=…, ignore_https_errors=True)`."""
    pages = []

    def opened(**options):
        pages.append(Page(server, browser, **options))
        return pages[-1]

    yield opened
    for page in pages:
        page.close()


@pytest.fixture(scope="module")
def lent(browser):
    """The pages that tests of this module have used and left in order, by kind."""
    pages = {}
    yield pages
    for page in pages.values():
        page.context.close()


def borrowed(request, lent, kind, make):
    """Lend a page to a test; keep it for the next one unless anything went wrong."""
    page = lent.pop(kind, None) or make()
    yield page
    failed = request.node.stash.get(FAILED, False)
    if not failed and not page.wrong:
        # At once, so that what comes late is told of the test that brought it about.
        page.tidy()
    if failed or page.wrong:
        page.close()
    else:
        page.expected.clear()
        lent[kind] = page


@pytest.fixture
def console(request, lent, server, browser):
    """A console at 1440 × 900; not loaded anew for each test."""

    def make():
        return Page(server, browser, viewport={"width": 1440, "height": 900})

    yield from borrowed(request, lent, "console", make)


@pytest.fixture
def fresh(server, browser):
    """A console at 1440 × 900 for one test alone."""
    console = Page(server, browser, viewport={"width": 1440, "height": 900})
    yield console
    console.close()


@pytest.fixture
def phone(request, lent, server, browser):
    """A console on the smallest phone that is meant to work; not loaded anew for each test."""

    def make():
        return Page(server, browser, viewport={"width": 360, "height": 740}, has_touch=True)

    yield from borrowed(request, lent, "phone", make)


@pytest.fixture
def newfoundland(server, browser):
    """A console in a browser whose clock is 3½ or 2½ hours behind UTC."""
    console = Page(server, browser, timezone_id="America/St_Johns")
    yield console
    console.close()


@pytest.fixture
def gate(tmp_path):
    """A file that is not there; a run of `gated` ends when it is."""
    path = tmp_path / "gate"
    yield path
    path.touch()
