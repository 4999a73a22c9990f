"""Runs as they live: the list, the page of one, its output, and what a person does to it."""

import re
import secrets
from datetime import UTC, datetime, timedelta

import pytest
from live_server import until
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(autouse=True)
def patience():
    expect.set_options(timeout=60_000)


def row(page, run_id):
    return page.locator(f"tr[data-run={run_id}]")


def state(page):
    return page.locator(".head .facts .state")


def deed(page, verb):
    return page.locator(f"[data-verb={verb}]")


def test_a_new_run_appears_in_the_list_and_changes_there(console, server, gate):
    page = console.open("/runs")
    page.evaluate("() => { window.unbroken = true; }")
    run_id = server.schedule("gated", gate=str(gate))
    expect(row(page, run_id)).to_have_attribute("data-state", "running")
    gate.touch()
    expect(row(page, run_id)).to_have_attribute("data-state", "success")
    assert page.evaluate("() => window.unbroken")


def test_each_row_says_which_of_all_it_is_whatever_comes_above_it(console, server):
    page = console.open("/runs")
    said = "all => all.map((one) => Number(one.getAttribute('aria-rowindex')))"
    for _ in range(3):
        expect(row(page, server.schedule("greetings/hello", name="Ada"))).to_be_visible()
        found = page.locator("tr[data-run]").evaluate_all(said)
        assert found == list(range(1, len(found) + 1))


def test_the_list_is_narrowed_by_state_and_by_words(console, server):
    bad, good = server.schedule("fails"), server.schedule("colours")
    server.finished(bad), server.finished(good)
    page = console.open("/runs")
    expect(row(page, good)).to_be_visible()
    page.locator(".facets button", has_text="failure").click()
    expect(row(page, good)).to_have_count(0)
    expect(row(page, bad)).to_be_visible()
    page.wait_for_url("**/runs?q=state*failure")
    console.turn_to("/runs")
    page.locator("#query").fill("colo")
    expect(row(page, bad)).to_have_count(0)
    expect(row(page, good)).to_be_visible()
    page.wait_for_url("**/runs?q=colo")


def test_the_chart_of_a_query_is_asked_for_once_its_rows_are_there(console, server):
    server.finished(server.schedule("fails"))
    page = console.open("/runs")
    heard = []
    page.on("request", lambda one: heard.append(f"asked {one.url}"))
    page.on("requestfinished", lambda one: heard.append(f"came {one.url}"))

    def late(route):
        # Later than the chart would be asked for if it did not wait for them.
        page.evaluate("() => new Promise((done) => setTimeout(done, 400))")
        route.continue_()

    page.route("**/runs-by-time?q=state**", late)
    with page.expect_request("**/runs-per-time?q=state**"):
        page.locator(".facets").get_by_role("button", name="failure").click()
    expect(page.locator("tr[data-run][data-state=failure]").first).to_be_visible()
    place = {
        said: next(n for n, text in enumerate(heard) if said in text and "q=state" in text)
        for said in ("runs-by-time", "runs-per-time")
    }
    # (The list of before may come as late as that.)
    of_rows = [text.startswith("came") and "by-time?q=state" in text for text in heard]
    came = of_rows.index(True)
    assert place["runs-by-time"] < came < place["runs-per-time"], heard


def test_a_run_far_ahead_stands_beside_the_chart_and_not_in_it(console, server):
    server.finished(server.schedule("colours"))
    far = (datetime.now(UTC) + timedelta(days=90)).isoformat()
    answer = server.insist("/api/v1/runs", {"job_id": "colours", "times": {"schedule": far}})
    [run_id] = answer.json["runs"]
    try:
        page = console.open("/runs?q=colours")
        later = page.locator(".strip .later")
        expect(later).to_have_text("1 later")
        for label in page.locator(".strip .axis .lbl").all_text_contents():
            assert label[-1] in "05", f"{label} is no round time"
        later.click()
        page.wait_for_url("**/runs?*since=*")
        expect(row(page, run_id)).to_be_visible()
        expect(page.locator("tr[data-run]")).to_have_count(1)
    finally:
        server.insist(f"/api/v1/runs/{run_id}/skip", {})


