"""Whatever a job, an agent or an error says is text: two hundred payloads in every field of every
page, and nothing of them runs.

They come in two ways. Job files, args, labels, descriptions and output hold them, as far as the
server lets them in; and between server and browser every text of every answer and event is put in
place of what it was, so that no field is spared for what the server would have refused today.
"""

import json

import pytest
from live_server import Server
from payloads import payloads
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAYLOADS = payloads()
FILE = "said.txt"
# What a page is found by, or counts with; of all others the texts are replaced.
KEPT = {
    *("state", "run_id", "version", "role", "how", "xsrf", "output_id", "kind", "id", "topic"),
    *("description_html", "status", "next_cursor", "operations", "data", "b64", "token_id"),
}
PATHS = (
    *("/", "/runs", "/jobs", "/agents", "/checks", "/control", "/adhoc", "/calendar"),
    "/job/odd",
)
# Pages that show nobody's words as long as all is well.
QUIET = {"/checks", "/adhoc"}
WATCH = """
window.fires = [];
window.reports = [];
window.fired = (n) => window.fires.push(n);
for (const name of ["alert", "confirm", "prompt"]) window[name] = () => window.fires.push(name);
addEventListener("securitypolicyviolation", (event) => window.reports.push(event.blockedURI));
"""
# Puts a payload in the place of each text of what the server says, before the page hears it.
REPLACE = """
const payloads = PAYLOADS, kept = new Set(KEPT);
window.used = new Set();
let next = Number(sessionStorage.getItem("next") ?? 0);
const other = (value, key = "") => {
    if (Array.isArray(value)) return value.map((one) => other(one, key));
    if (value && typeof value === "object")
        return Object.fromEntries(
            Object.entries(value).map(([name, one]) => [name, other(one, name)]));
    // Numbers, what pages are found by, and times stay.
    if (typeof value !== "string" || kept.has(key) || /^[0-9]{4}/.test(value)) return value;
    next = (next + 1) % payloads.length;
    window.used.add(next);
    sessionStorage.setItem("next", next);
    return payloads[next];
};
const replaced = (text) => {
    try {
        return JSON.stringify(other(JSON.parse(text)));
    } catch {
        return text;
    }
};
const fetched = window.fetch;
window.fetch = async (...asked) => {
    const reply = await fetched(...asked);
    const { status, statusText, headers } = reply;
    return new Response(replaced(await reply.text()), { status, statusText, headers });
};
window.WebSocket = class extends WebSocket {
    set onmessage(hear) {
        super.onmessage = (event) => hear({ data: replaced(event.data) });
    }
};
"""
# A page of few words says any of them: which, depends on how many came before.
SAYS_ONE = "(all) => all.some((one) => document.body.textContent.includes(one))"
# Whatever got into the document that a text could not have put there.
ODD = """
() => [...document.querySelectorAll("*")].filter((one) =>
    ["IFRAME", "OBJECT", "EMBED", "BASE", "STYLE", "META", "FORM", "IMG", "VIDEO", "AUDIO"]
        .includes(one.tagName) && one.matches("body *:not(form.panel):not(form.dialog):not(form)")
    || one.tagName === "SCRIPT" && !one.src.startsWith(location.origin + "/static/")
    || [...one.attributes].some(({ name, value }) => name.startsWith("on")
        || ["href", "src", "action", "xlink:href"].includes(name)
            && /^\\s*(javascript|vbscript|data:text)/i.test(value))
).map((one) => one.outerHTML.slice(0, 200))
"""


def quoted(texts):
    return json.dumps(list(texts))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("payloads")
    (folder / FILE).write_text("\n".join(PAYLOADS))
    plain = [text for text in PAYLOADS if text.isprintable()]
    prose = "\n\n".join(PAYLOADS)
    jobs = {
        "odd": "params: [text]\nschedule: {type: daily, tz: UTC, daytime: '03:15:00', args: "
        f"{{text: {json.dumps(plain[50])}}}}}\nmetadata:\n  labels: {quoted(plain[:40])}\n"
        f"  description: {json.dumps(prose)}\n"
        f"program: {{type: procstar, argv: [cat, {folder / FILE}]}}\n",
        "<img src=x onerror=fired(1)>": "program: {type: no-op}\n",
        "odd/'\"><svg onload=fired(2)>": "program: {type: no-op}\n",
        "fails": f"params: [text]\nprogram: {{type: procstar, argv: {quoted(plain[40:42])}}}\n",
    }
    server = Server(folder, jobs)
    try:
        yield server.start()
    finally:
        server.stop()


def judge(page, path):
    """Nothing has run, nothing was even refused to run, and no markup came into the document."""
    page.mouse.move(400, 300)
    assert page.evaluate("() => window.fires") == [], path
    assert page.evaluate("() => window.reports") == [], path
    assert page.evaluate(ODD) == [], path


def test_what_jobs_say_is_text_on_every_page(console, server):
    console.expected.append("400 (Bad Request)")  # of the payload as a query
    console.context.add_init_script(WATCH)
    plain = [text for text in PAYLOADS if text.isprintable()]
    runs = [server.schedule("odd", text=text) for text in plain[:4]]
    failed = server.schedule("fails", text=plain[9])
    for run_id in (*runs, failed):
        server.finished(run_id)
    for path in ("/runs", f"/runs/{runs[0]}", f"/runs/{failed}", "/job/odd", "/jobs"):
        page = console.open(path)
        expect(page.locator("main")).not_to_be_empty()
        if path == f"/runs/{runs[0]}":
            expect(page.locator(".lines li").nth(20)).to_be_visible()
            page.get_by_text("fired(0)").first.wait_for()
        judge(page, path)
    page = console.open("/runs")
    page.locator("#query").fill(PAYLOADS[0])
    page.keyboard.press("Enter")
    expect(page.locator(".term")).not_to_have_count(0)
    judge(page, "the query")


def test_no_field_of_an_answer_or_event_is_anything_but_text(console, server):
    # Pages about things that are called by payloads ask for what is not there.
    console.expected += ["404 (Not Found)", "400 (Bad Request)", "WebSocket connection"]
    run_id, failed = server.schedule("odd", text="x"), server.schedule("fails", text="x")
    for one in (run_id, failed):
        server.finished(one)
    console.context.add_init_script(WATCH)
    script = REPLACE.replace("PAYLOADS", json.dumps(PAYLOADS)).replace("KEPT", json.dumps([*KEPT]))
    console.context.add_init_script(script)
    used = set()
    for path in (*PATHS, f"/runs/{run_id}", f"/runs/{failed}"):
        page = console.open(path)
        page.locator("main h1").first.wait_for(state="attached")
        if path not in QUIET:
            page.wait_for_function(SAYS_ONE, arg=PAYLOADS)
        judge(page, path)
        used |= set(page.evaluate("() => [...window.used]"))
    assert len(used) >= 200
