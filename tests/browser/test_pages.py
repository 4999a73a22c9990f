"""The pages about jobs and the server, the keyboard, the theme, the phone."""

import html
import re
import secrets
from importlib import resources
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import expect

from callsheet.webui import vendor
from callsheet.webui.document import edition_of
from callsheet.webui.first_answers import asked_first

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATHS = [
    *("/", "/runs", "/jobs", "/job/greetings/hello", "/agents", "/checks", "/control"),
    *("/adhoc", "/calendar", "/timeline", "/graph", "/why?job=fails&at=now", "/reference"),
]

AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text()
# All of WCAG 2.2 up to AA by the light of day; in the dark only the colours are others.
RULES = {
    "light": "{type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']}",
    "dark": "{type: 'rule', values: ['color-contrast', 'link-in-text-block']}",
}
# What is well is not described node by node, nor sent.
JUDGE = """
async () => {
    const how = { runOnly: %s, resultTypes: ["violations"], preload: false };
    return (await axe.run(how)).violations;
}
"""
# Notes which modules are there when the frame is drawn, with its view.
FIRST_LOADED = """
new MutationObserver((_, observer) => {
    if (!document.getElementById("main")) return;
    observer.disconnect();
    const names = performance.getEntriesByType("resource").map((one) => one.name);
    window.firstLoaded = names.filter((name) => name.endsWith(".js"));
}).observe(document, { childList: true, subtree: true });
"""
NAMED_AND_LOADED = """
() => [[...document.querySelectorAll("link[rel=modulepreload]")].map((one) => one.href),
       window.firstLoaded]
"""
# Notes what was asked for until the list of runs is there.
FIRST_ASKED = """
window.asked = [];
const asking = window.fetch;
window.fetch = (path, ...how) => {
    window.asked.push(path);
    return asking(path, ...how);
};
new MutationObserver((_, observer) => {
    if (!document.querySelector("tr[data-run], .panel.empty")) return;
    observer.disconnect();
    window.firstAsked = [...window.asked];
}).observe(document, { childList: true, subtree: true });
"""
# Adds up how far what was painted has moved since, as a share of the window, but for what
# somebody did.
MOVES_NOTED = """
window.moved = 0;
window.noted = (entries) => {
    for (const one of entries) if (!one.hadRecentInput) window.moved += one.value;
};
window.moves = new PerformanceObserver((list) => window.noted(list.getEntries()));
window.moves.observe({ type: "layout-shift", buffered: true });
"""
MOVED = """
() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => {
    window.noted(window.moves.takeRecords());
    resolve(window.moved);
})))
"""
# What is on a page when all has come that it shows.
COMPLETE = {
    "/": ".sheet-t",
    "/runs": "tr[data-run]",
    "/checks": "[data-check]",
    "/control": "[data-role]",
    "/timeline": "svg.gantt",
}
# A page is good up to 0.1, by https://web.dev/articles/cls; those of a server with little to tell
# have little that could move.
STEADY = 0.02
MARK_AS_OLD = """
() => {
    for (const one of document.querySelectorAll("main :is(tr, .panel, h1)")) one.dataset.old = "";
}
"""
TWO_KEYS = """
(keys) => {
    for (const key of keys)
        document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
}
"""


@pytest.fixture(autouse=True)
def patience():
    expect.set_options(timeout=60_000)


def test_each_page_opens_by_its_address_steady_and_names_all_that_it_first_loads(fresh, server):
    fresh.context.add_init_script(FIRST_LOADED)
    fresh.context.add_init_script(MOVES_NOTED)
    paths = [*PATHS, "/day/2031-03-29", f"/runs/{server.schedule('fails')}", "/agents/local"]
    views = edition_of(vendor.FOLDER.parent).views
    assert {f"/{path.split('/')[1]}".partition("?")[0] for path in paths} == {
        path.rstrip("/") or "/" for path in views
    }
    for path in paths:
        page = fresh.load(path)
        expect(page.locator("main")).not_to_be_empty()
        assert page.title().endswith("callsheet")
        named, loaded = page.evaluate(NAMED_AND_LOADED)
        # No more than that: of other views nothing is loaded, and nothing is found out late.
        assert (path, sorted(loaded)) == (path, sorted(named))
        assert (path, fresh.wrong) == (path, [])
        if path in COMPLETE:
            page.locator(COMPLETE[path]).first.wait_for()
            assert (path, page.evaluate(MOVED)) < (path, STEADY)