def test_a_query_that_is_wrong_is_answered_in_the_servers_words(console):
    console.expected.append("400 (Bad Request)")
    page = console.open("/runs?q=colour:red")
    expect(page.get_by_text("colour: not a term")).to_be_visible()


def test_output_comes_while_the_run_runs_and_the_state_follows(console, server, gate):
    run_id = server.schedule("gated", gate=str(gate))
    page = console.open(f"/runs/{run_id}")
    expect(page.locator(".lines li", has_text="begun")).to_be_visible()
    expect(state(page)).to_contain_text("running")
    expect(page.locator(".lines li", has_text="ended")).to_have_count(0)
    gate.touch()
    expect(page.locator(".lines li", has_text="ended")).to_be_visible()
    expect(state(page)).to_contain_text("success")


def test_colours_of_a_terminal_are_classes_and_markup_is_text(console, server):
    run_id = server.schedule("colours")
    page = console.open(f"/runs/{run_id}")
    expect(page.locator(".lines .a-red")).to_have_text("red words")
    expect(page.locator(".lines li")).to_contain_text("and <b>no markup</b>")
    assert page.locator(".lines b").count() == 0


def test_a_failed_run_says_why(console, server):
    run_id = server.schedule("fails")
    server.finished(run_id)
    page = console.open(f"/runs/{run_id}")
    expect(state(page)).to_contain_text("failure")
    expect(page.locator(".why")).to_contain_text("exit code 3")
    expect(page.locator(".log")).to_contain_text("exit code 3")


def test_a_waiting_run_is_held_with_a_reason_released_and_skipped(console, server):
    run_id = server.schedule("greetings/never")
    page = console.open(f"/runs/{run_id}")
    expect(state(page)).to_contain_text("waiting")
    deed(page, "hold").click()
    page.locator(".dialog [name=reason]").fill("wait for the file")
    page.locator(".dialog [type=submit]").click()
    expect(state(page)).to_contain_text("held")
    expect(page.locator(".log")).to_contain_text("wait for the file")
    deed(page, "release").click()
    expect(state(page)).to_contain_text("waiting")
    console.undo_at_once()
    deed(page, "hold").click()
    page.locator(".dialog [type=submit]").click()
    console.toast(f"{run_id} released")
    expect(state(page)).to_contain_text("waiting")
    deed(page, "skip").click()
    page.locator(".dialog [type=submit]").click()
    expect(state(page)).to_contain_text("skipped")
    expect(page.locator(".undo")).to_have_count(0)


def test_a_waiting_run_is_started_past_its_condition(console, server):
    run_id = server.schedule("greetings/never")
    page = console.open(f"/runs/{run_id}")
    deed(page, "start").click()
    expect(state(page)).to_contain_text("success")


def test_a_running_run_is_stopped(console, server, gate):
    run_id = server.schedule("gated", gate=str(gate))
    page = console.open(f"/runs/{run_id}")
    expect(page.locator(".lines li", has_text="begun")).to_be_visible()
    deed(page, "stop").click()
    expect(state(page)).to_contain_text("failure")
    expect(page.locator(".log")).to_contain_text("SIGTERM")


def test_a_kill_asks_first_and_the_safe_answer_has_the_focus(console, server, gate):
    run_id = server.schedule("gated", gate=str(gate))
    page = console.open(f"/runs/{run_id}")
    expect(page.locator(".lines li", has_text="begun")).to_be_visible()
    deed(page, "kill").click()
    expect(page.locator(".dialog")).to_contain_text("Kill gated")
    page.keyboard.press("Enter")
    expect(page.locator(".dialog")).to_have_count(0)
    assert server.run(run_id)["state"] == "running"
    deed(page, "kill").click()
    page.locator(".dialog .kill").click()
    expect(state(page)).to_contain_text("failure")
    expect(page.locator(".log")).to_contain_text("SIGKILL")


def test_keys_are_the_dialog_s_wherever_one_has_clicked_and_the_focus_is_never_lost(
    console, server, gate
):
    run_id = server.schedule("gated", gate=str(gate))
    page = console.open(f"/runs/{run_id}")
    expect(page.locator(".lines li", has_text="begun")).to_be_visible()
    dialog = page.locator(".dialog")
    deed(page, "kill").click()
    dialog.locator(".body p").click()
    for key in ("r", "g", "j", "s"):
        page.keyboard.press(key)
    page.keyboard.press("Tab")
    expect(dialog.locator(":focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(deed(page, "kill")).to_be_focused()
    # As if what had the focus had gone meanwhile.
    page.keyboard.press("Enter")
    page.evaluate("() => document.activeElement.blur()")
    page.keyboard.press("r")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert page.url.endswith(f"/runs/{run_id}")
    assert server.run(run_id)["state"] == "running"
    assert len(server.get(f"/api/v2/runs/{run_id}/reruns").json["runs"]) == 1
    # Who goes back leaves what is asked there.
    page.evaluate("path => { history.pushState(null, '', path); }", f"/runs/{run_id}?again")
    deed(page, "kill").click()
    page.go_back()
    expect(dialog).to_have_count(0)
    deed(page, "kill").click()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(state(page)).to_contain_text("failure")
    expect(deed(page, "kill")).to_have_count(0)
    expect(page.locator(".acts-r :focus")).to_have_count(1)


def test_what_could_not_be_copied_is_not_said_to_be(console, server):
    run_id = said(server, "Kim")
    page = console.open(f"/runs?q=id:{run_id}")
    expect(row(page, run_id)).to_be_visible()
    page.keyboard.press("j")
    expect(row(page, run_id)).to_be_focused()
    page.evaluate(
        "() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }"
    )
    page.keyboard.press("y")
    console.toast(f"Could not copy {run_id}")
    assert not [one for one in page.evaluate("() => window.passed.toasts") if "Copied" in one]
    page.evaluate("() => { delete navigator.clipboard.writeText; }")


def test_a_signal_is_sent(console, server, gate):
    run_id = server.schedule("gated", gate=str(gate))
    page = console.open(f"/runs/{run_id}")
    expect(page.locator(".lines li", has_text="begun")).to_be_visible()
    deed(page, "signal").click()
    page.locator(".dialog select").select_option("SIGUSR1")
    page.locator(".dialog [type=submit]").click()
    expect(state(page)).to_contain_text("failure")
    expect(page.locator(".log")).to_contain_text("SIGUSR1")


def test_a_finished_run_is_marked_and_run_again(console, server):
    run_id = server.schedule("fails")
    server.finished(run_id)
    page = console.open(f"/runs/{run_id}")
    deed(page, "mark").click()
    page.locator(".dialog select").select_option("success")
    page.locator(".dialog [type=submit]").click()
    expect(state(page)).to_contain_text("success")
    deed(page, "rerun").click()
    page.wait_for_url(lambda url: "/runs/" in url and not url.endswith(f"/{run_id}"))
    expect(state(page)).to_contain_text("failure")
    expect(page.locator("h1")).to_contain_text("fails")


# In one turn of the page's loop, so that no timer comes between.
SAY_TWO_AND_LOOK_AT_ONE = """
async () => {
    const { src } = document.querySelector("script[type=module]");
    const { js$toast: { done } } = await import(src); // the file has all modules of the frame
    done("looked at");
    let button = null;
    while (!(button = document.querySelector(".toast button"))) await null;
    button.focus();
    done("other");
}
"""


def test_a_refusal_is_a_toast_in_the_servers_words(console, server):
    console.expected.append("400 (Bad Request)")
    run_id = server.schedule("greetings/never")
    page = console.open(f"/runs/{run_id}")
    deed(page, "skip").click()
    # While the person thinks about a reason, somebody else skips it.
    assert server.post(f"/api/v1/runs/{run_id}/skip").status == 200
    expect(state(page)).to_contain_text("skipped")
    page.locator(".dialog [type=submit]").click()
    toast = page.locator(".toast", has_text=f"Could not skip {run_id}")
    expect(toast).to_have_attribute("role", "alert")
    expect(toast).to_contain_text(f"400: can't skip {run_id} in state skipped")
    toast.get_by_label("Dismiss").click()
    expect(toast).to_have_count(0)


def test_a_toast_stays_while_it_is_looked_at(fresh):
    fresh.page.clock.install()
    page = fresh.open("/control")
    page.evaluate(SAY_TWO_AND_LOOK_AT_ONE)
    looked_at, other = (page.locator(".toast", has_text=words) for words in ("looked at", "other"))
    page.clock.fast_forward(20_000)
    expect(other).to_have_count(0)
    page.clock.fast_forward(20_000)
    expect(looked_at).to_have_count(1)
    page.evaluate("() => document.activeElement.blur()")
    page.clock.fast_forward(20_000)
    expect(looked_at).to_have_count(0)


def test_an_unknown_run_is_an_error_in_place_of_the_page(console):
    console.expected.append("404 (Not Found)")
    page = console.open("/runs/r999999")
    expect(page.locator("main")).to_contain_text("unknown run r999999")


def test_the_call_sheet_names_what_runs_and_what_failed(console, server, gate):
    bad, running = server.schedule("fails"), server.schedule("gated", gate=str(gate))
    server.finished(bad)
    until(lambda: server.run(running)["state"] == "running", "the run to run")
    page = console.open("/")
    expect(row(page, bad).first).to_contain_text("failure")
    expect(row(page, running).first).to_contain_text("gated")
    gate.touch()
    expect(row(page, running)).to_have_count(0)


def schedule_ahead(server, hours, count):
    """Make runs of `colours` for a time that many hours from now."""
    at = datetime.now(UTC) + timedelta(hours=hours)
    body = {"job_id": "colours", "count": count, "times": {"schedule": at.isoformat()}}
    headers = {"Content-Type": "application/json"}
    answer = server.request("POST", "/api/v2/runs", body, headers)
    assert answer.status == 200, answer.body
    return [run["run_id"] for run in answer.json["runs"]]


def test_what_is_far_ahead_hides_neither_what_is_next_nor_what_was(console, server):
    done = server.schedule("colours")
    server.finished(done)
    next_one = schedule_ahead(server, 1, 1)[0]
    schedule_ahead(server, 30, 120)
    page = console.open("/job/colours")
    expect(row(page, done)).to_have_attribute("data-state", "success")
    expect(page.locator(f".side li a[href='/runs/{next_one}']")).to_be_visible()
    console.turn_to("/runs?q=colours")
    expect(row(page, done)).to_be_visible()
    expect(row(page, next_one)).to_be_visible()
    expect(page.get_by_role("button", name="more coming")).to_be_visible()
    console.turn_to("/runs?q=colours&state=success")
    expect(row(page, done)).to_be_visible()
    expect(row(page, next_one)).to_have_count(0)
    expect(page.get_by_role("button", name="more coming")).to_have_count(0)


def test_the_counts_of_the_states_follow_runs_that_are_not_on_the_page(console, server, gate):
    run_id = server.schedule("gated", gate=str(gate))
    until(lambda: server.run(run_id)["state"] == "running", "the run to run")
    page = console.open(f"/runs?q=id:{run_id}&state=failure")
    running = page.locator(".facets button", has_text="running").locator("b")
    expect(running).to_have_text("1")
    gate.touch()
    expect(running).to_have_text("0")
    expect(page.locator(".facets button", has_text="success").locator("b")).to_have_text("1")


def test_the_log_shows_what_it_says(console, server):
    run_id = server.schedule("fails")
    server.finished(run_id)
    page = console.open(f"/runs/{run_id}")
    said = page.locator(".log .said", has_text="exit code 3")
    expect(said).to_be_visible()
    assert said.evaluate("cell => cell.scrollWidth <= cell.clientWidth && cell.clientWidth > 200")


def test_a_run_that_waits_says_for_what_and_the_runs_of_a_chain_name_each_other(
    console, server, gate
):
    first = server.schedule("chain/first", gate=str(gate))
    until(lambda: server.run(first)["state"] == "running", "the run to run")
    second = server.schedule("chain/second", gate=str(gate))
    page = console.open(f"/runs/{second}")
    waits = page.locator("[data-gate=waiting]")
    expect(waits).to_contain_text("chain/first")
    expect(page.locator("#why tr.in")).to_contain_text("running")
    expect(page.locator(f"#why a[href='/runs/{first}']")).to_be_visible()
    expect(page.locator(".ways")).to_contain_text("which is running")
    page.locator(f".chain li[data-run={first}] a").click()
    page.wait_for_url(f"**/runs/{first}")
    needed_by = page.locator(f".chain li[data-run={second}]")
    expect(needed_by).to_contain_text("waiting")
    gate.touch()
    expect(state(page)).to_contain_text("success")
    page.go_back()
    expect(state(page)).to_contain_text("success")


def test_a_run_shows_the_definition_it_was_bound_to_and_what_has_changed_since(console, server):
    path = server.folder / "jobs" / "changes.yaml"
    path.write_text("program: {type: shell, command: echo before}\n")
    server.insist("/api/v2/reload", {})
    run_id = server.schedule("changes")
    server.finished(run_id)
    path.write_text("program: {type: shell, command: echo after}\n")
    server.insist("/api/v2/reload", {})
    page = console.open(f"/runs/{run_id}")
    page.get_by_role("link", name="YAML").click()
    expect(page.locator("[data-source=definition]")).to_contain_text("command: echo before")
    page.get_by_role("link", name="Diff to now").click()
    expect(page.locator(".diff .del")).to_contain_text("command: echo before")
    expect(page.locator(".diff .add")).to_contain_text("command: echo after")
    page.get_by_role("link", name="JSON").click()
    expect(page.locator("[data-source=json]")).to_contain_text(f'"run_id": "{run_id}"')
    page.get_by_role("button", name="Close").click()
    expect(page.locator("[data-source]")).to_have_count(0)
    console.turn_to(f"/runs/{run_id}#json")
    expect(page.locator("[data-source=json]")).to_be_visible()


def said(server, name):
    """A finished run of `greetings/hello`."""
    run_id = server.schedule("greetings/hello", name=name)
    server.finished(run_id)
    return run_id


def test_a_click_on_a_value_narrows_the_list_and_alt_click_excludes_it(console, server):
    ada, bob = said(server, "Ada L"), said(server, "Bob")
    page = console.open(f"/runs?q=id:{ada},{bob}")
    row(page, ada).get_by_role("button", name="Ada L").click()
    expect(row(page, bob)).to_have_count(0)
    expect(page.locator(".term", has_text="name=")).to_contain_text("Ada L")
    page.locator(".term", has_text="name=").get_by_role("button").click()
    expect(row(page, bob)).to_be_visible()
    row(page, ada).get_by_role("button", name="Ada L").click(modifiers=["Alt"])
    expect(row(page, ada)).to_have_count(0)
    expect(page.locator(".term.not")).to_contain_text("name=")
    # By the keyboard: the value that has the focus, and `!`.
    console.turn_to(f"/runs?q=id:{ada},{bob}")
    expect(row(page, bob)).to_be_visible()
    page.keyboard.press("j")
    page.locator("tr.at [data-term^='name=']").focus()
    page.keyboard.press("!")
    expect(page.locator(".term.not")).to_contain_text("name=")
    page.go_back()
    expect(row(page, ada)).to_be_visible()
    expect(row(page, bob)).to_be_visible()


def test_terms_are_completed_from_what_was_found_and_become_chips(console, server, gate):
    run_id = server.schedule("gated", gate=str(gate))
    gate.touch()
    server.finished(run_id)
    page = console.open(f"/runs?q=id:{run_id}")
    expect(row(page, run_id)).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("label:")
    options = page.get_by_role("option")
    expect(options).to_have_text(["label:demo1 run here", "label:gated1 run here"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Alt+Enter")
    expect(page.locator(".term.not")).to_contain_text("gated")
    expect(row(page, run_id)).to_have_count(0)
    page.keyboard.press("Backspace")
    expect(page.locator("#query")).to_have_value("!label:gated")


ROWS_ARE = """
(wanted) => {
    const rows = [...document.querySelectorAll("tr[data-run]")];
    const found = rows.map((row) => [row.dataset.run, row.dataset.state]);
    const first = wanted.findIndex(([id]) => id === found[0]?.[0]);
    const same = wanted.slice(first, first + found.length);
    return first >= 0 && found.length >= 30 && JSON.stringify(found) === JSON.stringify(same);
}
"""


# Prints as the browser does: says so before, lays out once all who listen are done, says so after.
COUNT_ON_PAPER = """
() => {
    window.print = () => {
        dispatchEvent(new Event("beforeprint"));
        setTimeout(() => {
            window.onPaper = document.querySelectorAll("tr[data-run]").length;
            dispatchEvent(new Event("afterprint"));
        });
    };
}
"""


def test_any_place_of_a_long_list_is_looked_at(console, server):
    hours = 40 + 3 * secrets.randbelow(1000)  # where no other try has made any
    made = schedule_ahead(server, hours, 1000)
    span = f"since=%2B{hours - 1}h&until=%2B{hours + 1}h"
    page = console.open(f"/runs?q=colours+state:scheduled&{span}&sort=schedule")
    expect(row(page, made[0])).to_be_visible()
    expect(row(page, made[-1])).to_have_count(0)
    page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
    expect(row(page, made[-1])).to_be_visible()
    page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight / 2)")
    expect(row(page, made[500])).to_be_visible()
    rows = page.locator("tr[data-run]").count()
    assert rows < 200  # of the thousand
    # On paper they all are, however few had been read: counted when they would be laid out.
    page.evaluate(COUNT_ON_PAPER)
    page.keyboard.press("Control+p")
    page.wait_for_function("() => window.onPaper")
    assert page.evaluate("() => window.onPaper") == len(made)
    assert page.locator("tr[data-run]").count() < 200


def test_what_comes_above_what_one_looks_at_leaves_no_row_unread(console, server):
    hours = 4000 + 3 * secrets.randbelow(1000)  # where no other try has made any
    made = schedule_ahead(server, hours, 700)
    span = f"since=%2B{hours - 1}h&until=%2B{hours + 2}h"
    page = console.open(f"/runs?q=colours+state:scheduled&{span}&sort=-schedule")
    expect(row(page, made[-1])).to_be_visible()
    height = page.evaluate("() => document.querySelector('tr[data-run]').offsetHeight")
    below = "(px) => scrollTo(0, document.querySelector('tbody').offsetTop + px)"
    page.evaluate(below, 350 * height)
    expect(row(page, made[-350])).to_be_visible()
    # What had been read of the stretch that begins with the row 300 begins with the row 330 now.
    schedule_ahead(server, hours + 1, 30)
    expect(page.locator("table.runs")).to_have_attribute("aria-rowcount", "730")
    page.evaluate(below, 315 * height)
    expect(row(page, made[-286])).to_be_visible()
    expect(page.locator("tr.unread")).to_have_count(0)


def test_whatever_comes_while_one_looks_the_rows_are_those_of_the_server_in_its_order(
    console, server
):
    page = console.open("/runs?q=greetings/never")
    page.evaluate("() => { window.unbroken = true; }")
    made = [server.schedule("greetings/never") for _ in range(30)]
    for run_id in made[::3]:
        assert server.post(f"/api/v1/runs/{run_id}/skip").status == 200
    expect(row(page, made[27])).to_have_attribute("data-state", "skipped")
    later = datetime.now(UTC) + timedelta(hours=2)
    body = {"time": later.isoformat()}
    for run_id in made[1::6]:
        assert server.post(f"/api/v2/runs/{run_id}/reschedule", body).status == 200
    path = "/api/v2/runs-by-time?q=greetings/never&limit=100"
    listed = server.request("GET", path).json["runs"]
    wanted = [[run["run_id"], run["state"]] for run in listed]
    page.wait_for_function(ROWS_ARE, arg=wanted)
    assert page.evaluate("() => window.unbroken")


def test_reruns_are_one_row_that_opens(console, server):
    first = said(server, "Eve")
    answer = server.post(f"/api/v2/runs/{first}/rerun")
    again = answer.json["runs"][0]["run_id"]
    server.finished(again)
    page = console.open(f"/runs?q=id:{first},{again}")
    expect(row(page, again)).to_be_visible()
    expect(row(page, first)).to_have_count(0)
    row(page, again).get_by_role("button", name="2", exact=False).filter(has_text="▸").click()
    expect(row(page, first)).to_be_visible()
    page.get_by_label("group reruns").uncheck()
    expect(row(page, first)).to_be_visible()


def test_the_span_of_time_is_typed(console, server):
    now_run, later = said(server, "Now"), schedule_ahead(server, 5, 1)[0]
    page = console.open(f"/runs?q=id:{now_run},{later}")
    expect(row(page, later)).to_be_visible()
    page.get_by_role("button", name="All times").click()
    page.locator("[name=since]").fill("no time")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".range [role=alert]")).to_contain_text("since: expected -6h")
    page.locator("[name=since]").fill("+2h")
    page.keyboard.press("Enter")
    page.wait_for_url("**since=%2B2h**")
    expect(row(page, now_run)).to_have_count(0)
    expect(row(page, later)).to_be_visible()


def test_a_span_of_time_that_is_looked_at_is_what_it_was(console):
    now = datetime.now(UTC)
    since, until_ = now - timedelta(days=9, seconds=7), now + timedelta(days=3)
    given = [f"{at:%Y-%m-%dT%H:%M:%S.125Z}" for at in (since, until_)]
    page = console.open(f"/runs?since={given[0]}&until={given[1]}")
    page.locator(".range > button").click()
    expect(page.locator("[name=since]")).to_have_value(re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d"))
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".range .pop")).to_have_count(0)
    asked = "() => ['since', 'until'].map((one) => new URLSearchParams(location.search).get(one))"
    assert page.evaluate(asked) == given
    # One bound is typed, the other stays to the millisecond.
    page.locator(".range > button").click()
    page.locator("[name=until]").fill("2000-01-01")
    page.keyboard.press("Enter")
    expect(page.locator(".range [role=alert]")).to_have_text("until: expected a time after since")
    page.locator("[name=until]").fill("+1h")
    page.keyboard.press("Enter")
    page.wait_for_url("**until=%2B1h**")
    assert page.evaluate(asked) == [given[0], "+1h"]