@pytest.mark.parametrize(
    "query",
    [
        "",
        '?q=job:fails%20!arg="~*\'%2B%20é"&state=failure&until=2031-03-29T00:00:00Z',
        "?q=state:scheduled",
        "?sort=schedule&since=2020-01-01T00:00:00%2B01:00",
    ],
)
def test_a_page_asks_first_for_what_its_document_has_not(fresh, server, query):
    server.schedule("fails")
    fresh.context.add_init_script(FIRST_ASKED)
    answer = fresh.page.goto(f"/runs{query}")
    fresh.page.wait_for_function("() => window.firstAsked")
    sent, asked = answer.text(), fresh.page.evaluate("() => window.firstAsked")
    targets = asked_first("/runs", urlsplit(answer.url).query)
    assert len(targets) == 2
    for target in targets:
        # How much is in the document is a matter of how fast the server was.
        times = sent.count(f'data-answers="{html.escape(target)}"') + asked.count(target)
        assert (target, times) == (target, 1), asked
    assert fresh.page.locator("script[data-answers]").count() == 0


def test_every_page_is_accessible_in_both_themes(console, server):
    run_id = server.schedule("fails")
    server.finished(run_id)
    page = console.open("/")
    page.evaluate(f"() => {{ {AXE} }}")
    wrong = []
    for path in (*PATHS, "/agents/local", "/reference#post_v2_pause", f"/runs/{run_id}"):
        # Without loading the document anew: the judge stays.
        console.turn_to(path)
        page.locator("main h1").first.wait_for(state="attached")
        for theme in RULES:
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            wrong += judged(page, path, theme)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    for path, charts in (("/timeline", 2), ("/job/fails", 1), ("/", 1), ("/runs", 1)):
        console.turn_to(path)
        switches = page.get_by_role("button", name="Show as table")
        expect(switches).to_have_count(charts)
        for switch in switches.all():
            switch.focus()
            page.keyboard.press("Enter")
        expect(page.get_by_role("table").locator("tbody th[scope=row]")).not_to_have_count(0)
        wrong += judged(page, f"{path} as tables", "light")
    assert wrong == []


def judged(page, path, theme):
    """What is wrong with the page that is shown."""
    return [
        (path, theme, one["id"], node["html"][:200], node["failureSummary"])
        for one in page.evaluate(JUDGE % RULES[theme])
        for node in one["nodes"]
    ]


def test_what_is_not_there_says_so_and_names_what_is_near(console, server):
    run_id = server.schedule("fails")
    console.expected.append("404 (Not Found)")
    page = console.open("/nowhere/at all")
    expect(page.get_by_role("alert")).to_contain_text("there is no page /nowhere/at%20all")
    console.turn_to("/job/greetings/helo")
    expect(page.get_by_role("alert")).to_contain_text("404: no job_id greetings/helo")
    expect(page.get_by_role("alert")).to_contain_text("request ")
    near = page.get_by_role("list", name="Nearest").get_by_role("link").first
    expect(near).to_have_attribute("href", "/job/greetings/hello")
    console.turn_to("/runs/r999999999")
    expect(page.get_by_role("alert")).to_contain_text("unknown run r999999999")
    expect(page.get_by_role("alert")).to_contain_text("The newest run is")
    console.turn_to(f"/runs/{run_id}")
    expect(page.locator(".facts")).to_contain_text(run_id)


def test_why_a_job_has_no_run_for_a_time_is_asked_and_why_it_has(console, server):
    run_id = server.schedule("fails")
    due = server.finished(run_id)["times"]["schedule"]
    page = console.open("/job/nightly/report")
    page.get_by_role("link", name="Why…").click()
    page.get_by_label("time").fill("2026-01-02 04:00:07")
    page.get_by_role("button", name="Ask why").click()
    answer = page.locator("[data-verdict]")
    expect(answer).to_contain_text("There is no run")
    expect(answer).to_contain_text("No schedule of nightly/report names 2 Jan")
    # A run that is there explains itself, and leads to its page.
    console.turn_to(f"/why?job=fails&at={quote(due)}")
    expect(answer).to_contain_text("There ")
    expect(answer.get_by_role("link", name=run_id).first).to_be_visible()
    expect(answer).to_contain_text("failure")


def test_jobs_are_a_tree_that_is_searched_as_one_types(console, server):
    page = console.open("/jobs")
    jobs = page.locator("tr[data-job]")
    every = len(server.get("/api/v1/jobs").json)
    expect(page.locator("tr.folder", has_text="greetings")).to_be_visible()
    expect(jobs).to_have_count(every)
    page.keyboard.press("/")
    page.keyboard.type("repo")
    expect(jobs).to_have_count(1)
    expect(jobs).to_have_attribute("data-job", "nightly/report")
    expect(jobs.locator("mark")).to_have_text("repo")
    page.wait_for_url("**/jobs?q=repo")
    page.keyboard.press("Escape")
    expect(jobs).to_have_count(every)
    # With the keyboard alone: onto the first row, which is a folder, into it, and it closed behind.
    focused = page.locator("tr:focus")
    page.keyboard.press("j")
    folder = focused.get_attribute("data-folder")
    page.keyboard.press("ArrowRight")
    expect(focused).to_have_attribute("data-job", re.compile(f"^{folder}/"))
    page.keyboard.press("ArrowLeft")
    expect(focused).to_have_attribute("data-folder", folder)
    page.keyboard.press("ArrowLeft")
    expect(focused).to_have_attribute("aria-expanded", "false")