def test_the_palette_leads_to_a_job_and_a_run(console, server):
    run_id = said(server, "Kay")
    page = console.open("/")
    page.keyboard.press("Control+k")
    page.keyboard.type("nightly rep")
    expect(page.get_by_role("option", name="nightly/report", exact=False).first).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url("**/job/nightly/report")
    page.keyboard.press("Control+k")
    page.keyboard.type(run_id)
    expect(page.get_by_role("option").filter(has_text=run_id)).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/runs/{run_id}")


def test_the_icon_of_the_page_says_that_something_has_failed(console, server):
    server.finished(server.schedule("fails"))
    page = console.open("/runs")
    expect(page.locator("link[rel=icon][data-said=trouble]")).to_have_count(1)


def test_many_runs_are_picked_looked_at_and_skipped_at_once(console, server):
    waiting = [server.schedule("greetings/never") for _ in range(2)]
    over = said(server, "Zoe")
    for run_id in waiting:
        until(lambda run_id=run_id: server.run(run_id)["state"] == "waiting", "it to wait")
    page = console.open(f"/runs?q=id:{','.join([*waiting, over])}")
    expect(row(page, over)).to_be_visible()
    for _ in range(3):  # by the keyboard: the next row, picked
        page.keyboard.press("j")
        page.keyboard.press("x")
    bar = page.get_by_role("toolbar", name="Do to picked runs")
    expect(bar).to_contain_text("3 picked")
    expect(bar).to_contain_text("2 waiting")
    bar.locator("[data-bulk=skip]").click()
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_contain_text("2 will, 1 cannot")
    dialog.locator("[name=reason]").fill("no need today")
    dialog.get_by_role("button", name="Skip 2").click()
    for run_id in waiting:
        expect(row(page, run_id)).to_have_attribute("data-state", "skipped")
    expect(row(page, over)).to_have_attribute("data-state", "success")
    console.toast("Skip: 2 of 3, 1 refused")
    assert server.run(waiting[0])["state"] == "skipped"