def test_jobs_are_narrowed_to_those_in_trouble(console, server):
    server.finished(server.schedule("fails"))
    page = console.open("/jobs")
    page.locator("[data-only='last run failed']").click()
    page.wait_for_url("**/jobs?only=*")
    expect(page.locator("tr[data-job=fails]")).to_be_visible()
    expect(page.locator("tr[data-job='nightly/report']")).to_have_count(0)


def test_the_checks_say_what_they_look_for_and_that_it_holds(console):
    page = console.open("/checks")
    double = page.locator("tr[data-check=double]")
    expect(double).to_contain_text("two runs of one instance")
    page.get_by_role("button", name="Check now").click()
    expect(double).to_contain_text("holds")
    expect(page.locator("main")).to_contain_text("Everything checked holds.")


def test_a_folder_closes_and_stays_closed_over_a_visit_elsewhere(console):
    page = console.open("/jobs")
    page.locator("tr.folder", has_text="greetings").click()
    expect(page.locator("tr[data-job='greetings/hello']")).to_have_count(0)
    before = page.locator("tr[data-job]").count()
    page.locator("tr[data-job=fails] a.job").click()
    page.wait_for_url("**/job/fails")
    page.go_back()
    expect(page.locator("tr[data-job]")).to_have_count(before)


def test_a_job_shows_its_description_schedule_and_next_run(console):
    page = console.open("/job/nightly/report")
    expect(page.locator(".prose")).to_have_text("Counts what came in.")
    expect(page.get_by_text("03:15:00 Europe/Berlin").first).to_be_visible()
    expect(page.locator(".side")).to_contain_text("in ")


def test_a_description_cannot_carry_a_script_or_a_bad_link(console):
    page = console.open("/job/greetings/hello")
    expect(page.locator(".prose strong")).to_have_text("somebody")
    expect(page.locator(".prose script")).to_have_count(0)
    addresses = [a.get_attribute("href") for a in page.locator(".prose a").all()]
    assert addresses.count("https://example.com/") == 1
    assert not [one for one in addresses if one and "javascript" in one]
    assert page.title() != "broken into"


def test_a_job_is_run_now_with_its_params(console):
    page = console.open("/job/greetings/hello")
    expect(page.get_by_role("button", name="Run now")).to_be_visible()
    page.keyboard.press("n")
    page.locator(".dialog [name=name]").fill("Ada")
    page.locator(".dialog [type=submit]").click()
    page.wait_for_url("**/runs/r*")
    expect(page.locator(".lines li")).to_contain_text("hello Ada")
    expect(page.locator(".head .state")).to_contain_text("success")


def test_what_one_types_into_a_question_stays_while_the_page_changes(fresh, server):
    page = fresh.open("/job/greetings/hello")
    expect(page.get_by_role("button", name="Run now")).to_be_visible()
    page.keyboard.press("n")
    page.locator(".dialog [name=name]").fill("Ada")
    run_id = server.schedule("greetings/hello", name="Grace")
    expect(page.locator("main")).to_contain_text(run_id)
    # What the browser itself says of what it then cannot ask.
    fresh.expected += ["net::ERR", "WebSocket connection"]
    page.emulate_media(color_scheme="dark")
    fresh.context.set_offline(True)
    expect(page.locator("[data-status=live]")).to_have_count(0)
    fresh.context.set_offline(False)
    expect(page.locator("[data-status=live]").first).to_be_attached()
    assert page.locator(".dialog [name=name]").input_value() == "Ada"


def test_the_agent_of_this_host_is_listed(console):
    page = console.open("/agents")
    expect(page.locator("main")).to_contain_text("local")
    expect(page.locator("main")).to_contain_text("1 of 1 connected")


def test_a_changed_folder_is_looked_at_and_loaded(console, server):
    server.insist("/api/v2/reload", {})
    name = f"brand new {secrets.token_hex(4)}"
    (server.folder / "jobs" / f"{name}.yaml").write_text("program: {type: no-op}\n")
    page = console.open("/control")
    panel = page.locator(".panel", has_text="Job folder")
    expect(panel).to_contain_text("added")
    expect(panel).to_contain_text(name)
    expect(panel.locator(".diff .add").first).to_contain_text("program:")
    panel.get_by_role("button", name="Load 1").click()
    page.locator(".dialog [type=submit]").click()
    expect(panel).not_to_contain_text("added")
    console.turn_to(f"/job/{quote(name)}")
    expect(page.locator("h1")).to_contain_text(name)


def test_a_folder_with_an_error_is_refused_with_its_place(console, server):
    console.expected.append("400 (Bad Request)")
    path = server.folder / "jobs" / "wrong.yaml"
    path.write_text("program: {type: no-op}\nprogam: 3\n")
    try:
        page = console.open("/control")
        expect(page.locator("main")).to_contain_text("wrong.yaml:2")
        expect(page.get_by_role("button", name="Load")).to_have_count(0)
    finally:
        path.unlink()


def test_g_and_a_letter_goes_to_a_page(console):
    page = console.open("/")
    for letter, path in (("r", "/runs"), ("j", "/jobs"), ("a", "/agents"), ("o", "/control")):
        # In one go: between two keys of a person no second and a half may pass.
        page.evaluate(TWO_KEYS, ["g", letter])
        page.wait_for_url(f"**{path}")
    page.keyboard.press("?")
    expect(page.locator(".dialog")).to_contain_text("next, previous row")
    page.keyboard.press("Escape")
    expect(page.locator(".dialog")).to_have_count(0)
    # Whom they disturb turns them off; what takes Ctrl stays.
    page.keyboard.press("?")
    page.get_by_role("button", name="Turn single keys off").click()
    page.evaluate(TWO_KEYS, ["g", "r"])
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog", name="Command palette")).to_be_visible()
    assert page.url.endswith("/control")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Keys").click()
    page.get_by_role("button", name="Turn single keys on").click()
    page.evaluate(TWO_KEYS, ["g", "r"])
    page.wait_for_url("**/runs")


def test_j_and_enter_open_a_row_of_the_list(console, server):
    run_id = server.schedule("colours")
    server.finished(run_id)
    page = console.open("/runs?q=colours")
    expect(page.locator("tr[data-run]").first).to_be_visible()
    page.keyboard.press("j")
    picked = page.locator("tr.at")
    expect(picked).to_have_count(1)
    chosen = picked.get_attribute("data-run")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/runs/{chosen}")


def test_keys_do_nothing_while_one_types(console):
    page = console.open("/runs")
    page.keyboard.press("/")
    page.keyboard.type("gjr")
    expect(page.locator("#query")).to_have_value("gjr")
    assert page.url.split("?")[0].endswith("/runs")


def test_the_theme_is_switched_and_kept(fresh):
    page = fresh.open("/")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    for _ in range(3):
        page.keyboard.press("t")
        if page.locator("html").get_attribute("data-theme") == "dark":
            break
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    expect(page.locator("main")).not_to_be_empty()
    assert page.evaluate(ground) == dark


def test_nothing_is_wider_than_the_smallest_phone(phone, server):
    server.finished(server.schedule("greetings/hello", name="somebody with a long name"))
    page = phone.open(PATHS[-1])
    too_wide = []
    for path in PATHS:
        # Nothing of the page before may be taken for this one's.
        page.evaluate(MARK_AS_OLD)
        phone.turn_to(path)
        expect(page.locator(".tabbar")).to_be_visible()
        page.locator("main :is(tr, .panel, h1):not([data-old])").first.wait_for(state="attached")
        if page.evaluate("() => document.documentElement.scrollWidth") > 360:
            too_wide.append(path)
    assert too_wide == []


def test_a_phone_shows_a_run_with_its_output(phone, server):
    run_id = server.schedule("greetings/hello", name="Ada")
    page = phone.open(f"/runs/{run_id}")
    line = page.locator(".lines li span").first
    expect(line).to_contain_text("hello Ada")
    assert line.evaluate("span => span.clientWidth || span.offsetWidth") > 200
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360


def test_the_api_is_described_found_and_opened_by_its_address(console):
    page = console.open("/control")
    page.get_by_role("link", name="reference").click()
    page.get_by_label("Find in the API").fill("pause skip")
    found = page.locator("details.operation")
    expect(found).to_have_count(1)
    found.locator("summary").first.click()
    expect(found).to_contain_text("Takes the role operator")
    expect(found).to_contain_text("kind")
    expect(found).to_contain_text("PauseRecord")
    page.wait_for_url("**/reference#post_v2_pause")
    page.get_by_label("Find in the API").fill("")
    page = console.load("/reference#get_v2_health")
    expect(page.locator("#get_v2_health .told")).to_be_visible()
